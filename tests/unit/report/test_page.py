# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The report opens offline, hides nothing, and lets nothing from outside become markup."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.demo import page
from selfheal_cluster.page import drawing
from tests.unit.pages import read


def act(**changes: Any) -> dict[str, Any]:
    phases = [("confirm", 100.0, 101.5), ("shift", 101.5, 102.0), ("restart", 102.0, 104.0), ("soak", 104.0, 114.0)]
    result = {
        "status": "healed", "incident": "I-1", "summary": "ei1 is faulty: memory", "strategy": "lb_detach",
        "phases": [{"name": name, "started": begin, "ended": end} for name, begin, end in phases],
        "started_at": 100.0, "traffic_safe_at": 102.0, "restored_at": 104.0, "home_at": None, "ended_at": 114.0,
        "problems": [], "refusals": [],
    }  # fmt: skip
    found = {"node": "ei1", "fault": "memory", "title": "ei1 leaks memory", "healed": True, "detected": True,
             "exit_code": 0, "nagios_ok": True, "result": result}  # fmt: skip
    return {**found, **changes}


def judged(**changes: Any) -> dict[str, Any]:
    incident = {
        "node": "ei1", "sent": 3000, "failed": 12, "failed_after_safe": 0, "longest_gap": 0.05, "harm": [],
        "seconds": {"injected_to_detected": 21.3, "command_to_safe": 2.1, "command_to_restored": 9.4},
    }  # fmt: skip
    found = {
        "begin": 90.0, "end": 130.0, "incidents": [incident], "harm": [],
        "totals": {"sent": 4000, "failed": 12, "longest_gap": 0.05, "milliseconds": {"p50": 2.0}},
        "marks": [{"at": 95.0, "event": "injected", "node": "ei1"}, {"at": 100.0, "event": "command", "node": "ei1"}],
    }  # fmt: skip
    return {**found, **changes}


COUNTS = [[0.0, 100.0, 0.0, 0.1], [1.0, 100.0, 12.0, 0.2], [2.0, 98.0, 0.0, 0.1]]


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    reader = read(page.page([act()], judged(), COUNTS))
    assert reader.active == []
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(reader.tags)


def test_every_figure_is_there_in_words() -> None:
    said = " ".join(read(page.page([act()], judged(), COUNTS)).text)
    for words in ("1 of 1 illnesses healed and verified", "Harm found by the judge: none", "21.3 s", "2.1 s", "9.4 s",
                  "50 ms", "ei1 is faulty: memory", "restart", "10.0 s", "12 of 298 requests failed",
                  "most of them, 12, in second 1"):  # fmt: skip
        assert words in said, words


def test_what_went_wrong_is_not_hidden() -> None:
    bad = act(healed=False, exit_code=4)
    bad["result"].update(status="left_out", problems=["ei1: not proven healthy"], refusals=[
        {"reason": "last_member", "detail": "it is the last one"}])  # fmt: skip
    said = " ".join(read(page.page([bad], judged(harm=[{"at": 101.0, "what": "healthy node restarted"}]))).text)
    for words in ("0 of 1", "NOT healed", "not healed (left_out)", "ei1: not proven healthy",
                  "last_member: it is the last one", "node restarted", "Harm found by the judge: 1"):  # fmt: skip
        assert words in said, words


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "\x1b[2J\u202e", "&lt;b&gt;"])
def test_text_from_outside_stays_text(text: str) -> None:
    bad = act(title=text)
    bad["result"].update(summary=text, problems=[text], incident=text)
    bad["result"]["phases"][0]["name"] = text
    reader = read(page.page([bad], judged(harm=[{"at": 1.0, "what": text}]), COUNTS))
    assert not {"script", "img", "b"} & set(reader.tags)
    said = " ".join(reader.text)
    assert "\x1b" not in said and "\u202e" not in said


@pytest.mark.parametrize("result", [{}, {"status": "refused"}, {"phases": [], "started_at": None}])
def test_a_heal_without_a_result_has_its_place(result: dict[str, Any]) -> None:
    assert "not healed" in " ".join(read(page.page([act(healed=False, result=result)], judged())).text)


def test_a_judge_without_figures_breaks_nothing() -> None:
    assert "0 requests" in " ".join(read(page.page([act()], {})).text)


def test_phases_differ_without_colour() -> None:
    assert len({path for _colour, path in drawing.PATTERNS.values()}) == len(drawing.PATTERNS)
    drawn = drawing.bar(act()["result"]["phases"], 100.0)
    assert drawn.count("<pattern") == 4 and drawn.count("<title>") == 4
    assert 'aria-label="confirm 1.5 s, shift 500 ms, restart 2.0 s, soak 10.0 s"' in drawn


def test_requests_by_the_second(tmp_path: Path) -> None:
    rows = [[10.0, 10.1, 200, "", 0, "GET", 0.0, "b", "m"], [10.5, 10.9, 500, "status", 1, "GET", 0.0, "b", "m"],
            [11.2, 14.3, 200, "", 0, "GET", 3.0, "b", "m"]]  # fmt: skip
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "[12.0, 1", encoding="utf-8")
    found = page.per_second(path)
    assert [row[:3] for row in found] == [[0.0, 2.0, 1.0], [1.0, 1.0, 0.0]]
    assert found[1][3] == pytest.approx(0.1), "what a request asked for is not slowness"
    assert page.per_second(tmp_path / "none") == []


@pytest.mark.parametrize(("value", "said"), [(0.05, "50 ms"), (2.0, "2.0 s"), (None, "-"), (True, "-"), ("x", "-")])
def test_spans(value: Any, said: str) -> None:
    assert drawing.span(value) == said


def test_traffic_that_was_safe_before_the_command_says_so() -> None:
    early = judged()
    early["incidents"][0]["seconds"]["command_to_safe"] = -22.3
    assert "22.3 s before it" in " ".join(read(page.page([act()], early)).text)
