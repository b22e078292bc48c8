# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What every module that asks Kubernetes takes."""

from __future__ import annotations


class ModuleDocFragment:
    """Options and requirements of Kubernetes' API."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - The kubeconfig that says where the API server is and who asks.
      - Empty takes E(KUBECONFIG), then C(~/.kube/config), of the machine on which the module runs.
    type: path
    default: ''
  context:
    description: The context of the kubeconfig; empty takes its current one.
    type: str
    default: ''
  timeout:
    description: Seconds that the API server may take for each answer.
    type: float
    default: 5
requirements:
  - the Python package C(kubernetes), 22.6.0 or newer, where the module runs
"""
