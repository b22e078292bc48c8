# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The command line of the scenarios, with a player that only says how it went: report, table, exit code, lab."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab import faults
from lab.machines import LabError
from tests.campaign import scenario_monitor, scenarios
from tests.campaign.driver import CampaignError
from tests.campaign.scenario_model import Step
from tests.campaign.scenario_monitor import Hands
from tests.unit.campaign.scenario_story import FARM, SCENARIOS
from tests.unit.campaign.test_scenario_play import Driver, paper

HEAL = {"gauge_to_safe": 2.0, "bad_to_healed": 20.0, "restarts": 1, "untimed": ""}


class FakePlayer:
    """Every scenario goes as `wrong` says; what was played is written down."""

    wrong: dict[str, list[str]]
    played: list[tuple[str, int]]
    breaks: Exception | None
    heals = (HEAL,)

    def __init__(self, lab: object, out: Path) -> None:
        self.out = out

    def play(self, scenario: Any, seed: int) -> dict[str, Any]:
        if self.breaks is not None:
            raise self.breaks
        self.played.append((scenario.name, seed))
        return {
            "name": scenario.name,
            "seed": seed,
            "expected": {node: list(want.outcomes) for node, want in scenario.nodes.items()},
            "failures": self.wrong.get(scenario.name, []),
            "harm": [],
            "seconds": 60.0,
            "heals": self.heals,
        }


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A host without a lab; what was done to the lab is written down."""
    done: list[str] = []
    FakePlayer.wrong, FakePlayer.played, FakePlayer.breaks = {}, [], None
    monkeypatch.setattr("tests.campaign.scenario_play.Player", FakePlayer)
    monkeypatch.setattr(scenarios, "lab_up", lambda fast=False, keep=False: done.append("up fast" if fast else "up"))
    monkeypatch.setattr(scenarios, "lab_down", lambda: done.append("down"))
    monkeypatch.setattr(scenarios, "OUT", tmp_path)
    monkeypatch.setenv("LAB_NAME", "paper")
    return {"done": done, "out": tmp_path}


ONLY = ["--only", "memory-on-a-member,check-wrong"]


def test_every_scenario_is_played_with_every_seed_and_the_report_says_so(
    stage: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert scenarios.main([*ONLY, "--seed", "4", "--seeds", "2"]) == 0
    names = ("check-wrong", "memory-on-a-member")
    assert FakePlayer.played == [(name, seed) for seed in (4, 5) for name in names]
    made = json.loads((stage["out"] / "report.json").read_text())
    assert made["ok"] is True
    assert [(one["name"], one["seed"]) for one in made["scenarios"]] == FakePlayer.played
    told = capsys.readouterr().out
    assert all(name in told for name in names)
    assert "4 of 4" in told
    assert stage["done"] == ["up", "down"]


def test_one_that_did_not_end_well_is_exit_code_one_and_in_the_table(
    stage: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    FakePlayer.wrong = {"check-wrong": ["ei2: 1 heals began, and none should have"]}
    assert scenarios.main([*ONLY, "--seeds", "1", "--keep"]) == 1
    told = capsys.readouterr().out
    assert "1 heals began" in told
    assert "NOT MET" in told
    assert stage["done"] == ["up"]  # a verdict is no reason to make the lab anew, and it was to be kept


@pytest.mark.parametrize("text", ["left behind, 240 s after: a heal goes on", "was not played, not at rest: x"])
def test_a_farm_that_does_not_come_to_rest_is_made_anew_before_the_next(stage: dict[str, Any], text: str) -> None:
    FakePlayer.wrong = {"check-wrong": [text]}
    assert scenarios.main([*ONLY, "--seeds", "1"]) == 1
    assert stage["done"] == ["up", "down", "up fast", "down"]
    assert len(FakePlayer.played) == 2


@pytest.mark.parametrize(
    "error", [LabError("no machine"), subprocess.CalledProcessError(1, "lab/up"), CampaignError("no judge")]
)
def test_a_player_that_breaks_down_fails_its_scenario_and_goes_on_with_the_next(
    stage: dict[str, Any], capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    FakePlayer.breaks = error
    assert scenarios.main([*ONLY, "--seeds", "1"]) == 1
    assert stage["done"] == ["up", "down", "up fast", "down", "up fast", "down"]
    made = json.loads((stage["out"] / "report.json").read_text())
    assert [one["failures"] for one in made["scenarios"]] == [[f"was not played to its end: {error}"]] * 2


@pytest.mark.parametrize(("argv", "code"), [([], 1), (["--only", "cpu-burst"], 0), (["--short"], 0)])
def test_a_run_of_all_scenarios_needs_all_figures(
    stage: dict[str, Any], monkeypatch: pytest.MonkeyPatch, argv: list[str], code: int
) -> None:
    monkeypatch.setattr(FakePlayer, "heals", ())
    assert scenarios.main([*argv, "--seeds", "1"]) == code


def test_a_lab_that_does_not_start_is_exit_code_two_and_it_goes(
    stage: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(keep: bool) -> None:
        raise subprocess.CalledProcessError(1, "lab/up")

    monkeypatch.setattr(scenarios, "lab_up", fails)
    assert scenarios.main([*ONLY, "--seeds", "1"]) == 2
    assert stage["done"] == ["down"]


# What the hands do at the end, and to the monitor


def test_cleaning_undoes_what_the_scenario_did_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    mended: list[str] = []
    monkeypatch.setattr(faults, "mend_node", lambda lab, node: mended.append(node))
    lab = paper(**{"": ""})
    Hands(Driver(lab)).clean(SCENARIOS["ill-beside-maintenance"])  # type: ignore[arg-type]  # a fake that has what is used
    assert mended == ["ei1"]
    ready = [line for line in lab.done if line.endswith("sh ei2 ready")]
    assert len(ready) == len(FARM.balancers["ei"])
    assert "DEL_DOWNTIME_BY_START_TIME_COMMENT;;planned restart" in lab.done[-1]


def test_a_monitor_reboots_when_its_first_process_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = paper(**{"": ""})
    pids = iter([100, 100, None, 200])
    object.__setattr__(lab, "pid", lambda node: next(pids))
    Hands(Driver(lab)).do(Step("reboot", "monitor"))  # type: ignore[arg-type]  # a fake that has what is used
    assert lab.done == ["monitor: systemctl --no-block reboot"]
    object.__setattr__(lab, "pid", lambda node: 200)
    monkeypatch.setattr(scenario_monitor, "CONSOLE_SECONDS", 0.0)
    with pytest.raises(LabError, match="did not reboot"):
        Hands(Driver(lab)).do(Step("reboot", "monitor"))  # type: ignore[arg-type]  # a fake that has what is used


def test_break_and_mend_are_the_labs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[Any, ...]] = []
    monkeypatch.setattr(faults, "mend_node", lambda lab, node: done.append((node,)))
    monkeypatch.setattr(faults, "break_node", lambda lab, *args, **given: done.append((*args, *given.items())))
    hands = Hands(Driver(paper()))  # type: ignore[arg-type]  # a fake that has what is used
    hands.do(Step("break", "ei1", "memory"))
    hands.do(Step("break", "ei1", "load_peak", options={"seconds": 90.0}))
    hands.do(Step("mend", "ei1"))
    assert done == [("ei1", "memory"), ("ei1", "load_peak", ("seconds", 90.0)), ("ei1",)]
