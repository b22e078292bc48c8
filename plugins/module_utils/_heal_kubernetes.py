# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Heals of Kubernetes: a workload, or a node of the cluster. Pure functions, in the shape of ``_heal_pool``.

Every question and act goes to the API server, from the host of the journal, which alone has the account. Only the
restart of a node is the node's own, over SSH, and it proves its own right there (invariant 8).
"""

from __future__ import annotations

from typing import Any, Mapping

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

API = "kubernetes"  # what the witness of a drain is called


def begin(state: State, seen: Mapping[str, Results], now: float) -> None:
    """The hold first: with it a node is cordoned, and a workload has an owner that others see."""
    del seen
    state["role"] = state["kind"]
    enter(state, "shift", now)
    take_part(state, "shift", [state["journal_host"]])


def _answer(state: State, seen: Mapping[str, Results], step: str) -> Mapping[str, Any]:
    return seen[step].get(state["journal_host"]) or {}


def after_shift(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Held; for a node that is the cordon, and nothing new comes to it."""
    result, host = _answer(state, seen, "shift"), state["journal_host"]
    if verdict(result) != "ok":
        problem(state, because(host, result))
        go_back(state, [host] if may_have_acted(result) else [], now)
        return
    state["done"]["shift"] = [host]
    if state["kind"] == "workload":
        # Pods that are not ready get no traffic from Kubernetes: it is safe as soon as somebody owns the workload.
        state["traffic_safe_at"] = at_of(result, state["phase_started"], now)
        state["said"] = "{} is held; its evidence is kept first".format(state["node"])
    else:
        state["said"] = "{} is cordoned".format(state["node"])
    if "evidence" not in state["planned"]:  # only given back: nothing more is taken from it
        enter(state, "verify", now)
        take_part(state, "verify", [host])
        return
    enter(state, "evidence", now)
    take_part(state, "drain", [host])
    take_part(state, "evidence", [] if _on_host(state) else [state["node"]])


def _on_host(state: State) -> bool:
    """Whether nothing is asked of a machine: there is none, or it is gone, and its power is switched from elsewhere."""
    return bool(state["kind"] == "workload" or state["restart_kind"] == "power")


def after_drain(state: State, seen: Mapping[str, Results], now: float) -> None:
    """A workload: its evidence is here, or given up. A node: no pod is left that a drain takes."""
    result, host = _answer(state, seen, "drain"), state["journal_host"]
    if state["kind"] == "workload":
        if verdict(result) != "ok":
            problem(state, "no evidence: " + because(host, result))
        elif result.get("missing"):
            problem(state, "evidence given up: " + ", ".join(map(str, result["missing"])))
        after_evidence(state, [host], now)
        if state["hosts"]["restart"]:
            take_part(state, "restart", [host])
        return
    left = list(result.get("left") or [])
    # Not the boot id, which the cluster knows late: a kubelet that is dead since a reboot has not told the new one.
    state["machine_id"] = str(result.get("machine_id") or "")
    state["kept_pods"] = list(map(str, result.get("kept") or []))
    if verdict(result) != "ok" or (left and result.get("ready")):
        for name, why in (result.get("refused") or {}).items():
            problem(state, f"{name} was not let go: {why}")
        if left:
            problem(state, "still on {}: {}".format(state["node"], ", ".join(left)))
        if verdict(result) != "ok":
            problem(state, because(host, result))
        go_back(state, state["done"]["shift"], now)
        return
    if left:
        problem(state, "{} is not Ready, and its pods cannot be told to go: {}".format(state["node"], ", ".join(left)))
    state["traffic_safe_at"] = at_of(result, state["phase_started"], now)
    state["witnesses"] = [{"balancer": API, "out": True, "at": said_at(result, state["phase_started"], now)}]
    state["said"] = "{} has no pod left that takes requests".format(state["node"])
    after_evidence(state, [host], now)
    if state["hosts"]["restart"] and _on_host(state):
        take_part(state, "restart", [host])


