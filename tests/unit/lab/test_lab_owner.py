# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whose lab it is, by the mark on it: somebody's, a living run's or a dead run's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lab import owner
from lab.host import start_time
from lab.machines import Lab


class PaperLab(Lab):
    """A lab whose state folder is in a folder of the test."""

    top: Path

    @property
    def state(self) -> Path:
        return self.top / super().state.name


@pytest.fixture(autouse=True)
def on_paper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(PaperLab, "top", tmp_path, raising=False)
    monkeypatch.setattr(owner, "Lab", PaperLab)


def made(name: str = "shlab", mark: str = "", machine: bool = True) -> PaperLab:
    lab = PaperLab(name)
    lab.machine_dir("ei1").mkdir(parents=True)
    if machine:
        (lab.machine_dir("ei1") / "spec.json").write_text("{}")
    if mark:
        (lab.state / owner.FILE).write_text(mark)
    return lab


def marked(pid: int, started: str) -> str:
    return json.dumps({"pid": pid, "started": started})


MINE = marked(os.getpid(), start_time(os.getpid()))
REUSED = marked(os.getpid(), "1")


@pytest.mark.parametrize(("mark", "machine", "left", "to_make", "reason"), [
    ("", True, False, False, "no mark: somebody typed make lab, and it is theirs"),
    ("mine", True, False, False, "its run lives"),
    ("reused", True, True, True, "another process has the number of the dead run"),
    (marked(2**22 + 1, "1"), True, True, True, "no such process"),
    ("{", True, False, False, "a mark that cannot be read proves nothing"),
    ("[]", True, False, False, "a mark of another shape proves nothing"),
    ("reused", False, True, True, "a dead run had not made a machine yet"),
    ("", False, False, True, "there is no lab"),
])  # fmt: skip
def test_whose_lab_it_is(mark: str, machine: bool, left: bool, to_make: bool, reason: str) -> None:
    lab = made(mark={"mine": MINE, "reused": REUSED}.get(mark, mark), machine=machine)
    assert (owner.abandoned(lab), owner.to_make(lab)) == (left, to_make), reason


def test_the_mark_names_the_process_that_asked(tmp_path: Path) -> None:
    lab = made()
    owner.put(lab, owner.environment())
    assert (lab.state / owner.FILE).read_text() == MINE
    assert not owner.abandoned(lab)


@pytest.mark.parametrize("given", [{}, {owner.VARIABLE: ""}, {owner.VARIABLE: "x"}, {owner.VARIABLE: str(2**22 + 1)}])
def test_without_a_living_process_there_is_no_mark(given: dict[str, str]) -> None:
    lab = made()
    owner.put(lab, given)
    assert not (lab.state / owner.FILE).exists()


def test_a_lab_that_shall_stay_is_given_no_process() -> None:
    assert owner.environment(keep=True) == {}


def test_the_default_lab_clears_all_that_dead_runs_left_and_another_only_itself() -> None:
    default, two = made(mark=REUSED), made("shtwo", mark=REUSED)
    made("shlive", mark=MINE)
    made("shmine")
    assert owner.abandoned_labs(default) == [default, two]
    assert owner.abandoned_labs(two) == [two]
    assert owner.abandoned_labs(PaperLab("shlive")) == []
