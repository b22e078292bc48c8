# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Pairs: who holds the address, and is the standby proven? Invariant 3."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._holds import BOOT_INCIDENT
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived import STATES
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_case import Case, names, seconds, vrrp_only

Seen = Mapping[str, Any]


def check(case: Case) -> Dict[str, Any]:
    peer = next(node for node in case.policy["nodes"] if node != case.node)
    mine, other = _seen(case, case.node), _seen(case, peer)
    case.dead = bool(mine.get("reachable") and mine.get("stopped"))
    holder = _holder(case, peer, mine, other)
    if holder == peer:
        case.leftover = case.dead and bool(_instance(mine).get("address_present"))
        case.returns = not mine.get("reachable") and case.policy.get("preferred") in (None, "", case.node)
    case.serves = holder == case.node or case.leftover
    _own_state(case, mine, holder)
    _own_daemon(case, mine)
    if holder == case.node and _only_traffic(case.verdict) and not case.drill:
        # Invariant 5: its twin idles, so nothing tells load from illness; the twin would have the same load soon.
        case.refuse("layer_load", "%s carries the traffic of %s alone, and nothing but its load is high: %s"
                    % (case.node, case.policy["vip"], "; ".join(case.verdict.get("reasons") or ())))  # fmt: skip
    if not other.get("reachable"):
        case.refuse("peer_unreachable", "%s: %s" % (peer, other.get("error") or "no answer"))
    elif holder == case.node:
        _standby(case, peer, mine, other)
    elif holder == peer:
        _active_peer(case, peer, mine, other)
    nodes = case.policy["nodes"]
    return {
        "balancers": [],
        "skipped_balancers": [],
        "min_up": -1,
        "survivors": {},
        "peer": peer,
        "holder": holder,
        "moves": holder == case.node,
        "leases": [{"resource": "pair:" + case.layer, "mode": "exclusive"}]
        + [{"resource": "balancer:" + node, "mode": "exclusive"} for node in nodes],
        "slots": 0,
    }


def _only_traffic(verdict: Mapping[str, Any]) -> bool:
    """Faulty by nothing but readings that clients' traffic alone can raise."""
    bad = [item for item in verdict.get("readings") or () if item.get("verdict") == "faulty"]
    return verdict.get("verdict") == "faulty" and bool(bad) and all(item.get("traffic") for item in bad)


def _seen(case: Case, node: str) -> Seen:
    seen = dict((case.snapshot.get("pair") or {}).get(node) or {"reachable": False, "error": "was not asked"})
    if seen.get("reachable") and (seen.get("age_seconds") or 0) > case.limits["witness_age_seconds"]:
        seen.update(reachable=False, error="the answer is %s old" % seconds(seen["age_seconds"]))
    return seen


def _instance(seen: Seen) -> Mapping[str, Any]:
    return seen.get("instance") or {}


def _holder(case: Case, peer: str, mine: Seen, other: Seen) -> Optional[str]:
    """Exactly one node holds the address, and its keepalived says so too."""
    rules = _instance(other)
    if case.dead and other.get("reachable") and rules.get("state") == "MASTER" and rules.get("address_present"):
        # An address that a dead daemon left behind is nobody's claim: of two that have it, only one rules it.
        return peer
    views = {case.node: mine, peer: other}
    reached = {node: _instance(seen) for node, seen in views.items() if seen.get("reachable")}
    present = [node for node, instance in reached.items() if instance.get("address_present")]
    masters = [node for node, instance in reached.items() if instance.get("state") == "MASTER"]
    vip = case.policy["vip"]
    if len(present) > 1 or len(masters) > 1:
        case.refuse("split_brain", "%s hold %s or say MASTER at once" % (names(set(present) | set(masters)), vip))
        return None
    if present and masters and present != masters:
        case.refuse("split_brain", "%s holds %s but %s says MASTER" % (present[0], vip, masters[0]))
        return None
    if present and not masters:
        case.refuse("no_holder", "%s holds %s but its keepalived is %s"
                    % (present[0], vip, reached[present[0]].get("state") or "not running"))  # fmt: skip
        return None
    if masters and not present:
        case.refuse("no_holder", "%s says MASTER but does not hold %s" % (masters[0], vip))
        return None
    if present:
        return present[0]
    if (
        not mine.get("reachable")
        and _instance(other).get("state") == "BACKUP"
        and _instance(other).get("adverts_heard")
    ):
        return case.node  # it cannot be asked, but its standby hears it rule
    if len(reached) == 2 or other.get("reachable"):
        case.refuse("no_holder", "nobody who answers holds %s" % vip)
    return None


def _own_state(case: Case, mine: Seen, holder: Optional[str]) -> None:
    instance = _instance(mine)
    hold = instance.get("hold")
    if case.own(hold):
        case.out = True
    elif _parked(hold) and holder is not None:
        # Nobody's work any more, wherever the address is by now: this heal ends it.
        case.notes.append("%s has the parked hold of an earlier heal, which this heal ends" % case.node)
    elif hold and hold.get("incident") == BOOT_INCIDENT:
        case.notes.append("the boot hold of %s yields to this heal" % case.node)
    elif hold:
        case.refuse("human_hold", "%s is held for incident %s, which is not open for it"
                    % (case.node, hold.get("incident")))  # fmt: skip
    elif (instance.get("offset") or 0) < 0:
        case.refuse("human_hold", "%s has an offset of %d that is not ours" % (case.node, instance["offset"]))


