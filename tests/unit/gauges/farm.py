# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A healthy layer as Nagios shows it, and the short words with which the cases make it ill."""

from __future__ import annotations

from typing import Any

NOW = 1_700_000_000.0
KB = 24_000_000
"""Memory of a node."""

HEALTHY: dict[str, dict[str, Any]] = {
    "memory": {"used": 0.3},
    "cpu": {"busy": 0.2},
    "disk /": {"full": 0.4},
    "ping": {"perf": "rta=0.369000ms;100.000000;500.000000;0.000000 pl=0%;20;60;0;"},
    "http": {"perf": "time=0.006242s;;;0.000000;10.000000 size=602B;;;0;"},
}
NRPE_REFUSED = "connect to address 10.0.0.1 port 5666: Connection refused"


def service(node: str, name: str, words: dict[str, Any]) -> dict[str, Any]:
    """A record of ``_nagios``. ``*_ago`` are seconds before now; ``used``, ``busy``, ``full`` make the perfdata."""
    words = {"status": "ok", "state_type": "hard", "ago": 5, "since": 86400, "hard_since": 86400, **words}
    return {
        "host": node,
        "service": name,
        "status": words["status"],
        "state_type": words["state_type"],
        "attempt": 1 if words["state_type"] == "soft" or words["status"] == "ok" else 3,
        "max_attempts": 3,
        "last_check": None if words["ago"] is None else NOW - words["ago"],
        "execution_time": words.get("took", 0.0),
        "last_state_change": NOW - words["since"],
        "last_hard_state_change": NOW - words["hard_since"],
        "output": words.get("output", f"{name} as expected"),
        "perf_data": words["perf"] if "perf" in words else perfdata(words),
        "checked": words["status"] != "pending",
        "unreadable": words.get("unreadable", False),
        "acknowledged": False,
        "flapping": False,
        "downtime_depth": words.get("downtime", 0),
        "handler_enabled": True,
        "checks_enabled": True,
    }


def perfdata(words: dict[str, Any]) -> str:
    if "used" in words:
        free = round(KB * (1 - words["used"]))
        return f"mem_total={KB}kB mem_used={KB - free}kB;1;2;0;{KB} mem_free={free}kB mem_available={free}kB;;;0;{KB}"
    if "busy" in words:
        return f"cpu_user={words['busy'] * 100}% cpu_system=0.0% cpu_idle={100 - words['busy'] * 100}% cpu_steal=0.0%"
    if "load" in words:
        return f"load1={words['load'] * 4};;;0; scaled_load1={words['load']};1.000;1.500;0;"
    if "full" in words:
        return f"{words.get('path', '/')}={words['full'] * 1e11:.0f}B;80;90;0;{1e11:.0f}"
    return ""


def layer(nodes: dict[str, dict[str, Any] | None]) -> list[dict[str, Any]]:
    """All services of all nodes: the healthy ones, changed by each node's words; null takes a service away."""
    services = []
    for node, changes in nodes.items():
        if changes is None:  # Nagios shows nothing of it
            continue
        for name in (*HEALTHY, *(name for name in changes if name not in HEALTHY)):
            if name in changes and changes[name] is None:
                continue
            words = changes.get(name, {})
            numbers = {"perf", "used", "busy", "full", "load"} & words.keys()
            base = {} if numbers else HEALTHY.get(name, {})
            services.append(service(node, name, {**base, **words}))
    return services


def host(name: str, words: dict[str, Any]) -> dict[str, Any]:
    """A host record of ``_nagios``."""
    return {
        "host": name,
        "status": words.get("status", "up"),
        "state_type": words.get("state_type", "hard"),
        "last_check": NOW - words.get("ago", 5),
        "last_state_change": NOW - 3600,
        "last_hard_state_change": NOW - 3600,
        "checked": True,
        "output": "",
        "downtime_depth": words.get("downtime", 0),
        "parents": [],
    }


def earlier(node: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """History: each entry names service, label and values by age, the oldest first."""
    return [
        {
            "node": node,
            "gauge": entry.get("gauge", ""),
            "service": entry["service"],
            "label": entry["label"],
            "value": value,
            "at": NOW - ago,
        }
        for entry in entries
        for ago, value in entry["values"]
    ]
