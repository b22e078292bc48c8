# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A healthy farm of one pair and one pool, and how a case file changes it."""

from __future__ import annotations

import copy
import functools
import json
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._policy import effective

NOW = 1_000_000.0
NODES = ("ei1", "ei2", "ei3")
BALANCERS = ("extlb1", "extlb2")
ADDRESSES = {"ei1": "10.0.0.21", "ei2": "10.0.0.22", "ei3": "10.0.0.23"}
GROUPS = {"all": ["monitor", *BALANCERS, *NODES], "monitor": ["monitor"], "extlb": [*BALANCERS], "ei": [*NODES]}
EI = {
    "selfheal_strategy": "lb_detach", "selfheal_mode": "act", "selfheal_balancers": "extlb",
    "selfheal_service": "ei.service", "selfheal_port": 8280, "selfheal_health_path": "/health",
}  # fmt: skip
EXTLB = {
    "selfheal_strategy": "keepalived_failover", "selfheal_mode": "act", "selfheal_service": "haproxy.service",
    "selfheal_port": 80, "selfheal_vip": "10.0.0.100", "selfheal_instance": "VI_ext", "selfheal_preferred": "extlb1",
    "selfheal_config_files": ["/etc/haproxy/haproxy.cfg"],
}  # fmt: skip
HOSTVARS: dict[str, dict[str, Any]] = {
    "monitor": {}, **{name: dict(EXTLB) for name in BALANCERS}, **{name: dict(EI) for name in NODES}
}  # fmt: skip


@functools.cache
def _policies() -> str:
    found = {layer: effective(layer, HOSTVARS, GROUPS) for layer in ("ei", "extlb")}
    for policy in found.values():
        policy["gauges"] = []  # the planner reads verdicts, not gauges
    return json.dumps(found)


def policies() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_policies())
    return found


def server(node: str, **changes: Any) -> dict[str, Any]:
    return {
        "backend": "be_ei", "server": node, "address": ADDRESSES[node], "port": 8280, "operational": "running",
        "admin": "ready", "admin_flags": [], "weight": 100, "sessions": 3, "queue": 0, "check": "L7OK", "hold": None,
        **changes,
    }  # fmt: skip


def balancer(holds: bool) -> dict[str, Any]:
    return {
        "reachable": True, "ssh": True, "age_seconds": 0.4, "error": "", "holds_address": holds,
        "servers": [server(node) for node in NODES], "backends": [{"name": "be_ei", "queue": 0, "sessions": 9}],
    }  # fmt: skip


def pair_node(name: str, state: str | None) -> dict[str, Any]:
    return {
        "reachable": True, "ssh": True, "age_seconds": 0.4, "error": "", "running": True, "stopped": False,
        "doubt": "", "comparable": "same",
        "files": {"/etc/haproxy/haproxy.cfg": "same"}, "service": {"ok": True, "detail": "200"}, "members_up": 3,
        "instance": {
            "instance": "VI_ext", "state": state, "address_present": state == "MASTER",
            "adverts_heard": state == "BACKUP",
            "base_priority": 200 if name == "extlb1" else 150, "effective_priority": 200, "nopreempt": False,
            "track_file": True, "offset": 0, "hold": None,
        },
    }  # fmt: skip


def verdict(node: str, word: str, at: float = NOW - 2) -> dict[str, Any]:
    """``word`` is the kind of illness of a faulty node, or another verdict, or ``load``, or ``keepalived``."""
    kinds = {"resource": "memory 97 %", "service": "HTTP 500", "connectivity": "ping lost", "storage": "/ 100 % full",
             "load": "CPU 99 %", "keepalived": "keepalived dead"}  # fmt: skip
    if word not in kinds:
        return {"node": node, "verdict": word, "kind": None, "layer_load": False, "readings": [],
                "reasons": [] if word == "ok" else ["memory %s" % word]}  # fmt: skip
    reading = {"gauge": "memory", "service": "memory", "verdict": "faulty", "at": at}
    if word == "keepalived":
        reading.update(gauge="keepalived", service="keepalived", vrrp=True)
    kind = {"load": "resource", "keepalived": "service"}.get(word, word)
    return {"node": node, "verdict": "faulty", "kind": kind, "layer_load": word == "load", "reasons": [kinds[word]],
            "readings": [reading]}  # fmt: skip


def host(name: str) -> dict[str, Any]:
    return {"host": name, "status": "up", "state_type": "hard", "acknowledged": False, "flapping": False,
            "downtime_depth": 0, "handler_enabled": True, "parents": []}  # fmt: skip


def snapshot() -> dict[str, Any]:
    ours = (*BALANCERS, *NODES)
    return {
        "node": None, "reason": "", "origin": "hand", "controller": {"node": "desk", "host": ["localhost", "monitor"]},
        "nagios": {"fresh": True, "reason": "ok", "age_seconds": 1.0, "message": "fresh"},
        "verdicts": {name: verdict(name, "ok") for name in ours},
        "hosts": {name: host(name) for name in ("monitor", *ours)},
        "downtimes": [], "marks": {}, "since": {}, "machine_ids": {}, "paused": False, "alert": None,
        "balancers": {"extlb1": balancer(True), "extlb2": balancer(False)},
        "pair": {"extlb1": pair_node("extlb1", "MASTER"), "extlb2": pair_node("extlb2", "BACKUP")},
        "members": {name: {"address": ADDRESSES[name], "port": 8280} for name in NODES},
        "layers": {"ei": [*NODES], "extlb": [*BALANCERS]},
    }  # fmt: skip


def history() -> dict[str, Any]:
    return {"attempts": [], "leases": [], "incidents": [], "paused": False, "aborts": [],
            "fresh_journal": False, "policies": {}}  # fmt: skip


def farm(case: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], float]:
    """The input of the planner that a case file describes. Times in a case are seconds before now."""
    case = copy.deepcopy(case)
    seen, rules, past = snapshot(), policies(), history()
    seen["node"] = case.get("node")
    seen["reason"] = case.get("reason", "")
    for name, word in (case.get("ill") or {}).items():
        seen["verdicts"][name] = verdict(name, word)
    for name, ago in (case.get("since") or {}).items():
        seen["since"][name] = NOW - ago
    for where, changes in (case.get("servers") or {}).items():
        which, name = where.split("/")
        for one in BALANCERS if which == "*" else (which,):
            for item in seen["balancers"][one]["servers"]:
                if item["server"] == name:
                    item.update(changes)
    merge(seen["balancers"], case.get("balancers") or {})
    merge(seen["pair"], case.get("pair") or {})
    merge(seen, case.get("snapshot") or {})
    merge(rules, case.get("policy") or {})
    past.update(case.get("history") or {})
    for attempt in past["attempts"]:
        for key in ("at", "ended_at", "phase_at"):
            if attempt.get(key) is not None:
                attempt[key] = NOW - attempt[key]
    for lease in past["leases"]:
        if "left" in lease:
            lease["expires_at"] = NOW + lease.pop("left")
    for incident in past["incidents"]:
        incident["opened_at"] = NOW - incident.get("opened_at", 60)
    return seen, rules, past, NOW


def merge(base: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = value
