# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The answer of Nagios' bulk query for a big farm, made from a seed: every service with a string of its own.

The fields of a service, their order and the shapes of the strings are those of Nagios Core 4.4.6 and of the plugins of
Debian 12; some strings are odd or broken, as on real sites.
"""

from __future__ import annotations

import json
import random
from typing import Any

NOW = 1_700_000_000
LAYER_SIZE = 20
"""Nodes per layer."""
SERVICES = ("memory", "cpu", "disk /", "disk /var", "ping", "http", "procs", "ntp", "users", "network")


def layers(nodes: int) -> dict[str, list[str]]:
    names = [f"node{number:05d}" for number in range(nodes)]
    return {f"layer{at // LAYER_SIZE:04d}": names[at : at + LAYER_SIZE] for at in range(0, nodes, LAYER_SIZE)}


def answer(nodes: int, seed: int, ill_share: float = 0.02) -> bytes:
    """The body of ``servicelist`` with details, for ``nodes`` nodes of ten services each."""
    dice = random.Random(seed)
    listed: dict[str, dict[str, Any]] = {}
    number = 0
    for node in range(nodes):
        name = f"node{node:05d}"
        ill = dice.random() < ill_share
        listed[name] = {}
        for service in SERVICES:
            number += 1
            listed[name][service] = _service(name, service, number, ill, dice)
    result = {
        "query_time": NOW * 1000,
        "cgi": "statusjson.cgi",
        "user": "selfheal",
        "query": "servicelist",
        "query_status": "released",
        "program_start": (NOW - 86400) * 1000,
        "last_data_update": (NOW - 1) * 1000,
        "type_code": 0,
        "type_text": "Success",
        "message": "",
    }
    body = {"format_version": 0, "result": result, "data": {"selectors": {}, "servicelist": listed}}
    return json.dumps(body, indent=1).encode()


def _service(host: str, name: str, number: int, ill: bool, dice: random.Random) -> dict[str, Any]:
    status, perf = STRINGS[name](dice, ill, number)
    checked = (NOW - dice.randint(0, 59)) * 1000
    changed = (NOW - dice.randint(60, 10**6)) * 1000
    return {
        "host_name": host,
        "description": name,
        "plugin_output": f"{name.upper()} {status.upper()} - {dice.random():.6f} as seen from the monitor",
        "long_plugin_output": "",
        "perf_data": perf,
        "max_attempts": 3,
        "current_attempt": 1 if status == "ok" else 3,
        "status": status,
        "last_update": (NOW - 1) * 1000,
        "has_been_checked": True,
        "should_be_scheduled": True,
        "last_check": checked,
        "check_options": [],
        "check_type": "active",
        "checks_enabled": True,
        "last_state_change": changed,
        "last_hard_state_change": changed,
        "last_hard_state": status,
        "last_time_ok": checked if status == "ok" else changed,
        "last_time_warning": 0,
        "last_time_unknown": 0,
        "last_time_critical": 0 if status == "ok" else checked,
        "state_type": "hard",
        "last_notification": 0,
        "next_notification": 0,
        "next_check": checked + 60_000,
        "no_more_notifications": False,
        "notifications_enabled": True,
        "problem_has_been_acknowledged": False,
        "acknowledgement_type": "none",
        "current_notification_number": 0,
        "accept_passive_checks": True,
        "event_handler_enabled": True,
        "flap_detection_enabled": True,
        "is_flapping": False,
        "percent_state_change": 0.0,
        "latency": round(dice.random(), 2),
        "execution_time": round(dice.random(), 2),
        "scheduled_downtime_depth": 0,
        "process_performance_data": True,
        "obsess": True,
    }


def _memory(dice: random.Random, ill: bool, number: int) -> tuple[str, str]:
    total = 24_000_000 + number
    used = int(total * (dice.uniform(0.92, 0.99) if ill else dice.uniform(0.1, 0.7)))
    perf = (
        f"mem_total={total}kB mem_used={used}kB;{total * 8 // 10};{total * 9 // 10};0;{total} "
        f"mem_free={total - used}kB mem_shared={dice.randint(1, 9999)}kB mem_buffers={dice.randint(1, 99999)}kB "
        f"mem_cached={dice.randint(1, 999999)}kB mem_available={total - used}kB;;;0;{total} "
        f"mem_active={dice.randint(1, 999999)}kB mem_dirty={dice.randint(1, 9999)}kB"
    )
    return ("critical" if ill else "ok"), perf


def _cpu(dice: random.Random, ill: bool, number: int) -> tuple[str, str]:
    load = dice.uniform(0.0, 0.9) + number / 1e7
    kind = number % 3
    if kind == 0:
        return "ok", (
            f"load1={load:.7f};;;0; scaled_load1={load / 4:.7f};1.000;1.500;0; load5={load:.3f};;;0; "
            f"scaled_load5={load / 4:.3f};1.000;1.500;0; load15={load:.3f};;;0; "
            f"scaled_load15={load / 4:.3f};1.000;1.500;0; "
        )
    if kind == 1:
        return (
            "ok",
            f"load1={load:.7f};5.000;10.000;0; load5={load:.3f};4.000;6.000;0; load15={load:.3f};3.000;4.000;0;",
        )
    idle = dice.uniform(0.1, 99.0)
    return "ok", f"cpu_user={99 - idle:.7f}% cpu_system=0.5% cpu_idle={idle:.7f}% cpu_iowait=0.{number}% cpu_steal=0.0%"


def _disk(dice: random.Random, ill: bool, number: int) -> tuple[str, str]:
    total = 108_944_293_888 + number
    used = int(total * dice.uniform(0.05, 0.85))
    label = "/" if number % 2 else f"'/var/data {number}'"
    return "ok", f"{label}={used}B;{total * 8 // 10};{total * 9 // 10};0;{total}"


def _ping(dice: random.Random, ill: bool, number: int) -> tuple[str, str]:
    rta = dice.uniform(0.01, 9.0)
    if number % 50 == 0:  # a monitor with a German locale
        return "ok", f"rta={rta:.6f}{number}ms;200,000;500,000;0; pl=0%;40;80;; rtmax=9,1ms;;;;".replace(".", ",", 1)
    return "ok", f"rta={rta:.6f}{number}ms;100.000000;500.000000;0.000000 pl=0%;20;60;0;"


def _http(dice: random.Random, ill: bool, number: int) -> tuple[str, str]:
    if ill and number % 4 == 0:
        return "critical", f"time=U;;;0.000000;10.000000 size={number}B"
    return "ok", f"time={dice.uniform(0.001, 1.5):.6f}{number}s;;;0.000000;10.000000 size={number}B;;;0;"


def _procs(dice: random.Random, ill: bool, number: int) -> tuple[str, str]:
    return "ok", f"procs={number};250;400;0; procs_warn={dice.randint(0, 9)};;;0; procs_crit=0;;;0;"


def _ntp(dice: random.Random, ill: bool, number: int) -> tuple[str, str]:
    if number % 7 == 0:
        return "ok", f"entropy={number} bytes"
    return "ok", f"offset={dice.uniform(-0.1, 0.1):.6f}{number}s;0.500000;1.000000; jitter=U;;;"


def _users(dice: random.Random, ill: bool, number: int) -> tuple[str, str]:
    return "ok", f"users={dice.randint(0, 4)};5;10;0 uptime={number};;;0;"


def _network(dice: random.Random, ill: bool, number: int) -> tuple[str, str]:
    return "ok", (
        f"eth0_rxbyt/s={dice.randint(0, 10**9)} eth0_txbyt/s={number} eth0_rxerr/s=0, eth0_txerr/s=0, "
        f"'eth0 drops'={dice.randint(0, 9)}c"
    )


STRINGS = {
    "memory": _memory,
    "cpu": _cpu,
    "disk /": _disk,
    "disk /var": _disk,
    "ping": _ping,
    "http": _http,
    "procs": _procs,
    "ntp": _ntp,
    "users": _users,
    "network": _network,
}
