# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Answers of Nagios 4.4.6 as recorded, and an opener that gives them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

NOW_MS = 1_700_000_000_000

SERVICE: dict[str, Any] = {
    "host_name": "web1",
    "description": "memory",
    "plugin_output": "CRITICAL: 4% available",
    "long_plugin_output": "",
    "perf_data": "mem_available=10kB",
    "max_attempts": 3,
    "current_attempt": 2,
    "status": "critical",
    "last_update": NOW_MS,
    "has_been_checked": True,
    "should_be_scheduled": True,
    "last_check": NOW_MS - 3000,
    "execution_time": 0.12,
    "next_check": NOW_MS + 7000,
    "check_options": [],
    "check_type": "active",
    "checks_enabled": True,
    "last_state_change": NOW_MS - 9000,
    "last_hard_state_change": 0,
    "last_hard_state": "ok",
    "state_type": "soft",
    "problem_has_been_acknowledged": False,
    "event_handler_enabled": True,
    "is_flapping": False,
    "scheduled_downtime_depth": 0,
}
HOST: dict[str, Any] = {
    "name": "web1",
    "plugin_output": "PING OK",
    "status": "up",
    "has_been_checked": True,
    "current_attempt": 1,
    "max_attempts": 2,
    "last_check": NOW_MS,
    "last_state_change": 0,
    "last_hard_state_change": 0,
    "state_type": "hard",
    "problem_has_been_acknowledged": False,
    "event_handler_enabled": True,
    "checks_enabled": True,
    "is_flapping": False,
    "scheduled_downtime_depth": 0,
}


def answer(
    kind: str, listed: Any, age_ms: int | None = 500, code: int = 0, message: str = "", at_ms: int = NOW_MS
) -> bytes:
    """The body of one answer with this list in it."""
    result: dict[str, Any] = {
        "query_time": at_ms,
        "cgi": "statusjson.cgi",
        "user": "selfheal",
        "type_code": code,
        "type_text": "",
        "message": message,
    }
    if age_ms is not None:
        result["last_data_update"] = at_ms - age_ms
    data = {"selectors": {}, kind: listed} if code == 0 else {"options": {}}
    return json.dumps({"format_version": 0, "result": result, "data": data}).encode()


def services(**changes: Any) -> bytes:
    """An answer with one service, changed as told."""
    return answer("servicelist", {"web1": {"memory": {**SERVICE, **changes}}})


class Opener:
    """Gives one canned answer after another (the last one for ever) and remembers what it was asked."""

    def __init__(self, answers: Iterable[bytes | Exception]) -> None:
        self.answers = list(answers)
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, url: str, **options: Any) -> io.BytesIO:
        self.calls.append((url, options))
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(given, Exception):
            raise given
        return io.BytesIO(given)
