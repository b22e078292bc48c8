# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Plans about workloads and nodes of Kubernetes: input, expected plan, and the reason in one line."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_hold import read_hold
from ansible_collections.selfheal.cluster.plugins.module_utils._planner import plan
from ansible_collections.selfheal.cluster.plugins.module_utils._policy import effective
from tests.unit.kubernetes.objects import autoscaler, pod
from tests.unit.kubernetes.test_rungs import FAILED, LOOP, PULL, SETTLED, view
from tests.unit.planner import farm

GROUPS = {"all": ["monitor", "shop", "kw1", "kw2"], "apps": ["shop"], "workers": ["kw1", "kw2"]}
APPS = {
    "selfheal_strategy": "kubernetes_workload", "selfheal_mode": "act", "selfheal_namespace": "ei",
    "selfheal_object": "ei-deployment",
}  # fmt: skip
WORKERS = {
    "selfheal_strategy": "kubernetes_node", "selfheal_mode": "act", "selfheal_service": "kubelet.service",
    "selfheal_reboot": True,
}  # fmt: skip
HOSTVARS: dict[str, dict[str, Any]] = {"monitor": {}, "shop": APPS, "kw1": WORKERS, "kw2": WORKERS}
GOOD = view(SETTLED, [pod("a", 2), pod("b", 2)], available=2)


def machine(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "ready": True, "cordoned": False, "human_cordon": False, "hold": None, "pods": ["ei/a"],
            "refusals": [], **changes}  # fmt: skip


def decide(
    node: str | None = "shop", workload: Any = GOOD, ill: str = "service", kw1: Any = None, kw2: Any = None, **more: Any
) -> dict[str, Any]:
    policies = {layer: effective(layer, HOSTVARS, GROUPS) for layer in ("apps", "workers")}
    seen, past = farm.snapshot(), farm.history()
    target = node or "shop"
    seen.update(node=node, reason=more.pop("reason", ""), layers={"apps": ["shop"], "workers": ["kw1", "kw2"]})
    seen["verdicts"] = {name: farm.verdict(name, "ok") for name in ("shop", "kw1", "kw2")}
    seen["verdicts"][target] = farm.verdict(target, ill)
    seen["hosts"] = {name: farm.host(name) for name in ("shop", "kw1", "kw2")}
    seen["kubernetes"] = {
        "reachable": True, "reason": "", "error": "",
        "workloads": {"shop": {"hold": None, **workload}},
        "nodes": {"kw1": kw1 or machine("kw1"), "kw2": kw2 or machine("kw2")},
        **more.pop("cluster", {}),
    }  # fmt: skip
    past.update(more.pop("history", {}))
    assert not more
    return plan(seen, policies, past, farm.NOW)


def reasons(found: dict[str, Any]) -> list[str]:
    return [item["reason"] for item in found["refusals"]]


def attempt(rung: str, number: int = 1, outcome: str = "left_out", **more: Any) -> dict[str, Any]:
    return {"node": "shop", "layer": "apps", "incident": "i1", "attempt": number, "at": farm.NOW - 5000 + number,
            "ended_at": farm.NOW - 4000 + number, "outcome": outcome, "rung": rung, "epoch": number, "phase": "verify",
            "phase_at": farm.NOW - 4000, "acknowledged": False, **more}  # fmt: skip


OPEN = [{"id": "i1", "node": "shop", "layer": "apps", "state": "open", "outcome": None, "approved": 0}]


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


@pytest.mark.parametrize(
    ("given", "expected", "words"),
    [
        ({"cluster": {"reachable": False, "error": "https://x gives no answer"}}, "api_unreachable", "gives no answer"),
        ({"workload": {"error": "forbidden", "reason": "not_authorized"}}, "api_unreachable", "forbidden"),
        ({"workload": {"error": "not found", "reason": "not_found"}}, "no_workload", "not found"),
        ({"workload": {**GOOD, "hold": read_hold({"selfheal.cluster/hold": "{"}, 1)}}, "human_hold", "unknown"),
        ({"workload": view(SETTLED, [pod("a", 2)], updatedReplicas=1)}, "rollout_running", ""),
        ({"workload": view(None, [pod("a", 2)], updatedReplicas=1)}, "rollout_running", "under way"),
        ({"workload": view(SETTLED, [pod("a", 2), pod("b", 2)], scaler=[autoscaler(400)], available=2)}, "layer_load",
         "at its maximum of 6"),
        ({"ill": "ok"}, "not_ill", ""),
        ({"history": {"incidents": OPEN, "attempts": [attempt("undo"), attempt("evict", 2), attempt("rollout", 3)]}},
         "attempts_exhausted", "3 attempts"),
    ],
)  # fmt: skip
def test_a_workload_is_refused(given: dict[str, Any], expected: str, words: str) -> None:
    found = decide(**given)
    if expected == "rollout_running" and not words:
        assert found["admitted"], "a roll-out that was complete once is none that is under way"
        return
    assert not found["admitted"]
    assert expected in reasons(found), found["refusals"]
    assert words in found["refusals"][0]["detail"]


def test_a_budget_that_lets_no_pod_go_is_a_refusal() -> None:
    loop = view(SETTLED, [pod("n", 2, containers=[LOOP])])
    told = {"name": "pdb", "allowed": 0, "wanted": 2, "expected": 2, "unhealthy_policy": "IfHealthyBudget"}
    found = decide(workload={**loop, "budgets": [told]})
    assert reasons(found) == ["budget"]
    ill = {**loop, "pods": [{**loop["pods"][0], "ready": False}]}
    assert decide(workload={**ill, "budgets": [{**told, "unhealthy_policy": "AlwaysAllow"}]})["admitted"]


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
    ("given", "expected"),
    [
        ({"kw1": machine("kw1", cordoned=True, human_cordon=True)}, ["human_hold"]),
        ({"kw2": machine("kw2", ready=False)}, ["last_member"]),
        ({"kw2": machine("kw2", cordoned=True)}, ["last_member"]),
        ({"kw1": machine("kw1", refusals=[{"reason": "no_place", "detail": "d"}])}, ["no_place"]),
        ({"kw1": machine("kw1", refusals=[{"reason": "bare_pod", "detail": "d"}])}, ["no_place"]),
        ({"kw1": machine("kw1", refusals=[{"reason": "budget", "detail": "d"}])}, ["budget"]),
        ({"kw1": machine("kw1", ready=False, refusals=[{"reason": "no_place", "detail": "d"}])}, []),
        ({"kw1": machine("kw1", ready=False), "kw2": machine("kw2", ready=False)}, []),
        ({"cluster": {"reachable": False, "error": "no answer"}}, ["api_unreachable"]),
    ],
)
def test_a_node_of_the_cluster_is_refused(given: dict[str, Any], expected: list[str]) -> None:
    assert reasons(decide(node="kw1", **given)) == expected


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


def test_the_names_in_the_cluster() -> None:
    assert effective("apps", HOSTVARS, GROUPS)["objects"] == {"shop": "ei-deployment"}
    assert effective("workers", HOSTVARS, GROUPS)["objects"] == {"kw1": "kw1", "kw2": "kw2"}
