# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""That a healer never looks healthier than it is, never hangs unseen, and loses no start (simulated farm)."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import acknowledge, set_flag
from selfheal_cluster.healer import child, loop, results
from selfheal_cluster.healer.books import Books
from selfheal_cluster.healer.notify import Notify
from selfheal_cluster.healer.run_heal import look_up
from tests.unit.healer.fake_farm import FakeFarm, FakeReader


def beats(farm: FakeFarm) -> list[str]:
    return [line.split(";")[3] for line in farm.told("PROCESS_SERVICE_CHECK_RESULT;monitor;selfheal;")]


def test_a_healer_that_reads_nothing_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    farm = FakeFarm(tmp_path)
    monkeypatch.setattr(FakeReader, "collect", lambda self: None)  # the reading never ends
    farm.run(farm.healer(), 120.0)
    found = beats(farm)
    assert found[0] == "1"
    assert set(found[1:]) <= {"1", "2"}
    assert found[-1] == "2"


def test_a_last_reading_of_long_ago_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    farm.run(healer, 40.0)
    assert beats(farm)[-1] == "0"
    monkeypatch.setattr(FakeReader, "collect", lambda self: None)
    farm.run(healer, 90.0)
    assert beats(farm)[-1] == "2"


def test_a_pause_that_lasts_long_is_a_warning(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    with Journal(farm.config.journal) as journal:
        set_flag(journal, "paused", True, "anna@desk", farm.now)
    farm.run(healer, 60.0, step=5.0)
    assert beats(farm)[-1] == "0"
    farm.now += 3600.0
    farm.run(healer, 10.0)
    assert beats(farm)[-1] == "1"
    assert "PAUSED by anna@desk" in farm.commands[-1]


@pytest.mark.parametrize("how", ["missing", "not ours"])
def test_without_a_journal_it_observes_and_goes_on_by_itself(tmp_path: Path, how: str) -> None:
    farm = FakeFarm(tmp_path)
    said: list[str] = []
    path, aside = Path(farm.config.journal), tmp_path / "aside.db"
    path.rename(aside)
    if how == "not ours":
        path.write_bytes(b"SQLite format 3" + bytes(4096))
    healer = farm.healer(said)
    farm.fall_ill("n0-0")
    farm.run(healer, 60.0)
    assert (beats(farm)[-1], farm.started, len(farm.files())) == ("2", [], 1)
    assert sum(line.startswith("journal:") for line in said) == 1, said
    aside.replace(path)
    farm.run(healer, 60.0)
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]
    assert beats(farm)[-1] == "0"
    assert sum(line.startswith("journal:") for line in said) == 2, said


def test_a_bad_file_that_cannot_be_moved_stops_no_alert(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    said: list[str] = []
    healer = farm.healer(said)
    (tmp_path / "spool" / "bad").write_text("a file where the folder should be")
    (tmp_path / "spool" / "00000000000000000001-7.event").write_text("{not json")
    (tmp_path / "spool" / "00000000000000000001-8.event").write_text("{not json")
    farm.fall_ill("n0-0")
    farm.run(healer, 40.0)
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]
    assert sum(line.startswith("spool:") for line in said) == 1, said
    (tmp_path / "spool" / "bad").unlink()
    farm.run(healer, 10.0)
    assert farm.files() == []
    assert "spool" not in healer.troubles.now


def test_a_quota_that_could_not_be_kept_is_over_when_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    real = Books.prune

    def broken(*_args: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Books, "prune", broken)
    farm.run(healer, 5.0)
    assert "quota" in healer.troubles.now
    monkeypatch.setattr(Books, "prune", real)
    farm.now += loop.CHORES_SECONDS
    farm.run(healer, 10.0)
    assert healer.troubles.now == {}


