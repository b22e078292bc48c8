# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Where the pods of a node would go, and who has cordoned it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _kubernetes_node as nodes
from tests.unit.kubernetes.objects import NOW, condition


def machine(
    name: str, cpu: str = "1", ready: str = "True", taints: Any = (), cordoned: bool = False, **notes: str
) -> Any:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}, "annotations": notes},
        "spec": {"taints": list(taints), "unschedulable": cordoned},
        "status": {
            "allocatable": {"cpu": cpu, "memory": "1Gi", "pods": "110", "ephemeral-storage": "8Gi"},
            "conditions": [condition("Ready", ready)],
            "nodeInfo": {"bootID": f"boot-{name}"},
        },
    }  # fmt: skip


def pod(name: str, where: str = "kw1", cpu: str = "200m", owner: str | None = "ReplicaSet", **spec: Any) -> Any:
    owners = [{"kind": owner, "controller": True}] if owner else []
    phase, asked = spec.pop("phase", "Running"), {"cpu": cpu, "memory": "64Mi"}
    return {
        "metadata": {"name": name, "namespace": "ei", "ownerReferences": owners, "labels": {"type": "ei"},
                     "annotations": spec.pop("annotations", {})},
        "spec": {"nodeName": where, "containers": [{"resources": {"requests": asked}}], **spec},
        "status": {"phase": phase, "conditions": [condition("Ready", spec.pop("ready", "True"))]},
    }  # fmt: skip


def gone(name: str, **more: Any) -> Any:
    """A pod that was told to go, and has not ended."""
    item = pod(name, **more)
    item["metadata"]["deletionTimestamp"] = "2026-11-29T10:00:00Z"
    return item


def part(**more: Any) -> Any:
    """A container that asks for what every pod here asks for, and more."""
    asked = {"cpu": "200m", "memory": "64Mi", **more.pop("requests", {})}
    return {"resources": {"requests": asked}, **more}


def pdb(allowed: int = 1, wanted: int = 1, expected: int = 2, policy: str = "AlwaysAllow", name: str = "ei-pdb") -> Any:
    return {
        "metadata": {"name": name, "namespace": "ei"},
        "spec": {"selector": {"matchLabels": {"type": "ei"}}, "unhealthyPodEvictionPolicy": policy},
        "status": {"disruptionsAllowed": allowed, "desiredHealthy": wanted, "expectedPods": expected},
    }


