# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Kubernetes: may this workload be touched, may this node be drained, and which rung does a workload get? Pure.

The API server's own word decides (invariant 2): what the pods say, what the budgets allow, where there is room. A
workload is a node of its layer without a machine; the machines of a cluster are nodes of another layer.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils import _kubernetes_rungs as rungs
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_node import SILENT, planned
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_case import Case, names, seconds
from ansible_collections.selfheal.cluster.plugins.module_utils._sequences import (
    AFTER_RESTART,
    PHASES,
    RETURN_ONLY,
    SHIFT_ONLY,
)

#: Answers of the API server that say that the thing is not there; all others say that nobody knows.
_ABSENT = ("not_found",)
POWER = "power"
HOW = {
    POWER: "take the power of %s away and give it back",
    rungs.EVICT: "take %s away by the eviction API",
    rungs.RESTART: "restart the roll-out of %s",
    rungs.UNDO: "put revision %s of %s back",
}


def _empty_shape(slots: int) -> Dict[str, Any]:
    return {
        "balancers": [], "skipped_balancers": [], "min_up": 0, "survivors": {}, "peer": None, "holder": None,
        "moves": False, "leases": [], "slots": slots,
    }  # fmt: skip


def seen_of(case: Case, part: str) -> Mapping[str, Any]:
    """What the cluster said of this node; empty, with the refusal told, when it said nothing of use."""
    cluster = case.snapshot.get("kubernetes") or {}
    if not cluster.get("reachable"):
        case.refuse("api_unreachable", str(cluster.get("error") or "nobody asked the API server of Kubernetes"))
        return {}
    seen: Mapping[str, Any] = (cluster.get(part) or {}).get(case.node) or {}
    if not seen or seen.get("error"):
        absent = seen.get("reason") in _ABSENT
        text = str(seen.get("error") or "the API server was not asked about %s" % case.node)
        case.refuse("no_workload" if absent else "api_unreachable", text)
        return {}
    return seen


def _held(case: Case, seen: Mapping[str, Any], what: str, lapses: bool) -> None:
    """``lapses``: a hold that has run out counts for nothing. A node that somebody's heal left cordoned stays so."""
    hold = seen.get("hold")
    if not hold:
        return
    if case.own(hold):
        case.out = True
        return
    if lapses and hold.get("expired"):
        case.notes.append("%s has a hold of incident %s that has run out" % (what, hold.get("incident")))
        return
    case.refuse("human_hold", "%s is held for incident %s, which is not open for it (%s)"
                % (what, hold.get("incident"), hold.get("reason") or "no reason"))  # fmt: skip


def workload(case: Case) -> Dict[str, Any]:
    """Invariants 2, 4 and 6 for a Deployment."""
    seen = seen_of(case, "workloads")
    if not seen:
        return _empty_shape(1)
    _held(case, seen, "Deployment %s" % seen["name"], lapses=True)
    case.serves = seen["available"] > 0
    roll = seen["rollout"]
    if roll.get("paused", roll["state"] == "paused"):  # a decision of an older version tells no more than the state
        case.refuse("human_hold", "the roll-out of %s is paused: somebody works on it" % seen["name"])
    if seen["desired"] == 0:
        case.refuse("human_hold", "%s is scaled to no pod at all: somebody wants it so" % seen["name"])
    waits = rungs.under_way(seen)
    if waits and not case.out:
        case.refuse("rollout_running", waits)
    full = rungs.short_of_room(seen)
    if full and not case.drill:
        case.refuse("layer_load", full)
    for text in seen["missing"]:
        case.notes.append("not seen: %s" % text)
    return _empty_shape(case.limits["max_unavailable"])


def remedy(case: Case) -> Tuple[Tuple[str, ...], Dict[str, Any]]:
    """The rung of a workload, and its phases: without a rung only evidence is taken, and a person is called."""
    seen = ((case.snapshot.get("kubernetes") or {}).get("workloads") or {}).get(case.node) or {}
    if not seen or seen.get("error"):
        return SHIFT_ONLY, {"kind": "none", "service": ""}
    own = case.incident["id"] if case.incident else None
    waits = rungs.under_way(seen)
    if case.out and waits and (case.resume or {}).get("phase") in ("restart", *AFTER_RESTART):
        case.notes.append("its rung was carried out, and is waited for: %s" % waits)
        return RETURN_ONLY, {"kind": "none", "service": ""}
    failed = {
        item.get("rung")
        for item in case.attempts
        if own
        and item.get("incident") == own
        and not item.get("acknowledged")
        and item.get("outcome") in ("failed", "left_out", "undone")
    }
    chosen = rungs.choose(seen, failed)
    case.notes.append("%s: %s" % (seen["name"], chosen["why"]))
    if chosen["kind"] == rungs.NONE:
        return SHIFT_ONLY, {"kind": "none", "service": ""}
    away = sorted(
        str(seen_node.get("name"))
        for seen_node in ((case.snapshot.get("kubernetes") or {}).get("nodes") or {}).values()
        if seen_node.get("ready") is False
    )
    if chosen["kind"] == rungs.RESTART and not chosen["after"] and away and not rungs.well(seen):
        what = "all pods of %s serve, and node %s of the cluster is not Ready: that is the cause"
        case.refuse("parent_unreachable", what % (seen["name"], names(away)))
    if chosen["kind"] == rungs.EVICT:
        _budgets(case, seen, chosen["pods"])
    return PHASES, {
        "kind": chosen["kind"], "service": seen["name"], "pods": chosen["pods"], "revision": chosen["revision"],
        "judged": seen["rollout"]["revision"],
    }  # fmt: skip


