# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A workload and two workers of a cluster as the planner sees them, and every way in which a heal is refused."""

from __future__ import annotations

from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_hold import read_hold
from ansible_collections.selfheal.cluster.plugins.module_utils._policy import effective
from tests.unit.kubernetes.objects import autoscaler, pod
from tests.unit.kubernetes.test_rungs import LOOP, SETTLED, view
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
POWER = {"agent": "/usr/sbin/fence_ipmilan"}
HOSTVARS: dict[str, dict[str, Any]] = {"monitor": {}, "shop": APPS, "kw1": WORKERS, "kw2": WORKERS}
GOOD = view(SETTLED, [pod("a", 2), pod("b", 2)], available=2)


def machine(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "ready": True, "ready_status": "True", "cordoned": False, "human_cordon": False,
            "hold": None, "pods": ["ei/a"], "refusals": [], **changes}  # fmt: skip


DEAD = machine(
    "kw1", ready=False, ready_status="Unknown", since_seconds=400, refusals=[{"reason": "no_place", "detail": "d"}]
)


def world(
    node: str | None = "shop", workload: Any = GOOD, ill: str = "service", kw1: Any = None, kw2: Any = None, **more: Any
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], float]:
    """The input of the planner: a workload and two workers, one of them ill."""
    powered = {name: {**WORKERS, "selfheal_power": POWER} for name in ("kw1", "kw2")} if more.pop("power", True) else {}
    policies = {layer: effective(layer, {**HOSTVARS, **powered}, GROUPS) for layer in ("apps", "workers")}
    seen, past = farm.snapshot(), farm.history()
    target = node or "shop"
    seen.update(node=node, reason=more.pop("reason", ""), layers={"apps": ["shop"], "workers": ["kw1", "kw2"]})
    seen["verdicts"] = {name: farm.verdict(name, "ok") for name in ("shop", "kw1", "kw2")}
    seen["verdicts"][target] = farm.verdict(target, ill)
    seen["hosts"] = {name: farm.host(name) for name in ("shop", "kw1", "kw2")}
    seen["hosts"]["kw1"]["status"] = more.pop("host", "up")
    seen["kubernetes"] = {
        "reachable": True, "reason": "", "error": "",
        "workloads": {"shop": {"hold": None, **workload}},
        "nodes": {"kw1": kw1 or machine("kw1"), "kw2": kw2 or machine("kw2")},
        **more.pop("cluster", {}),
    }  # fmt: skip
    past.update(more.pop("history", {}))
    assert not more
    return seen, policies, past, farm.NOW


def attempt(rung: str, number: int = 1, outcome: str = "left_out", **more: Any) -> dict[str, Any]:
    return {"node": "shop", "layer": "apps", "incident": "i1", "attempt": number, "at": farm.NOW - 5000 + number,
            "ended_at": farm.NOW - 4000 + number, "outcome": outcome, "rung": rung, "epoch": number, "phase": "verify",
            "phase_at": farm.NOW - 4000, "acknowledged": False, **more}  # fmt: skip


OPEN = [{"id": "i1", "node": "shop", "layer": "apps", "state": "open", "outcome": None, "approved": 0}]
OF_KW1 = {"node": "kw1", "layer": "workers"}
POWERED = {"incidents": [{**OPEN[0], **OF_KW1}], "attempts": [attempt("power", **OF_KW1)]}
GONE = {"node": "kw1", "kw1": DEAD, "ill": "connectivity", "host": "down"}


LOOPING = view(SETTLED, [pod("n", 2, containers=[LOOP])])
TIGHT = {"name": "pdb", "allowed": 0, "wanted": 2, "expected": 2, "unhealthy_policy": "IfHealthyBudget"}
ROOMY = {**TIGHT, "allowed": 1, "wanted": 1}
FOREIGN = read_hold({"selfheal.cluster/hold": "{"}, 1)
SILENT = {"reachable": False, "error": "https://x gives no answer"}
#: What is decided, the reason that has to be among the refusals, and words of it.
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"cluster": SILENT}, "api_unreachable", "gives no answer"),
    ({"workload": {"error": "forbidden", "reason": "not_authorized"}}, "api_unreachable", "forbidden"),
    ({"workload": {"error": "not found", "reason": "not_found"}}, "no_workload", "not found"),
    ({"workload": {**GOOD, "hold": FOREIGN}}, "human_hold", "unknown"),
    ({"workload": {**GOOD, "rollout": {"state": "paused", "settled": True, "reason": "", "revision": 2}}},
     "human_hold", "is paused"),  # as an older version has told it
    ({"workload": {**GOOD, "rollout": {**GOOD["rollout"], "paused": True, "state": "failed"}}}, "human_hold",
     "is paused"),
    ({"workload": {**GOOD, "desired": 0}}, "human_hold", "scaled to no pod at all"),
    ({"workload": view(None, [pod("a", 2)], updatedReplicas=1)}, "rollout_running", "under way"),
    ({"workload": view(SETTLED, [pod("a", 2), pod("b", 2)], scaler=[autoscaler(400)], available=2)}, "layer_load",
     "at its maximum of 6"),
    ({"workload": {**LOOPING, "budgets": [TIGHT]}}, "budget", "budget pdb needs 2 of 2"),
    ({"workload": {**LOOPING, "budgets": [ROOMY, {**ROOMY, "name": "all"}]}}, "budget", "more than one counts"),
    ({"kw1": machine("kw1", ready=False)}, "parent_unreachable", "node kw1 of the cluster is not Ready"),
    ({"ill": "ok"}, "not_ill", ""),
    ({"history": {"incidents": OPEN, "attempts": [attempt("undo"), attempt("evict", 2), attempt("rollout", 3)]}},
     "attempts_exhausted", "3 attempts"),
    ({"node": "kw1", "kw1": machine("kw1", hold=FOREIGN)}, "human_hold", "node kw1 is held"),
    ({"node": "kw1", "kw1": machine("kw1", cordoned=True, human_cordon=True)}, "human_hold", "was cordoned"),
    ({"node": "kw1", "kw2": machine("kw2", ready=False)}, "last_member", "only 0 of 2"),
    ({"node": "kw1", "kw2": machine("kw2", cordoned=True)}, "last_member", "only 0 of 2"),
    ({"node": "kw1", "kw1": machine("kw1", refusals=[{"reason": "no_place", "detail": "d"}])}, "no_place", "d"),
    ({"node": "kw1", "kw1": machine("kw1", refusals=[{"reason": "bare_pod", "detail": "d"}])}, "no_place", "d"),
    ({"node": "kw1", "kw1": machine("kw1", refusals=[{"reason": "budget", "detail": "d"}])}, "budget", "d"),
    ({"node": "kw1", "kw1": machine("kw1", refusals=[{"reason": "two_budgets", "detail": "d"}])}, "budget", "d"),
    ({**GONE, "power": False}, "wrong_kind", "look at its network and power"),
    ({**GONE, "history": POWERED}, "attempts_exhausted", "never twice"),
    ({**GONE, "kw1": {**DEAD, "since_seconds": 200}}, "wrong_kind", "is silent for 200 s, and its power"),
    ({**GONE, "kw2": machine("kw2", ready=False)}, "last_member", "no other node of layer workers is Ready"),
    ({"node": "kw1", "cluster": SILENT}, "api_unreachable", "gives no answer"),
    ({"node": "kw1", "kw1": {"error": "no node kw1", "reason": "not_found"}}, "no_workload", "no node kw1"),
]  # fmt: skip
INPUTS = [world(**given) for given, _reason, _words in REFUSED]