HEAD = machine("kcp1", "2", taints=[{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}])
TWO = [HEAD, machine("kw1"), machine("kw2")]
TOLERANT = [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("machines", "pods", "budgets", "reasons", "words"),
    [
        (TWO, [pod("a"), pod("b")], [pdb()], [], ""),
        (TWO, [], [], [], ""),
        (TWO, [pod("a"), pod("b", "kw2", "900m")], [], ["no_place"], "asks for 0.2 CPUs and 64 MiB, and kw2 has 0.1"),
        (TWO, [pod("a", cpu="600m"), pod("b", cpu="500m")], [], ["no_place"], "ei/b"),
        ([HEAD, machine("kw1")], [pod("a")], [], ["no_place"], "keep it off kcp1"),
        ([HEAD, machine("kw1")], [pod("a", tolerations=TOLERANT)], [], [], ""),
        ([machine("kw1")], [pod("a")], [], ["no_place"], "no other one is Ready"),
        ([machine("kw1"), machine("kw2", ready="False")], [pod("a")], [], ["no_place"], "no other one is Ready"),
        ([machine("kw1"), machine("kw2", cordoned=True)], [pod("a")], [], ["no_place"], "no other one is Ready"),
        (TWO, [pod("a", nodeSelector={"disk": "ssd"})], [], ["no_place"], "node selector"),
        (TWO, [pod("a", owner=None)], [], ["bare_pod"], "has no controller"),
        (TWO, [pod("a", owner="DaemonSet"), pod("done", owner=None, phase="Succeeded"),
               pod("static", owner=None, annotations={nodes.MIRROR: "x"})], [], [], ""),
        (TWO, [pod("a", volumes=[{"name": "v", "persistentVolumeClaim": {}}])], [], ["no_place"], "its volume v"),
        (TWO, [pod("a", affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}})], [],
         ["no_place"], "demands podAntiAffinity"),
        (TWO, [pod("a", topologySpreadConstraints=[{"whenUnsatisfiable": "ScheduleAnyway"}])], [], [], ""),
        (TWO, [pod("a")], [pdb(0, 1, 1)], ["budget"], "budget ei-pdb needs 1 of 1 pods, so none may go"),
        (TWO, [pod("a", ready="False")], [pdb(0, 1, 1)], [], ""),
        (TWO, [pod("a", ready="False")], [pdb(0, 1, 1, "IfHealthyBudget")], ["budget"], "none may go"),
        (TWO, [pod("a"), pod("b", "kw2")], [pdb(0, 1, 2)], [], ""),
        (TWO, [pod("a", containers=[part(requests={"nvidia.com/gpu": "1"})])], [], ["no_place"],
         "where pod ei/a would go: it asks for nvidia.com/gpu"),
        (TWO, [pod("a", containers=[part(requests={"nvidia.com/gpu": "0"})])], [], [], ""),
        (TWO, [pod("a", initContainers=[part(requests={"ephemeral-storage": "1Gi", "hugepages-2Mi": "4Mi"})])], [],
         ["no_place"], "it asks for hugepages-2Mi"),
        (TWO, [pod("a", containers=[part(requests={"ephemeral-storage": "8Gi"})])], [], [], ""),
        (TWO, [pod("a", containers=[part(requests={"ephemeral-storage": "9Gi"})])], [], ["no_place"],
         "8192 MiB of 9216 of disk"),
        (TWO, [pod("a", resources={"requests": {"hugepages-2Mi": "4Mi"}})], [], ["no_place"], "hugepages-2Mi"),
        (TWO, [pod("a", containers=[part(ports=[{"containerPort": 80}])])], [], [], ""),
        (TWO, [pod("a", containers=[part(ports=[{"containerPort": 80, "hostPort": 80}])])], [], ["no_place"],
         "it wants port 80 of its node"),
        (TWO, [pod("a", hostNetwork=True)], [], ["no_place"], "it uses the network of its node"),
        (TWO, [pod("a", owner="DaemonSet", hostNetwork=True)], [], [], ""),
        (TWO, [pod("a", resourceClaims=[{"name": "g"}])], [], ["no_place"], "it claims devices"),
        (TWO, [pod("a", schedulerName="volcano")], [], ["no_place"], "the scheduler volcano places it"),
        (TWO, [pod("a", schedulerName="default-scheduler")], [], [], ""),
        (TWO, [pod("a")], [pdb(5), pdb(5, name="all")], ["two_budgets"], "pod ei/a: the budgets all, ei-pdb count it"),
        (TWO, [pod("a", owner="DaemonSet")], [pdb(5), pdb(5, name="all")], [], ""),
        (TWO, [gone("a", owner=None), gone("b", cpu="5")], [pdb(0, 1, 1)], [], ""),
    ],
)  # fmt: skip
def test_may_it_be_drained(machines: Any, pods: Any, budgets: Any, reasons: list[str], words: str) -> None:
    found = nodes.drain_refusals("kw1", machines, pods, budgets, NOW)
    assert [it["reason"] for it in found] == reasons, found
    assert words in "; ".join(it["detail"] for it in found)


