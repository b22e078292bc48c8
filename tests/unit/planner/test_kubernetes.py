# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Plans about workloads and nodes of Kubernetes: input, expected plan, and the reason in one line."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._planner import plan
from ansible_collections.selfheal.cluster.plugins.module_utils._policy import effective
from tests.unit.kubernetes.objects import pod
from tests.unit.kubernetes.test_rungs import FAILED, LOOP, PULL, SETTLED, view
from tests.unit.planner.cluster import (
    APPS,
    DEAD,
    GONE,
    GOOD,
    GROUPS,
    HOSTVARS,
    LOOPING,
    OF_KW1,
    OPEN,
    REFUSED,
    TIGHT,
    WORKERS,
    attempt,
    machine,
    world,
)


def decide(**given: Any) -> dict[str, Any]:
    return plan(*world(**given))


def reasons(found: dict[str, Any]) -> list[str]:
    return [item["reason"] for item in found["refusals"]]


@pytest.mark.parametrize(
    ("workload", "kind", "would"),
    [
        (GOOD, "rollout", "restart: restart the roll-out of ei-deployment"),
        (view(FAILED, [pod("n", 2, containers=[PULL])]), "undo", "restart: put revision 1 of ei-deployment back"),
        (
            view(SETTLED, [pod("n", 2, containers=[LOOP]), pod("m", 2)]),
            "evict",
            "restart: take n away by the eviction API",
        ),
    ],
)
def test_a_workload_gets_the_rung_that_its_pods_ask_for(workload: Any, kind: str, would: str) -> None:
    found = decide(workload=workload)
    assert found["admitted"], found["refusals"]
    assert (found["restart"]["kind"], found["strategy"], found["ends"]) == (kind, "kubernetes_workload", "healed")
    assert would in "\n".join(found["would"])
    assert [item["resource"] for item in found["leases"]] == ["node:shop", "slot:apps:0"]


def test_where_no_rung_helps_evidence_is_kept_and_a_person_is_called() -> None:
    found = decide(workload=view(FAILED, [pod("n", 2)], sets=()))
    assert found["admitted"]
    assert (found["phases"], found["ends"]) == (["confirm", "shift", "evidence"], "left_out")
    assert "no revision before is known to have been available" in found["notes"][0]


@pytest.mark.parametrize(("given", "expected", "words"), REFUSED)
def test_what_is_refused_and_why(given: dict[str, Any], expected: str, words: str) -> None:
    found = decide(**given)
    assert not found["admitted"]
    assert any(it["reason"] == expected and words in it["detail"] for it in found["refusals"]), found["refusals"]


def test_a_roll_out_that_was_complete_once_is_none_that_is_under_way() -> None:
    assert decide(workload=view(SETTLED, [pod("a", 2)], updatedReplicas=1))["admitted"]


def test_pods_that_do_not_serve_go_past_a_budget_that_always_allows_them() -> None:
    ill = {**LOOPING, "pods": [{**LOOPING["pods"][0], "ready": False}]}
    assert decide(workload={**ill, "budgets": [{**TIGHT, "unhealthy_policy": "AlwaysAllow"}]})["admitted"]


def test_a_rung_that_has_failed_in_this_incident_is_not_tried_again() -> None:
    loop = view(SETTLED, [pod("n", 2, containers=[LOOP])])
    past = {"incidents": OPEN, "attempts": [attempt("evict")]}
    assert decide(workload=loop, history=past)["restart"]["kind"] == "rollout"
    past = {"incidents": OPEN, "attempts": [attempt("evict"), attempt("rollout", 2)]}
    assert decide(workload=loop, history=past)["restart"]["kind"] == "undo"


def test_a_node_of_the_cluster_is_drained_and_its_kubelet_restarted_first() -> None:
    found = decide(node="kw1")
    assert found["admitted"], found["refusals"]
    assert found["restart"] == {"kind": "service", "service": "kubelet.service"}
    assert [line for line in found["would"] if line.startswith("shift")] == [
        "shift: tell Nagios about our own downtime of kw1",
        "shift: cordon kw1 under our hold",
        "shift: evict the pods of kw1 as their budgets allow",
    ]


@pytest.mark.parametrize(
    "given",
    [
        {"kw1": machine("kw1", ready=False, refusals=[{"reason": "no_place", "detail": "d"}])},
        {"kw1": machine("kw1", ready=False), "kw2": machine("kw2", ready=False)},
    ],
)
def test_a_node_that_is_not_ready_carries_nothing_that_could_be_lost(given: dict[str, Any]) -> None:
    assert reasons(decide(node="kw1", **given)) == []


def test_a_machine_that_is_gone_gets_its_power_anew() -> None:
    found = decide(**GONE)
    assert found["admitted"], found["refusals"]
    assert (found["restart"]["kind"], found["ends"]) == ("power", "healed")
    assert "restart: take the power of kw1 away and give it back" in found["would"]
    assert "take the power of kw1 away and give it back" in found["summary"]
    assert found["deadlines"]["verify"] == decide(node="kw1")["deadlines"]["verify"] + 300, "it has to boot first"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"kw1": machine("kw1")}, "the API server hears it: only Nagios' way to it is cut"),
        ({"kw1": {**DEAD, "ready_status": "False"}}, "its kubelet speaks"),
        ({"ill": "service"}, "Nagios reaches it: its kubelet is what is ill"),
        ({"host": "up"}, "it is slow, and answers"),
    ],
)
def test_a_machine_that_one_of_two_still_reaches_keeps_its_power(given: dict[str, Any], why: str) -> None:
    assert decide(**{**GONE, **given})["restart"]["kind"] != "power", why


