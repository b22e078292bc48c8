# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is told of a heal that runs: out of its result, its events, and the journal; torn files are no error."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _run_live
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_healer import begin_run
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import extend, release
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_read import opened as reading
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_read import overview
from tests.unit.cli.conftest import Monitor
from tests.unit.journal.helpers import NOW, UNIT, new, opened, question

PHASES = [{"name": "confirm", "started": NOW, "ended": NOW + 1.5}]
RESULT = {"status": "acting", "outcome": "", "phase": "shift", "phase_started": NOW + 1.5, "phases": PHASES,
          "attempt": 1, "problems": ["extlb2: not reachable"]}  # fmt: skip
TASK = {"play": "Shift", "task": "Take the traffic away", "host": "extlb1"}


def running(monitor: Monitor, now: float = NOW + 5) -> list[dict[str, Any]]:
    with reading(monitor.journal) as journal:
        return list(overview(journal, now, None, 50, False)["running"])


def begin(monitor: Monitor, planned: bool = True) -> str:
    """A run of the healer that has been started, and perhaps has come past its plan."""
    with new(monitor.folder) as journal:
        incident = opened(journal, now=NOW - 1)
        begin_run(journal, incident, UNIT, NOW - 0.5)
        if planned:
            assert journal.decide({**question(), "incident": incident}, NOW)["admitted"]
    return incident


def test_nothing_runs(monitor: Monitor) -> None:
    assert running(monitor) == []


def test_the_phase_now_and_the_phases_done_come_from_the_heal_itself(monitor: Monitor) -> None:
    incident = begin(monitor)
    monitor.run(f"{incident}-1", {**RESULT, "incident": incident}, _1={"play": "Observe"}, _2=TASK)
    (row,) = running(monitor)
    assert (row["incident"], row["node"], row["number"], row["attempt"]) == (incident, "ei1", 1, 1)
    assert row["unit"] == f"selfheal-heal@{incident}-1.service"
    assert (row["phase"], row["phase_seconds"], row["seconds"]) == ("shift", 3.5, 5.5)
    assert row["phases"] == [{"name": "confirm", "seconds": 1.5}]
    assert row["doing"] == TASK and row["problems"] == ["extlb2: not reachable"]
    assert row["by"] == "" and row["lease_expired"] is False


def test_before_its_plan_a_run_confirms(monitor: Monitor) -> None:
    incident = begin(monitor, planned=False)
    (row,) = running(monitor)
    assert (row["phase"], row["phase_seconds"], row["attempt"], row["doing"]) == ("confirm", 5.5, None, {})
    assert row["incident"] == incident and row["lease_until"] is None


def test_a_heal_by_hand_is_told_by_the_journal(monitor: Monitor) -> None:
    with new(monitor.folder) as journal:
        heal = journal.decide(question(), NOW)
        extend(journal, heal["incident"], heal["epoch"], "restart", 60, NOW + 2)
    (row,) = running(monitor)
    assert (row["unit"], row["by"], row["attempt"]) == (None, "anna@desk", 1)
    assert (row["phase"], row["phase_seconds"]) == ("restart", 3.0)
    assert row["phases"] == [{"name": "confirm", "seconds": 2.0}]
    assert running(monitor, NOW + 5000)[0]["lease_expired"] is True


def test_a_heal_that_has_ended_but_for_its_unit(monitor: Monitor) -> None:
    incident = begin(monitor)
    with new(monitor.folder) as journal:
        epoch = journal.rows("SELECT epoch FROM attempts")[0]["epoch"]
        release(journal, incident, epoch, "healed", {}, NOW + 4)
    monitor.run(f"{incident}-1", {**RESULT, "incident": incident, "phase": "", "outcome": "healed", "status": "healed"})
    (row,) = running(monitor)
    assert (row["phase"], row["phase_seconds"], row["outcome"], row["attempt"]) == ("", None, "healed", 1)