@pytest.mark.parametrize(
    ("text", "value"),
    [("200m", 0.2), ("1", 1), ("64Mi", 64 * 2**20), ("1e3", 1000), ("1.5G", 1.5e9), ("0", 0), (2, 2), ("12n", 1.2e-8)],
)
def test_quantities(text: Any, value: float) -> None:
    assert nodes.quantity(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "x", "1Xi", "--1"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        nodes.quantity(text)


def test_the_largest_first_container_counts_and_a_sidecar_adds() -> None:
    item = pod("a", initContainers=[
        {"resources": {"requests": {"cpu": "500m"}}},
        {"restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
    ], overhead={"cpu": "10m"})  # fmt: skip
    assert nodes.requests(item)["cpu"] == pytest.approx(0.61)


@pytest.mark.parametrize(
    ("item", "human"),
    [
        (machine("kw1"), False),
        (machine("kw1", cordoned=True), True),
        (machine("kw1", cordoned=True, **{nodes.CORDONED: "i1", nodes.HOLD: "{}"}), False),
        (machine("kw1", cordoned=True, **{nodes.CORDONED: "i1"}), True),
        (machine("kw1", **{nodes.CORDONED: "i1"}), False),
    ],
)
def test_a_cordon_without_our_mark_is_a_humans(item: Any, human: bool) -> None:
    assert nodes.node(item, NOW)["human_cordon"] is human


@pytest.mark.parametrize(
    ("toleration", "taint", "does"),
    [
        ({"operator": "Exists"}, {"key": "a", "effect": "NoSchedule"}, True),
        ({"key": "a", "operator": "Exists"}, {"key": "a", "effect": "NoExecute"}, True),
        ({"key": "a", "operator": "Exists", "effect": "NoExecute"}, {"key": "a", "effect": "NoSchedule"}, False),
        ({"key": "a", "value": "1"}, {"key": "a", "value": "1", "effect": "NoSchedule"}, True),
        ({"key": "a", "value": "1"}, {"key": "a", "value": "2", "effect": "NoSchedule"}, False),
        ({"key": "b", "operator": "Exists"}, {"key": "a", "effect": "PreferNoSchedule"}, True),
    ],
)
def test_tolerations(toleration: Any, taint: Any, does: bool) -> None:
    assert nodes.tolerates({"spec": {"tolerations": [toleration]}}, taint) is does


def daemon(name: str, where: str = "kw1", of: str = "log", **more: Any) -> Any:
    item = pod(name, where, owner="DaemonSet", **more)
    item["metadata"]["ownerReferences"][0]["name"] = of
    return item


STATIC = {"annotations": {nodes.MIRROR: "x"}, "owner": None}


@pytest.mark.parametrize(
    ("pods", "expected", "why"),
    [
        ([daemon("a"), pod("s", **STATIC)], [], "they serve"),
        ([daemon("a", ready="False"), pod("s", ready="False", **STATIC)], ["ei/a", "ei/s"], "of the node itself"),
        ([daemon("a", phase="Pending", ready="False")], ["ei/a"], "not begun"),
        ([pod("a", ready="False"), pod("b", ready="False", owner=None)], [], "a drain takes them"),
        ([daemon("a", "kw2", ready="False")], [], "of another node"),
        ([daemon("a", phase="Failed", ready="False"), daemon("b", phase="Succeeded", ready="False")], [], "ended"),
        ([gone("a", owner="DaemonSet", ready="False")], [], "told to go"),
        ([daemon("a", ready="False"), daemon("b", "kw2")], ["ei/a"], "the same one serves elsewhere"),
        ([daemon("a", ready="False"), daemon("b", "kw2", ready="False")], [], "it serves nowhere: not this node's"),
        ([daemon("a", ready="False"), daemon("b", "kw2", of="net", ready="False")], ["ei/a"], "another DaemonSet"),
    ],
)
def test_the_pods_of_the_node_itself_that_do_not_serve(pods: Any, expected: list[str], why: str) -> None:
    assert nodes.unready("kw1", pods) == expected, why


def with_containers(item: Any, *ready: bool) -> Any:
    item["status"]["containerStatuses"] = [{"ready": it} for it in ready]
    return item


@pytest.mark.parametrize(
    ("item", "well", "why"),
    [
        (with_containers(daemon("a"), True, True), True, "all of it serves"),
        (with_containers(daemon("a", ready="False"), True), True, "the node is silent: the kubelet's word before that"),
        (with_containers(pod("a", **STATIC), True), True, "static"),
        (with_containers(daemon("a"), True, False), False, "one of its containers does not"),
        (daemon("a"), False, "nothing is told of its containers"),
        (with_containers(daemon("a", "kw2"), True), False, "of another node"),
        (with_containers(pod("a"), True), False, "a drain takes it"),
        (with_containers(daemon("a", phase="Pending"), True), False, "not begun"),
        (with_containers(gone("a", owner="DaemonSet"), True), False, "told to go"),
    ],
)
def test_the_pods_of_the_node_itself_that_were_well(item: Any, well: bool, why: str) -> None:
    assert nodes.kept_well("kw1", [item]) == (["ei/a"] if well else []), why


def test_what_a_drain_still_has_to_take() -> None:
    left = nodes.evictions_left("kw1", [pod("a"), pod("b", "kw2"), pod("c", owner="DaemonSet")])
    assert [it["name"] for it in left] == ["a"]
