# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The campaign's bars against reports made by hand: each can be missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from lab.faults import DISTURBANCE, FAULTS
from tests.campaign.calm import CALM, REASONS, Calm
from tests.campaign.campaign import KILL_PLAYS, PAIR_KILL_PLAYS, Facts, Killed, Row, Size, rows
from tests.campaign.driver import ROOT

SIZE = Size(
    faults=("memory",), drills=1, bare=10, moves=2, kills=("Shift",), pair_kills=(), calm=("cpu_burst",),
    slow_starts=0, requests=100,
)  # fmt: skip


def incident(cause: str, **values: Any) -> dict[str, Any]:
    spans = {
        "injected_to_detected": 5.0,
        "injected_to_safe": 9.0,
        "command_to_safe": 2.5,
        "safe_to_restored": 6.0,
        "command_to_restored": 8.5,
        "drain": 1.0,
        **values.pop("seconds", {}),
    }
    return {
        "node": "ei1",
        "cause": cause,
        "begin": 10.0,
        "traffic_safe": 20.0,
        "restarted": 22.0,
        "restarts": 1,
        "sent": 500,
        "failed": 0,
        "failed_after_safe": 0,
        "cut": 0,
        "moves": [],
        "seconds": spans,
        **values,
    }


def move(**values: Any) -> dict[str, Any]:
    return {"failed_new": 1, "gap": 0.05, "cut": 3, **values}


def good() -> tuple[dict[str, Any], Facts]:
    report = {
        "totals": {"sent": 1000},
        "harm": [],
        "incidents": [
            incident("memory", failed=40),
            incident("drill"),
            *(incident("bare", failed=1) for _ in range(10)),
            incident("move", moves=[move(), move()]),
        ],
    }
    facts = Facts(
        codes={"1 memory ei1": 0},
        bare_seconds=[3.0, 3.2],
        rounds_seconds=1.0,
        killed=[Killed("Shift", True, {}, 0, 2, True, True)],
        calm=[Calm("cpu_burst", "ei2", [2, 2], ["not_ill"])],
    )
    return report, facts


def missed(report: dict[str, Any], facts: Facts) -> list[Row]:
    return [row for row in rows(report, facts, SIZE) if not row.ok]


def test_a_good_campaign_misses_nothing() -> None:
    assert missed(*good()) == []


Spoil = Callable[[dict[str, Any], Facts], object]


@pytest.mark.parametrize(
    ("what", "spoil"),
    [
        ("failed after traffic safe", lambda report, _: report["incidents"][0].update(failed_after_safe=1)),
        ("failed after traffic safe", lambda report, _: report["incidents"][1].update(traffic_safe=None)),
        ("failed by detach and return themselves (drills)", lambda report, _: report["incidents"][1].update(failed=1)),
        ("requests", lambda report, _: report["totals"].update(sent=99)),
        (
            "failed by the same restarts without detaching",
            lambda report, _: [one.update(failed=0) for one in report["incidents"] if one["cause"] == "bare"],
        ),
        (
            "failed after traffic safe in heals of a pair, beside the way home",
            lambda report, _: report["incidents"][-1].update(failed_after_safe=2),
        ),
        (
            "restarts by a heal of a node that nobody broke",
            lambda report, _: report["incidents"][-1].update(restarts=2),
        ),
        ("restarts by a heal of a node that nobody broke", lambda report, _: report["incidents"][1].update(restarts=0)),
        ("moves of the virtual IP", lambda report, _: report["incidents"][-1]["moves"][1].update(failed_new=2)),
        ("gap of a move", lambda report, _: report["incidents"][-1]["moves"][1].update(gap=0.101)),
        ("moves of the virtual IP", lambda report, _: report["incidents"][-1]["moves"].pop()),
        (
            "command to traffic safe: memory",
            lambda report, _: report["incidents"][0]["seconds"].update(command_to_safe=4.1),
        ),
        (
            "command to traffic safe: drill",
            lambda report, _: report["incidents"][1]["seconds"].update(command_to_safe=None),
        ),
        (
            "redundancy restored, service starts in 1 s",
            lambda report, _: report["incidents"][1]["seconds"].update(safe_to_restored=10.1),
        ),
        (
            "redundancy restored, service starts in 1 s",
            lambda report, _: report["incidents"][1]["seconds"].update(safe_to_restored=None),
        ),
        ("redundancy restored, service starts in 1 s", lambda report, _: report["incidents"][1].update(restarted=None)),
        (
            "kill -9 of the run in each phase, then the command again",
            lambda _, facts: facts.killed.clear() or facts.killed.append(Killed("Shift", True, {}, 4, 9, False, True)),
        ),
        (
            "kill -9 of the run in each phase, then the command again",
            lambda _, facts: facts.killed.clear() or facts.killed.append(Killed("Shift", False, {}, 0, 1, True, True)),
        ),
        ("heals by lb_detach that ended well", lambda _, facts: facts.codes.update({"2 drill ei2": 2})),
        ("moves of the virtual IP", lambda _, facts: facts.codes.update({"move 2 extlb1": 2})),
        ("disturbances that are no illness", lambda _, facts: facts.calm.clear()),
        ("disturbances that are no illness", lambda _, facts: vars(facts.calm[0]).update(codes=[2, 0])),
        ("disturbances that are no illness", lambda _, facts: vars(facts.calm[0]).update(acted=True)),
        ("disturbances that are no illness", lambda _, facts: vars(facts.calm[0]).update(reasons=[])),
        ("disturbances that are no illness", lambda _, facts: vars(facts.calm[0]).update(reasons=["storm"])),
        ("harm", lambda report, _: report["harm"].append({"at": 1, "what": "ei2, a healthy node, was restarted"})),
    ],
)
def test_each_bar_can_be_missed(what: str, spoil: Spoil) -> None:
    report, facts = good()
    spoil(report, facts)
    assert [row.what for row in missed(report, facts)] == [what]


