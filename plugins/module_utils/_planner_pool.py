# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Pools: may the member be taken out of rotation? Invariant 2, on the balancers' own view."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._planner_case import Case, names, seconds
from ansible_collections.selfheal.cluster.plugins.module_utils._snapshot import serving

Server = Mapping[str, Any]


def check(case: Case) -> Dict[str, Any]:
    usable, skipped = _balancers(case)
    target = {name: _servers(case, case.node, name) for name in usable}
    missing = [name for name in usable if not target[name]]
    doubt = _doubt(case, case.node)
    if doubt:
        case.refuse("not_in_backend", "%s: %s" % (case.node, doubt))
    elif missing:
        member = (case.snapshot.get("members") or {}).get(case.node) or {}
        case.refuse(
            "not_in_backend",
            "%s knows no server at %s:%s (%s); map it in the balancer's configuration"
            % (names(missing), member.get("address"), member.get("port"), case.node),
        )
    _holds(case, target)
    case.serves = any(serving(server) for servers in target.values() for server in servers)
    floor = _floor(case)
    counts = {name: len(_survivors(case, name)) for name in usable}
    if case.serves:
        _minimum(case, counts, floor)
        for name in usable:
            _load(case, name, target[name])
    least = min(counts.values()) if counts else 0
    return {
        "balancers": usable,
        "skipped_balancers": skipped,
        # What lb_member must still find when it looks again under the lease. A member that serves nowhere may
        # always be detached, so no more is asked for than what was there.
        "min_up": floor if case.serves else min(floor, least),
        "survivors": counts,
        "peer": None,
        "holder": None,
        "moves": False,
        "leases": [{"resource": "balancer:" + name, "mode": "shared"} for name in usable],
        "slots": case.limits["max_unavailable"],
    }


def connections(case: Case, balancers: List[str]) -> None:
    """A restart proves that no connection from a balancer is open: known before anything is touched."""
    for name in balancers:
        doubt = _doubt(case, name)
        if doubt:
            case.refuse("not_restartable", "the connections of %s cannot be told: %s" % (name, doubt))


def _doubt(case: Case, host: str) -> str:
    """Why nobody knows for certain the address of this host; empty if it is known."""
    return str((case.snapshot.get("unresolved") or {}).get(host) or "")


def _unknown(case: Case) -> str:
    """Other members that may serve, but that no balancer's row can be held against."""
    doubts = [(node, _doubt(case, node)) for node in case.policy["nodes"] if node != case.node]
    return "".join("; %s does not count, %s" % (node, doubt) for node, doubt in doubts if doubt)


def _floor(case: Case) -> int:
    return max(0, len(case.policy["nodes"]) - int(case.limits["max_unavailable"]))


def _balancers(case: Case) -> Any:
    """The balancers to act on, and those that are proven down by two ways and owe a hold."""
    view = case.snapshot.get("balancers") or {}
    usable: List[str] = []
    skipped: List[str] = []
    answering = []
    for name in case.policy["balancers"]:
        seen = view.get(name) or {"reachable": False, "error": "was not asked", "holds_address": None}
        if seen.get("reachable") and (seen.get("age_seconds") or 0) <= case.limits["witness_age_seconds"]:
            answering.append(name)
    holders = [name for name in case.policy["balancers"] if (view.get(name) or {}).get("holds_address")]
    for name in case.policy["balancers"]:
        seen = view.get(name) or {"reachable": False, "error": "was not asked", "holds_address": None}
        if name in answering:
            usable.append(name)
        elif _proven_down(case, name, seen, [holder for holder in holders if holder in answering]):
            skipped.append(name)
            case.notes.append("%s is down by SSH and by Nagios: its hold of %s is owed" % (name, case.node))
        elif seen.get("reachable"):
            case.refuse("balancer_unreachable", "the answer of %s is %s old" % (name, seconds(seen["age_seconds"])))
        else:
            held = " and holds the virtual address" if seen.get("holds_address") else ""
            case.refuse("balancer_unreachable", "%s%s: %s" % (name, held, seen.get("error") or "no answer"))
    if len(holders) > 1:
        case.refuse("split_brain", "%s hold the virtual address at once" % names(holders))
    known = [(view.get(name) or {}).get("holds_address") for name in case.policy["balancers"]]
    if known and all(value is False for value in known):
        case.refuse("no_holder", "none of %s holds the virtual address" % names(case.policy["balancers"]))
    if not usable and not any(item["reason"] == "balancer_unreachable" for item in case.refusals):
        case.refuse("balancer_unreachable", "no balancer of layer %s is left to ask" % case.layer)
    return usable, skipped


def _proven_down(case: Case, name: str, seen: Mapping[str, Any], holders: List[str]) -> bool:
    host = (case.snapshot.get("hosts") or {}).get(name) or {}
    return (
        not seen.get("reachable")
        and seen.get("ssh") is False
        and not seen.get("holds_address")
        and host.get("status") in ("down", "unreachable")
        and host.get("state_type") == "hard"
        and any(holder != name for holder in holders)
    )