def test_an_acknowledged_node_that_may_be_held_is_not_called_well(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    farm.outcome = "left_out"
    healer = farm.healer()
    farm.fall_ill("n0-0")
    farm.run(healer, 30.0)
    incident = farm.rows("SELECT id FROM incidents")[0]["id"]
    farm.ill_since.clear()
    healer.stop()
    with Journal(farm.config.journal) as journal:
        acknowledge(journal, incident, "anna", farm.now)
    farm.run(farm.healer(), 20.0)
    state = farm.told("PROCESS_SERVICE_CHECK_RESULT;monitor;selfheal: n0-0;")[-1]
    assert state.split(";")[3] == "2"
    assert "was acknowledged" in state
    assert "may still be held" in state
    farm.outcome = "healed"
    farm.fall_ill("n0-0")
    farm.run(farm.healer(), 60.0)
    state = farm.told("PROCESS_SERVICE_CHECK_RESULT;monitor;selfheal: n0-0;")[-1]
    assert state.split(";")[3] == "0", "a later heal has proven that it serves"


@pytest.mark.parametrize(
    ("comes_up", "listing", "rows", "starts"),
    [
        (False, True, ["not_started", "healed"], 1),  # refused: tried again
        (True, True, ["healed"], 1),  # it came up although nobody said so: this run, and no second one
        (True, False, ["healed"], 1),  # the same, and systemd does not even say what runs
        (False, False, ["gone", "healed"], 1),  # nobody knows; the listing says it later
    ],
)
def test_a_start_that_fails_is_neither_lost_nor_doubled(
    tmp_path: Path, comes_up: bool, listing: bool, rows: list[str], starts: int
) -> None:
    farm = FakeFarm(tmp_path)
    first: list[str] = []

    def trip(name: str, call: Any) -> Any:
        if name == "units.start" and not first:
            first.append(name)
            if comes_up:
                call()
            raise SelfhealError("no_systemd", "cannot start: timed out after 10 seconds")
        if name == "units.listed" and first and not listing and len(first) < 3:
            first.append(name)
            raise SelfhealError("no_systemd", "cannot list the runs: timed out")
        return call()

    farm.fall_ill("n0-0")
    farm.run(farm.healer(trip=trip), 200.0)
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM runs ORDER BY number")] == rows
    assert len(farm.started) == starts
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]


def test_a_child_that_cannot_be_killed_does_not_hold_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    asleep = child.Child([sys.executable, "-c", "import time; time.sleep(60)"], 5.0, clock=lambda: now[0])
    asleep.begin({})
    assert asleep._process is not None
    pid = asleep._process.pid
    monkeypatch.setattr(child.Child, "_kill", staticmethod(lambda _process: None))  # as one that waits for a disk
    before = time.monotonic()
    try:
        now[0] = 5.0
        assert asleep.ended() is None
        now[0] = 5.0 + child.END_SECONDS
        ended = asleep.ended()
        assert ended is not None
        assert ended.timed_out
        assert not asleep.running
        assert time.monotonic() - before < 5.0
    finally:
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 10
        while child._left and time.monotonic() < end:
            child.bury()
    assert child._left == []


def test_systemd_hears_of_each_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as source:
        source.bind(str(tmp_path / "notify"))
        source.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        service = Notify()
        assert "NOTIFY_SOCKET" not in os.environ, "children must not speak for it"
        service.ticked()
        service.ticked()
        service.stopping()
        heard = [source.recv(100) for _ in range(3)]
    assert heard == [b"READY=1\nWATCHDOG=1", b"WATCHDOG=1", b"STOPPING=1"]
    service.ticked()  # nobody listens any more: no reason to stop


def test_a_run_folder_of_an_open_incident_is_kept(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    farm.outcome = "left_out"
    farm.fall_ill("n0-0")
    farm.run(farm.healer(), 30.0)
    row = farm.rows("SELECT incident, number FROM runs")[0]
    with Journal(farm.config.journal) as journal:
        journal.db.execute("UPDATE runs SET ended_at = NULL")
        journal.db.execute("INSERT INTO runs VALUES (?, 9, 'u', 1, 2, 'gone')", (row["incident"],))
    _node, kept = look_up(farm.config.journal, row["incident"], row["number"])
    assert f"{row['incident']}-9" in kept
    assert results.prune(farm.config.runs, kept, 0, 0.0) == 0