def _budgets(case: Case, seen: Mapping[str, Any], pods: List[str]) -> None:
    """A budget that lets no pod go is a refusal with its reason. The unhealthy go past one that always allows them.

    Of two budgets the eviction API lets no pod go, whatever they allow, and says so with an error of its own (500).
    """
    if len(seen["budgets"]) > 1:
        found = names(str(told["name"]) for told in seen["budgets"])
        what = "the budgets %s count the pods of %s, and the eviction API takes no pod that more than one counts"
        case.refuse("budget", what % (found, seen["name"]))
    healthy = {it["name"] for it in seen["pods"] if it["ready"]}
    for told in seen["budgets"]:
        spared = told["unhealthy_policy"] == "AlwaysAllow" and not healthy & set(pods)
        if told["allowed"] == 0 and not spared:
            case.refuse("budget", "budget %s needs %s of %s pods and lets none of %s go"
                        % (told["name"], told["wanted"], told["expected"], names(pods)))  # fmt: skip


def words(restart: Mapping[str, Any]) -> str:
    """What is done, for people."""
    if restart["kind"] == POWER:
        how = "give the power of %s back, if it was taken" if restart["give_back"] else HOW[POWER]
        return how % str(restart["machine"])
    if restart["kind"] == rungs.UNDO:
        return HOW[rungs.UNDO] % (restart["revision"], restart["service"])
    return HOW[restart["kind"]] % (names(restart["pods"]) if restart["kind"] == rungs.EVICT else restart["service"])


def machine(case: Case) -> Dict[str, Any]:
    """Invariants 2, 4 and 6 for a node of the cluster: not below the minimum, and no pod without another place."""
    seen = seen_of(case, "nodes")
    if not seen:
        return _empty_shape(1)
    _held(case, seen, "node %s" % seen["name"], lapses=False)
    if seen["human_cordon"]:
        case.refuse("human_hold", "node %s was cordoned by somebody, and stays so" % seen["name"])
    others = (case.snapshot.get("kubernetes") or {}).get("nodes") or {}
    stay = [
        node
        for node in case.policy["nodes"]
        if node != case.node and (others.get(node) or {}).get("ready") and not (others.get(node) or {}).get("cordoned")
    ]
    # A node that is not Ready carries no traffic any more: its pods are gone from every service.
    case.serves = bool(seen["ready"]) and not seen["cordoned"]
    floor = len(case.policy["nodes"]) - case.limits["max_unavailable"]
    if case.serves and len(stay) < max(1, floor):
        told = (len(stay), len(case.policy["nodes"]), case.layer, names(stay) or "none", max(1, floor))
        case.refuse(
            "below_minimum" if stay else "last_member",
            "only %d of %d nodes of layer %s would stay (%s), needed are %d" % told,
        )
    if seen["ready"] and not case.out:  # one that we have cordoned goes on, or comes back
        for item in seen["refusals"]:
            case.refuse(planned(item), item["detail"])
    shape = _empty_shape(case.limits["max_unavailable"])
    shape["survivors"] = {"cluster": len(stay)}
    shape["min_up"] = max(1, floor) if case.serves else 0
    return shape


def power(case: Case) -> Dict[str, Any]:
    """The rung of a machine that is gone: its host is down for Nagios, and its kubelet silent for the API server.

    Two places have to say so, for as long as the policy wants. Empty where it is not gone, or the policy has no agent.
    """
    nodes = (case.snapshot.get("kubernetes") or {}).get("nodes") or {}
    seen, policy = nodes.get(case.node) or {}, case.policy.get("power")
    faulty = case.verdict.get("verdict") == "faulty" and case.verdict.get("kind") == "connectivity"
    down = ((case.snapshot.get("hosts") or {}).get(case.node) or {}).get("status") == "down"
    if not policy or not faulty or not down or seen.get("ready_status") != SILENT:
        return {}
    if not any((nodes.get(node) or {}).get("ready") for node in case.policy["nodes"] if node != case.node):
        case.refuse("last_member", "no other node of layer %s is Ready: the cause is probably not in %s"
                    % (case.layer, case.node))  # fmt: skip
    since = seen.get("since_seconds")
    if not switching(case) and (since is None or since < policy["silent_seconds"]):
        what = "the kubelet of %s is silent for %s, and its power is taken after %s: it may be booting"
        told = "an unknown time" if since is None else seconds(since)
        case.refuse("wrong_kind", what % (case.node, told, seconds(policy["silent_seconds"])))
    own = case.incident["id"] if case.incident else None
    tried = [
        item
        for item in case.attempts
        if own and item.get("incident") == own and item.get("rung") == POWER and not item.get("acknowledged")
    ]
    if any(item.get("outcome") in ("failed", "left_out") or item.get("phase") in AFTER_RESTART for item in tried):
        what = "%s got its power anew in incident %s already; never twice"
        case.refuse("attempts_exhausted", what % (case.node, own))
    return {"kind": POWER, "service": "", "machine": case.node, "give_back": False}


def switching(case: Case) -> bool:
    """Whether the heal that is gone on with died while power was switched: the machine may be without it."""
    resume = case.resume or {}
    return resume.get("rung") == POWER and resume.get("phase") == "restart"


def power_back(case: Case) -> Dict[str, Any]:
    """What was taken is given back, and nothing more: that is no new heal, whatever stands in the way of one."""
    return {"kind": POWER, "service": "", "machine": case.node, "give_back": True}
