# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Tables for what the healer tells: comments, states, heartbeat, and their delivery."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from selfheal_cluster.healer import states, told
from selfheal_cluster.healer.config import parse
from selfheal_cluster.healer.deliver import Deliverer, stamped, unstamped
from selfheal_cluster.healer.log import Troubles
from selfheal_cluster.healer.papers import Papers, due_pages

# -- telling -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "there"), [("healed", True), ("left_out", True), ("refused", False), ("gone", False)]
)
def test_a_comment_per_outcome_and_none_per_refusal(outcome: str, there: bool) -> None:
    line = told.comment(
        "ei1", "ei1-x", 1, outcome, {"started_at": 1.0, "traffic_safe_at": 2.5, "problems": ["a;b|c\n"]}
    )
    assert (line is not None) == there
    if line is not None:
        assert line.startswith("ADD_HOST_COMMENT;ei1;1;selfheal;selfheal: ")
        assert "traffic safe after 1.5 s" in line
        assert line.count(";") == 4, "no other field than the text"
        assert "|" not in line and "\n" not in line


@pytest.mark.parametrize(
    ("view", "troubles", "status", "words"),
    [
        ({"read_at": 90.0, "incidents": 2, "runs": 1, "alerts": 0}, {}, "ok", "2 open incidents, 1 runs"),
        ({"read_at": 90.0, "paused": True, "pause": {"at": 40.0, "by": "anna"}}, {}, "ok", "PAUSED by anna for 1 min"),
        ({"read_at": 90.0, "paused": True, "pause": {"at": -3501.0, "by": "anna"}}, {}, "warning", "selfheal resume"),
        ({"begun_at": 41.0}, {}, "warning", "Nagios was not read yet, 59 s"),
        ({"begun_at": 40.0}, {}, "critical", "Nagios was not read yet, 60 s"),
        ({"begun_at": 41.0, "watching": False}, {}, "warning", "no layer has a policy yet"),
        ({"begun_at": 0.0, "paused": True}, {}, "critical", "not read yet"),
        ({"read_at": 39.0}, {}, "critical", "Nagios read 61 s ago, that may be 60 s"),
        ({"read_at": 39.0, "read_limit": 300.0}, {}, "ok", "Nagios read 61 s ago"),
        ({"read_at": 400.0}, {}, "ok", "Nagios read 0 s ago"),
        ({"read_at": 90.0}, {"journal": "its disk is full"}, "critical", "cannot heal: its disk is full"),
    ],
)
def test_the_heartbeat(view: dict[str, Any], troubles: dict[str, str], status: str, words: str) -> None:
    found = told.heartbeat(view, troubles, 100.0)
    assert found[0] == status
    assert words in found[1]


def test_a_name_that_nagios_cannot_have_is_not_told() -> None:
    assert told.comment("a;b", "x", 1, "healed", {}) is None
    assert told.human_comment("a\nb", "x", "look") is None
    assert told.node_state("monitor", "a;b", "") is None


def test_states_at_changes_and_every_five_minutes() -> None:
    kept = states.States()
    texts = {"a": "", "b": "look"}
    changed, again = kept.due(texts, 0.0)
    assert (changed, again) == ({"b": "look"}, {"a": ""})
    kept.done({**changed, **again}, 0.0)
    assert kept.due(texts, 299.0) == ({}, {})
    assert kept.due({"a": "", "b": ""}, 10.0) == ({"b": ""}, {})
    assert kept.due(texts, 300.0) == ({}, {"b": "look", "a": ""})
    many = {f"n{number}": "" for number in range(100)}
    assert len(kept.due(many, 0.0)[1]) == states.LINES_OF_A_TICK


def test_humans_are_the_calls_of_open_incidents() -> None:
    world = {
        "policies": {"ei": {"nodes": ["ei1", "ei2"]}},
        "calls": [{"node": "ei2", "incident": "x", "text": "look"}, {"node": "gone", "incident": "y", "text": "z"}],
    }
    assert states.humans(world) == {"ei1": "", "ei2": "incident x: look"}


# -- delivering ----------------------------------------------------------------------------------


