# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A heal of a workload and of a node of Kubernetes, step by step, with every answer that the API server can give."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._felt import words

from .farm import LOST, NOW, OK, acting, begun, failed, flow, plan_of, play, refused

API = {"monitor": OK}
POLICY = {"kubeconfig": "/etc/selfheal/kubernetes.conf", "context": "", "port": None}


def heal(kind: str, node: str, rung: dict[str, Any], **changes: Any) -> dict[str, Any]:
    state = begun()
    state["node"] = node
    policy = {**plan_of()["policy"], **POLICY, "kind": kind, "namespace": "ei", "objects": {node: f"{node}-object"}}
    strategy = {"workload": "kubernetes_workload", "machine": "kubernetes_node"}[kind]
    plan = plan_of(node=node, strategy=strategy, policy=policy, balancers=[], restart=rung, **changes)
    return flow.advance(state, "plan", {"plan": {"localhost": plan}, "members": {}}, NOW)


def workload(kind: str = "undo", **changes: Any) -> dict[str, Any]:
    return heal("workload", "shop", {"kind": kind, "service": "shop", "pods": ["a"], "revision": 3}, **changes)


def machine(kind: str = "reboot", **changes: Any) -> dict[str, Any]:
    return heal("machine", "kw1", {"kind": kind, "service": "kubelet.service"}, **changes)


DRAINED = {"monitor": {**OK, "left": [], "refused": {}, "ready": True, "at": NOW + 2}}


def test_a_workload_is_held_then_its_evidence_kept_then_the_rung_carried_out() -> None:
    state = workload()
    assert acting(state) == {"shift": ["monitor"]}
    assert (state["objects"]["shop"], state["namespace"], state["revision"]) == ("shop-object", "ei", 3)
    state = play(state, "shift", API)
    assert acting(state) == {"drain": ["monitor"]}, "evidence comes over the API, not from a machine"
    assert [part["tasks"] for part in state["parts"]["drain_and_evidence"]["monitor"]] == ["lease", "drain"]
    state = play(state, "drain", {"monitor": {**OK, "missing": []}})
    assert acting(state) == {"restart": ["monitor"]}
    state = play(state, "restart", {"monitor": {**OK, "revision": 3}})
    assert state["said"] == "revision 3 of shop was put back"
    state = play(play(state, "verify", API), "readmit", API)
    assert acting(state) == {"soak": ["monitor"]}
    assert play(state, "soak", API)["outcome"] == "healed"


def test_evidence_that_was_given_up_is_told_and_stops_nothing() -> None:
    held = play(workload(), "shift", API)
    state = play(held, "drain", {"monitor": {**OK, "missing": ["events (no time)"]}})
    assert acting(state) == {"restart": ["monitor"]}
    assert "evidence given up: events (no time)" in state["problems"]
    assert acting(play(held, "drain", {"monitor": failed("no answer")})) == {"restart": ["monitor"]}


def test_that_nobody_counts_the_requests_of_clients_is_said() -> None:
    for state in (workload(), machine()):
        told = play(state, "shift", API)["felt"]
        assert words(told, "shop") == [
            "clients, by the balancers' counters: unknown",
            "kubernetes is not counted: its Services count no requests",
        ]


LOOKS = {
    "begin": NOW - 60,
    "end": NOW,
    "services": [
        {"node": "shop", "service": "http", "looks": 30, "failed": 0, "longest_seconds": 0.0},
        {"node": "shop", "service": "http 30011", "looks": 29, "failed": 2, "longest_seconds": 6.04},
    ],
}


def test_what_nagios_saw_of_the_services_is_told_at_the_end_of_a_heal() -> None:
    state = play(play(play(workload(), "shift", API), "drain", API), "restart", {"monitor": failed("broken")})
    assert state["looked_at"] == ["shop"], "its own clients alone"
    ended = play(state, "release", {"monitor": {**OK, "looks": LOOKS}})
    assert words(ended["felt"], "shop")[2:] == [
        "Nagios' own looks since shop was last well, 60 s:",
        "  shop http 30011: 29 looks, 2 failed, no answer for at most 6.0 s",
        "  shop http: 30 looks, none failed",
    ]
    assert ended["detail"]["felt"]["looks"] == LOOKS
    assert play(state, "release", {"monitor": LOST})["felt"]["looks"] is None


