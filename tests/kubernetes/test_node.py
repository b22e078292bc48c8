# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A node of the cluster: drained under load without a request lost, refused for a reason, and given back.

In the lab only: on a cluster of somebody else a node that is cordoned and drained is taken from everybody on it.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.kubernetes.harness import Load, RealCluster, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.machines]
Held = dict[str, Any]


@pytest.fixture
def held() -> Held:
    """Of now: heals of these nodes by tests before this one have left younger epochs than the import of this file."""
    return {"kind": "Node", "incident": "i1", "epoch": int(time.time()), "phase": "shift"}


def node(real: RealCluster, name: str) -> dict[str, Any]:
    found = real.module("kubernetes_node_info", name=name)
    assert not found.get("failed"), found
    return dict(found["node"])


def spread(real: RealCluster, count: int = 4) -> None:
    """So many pods, on both workers; the autoscaler would take them away again."""
    real.kubectl("delete", "hpa", "ei-hpa")
    real.kubectl("scale", "deployment/ei-deployment", f"--replicas={count}")
    real.kubectl("rollout", "status", "deployment/ei-deployment", "--timeout=90s", timeout=100)


def test_a_node_is_drained_rebooted_and_given_back_and_no_request_is_lost(rolled_out: RealCluster, held: Held) -> None:
    spread(rolled_out)
    ill, other = rolled_out.worker(0), rolled_out.worker(1)
    before = node(rolled_out, ill)
    assert before["ready"] and before["refusals"] == [], before
    with Load(rolled_out.nodes()[other], rolled_out.ports[0], seconds=180) as load:
        done = rolled_out.module("kubernetes_hold", name=ill, state="drained", drain_timeout=60, **held)
        assert done["left"] == [] and done["evicted"], done
        begun = time.monotonic()
        rolled_out.lab.exec(ill, ["systemctl", "--no-block", "reboot"], check=False)
        wait_for(lambda: node(rolled_out, ill)["boot_id"] != before["boot_id"] and node(rolled_out, ill)["ready"], 90)
        back = time.monotonic() - begun
        freed = rolled_out.module("kubernetes_hold", name=ill, state="free", **{**held, "phase": "readmit"})
        assert freed["changed"]
        load.more(60)
    seen = node(rolled_out, ill)
    assert not seen["cordoned"] and seen["hold"] is None
    assert load.failed == [], f"{len(load.failed)} of {len(load.answers)}: {load.failed[:3]}"
    print(f"rebooted and Ready after {back:.1f} s, {len(load.answers)} requests through the other worker")


def test_a_cordon_of_somebody_else_stays(rolled_out: RealCluster, held: Held) -> None:
    ill = rolled_out.worker(0)
    rolled_out.tool.run("cordon", ill)
    refused = rolled_out.module("kubernetes_hold", name=ill, state="held", **held)
    assert refused["reason"] == "human_hold"
    assert node(rolled_out, ill)["human_cordon"]
    rolled_out.module("kubernetes_hold", name=ill, state="free", **held)
    assert node(rolled_out, ill)["cordoned"]


def test_pods_that_would_find_no_other_place_are_told(rolled_out: RealCluster) -> None:
    ill, other = rolled_out.worker(0), rolled_out.worker(1)
    rolled_out.tool.run("cordon", other)
    rolled_out.kubectl("delete", "pod", "-l", "type=ei", "--wait=true", timeout=90)
    wait_for(lambda: node(rolled_out, ill)["pods"], 60)
    found = node(rolled_out, ill)["refusals"]
    assert [it["reason"] for it in found] == ["no_place"]
    assert "would find no other node: taints or its node selector keep it off" in found[0]["detail"]


def test_a_budget_that_lets_no_pod_go_is_told_and_waited_for(rolled_out: RealCluster, held: Held) -> None:
    spread(rolled_out, 2)
    rolled_out.kubectl("patch", "pdb", "ei-pdb", "--type=merge", "-p", '{"spec":{"maxUnavailable":0}}')
    ill = rolled_out.worker(0)
    wait_for(lambda: [it["reason"] for it in node(rolled_out, ill)["refusals"]] == ["budget"], 30)
    done = rolled_out.module("kubernetes_hold", name=ill, state="drained", drain_timeout=4, **held)
    assert done["evicted"] == [] and len(done["left"]) == 1
    assert "budget" in next(iter(done["refused"].values()))
    assert rolled_out.module("kubernetes_hold", name=ill, state="free", **held)["changed"]
    pods = rolled_out.get("pods", "-l", "type=ei")["items"]
    assert len(pods) == 2 and all(it["metadata"]["namespace"] == rolled_out.namespace for it in pods)


def test_a_worker_that_dies_is_served_around_and_comes_back(rolled_out: RealCluster) -> None:
    spread(rolled_out)
    ill, other = rolled_out.worker(0), rolled_out.worker(1)
    with Load(rolled_out.nodes()[other], rolled_out.ports[0], seconds=180) as load:
        load.more()
        killed = time.time()
        rolled_out.lab.power_off(ill)
        wait_for(lambda: not node(rolled_out, ill)["ready"], 60)

        wait_for(lambda: rolled_out.replicas() == 4, 60)
        whole = time.time() - killed
        rolled_out.lab.power_on(ill)
        wait_for(lambda: node(rolled_out, ill)["ready"], 60)
        load.more(40)
    lost = [it for it in load.failed if it[0] > killed]
    assert whole < 30, f"{whole:.1f} s"
    assert all(it[0] - killed < 20 for it in lost), lost
    print(
        f"whole again after {whole:.1f} s, {len(lost)} of {len(load.answers)} requests failed, gap {load.gap():.1f} s"
    )
