# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Figures and bars of the scenarios, from records made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.judge.records import ProbeSeen
from tests.campaign.scenario_figures import bars, completing, for_seconds, heals, unmeasured
from tests.campaign.scenarios import report
from tests.unit.campaign.scenario_story import FARM, SCENARIOS, Story


def probe(at: float, status: str, hard: bool = True, service: str = "memory", took: float = 0.0) -> ProbeSeen:
    return ProbeSeen(at, "ei1", service, status, hard, at, took)


@pytest.mark.parametrize(
    ("probes", "at"),
    [
        ([], None),
        ([probe(5, "critical", False)], None),
        ([probe(5, "critical", False), probe(8, "critical")], 8),
        ([probe(5, "warning"), probe(8, "critical", False)], None),
        ([probe(-1, "critical"), probe(8, "critical", False)], None),  # from before the injection
        # a gauge that asks for 20 s is complete when they are over, and begins anew when it was well between
        ([probe(5, "critical", service="cpu"), probe(20, "critical", service="cpu")], None),
        ([probe(5, "critical", service="cpu"), probe(25, "critical", service="cpu")], 25),
        (
            [probe(5, "critical", service="cpu"), probe(20, "ok", service="cpu"), probe(36, "critical", service="cpu")],
            None,
        ),
        ([probe(5, "critical", service="cpu"), probe(6, "critical"), probe(40, "critical", service="cpu")], 6),
        # it lasts to the end of the check that completes it, and the result is there then
        ([probe(5, "critical", service="cpu", took=3), probe(21, "critical", service="cpu", took=3)], None),
        ([probe(5, "critical", service="cpu", took=3), probe(22, "critical", service="cpu", took=3)], 25),
    ],
)
def test_the_result_that_completes_a_gauge(probes: list[ProbeSeen], at: float | None) -> None:
    assert completing(probes, 0.0) == at


def test_how_long_a_gauge_asks_is_read_from_the_gauges() -> None:
    assert (for_seconds("load"), for_seconds("cpu"), for_seconds("memory"), for_seconds("http")) == (20, 20, 0, 0)


def story() -> Story:
    made = Story(SCENARIOS["memory-on-a-member"])
    made.healed("ei1")
    return made


def test_the_figures_of_a_heal() -> None:
    made = story()
    (row,) = heals(made.scenario, made.record(), FARM, 1)
    assert (row["node"], row["cause"], row["restarts"], row["untimed"]) == ("ei1", "memory", 1, "")
    assert row["gauge_to_safe"] == 4.0  # hard at 1013; in maintenance from 1017 on
    assert row["bad_to_healed"] == 40.0  # soft at 1010; closed at 1050


def test_a_balancer_that_was_quicker_than_the_gauge_is_safe_at_once() -> None:
    made = story()
    made.out.insert(0, ("ei1", "DOWN", 1005, 1017))
    assert heals(made.scenario, made.record(), FARM, 1)[0]["gauge_to_safe"] == 0.0


def test_a_heal_that_was_never_safe_has_no_figure_and_one_that_did_not_end_has_no_row() -> None:
    made = story()
    made.out.clear()
    assert heals(made.scenario, made.record(), FARM, 1)[0]["gauge_to_safe"] is None
    made.journal["incidents"][0]["outcome"] = "undone"
    assert heals(made.scenario, made.record(), FARM, 1) == []


def test_a_heal_without_a_row_of_figures_is_told() -> None:
    made = story()
    rows = heals(made.scenario, made.record(), FARM, 1)
    assert unmeasured(made.scenario, made.record(), rows) == []
    without = replace(made.record(), marks=[])  # the judge lost the mark of the injection
    assert heals(made.scenario, without, FARM, 1) == []
    assert [text.partition(":")[0] for text in unmeasured(made.scenario, without, [])] == ["ei1"]
    made.journal["incidents"].clear()
    assert unmeasured(made.scenario, made.record(), []) != []