@pytest.mark.parametrize(
    "result",
    ["", "{", "[1]", '"text"', '{"incident": 7}', "[" * 100000, '{"phase_started": NaN}', "\udc80",
     json.dumps({**RESULT, "incident": "another"})],
    ids=["empty", "half", "list", "text", "number", "deep", "nan", "no UTF-8", "another incident"],
)  # fmt: skip
def test_a_result_that_is_none_leaves_the_word_to_the_journal(monitor: Monitor, result: str) -> None:
    incident = begin(monitor)
    (monitor.run(f"{incident}-1") / "result.json").write_bytes(result.encode("utf-8", "surrogateescape"))
    (row,) = running(monitor)
    assert (row["phase"], row["phase_seconds"], row["phases"], row["problems"]) == ("confirm", 5.0, [], [])


def test_strange_parts_of_a_result_are_left_out(monitor: Monitor) -> None:
    incident = begin(monitor)
    strange = {**RESULT, "incident": incident, "phases": [7, {"name": "confirm"}, *PHASES, {"started": 1, "ended": 2}],
               "problems": "text", "attempt": "one"}  # fmt: skip
    monitor.run(f"{incident}-1", strange)
    (row,) = running(monitor)
    assert row["phases"] == [{"name": "confirm", "seconds": 1.5}] and row["problems"] == []


def test_of_torn_events_the_newest_whole_one_is_told(tmp_path: Path) -> None:
    folder = Monitor(tmp_path).run("x-1", _9=TASK, _10='{"event_data": {"pl', _11="", _12={"no": "play"})
    events = folder / "artifacts" / "heal" / "job_events"
    for name in ("99-a.json.tmp", "abc-partial.json", "0-a.json", "notes"):
        (events / name).write_text(json.dumps({"event_data": {"play": "half"}}), encoding="utf-8")
    (events / "98-a.json").mkdir()
    os.utime(events / "12-1b2c-3d.json", (1000.0, 1000.0))
    os.utime(events / "98-a.json", (2000.0, 2000.0))
    assert _run_live.last_event(folder) == {**TASK, "at": 2000.0}, "10 comes after 9"
    assert _run_live.last_event(tmp_path / "none") == {}


def test_an_event_too_big_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_run_live, "EVENT_BYTES", 200)
    folder = Monitor(tmp_path).run("x-1", _1=TASK, _2={"play": "x" * 200})
    assert _run_live.last_event(folder)["play"] == "Shift"


def test_only_so_many_events_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opens: list[str] = []
    real = _run_live._read

    def spy(path: _run_live.PathLike, limit: int) -> dict[str, Any]:
        opens.append(str(path))
        return real(path, limit)

    monkeypatch.setattr(_run_live, "_read", spy)
    folder = Monitor(tmp_path).run("x-1", **{f"_{number}": "{" for number in range(1, 200)})
    assert _run_live.last_event(folder)["play"] == ""
    assert len(opens) == _run_live.EVENTS_READ


def test_the_folder_of_a_run_is_never_outside(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def spy(folder: _run_live.PathLike) -> dict[str, Any]:
        seen.append(str(folder))
        return {}

    monkeypatch.setattr(_run_live, "last_event", spy)
    with new(monitor.folder) as journal:
        journal.db.execute("INSERT INTO incidents VALUES ('../../x', 'ei1', 'ei', 'open', 1, NULL, '', '[]', NULL, 0)")
        journal.db.execute("INSERT INTO runs VALUES ('../../x', 1, 'u', 1.0, NULL, NULL)")
        _run_live.live(journal, NOW, "/var/lib/selfheal/runs")
    assert seen == ["/var/lib/selfheal/runs/x-1"]


def test_a_reader_can_write_nothing(monitor: Monitor) -> None:
    import sqlite3

    with reading(monitor.journal) as journal, pytest.raises(sqlite3.OperationalError, match="readonly"):
        journal.db.execute("DELETE FROM incidents")
