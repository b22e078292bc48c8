# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The healer dies at every call that leaves its process, before and after it; another one goes on.

One incident from alert to healed, on the simulated farm. Nothing may be lost, and nothing happens twice.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.healer.fake_farm import FakeFarm

OFTEN = ("spool.names", "books.world", "books.pending", "units.listed", "prepared.step", "prepared.unit")


class Killed(BaseException):
    """As SIGKILL: no handler of the healer may see it."""


class Killer:
    """Counts calls, and kills at one of them."""

    def __init__(self, at: int = -1, after: bool = False) -> None:
        self.at = at
        self.after = after
        self.calls: list[str] = []

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        place = len(self.calls)
        self.calls.append(name)
        if place == self.at and not self.after:
            raise Killed(name)
        found = call()
        if place == self.at:
            raise Killed(name)
        return found


def scenario(folder: Path, killer: Killer, prepared: bool) -> FakeFarm:
    """One illness with two alerts; at the kill, a new healer over the same journal."""
    folder.mkdir()
    farm = FakeFarm(folder)
    farm.prepared = prepared
    healer = farm.healer(trip=killer)
    farm.fall_ill("n0-1")
    farm.drop("n0-1", service="swap")
    try:
        farm.run(healer, 22.0, step=2.0)
    except Killed:
        healer.reader.stop()  # a child that only reads ends with the service
        farm.now += 1.0
        farm.run(farm.healer(), 70.0, step=2.0)  # a run that never began is begun again after 35 s
    return farm


def calls_of_a_whole_run(folder: Path, prepared: bool) -> list[str]:
    killer = Killer()
    scenario(folder, killer, prepared)
    return killer.calls


def places(calls: list[str]) -> list[int]:
    """Each kind of call at its first times: later ones meet the same code in the same state."""
    seen: dict[str, int] = {}
    found = []
    for place, name in enumerate(calls):
        seen[name] = seen.get(name, 0) + 1
        limit = 5 if name in OFTEN else 12
        if seen[name] <= limit:
            found.append(place)
    return found


@pytest.mark.parametrize("prepared", [False, True], ids=["cold", "prepared"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_nothing_is_lost_and_nothing_is_done_twice(tmp_path: Path, after: bool, prepared: bool) -> None:
    calls = calls_of_a_whole_run(tmp_path / "whole", prepared)
    wanted = {
        "spool.read", "spool.remove", "books.take_in", "books.open_incident", "books.attach", "books.begin_run",
        "books.end_run", "books.post", "books.delivered", "pipe.write", "reader.begin",
        "prepared.give" if prepared else "units.start",
    }  # fmt: skip
    assert wanted <= set(calls), "the scenario does not reach every call"
    for place in places(calls):
        killer = Killer(place, after)
        farm = scenario(tmp_path / f"at{place}", killer, prepared)
        where = f"killed {'after' if after else 'before'} call {place} ({calls[place]})"
        assert len(killer.calls) == place + 1, where
        alerts = farm.rows("SELECT outcome FROM alerts")
        assert len(alerts) == 2, f"{where}: an alert is lost or doubled"
        assert all(row["outcome"] for row in alerts), f"{where}: an alert is forgotten"
        assert farm.files() == [], where
        incidents = farm.rows("SELECT outcome FROM incidents")
        assert [row["outcome"] for row in incidents] == ["healed"], where
        assert len(farm.started) == 1, f"{where}: {farm.started}"
        assert farm.rows("SELECT 1 FROM runs WHERE ended_at IS NULL") == [], where
        comments = farm.told("ADD_HOST_COMMENT")
        # A pipe has no receipt: dying between its write and the journal's word says it once more, never less.
        most = 2 if calls[place] in ("pipe.write", "books.delivered") else 1
        assert 1 <= len(comments) <= most, f"{where}: {comments}"
        assert farm.rows("SELECT 1 FROM outbox WHERE delivered_at IS NULL") == [], where
