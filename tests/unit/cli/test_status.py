# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is going on, as lines that tell what has changed, and as a picture that is redrawn."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from selfheal_cluster import show, status, watch
from selfheal_cluster.errors import CliError

Row = dict[str, Any]
HOSTILE = "\x1b[2J[bold red]x[/]<script>"


def incident(**more: Any) -> Row:
    return {"incident": "I-1", "node": "ei1", "layer": "ei", "opened_at": 1000.0, "reason": "memory 97 %",
            "outcome": None, **more}  # fmt: skip


def heal(**more: Any) -> Row:
    return {"incident": "I-1", "node": "ei1", "number": 1, "unit": "selfheal-heal@I-1-1.service", "attempt": 1,
            "by": "", "phase": "confirm", "phase_seconds": 1.2, "seconds": 2.4, "phases": [], "problems": [],
            "doing": {"play": "Observe", "task": "Ask", "host": "x"}, "silent_seconds": 1.0,
            "lease_expired": False, "outcome": "", **more}  # fmt: skip


def view(*incidents: Row, running: tuple[Row, ...] = (), ended: tuple[Row, ...] = (), **journal: Any) -> Row:
    return {"at": 1000.0, "holds": None, "blind": {}, "running": list(running), "ended": list(ended), "journal": {
        "present": True, "host": "monitor", "error": "", "paused": False, "taken": [], "leases": [],
        "incidents": list(incidents), **journal}}  # fmt: skip


GONE = view(present=False, asked=True, error="no journal at /x")
DONE = [{"name": "confirm", "seconds": 1.2}, {"name": "shift", "seconds": 0.6}]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (None, view(), ["heals are allowed"]),
        (view(), view(), []),
        (view(incident()), view(incident(reason="memory 98 %")), []),
        (view(), view(incident()), ["ei1: incident I-1 is open: memory 97 %"]),
        (view(incident()), view(incident(), running=(heal(),)),
         ["ei1: a heal is under way: incident I-1, attempt 1, unit selfheal-heal@I-1-1.service", "ei1: confirm"]),
        (view(running=(heal(),)), view(running=(heal(phase_seconds=9.0, seconds=10.0),)), []),
        (view(running=(heal(),)), view(running=(heal(phase="evidence", phases=DONE),)),
         ["ei1: evidence (after confirm 1.2 s, shift 0.6 s)"]),
        (view(running=(heal(phases=DONE[:1]),)), view(running=(heal(phase="x", phases=DONE),)),
         ["ei1: x (after shift 0.6 s)"]),
        (view(running=(heal(),)), view(running=(heal(problems=["extlb2: not reachable"]),)),
         ["ei1: ! extlb2: not reachable"]),
        (view(running=(heal(),)), view(running=(heal(phase="", outcome="healed"),)), ["ei1: ending: healed"]),
        (view(incident(), running=(heal(),)), view(ended=(incident(outcome="healed", closed_at=1034.25),)),
         ["ei1: incident I-1 is closed: healed, it was open for 34.2 s", "ei1: the heal of incident I-1 is over"]),
        (view(incident()), view(incident(outcome="left_out")), ["ei1: incident I-1: left_out"]),
        (view(incident()), view(incident(would="would: detach ei1")),
         ["ei1: incident I-1 waits for a word: would: detach ei1"]),
        (view(incident(would="would: detach ei1")), view(incident(would="would: detach ei1")), []),
        (view(incident()), view(incident(would="would not: blocked for another 5 s")), []),
        (view(incident()), view(incident(), taken=["I-1"]), ["ei1: incident I-1 is taken over by a person"]),
        (view(), view(ended=(incident(outcome="recovered", closed_at=1001.0),)),
         ["ei1: incident I-1 is closed: recovered, it was open for 1.0 s"]),
        (None, view(ended=(incident(outcome="recovered", closed_at=1001.0),)), ["heals are allowed"]),
        (view(), view(paused=True, pause={"at": None}), ["heals are PAUSED"]),
        (view(paused=True), view(), ["heals are allowed"]),
        (view(incident()), view(), ["ei1: incident I-1 is closed"]),
    ],
)  # fmt: skip
def test_what_has_changed(before: Row | None, after: Row, lines: list[str]) -> None:
    assert status.changes(before, after) == lines


