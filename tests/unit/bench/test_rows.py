# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the bench makes of its figures: each bar can be missed, and figures of a farm that was none are no success."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench import burst, memory, start
from tests.bench.__main__ import ROWS, chosen, measured, write
from tests.bench.burst import Act, acts, harm
from tests.bench.processes import kind_of, numbers
from tests.bench.stamps import PLAN, STEP, Run, first_after, percentile, runs

# -- which rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        ([], list(ROWS)),
        ([""], list(ROWS)),
        (["start"], ["start"]),
        (["burst,start", "burst"], ["burst", "start"]),
    ],
)
def test_rows_are_chosen_by_name(words: list[str], rows: list[str]) -> None:
    assert chosen(words, ROWS) == rows


def test_a_name_that_is_no_row_is_told_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="no such row: begin, end; there are judge, handler, memory, start, burst"):
        chosen(["begin,start", "end"], ROWS)


def test_a_row_that_breaks_is_no_success_and_takes_no_other_with_it(tmp_path: Path) -> None:
    def breaks() -> dict[str, Any]:
        raise RuntimeError("no Java")

    result, table = measured("start", (breaks, str))
    assert result["passed"] is False
    assert "no Java" in table
    good = {"passed": True}
    assert write(tmp_path, {"judge": good}, ["fine"]) is True
    assert write(tmp_path, {"judge": good, "start": result}, ["fine", table]) is False
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["passed"], sorted(report["rows"])) == (False, ["judge", "start"])


# -- stamps ------------------------------------------------------------------------------------------


def stamp(at: float, what: str, action: str = "", pid: int = 7, node: str = "ei1") -> str:
    return json.dumps({"at": at, "pid": pid, "what": what, "action": action, "node": node})


HEAL = [
    stamp(11.3, "task", "selfheal.cluster.heal_target"),
    stamp(11.5, "result", "selfheal.cluster.heal_target"),
    stamp(11.6, "task", PLAN),
    stamp(11.9, "result", PLAN),
    stamp(11.9, "task", STEP),
    stamp(12.0, "result", STEP),
]
ACTED = [stamp(12.1, "task", "ansible.builtin.command"), stamp(12.2, "task", STEP), stamp(12.3, "result", STEP)]


@pytest.mark.parametrize(
    ("tasks", "marks"),
    [
        ([], (None, None, None, None)),
        (HEAL[:1], (11.3, None, None, None)),
        ([*HEAL, *ACTED, stamp(12.9, "end")], (11.3, 12.0, 12.1, 12.9)),
        ([*HEAL, stamp(12.1, "end")], (11.3, 12.0, None, 12.1)),  # refused: nothing was ever changed
        # a playbook without a decision may change something with its first task
        ([stamp(11.4, "task", "ansible.builtin.command"), stamp(11.8, "end")], (11.4, None, 11.4, 11.8)),
        ([stamp(11.4, "task", "x", pid=8)], (None, None, None, None)),  # somebody else's
    ],
    ids=["nothing yet", "begun", "whole", "refused", "plain", "of another process"],
)
def test_marks_of_a_run(tasks: list[str], marks: tuple[float | None, ...]) -> None:
    (run,) = runs(["11000000000 7"], tasks)
    assert run.process == 11.0
    assert (run.first_task, run.decided, run.first_change, run.ended) == marks


def test_a_pid_that_comes_again_is_another_run() -> None:
    tasks = [*HEAL, *ACTED, stamp(12.9, "end"), stamp(21.0, "task", "x", node="ei2")]
    tasks.append(stamp(22.0, "end", node="ei2"))
    first, second = runs(["11000000000 7", "20000000000 7"], tasks)
    assert (first.node, first.first_change, second.node, second.first_change) == ("ei1", 12.1, "ei2", 21.0)


