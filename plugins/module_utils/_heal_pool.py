# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Detach, restart, return: the steps of a heal in a pool, as pure functions.

Each takes a state and what the hosts of the last play answered, and says who acts next. Invariant 10 lives in
``after_verify``: no balancer returns the member before all that can be reached have seen it green.
"""

from __future__ import annotations

from typing import Any, List, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils._heal_again import still_ill
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_state import (
    Results,
    State,
    after_evidence,
    at_of,
    because,
    by_verdict,
    call_human,
    enter,
    go_back,
    may_have_acted,
    member_rows,
    problem,
    said_at,
    serving,
    settle,
    take_part,
    verdict,
)


def begin(state: State, seen: Mapping[str, Results], now: float) -> None:
    """All balancers that the plan found act at once; the ill node is not touched."""
    del seen  # every ``begin`` gets it; a pool needs nothing but the plan
    state["role"] = "member"
    enter(state, "shift", now)
    take_part(state, "shift", state["balancers"])


def after_shift(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Out of rotation on all, or back on all."""
    results = seen["shift"]
    done = by_verdict(results, state["balancers"], "ok")
    state["done"]["shift"] = done
    if done and len(done) == len(state["balancers"]):
        state["traffic_safe_at"] = max(at_of(results[host], state["phase_started"], now) for host in done)
        state["down_before"] = all(_was_down(results[host]) for host in done)
        state["said"] = "{} gets no new request from {}".format(state["node"], ", ".join(done))
        enter(state, "evidence", now)
        take_part(state, "drain", done)
        take_part(state, "evidence", [state["node"]])
        return
    for host in state["balancers"]:
        if host not in done:
            problem(state, because(host, results.get(host)))
    go_back(state, [host for host in state["balancers"] if may_have_acted(results.get(host))], now)


def _was_down(result: Mapping[str, Any]) -> bool:
    rows: List[Any] = result.get("before") or []
    return bool(rows) and all(row.get("operational") == "stopped" for row in rows)


def after_drain(state: State, seen: Mapping[str, Results], now: float) -> None:
    """The balancers' word, with its age, that the node is out of traffic: what ``node_restart`` demands."""
    results = seen["drain"]
    state["witnesses"], state["left_sessions"] = [], 0
    for host in state["balancers"]:
        result = results.get(host)
        if verdict(result) != "ok" or result is None:
            problem(state, because(host, result))
            continue
        witness = {"balancer": host, "out": True, "at": said_at(result, state["phase_started"], now)}
        if isinstance(result.get("open_ends"), list):
            witness.update(ends=[str(end) for end in result["open_ends"]], since=state["phase_started"])
        state["witnesses"].append(witness)
        state["left_sessions"] += int(result.get("left_sessions") or 0)
    if len(state["witnesses"]) < len(state["balancers"]):
        go_back(state, state["done"]["shift"], now)
        return
    if state["left_sessions"]:
        problem(state, f"{state['left_sessions']} requests were still running after the drain limit")
    after_evidence(state, state["done"]["shift"], now)


