# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The lab's cluster is a real one: three nodes, metrics, and a way back to a host without a trace of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.kubernetes import names
from lab.kubernetes.cluster import cluster_of
from tests.kubernetes.harness import RealCluster, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.machines]


def test_three_nodes_are_ready_and_the_control_plane_takes_no_pods(real: RealCluster) -> None:
    made = cluster_of(real.lab)

    def taints() -> list[str]:
        return [it["effect"] for it in real.get("node", made.control_plane)["spec"]["taints"]]

    wait_for(lambda: len(taints()) == 1, 30)  # Kubernetes takes its own "not-ready" away a moment after Ready
    assert taints() == ["NoSchedule"]
    seen = {item["metadata"]["name"]: item for item in real.get("nodes")["items"]}
    assert real.nodes() == dict(made.addresses) and len(seen) == 3
    assert {item["status"]["nodeInfo"]["kubeletVersion"] for item in seen.values()} == {f"v{names.KUBERNETES}"}
    assert sorted([made.control_plane, real.worker(0), real.worker(1)]) == sorted(seen)
    assert len({item["status"]["nodeInfo"]["bootID"] for item in seen.values()}) == 3


def test_metrics_of_every_node_are_there(real: RealCluster) -> None:
    def measured() -> set[str]:
        done = real.tool.run("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes", check=False)
        return {name for name in real.nodes() if f'"{name}"' in done.stdout}

    wait_for(lambda: measured() == set(real.nodes()), 60)


def test_the_host_keeps_its_own_sysctls(real: RealCluster) -> None:
    """kubelet sets them, and gets files of its own in their places."""
    inside = real.lab.exec(real.worker(0), ["cat", "/proc/sys/kernel/panic"]).stdout.strip()
    assert inside == "10"
    assert Path("/proc/sys/kernel/panic").read_text().strip() != "10"


def test_a_connection_to_a_pod_that_went_is_soon_forgotten(real: RealCluster) -> None:
    """Else a client's next connection from the same port goes there too, and single requests of a later load fail."""
    kept = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_syn_sent"
    for name in real.nodes():
        assert real.lab.exec(name, ["cat", kept]).stdout.strip() == "5", name
