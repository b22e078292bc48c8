# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The player from beginning to end, on a fake farm with a fake clock that tells a story made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.judge import records
from lab.machines import Lab, LabError
from tests.campaign import scenario_play
from tests.campaign.scenario_model import Step
from tests.campaign.scenario_play import Player
from tests.unit.campaign.scenario_story import BEGIN, END, FARM, SCENARIOS, Story


class FakeClock:
    """Time passes only while somebody sleeps."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeLab(Lab):
    folder: Path

    @property
    def state(self) -> Path:
        return self.folder


class FakeFarm:
    """The driver, the monitor and the hands of one story. What the journal has is seen when its time has come."""

    def __init__(self, story: Story, clock: FakeClock, folder: Path) -> None:
        self.story, self.clock, self.folder, self.farm = story, clock, folder, FARM
        self.record = story.record()
        self.judge: object | None = None
        self.runs_seen: list[dict[str, Any]] = []
        self.asked: list[float] = []
        self.done: list[str] = []
        self.rest_after = 0.0
        self.refuses = ""
        self.journal_answers = True
        self.out = folder

    # as the driver

    def holder(self) -> str:
        return "extlb1"

    def whole(self) -> bool:
        return True

    def rotation(self) -> dict[str, dict[str, bool]]:
        return {name: dict.fromkeys(FARM.layers["ei"], True) for name in FARM.balancers["ei"]}

    def start_judge(self) -> None:
        self.judge = object()
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / records.ANSWERS).write_text("".join(f"{json.dumps(one.row())}\n" for one in self.record.answers))
        rows = (json.dumps(records.sample_row(one)) for one in self.record.samples)
        (self.out / records.SAMPLES).write_text("".join(f"{row}\n" for row in rows))
        records.put_mark(self.out / records.MARKS, records.Mark(BEGIN - 3, "start"))

    def stop_judge(self) -> None:
        self.judge = None

    def mark(self, event: str, node: str = "", label: str = "", **detail: Any) -> float:
        records.put_mark(self.out / records.MARKS, records.Mark(self.clock.now, event, node, label, detail))
        return self.clock.now

    def verdict(self) -> dict[str, Any]:
        assert self.judge is None, "the judge is asked before it has written all"
        return {"harm": [{"at": 0.0, "what": text} for text in self.story.harm]}

    def probes(self) -> list[records.ProbeSeen]:
        return [one for one in self.story.probes if one.at <= self.clock.now]

    # as the monitor

    def healer(self) -> bool:
        return self.clock.now >= self.rest_after

    def live(self) -> list[str]:
        return []

    def critical(self) -> list[str]:
        return []

    def runs(self, since: float) -> list[dict[str, Any]]:
        return self.runs_seen

    def incidents(self) -> list[dict[str, Any]] | None:
        self.asked.append(self.clock.now)
        seen = [row for row in self.story.journal["incidents"] if (row["closed_at"] or 0) <= self.clock.now]
        return seen if self.journal_answers else None

    def journal(self, since: float) -> dict[str, list[dict[str, Any]]] | None:
        return self.story.journal if self.journal_answers else None

    # as the hands

    def do(self, step: Step) -> None:
        if self.refuses:
            raise LabError(self.refuses)
        self.done.append(f"{step.do} {step.target}")
        if step.do == "break":
            with (self.folder / "faults.jsonl").open("a") as file:
                detail = {"kind": "illness"}
                mark = {"at": self.clock.now, "event": "injected", "node": step.target, "label": step.fault}
                file.write(json.dumps(mark | {"detail": detail}) + "\n")

    def clean(self, scenario: object) -> None:
        self.done.append("clean")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Gives a function that plays a story and gives the player's row and the fake farm."""

    def ready(story: Story) -> tuple[Player, FakeFarm]:
        clock = FakeClock(BEGIN - 3)
        fake = FakeFarm(story, clock, tmp_path)
        lab = FakeLab("paper")
        object.__setattr__(lab, "folder", tmp_path)

        def driver(lab: Lab, out: Path, rate: float, seed: int) -> FakeFarm:
            fake.out = out
            return fake

        monkeypatch.setattr(scenario_play, "time", clock)
        monkeypatch.setattr(scenario_play, "Driver", driver)
        monkeypatch.setattr(scenario_play, "Hands", lambda _: fake)
        monkeypatch.setattr(scenario_play, "Monitor", lambda _: fake)
        monkeypatch.setattr(scenario_play, "PHASE_SECONDS", 0.2)
        monkeypatch.setattr(scenario_play, "QUIET_SECONDS", 0.0)
        monkeypatch.setattr(scenario_play.Player.restless, "__defaults__", (0.0,))
        monkeypatch.setattr("tests.campaign.scenario_model.JITTER_SECONDS", 0.0)
        return Player(lab, tmp_path / "out"), fake

    return ready


def memory(name: str = "memory-on-a-member") -> Story:
    story = Story(SCENARIOS[name])
    story.healed("ei1")
    return story


def test_a_heal_is_watched_to_its_end_and_judged(stage: Any) -> None:
    player, fake = stage(memory())
    fake.runs_seen = [{"node": "ei1", "phase": "soak", "outcome": "healed"}]
    row = player.play(memory().scenario, 1)
    assert row["failures"] == []
    assert row["played"] is True
    assert fake.done == ["break ei1", "clean"]
    assert 1050 <= fake.clock.now < END  # it ended by what the journal said, not by the limit
    assert row["heals"][0]["gauge_to_safe"] == 4.0
    assert (fake.out / "journal.json").exists()