def _own_daemon(case: Case, mine: Seen) -> None:
    """What Nagios says of keepalived is held against what is there now, and only a proof of its death is acted on."""
    if not mine.get("reachable") or case.dead:
        return
    if not mine.get("running"):
        case.refuse("unknown_reading", "nobody knows whether keepalived runs on %s: %s"
                    % (case.node, mine.get("doubt") or "it has no pid file"))  # fmt: skip
    elif vrrp_only(case.verdict) and not case.drill:
        case.refuse("not_ill", "Nagios says that keepalived of %s is dead, but it runs there now" % case.node)


def only_daemon(case: Case) -> bool:
    """Its keepalived is dead and nothing else is wrong: its own service answers, or nobody asks it by policy."""
    service = _seen(case, case.node).get("service")
    return case.dead and vrrp_only(case.verdict) and (not service or bool(service.get("ok")))


def _standby(case: Case, peer: str, mine: Seen, other: Seen) -> None:
    """Alive, BACKUP, hears adverts, not held, same configuration, own service answers, sees enough members."""
    instance = _instance(other)
    if not other.get("running"):
        case.refuse("peer_not_backup", "keepalived does not run on %s" % peer)
    elif instance.get("state") != "BACKUP":
        case.refuse("peer_not_backup", "%s is in state %s" % (peer, instance.get("state") or "unknown"))
    elif not instance.get("adverts_heard"):
        case.refuse("peer_no_adverts", "%s hears no adverts of %s" % (peer, case.policy["instance"]))
    _peer_holds(case, peer, instance)
    if mine.get("reachable"):
        _same(case, peer, mine, other)
    if instance.get("nopreempt"):
        case.refuse("peer_config_differs", "%s has nopreempt, so an offset cannot move the address to it" % peer)
    if not instance.get("track_file"):
        case.refuse("no_track_file", "the instance %s of %s follows no track file" % (case.policy["instance"], peer))
    _peer_service(case, peer, other)
    _peer_members(case, peer, mine, other)
    verdict = (case.snapshot.get("verdicts") or {}).get(peer) or {}
    if verdict.get("verdict") == "faulty" and not verdict.get("layer_load"):
        case.refuse("peer_service_down", "Nagios finds %s faulty as well: %s"
                    % (peer, "; ".join(verdict.get("reasons") or ()) or "no reasons given"))  # fmt: skip


def _active_peer(case: Case, peer: str, mine: Seen, other: Seen) -> None:
    """The target is the standby already: nothing moves, but the other node must carry on alone."""
    if not other.get("running"):
        case.refuse("peer_unreachable", "keepalived does not run on %s" % peer)
    if _instance(mine).get("state") not in STATES and not _instance(other).get("track_file"):
        # It cannot promise to leave the address alone, so the peer has to keep it by its own offset.
        case.refuse("no_track_file", "the instance %s of %s follows no track file" % (case.policy["instance"], peer))
    _peer_holds(case, peer, _instance(other))
    _peer_service(case, peer, other)
    _peer_members(case, peer, {}, other)


def _parked(hold: Optional[Mapping[str, Any]]) -> bool:
    """The end of an earlier heal whose home policy left the address where it was: nobody's work any more."""
    return (hold or {}).get("phase") == "parked"


def _peer_holds(case: Case, peer: str, instance: Mapping[str, Any]) -> None:
    hold = instance.get("hold")
    if case.own(hold):
        case.out = True  # our own offset on the peer: the address was moved by this incident
    elif _parked(hold) and instance.get("state") == "MASTER":
        case.notes.append("%s keeps the address under a parked hold" % peer)
    elif hold:
        case.refuse("peer_held", "%s is held for incident %s" % (peer, hold.get("incident")))
    elif (instance.get("offset") or 0) != 0:
        case.refuse("peer_held", "%s has an offset of %d that is not ours" % (peer, instance["offset"]))


def _same(case: Case, peer: str, mine: Seen, other: Seen) -> None:
    # A node whose keepalived is dead has no answer to compare; its files still have.
    if mine.get("running") and mine.get("comparable") != other.get("comparable"):
        case.refuse("peer_config_differs", "keepalived's own facts (version, router id, interval, addresses) differ")
    for path in case.policy["config_files"]:
        one, two = (mine.get("files") or {}).get(path), (other.get("files") or {}).get(path)
        if one is None or one != two:
            what = "is not the same on %s and %s" if one and two else "could not be read on %s and %s"
            case.refuse("peer_config_differs", "%s %s" % (path, what % (case.node, peer)))


def _peer_service(case: Case, peer: str, other: Seen) -> None:
    service = other.get("service")
    if not service:
        case.refuse("peer_service_down", "nobody knows whether the service of %s answers" % peer)
    elif not service.get("ok"):
        case.refuse("peer_service_down", "%s: %s" % (peer, service.get("detail") or "no answer"))


def _peer_members(case: Case, peer: str, mine: Seen, other: Seen) -> None:
    pools: List[Mapping[str, Any]] = [
        policy for policy in case.policies.values() if policy["kind"] == "pool" and peer in policy["balancers"]
    ]
    if not pools:
        return
    seen = other.get("members_up")
    if seen is None:
        case.refuse("peer_sees_too_few", "nobody knows how many members %s sees up" % peer)
        return
    minimum = sum(max(1, len(policy["nodes"]) - policy["limits"]["max_unavailable"]) for policy in pools)
    active = mine.get("members_up")
    # When the farm is short already, the peer must see as many as the node that serves now; one at the least.
    needed = max(1, minimum if active is None else min(minimum, active))
    if not mine:
        needed = 1
    if seen < needed:
        case.refuse("peer_sees_too_few", "%s sees %d members up, needed are %d" % (peer, seen, needed))
