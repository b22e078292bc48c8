# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whether a standby hears adverts, on a machine whose keepalived answers late. The clock and keepalived are fakes."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _keepalived_move, _keepalived_view
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Holds
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived import parse_dump

BACKUP = (Path(__file__).parent / "recorded" / "backup.json").read_text(encoding="utf-8")


class FakeClock:
    """Stands still but for sleeps and what takes its time."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeKeepalived:
    """A standby that gets an advert each 0.1 s until ``silent_at``, and whose first answers take ``late`` seconds."""

    def __init__(self, clock: FakeClock, late: float, silent_at: float) -> None:
        self.clock = clock
        self.late = late
        self.silent_at = silent_at

    def pid(self) -> int:
        return 4711

    def instances(self) -> list[dict[str, Any]]:
        (entry,) = copy.deepcopy(parse_dump(BACKUP))
        self.clock.now += self.late  # its loop comes to the signal late, and then writes what it knows by then
        entry["stats"]["advert_rcvd"] = int(min(self.clock.now, self.silent_at) / 0.1)
        self.late = 0.005
        return [entry]

    def running(self) -> dict[str, dict[str, Any]]:
        self.clock.now += self.late
        return {}


def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: float, silent_at: float) -> _keepalived_view.Node:
    clock = FakeClock()
    fake = SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep)
    for module in (_keepalived_view, _keepalived_move):
        monkeypatch.setattr(module, "time", fake)
    monkeypatch.setattr(_keepalived_view, "addresses", set)
    keepalived: Any = FakeKeepalived(clock, late, silent_at)
    return _keepalived_view.Node(keepalived, Holds(str(tmp_path)))


@pytest.mark.parametrize("late", [0.005, 0.2, 0.4, 2.0])
@pytest.mark.parametrize(("silent_at", "heard"), [(1e9, True), (99.0, False)])
def test_a_late_answer_leaves_a_whole_interval_to_hear_an_advert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: float, silent_at: float, heard: bool
) -> None:
    own = node(tmp_path, monkeypatch, late, silent_at)
    assert own.look("VI_ext")["instances"][0]["adverts_heard"] is heard
    own = node(tmp_path, monkeypatch, late, silent_at)
    wish = _keepalived_move.Wish("VI_ext", "present", "i1", 7, "shift", 60.0)
    assert _keepalived_move.Mover(own, own.holds).look(wish)["adverts_heard"] is heard