def test_a_heal_that_died_while_power_was_switched_is_rolled_forward() -> None:
    """The module knows what was given, so nobody has to look first, as after a reboot."""
    held = {"incident": "i1", "epoch": 1, "phase": "restart", "reason": "", "remaining_seconds": 9, "expired": False}
    past = {
        "incidents": [{**OPEN[0], **OF_KW1}],
        "attempts": [attempt("power", outcome=None, phase="restart", **OF_KW1)],
    }
    kw1 = {**DEAD, "cordoned": True, "hold": held}
    found = decide(**{**GONE, "kw1": kw1, "history": past})
    assert found["admitted"], found["refusals"]
    assert (found["restart"]["kind"], found["restart"]["give_back"]) == ("power", False)
    for more in ({"paused": True}, {"attempts": [*past["attempts"], *past["attempts"], *past["attempts"]]}):
        found = decide(**{**GONE, "kw1": kw1, "history": {**past, **more}})
        assert found["admitted"], found["refusals"]
        assert found["restart"]["give_back"], "what was taken is given back, whatever stands in the way of a new heal"
        assert "give the power of kw1 back" in found["summary"]


def test_a_node_that_we_hold_ourselves_comes_back_whatever_a_drain_would_meet() -> None:
    held = {"incident": "i1", "epoch": 1, "phase": "evidence", "reason": "", "remaining_seconds": 9, "expired": False}
    past = {"incidents": [{**OPEN[0], "node": "kw1", "layer": "workers"}],
            "attempts": [attempt("reboot", outcome=None, node="kw1", layer="workers", phase="evidence")]}  # fmt: skip
    ours = machine("kw1", cordoned=True, hold=held, refusals=[{"reason": "no_place", "detail": "d"}])
    assert "no_place" not in reasons(decide(node="kw1", kw1=ours, history=past))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"selfheal_namespace": ""}, "selfheal_namespace is missing"),
        ({"selfheal_reboot": True}, "no machine of its own"),
        ({"selfheal_kind": "pool"}, "heals a workload"),
        ({"selfheal_kubeconfig": "relative"}, "selfheal_kubeconfig"),
    ],
)
def test_a_policy_that_cannot_be_used(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SelfhealError, match=words):
        effective("apps", {**HOSTVARS, "shop": {**APPS, **changes}}, GROUPS)


@pytest.mark.parametrize(
    ("layer", "given", "words"),
    [
        ("apps", {"agent": "/usr/sbin/fence_ipmilan"}, "for the machines of a cluster"),
        ("workers", "fence_ipmilan", "a fence agent, such as"),
        ("workers", {"folder": "/etc"}, "agent is missing"),
        ("workers", {"agent": "fence_ipmilan"}, "an absolute path"),
        ("workers", {"agent": "/x", "when_of": True}, "Did you mean when_off"),
        ("workers", {"agent": "/x", "when_off": "yes"}, "true, false"),
        ("workers", {"agent": "/x", "silent_seconds": -1}, "silent_seconds"),
        ("workers", {"agent": "/x", "boot_seconds": 0}, "boot_seconds"),
    ],
)
def test_power_that_cannot_be_used(layer: str, given: Any, words: str) -> None:
    values = {
        name: {**own, "selfheal_power": given} for name, own in (("shop", APPS), ("kw1", WORKERS), ("kw2", WORKERS))
    }
    with pytest.raises(SelfhealError, match=words):
        effective(layer, {**HOSTVARS, **values}, GROUPS)


@pytest.mark.parametrize(
    ("kw1", "kw2", "words"),
    [
        ("kw2", None, "selfheal_object of kw1 and of kw2 is kw2"),
        ("a", "a", "selfheal_object of kw1 and of kw2 is a"),
        ("kw2", "kw1", ""),
    ],
)
def test_two_hosts_of_a_layer_are_never_one_thing_of_the_cluster(kw1: Any, kw2: Any, words: str) -> None:
    """A line copied and forgotten: one node would be drained, and another machine rebooted with all of its pods."""
    names = {"kw1": kw1, "kw2": kw2}
    values = {name: {**WORKERS, **({"selfheal_object": own} if own else {})} for name, own in names.items()}
    if not words:
        assert effective("workers", {**HOSTVARS, **values}, GROUPS)["objects"] == names
        return
    with pytest.raises(SelfhealError, match=words):
        effective("workers", {**HOSTVARS, **values}, GROUPS)


def test_the_names_in_the_cluster() -> None:
    assert effective("apps", HOSTVARS, GROUPS)["objects"] == {"shop": "ei-deployment"}
    assert effective("workers", HOSTVARS, GROUPS)["objects"] == {"kw1": "kw1", "kw2": "kw2"}
