# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A farm in perfect order as observations, which each test then breaks in one place."""

from __future__ import annotations

import copy
from typing import Any

NODES = {"extlb1": "10.0.0.11", "extlb2": "10.0.0.12", "ei1": "10.0.0.21", "ei2": "10.0.0.22", "ei3": "10.0.0.23"}


def server(node: str) -> dict[str, Any]:
    return {
        "backend": "be_ei", "server": node, "address": NODES[node], "port": 8280, "operational": "running",
        "admin": "ready", "admin_flags": [], "weight": 1, "sessions": 2, "queue": 0, "check": "L7OK", "hold": None,
    }  # fmt: skip


def target(number: int, unit: str) -> dict[str, Any]:
    return {
        "machine_id": f"{number:032x}", "boot_id": "b", "root": True,
        "unit": {"name": unit, "exists": True, "active": True, "restartable": True, "detail": "active/running"},
        "guard": {"name": "selfheal-guard.service", "exists": True, "active": True},
        "listening": {"service": True, "nrpe": True}, "config_test": [{"argv": ["true"], "ok": True, "detail": ""}],
        "socket": None, "track_file": None, "journal": None, "root_read_only": False, "full_disks": [],
        "package_manager": False, "connections_readable": True,
    }  # fmt: skip


def instance(state: str, priority: int) -> dict[str, Any]:
    return {
        "instance": "VI_ext", "state": state, "base_priority": priority, "effective_priority": priority,
        "vips": ["10.0.0.100"], "address_present": state == "MASTER", "adverts_heard": state != "MASTER",
        "nopreempt": False, "preempt_delay_seconds": 0, "track_file": True, "offset": 0, "hold": None,
    }  # fmt: skip


def farm() -> dict[str, Any]:
    """Observations in the shape that ``_survey.survey`` takes."""
    seen: dict[str, Any] = {}
    for number, (node, state, priority) in enumerate((("extlb1", "MASTER", 200), ("extlb2", "BACKUP", 150))):
        seen[node] = {
            "reachable": True, "error": "",
            "balancer": {"servers": [server(name) for name in ("ei1", "ei2", "ei3")], "backends": []},
            "keepalived": {"running": True, "instances": [instance(state, priority)], "comparable": "c", "files": {}},
            "target": {**target(number + 1, "haproxy.service"),
                       "socket": {"path": "/run/haproxy/admin.sock", "exists": True, "level": "admin", "error": ""}},
        }  # fmt: skip
    for number, node in enumerate(("ei1", "ei2", "ei3")):
        seen[node] = {"reachable": True, "error": "", "target": target(number + 10, "ei.service")}
    seen["monitor"] = {
        "reachable": True, "error": "", "target": target(99, ""),
        "nagios": {
            "nagios": {"fresh": True, "reason": "ok", "message": "", "age_seconds": 0.4, "status_update_interval": 1},
            "verdicts": {node: {"verdict": "ok", "kind": None, "reasons": []} for node in NODES},
            "services": {node: [{"service": "CPU"}] for node in NODES},
        },
        "journal": {"paused": False, "incidents": [], "leases": []},
    }  # fmt: skip
    pool = {
        "layer": "ei", "nodes": ["ei1", "ei2", "ei3"], "kind": "pool", "strategy": "lb_detach", "mode": "act",
        "balancers": ["extlb1", "extlb2"], "service": "ei.service", "port": 8280, "limits": {"max_unavailable": 1},
    }  # fmt: skip
    pair = {
        "layer": "extlb", "nodes": ["extlb1", "extlb2"], "kind": "pair", "strategy": "keepalived_failover",
        "mode": "act", "balancers": [], "service": "haproxy.service", "port": 80, "vip": "10.0.0.100",
        "instance": "VI_ext", "preferred": "extlb1", "home": "now", "config_files": [], "limits": {},
    }  # fmt: skip
    return copy.deepcopy(
        {
            "now": 1000.0, "layers": [pair, pool], "problems": [], "group_names": ["ei", "extlb", "monitor"],
            "addresses": NODES, "monitor": "monitor", "journal_host": "monitor", "own_hosts": ["monitor"],
            "controller_machine_id": "c" * 32, "nagios_url": "http://monitor/cgi-bin", "seen": seen,
        }
    )  # fmt: skip


def planner(node: str, reason: str) -> dict[str, Any]:
    """A planner that finds every node well."""
    if reason == "drill":
        return {"admitted": True, "refusals": [], "strategy": "lb_detach", "summary": f"{node} could be healed"}
    return {"admitted": False, "refusals": [{"reason": "not_ill", "detail": f"{node} is ok"}], "summary": ""}
