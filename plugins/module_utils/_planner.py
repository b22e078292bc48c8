# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The decision: ``plan(snapshot, policy, history, now)``. Pure: no clock, no I/O, no chance.

The same input gives the same plan, so that every decision in the journal can be replayed (invariant 14).
All refusals are collected, not only the first. ``docs/decisions.md`` is the description for people.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils import _planner_gates as gates
from ansible_collections.selfheal.cluster.plugins.module_utils import (
    _planner_kubernetes,
    _planner_pair,
    _planner_pool,
    _planner_relief,
    _planner_storm,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived_proof import UNIT as KEEPALIVED
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_case import Case, names
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_reasons import ORDER, REASONS
from ansible_collections.selfheal.cluster.plugins.module_utils._sequences import (
    AFTER_RESTART,
    PHASES,
    RETURN_ONLY,
    SHIFT_ONLY,
    deadlines,
    steps,
)

__all__ = ["REASONS", "plan", "refused"]

NODE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
# What may not stop an interrupted heal from giving the node back: giving back is no new heal.
LIFTED_FOR_RETURN = frozenset({
    "not_ill", "suspect_only", "unknown_reading", "layer_load", "stale_alert", "nagios_stale", "storm", "paused",
    "aborted", "blocked_node", "blocked_layer", "attempts_exhausted", "flapping", "wrong_kind",
})  # fmt: skip
NEVER_RESTARTED = ("storage", "connectivity")
CHECKS: Dict[str, Callable[[Case], Dict[str, Any]]] = {
    "pool": _planner_pool.check,
    "pair": _planner_pair.check,
    "workload": _planner_kubernetes.workload,
    "machine": _planner_kubernetes.machine,
}
KIND_WEIGHT = {"service": 3, "resource": 2, "connectivity": 1}

Plan = Dict[str, Any]


def plan(snapshot: Mapping[str, Any], policy: Mapping[str, Any], history: Mapping[str, Any], now: float) -> Plan:
    """``policy`` is the effective policy of every layer by name, or of one layer alone."""
    policies = {policy["layer"]: policy} if "strategy" in policy else policy
    causes = _planner_storm.fold(snapshot, policies, history, now)
    node = snapshot.get("node")
    if node is None:
        return _most_urgent(snapshot, policies, history, now, causes)
    refusal = _target(node, snapshot, policies)
    if refusal:
        return _finish(_empty(str(node)), [refusal])
    return _judge(str(node), snapshot, policies, history, now, causes)


def _target(
    node: Any, snapshot: Mapping[str, Any], policies: Mapping[str, Mapping[str, Any]]
) -> Optional[Dict[str, str]]:
    """Invariant 13: an empty or ambiguous target is refused."""
    if not isinstance(node, str) or not NODE_NAME.fullmatch(node):
        return {"reason": "unknown_node", "detail": "the target %r is not the name of one node" % (node,)}
    if node in policies:
        return {"reason": "unknown_node", "detail": "%s is a layer; name one node of it: %s"
                % (node, names(policies[node]["nodes"]))}  # fmt: skip
    if any(node in policy["nodes"] for policy in policies.values()):
        return None
    if node in (snapshot.get("controller") or {}).get("host", ()):
        return {"reason": "own_host", "detail": "%s is the machine of the controller, the journal or Nagios" % node}
    if node in (snapshot.get("hosts") or {}) or node in (snapshot.get("verdicts") or {}):
        return {"reason": "no_layer", "detail": "%s is in no group with selfheal_strategy" % node}
    known = sorted(name for policy in policies.values() for name in policy["nodes"])
    return {"reason": "unknown_node", "detail": "%s is no node of any layer; known are %s" % (node, names(known))}


def _judge(
    node: str,
    snapshot: Mapping[str, Any],
    policies: Mapping[str, Mapping[str, Any]],
    history: Mapping[str, Any],
    now: float,
    causes: Mapping[str, str],
) -> Plan:
    layer = next(name for name, policy in policies.items() if node in policy["nodes"])
    case = Case(node, layer, snapshot, policies, history, now)
    gates.world(case)
    gates.illness(case, causes.get(node, ""))
    gates.people(case)
    gates.attempts(case)
    _planner_storm.check(case, causes)
    pool = case.policy["kind"] == "pool"
    shape = CHECKS[case.policy["kind"]](case)
    phases, restart = _planner_kubernetes.remedy(case) if case.policy["kind"] == "workload" else _remedy(case)
    wanted = [{"resource": "node:" + node, "mode": "exclusive"}] + shape["leases"]
    domain = case.policy.get("domains", {}).get(node)
    if domain:
        wanted.append({"resource": "domain:" + domain, "mode": "exclusive"})
    leases = gates.leases(case, wanted, shape["slots"])
    phases, restart = _give_back(case, phases, restart)
    if pool and "restart" in phases:
        _planner_pool.connections(case, shape["balancers"])
    result = _empty(node)
    result.update(
        layer=layer,
        strategy=case.policy["strategy"],
        kind=case.policy["kind"],
        verdict=case.verdict.get("verdict"),
        illness=case.verdict.get("kind"),
        reasons=list(case.verdict.get("reasons") or ()),
        urgency=_urgency(case),
        phases=list(phases),
        restart=restart,
        ends="left_out" if tuple(phases) == SHIFT_ONLY else "healed",
        incident=case.incident["id"] if case.incident else None,
        resume=_resume(case),
        unproven=_unproven(case),
        min_up=shape["min_up"],
        survivors=shape["survivors"],
        balancers=shape["balancers"],
        skipped_balancers=shape["skipped_balancers"],
        peer=shape["peer"],
        holder=shape["holder"],
        moves=shape["moves"],
        dead=case.dead,
        leftover=case.leftover,
        preferred=case.policy.get("preferred") or None,
        leases=leases,
        deadlines=deadlines(case.limits, restarts=2 if case.dead and restart.get("service") != KEEPALIVED else 1),
        limits=dict(case.limits),
        closes=sorted(case.returned - case.own_incidents),
        notes=list(case.notes),
    )
    if restart["kind"] == _planner_kubernetes.POWER:  # a machine has to boot before it can be proven
        result["deadlines"]["verify"] += int(-(-case.policy["power"]["boot_seconds"] // 1))
    result["would"] = _would(case, result)
    return _finish(result, case.refusals)


def _remedy(case: Case) -> Tuple[Tuple[str, ...], Dict[str, Any]]:
    """The kind of illness chooses the rung: resources and services are restarted, disks and cables are not.

    A full disk of a pool's member is relieved where the policy says how; that of a pair's node by a person alone.
    """
    kind = case.verdict.get("kind")
    none = {"kind": "none", "service": ""}
    faulty = case.verdict.get("verdict") == "faulty"
    own = (case.snapshot.get("pair") or {}).get(case.node, {})
    # A node that SSH reaches but that is too ill to answer in time can be restarted all the same.
    silent = case.policy["kind"] == "pair" and not own.get("reachable") and own.get("ssh") is not True
    if faulty and kind == "storage":
        relief = _planner_relief.choose(case)
        return (PHASES, relief) if relief else (SHIFT_ONLY, none)
    powered = _planner_kubernetes.power(case)
    if powered:
        return PHASES, powered
    if silent or (faulty and kind == "connectivity"):
        what = "%s cannot be reached" % case.node
        if case.serves:
            case.notes.append("%s: its traffic is shifted and a person is called; nothing is restarted" % what)
        elif case.returns:
            case.notes.append("%s: the address is kept away from it until it is proven, and a person is called" % what)
        else:
            case.refuse("wrong_kind", "%s and carries no traffic: there is nothing to shift; "
                        "look at its network and power" % what)  # fmt: skip
        return SHIFT_ONLY, none
    service, reboot = case.policy["service"], case.policy["reboot"]
    if case.dead and (not service or _planner_pair.only_daemon(case)):
        service = KEEPALIVED
    own = case.incident["id"] if case.incident else None
    tried = [item for item in case.attempts if own and item.get("incident") == own and not item.get("acknowledged")]
    failed = {item.get("rung") for item in tried if item.get("outcome") in ("failed", "left_out")}
    if "reboot" in failed or any(item.get("rung") == "reboot" and item.get("phase") in AFTER_RESTART for item in tried):
        case.refuse("attempts_exhausted", "%s was rebooted in incident %s already; never twice"
                    % (case.node, own))  # fmt: skip
    if reboot and (not service or "service" in failed):
        return PHASES, {"kind": "reboot", "service": service}
    if not service:
        case.refuse("not_restartable", "layer %s has no selfheal_service and selfheal_reboot is false" % case.layer)
    return PHASES, {"kind": "service", "service": service}


def _give_back(case: Case, phases: Tuple[str, ...], restart: Dict[str, Any]) -> Tuple[Tuple[str, ...], Dict[str, Any]]:
    """An interrupted heal, or one whose node recovered while held, is rolled forward to its return.

    A heal that has not restarted yet goes back under storm, pause and abort (invariant 4); one whose restart
    is over is not restarted again on readings from before (invariant 12).
    """
    verdict = case.verdict.get("verdict")
    if not case.out or not (case.resume or verdict in ("ok", "suspect")):
        return phases, restart
    held_back = [item for item in case.refusals if item["reason"] not in LIFTED_FOR_RETURN]
    lifted = [item for item in case.refusals if item["reason"] in LIFTED_FOR_RETURN]
    after = bool(case.resume) and (case.resume or {}).get("phase") in AFTER_RESTART
    reading, since = case.newest_reading(), (case.resume or {}).get("phase_at")
    old = after and (reading is None or since is None or reading <= since)
    if held_back or not (lifted or old):
        return phases, restart
    for item in lifted:
        case.notes.append("not restarted, only given back: %s" % item["detail"])
    case.refusals[:] = held_back
    if _planner_kubernetes.switching(case):
        return PHASES, _planner_kubernetes.power_back(case)
    return RETURN_ONLY, {"kind": "none", "service": restart.get("service", "")}


def _resume(case: Case) -> Optional[Dict[str, Any]]:
    if not case.resume:
        return None
    kept = {key: case.resume.get(key) for key in ("incident", "attempt", "epoch", "phase", "rung")}
    return {**kept, "since_epoch": case.rolled_forward_since()}


def _unproven(case: Case) -> bool:
    """Is it out of traffic, and may an attempt of its incident have restarted it? Then nobody gives it back unverified.

    Not only the last attempt counts: one that left it out, or that died in its restart, may have others behind it.
    """
    return bool(case.out or case.resume) and any(
        item.get("phase") in ("restart", *AFTER_RESTART) or item.get("outcome") in ("failed", "left_out", "ambiguous")
        for item in case.attempts
        if item.get("incident") in case.own_incidents
    )


def _urgency(case: Case) -> int:
    """Interrupted heals first, then nodes that clients reach (an active node before a member), then the rest."""
    score = 0
    if case.resume or case.out:
        score += 1000
    if case.serves:
        score += 200 if case.policy["kind"] == "pair" else 100
    if case.verdict.get("verdict") == "faulty":
        score += 10
    return score + KIND_WEIGHT.get(str(case.verdict.get("kind")), 0)


def _most_urgent(
    snapshot: Mapping[str, Any],
    policies: Mapping[str, Mapping[str, Any]],
    history: Mapping[str, Any],
    now: float,
    causes: Mapping[str, str],
) -> Plan:
    if snapshot.get("reason") == "drill":
        return _finish(_empty(None), [{"reason": "unknown_node", "detail": "a drill needs a node by name"}])
    judged = []
    for policy in policies.values():
        for node in policy["nodes"]:
            result = _judge(node, snapshot, policies, history, now, causes)
            if result["verdict"] == "faulty" or (result["urgency"] >= 1000 and result["incident"]):
                judged.append(result)
    since = snapshot.get("since") or {}
    judged.sort(key=lambda item: (not item["admitted"], -item["urgency"], since.get(item["node"]) or 0, item["node"]))
    if not judged:
        nothing = _empty(None)
        nagios = snapshot.get("nagios") or {}
        if not nagios.get("fresh"):
            detail = "%s: %s" % (nagios.get("reason") or "unreachable", nagios.get("message") or "no answer")
            return _finish(nothing, [{"reason": "nagios_stale", "detail": detail}])
        return _finish(nothing, [{"reason": "not_ill", "detail": "no node of any layer is faulty"}])
    chosen = judged[0]
    chosen["candidates"] = [
        {
            "node": item["node"], "urgency": item["urgency"], "verdict": item["verdict"],
            "admitted": item["admitted"], "reasons": sorted({refusal["reason"] for refusal in item["refusals"]}),
        }
        for item in judged
    ]  # fmt: skip
    return chosen


def _would(case: Case, result: Mapping[str, Any]) -> List[str]:
    restart = result["restart"]
    words = {
        "node": case.node,
        "balancers": names(result["balancers"]) or "no balancer",
        "restart": "reboot %s" % case.node if restart["kind"] == "reboot"
        else _planner_relief.words(restart, case.node) if restart["kind"] == "relief"
        else _planner_kubernetes.words(restart) if restart["kind"] in _planner_kubernetes.HOW
        else "restart %s on %s" % (_units(result), case.node),
        "move": "move %s from %s to %s" % (case.policy["vip"], case.node, result["peer"]) if result["moves"]
        else "keep %s on %s" % (case.policy["vip"], result["peer"]) + (
            " and take it off %s, whose dead keepalived left it behind" % case.node if case.leftover else ""),
        "home": "let %s go home to %s" % (case.policy["vip"], case.policy.get("preferred") or "nobody")
        if case.policy.get("home") == "now" and case.policy.get("preferred")
        else "leave %s where it is" % case.policy["vip"],
    }  # fmt: skip
    return [
        "%s: %s" % (step.phase, step.says.format(**words)) for step in steps(case.policy["strategy"], result["phases"])
    ]


def _units(result: Mapping[str, Any]) -> str:
    """What is restarted: the service, or a keepalived that is dead, or both."""
    also = [KEEPALIVED] if result["dead"] else []
    return " and ".join(dict.fromkeys([result["restart"]["service"], *also]))


def _empty(node: Optional[str]) -> Plan:
    return {
        "admitted": False, "node": node, "layer": None, "strategy": None, "kind": None, "verdict": None,
        "illness": None, "reasons": [], "urgency": 0, "phases": [], "restart": {"kind": "none", "service": ""},
        "ends": "", "incident": None, "resume": None, "unproven": False, "min_up": -1, "survivors": {}, "balancers": [],
        "skipped_balancers": [], "peer": None, "holder": None, "moves": False, "dead": False, "leftover": False,
        "preferred": None, "leases": [], "deadlines": {}, "limits": {},
        "closes": [], "notes": [], "would": [], "refusals": [], "candidates": [],
        "summary": "",
    }  # fmt: skip


def _finish(result: Plan, refusals: List[Dict[str, str]]) -> Plan:
    seen = set()
    unique = []
    for item in sorted(refusals, key=lambda item: ORDER[item["reason"]]):  # stable: the checks tell details in order
        if (item["reason"], item["detail"]) not in seen:
            seen.add((item["reason"], item["detail"]))
            unique.append(item)
    result["refusals"] = unique
    result["admitted"] = not unique and bool(result["node"])
    result["summary"] = _summary(result)
    return result


def refused(result: Plan, reason: str, detail: str) -> Plan:
    """The same plan with one more reason against it, for what only the caller can know."""
    return _finish(dict(result), [*result["refusals"], {"reason": reason, "detail": detail}])


def _summary(result: Plan) -> str:
    if not result["admitted"]:
        first = result["refusals"][0]
        more = len({item["reason"] for item in result["refusals"]} - {first["reason"]})
        tail = " (and %d more reason%s)" % (more, "" if more == 1 else "s") if more else ""
        who = "%s is not healed" % result["node"] if result["node"] else "nothing is healed"
        return "%s: %s: %s%s" % (who, REASONS[first["reason"]].rstrip("."), first["detail"], tail)
    if result["kind"] == "pool":
        where = "on %s" % names(result["balancers"])
        how = ("back in " if tuple(result["phases"]) == RETURN_ONLY else "out ") + where
    elif result["kind"] == "machine":
        how = "uncordoned" if tuple(result["phases"]) == RETURN_ONLY else "cordoned and drained"
    elif result["kind"] == "workload":
        how = "evidence first"
    else:
        how = "address %s %s" % ("to" if result["moves"] else "stays on", result["peer"])
    rung = result["restart"]
    what = (
        _planner_kubernetes.words(rung)
        if rung["kind"] in _planner_kubernetes.HOW
        else {"service": "restart %s" % _units(result), "reboot": "reboot it", "none": "no restart",
              "relief": _planner_relief.words(rung, result["node"])}[rung["kind"]]
    )  # fmt: skip
    back = tuple(result["phases"]) == RETURN_ONLY
    without = "interrupted" if result["resume"] else "well again" if back else "drill"
    why = "; ".join(reason.rstrip(".") for reason in result["reasons"][:2]) or without
    tail = "; then a person is called" if result["ends"] == "left_out" else ""
    return "%s %s of layer %s: %s; %s; %s%s" % (
        "give back" if back else "heal",
        result["node"], result["layer"], why, how, what, tail,
    )  # fmt: skip