def test_the_run_of_an_alert_is_the_first_after_it() -> None:
    found = [Run(1, "ei1", 5.0), Run(2, "ei2", 11.0), Run(3, "ei1", 13.0), Run(4, "ei1", 12.0)]
    assert first_after(found, "ei1", 10.0) is found[3]
    assert first_after(found, "ei3", 10.0) is None


@pytest.mark.parametrize(
    ("values", "part", "value"),
    [([3.0], 0.95, 3.0), ([1.0, 2.0, 3.0], 0.5, 2.0), ([float(n) for n in range(101)], 0.95, 95.0)],
)
def test_percentiles(values: list[float], part: float, value: float) -> None:
    assert percentile(values, part) == pytest.approx(value)


# -- start -------------------------------------------------------------------------------------------


def taken(process: float, **marks: float | None) -> dict[str, float | None]:
    return {"process": process, "first_task": 1.3, "decided": 2.0, "first_change": 2.1, **marks}


@pytest.mark.parametrize(
    ("mine", "other", "said"),
    [
        ([0.010, 0.011, 0.9], [0.011, 0.012, 0.013], ""),  # by the median: one slow start breaks nothing
        ([0.012] * 3, [0.012] * 3, ""),
        ([0.014] * 3, [0.012] * 3, "14 ms after the alert, ansible-rulebook's 12 ms"),
        ([0.010] * 2, [0.012] * 3, "ours: only 2 of 3"),
        ([0.010] * 3, [0.012] * 2, "theirs: only 2 of 3"),
        ([0.010, 0.010, -0.1], [0.012] * 3, "before its alert"),
    ],
)
def test_the_bar_of_the_start(mine: list[float], other: list[float], said: str) -> None:
    wrong = start.judge({"ours": [taken(at) for at in mine], "theirs": [taken(at) for at in other]}, 3)
    assert bool(wrong) == bool(said)
    assert said in " ".join(wrong)


def test_an_alert_whose_run_decided_nothing_does_not_count() -> None:
    good, bad = [taken(0.01)] * 3, [taken(0.01), taken(0.01), taken(0.01, first_change=None)]
    assert start.judge({"ours": good, "theirs": good}, 3) == []
    assert "ours: only 2 of 3" in start.judge({"ours": bad, "theirs": good}, 3)[0]


# -- burst -------------------------------------------------------------------------------------------

S = 10**9


def test_what_hands_wrote_down() -> None:
    lines = [f"{1 * S} begin a", f"{2 * S} begin b", f"{3 * S} end a", f"{4 * S} begin a", f"{5 * S} end a"]
    assert acts(lines) == [Act("a", 1.0, 3.0), Act("b", 2.0, float("inf")), Act("a", 4.0, 5.0)]


A = Act("a", 0.0, 5.0)


@pytest.mark.parametrize(
    ("more", "heals", "overlapping", "twins", "late"),
    [
        ([], 1, 0, 0, 0),
        ([Act("a", 4.0, 9.0)], 2, 1, 0, 0),  # begun before the first had cured it
        ([Act("a", 6.0, 9.0)], 2, 0, 0, 1),
        ([Act("b", 1.0, 6.0), Act("c", 1.0, 6.0)], 1, 0, 0, 0),  # other layers at the same time are fine
        ([Act("twin", 1.0, 6.0)], 1, 0, 1, 0),
        ([Act("twin", 5.5, 9.0)], 1, 0, 0, 1),  # it was well by itself at 3
    ],
)
def test_harm(more: list[Act], heals: int, overlapping: int, twins: int, late: int) -> None:
    found = harm([A, *more], {"twin": 3.0}, burst.LAYERS)
    assert found["heals"]["a"] == heals
    assert (found["overlapping"], found["twins_at_once"], found["after_recovery"]) == (overlapping, twins, late)