def test_without_a_rung_evidence_is_kept_and_a_person_called() -> None:
    state = heal("workload", "shop", {"kind": "none", "service": ""}, phases=["confirm", "shift", "evidence"])
    state = play(play(state, "shift", API), "drain", API)
    assert (state["outcome"], acting(state)) == ("left_out", {"release": ["monitor"]})
    assert state["run"]["restart_and_store"] == "monitor", "what was taken is kept for that person"
    assert play(state, "restart", {})["outcome"] == "left_out", "a play that only keeps it is not judged"


@pytest.mark.parametrize(
    ("answer", "hosts"),
    [
        (refused("human_hold"), {"release": ["monitor"]}),
        (refused("stale_epoch"), {"release": ["monitor"]}),
        (refused("conflict"), {"release": ["monitor"]}),
        (refused("api_unreachable"), {"undo": ["monitor"]}),
        (LOST, {"undo": ["monitor"]}),
        (failed(), {"undo": ["monitor"]}),
    ],
)
def test_a_hold_that_was_not_put(answer: dict[str, Any], hosts: dict[str, list[str]]) -> None:
    for state in (workload(), machine()):
        assert acting(play(state, "shift", {"monitor": answer})) == hosts


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (refused("budget"), "undo"),
        (refused("conflict"), "undo"),
        ({**refused("budget"), "evicted": ["a"]}, "left_out"),
        (failed("broken"), "left_out"),
        (LOST, "left_out"),
    ],
)
def test_a_rung_that_was_refused_goes_back_and_one_whose_end_is_unknown_calls_a_person(
    answer: dict[str, Any], outcome: str
) -> None:
    state = play(play(play(workload(), "shift", API), "drain", API), "restart", {"monitor": answer})
    if outcome == "undo":
        assert acting(state) == {"undo": ["monitor"]}
        assert play(state, "undo", API)["outcome"] == "undone"
    else:
        assert state["outcome"] == outcome


def test_a_node_is_cordoned_drained_rebooted_and_uncordoned() -> None:
    state = play(machine(), "shift", API)
    assert acting(state) == {"drain": ["monitor"], "evidence": ["kw1"]}
    assert state["traffic_safe_at"] is None, "its pods still serve"
    state = play(state, "drain", DRAINED)
    assert state["traffic_safe_at"] is not None
    assert acting(state) == {"restart": ["kw1"]}, "the machine itself, over SSH"
    assert [it["balancer"] for it in state["witnesses"]] == ["kubernetes"]
    state = play(state, "restart", {"kw1": {**OK, "restarted": True, "boot_id_before": "b1"}})
    assert state["restart"]["boot_id_before"] == "b1"
    assert acting(state) == {"verify": ["monitor"]}
    state = play(play(state, "verify", API), "readmit", API)
    assert play(state, "soak", API)["outcome"] == "healed"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({**OK, "left": ["ei/a"], "refused": {"ei/a": "budget pdb"}, "ready": True}, "ei/a was not let go: budget pdb"),
        (refused("human_hold"), "human_hold"),
        (LOST, "not reachable"),
    ],
)
def test_what_cannot_be_drained_is_given_back(answer: dict[str, Any], words: str) -> None:
    state = play(play(machine(), "shift", API), "drain", {"monitor": answer})
    assert acting(state) == {"undo": ["monitor"]}
    assert any(words in text for text in state["problems"]), state["problems"]


def test_pods_on_a_node_that_is_not_ready_cannot_be_told_to_go_and_get_nothing() -> None:
    answer = {**OK, "left": ["ei/a"], "refused": {}, "ready": False}
    state = play(play(machine("service"), "shift", API), "drain", {"monitor": answer})
    assert acting(state) == {"restart": ["kw1"]}
    assert any("cannot be told to go" in text for text in state["problems"])


GONE = {"monitor": {**OK, "left": ["ei/a"], "refused": {}, "ready": False, "at": NOW + 2}}


