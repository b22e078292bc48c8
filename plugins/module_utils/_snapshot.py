# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the systems said, brought into the one shape that the planner reads. Pure: no clock, no I/O.

A witness that did not answer stays in the snapshot as unreachable, with its error. Nothing is filled in: what
was not seen is ``None``, and the planner decides what that means.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._planner_json import plain

Result = Optional[Mapping[str, Any]]


def build(
    node: Optional[str],
    reason: str,
    now: float,
    policies: Mapping[str, Mapping[str, Any]],
    balancers: Mapping[str, Result],
    keepalived: Mapping[str, Result],
    nagios: Result,
    addresses: Mapping[str, str],
    controller: Mapping[str, Any],
    origin: str = "hand",
    paused: bool = False,
    alert: Optional[Mapping[str, Any]] = None,
    unresolved: Optional[Mapping[str, str]] = None,
    kubernetes: Result = None,
) -> Dict[str, Any]:
    """``balancers``, ``keepalived``, ``nagios`` and ``kubernetes`` are the registered results of the info modules.

    ``unresolved`` says of each host without a certain address why it has none.
    """
    judged = _judged(nagios)
    snapshot: Dict[str, Any] = {
        "node": node,
        "reason": reason or "",
        "origin": origin,
        "controller": {"node": controller.get("node", "localhost"), "host": sorted(controller.get("host", ()))},
        "layers": {layer: list(policy["nodes"]) for layer, policy in policies.items()},
        "members": {},
        "balancers": {},
        "pair": {},
        "machine_ids": _machine_ids(balancers, keepalived),
        "paused": bool(paused),
        "alert": dict(alert) if alert else None,
    }
    snapshot.update(judged)
    snapshot["marks"], snapshot["since"] = _marks(judged["verdicts"], _answer(nagios).get("services") or {})
    if unresolved:
        snapshot["unresolved"] = dict(unresolved)
    if any(policy["kind"] in ("workload", "machine") for policy in policies.values()):
        snapshot["kubernetes"] = _cluster(kubernetes)
    for policy in policies.values():
        for name in policy["nodes"]:
            if policy["port"] is not None:
                snapshot["members"][name] = {"address": addresses.get(name, name), "port": policy["port"]}
        for name in policy["balancers"]:
            snapshot["balancers"][name] = _balancer(name, balancers.get(name), keepalived.get(name), policies, now)
        if policy["kind"] == "pair":
            for name in policy["nodes"]:
                up = _members_up(_answer(balancers.get(name)))
                snapshot["pair"][name] = _pair_node(keepalived.get(name), policy["instance"], up, now)
    return dict(plain(snapshot))


def reached(result: Result) -> bool:
    return bool(result) and not (_flag(result, "unreachable") or _flag(result, "failed") or _flag(result, "skipped"))


def error(result: Result) -> str:
    if not result:
        return "was not asked"
    if reached(result):
        return ""
    return str(result.get("msg") or "no answer").strip().splitlines()[0][:300]


def by_ssh(result: Result) -> Optional[bool]:
    """Whether SSH reached the machine, whatever the module said then; None when nobody knows.

    Nor does anybody know it of a task that was cut off by its time-out: SSH may have waited for a greeting until then.
    """
    if not result or _flag(result, "skipped") or _flag(result, "timedout"):
        return None
    return not _flag(result, "unreachable")


def serving(server: Mapping[str, Any]) -> bool:
    """In rotation by the balancer's own view, and not on its way out by a hold (invariant 2)."""
    return (
        server.get("operational") == "running"
        and server.get("admin") == "ready"
        and (server.get("weight") or 0) > 0
        and not server.get("hold")
    )


def _flag(result: Result, name: str) -> bool:
    return bool(result and result.get(name))


def _answer(result: Result) -> Mapping[str, Any]:
    return result if result and reached(result) else {}


def _age(result: Result, now: float) -> float:
    at = _answer(result).get("at")
    return round(max(0.0, now - at), 3) if isinstance(at, (int, float)) else 0.0