class FakeOutbox:
    """An outbox in memory."""

    def __init__(self, *lines: str) -> None:
        self.rows = [{"id": place, "at": 50.0, "key": f"k{place}", "line": line} for place, line in enumerate(lines)]
        self.error = ""

    def pending(self, limit: int) -> list[dict[str, Any]]:
        return self.rows[:limit]

    def delivered(self, ids: Any, now: float) -> None:
        self.rows = [row for row in self.rows if row["id"] not in set(ids)]

    def undelivered(self, ids: Any, error: str) -> None:
        assert list(ids) == [row["id"] for row in self.rows]
        self.error = error


def test_a_comment_keeps_its_time_and_a_state_counts_from_now() -> None:
    assert stamped({"line": "ADD_HOST_COMMENT;a;1;s;x", "at": 50.0}, 99.9) == "[50] ADD_HOST_COMMENT;a;1;s;x\n"
    assert stamped({"line": "PROCESS_SERVICE_CHECK_RESULT;m;s;0;x", "at": 50.0}, 99.9).startswith("[99] ")
    assert unstamped("[5] A;b] c\n") == "A;b] c"


def test_what_cannot_be_delivered_waits_and_keeps_its_order() -> None:
    outbox = FakeOutbox("A;1", "B;2", "C;3")
    sent: list[str] = []

    def write(_pipe: str, lines: Any) -> None:
        if len(sent) == 1 and not open_again:
            raise SelfhealError("not_running", "Nagios does not read pipe")
        sent.extend(lines)

    open_again: list[bool] = []
    deliverer = Deliverer("pipe", outbox, write)
    with pytest.raises(SelfhealError):
        deliverer.deliver(100.0)
    assert (sent, outbox.error) == (["[100] A;1\n"], "Nagios does not read pipe")
    assert deliverer.deliver(104.0) == (0, []), "Nagios is left alone for a while"
    open_again.append(True)
    assert deliverer.deliver(106.0) == (2, [])
    assert sent == ["[100] A;1\n", "[106] B;2\n", "[106] C;3\n"]
    assert outbox.rows == []


def test_a_line_that_nagios_can_never_take_does_not_stand_in_the_way() -> None:
    outbox = FakeOutbox("A;1", "B;2")
    sent: list[str] = []

    def write(_pipe: str, lines: Iterable[str]) -> None:
        for line in lines:
            if "A" in line:
                raise SelfhealError("invalid_value", "too long")
            sent.append(line)

    assert Deliverer("pipe", outbox, write).deliver(100.0) == (2, ["k0: too long"])
    assert (sent, outbox.rows) == (["[100] B;2\n"], [])


# -- papers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "written", "failed", "due"),
    [
        ({"a": 5.0, "b": 7.0}, {}, {}, ["b", "a"]),
        ({"a": 5.0}, {"a": 6.0}, {}, []),
        ({"a": 5.0}, {"a": 4.0}, {}, ["a"]),
        ({"a": 5.0}, {}, {"a": 5.0}, []),
        ({"a": 6.0}, {}, {"a": 5.0}, ["a"]),
    ],
)
def test_pages_that_are_missing_or_old_are_due(
    changed: dict[str, float], written: dict[str, float], failed: dict[str, float], due: list[str]
) -> None:
    assert due_pages(changed, written, failed) == due


class FakeChanges:
    """A journal with one incident."""

    def changes(self, limit: int) -> dict[str, float]:
        return {"ei1-x": 5.0}


def test_papers_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    said: list[str] = []
    troubles = Troubles(said.append)
    made = parse({
        "nagios": {"url": "http://127.0.0.1/"}, "journal": str(tmp_path / "none.db"), "pages_dir": str(tmp_path),
        "metrics_file": str(tmp_path / "x.prom"),
    })  # fmt: skip
    papers = Papers(made, FakeChanges(), troubles)
    end = time.monotonic() + 60
    now = 0.0
    while set(troubles.now) != {"metrics", "pages"}:
        papers.step(now)
        now += 1.0
        time.sleep(0.02)
        assert time.monotonic() < end, said
    papers.stop()
    assert len(said) == 2, said
