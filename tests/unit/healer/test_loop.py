# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The loop over a simulated farm (said so: fake_farm): many incidents, and every bad thing once."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_wait import NEXT_RUNG_SECONDS
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import set_flag
from selfheal_cluster.healer import spool
from selfheal_cluster.healer.books import Books
from selfheal_cluster.healer.loop import CALM_SECONDS, HASTE_SECONDS
from selfheal_cluster.healer.pace import Pace
from selfheal_cluster.healer.units import parse_name
from tests.unit.healer.fake_farm import START, FakeFarm


def nodes_of(farm: FakeFarm) -> dict[str, str]:
    return {row["id"]: row["node"] for row in farm.rows("SELECT id, node FROM incidents")}


def incident_of(unit: str) -> str:
    return parse_name(unit.partition("@")[2].removesuffix(".service"))[0]


def test_two_hundred_incidents_are_each_healed_once(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path, layers=10)
    healer = farm.healer()
    everyone = [node for policy in farm.policies.values() for node in policy["nodes"]]
    begun, overlaps = 0, []
    while begun < 200 or farm.ill_since:
        free = [node for node in everyone if node not in farm.ill_since]
        if begun < 200 and free:
            # Each layer is ill once at a time, so that none has to wait for its twin's slot.
            node = free[begun % len(free)]
            farm.fall_ill(node)
            farm.drop(node)  # the same illness told twice
            begun += 1
        farm.run(healer, 2.0)
        alive = [nodes_of(farm)[incident_of(unit)] for unit in farm.units]
        overlaps += [node for node in alive if alive.count(node) > 1]
        assert farm.now < START + 3600, "the farm does not get well"
    farm.run(healer, 20.0)

    incidents = farm.rows("SELECT state, outcome FROM incidents")
    assert len(incidents) == 200
    assert {(row["state"], row["outcome"]) for row in incidents} == {("closed", "healed")}
    assert len(farm.started) == len(set(farm.started)) == 200
    assert overlaps == []
    alerts = farm.rows("SELECT outcome FROM alerts")
    assert len(alerts) == 400
    assert {row["outcome"] for row in alerts} <= {"opened", "known", "stale", "recovered"}
    assert farm.files() == []
    assert len(farm.told("ADD_HOST_COMMENT")) == 200
    assert farm.rows("SELECT 1 FROM runs WHERE ended_at IS NULL") == []
    assert healer.troubles.now == {}


def test_an_illness_without_an_alert_is_seen_by_reading(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    farm.fall_ill("n0-1", alert=False)
    farm.run(healer, 30.0)
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]


def test_a_recovered_alert_begins_no_heal(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    farm.drop("n0-0", type="SOFT", attempt=1)
    farm.run(healer, 20.0)
    assert farm.started == farm.refused == []
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM alerts")] == ["recovered"]


def test_an_alert_that_completes_a_gauge_begins_a_run_before_any_reading(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    farm.run(healer, 6.0)
    farm.fall_ill("n0-0")
    farm.run(healer, 1.0)
    assert len(farm.started) == 1, "it waited for a reading"
    farm.run(healer, 60.0)
    assert len(farm.started) == 1
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]


def test_where_nagios_writes_rarely_the_reading_begins_the_run(tmp_path: Path) -> None:
    """Its run would look at the world before the alert, be refused, and leave the next one to begin without a start."""
    farm = FakeFarm(tmp_path)
    farm.interval = 10.0
    healer = farm.healer()
    farm.run(healer, 6.0)
    farm.drop("n0-0")
    farm.run(healer, 60.0)
    assert farm.started == farm.refused == []
    farm.fall_ill("n0-1")
    farm.run(healer, 60.0)
    assert (len(farm.started), farm.refused) == (1, [])
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]


def test_nagios_dies_just_after_its_alert(tmp_path: Path) -> None:
    """The run began by the alert, and its plan does not believe a dead Nagios; the illness waits until it is back."""
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    farm.run(healer, 6.0)
    farm.fresh = False
    farm.fall_ill("n0-0")
    farm.run(healer, 300.0)
    assert (len(farm.started), len(farm.refused)) == (0, 1)
    farm.fresh = True
    farm.run(healer, 60.0)
    assert len(farm.started) == 1
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]