def _judged(nagios: Result) -> Dict[str, Any]:
    answer = _answer(nagios)
    fresh = answer.get("nagios") or {
        "fresh": False, "reason": "unreachable", "age_seconds": None, "message": error(nagios),
    }  # fmt: skip
    return {
        "nagios": dict(fresh),
        "verdicts": dict(answer.get("verdicts") or {}),
        "hosts": dict(answer.get("hosts") or {}),
        "downtimes": list(answer.get("downtimes") or []),
        "past": dict(answer.get("past") or {}),  # the plan reads verdicts only; this is what they rest on
    }


def _marks(verdicts: Mapping[str, Any], services: Mapping[str, Any]) -> Any:
    """Which of the services behind a verdict are acknowledged, flapping, in downtime or without handler."""
    marks: Dict[str, Dict[str, List[str]]] = {}
    since: Dict[str, Optional[float]] = {}
    for node, verdict in verdicts.items():
        bad = {item.get("service") for item in verdict.get("readings") or () if item.get("verdict") == "faulty"}
        mine = [item for item in services.get(node) or () if item.get("service") in bad]
        marks[node] = {
            "acknowledged": sorted(item["service"] for item in mine if item.get("acknowledged")),
            "flapping": sorted(item["service"] for item in mine if item.get("flapping")),
            "downtime": sorted(item["service"] for item in mine if (item.get("downtime_depth") or 0) > 0),
            "handler_disabled": sorted(item["service"] for item in mine if item.get("handler_enabled") is False),
        }
        since[node] = _first(item.get("last_state_change") or item.get("last_hard_state_change") for item in mine)
    return marks, since


def _first(times: Iterable[Optional[float]]) -> Optional[float]:
    known = [time for time in times if time]
    return min(known) if known else None


def _balancer(
    name: str, result: Result, keepalived: Result, policies: Mapping[str, Mapping[str, Any]], now: float
) -> Dict[str, Any]:
    answer = _answer(result).get("balancer") or {}
    return {
        "reachable": reached(result),
        "ssh": by_ssh(result),
        "age_seconds": _age(result, now),
        "error": error(result),
        "holds_address": _holds_address(name, keepalived, policies),
        "servers": list(answer.get("servers") or []),
        "backends": list(answer.get("backends") or []),
    }


def _cluster(result: Result) -> Dict[str, Any]:
    seen = _answer(result).get("kubernetes")
    if seen:
        return dict(seen)
    return {"reachable": False, "reason": "", "error": error(result), "workloads": {}, "nodes": {}}


def _holds_address(name: str, keepalived: Result, policies: Mapping[str, Mapping[str, Any]]) -> Optional[bool]:
    wanted = {
        policy["instance"] for policy in policies.values() if policy["kind"] == "pair" and name in policy["nodes"]
    }
    found = [
        instance
        for instance in (_answer(keepalived).get("keepalived") or {}).get("instances") or ()
        if not wanted or instance.get("instance") in wanted
    ]
    return any(instance.get("address_present") for instance in found) if found else None


def _members_up(answer: Mapping[str, Any]) -> Optional[int]:
    balancer = answer.get("balancer")
    if not balancer:
        return None
    return len({(item.get("address"), item.get("port")) for item in balancer.get("servers") or () if serving(item)})


def _pair_node(result: Result, name: str, members_up: Optional[int], now: float) -> Dict[str, Any]:
    answer = _answer(result).get("keepalived") or {}
    instance = next((item for item in answer.get("instances") or () if item.get("instance") == name), None)
    return {
        "reachable": reached(result),
        "ssh": by_ssh(result),
        "age_seconds": _age(result, now),
        "error": error(result),
        "running": bool(answer.get("running")),
        "stopped": answer.get("stopped") is True,
        "doubt": str(answer.get("error") or ""),
        "instance": dict(instance) if instance else None,
        "comparable": answer.get("comparable"),
        "files": dict(answer.get("files") or {}),
        "service": answer.get("service"),
        "members_up": members_up,
    }


def _machine_ids(*groups: Mapping[str, Result]) -> Dict[str, str]:
    found = {}
    for results in groups:
        for name, result in results.items():
            value = _answer(result).get("machine_id")
            if isinstance(value, str) and value:
                found[name] = value
    return found
