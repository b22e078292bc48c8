# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A heal judges by the ring of readings and the last heal, as the healer does, or it refuses what the healer starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_healer as healer
from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_ring as ring
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_seen import look
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._snapshot import build
from ansible_collections.selfheal.cluster.plugins.modules import gauge_info
from tests.unit.gauges import farm
from tests.unit.gauges.test_gauges import Nagios
from tests.unit.planner.test_snapshot import results

LAYERS: list[dict[str, Any]] = [{"layer": "ei", "nodes": ["a", "b"], "gauges": None}]


def journal(folder: Path, earlier: dict[float, float] | None = None, healed: float | None = None) -> str:
    """A journal whose ring has these values of memory of node a, and a heal of it; all by age in seconds."""
    path = str(folder / "journal.db")
    Journal.create(path, farm.NOW - 3600)
    with Journal(path) as kept:
        for ago, value in (earlier or {}).items():
            reading = {"gauge": "memory", "service": "memory", "label": "mem_available", "value": value,
                       "at": farm.NOW - ago, "verdict": "suspect"}  # fmt: skip
            healer.add_readings(kept, {"a": {"verdict": "suspect", "readings": [reading]}}, farm.NOW - ago)
        if healed is not None:
            incident = healer.open_incident(kept, "a", "ei", "resource", [], farm.NOW - healed - 60)
            kept.db.execute(
                "INSERT INTO attempts (incident, attempt, node, layer, epoch, at, ended_at, outcome, phase, phase_at,"
                " rung, reason, owner, decision) VALUES (?, 1, 'a', 'ei', 1, ?, ?, 'healed', 'soak', ?, 'service', '',"
                " '{}', 0)",
                (incident, farm.NOW - healed - 50, farm.NOW - healed, farm.NOW - healed - 5),
            )
    return path


def judged(words: dict[str, Any], path: str | None) -> dict[str, Any]:
    """As the task of a heal on the journal's host."""
    params = {"layers": LAYERS, "expected_services": None, "reading_age_seconds": 150.0, "since": None, "history": [],
              "journal": path}  # fmt: skip
    stand_in: Any = Nagios(farm.layer({"a": words, "b": {}}))
    return gauge_info.judged(stand_in, params, lambda: farm.NOW)