def test_an_alert_that_was_wrong_costs_one_refused_run(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    farm.run(healer, 6.0)
    farm.drop("n0-0")
    farm.run(healer, 60.0)
    assert (len(farm.started), len(farm.refused)) == (0, 1)
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["recovered"]
    assert not farm.told("COMMENT")
    farm.drop("n0-0")
    farm.run(healer, 60.0)
    assert len(farm.refused) == 2, "another alert is another question"


def test_a_bad_file_is_kept_aside_and_in_the_journal(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    said: list[str] = []
    healer = farm.healer(said)
    bad = tmp_path / "spool" / "00000000000000000001-7.event"
    bad.write_text("{not json")
    good = farm.drop("n0-0")
    farm.run(healer, 3.0)
    assert farm.files() == []
    assert (tmp_path / "spool" / "bad" / bad.name).read_text() == "{not json"
    outcomes = {row["id"]: row["outcome"] for row in farm.rows("SELECT id, outcome FROM alerts")}
    assert outcomes[bad.name] == "bad"
    assert good in outcomes
    assert sum("moved to bad/" in line for line in said) == 1


def test_nagios_away_is_one_line_and_one_when_it_is_back(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    said: list[str] = []
    healer = farm.healer(said)
    farm.run(healer, 10.0)
    farm.fresh, farm.pipe_broken = False, True
    farm.run(healer, 10.0)
    farm.fall_ill("n0-0")
    farm.run(healer, 600.0, step=5.0)
    assert farm.started == [], "a heal was begun on what cannot be believed"
    away = [line for line in said if line.startswith("nagios:")]
    assert len(away) == 1, away
    waiting = farm.rows("SELECT id FROM alerts WHERE outcome = ''")
    assert len(waiting) == 1
    farm.fresh, farm.pipe_broken = True, False
    farm.run(healer, 90.0)
    assert len([line for line in said if line.startswith("nagios:")]) == 2
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]
    assert healer.troubles.now == {}


def test_what_nagios_did_not_take_is_delivered_after_a_restart(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    farm.pipe_broken = True
    farm.fall_ill("n0-0")
    farm.run(healer, 40.0)
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]
    assert farm.commands == []
    farm.pipe_broken = False
    farm.run(farm.healer(), 5.0)
    assert len(farm.told("ADD_HOST_COMMENT;n0-0")) == 1


@pytest.mark.parametrize("how", ["locked", "full"])
def test_without_the_journal_nothing_acts_and_files_stay(tmp_path: Path, how: str, monkeypatch: Any) -> None:
    from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_schema

    monkeypatch.setattr(_journal_schema, "BUSY_MILLISECONDS", 20)
    farm = FakeFarm(tmp_path)
    said: list[str] = []
    healer = farm.healer(said)
    farm.run(healer, 6.0)
    blocker = sqlite3.connect(farm.config.journal, isolation_level=None)
    if how == "locked":
        blocker.execute("BEGIN IMMEDIATE")
        healer.books.close()  # so that the next one is opened with the short patience of this test
    else:
        # A quota in the place of a full disk: SQLite says the same ("database or disk is full").
        pages = blocker.execute("PRAGMA page_count").fetchone()[0]
        healer.books.close()
        real = _journal_schema._open

        def small(path: str) -> sqlite3.Connection:
            connection = real(path)
            connection.execute(f"PRAGMA max_page_count = {pages}")
            return connection

        monkeypatch.setattr(_journal_schema, "_open", small)
        with sqlite3.connect(farm.config.journal) as filler:
            filler.execute("DELETE FROM meta WHERE name = 'nothing'")
    farm.ill_since["n0-0"] = farm.now
    count = 400 if how == "full" else 1
    for _ in range(count):
        farm.drop("n0-0", service="s" * 250)
    farm.run(healer, 20.0)
    assert len(farm.files()) == count
    assert farm.started == []
    assert sum(line.startswith("journal:") for line in said) == 1, said
    assert any("selfheal cannot heal: journal" in line for line in farm.commands), "the heartbeat does not tell it"
    monkeypatch.undo()
    blocker.close()
    healer.books.close()
    farm.run(healer, 40.0)
    assert farm.files() == []
    assert len(farm.rows("SELECT 1 FROM alerts")) == count
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]
    assert sum(line.startswith("journal:") for line in said) == 2, said


def test_a_sudo_rule_that_is_missing_is_one_line_and_is_asked_ever_more_rarely(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    said: list[str] = []
    healer = farm.healer(said)
    farm.refuse_start = "cannot start: sudo: a password is required"
    farm.fall_ill("n0-0")
    farm.run(healer, 120.0)
    runs = farm.rows("SELECT outcome FROM runs")
    assert {row["outcome"] for row in runs} == {"not_started"}
    assert len(runs) < 8
    assert sum(line.startswith("start:") for line in said) == 1
    farm.refuse_start = ""
    farm.run(healer, 400.0, step=2.0)
    assert len(farm.started) == 1
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]


def test_a_human_is_called_once_and_the_service_stays_critical(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    farm.outcome = "left_out"
    healer = farm.healer()
    farm.fall_ill("n0-0")
    farm.run(healer, 60.0)
    assert len(farm.told("selfheal calls a human")) == 1
    states = [line.rpartition("] ")[2] for line in farm.told("PROCESS_SERVICE_CHECK_RESULT;monitor;selfheal: n0-0")]
    assert states[0].split(";")[3] == "0"
    assert states[-1].split(";")[3] == "2"
    assert len(states) == 2, "told at a change only"
    farm.run(farm.healer(), 310.0, step=5.0)  # another healer, over the same journal
    states = farm.told("PROCESS_SERVICE_CHECK_RESULT;monitor;selfheal: n0-0")
    assert {line.split(";")[3] for line in states[2:]} == {"2"}
    assert len(farm.told("selfheal calls a human")) == 1


def left_out_with_a_rung_left(tmp_path: Path) -> FakeFarm:
    """The first attempt runs and will leave its node out; the policy allows a reboot after it."""
    farm = FakeFarm(tmp_path)
    farm.outcome = "left_out"
    with Journal(farm.config.journal) as journal:
        body = json.dumps({**farm.policies["layer0"], "reboot": True})
        journal.db.execute("UPDATE policies SET body = ?", (body,))
    farm.fall_ill("n0-0")
    return farm


def test_nobody_is_called_for_an_attempt_that_the_next_rung_makes_good(tmp_path: Path) -> None:
    farm = left_out_with_a_rung_left(tmp_path)
    healer = farm.healer()
    while not farm.rows("SELECT 1 FROM attempts"):
        farm.run(healer, 1.0)
    farm.outcome = "healed"
    farm.run(healer, 60.0)
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM attempts")] == ["left_out", "healed"]
    assert farm.rows("SELECT 1 FROM calls") == []
    assert farm.told("a human") == []
    states = farm.told("PROCESS_SERVICE_CHECK_RESULT;monitor;selfheal: n0-0;")
    assert {line.split(";")[3] for line in states} == {"0"}, "nobody was paged"


def test_a_next_rung_that_never_begins_calls_a_human(tmp_path: Path) -> None:
    farm = left_out_with_a_rung_left(tmp_path)
    healer = farm.healer()
    farm.run(healer, 4.0)
    assert len(farm.started) == 1
    farm.refuse_start = "cannot start: sudo: a password is required"
    farm.run(healer, 300.0)
    (ended,) = [row["ended_at"] for row in farm.rows("SELECT ended_at FROM attempts")]
    assert [row["reason"] for row in farm.rows("SELECT reason FROM calls")] == ["left_out"]
    assert farm.rows("SELECT at FROM calls")[0]["at"] - ended <= NEXT_RUNG_SECONDS + 1
    state = farm.told("PROCESS_SERVICE_CHECK_RESULT;monitor;selfheal: n0-0;")[-1]
    assert state.split(";")[3] == "2"


def test_heartbeat_and_states_come_in_time(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    farm.run(farm.healer(), 600.0)
    beats = farm.told("PROCESS_SERVICE_CHECK_RESULT;monitor;selfheal;")
    assert len(beats) == 21, "as often as the settings say, and at the change"
    assert [line.split(";")[3] for line in beats] == ["1", *["0"] * 20]
    assert len(farm.told("monitor;selfheal: n0-2;0;")) == 2


def test_stopping_takes_nothing_in_and_begins_nothing(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    farm.fall_ill("n0-0")
    farm.run(healer, 3.0)
    assert len(farm.started) == 1
    healer.stop()
    farm.fall_ill("n0-1")
    farm.run(healer, 2.0)
    healer.close()
    assert len(farm.files()) == 1
    assert list(farm.units) == farm.started, "a heal that runs was touched"
    farm.run(farm.healer(), 60.0)  # the next healer adopts the one and begins the other
    assert len(farm.started) == 2
    assert {row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")} == {"healed"}
    assert {row["outcome"] for row in farm.rows("SELECT outcome FROM runs")} == {"healed"}


def test_a_bug_in_one_part_does_not_end_the_others(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    said: list[str] = []
    healer = farm.healer(said)

    def broken(*_args: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    healer.decide = broken
    farm.drop("n0-0")
    farm.run(healer, 40.0)
    assert farm.files() == []
    assert sum("ZeroDivisionError" in line for line in said) == 1
    beats = farm.told("monitor;selfheal;")
    assert beats[-1].split(";")[3] == "2", "a healer that cannot work says so"


def test_a_clock_that_goes_back_makes_nothing_wait(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    said: list[str] = []
    healer = farm.healer(said)
    farm.run(healer, 20.0)
    farm.now -= 7200.0
    farm.fall_ill("n0-0")
    before = len(farm.told("monitor;selfheal;"))
    farm.run(healer, 60.0)
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]
    assert len(farm.told("monitor;selfheal;")) - before >= 2
    assert sum(line.startswith("clock:") for line in said) == 1


def test_a_file_that_cannot_be_read_stays_until_it_can(tmp_path: Path, monkeypatch: Any) -> None:
    farm = FakeFarm(tmp_path)
    said: list[str] = []
    healer = farm.healer(said)
    real = spool._content

    def forbidden(path: Path) -> bytes | None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(spool, "_content", forbidden)
    name = farm.drop("n0-0")
    farm.run(healer, 5.0)
    assert farm.files() == [name]
    assert farm.rows("SELECT 1 FROM alerts") == []
    monkeypatch.setattr(spool, "_content", real)
    farm.run(healer, 3.0)
    assert farm.files() == []
    assert [row["id"] for row in farm.rows("SELECT id FROM alerts")] == [name]
    assert len([line for line in said if line.startswith("spool:")]) == 2


def test_the_spool_vanishes_and_comes_back(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    said: list[str] = []
    healer = farm.healer(said)
    (tmp_path / "spool").rename(tmp_path / "away")
    farm.run(healer, 5.0)
    (tmp_path / "away").rename(tmp_path / "spool")
    farm.fall_ill("n0-0")
    farm.run(healer, 30.0)
    assert [line for line in said if line.startswith("spool:")][:2] == [
        f"spool: No such file or directory {tmp_path}/spool", "spool: can be read again",
    ]  # fmt: skip
    assert len(farm.started) == 1


def test_why_nothing_is_done_about_an_alert_is_kept_with_it(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    farm.run(healer, 6.0)
    farm.fresh = False
    farm.run(healer, 10.0)
    farm.drop("n0-0")
    farm.run(healer, 30.0)
    reasons = {row["reason"] for row in farm.rows("SELECT reason FROM alerts WHERE outcome = ''")}
    assert reasons
    assert "" not in reasons


class Wanted:
    """A prepared run that only notes when it is wanted."""

    def __init__(self) -> None:
        self.when: dict[float, bool] = {}
        self.suspects: list[str] = []
        self.closed = False

    def step(self, now: float, wanted: bool) -> None:
        self.when[now] = wanted

    def unit(self, now: float) -> str:
        return ""

    def suspect(self, node: str, now: float) -> None:
        self.suspects.append(node)

    def give(self, name: str) -> bool:
        raise AssertionError("there is none")

    def close(self) -> None:
        self.closed = True


def test_a_prepared_run_is_wanted_where_heals_may_begin_and_not_in_the_first_seconds_of_one(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    healer, wanted = farm.healer(), Wanted()
    healer.ready = healer.acts._ready = wanted
    farm.run(healer, 5.0)
    assert wanted.when[farm.now - 1] and not wanted.when[min(wanted.when)], "not before Nagios was read"
    farm.fall_ill("n0-1")
    begun = farm.now
    farm.run(healer, 30.0)
    assert len(farm.started) == 1
    busy = [now - begun for now, is_wanted in wanted.when.items() if now >= begun and not is_wanted]
    assert busy and max(busy) >= CALM_SECONDS and wanted.when[farm.now - 1]
    healer.stop()
    healer.tick(farm.now)
    assert not wanted.when[farm.now]
    healer.close()
    assert wanted.closed


def test_a_prepared_run_hears_of_a_suspect_node_unless_it_is_paused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = FakeFarm(tmp_path)
    usual = farm.verdicts
    doubt = {"verdict": "suspect", "reasons": ["memory: 91 %, 1 of 2 readings"]}
    monkeypatch.setattr(farm, "verdicts", lambda *given: {**usual(*given), "n0-1": {**usual()["n0-1"], **doubt}})
    healer, wanted = farm.healer(), Wanted()
    healer.ready = wanted
    farm.run(healer, 5.0)
    assert set(wanted.suspects) == {"n0-1"} and not farm.started
    with Journal(farm.config.journal) as journal:
        set_flag(journal, "paused", True, "anna", farm.now)
    farm.run(healer, 2.0)
    wanted.suspects.clear()
    farm.run(healer, 10.0)
    assert not wanted.suspects


def test_nagios_is_not_read_beside_the_first_seconds_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    begun: list[float] = []
    begin = healer.reader.begin
    monkeypatch.setattr(
        healer.reader, "begin", lambda *given: (begun.append(farm.now), begin(*given)), raising=False
    )  # fmt: skip
    farm.run(healer, 20.0)
    farm.fall_ill("n0-1")
    farm.run(healer, 60.0)
    assert len(farm.started) == 1
    since = [at - healer.acts.begun_at for at in begun]
    assert [age for age in since if age < 0] and [age for age in since if age >= HASTE_SECONDS]
    assert not [age for age in since if 0 <= age < HASTE_SECONDS]


@pytest.mark.parametrize(
    ("begun", "read", "haste"),
    [
        pytest.param([1.0], 3.0, True, id="a run has just begun"),
        pytest.param([6.0], 3.0, False, id="its node has no traffic any more"),
        pytest.param([], 3.0, False, id="it has ended, and is to be asked again"),
        pytest.param([90.0, 1.0], 3.0, True, id="the second of two"),
        pytest.param([1.0], 16.0, False, id="other nodes are to be seen as well"),
        pytest.param([-90.0], 3.0, False, id="the clock went back"),
    ],
)
def test_for_how_long_a_run_keeps_nagios_unread(tmp_path: Path, begun: list[float], read: float, haste: bool) -> None:
    farm = FakeFarm(tmp_path)
    healer = farm.healer()
    healer._world = {"runs": [{"started_at": farm.now - age} for age in begun], "alerts": [{"host": "n1-1"}]}
    healer.pace = Pace(begun_at=farm.now - read)
    assert healer._haste(farm.now) is haste
    assert healer.wanted(farm.now) is not haste, "an alert that waits makes no tick after the other meanwhile"


def test_nothing_is_prepared_where_every_layer_only_observes(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    farm.policies["layer0"]["mode"] = "observe"
    books = Books(farm.config.journal)
    books.keep_policies(farm.policies, farm.now)
    books.close()
    healer, wanted = farm.healer(), Wanted()
    healer.ready = wanted
    farm.run(healer, 10.0)
    assert not any(wanted.when.values())
