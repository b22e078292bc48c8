# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Versions, names and addresses that the parts of the lab's Kubernetes share."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import base
from lab.machines import LabError

KUBERNETES = "1.35.4"
ETCD = "3.6.5"
METRICS_SERVER = "0.9.0"
#: What `k8s.io/kubernetes` and etcd of these versions ask for.
GO = (1, 25)

PART = "kubernetes"
CONTROL_PLANE = "control_plane"
WORKER = "worker"

#: The machines' own base: what every machine has, and what kubelet needs.
BASE = base.Kind(
    "kbase", ("conntrack", "containerd", "containernetworking-plugins", "iptables", "kmod", "runc", "socat")
)
FILES = Path(__file__).resolve().parent / "files"
PKI = "/etc/kubernetes/pki"
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
API_PORT = 6443
#: No registry has this name, so that nothing is ever asked of one: images are imported by hand.
REGISTRY = "registry.lab.invalid"
PAUSE_IMAGE = f"{REGISTRY}/pause:1"
METRICS_IMAGE = f"{REGISTRY}/metrics-server:{METRICS_SERVER}"
EI_IMAGE = f"{REGISTRY}/ei:6.6.0"


@dataclass(frozen=True)
class Cluster:
    """The machines that make the cluster: each node with its address, and which of them is the control plane."""

    addresses: Mapping[str, str]
    control_plane: str

    @classmethod
    def of(cls, machines: Mapping[str, Mapping[str, Any]]) -> Cluster | None:
        """The cluster within an inventory's machines; nothing where none is a part of one."""
        ours = {node: spec for node, spec in machines.items() if spec.get("kubernetes")}
        heads = [node for node, spec in ours.items() if spec["kubernetes"] == CONTROL_PLANE]
        if not ours:
            return None
        if len(heads) != 1:
            raise LabError(f"a cluster of the lab has one control plane, not {len(heads)}: {', '.join(heads)}")
        return cls({node: str(spec["address"]) for node, spec in sorted(ours.items())}, heads[0])

    @property
    def api(self) -> str:
        """Where the API server answers."""
        return f"https://{self.addresses[self.control_plane]}:{API_PORT}"


def pod_range(address: str) -> str:
    """The first three numbers of a machine's pods, from the last one of its own address: 10.213.77.31, 10.214.31."""
    return f"10.214.{ipaddress.ip_address(address).packed[-1]}"


def go_version(text: str) -> tuple[int, ...]:
    """The numbers in what `go version` prints; empty when there are none."""
    found = re.search(r"go(\d+)\.(\d+)", text)
    return tuple(map(int, found.groups())) if found else ()