def after_restart(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Done, or refused before anything was done, or a case for a human."""
    where = state["journal_host"] if _on_host(state) else state["node"]
    result = seen["restart"].get(where) or {}
    what = verdict(result)
    if what == "ok":
        keys = ("phases", "before", "after", "at", "revision", "evicted", "boot_id_before", "boot_id_after")
        state["restart"] = {key: result.get(key) for key in keys}
        state["done"]["restart"] = True
        state["said"] = _done(state, result)
        enter(state, "verify", now)
        take_part(state, "verify", [state["journal_host"]])
    elif what == "refused" and not (result.get("restarted") or result.get("touched")) and not result.get("evicted"):
        problem(state, because(where, result))
        go_back(state, state["done"]["shift"], now)
    else:
        call_human(state, because(where, result) + "; our hold stays on it", now)


def _done(state: State, result: Mapping[str, Any]) -> str:
    kind = state["restart_kind"]
    if kind == "undo":
        return "revision {} of {} was put back".format(result.get("revision"), state["node"])
    if kind == "evict":
        return "{} of {} was taken away".format(", ".join(result.get("evicted") or ["no pod"]), state["node"])
    if kind == "rollout":
        return "the roll-out of {} was restarted".format(state["node"])
    if kind == "power" and not result.get("phases"):
        return "{} has power; it was not taken by this run".format(state["node"])
    if kind == "power":
        return "{} got its power anew".format(state["node"])
    return "{} was {}".format(state["node"], "rebooted" if kind == "reboot" else "restarted")


def after_verify(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Proven by the API server's own word, or the hold stays (invariant 10)."""
    result, host = _answer(state, seen, "verify"), state["journal_host"]
    if verdict(result) != "ok":
        problem(state, because(host, result))
        call_human(state, "{} is not proven healthy; our hold stays on it".format(state["node"]), now)
        return
    state["said"] = "{} is {}".format(state["node"], "available" if state["kind"] == "workload" else "Ready")
    enter(state, "readmit", now)
    take_part(state, "readmit", [host])


def after_look(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Nobody asks this: Kubernetes itself gives a pod that answers its traffic."""
    del seen
    call_human(state, "{} is not proven healthy; our hold stays on it".format(state["node"]), now)


def after_readmit(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Ours no more: the hold is lifted, and a node takes pods again."""
    result, host = _answer(state, seen, "readmit"), state["journal_host"]
    if verdict(result) != "ok":
        problem(state, because(host, result))
        call_human(state, "our hold could not be taken from {}".format(state["node"]), now)
        return
    state["done"]["readmit"] = [host]
    state["restored_at"] = at_of(result, state["phase_started"], now)
    state["said"] = "{} {}".format(
        state["node"], "is free again" if state["kind"] == "workload" else "takes pods again"
    )
    enter(state, "soak", now)
    take_part(state, "soak", [host])


def after_soak(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Still well, or held again. A watch that broke is no illness: only a bad answer is."""
    result, host = _answer(state, seen, "soak"), state["journal_host"]
    as_before = still_ill(state, seen.get("illness") or {})
    problem(state, as_before)
    what = verdict(result)
    if what == "refused":
        problem(state, "{} fell ill again: {}".format(state["node"], because(host, result)))
        enter(state, "undo", now)
        take_part(state, "again", [host])
        return
    if what != "ok":
        problem(state, "not watched to the end: " + because(host, result))
    settle(state, ("undone" if as_before else "healed") if what == "ok" else "left_out", now)


def after_again(state: State, seen: Mapping[str, Results], now: float) -> None:
    """What fell ill again is held again, so that the next rung finds it as ours."""
    result = _answer(state, seen, "again")
    if verdict(result) != "ok":
        problem(state, because(state["journal_host"], result))
    settle(state, "left_out", now)


def after_undo(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Back as it was, or a hold is left for a human."""
    result = _answer(state, seen, "undo")
    if verdict(result) != "ok":
        problem(state, "the way back failed: " + because(state["journal_host"], result))
        settle(state, "left_out", now)
        return
    settle(state, "undone", now)
