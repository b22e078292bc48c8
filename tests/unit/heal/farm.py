# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A small farm for tests of the flow: states and answers with the few keys that decide."""

from __future__ import annotations

from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_flow as flow
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_state import new_state

OK: dict[str, Any] = {"changed": True}
LOST: dict[str, Any] = {"unreachable": True, "msg": "no route"}
NOW = 1000.0
LIMITS = {
    "drain_seconds": 15,
    "evidence_seconds": 5,
    "restart_seconds": 60,
    "verify_seconds": 60,
    "readmit_seconds": 30,
    "soak_seconds": 10,
    "witness_age_seconds": 30,
}
DEADLINES = dict.fromkeys(flow.PHASES, 10)
HELD = {"lease": {"monitor": {"held": True, "stop": ""}}}


def refused(reason: str) -> dict[str, Any]:
    return {"failed": True, "reason": reason, "msg": f"refused: {reason}"}


def failed(text: str = "broken") -> dict[str, Any]:
    return {"failed": True, "msg": text}


def begun() -> dict[str, Any]:
    state = new_state(NOW - 2, "ei1", "", "")
    state.update(
        journal_host="monitor", balancing=["lb1", "lb2"], watched={"balancers": ["lb1", "lb2"], "pairs": ["lb1", "lb2"]}
    )
    return state


def plan_of(**changes: Any) -> dict[str, Any]:
    policy = {
        "kind": "pool", "service": "ei.service", "port": 8280, "health_path": "/health", "limits": LIMITS,
        "config_test": [], "instance": "VI", "vip": "10.0.0.100", "preferred": "lb1", "home": "now",
    }  # fmt: skip
    plan = {
        "admitted": True, "node": "ei1", "layer": "ei", "incident": "i1", "attempt": 1, "epoch": 7, "min_up": 2,
        "strategy": "lb_detach", "policy": policy, "balancers": ["lb1", "lb2"], "deadlines": DEADLINES, "refusals": [],
        "peer": "", "restart": {"kind": "service"}, "phases": list(flow.PHASES),
    }  # fmt: skip
    plan.update(changes)
    return plan


ADDRESSES = {"ei1": {"address": "10.0.0.21"}, "lb1": {"address": "10.0.0.11"}, "lb2": {"address": "10.0.0.12"}}


def pool_heal(**changes: Any) -> dict[str, Any]:
    """A heal of ei1 that has been admitted."""
    return flow.advance(begun(), "plan", {"plan": {"localhost": plan_of(**changes)}, "members": ADDRESSES}, NOW)


def instance(state: str, address: bool, **more: Any) -> dict[str, Any]:
    return {"keepalived": {"running": True, "instances": [
        {"instance": "VI", "state": state, "address_present": address, "adverts_heard": True, **more}]}}  # fmt: skip


def pair_heal(seen: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A heal of lb1 that has been admitted; it has the address unless ``seen`` says otherwise."""
    state = begun()
    state["node"] = "lb1"
    policy = {**plan_of()["policy"], "kind": "pair", "service": "haproxy.service", **changes.pop("policy", {})}
    plan = plan_of(
        **{"node": "lb1", "layer": "extlb", "strategy": "keepalived_failover", "peer": "lb2", "balancers": [],
           "policy": policy, **changes}
    )  # fmt: skip
    keepalived = seen or {"lb1": instance("MASTER", True), "lb2": instance("BACKUP", False)}
    return flow.advance(
        state, "plan", {"plan": {"localhost": plan}, "members": ADDRESSES, "keepalived": keepalived}, NOW
    )


def play(state: dict[str, Any], step: str, answers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One step, a second later."""
    seen = {**HELD, step: answers, **more}
    return flow.advance(state, step, seen, NOW + 1 + len(state["phases"]))


def acting(state: dict[str, Any]) -> dict[str, list[str]]:
    """Who takes part in what next; that evidence is kept, on the journal's host, changes nothing of any node."""
    return {name: hosts for name, hosts in state["hosts"].items() if hosts and name != "store"}