CASES: list[tuple[str, dict[str, Any], dict[float, float], float | None, str, str]] = [
    # id, node a in Nagios, its ring, its last heal, the verdict without the journal, the verdict with it
    ("raised, now between the marks", {"memory": {"used": 0.85}}, {45: 0.95, 25: 0.96}, None, "suspect", "faulty"),
    ("two of three, soft in Nagios", {"memory": {"used": 0.95, "status": "critical", "state_type": "soft"}},
     {45: 0.3, 25: 0.93}, None, "suspect", "faulty"),
    ("load that has to come down after a heal", {"cpu": {"load": 3.0, "status": "critical"}}, {}, 30, "faulty", "ok"),
    ("not checked again since the heal", {"memory": {"used": 0.95, "status": "critical"}}, {}, 3, "faulty", "unknown"),
    ("raised before the heal", {"memory": {"used": 0.85}}, {45: 0.95, 25: 0.96}, 20, "suspect", "suspect"),
    ("an empty ring", {"memory": {"used": 0.95, "status": "critical"}}, {}, None, "faulty", "faulty"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "earlier", "healed", "without", "with_it"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_heal_and_healer_judge_alike(
    tmp_path: Path, words: dict[str, Any], earlier: dict[float, float], healed: float | None, without: str, with_it: str
) -> None:
    path = journal(tmp_path, earlier, healed)
    assert judged(words, None)["verdicts"]["a"]["verdict"] == without
    found = judged(words, path)
    assert found["verdicts"]["a"]["verdict"] == with_it
    with Journal(path) as kept:  # what the healer's reader does
        history = healer.recent_readings(kept, farm.NOW - ring.reach_seconds(LAYERS))
    since = {} if healed is None else {"a": farm.NOW - healed}
    nagios: Any = Nagios(farm.layer({"a": words, "b": {}}))
    assert look(nagios, LAYERS, lambda: farm.NOW, history=history, since=since)["verdicts"] == found["verdicts"]


def test_a_heal_of_the_future_hides_none_of_the_past(tmp_path: Path) -> None:
    """The clock was set back between two heals; the later one is the one whose number is smaller."""
    path = journal(tmp_path, healed=-7260)
    with Journal(path) as kept:
        kept.db.execute(
            "INSERT INTO attempts (incident, attempt, node, layer, epoch, at, ended_at, outcome, phase, phase_at, rung,"
            " reason, owner, decision) SELECT incident, 2, node, layer, 2, at, ?, outcome, phase, phase_at, rung,"
            " reason, owner, decision FROM attempts",
            (farm.NOW - 20,),
        )
    words = {"memory": {"used": 0.95, "status": "critical", "ago": 30}}
    found = judged(words, path)
    assert found["past"]["healed"] == {"a": farm.NOW - 20}
    assert found["verdicts"]["a"]["verdict"] == "unknown", "that reading is from before the heal"


def test_what_a_verdict_rests_on_is_in_the_snapshot(tmp_path: Path) -> None:
    found = judged({"memory": {"used": 0.85}}, journal(tmp_path, {45: 0.95, 25: 0.96}, healed=500))
    past = build(**{**results(), "nagios": found})["past"]
    assert [(item["node"], item["value"], item["at"]) for item in past["readings"]] == [
        ("a", 0.95, farm.NOW - 45), ("a", 0.96, farm.NOW - 25),
    ]  # fmt: skip
    assert past["healed"] == {"a": farm.NOW - 500}
    assert past["problem"] == ""
    well = judged({}, str(tmp_path / "journal.db"))
    assert well["past"]["readings"] == [], "of what is well nothing has to be proven"
    assert "past" not in judged({}, None)


def test_a_journal_that_may_not_be_read_is_as_good_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"memory": {"used": 0.95, "status": "critical"}}
    found = judged(words, str(tmp_path / "none.db"))
    assert found["verdicts"]["a"]["verdict"] == "faulty"
    assert "none.db" in found["past"]["problem"]
    path = journal(tmp_path, {45: 0.95, 25: 0.96})
    owner = Path(path).stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 4711)
    found = judged({"memory": {"used": 0.85}}, path)
    assert found["verdicts"]["a"]["verdict"] == "suspect", "by Nagios' word alone"
    assert "belongs to user id" in found["past"]["problem"]


def test_root_reads_as_the_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second user of a database in WAL mode leaves files behind that the owner cannot write."""
    path = journal(tmp_path, {45: 0.95, 25: 0.96})
    if os.getuid() == 0:
        os.chown(path, 4711, -1)
    owner, process = Path(path).stat().st_uid, [0]
    became: list[int] = []

    def become(user: int) -> None:
        process[0] = user
        became.append(user)

    monkeypatch.setattr(os, "geteuid", lambda: process[0])
    monkeypatch.setattr(os, "seteuid", become)
    assert judged({"memory": {"used": 0.85}}, path)["verdicts"]["a"]["verdict"] == "faulty"
    assert became == [owner, 0]


def test_how_far_back_the_gauges_see() -> None:
    assert ring.reach_seconds(LAYERS) == 660.0
    gauge = {"name": "x", "service": "x", "kind": "service"}
    for more, seconds in (
        ({}, 0.0),
        ({"for_seconds": 1800}, 1860.0),
        ({"count": {"raise": 2}}, 660.0),
        ({"settle_seconds": 90}, 150.0),
    ):
        assert ring.reach_seconds([{"layer": "ei", "nodes": [], "gauges": [{**gauge, **more}]}]) == seconds
