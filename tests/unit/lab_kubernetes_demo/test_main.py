# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The demo from its first line to its last: exit codes, what is written, and what is left behind."""

from __future__ import annotations

import io
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from lab.demo.stage import DemoError, Screen
from lab.kubernetes.demo import __main__ as demo
from lab.kubernetes.demo import report
from lab.kubernetes.demo.acts import NotAsItShould
from lab.kubernetes.demo.load import Answer
from lab.kubernetes.demo.scene import Scene
from lab.kubernetes.demo.timeline import Event
from lab.kubernetes.demo.watch import Look
from lab.machines import Lab, LabError
from tests.unit.pages import read


class FakeLoad:
    def __init__(self, *answers: Answer) -> None:
        self.answers = answers


class FakeSampler:
    def __init__(self) -> None:
        self.looks = [Look(1000.5, 1, 1, 20, 200), Look(1001.5, 2, 2, None, None)]

    def start(self) -> None:
        """Nothing."""


class FakeScene:
    """What the frame of the demo asks of a scene, and a record of it."""

    def __init__(self, lab: Lab, out: Path, screen: Screen) -> None:
        self.out, self.screen, self.began = out, screen, 1000.0
        self.loads: list[FakeLoad] = []
        self.events: list[Event] = []
        self.heals: list[dict[str, Any]] = []
        self.sampler = FakeSampler()
        self.did: list[str] = []

    def stop(self) -> None:
        self.did.append("stop")

    def restore(self) -> None:
        self.did.append("restore")


@pytest.fixture
def scene(tmp_path: Path) -> FakeScene:
    return FakeScene(Lab("other"), tmp_path, Screen(stream=io.StringIO()))


def said(scene: FakeScene) -> str:
    return cast(io.StringIO, scene.screen.stream).getvalue()


def good(scene: FakeScene) -> str:
    scene.loads.append(FakeLoad(Answer(1000.2, True, ""), Answer(1001.2, False, "0: reset")))
    return "fine"


def failing(error: Exception) -> Callable[[FakeScene], str]:
    def act(scene: FakeScene) -> str:
        good(scene)
        raise error

    return act


def steps_of(monkeypatch: pytest.MonkeyPatch, *acts: Callable[[FakeScene], str]) -> list[report.Step]:
    monkeypatch.setattr(demo, "ACTS", tuple((f"act {number}", act) for number, act in enumerate(acts, 1)))
    return [report.Step(title) for title, _act in demo.ACTS]


def test_all_steps_are_played_and_each_has_its_own_requests(monkeypatch: pytest.MonkeyPatch, scene: FakeScene) -> None:
    steps = steps_of(monkeypatch, good, lambda _scene: "nothing sent")
    assert demo.play(cast(Scene, scene), steps)
    assert [(step.ok, step.said) for step in steps] == [(True, "fine"), (True, "nothing sent")]
    assert [step.felt[:2] for step in steps] == [(2, 1), (0, 0)]
    assert [event.text for event in scene.events] == ["step 1: act 1", "step 2: act 2"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NotAsItShould("there are not 4 pods"), "there are not 4 pods"),
        (LabError("kw2 does not stop"), "kw2 does not stop"),
        (DemoError("the roll-out ended with 2"), "the roll-out ended with 2"),
        (subprocess.TimeoutExpired("kubectl", 30), "timed out after 30 seconds"),
        (OSError("no such file"), "no such file"),
        (json.JSONDecodeError("no JSON", "", 0), "no JSON"),
    ],
)
def test_the_first_step_that_fails_is_the_last_one(
    monkeypatch: pytest.MonkeyPatch, scene: FakeScene, error: Exception, words: str
) -> None:
    steps = steps_of(monkeypatch, good, failing(error), good)
    assert not demo.play(cast(Scene, scene), steps)
    assert [step.ok for step in steps] == [True, False, None]
    assert words in steps[1].said and steps[1].felt.sent == 2
    assert f"NOT as it should: {steps[1].said}" in said(scene)


def test_a_fault_of_the_demo_itself_is_not_taken_for_a_step_that_failed(
    monkeypatch: pytest.MonkeyPatch, scene: FakeScene
) -> None:
    with pytest.raises(TypeError):
        demo.play(cast(Scene, scene), steps_of(monkeypatch, failing(TypeError("a bug"))))


def test_what_happened_is_told_three_times(scene: FakeScene) -> None:
    good(scene)
    scene.events.append(Event(1001.0, "pod ei-1 is deleted"))
    demo.tell(cast(Scene, scene), [report.Step("Kill a pod", True, "fine"), report.Step("Scale")], 1002.0)
    for words in ("Timeline", "[1] pod ei-1 is deleted", "as it should:", "Kill a pod: fine", "not played:",
                  "1 of 2 steps ended as they should. Clients sent 2 requests; 1 failed.", "report.html"):  # fmt: skip
        assert words in said(scene), words
    data = json.loads((scene.out / "timeline.json").read_text())
    assert [row["requests"] for row in data["seconds"]] == [1, 1]
    assert [row["ready"] for row in data["seconds"]] == [1, 2]
    assert [step["ok"] for step in data["steps"]] == [True, None]
    page = " ".join(read((scene.out / "report.html").read_text()).text)
    assert "pod ei-1 is deleted" in page and "aim of 200 %" in page