def test_a_journal_that_goes_and_comes_back_is_told_once() -> None:
    (line,) = status.changes(view(incident()), GONE)
    assert "no journal at /x" in line
    assert status.changes(GONE, GONE) == []
    again = status.changes(GONE, view(incident()))
    assert again == ["the journal is read again", "ei1: incident I-1 is open: memory 97 %"]


def test_text_from_outside_is_shown_as_what_it_is() -> None:
    row = heal(node=HOSTILE, phase=HOSTILE, problems=[HOSTILE], doing={"task": HOSTILE})
    seen = view(incident(node=HOSTILE, reason=HOSTILE), running=(row,))
    out = Console(file=io.StringIO(), markup=False, emoji=False, highlight=False, width=400)
    show.put(out, status.parts(seen))
    text = out.file.getvalue() + "\n".join(status.changes(None, seen))  # type: ignore[attr-defined]  # the console of the test writes into a StringIO
    assert "\x1b" not in text
    assert text.count("\\x1b[2J[bold red]x[/]<script>") >= 8, text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "incident I-1, attempt 1, unit selfheal-heal@I-1-1.service"),
        ({"unit": None, "by": "anna@desk"}, "incident I-1, attempt 1, by hand of anna@desk"),
        ({"unit": None, "silent_seconds": 90.0}, "incident I-1, attempt 1; nothing was heard of it for 90 s"),
        ({"unit": None, "attempt": None, "lease_expired": True}, "incident I-1; its lease has run out"),
    ],
)
def test_what_carries_a_heal_out(more: Row, words: str) -> None:
    assert status.run_words(heal(**more)) == words


class Views:
    """Gives one view after the other, raises what is an error, and ends like Ctrl-C."""

    def __init__(self, *found: Row | Exception) -> None:
        self.found: Iterator[Row | Exception] = iter(found)

    def __call__(self) -> Row:
        item = next(self.found, None)
        if item is None:
            raise KeyboardInterrupt
        if isinstance(item, Exception):
            raise item
        return item


def watched(terminal: bool, *found: Row | Exception) -> str:
    sink = io.StringIO()
    out = Console(file=sink, force_terminal=terminal, markup=False, emoji=False, highlight=False, width=120,
                  legacy_windows=False, _environ={"TERM": "xterm" if terminal else "dumb"})  # fmt: skip
    waits: list[float] = []
    watch.watch(out, Views(*found), 0.5, waits.append)
    assert set(waits) <= {0.5}
    return sink.getvalue()


def test_on_a_pipe_there_is_a_line_per_change_and_no_control_sequence() -> None:
    said = watched(False, view(), view(), view(incident()), CliError("gone", "x"), CliError("gone"), view(incident()))
    assert "\x1b" not in said
    lines = [line[9:] for line in said.splitlines()]
    assert lines[:2] == ["heals are allowed", "ei1: incident I-1 is open: memory 97 %"]
    assert "gone" in lines[2] and lines[3] == "the journal is read again" and len(lines) == 5


def test_on_a_terminal_it_is_redrawn_and_the_last_picture_stays() -> None:
    said = watched(True, view(incident()), view(incident(), running=(heal(phase="verify", phases=DONE),)))
    assert "\x1b[?1049h" in said and "\x1b[?1049l" in said, "a screen of its own, given back at the end"
    last = said.rpartition("\x1b[?1049l")[2]
    assert "verify" in last and "confirm 1.2 s, shift 0.6 s" in last and "I-1" in last


def test_a_first_look_that_fails_is_an_error() -> None:
    for terminal in (True, False):
        with pytest.raises(CliError, match="no inventory"):
            watched(terminal, CliError("no inventory"))