def test_a_machine_that_is_gone_is_asked_nothing_and_its_power_switched_from_the_monitor() -> None:
    state = play(machine("power"), "shift", API)
    assert acting(state) == {"drain": ["monitor"]}, "nobody waits for evidence of a machine that is gone"
    state = play(state, "drain", GONE)
    assert acting(state) == {"restart": ["monitor"]}
    state = play(state, "restart", {"monitor": {**OK, "phases": ["off", "on"], "boot_id_before": "b1"}})
    assert state["said"] == "kw1 got its power anew"
    assert (acting(state), state["restart"]["boot_id_before"]) == ({"verify": ["monitor"]}, "b1")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({**refused("not_silent"), "touched": False}, ""),
        ({**refused("human_hold"), "touched": False}, ""),
        ({**failed("no power, and somebody may have switched it off"), "touched": False}, "left_out"),
        ({**failed("still off"), "touched": True}, "left_out"),
        (LOST, "left_out"),
    ],
)
def test_power_that_was_not_switched(answer: dict[str, Any], outcome: str) -> None:
    state = play(play(play(machine("power"), "shift", API), "drain", GONE), "restart", {"monitor": answer})
    assert state["outcome"] == outcome
    assert acting(state) == ({"release": ["monitor"]} if outcome else {"undo": ["monitor"]})


@pytest.mark.parametrize("told", [["kube-system/net"], [], None])
def test_the_pods_that_were_well_before_are_handed_to_the_proof(told: list[str] | None) -> None:
    state = play(play(machine(), "shift", API), "drain", {"monitor": {**DRAINED["monitor"], "kept": told}})
    assert state["kept_pods"] == (told or [])


@pytest.mark.parametrize("told", ["m1", "", None])
def test_the_machine_that_was_drained_is_the_one_that_may_be_restarted(told: str | None) -> None:
    """Two hosts may be named after one node by mistake: the machine compares the id with its own."""
    state = play(play(machine(), "shift", API), "drain", {"monitor": {**DRAINED["monitor"], "machine_id": told}})
    assert state["machine_id"] == (told or "")
    state = play(state, "restart", {"kw1": {**refused("wrong_machine"), "restarted": False}})
    assert acting(state) == {"undo": ["monitor"]}, "nothing was restarted, and the node is given back"


def test_power_that_a_run_before_may_have_taken_is_given_back_whatever_stops_a_restart() -> None:
    state = play(machine("power", unproven=True), "shift", API)
    state = play(state, "drain", GONE, lease={"monitor": {"held": True, "stop": "storm"}})
    assert acting(state) == {"restart": ["monitor"]} and state["give_back"] is True
    state = play(machine("power"), "shift", API)
    state = play(state, "drain", GONE, lease={"monitor": {"held": True, "stop": "storm"}})
    assert acting(state) == {"undo": ["monitor"]}, "nothing was taken yet"


@pytest.mark.parametrize("answer", [refused("not_well"), LOST, failed()])
def test_what_is_not_proven_stays_held(answer: dict[str, Any]) -> None:
    """Invariant 10."""
    state = play(play(machine(), "shift", API), "drain", DRAINED)
    state = play(play(state, "restart", {"kw1": OK}), "verify", {"monitor": answer})
    assert (state["outcome"], acting(state)) == ("left_out", {"release": ["monitor"]})


def test_what_falls_ill_again_is_held_again() -> None:
    state = play(play(play(workload(), "shift", API), "drain", API), "restart", API)
    state = play(play(state, "verify", API), "readmit", API)
    again = play(state, "soak", {"monitor": refused("not_well")})
    assert acting(again) == {"again": ["monitor"]}
    assert play(again, "again", API)["outcome"] == "left_out"
    assert play(state, "soak", {"monitor": LOST})["outcome"] == "left_out"


@pytest.mark.parametrize("lease", [{"held": True, "stop": "storm"}, {"held": False, "stop": ""}, LOST])
def test_storm_and_a_silent_journal_stop_it_before_the_rung(lease: dict[str, Any]) -> None:
    """Invariant 4."""
    state = play(play(workload(), "shift", API), "drain", API, lease={"monitor": lease})
    assert acting(state) == {"undo": ["monitor"]}
    state = play(play(machine(), "shift", API), "drain", DRAINED, lease={"monitor": lease})
    assert acting(state) == {"undo": ["monitor"]}