def test_who_may_recover_needs_figures_only_if_it_was_healed() -> None:
    made = Story(SCENARIOS["member-cut-and-back"])
    made.incident("ei1", "recovered")
    assert unmeasured(made.scenario, made.record(), []) == []
    made.incident("ei1", "healed", 1060, 1090)
    assert unmeasured(made.scenario, made.record(), []) != []
    quiet = Story(SCENARIOS["cpu-burst"])
    assert unmeasured(quiet.scenario, quiet.record(), []) == []


def test_two_that_are_ill_at_once_have_their_own_figures() -> None:
    made = Story(SCENARIOS["two-members-ill"])
    made.healed("ei1", 1014)
    made.healed("ei2", 1060)
    rows = heals(made.scenario, made.record(), FARM, 1)
    assert [(row["node"], row["gauge_to_safe"]) for row in rows] == [("ei1", 4.0), ("ei2", 4.0)]
    assert all(row["untimed"] for row in rows)


def test_the_figures_of_a_pair_come_from_who_answers_at_the_address() -> None:
    made = Story(SCENARIOS["active-haproxy-stopped"])
    made.healed_balancer("extlb1")
    made.holders = [(0.0, "extlb1"), (1018.0, "extlb2"), (1040.0, "extlb1")]
    assert heals(made.scenario, made.record(), FARM, 1)[0]["gauge_to_safe"] == 5.0


def test_a_scenario_in_which_nothing_is_healed_has_no_figures() -> None:
    quiet = Story(SCENARIOS["cpu-burst"])
    assert heals(quiet.scenario, quiet.record(), FARM, 1) == []


def played(**values: Any) -> dict[str, Any]:
    row = {"gauge_to_safe": 3.0, "bad_to_healed": 25.0, "restarts": 1, "untimed": "", **values.pop("heal", {})}
    return {"failures": [], "harm": [], "heals": [row], **values}


SAFE, WHOLE = "check result completing the gauge to traffic safe", "first bad reading to healed, by a restart"


@pytest.mark.parametrize(
    ("extra", "what"),
    [
        ([played()], []),
        ([played(failures=["ei1: was restarted 2 times"])], ["scenarios"]),
        ([played(harm=["ei2, a healthy node, was restarted"])], ["harm"]),
        ([played(heal={"gauge_to_safe": 9.0})], []),  # one of twenty is beyond p95
        ([played(heal={"gauge_to_safe": 9.0})] * 2, [SAFE]),
        ([played(heal={"gauge_to_safe": None})] * 2, [SAFE]),
        ([played(heal={"gauge_to_safe": 4.1})] * 20, [SAFE]),
        ([played(heal={"bad_to_healed": 60.0})], [WHOLE]),
        ([played(heal={"bad_to_healed": None})], [WHOLE]),
        ([played(heal={"bad_to_healed": 31.0})] * 20, [WHOLE]),
        ([played(heal={"bad_to_healed": 90.0, "gauge_to_safe": 90.0, "untimed": "it waits"})] * 2, []),
        ([played(heal={"bad_to_healed": 90.0, "restarts": 0})], []),
    ],
)
def test_each_bar_can_be_missed(extra: list[dict[str, Any]], what: list[str]) -> None:
    assert [bar.what for bar in bars([*(played() for _ in range(19)), *extra]) if not bar.ok] == what


def test_in_a_whole_run_a_figure_that_nothing_gave_is_a_bar_that_was_missed() -> None:
    for one in (played(heals=[]), played(heal={"untimed": "it waits"})):
        assert [bar.what for bar in bars([one]) if not bar.ok] == []
        missed = [bar for bar in bars([one], whole=True) if not bar.ok]
        assert [bar.what for bar in missed] == [SAFE, WHOLE]
        assert all("nothing" in bar.measured for bar in missed)
    assert all(bar.ok for bar in bars([played()], whole=True))
    assert [bar.what for bar in bars([played(heal={"restarts": 0})], whole=True) if not bar.ok] == [WHOLE]


def test_nothing_played_is_not_well() -> None:
    assert report([], bars([]), 1.0)["ok"] is False
    assert report([played()], bars([played()]), 1.0)["ok"] is True


def test_what_is_not_counted_is_said() -> None:
    bar = next(bar for bar in bars([played(), played(heal={"untimed": "it waits"})]) if bar.what == SAFE)
    assert "of 1 healed faults; 1 not counted" in bar.measured
