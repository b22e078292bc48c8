# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Move the address, restart, go home: the steps of a heal in a pair, as pure functions.

If the active node is ill, a hold on its proven standby (``peer``) draws the address away without touching the ill
node. If the standby is ill, a ``soft`` hold of its own keeps the address from coming while it restarts. A node whose
keepalived does not answer can promise nothing, so its peer keeps the address, which it has already; and if a dead
keepalived left the address behind, that is taken off the node before anything is restarted.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._heal_again import still_ill
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_state import (
    Results,
    State,
    after_evidence,
    at_of,
    because,
    call_human,
    enter,
    go_back,
    may_have_acted,
    problem,
    said_at,
    settle,
    take_part,
    verdict,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import BOOT_INCIDENT
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived import STATES


def instance_of(answer: Optional[Mapping[str, Any]], name: str) -> Dict[str, Any]:
    """The one VRRP instance that this layer is about."""
    for instance in ((answer or {}).get("keepalived") or {}).get("instances") or []:
        if instance.get("instance") == name:
            return dict(instance)
    return {}


def role_of(state: State, answers: Results) -> str:
    """``standby`` if the ill node does not have the address and its keepalived can promise to leave it alone.

    Else ``active``: it has the address, or had it before this incident moved it, or its keepalived does not answer.
    """
    own = instance_of(answers.get(state["node"]), state["instance"])
    peer = instance_of(answers.get(state["peer"]), state["instance"])
    for instance, role in ((peer, "active"), (own, "standby")):
        hold = instance.get("hold") or {}
        if hold and hold.get("incident") == state["incident"]:
            return role
    return "standby" if peer.get("address_present") and own.get("state") in STATES else "active"


def begin(state: State, seen: Mapping[str, Results], now: float) -> None:
    """The standby draws the address; an ill standby only promises not to take it."""
    state["role"] = role_of(state, seen["keepalived"])
    state["silent"] = _silent(state, seen["keepalived"].get(state["node"]))
    peer = instance_of(seen["keepalived"].get(state["peer"]), state["instance"])
    state["peer_base"] = peer.get("base_priority")
    # The shift overwrites the hold under which an earlier heal parked the address there; the way back restores it. If a
    # run that died has overwritten it, its own hold says so.
    hold = peer.get("hold") or {}
    below = int(hold.get("parked") or 0)
    state["parked_before"] = state["role"] == "active" and (hold.get("phase") == "parked" or below > 0)
    state["offset_before"] = below or int(peer.get("offset") or 0)
    state["addresses"] = list(dict.fromkeys([state["vip"], *(peer.get("vips") or [])]))
    enter(state, "shift", now)
    take_part(state, "shift", [_holder(state)])


def _silent(state: State, answer: Optional[Mapping[str, Any]]) -> bool:
    """Out of reach, so only its traffic is dealt with: each further question would only cost its time-out."""
    asked_later = {"restart", "verify"} & set(state["planned"])
    return verdict(answer) == "unreachable" and not asked_later


def park_offset(own: Mapping[str, Any], peer: Mapping[str, Any]) -> int:
    """Just enough for the address to stay on the peer; 0 lets ``keepalived_hold`` choose the most there is.

    More would leave no room above it, and the peer could never lose the address again to a healthier node.
    """
    bases = [int(instance.get("base_priority") or 0) for instance in (own, peer)]
    return max(1, bases[0] - bases[1] + 1) if all(bases) else 0


def _holder(state: State) -> str:
    """The machine whose track file carries the hold of this heal."""
    return str(state["peer"] if state["role"] == "active" else state["node"])


def after_shift(state: State, seen: Mapping[str, Results], now: float) -> None:
    """The address is on the peer, by the peer's own proof."""
    host = _holder(state)
    result = seen["shift"].get(host) or {}
    what = verdict(result)
    if what == "ok":
        state["done"]["shift"] = [host]
        if not state["leftover"]:  # else clients may still find it there
            state["traffic_safe_at"] = at_of(result, state["phase_started"], now)
        state["said"] = f"the address is on {host}" if state["role"] == "active" else f"{host} leaves the address alone"
        enter(state, "evidence", now)
        take_part(state, "drain", [state["peer"]] if state["silent"] else [state["peer"], state["node"]])
        take_part(state, "evidence", [] if state["silent"] else [state["node"]])
        return
    problem(state, because(host, result))
    go_back(state, [host] if may_have_acted(result) else [], now)


def after_drain(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Both nodes are asked; the peer must have the address, and the node, if it can answer, must not.

    What a dead keepalived left behind has to be off for sure: nobody else would ever take it off.
    """
    peer, node = (seen["drain"].get(state[key]) for key in ("peer", "node"))
    if verdict(peer) != "ok":
        problem(state, "the address is not proven to be on the peer: " + because(state["peer"], peer))
        if state["role"] == "active" and "refused" not in (verdict(peer), verdict(node)):
            # It proved in the shift that it has the address. Its silence is no reason to give the ill node its clients.
            call_human(state, f"nothing is restarted without the word of {state['peer']}; the hold there stays", now)
        else:
            go_back(state, state["done"]["shift"], now)
        return
    if verdict(node) == "refused":
        problem(state, "both nodes may hold the address: " + because(state["node"], node))
        go_back(state, state["done"]["shift"], now)
        return
    dropped = (seen.get("dropped") or {}).get(state["node"])
    if state["leftover"] and verdict(dropped) != "ok":
        problem(state, "both nodes have the address: " + because(state["node"], dropped))
        go_back(state, state["done"]["shift"], now)
        return
    if state["leftover"]:
        state["traffic_safe_at"] = at_of(dropped or {}, state["phase_started"], now)
    if verdict(node) == "failed":
        # Too ill to answer in time, and its clients are safe on the peer: they must not be given back to it.
        # Its restart proves on the node itself that the address is away.
        problem(state, because(state["node"], node))
    if state["silent"]:
        call_human(state, f"{state['node']} cannot be reached; the address stays on {state['peer']}", now)
        return
    at = said_at(peer or {}, state["phase_started"], now)
    state["witnesses"] = [{"balancer": state["peer"], "out": True, "at": at}]
    after_evidence(state, [state["node"], state["peer"]], now)


def after_restart(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Restarted, refused before anything was done, or a case for a human: the address stays on the peer.

    The service first, then a keepalived that is dead; which of the two the plan has decided.
    """
    service = state["restart_kind"] == "reboot" or state["restart_service"]
    daemon = state["dead"] and state["restart_kind"] == "service"
    for name in [*(["restart"] if service else []), *(["daemon"] if daemon else [])]:
        result = (seen.get(name) or {}).get(state["node"])
        what = verdict(result)
        if what == "refused" and not (result or {}).get("restarted") and not state["done"]["restart"]:
            problem(state, because(state["node"], result))
            go_back(state, state["done"]["shift"], now)
            return
        if what != "ok":
            call_human(state, because(state["node"], result) + "; the address stays on the other node", now)
            return
        if not state["done"]["restart"]:
            state["restart"] = {key: (result or {}).get(key) for key in ("phases", "before", "after", "at")}
        state["done"]["restart"] = True
    state["said"] = ("{} was restarted and answers" if service else "keepalived of {} runs again").format(state["node"])
    enter(state, "verify", now)
    take_part(state, "verify", [state["node"], state["peer"]])


def after_verify(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Proven as standby by its own dump; redundancy is restored. Going home is a policy of its own."""
    result = seen["verify"].get(state["node"])
    members = seen["members"].get(state["node"])
    for answer in (result, members) if state["node"] in state["balancing"] else (result,):
        if verdict(answer) != "ok":
            problem(state, because(state["node"], answer))
            call_human(state, f"{state['node']} is not proven as standby; the address stays on {state['peer']}", now)
            return
    state["restored_at"] = now
    state["said"] = f"{state['node']} is proven as standby"
    # By the answer of the node that is well now; when the heal began it may have been too ill to give one.
    own = instance_of((result or {}).get("answer"), state["instance"])
    state["park_offset"] = park_offset(own, {"base_priority": state["peer_base"]})
    state["unpark"] = state["role"] == "active" and _ends_here(state, own.get("hold") or {})
    twin = seen["members"].get(state["peer"])
    if {state["node"], state["peer"]} <= set(state["balancing"]) and verdict(twin) != "ok":
        problem(state, because(state["peer"], twin))
        call_human(state, f"{state['peer']} does not say whom it holds out; {state['node']} may owe the same", now)
        return
    state["owed"] = owed(members, twin)
    if state["owed"] or state["unpark"]:
        take_part(state, "pay", [state["node"]])
    else:
        _readmit(state, now)


def _ends_here(state: State, hold: Mapping[str, Any]) -> bool:
    """A hold of the healed node's own that has done its work, now that the peer keeps the address and it is proven.

    That an earlier heal parked; that this incident left there; or that the guard placed when keepalived started.
    """
    return hold.get("phase") == "parked" or hold.get("incident") in (BOOT_INCIDENT, state["incident"])


def owed(own: Optional[Mapping[str, Any]], twin: Optional[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """Members that the twin keeps out of traffic under a hold, and this balancer does not."""

    def rows(watched: Optional[Mapping[str, Any]]) -> Dict[Any, Dict[str, Any]]:
        answer = ((watched or {}).get("answer") or {}).get("balancer") or {}
        return {(row.get("backend"), row.get("address"), row.get("port")): row for row in answer.get("servers") or []}

    mine = rows(own)
    return [
        row
        for key, row in rows(twin).items()
        if row.get("hold") and row.get("admin") != "ready" and (mine.get(key) or {}).get("admin") == "ready"
    ]


def after_pay(state: State, seen: Mapping[str, Results], now: float) -> None:
    """A balancer that does not know who is ill must not get the address."""
    paid, unparked = seen["pay"].get(state["node"]), (seen.get("unpark") or {}).get(state["node"])
    if state["owed"] and verdict(paid) != "ok":
        problem(state, "holds are owed: " + because(state["node"], paid))
        call_human(state, f"{state['node']} would send clients to held members; the address stays away", now)
        return
    if state["unpark"] and verdict(unparked) != "ok":
        problem(state, "its own hold was not lifted: " + because(state["node"], unparked))
        call_human(state, f"{state['node']} would take the address back; it stays on {state['peer']}", now)
        return
    _readmit(state, now)


def _readmit(state: State, now: float) -> None:
    enter(state, "readmit", now)
    preferred = state["role"] == "active" and state["node"] == state["preferred"]
    state["parked"] = preferred and state["home"] == "never"
    state["goes_home"] = preferred and not state["parked"]
    take_part(state, "readmit", state["done"]["shift"])


def after_readmit(state: State, seen: Mapping[str, Results], now: float) -> None:
    """The hold is gone, or parked because the policy leaves the address where it is."""
    hosts: List[str] = state["hosts_before"].get("readmit", [])
    left = [host for host in hosts if verdict(seen["readmit"].get(host)) != "ok"]
    for host in left:
        problem(state, because(host, seen["readmit"].get(host)))
    if left:
        call_human(state, "the hold on {} could not be ended; it has a deadline".format(", ".join(left)), now)
        return
    if state["parked"]:
        problem(
            state, "the address stays on {}: the hold is parked (home policy: {})".format(state["peer"], state["home"])
        )
    enter(state, "soak", now)
    take_part(state, "soak", [state["node"], state["peer"]])


def after_soak(state: State, seen: Mapping[str, Results], now: float) -> None:
    """One holder, both well; or the peer draws the address again. A watch that broke is no illness."""
    result, home = seen["soak"].get(state["node"]), seen["home"].get(state["node"])
    as_before = still_ill(state, seen.get("illness") or {})
    problem(state, as_before)
    if verdict(result) == "refused":
        problem(state, f"{state['node']} fell ill again: {because(state['node'], result)}")
        enter(state, "undo", now)
        take_part(state, "again", state["done"]["shift"])
        return
    peer = seen["soak"].get(state["peer"])
    if verdict(result) != "ok" or verdict(peer) in ("refused", "failed"):
        # Invariant 10: what could not be watched to its end is not called healed.
        bad = (state["node"], result) if verdict(result) != "ok" else (state["peer"], peer)
        problem(state, "not watched to the end: " + because(*bad))
        settle(state, "left_out", now)
        return
    if state["goes_home"]:
        if verdict(home) == "ok" and home is not None:
            state["home_at"] = home.get("reached_at") or now
            state["said"] = f"the address is home on {state['node']}"
        else:
            problem(state, "the address did not come home in time: " + because(state["node"], home))
    settle(state, "undone" if as_before else "healed", now)


def after_again(state: State, seen: Mapping[str, Results], now: float) -> None:
    """The address is held away from the node that fell ill again, as far as its peer took it."""
    for host in state["done"]["shift"]:
        if verdict(seen["again"].get(host)) != "ok":
            problem(state, because(host, seen["again"].get(host)))
    settle(state, "left_out", now)


def after_undo(state: State, seen: Mapping[str, Results], now: float) -> None:
    """The address may go back where it was, or the hold's deadline calls a human."""
    hosts: List[str] = state["hosts_before"].get("undo", [])
    left = [host for host in hosts if verdict(seen["undo"].get(host)) != "ok"]
    for host in left:
        problem(state, "the way back failed: " + because(host, seen["undo"].get(host)))
    settle(state, "left_out" if left else "undone", now)
