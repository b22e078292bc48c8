# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a watch asks of an answer, and when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.action.heal_watch import _outcome
from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_watch as watch

MEMBER = {"address": "10.0.0.21", "port": 8280}
PAIR = {"instance": "VI"}


def balancer(**changes: Any) -> dict[str, Any]:
    row = {"backend": "be", "server": "ei1", "address": "10.0.0.21", "port": 8280, "operational": "running",
           "admin": "ready", "weight": 1, "check": "L7OK", **changes}  # fmt: skip
    return {"balancer": {"servers": [row], "uptime_seconds": 5}}


def node(state: str, address: bool, heard: bool = True, ok: bool = True, running: bool = True) -> dict[str, Any]:
    instance = {"instance": "VI", "state": state, "address_present": address, "adverts_heard": heard}
    service = {"ok": ok, "detail": "HTTP 503"}
    return {"keepalived": {"running": running, "instances": [instance], "service": service}}


@pytest.mark.parametrize(
    ("question", "answer", "about", "well"),
    [
        ("member_serves", balancer(), MEMBER, True),
        ("member_serves", balancer(operational="stopped"), MEMBER, False),
        ("member_serves", balancer(admin="maint"), MEMBER, False),
        ("member_serves", balancer(address="10.0.0.22"), MEMBER, False),
        ("member_serves", {}, MEMBER, False),
        ("members_checked", balancer(), {}, True),
        ("members_checked", balancer(check=""), {}, False),
        ("members_checked", balancer(check="INI"), {}, False),
        ("members_checked", balancer(check="", admin="maint"), {}, True),
        ("members_checked", balancer(), {"uptime": 9}, False),
        ("members_checked", {}, {}, False),
        ("standby_proven", node("BACKUP", False), PAIR, True),
        ("standby_proven", node("BACKUP", True), PAIR, False),
        ("standby_proven", node("BACKUP", False, heard=False), PAIR, False),
        ("standby_proven", node("BACKUP", False, ok=False), PAIR, False),
        ("standby_proven", node("BACKUP", False, running=False), PAIR, False),
        ("standby_proven", node("FAULT", False), PAIR, False),
        ("standby_proven", node("MASTER", True), PAIR, False),
        ("standby_proven", {}, PAIR, False),
        ("holds_address", node("MASTER", True), PAIR, True),
        ("holds_address", node("MASTER", False), PAIR, False),
        ("holds_address", node("BACKUP", False), PAIR, False),
        ("holds_address", node("MASTER", True, ok=False), PAIR, False),
        ("no_address", node("FAULT", False, running=False), PAIR, True),
        ("no_address", node("BACKUP", True), PAIR, False),
        ("well_in_pair", node("MASTER", True), PAIR, True),
        ("well_in_pair", node("BACKUP", False), PAIR, True),
        ("well_in_pair", node("BACKUP", True), PAIR, False),
        ("well_in_pair", node("FAULT", False), PAIR, False),
    ],
)
def test_questions(question: str, answer: dict[str, Any], about: dict[str, Any], well: bool) -> None:
    assert (watch.QUESTIONS[question](answer, about) == "") is well


@pytest.mark.parametrize(
    ("mode", "answers", "over"),
    [
        ("until", [], False),
        ("until", ["bad"], False),
        ("until", ["bad", ""], True),
        ("while", [""], False),
        ("while", ["bad"], False),
        ("while", ["bad", ""], False),
        ("while", ["", "bad", "bad"], True),
    ],
)
def test_when_a_watch_is_over(mode: str, answers: list[str], over: bool) -> None:
    assert watch.judge(mode, answers, 2) is over


@pytest.mark.parametrize(
    ("mode", "said", "silent", "verdict"),
    [
        ("until", ["bad", ""], 0, "well"),
        ("until", ["bad", "bad"], 0, "ill"),
        ("until", [], 3, "unreachable"),
        ("while", ["", ""], 1, "well"),
        ("while", ["", "bad", "bad"], 0, "ill"),
        ("while", [], 3, "unreachable"),
    ],
)
def test_a_lost_connection_is_no_illness(mode: str, said: list[str], silent: int, verdict: str) -> None:
    outcome = _outcome({"mode": mode, "patience": 2}, said, silent)
    assert bool(outcome.get("failed")) is (verdict == "ill")
    assert bool(outcome.get("unreachable")) is (verdict == "unreachable")
