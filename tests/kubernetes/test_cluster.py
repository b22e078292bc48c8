# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The lab's cluster is a real one: three nodes, metrics, and a way back to a host without a trace of it."""

from __future__ import annotations

import pytest

from lab.kubernetes import names
from tests.kubernetes.harness import RealCluster, wait_for

pytestmark = pytest.mark.lab


def test_three_nodes_are_ready_and_the_control_plane_takes_no_pods(real: RealCluster) -> None:
    seen = {item["metadata"]["name"]: item for item in real.get("nodes")["items"]}
    assert sorted(seen) == ["kcp1", "kw1", "kw2"]
    assert {item["status"]["nodeInfo"]["kubeletVersion"] for item in seen.values()} == {f"v{names.KUBERNETES}"}
    assert [it["effect"] for it in seen["kcp1"]["spec"]["taints"]] == ["NoSchedule"]
    assert len({item["status"]["nodeInfo"]["bootID"] for item in seen.values()}) == 3


def test_metrics_of_every_node_are_there(real: RealCluster) -> None:
    def measured() -> set[str]:
        done = real.tool.run("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes", check=False)
        return {name for name in ("kcp1", "kw1", "kw2") if f'"{name}"' in done.stdout}

    assert wait_for(lambda: len(measured()) == 3, 60)


def test_the_host_keeps_its_own_sysctls(real: RealCluster) -> None:
    """kubelet sets them, and gets files of its own in their places."""
    from pathlib import Path

    inside = real.lab.exec("kw1", ["cat", "/proc/sys/kernel/panic"]).stdout.strip()
    assert inside == "10"
    assert Path("/proc/sys/kernel/panic").read_text().strip() != "10"
