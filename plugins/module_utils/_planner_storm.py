# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Storms: independent root causes, counted after symptoms have been folded into their cause (invariant 4)."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._planner_case import Case, healed_at, names, vrrp_only
from ansible_collections.selfheal.cluster.plugins.module_utils._snapshot import serving

Snapshot = Mapping[str, Any]
Policies = Mapping[str, Mapping[str, Any]]


def fold(snapshot: Snapshot, policies: Policies, history: Mapping[str, Any], now: float) -> Dict[str, str]:
    """Every faulty node of a layer, with the node whose symptom it is ('' for a root cause)."""
    layer_of = {node: layer for layer, policy in policies.items() for node in policy["nodes"]}
    faulty = {
        node: verdict
        for node, verdict in (snapshot.get("verdicts") or {}).items()
        if node in layer_of
        and verdict.get("verdict") == "faulty"
        and not verdict.get("layer_load")
        and not _in_downtime(snapshot, node)
        and not _healed_since(history, node, verdict, now)
    }
    causes: Dict[str, str] = {}
    for node in sorted(faulty):
        causes[node] = (
            _parent(snapshot, node, faulty)
            or _front(snapshot, policies, node, faulty)
            or _standby(snapshot, policies[layer_of[node]], node, faulty)
            or _behind(snapshot, policies[layer_of[node]], node, faulty)
        )
    # Two nodes that point at each other explain nothing: the first stays a root cause.
    for node in sorted(causes):
        if causes[node] and causes.get(causes[node]) == node:
            causes[node] = ""
    return causes


def check(case: Case, causes: Mapping[str, str]) -> None:
    roots = [node for node, cause in causes.items() if not cause]
    together = [node for node in roots if node == case.node or _same_time(case, node)]
    layer = [node for node in together if node in case.policy["nodes"]]
    if len(layer) >= case.limits["storm_layer"]:
        case.refuse("storm", "%d independent illnesses in layer %s: %s" % (len(layer), case.layer, names(layer)))
    elif len(together) >= case.limits["storm_farm"]:
        case.refuse("storm", "%d independent illnesses in the farm: %s" % (len(together), names(together)))


def _same_time(case: Case, node: str) -> bool:
    """Began within the window, counted from now or from the start of the target's illness; unknown counts."""
    since = case.snapshot.get("since") or {}
    start, mine = since.get(node), since.get(case.node)
    if start is None or (mine is None and not case.drill):
        return True
    window = case.limits["storm_window_seconds"]
    return case.now - start <= window or (mine is not None and abs(start - mine) <= window)


def _in_downtime(snapshot: Snapshot, node: str) -> bool:
    return any(
        item.get("host") == node and not item.get("ours") and item.get("in_effect", True)
        for item in snapshot.get("downtimes") or ()
    )


def _healed_since(history: Mapping[str, Any], node: str, verdict: Mapping[str, Any], now: float) -> bool:
    """Nagios has not looked again since the last verified heal: its word about this node is old."""
    ended = healed_at(history, node, now)
    times = [item.get("at") for item in verdict.get("readings") or () if item.get("verdict") == "faulty"]
    return ended is not None and bool(times) and all(at is not None and at <= ended for at in times)


def _parent(snapshot: Snapshot, node: str, faulty: Mapping[str, Any]) -> str:
    hosts = snapshot.get("hosts") or {}
    for parent in (hosts.get(node) or {}).get("parents") or ():
        if (hosts.get(parent) or {}).get("status") in ("down", "unreachable"):
            return str(parent)
        if parent in faulty and faulty[parent].get("kind") == "connectivity":
            return str(parent)
    return ""


def _front(snapshot: Snapshot, policies: Policies, node: str, faulty: Mapping[str, Any]) -> str:
    """A balancer that answers badly while the pool behind it is ill passes on the pool's errors."""
    if faulty[node].get("kind") != "service" or vrrp_only(faulty[node]):
        return ""
    balancer = (snapshot.get("balancers") or {}).get(node) or {}
    if not balancer.get("reachable"):
        return ""
    for policy in policies.values():
        if node not in policy.get("balancers", ()):
            continue
        for member in policy["nodes"]:
            if member in faulty and faulty[member].get("kind") != "storage" and _servers(snapshot, balancer, member):
                return str(member)
    return ""


def _standby(snapshot: Snapshot, policy: Mapping[str, Any], node: str, faulty: Mapping[str, Any]) -> str:
    """The standby whose own service answers is not ill: it was asked through the address of the other."""
    if policy["kind"] != "pair" or faulty[node].get("kind") != "service" or vrrp_only(faulty[node]):
        return ""
    peer = next((name for name in policy["nodes"] if name != node), "")
    seen = (snapshot.get("pair") or {}).get(node) or {}
    instance: Mapping[str, Any] = seen.get("instance") or {}
    service: Optional[Mapping[str, Any]] = seen.get("service")
    standby = seen.get("reachable") and instance.get("state") == "BACKUP" and bool((service or {}).get("ok"))
    return peer if standby and peer in faulty else ""


def _behind(snapshot: Snapshot, policy: Mapping[str, Any], node: str, faulty: Mapping[str, Any]) -> str:
    """A member that serves on every balancer by their own checks, asked through a balancer that is ill."""
    ill = [name for name in policy.get("balancers", ()) if name in faulty]
    if policy["kind"] != "pool" or not ill or faulty[node].get("kind") != "service":
        return ""
    seen = [
        serving(server)
        for balancer in policy["balancers"]
        for server in _servers(snapshot, (snapshot.get("balancers") or {}).get(balancer) or {}, node)
    ]
    # A balancer that only passes on errors is no cause either, so its own illness must be another one.
    real = [name for name in ill if faulty[name].get("kind") != "service"]
    return str(real[0]) if real and seen and all(seen) else ""


def _servers(snapshot: Snapshot, balancer: Mapping[str, Any], node: str) -> List[Mapping[str, Any]]:
    member = (snapshot.get("members") or {}).get(node) or {}
    return [
        server
        for server in balancer.get("servers") or ()
        if server.get("address") == member.get("address") and server.get("port") == member.get("port")
    ]