def ours(**values: Any) -> dict[str, Any]:
    return {
        "alerts": 40, "lost": 0, "last_alert_at": 6.0, "first_heal_ended_at": 8.0, "handler_ratio": 1.05,
        "heals": {"a": 1, "b": 1, "c": 1, "twin": 0}, "overlapping": 0, "twins_at_once": 0, "after_recovery": 0,
        "open_incidents": 0, **values,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, ""),
        ({"lost": 1}, "1 of 40 alerts were not taken"),
        ({"alerts": 30}, "40 were meant"),
        ({"first_heal_ended_at": 5.0}, "nothing was tried"),
        ({"handler_ratio": 1.3}, "1.30 times its own time"),
        ({"heals": {"a": 2, "b": 1, "c": 1, "twin": 0}}, "a was healed 2 times"),
        ({"heals": {"a": 1, "b": 0, "c": 1, "twin": 0}}, "b was healed 0 times"),
        ({"overlapping": 1}, "1 heals of one node at once"),
        ({"twins_at_once": 1}, "1 heals of twins at once"),
        ({"after_recovery": 2}, "2 heals begun after recovery"),
        ({"open_incidents": 1}, "1 incidents are still open"),
    ],
)
def test_the_bars_of_the_burst(values: dict[str, Any], said: str) -> None:
    wrong = burst.judge(ours(**values))
    assert bool(wrong) == bool(said)
    assert said in " ".join(wrong)


def test_forty_alerts_in_turns() -> None:
    found = burst.order()
    assert len(found) == len(set(found)) == burst.ALERTS
    assert [node for node, _service in found[:4]] == ["a", "b", "c", "twin"]


# -- memory ------------------------------------------------------------------------------------------

CHILDREN = {"reader": 200.0, "policies": 60.0, "metrics": 25.0, "page": 25.0}


def held(**values: Any) -> dict[str, Any]:
    return {
        "loop_mb": 41.0, "healed": 1000, "services": 20000, "nodes_read": 2000, "children_mb": CHILDREN,
        "ring": 20000, "together_mb": 300.0, "unit_may_have_mb": 384.0, "troubles": [], **values,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, ""),
        ({"loop_mb": 60.0}, ""),
        ({"loop_mb": 60.1}, "60.1 MB at its peak, allowed are 60"),
        ({"loop_mb": 0.0}, "0.0 MB"),  # nobody looked
        ({"healed": 999}, "only 999 of 1000 incidents"),
        ({"services": 19990}, "only 19990 of 20000 services"),
        ({"nodes_read": 1999}, "only 1999 nodes"),
        ({"children_mb": {**CHILDREN, "reader": 0.0}}, "no child of kind reader"),
        ({"ring": 19999}, "only 19999 of 20000 entries"),
        ({"together_mb": 384.0}, ""),
        ({"together_mb": 385.0}, "together 385 MB, the unit may have 384"),
        ({"troubles": ["bug in act"]}, "bug in act"),
    ],
)
def test_the_bar_of_the_memory(values: dict[str, Any], said: str) -> None:
    wrong = memory.judge(held(**values))
    assert bool(wrong) == bool(said)
    assert said in " ".join(wrong)


def test_waves_take_every_layer_in_turn_and_no_node_twice() -> None:
    layers = {"one": ["a1", "a2", "a3"], "two": ["b1", "b2", "b3"]}
    assert memory.waves(layers, 5, 2) == [["a1", "b1", "a2"], ["b2", "a3"]]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("", ""),
        ("python -m selfheal_cluster.healer --config x", ""),  # forked, and not yet another program
        ("python -m selfheal_cluster.healer.reader", "reader"),
        ("python -m selfheal_cluster.page --out x", "page"),
        ("/bin/sh /x/systemctl list-units", "other"),
    ],
)
def test_kinds_of_children(words: str, kind: str) -> None:
    assert kind_of(words, "python -m selfheal_cluster.healer --config x") == kind


def test_numbers_of_proc() -> None:
    assert numbers("Name:\tpython\nVmHWM:\t   41000 kB\nThreads:\t3\n") == {"VmHWM": 41000}
    assert memory.bare() > 1.0, sys.executable
