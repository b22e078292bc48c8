#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads all that a plan must know of a cluster of Kubernetes, in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_look
short_description: Read the workloads and nodes of Kubernetes that a heal is about
version_added: "0.1.0"
description:
  - A step of C(selfheal.cluster.heal). Reads several Deployments and nodes of one cluster at once, each as
    M(selfheal.cluster.kubernetes_workload_info) and M(selfheal.cluster.kubernetes_node_info) do.
  - An API server that does not answer is no failure of the module; it is part of what is returned.
author:
  - selfheal.cluster contributors (@selfheal-cluster)
options:
  workloads:
    description: Deployments, each with the name of its host in the inventory.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Its name in the inventory.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
      name:
        description: Its name in the cluster.
        type: str
        required: true
  nodes:
    description: Nodes of the cluster, each with the name of its host in the inventory.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Its name in the inventory.
        type: str
        required: true
      name:
        description: Its name in the cluster.
        type: str
        required: true
extends_documentation_fragment:
  - selfheal.cluster.kubernetes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed when in diff mode.
    support: none
"""

EXAMPLES = r"""
- name: Look at a workload and at a node
  selfheal.cluster.kubernetes_look:
    workloads: [{host: shop, namespace: ei, name: ei-deployment}]
    nodes: [{host: kw1, name: kw1}]
  register: seen
"""

RETURN = r"""
kubernetes:
  description: What the API server said, by the name of the host in the inventory.
  returned: success
  type: dict
  contains:
    reachable:
      description: Whether the API server answered at all, and knows the account.
      type: bool
      returned: success
    error:
      description: Why not, in a sentence.
      type: str
      returned: success
    reason:
      description: Why not, as one word.
      type: str
      returned: success
    workloads:
      description: The Deployments, or the reason why one cannot be read.
      type: dict
      returned: success
    nodes:
      description: The nodes, or the reason why one cannot be read.
      type: dict
      returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import (
    ARGUMENTS,
    Api,
    KubernetesError,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_ask import (
    NOTHING,
    cluster,
)


def main() -> None:
    """Read, and give back."""
    named = {"host": {"type": "str", "required": True}, "name": {"type": "str", "required": True}}
    spaced = {**named, "namespace": {"type": "str", "required": True}}
    module = AnsibleModule(
        argument_spec={
            "workloads": {"type": "list", "elements": "dict", "default": [], "options": spaced},
            "nodes": {"type": "list", "elements": "dict", "default": [], "options": named},
            **ARGUMENTS,
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        api = Api(given["kubeconfig"], given["context"], given["timeout"])
        seen = cluster(api, given["workloads"], given["nodes"])
    except KubernetesError as exc:
        seen = {**NOTHING, "reason": exc.reason, "error": exc.message}
    module.exit_json(changed=False, kubernetes=seen)


if __name__ == "__main__":
    main()
