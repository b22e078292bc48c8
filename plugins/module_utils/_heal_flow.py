# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What every heal does, whatever its strategy: admission, leases between the phases, the end. Pure functions.

``advance`` is the one entrance. It takes the state, the step that has just been played, and what the hosts answered,
and gives back the next state. Nothing here talks to anybody.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Dict, List, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils import _felt, _heal_kubernetes, _heal_pair, _heal_pool
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_again import levels
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_state import (
    Results,
    State,
    because,
    compose,
    go_back,
    problem,
    settle,
    step_of,
    take_part,
    verdict,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived_proof import UNIT as KEEPALIVED

STRATEGIES: Dict[str, ModuleType] = {
    "lb_detach": _heal_pool,
    "keepalived_failover": _heal_pair,
    "kubernetes_workload": _heal_kubernetes,
    "kubernetes_node": _heal_kubernetes,
}
STEPS = ("plan", "shift", "drain", "restart", "verify", "look", "pay", "readmit", "soak", "again", "undo", "release")

# The play whose hosts a step waits for: no hosts, nothing to judge, the state passes through.
_PLAY_OF = {"drain": "drain", "restart": "restart"}

PHASES = ("confirm", "shift", "evidence", "restart", "verify", "readmit", "soak")
_FROM_PLAN = (
    "node",
    "layer",
    "incident",
    "attempt",
    "epoch",
    "strategy",
    "min_up",
    "deadlines",
    "balancers",
    "peer",
    "dead",
    "leftover",
)
_FROM_POLICY = (
    "kind",
    "service",
    "port",
    "health_path",
    "health_scheme",
    "health_addresses",
    "vip",
    "instance",
    "preferred",
    "home",
    "config_test",
    "config_files",
    "reboot",
    "limits",
    "gauges",
    "namespace",
    "kubeconfig",
    "context",
    "objects",
    "power",
)


def advance(state: Mapping[str, Any], step: str, seen: Mapping[str, Results], now: float) -> State:
    """The state after this step."""
    if step not in STEPS:
        raise SelfhealError("bad_step", "no step {!r} in a heal; known: {}".format(step, ", ".join(STEPS)))
    fresh = step_of(dict(state))
    if step == "plan":
        _after_plan(fresh, seen, now)
    elif fresh["status"] != "acting":
        return dict(state)  # checked only, or over
    elif step == "release":
        _after_release(fresh, seen, now)
    elif not fresh["hosts_before"].get(_PLAY_OF.get(step, step)):
        return dict(state)  # this play had no hosts: whatever was decided before still holds
    else:
        _felt.note(fresh, seen, now)
        _lease_word(fresh, step, seen)
        getattr(STRATEGIES[fresh["strategy"]], "after_" + step)(fresh, seen, now)
        if step == "drain":
            _may_restart(fresh, seen, now)
            # What was taken is kept: where nothing is restarted a person needs it most. A way back waits for nothing.
            take_part(fresh, "store", [] if fresh["hosts"]["undo"] else [fresh["journal_host"]])
    fresh["felt"] = _felt.told(fresh)
    compose(fresh)
    fresh["detail"] = detail(fresh)
    return fresh


def _after_plan(state: State, seen: Mapping[str, Results], now: float) -> None:
    plan = dict(seen["plan"].get("localhost") or {})
    what = verdict(plan)
    if what != "ok":
        state["status"], state["outcome"] = "refused", "refused"
        reason = (
            str(plan.get("reason") or "no_journal") if what != "failed" else str(plan.get("reason") or "plan_failed")
        )
        state["refusals"] = [{"reason": reason, "detail": because("plan", plan)}]
        return
    state["candidates"] = plan.get("candidates") or []
    state["summary"] = str(plan.get("summary") or "")
    state["would"] = plan.get("would") or []
    state.pop("ask", None)
    state["decision_id"] = plan.get("decision_id")
    policy = plan.get("policy") or {}
    state.update({key: plan[key] for key in _FROM_PLAN if plan.get(key) is not None})
    state.update({key: policy.get(key) for key in _FROM_POLICY})
    state["refusals"] = plan.get("refusals") or []
    if not plan.get("admitted"):
        state["status"], state["outcome"] = "refused", "refused"
        return
    if state["strategy"] not in STRATEGIES:
        raise SelfhealError("policy", "no strategy {!r}; known: {}".format(state["strategy"], ", ".join(STRATEGIES)))
    member = (seen.get("members") or {}).get(state["node"]) or {}
    state["address"] = member.get("address", "")
    state["peers"] = [seen["members"][host]["address"] for host in state["balancers"] if host in seen["members"]]
    state["forbidden_machine_ids"] = plan.get("machine_ids") or []
    # A hold lasts until all phases could have ended; a run that is still alive at its end is none any more.
    state["hold_seconds"] = sum(state["deadlines"].values()) + 60
    rung = plan.get("restart") or {}
    state["since_epoch"] = int((plan.get("resume") or {}).get("since_epoch") or state["epoch"])
    state["restarted_before"] = bool(plan.get("unproven"))
    state["restart_kind"] = str(rung.get("kind") or "service")
    state["give_back"] = bool(rung.get("give_back"))
    state["pods"], state["revision"] = rung.get("pods") or [], int(rung.get("revision") or 0)
    state["judged"] = int(rung.get("judged") or 0)
    state["relief"], state["partitions"] = rung.get("relief") or [], rung.get("partitions") or []
    # A dead keepalived is started besides, or alone; then the service is left running.
    state["restart_service"] = "" if rung.get("service") == KEEPALIVED else state["service"]
    said = ((seen.get("nagios") or {}).get(state["journal_host"]) or {}).get("verdicts") or {}
    state["levels"] = levels(said.get(state["node"]) or {}, policy.get("gauges"))
    state["planned"] = list(plan.get("phases") or PHASES)
    state["drain_seconds"] = state["limits"]["drain_seconds"]
    if plan.get("check_mode"):
        state["status"] = "checked"
        return
    state["status"] = "acting"
    # Nobody counts for Kubernetes: there is no balancer of ours before it. Nagios looks at what runs there.
    state["looked_at"] = {"workload": [state["node"]], "machine": state["looked_at"]}.get(state["kind"], [])
    serving = [state["node"], state["peer"]] if state["kind"] == "pair" else state["balancers"]
    skipped = list(plan.get("skipped_balancers") or [])
    _felt.begin(state, seen.get("balancers") or {}, [*serving, *skipped], now)
    for host in skipped:
        problem(state, f"balancer {host} is proven down: it is owed this hold when it comes back")
    if plan.get("resume"):
        state["said"] = "goes on with an interrupted heal"
    STRATEGIES[state["strategy"]].begin(state, seen, now)


def _lease_word(state: State, step: str, seen: Mapping[str, Results]) -> None:
    """A lease that could not be extended after the restart never stops the way back into traffic."""
    result = (seen.get("lease") or {}).get(state.get("journal_host", ""))
    if not result or step == "drain":
        return  # before the restart it decides; see _may_restart
    if verdict(result) not in ("ok", "absent"):
        problem(state, "the lease was not extended: " + because(state["journal_host"], result))
    elif result.get("held") is False:
        problem(state, "the lease is not held any more; the targets' epochs decide who may act")


def _may_restart(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Invariant 4: pause, abort and storm are looked at once more, and the journal must answer, before a restart."""
    if not state["hosts"]["restart"]:
        return
    result: Dict[str, Any] = dict((seen.get("lease") or {}).get(state["journal_host"]) or {})
    stop = ""
    if verdict(result) != "ok":
        stop = because(state["journal_host"], result)
    elif result.get("stop"):
        stop = str(result["stop"])
    elif result.get("held") is False:
        stop = "the lease is not held any more"
    if stop and state["restart_kind"] == "power" and state["restarted_before"]:
        # A run before this one may have taken the power. To give it back is no new heal, and nothing stops it.
        state["give_back"] = True
        problem(state, "power is only given back: " + stop)
        return
    if stop:
        back: List[str] = list(state["done"]["shift"])
        fresh = step_of(state)
        fresh["hosts_before"] = state["hosts_before"]
        state.update(fresh)
        problem(state, "stopped before the restart: " + stop)
        state["said"] = "stopped before the restart: " + stop
        go_back(state, back, now)


def detail(state: State) -> Dict[str, Any]:
    """What the journal keeps of a heal besides its outcome."""
    keys = (
        "phases",
        "problems",
        "traffic_safe_at",
        "restored_at",
        "home_at",
        "unverified",
        "started_at",
        "restart",
        "felt",
        "read_again",
    )
    return {key: state.get(key) for key in keys}


def _after_release(state: State, seen: Mapping[str, Results], now: float) -> None:
    if not state["outcome"]:
        settle(state, "failed", now)
        problem(state, "the heal ended without an outcome: look at its holds with selfheal status")
    state["status"] = state["outcome"]
    result = (seen.get("release") or {}).get(state.get("journal_host", ""))
    state["looks"] = (result or {}).get("looks")
    if verdict(result) not in ("ok", "absent"):
        problem(state, "the outcome is not in the journal: " + because(state["journal_host"], result))
    state["ended_at"] = now