def after_restart(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Restarted, or relieved, and answering, or: refused before anything was done, or a case for a human."""
    result = seen["restart"].get(state["node"])
    what = verdict(result)
    relief = (result or {}).get("relief")
    if what == "ok" or relief:  # what was deleted is told whatever came of it
        state["restart"] = {key: (result or {}).get(key) for key in ("phases", "before", "after", "at")}
        state["restart"].update({key: value for key in ("relief", "half_open") if (value := (result or {}).get(key))})
    if what == "ok":
        state["done"]["restart"] = True
        unasked = state.get("health_scheme") == "none"
        done = _relieved(relief) if relief else "restarted"
        state["said"] = "{} was {}{}".format(state["node"], done, "" if unasked else " and answers")
        enter(state, "verify", now)
        take_part(state, "verify", state["done"]["shift"])
    elif what == "refused" and not (result or {}).get("restarted") and not (result or {}).get("relieved"):
        problem(state, because(state["node"], result))
        go_back(state, state["done"]["shift"], now)
    else:
        call_human(state, because(state["node"], result) + "; it stays out of traffic", now)


def _relieved(relief: Mapping[str, Any]) -> str:
    full = ", ".join(
        "{} is {:.0%} full instead of {:.0%}".format(one.get("path"), one.get("after") or 0, one.get("before") or 0)
        for one in relief.get("partitions") or ()
    )
    return "relieved of {} files ({})".format(relief.get("files"), full)


def after_verify(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Green on every balancer that answers, or not returned."""
    results, hosts = seen["verify"], state["done"]["shift"]
    green = by_verdict(results, hosts, "ok")
    lost = by_verdict(results, hosts, "unreachable", "absent")
    for host in hosts:
        if host not in green:
            problem(state, because(host, results.get(host)))
    if green and len(green) + len(lost) == len(hosts):
        state["said"] = "{} is green on {}".format(state["node"], ", ".join(green))
        _readmit(state, green, now)
    else:
        # Perhaps nobody serves any more: then an answering node is better than none (the exception of invariant 10).
        take_part(state, "look", [host for host in hosts if host not in lost])
        if not state["hosts"]["look"]:
            call_human(state, "{} is not proven healthy; it stays out of traffic".format(state["node"]), now)


def _readmit(state: State, hosts: List[str], now: float) -> None:
    enter(state, "readmit", now)
    take_part(state, "readmit", hosts)


def after_look(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Only asked when the node could not be verified: does any member serve?

    Nobody serving is a reason to return a node that answers. Where this heal has not restarted it, it was not asked
    by itself, and where it speaks another protocol, it cannot be: nobody heard it answer.
    """
    looked = [host for host in state["done"]["shift"] if verdict(seen["look"].get(host)) == "ok"]
    alone = bool(looked) and all(not _others_serve(state, seen["look"][host]) for host in looked)
    if alone and state["done"].get("restart") and state.get("health_scheme") != "none":
        state["unverified"] = True
        problem(state, "no member served any more: {} was returned unverified because it answers".format(state["node"]))
        _readmit(state, looked, now)
    else:
        call_human(state, "{} is not proven healthy; it stays out of traffic".format(state["node"]), now)


def _others_serve(state: State, answer: Mapping[str, Any]) -> bool:
    own = member_rows(answer, state["address"], state["port"])
    backends = {row.get("backend") for row in own}
    rows = ((answer.get("balancer") or {}).get("servers")) or []
    return any(serving(row) for row in rows if row not in own and row.get("backend") in backends)


def after_readmit(state: State, seen: Mapping[str, Results], now: float) -> None:
    """In rotation again: watch it for a while before anything else may be touched."""
    hosts = state["hosts_before"].get("readmit", [])
    done = by_verdict(seen["readmit"], hosts, "ok")
    state["done"]["readmit"] = done
    for host in hosts:
        if host not in done:
            problem(state, because(host, seen["readmit"].get(host)))
    if not done:
        call_human(state, "no balancer took {} back".format(state["node"]), now)
        return
    state["restored_at"] = max(at_of(seen["readmit"][host], state["phase_started"], now) for host in done)
    state["said"] = "{} serves again on {}".format(state["node"], ", ".join(done))
    enter(state, "soak", now)
    take_part(state, "soak", done)


def after_soak(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Still well, or detached again. A watch that broke is no illness: only a bad answer is."""
    hosts = state["done"]["readmit"]
    ill = by_verdict(seen["soak"], hosts, "refused")
    as_before = still_ill(state, seen.get("illness") or {})
    problem(state, as_before)
    if ill and not state["unverified"]:
        problem(state, "{} fell ill again: {}".format(state["node"], because(ill[0], seen["soak"][ill[0]])))
        enter(state, "undo", now)
        take_part(state, "again", hosts)
        return
    watched = by_verdict(seen["soak"], hosts, "ok")
    for host in hosts:
        if host not in watched:
            problem(state, "not watched to the end: " + because(host, seen["soak"].get(host)))
    # Invariant 10: what nobody could watch to its end is not called healed.
    whole = bool(watched) and len(hosts) == len(state["done"]["shift"]) and not state["unverified"]
    # It serves as it did before, and the restart has not helped: nothing is taken from clients for that.
    settle(state, ("undone" if as_before else "healed") if whole else "left_out", now)


def after_again(state: State, seen: Mapping[str, Results], now: float) -> None:
    """The node that fell ill again is out of traffic, as far as the balancers took it."""
    for host in state["done"]["readmit"]:
        if verdict(seen["again"].get(host)) != "ok":
            problem(state, because(host, seen["again"].get(host)))
    settle(state, "left_out", now)


def after_undo(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Back where it was, or a hold is left for the guard and a human."""
    hosts = state["hosts_before"].get("undo", [])
    left = [host for host in hosts if verdict(seen["undo"].get(host)) != "ok"]
    for host in left:
        problem(state, "the way back failed: " + because(host, seen["undo"].get(host)))
    settle(state, "left_out" if left else "undone", now)