class Whole:
    """main() with everything around it made up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.did: list[str] = []
        self.stream = io.StringIO()
        self.scenes: list[FakeScene] = []
        self.joined: Exception | type[BaseException] | None = None
        self.pids: dict[str, int | None] = {}
        monkeypatch.setattr(demo.os, "geteuid", lambda: 0)
        monkeypatch.setenv("LAB_NAME", "other")
        monkeypatch.delenv("KEEP", raising=False)
        monkeypatch.setattr(demo, "ROOT", tmp_path)
        monkeypatch.setattr(demo, "Screen", lambda: Screen(stream=self.stream))
        monkeypatch.setattr(demo, "Scene", self.scene)
        monkeypatch.setattr(demo, "prepare", lambda scene: None)
        monkeypatch.setattr(demo, "join", self.join)
        monkeypatch.setattr(demo, "remove", lambda out: self.did.append("remove"))
        monkeypatch.setattr(demo.owner, "abandoned", lambda lab: False)
        monkeypatch.setattr(Lab, "nodes", lambda lab, part="": list(self.pids))
        monkeypatch.setattr(Lab, "pid", lambda lab, node: self.pids[node])
        steps_of(monkeypatch, good)

    def join(self, out: Path, screen: Screen, *, keep: bool) -> None:
        self.did.append(f"join keep={keep}")
        if self.joined is not None:
            raise self.joined

    def scene(self, lab: Lab, out: Path, screen: Screen) -> FakeScene:
        self.scenes.append(FakeScene(lab, out, screen))
        self.scenes[-1].began = time.time()
        return self.scenes[-1]


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Whole:
    return Whole(monkeypatch, tmp_path)


def test_a_demo_that_is_well(whole: Whole, tmp_path: Path) -> None:
    old = tmp_path / "build/demo-kubernetes/old"
    old.parent.mkdir(parents=True)
    old.touch()
    assert demo.main() == 0
    assert whole.did == ["join keep=False", "remove"]
    assert whole.scenes[0].did[-1] == "stop" and "restore" not in whole.scenes[0].did
    assert sorted(path.name for path in old.parent.iterdir()) == ["report.html", "timeline.json"]
    assert "demo: well" in whole.stream.getvalue()


def test_a_step_that_failed_has_a_report_and_is_cleaned_up(
    whole: Whole, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps_of(monkeypatch, failing(NotAsItShould("no")), good)
    assert demo.main() == 4
    assert (tmp_path / "build/demo-kubernetes/report.html").exists()
    assert whole.did[-1] == "remove"
    assert "demo: NOT well" in whole.stream.getvalue()


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (DemoError("not up within 2700 s"), 1, "demo: not up within 2700 s"),
        (LabError("no room"), 1, "demo: no room"),
        (KeyboardInterrupt, 130, "demo: stopped; cleaning up"),
    ],
)
def test_what_ends_it_early_is_cleaned_up_too(whole: Whole, error: Any, code: int, words: str) -> None:
    whole.joined = error
    assert demo.main() == code
    assert whole.did[-1] == "remove" and not whole.scenes
    assert words in whole.stream.getvalue()


def test_a_lab_that_was_up_stays_as_it_was(whole: Whole) -> None:
    whole.pids = {"ei1": None, "kw1": 4711}
    assert demo.main() == 0
    assert "remove" not in whole.did
    assert whole.scenes[0].did[-1] == "restore"
    assert "stays up; remove it with: make lab-down" in whole.stream.getvalue()


def test_machines_that_do_not_run_are_no_lab_that_was_up(whole: Whole) -> None:
    whole.pids = {"ei1": None}
    assert demo.main() == 0
    assert whole.did[-1] == "remove"


def test_it_is_left_up_where_that_is_asked_for(whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEEP", "1")
    assert demo.main() == 0
    assert whole.did == ["join keep=True"]
    assert "Try next" in whole.stream.getvalue()


def test_a_restore_that_fails_is_said_and_changes_nothing_of_the_outcome(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restore(_scene: FakeScene) -> None:
        raise DemoError("the roll-out ended with 2")

    monkeypatch.setattr(FakeScene, "restore", restore)
    monkeypatch.setenv("KEEP", "1")
    assert demo.main() == 0
    assert "demo: the roll-out ended with 2" in whole.stream.getvalue()


def test_without_root_nothing_is_begun(
    whole: Whole, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo.os, "geteuid", lambda: 1000)
    assert demo.main() == 1
    assert whole.did == [] and "needs root" in capsys.readouterr().err
