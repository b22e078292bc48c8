# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a watch asks of an answer, and when it is over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.selfheal.cluster.plugins.action import heal_watch
from ansible_collections.selfheal.cluster.plugins.action.heal_watch import _outcome
from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_watch as watch
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_state import verdict

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


def worker(**changes: Any) -> dict[str, Any]:
    return {"node": {"ready": True, "boot_id": "b1", **changes}}


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
        ("node_ready", worker(), {"boot_id": ""}, True),
        ("node_ready", worker(ready=False), {"boot_id": ""}, False),
        ("node_ready", worker(), {"boot_id": "b1"}, False),
        ("node_ready", worker(), {"boot_id": "b0"}, True),
        ("node_ready", worker(unready=["kube-system/net"]), {"pods": ["kube-system/net", "kube-system/log"]}, False),
        ("node_ready", worker(unready=["kube-system/net"]), {"pods": ["kube-system/log"]}, True),  # ill before as well
        ("node_ready", worker(unready=["kube-system/net"]), {}, True),  # a soak does not ask for them
        ("node_ready", worker(), {"pods": ["kube-system/net"]}, True),  # an answer that does not tell them
        ("node_ready", {}, {}, False),
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
    ("mode", "said", "broken", "becomes"),
    [
        ("until", ["bad", ""], [], "ok"),
        ("until", ["bad", "bad"], [], "refused"),
        ("until", ["bad"], ["broke"], "failed"),
        ("until", [], ["broke"], "failed"),
        ("until", [], [], "unreachable"),
        ("while", ["", ""], [], "ok"),
        ("while", ["", "bad"], ["broke"], "ok"),  # patience is for either
        ("while", ["", "bad", "bad"], [], "refused"),
        ("while", [""], ["broke", "broke"], "failed"),
        ("while", [], ["broke"], "failed"),
        ("while", [], [], "unreachable"),
    ],
)
def test_neither_a_lost_connection_nor_a_broken_module_is_an_illness(
    mode: str, said: list[str], broken: list[str], becomes: str
) -> None:
    assert verdict(_outcome({"mode": mode, "patience": 2}, said, broken)) == becomes


BROKE = {"failed": True, "msg": "MODULE FAILURE"}
LOST = AnsibleConnectionFailure("no route")


def watched(monkeypatch: pytest.MonkeyPatch, answers: list[Any], mode: str = "until") -> dict[str, Any]:
    """The result of the task, one second of a fake clock per question; the last answer stays."""
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = clock.time = lambda: clock.now
    clock.sleep = lambda seconds: setattr(clock, "now", clock.now + seconds)

    def execute(**_named: Any) -> dict[str, Any]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    arguments = {"ask": "keepalived_info", "args": {}, "question": "no_address", "about": PAIR, "mode": mode,
                 "seconds": 4.0, "since": 0.0, "every": 1.0, "patience": 2}  # fmt: skip
    monkeypatch.setattr(heal_watch, "time", clock)
    monkeypatch.setattr(ActionBase, "run", lambda *_given: {})
    action = object.__new__(heal_watch.ActionModule)
    monkeypatch.setattr(action, "validate_argument_spec", lambda **_named: (None, arguments), raising=False)
    monkeypatch.setattr(action, "_execute_module", execute, raising=False)
    return action.run(task_vars={})


@pytest.mark.parametrize(
    ("mode", "answers", "becomes", "asked"),
    [
        pytest.param("until", [BROKE], "failed", 5, id="no memory for the module: nobody said a word of the node"),
        pytest.param("until", [BROKE, node("BACKUP", False)], "ok", 2, id="it can answer again"),
        pytest.param("until", [node("BACKUP", True)], "refused", 5, id="proven bad"),
        pytest.param("until", [node("BACKUP", True), BROKE], "failed", 5, id="nobody knows what became of it"),
        pytest.param("until", [LOST], "unreachable", 5, id="out of reach"),
        pytest.param("while", [node("BACKUP", False), BROKE, BROKE, node("BACKUP", False)], "ok", 5, id="two gaps"),
        pytest.param("while", [node("BACKUP", False), BROKE], "failed", 5, id="not watched to its end"),
        pytest.param("while", [BROKE, node("BACKUP", True), node("BACKUP", False)], "ok", 5, id="once is no proof"),
        pytest.param("while", [node("BACKUP", True)], "refused", 2, id="ill again"),
    ],
)
def test_only_a_judged_answer_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, mode: str, answers: list[Any], becomes: str, asked: int
) -> None:
    result = watched(monkeypatch, list(answers), mode)
    assert verdict(result) == becomes
    assert ("reason" in result) is (becomes == "refused")
    assert result["asked"] == asked
    if becomes == "failed":
        assert result["msg"] == "MODULE FAILURE"


@pytest.mark.parametrize(
    ("since", "left"),
    [
        pytest.param(0.0, 10.0, id="from now on"),
        pytest.param(997.0, 7.0, id="it counts since the node has its traffic back"),
        pytest.param(900.0, 4.0, id="two bad answers can still end it"),
        pytest.param(1100.0, 10.0, id="a clock that went back makes it no longer"),
    ],
)
def test_a_watch_counts_from_the_time_that_it_is_told(since: float, left: float) -> None:
    asked = {"seconds": 10.0, "since": since, "patience": 2, "every": 2.0}
    assert heal_watch._left(asked, 1000.0) == left
    assert heal_watch._left({**asked, "seconds": 3.0}, 1000.0) <= 3.0