def test_the_journal_is_not_asked_before_a_run_of_the_node_was_seen(stage: Any) -> None:
    player, fake = stage(memory())
    row = player.play(memory().scenario, 1)
    assert any("did not come to its end" in text for text in row["failures"])
    assert [at for at in fake.asked if BEGIN <= at < BEGIN + 150] == []


def test_a_step_during_a_heal_is_done_when_its_phase_has_come(stage: Any) -> None:
    story = memory("healer-killed-during-heal")
    player, fake = stage(story)
    fake.runs_seen = [{"node": "ei1", "phase": "restart", "outcome": ""}]
    assert player.play(story.scenario, 1)["failures"] == []
    assert fake.done == ["break ei1", "kill healer", "clean"]


def test_a_step_whose_phase_never_came_fails_the_scenario(stage: Any) -> None:
    story = memory("healer-killed-during-heal")
    player, fake = stage(story)
    fake.runs_seen = [{"node": "ei1", "phase": "soak", "outcome": "healed"}]
    row = player.play(story.scenario, 1)
    assert any(text.startswith("steps[1] was never done: kill healer") for text in row["failures"])
    assert "kill healer" not in fake.done


def test_a_step_that_cannot_be_done_fails_the_scenario(stage: Any) -> None:
    player, fake = stage(memory())
    fake.refuses = "ei1 is not running"
    row = player.play(memory().scenario, 1)
    assert "steps[0] could not be done: ei1 is not running" in row["failures"]


def test_a_journal_that_cannot_be_read_fails_the_scenario(stage: Any) -> None:
    player, fake = stage(memory())
    fake.runs_seen = [{"node": "ei1", "phase": "soak", "outcome": "healed"}]
    player.restless = lambda driver: ""
    fake.journal_answers = False
    row = player.play(memory().scenario, 1)
    assert any("the journal could not be read" in text for text in row["failures"])


def test_a_heal_without_figures_fails_the_scenario(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenario_play, "heals", lambda *_: [])
    player, fake = stage(memory())
    fake.runs_seen = [{"node": "ei1", "phase": "soak", "outcome": "healed"}]
    assert [text for text in player.play(memory().scenario, 1)["failures"] if "has no figures of a heal" in text]


def test_a_farm_that_is_not_at_rest_is_not_played_on(stage: Any) -> None:
    player, fake = stage(memory())
    fake.rest_after = END
    row = player.play(memory().scenario, 1)
    assert row["played"] is False
    assert row["failures"] == [
        "was not played, the farm is not at rest: the healer does not run on the monitor (selfheal.service)"
    ]
    assert fake.done == []


def test_what_is_left_behind_is_told(stage: Any) -> None:
    story = memory()
    player, fake = stage(story)
    fake.runs_seen = [{"node": "ei1", "phase": "soak", "outcome": "healed"}]
    fake.clean = lambda scenario: setattr(fake, "rest_after", END)
    row = player.play(story.scenario, 1)
    assert [text for text in row["failures"] if text.startswith("left behind")]


def test_harm_and_a_wrong_end_are_in_the_row(stage: Any) -> None:
    story = memory()
    story.harm.append("ei2, a healthy node, was restarted")
    story.started.append(("ei1", 1045.0))
    player, fake = stage(story)
    fake.runs_seen = [{"node": "ei1", "phase": "soak", "outcome": "healed"}]
    row = player.play(story.scenario, 1)
    assert row["harm"] == ["ei2, a healthy node, was restarted"]
    assert "ei1: was restarted 2 times, not 1" in row["failures"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ({"holder": lambda: "extlb2"}, "the address is not at home on extlb1"),
        ({"live": lambda: ["selfheal-heal@ei1-1-1.service"]}, "a heal goes on"),
        ({"whole": lambda: False}, "not every member is in"),
        ({"critical": lambda: ["ei1/memory"]}, "Nagios shows critical: ei1/memory"),
        ({"incidents": lambda: None}, "the journal cannot be read"),
        ({"incidents": lambda: [{"incident": "ei1-9", "state": "open"}]}, "incident ei1-9 is open"),
    ],
)
def test_rest_is_nothing_that_goes_on_is_ill_or_is_open(stage: Any, spoil: dict[str, Any], why: str) -> None:
    player, fake = stage(memory())
    assert player.unrest(fake) == ""
    vars(fake).update(spoil)
    assert why in player.unrest(fake)


def test_a_member_that_is_not_back_is_no_end(stage: Any) -> None:
    story = memory()
    player, fake = stage(story)
    fake.runs_seen = [{"node": "ei1", "phase": "soak", "outcome": "healed"}]
    assert player.looks_over(story.scenario, fake, BEGIN)
    fake.rotation = lambda: {"extlb1": {"ei1": True}, "extlb2": {"ei1": False}}
    assert not player.looks_over(story.scenario, fake, BEGIN)
    fake.rotation = dict
    assert not player.looks_over(story.scenario, fake, BEGIN)
    fake.live = lambda: None
    assert not player.looks_over(story.scenario, fake, BEGIN)


def test_who_is_called_is_read_from_nagios_since_the_begin(stage: Any) -> None:
    story = memory()
    story.calls("ei2", BEGIN + 20)
    story.calls("ei3", BEGIN - 20)
    player, fake = stage(story)
    fake.clock.now = BEGIN + 30
    assert player.called(fake, BEGIN) == {"ei2"}