def _servers(case: Case, node: str, balancer: str) -> List[Server]:
    member = (case.snapshot.get("members") or {}).get(node)
    if not member:
        return []
    return [
        server
        for server in (case.snapshot["balancers"].get(balancer) or {}).get("servers") or ()
        if server.get("address") == member["address"] and server.get("port") == member["port"]
    ]


def _survivors(case: Case, balancer: str) -> List[str]:
    """Members without the target that serve in every backend in which this balancer has them."""
    stay = []
    for node in case.policy["nodes"]:
        servers = _servers(case, node, balancer)
        if node != case.node and servers and all(serving(server) for server in servers):
            stay.append(node)
    return stay


def _holds(case: Case, target: Mapping[str, List[Server]]) -> None:
    for name, servers in target.items():
        for server in servers:
            hold: Optional[Mapping[str, Any]] = server.get("hold")
            if case.own(hold):
                case.out = True
                continue
            if hold:
                case.refuse("human_hold", "%s holds %s for incident %s, which is not open for it (%s)"
                            % (name, case.node, hold.get("incident"), hold.get("reason") or "no reason"))  # fmt: skip
            elif server.get("admin") != "ready":
                flags = names(server.get("admin_flags") or ())
                case.refuse("human_hold", "%s/%s is in %s on %s without a hold of ours%s"
                            % (server.get("backend"), server.get("server"), server.get("admin"), name,
                               " (%s)" % flags if flags else ""))  # fmt: skip


def _minimum(case: Case, counts: Mapping[str, int], floor: int) -> None:
    for name, count in counts.items():
        stay = _survivors(case, name)
        if count == 0:
            case.refuse("last_member", "on %s no member of layer %s would be left%s"
                        % (name, case.layer, _unknown(case)))  # fmt: skip
        elif count < floor:
            case.refuse(
                "below_minimum",
                "on %s only %d of %d would stay (%s), needed are %d%s"
                % (name, count, len(case.policy["nodes"]), names(stay), floor, _unknown(case)),
            )
        # A backend of its own may be smaller than the layer. The balancer asks for the minimum in each backend, so what
        # it would refuse is refused here, before an attempt is spent.
        for backend, members in _by_backend(case, name).items() if count else ():
            others = _others(case, name, backend)
            if not any(node != case.node and serving(server) for node, server in members.items()):
                case.refuse("last_member", "backend %s on %s would have no member left" % (backend, name))
            elif count >= floor and len(others) < max(1, floor):
                case.refuse("below_minimum", "in backend %s on %s only %d would stay (%s), needed are %d"
                            % (backend, name, len(others), names(others) or "none", max(1, floor)))  # fmt: skip


def _others(case: Case, balancer: str, backend: str) -> List[str]:
    """Servers of this backend that serve without the target, counted as ``lb_member`` does: of any layer, no backup."""
    target = [(server["address"], server["port"]) for server in _servers(case, case.node, balancer)]
    return [
        str(server.get("server"))
        for server in case.snapshot["balancers"][balancer].get("servers") or ()
        if str(server.get("backend")) == backend
        and (server.get("address"), server.get("port")) not in target
        and not server.get("backup")
        and serving(server)
    ]


def _by_backend(case: Case, balancer: str) -> Dict[str, Dict[str, Server]]:
    """The backends in which the target serves, with the members of the layer in them."""
    found: Dict[str, Dict[str, Server]] = {}
    for node in case.policy["nodes"]:
        for server in _servers(case, node, balancer):
            found.setdefault(str(server.get("backend")), {})[node] = server
    return {name: members for name, members in found.items() if case.node in members and serving(members[case.node])}


def _load(case: Case, balancer: str, target: List[Server]) -> None:
    """The rest must be able to carry the load: nothing queues, and the sessions fit."""
    backends = {server.get("backend") for server in target}
    for backend in case.snapshot["balancers"][balancer].get("backends") or ():
        if backend.get("name") in backends and (backend.get("queue") or 0) > 0:
            case.refuse("survivors_loaded", "%d requests wait in the queue of backend %s on %s"
                        % (backend["queue"], backend["name"], balancer))  # fmt: skip
    stay = _survivors(case, balancer)
    sessions = sum(server.get("sessions") or 0 for server in target)
    for node in stay:
        for server in _servers(case, node, balancer):
            sessions += server.get("sessions") or 0
            if (server.get("queue") or 0) > 0:
                case.refuse("survivors_loaded", "%d requests wait for %s on %s" % (server["queue"], node, balancer))
    limit = case.limits["sessions_per_survivor"]
    if limit and stay and sessions > limit * len(stay):
        case.refuse(
            "survivors_loaded",
            "%d sessions on %s would fall on %d members, allowed are %d each" % (sessions, balancer, len(stay), limit),
        )