def test_a_fault_that_the_balancers_own_check_had_taken_out_first_is_safe_at_once() -> None:
    report, facts = good()
    report["incidents"][0]["seconds"]["command_to_safe"] = -7.0
    row = next(row for row in rows(report, facts, SIZE) if row.what == "command to traffic safe: memory")
    assert row.measured.startswith("p50 0.0 s")


def test_a_run_is_killed_in_every_play_that_stands_for_a_phase() -> None:
    plays = [play["name"] for play in yaml.safe_load((ROOT / "playbooks/heal.yml").read_text())]
    assert [play for play in plays if play in KILL_PLAYS] == list(KILL_PLAYS)
    assert [play for play in plays if play in PAIR_KILL_PLAYS] == list(PAIR_KILL_PLAYS)


def test_every_disturbance_of_the_lab_is_tried() -> None:
    assert set(CALM) == set(REASONS) == {one.name for one in FAULTS.values() if one.kind == DISTURBANCE}


def test_a_heal_of_a_slow_service_counts_too() -> None:
    report, facts = good()
    facts.slow_since = 100.0
    report["incidents"].append(incident("drill", begin=101.0, failed_after_safe=1, failed=1))
    lost = ["failed after traffic safe", "failed by detach and return themselves (drills)"]
    assert [row.what for row in missed(report, facts)] == lost


def test_a_failure_of_the_way_home_is_under_the_bar_of_moves() -> None:
    report, facts = good()
    report["incidents"][-1].update(failed_after_safe=1)
    assert missed(report, facts) == []


def test_a_cause_that_was_planned_and_never_came_is_missed() -> None:
    report, facts = good()
    del report["incidents"][0]
    assert "command to traffic safe: memory" in [row.what for row in missed(report, facts)]


@pytest.mark.parametrize(
    ("part", "left"),
    [
        ("detach", (30, 0, 0, 0, 0)),
        ("slow", (0, 3, 0, 0, 0)),
        ("moves", (0, 0, 10, 0, 0)),
        ("kills", (0, 0, 0, 14, 0)),
        ("calm", (0, 0, 0, 0, 5)),
    ],
)
def test_a_part_alone_is_that_part_alone(part: str, left: tuple[int, ...]) -> None:
    size = Size().only({part})
    kills = len(size.kills) + len(size.pair_kills)
    assert (len(size.faults) + size.drills, size.slow_starts, size.moves, kills, len(size.calm)) == left
