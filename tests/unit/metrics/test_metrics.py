# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Metrics out of the journal, read back by Prometheus' own parser: of schema 1 and 2, hostile names, and quotas."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import parser

from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import acknowledge, release, set_flag
from selfheal_cluster import metrics, metrics_journal
from tests.unit.journal.helpers import NOW, new, question

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
# What the healer's journal has besides, in the shape of its schema.
SCHEMA_2 = """
CREATE TABLE IF NOT EXISTS alerts (id TEXT PRIMARY KEY, at REAL, read_at REAL, outcome TEXT);
CREATE TABLE IF NOT EXISTS runs (incident TEXT, number INTEGER, started_at REAL, ended_at REAL);
CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, at REAL, delivered_at REAL);
"""


def look(folder: Path, now: float = NOW + 100) -> Samples:
    """One run of the writer, read back as Prometheus reads it."""
    out = folder / "selfheal.prom"
    assert metrics.write(str(folder / "journal.db"), out, now) == ""
    return read(out)


def read(out: Path) -> Samples:
    found: Samples = {}
    for family in parser.text_string_to_metric_families(out.read_text(encoding="utf-8")):
        assert family.documentation, f"{family.name} has no help"
        assert family.type in ("gauge", "counter", "histogram"), family.name
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, tuple(sorted(labels.items()))))


def names(found: Samples) -> set[str]:
    return {name for name, _labels in found}


def detail(**phases: float) -> dict[str, Any]:
    begin, told = NOW, []
    for name, seconds in phases.items():
        told.append({"name": name, "started": begin, "ended": begin + seconds})
        begin += seconds
    return {"phases": told}


def add_healer(journal: Journal) -> None:
    journal.db.executescript(SCHEMA_2)


def insert(journal: Journal, table: str, **row: object) -> None:
    """A row with those of its columns that the schema of this journal has."""
    columns = {item["name"] for item in journal.rows(f"PRAGMA table_info({table})")}
    known = {name: item for name, item in row.items() if name in columns}
    marks = ", ".join("?" * len(known))
    journal.db.execute(f"INSERT INTO {table} ({', '.join(known)}) VALUES ({marks})", tuple(known.values()))


def test_a_new_journal(tmp_path: Path) -> None:
    new(tmp_path, initialised=False).close()
    found = look(tmp_path)
    assert value(found, "selfheal_journal_up") == 1
    assert value(found, "selfheal_journal_initialised") == 0
    assert value(found, "selfheal_paused") == 0
    assert value(found, "selfheal_heals_running") == 0
    assert "selfheal_last_good_reading_age_seconds" not in names(found), "what is not known is no number"
    assert value(found, "selfheal_phase_duration_seconds_count", phase="restart") == 0


def test_a_journal_of_schema_1_has_no_metrics_of_the_healer(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        for table in ("alerts", "runs", "outbox", "calls"):
            journal.db.execute(f"DROP TABLE IF EXISTS {table}")
        journal.db.execute("PRAGMA user_version = 1")
    found = look(tmp_path)
    assert value(found, "selfheal_journal_schema") == 1
    assert not [name for name in names(found) if re.search("alerts|outbox|runs", name)]


def test_heals_incidents_holds_and_leases(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        one = journal.decide(question("ei1"), NOW)
        release(journal, one["incident"], one["epoch"], "healed", detail(confirm=2, restart=3.5), NOW + 10)
        two = journal.decide(question("ei2"), NOW + 20)
        release(journal, two["incident"], two["epoch"], "left_out", detail(confirm=1, undo=400), NOW + 30)
        found = look(tmp_path, NOW + 40)
        assert value(found, "selfheal_incidents_closed_total", layer="ei", outcome="healed") == 1
        assert value(found, "selfheal_incidents_open", layer="ei", outcome="left_out") == 1
        assert value(found, "selfheal_heals_total", layer="ei", outcome="healed") == 1
        assert value(found, "selfheal_heals_total", layer="ei", outcome="left_out") == 1
        assert value(found, "selfheal_holds", layer="ei") == 1
        assert value(found, "selfheal_leases", kind="slot", state="live") == 1
        assert value(look(tmp_path, NOW + 1e6), "selfheal_leases", kind="slot", state="expired") == 1
        acknowledge(journal, two["incident"], "anna smith@desk", NOW + 50)
        set_flag(journal, "paused", True, "anna", NOW)
        set_flag(journal, "taken:x", True, "anna", NOW)
        found = look(tmp_path, NOW + 60)
        assert value(found, "selfheal_incidents_closed_total", layer="ei", outcome="acknowledged") == 1
        assert "anna" not in (tmp_path / "selfheal.prom").read_text(), "a person's name is no label"
        assert value(found, "selfheal_holds", layer="ei") is None
        assert value(found, "selfheal_paused") == 1 and value(found, "selfheal_incidents_taken") == 1


def test_a_heal_that_runs_holds_only_after_confirm(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        journal.decide(question("ei1"), NOW)
        found = look(tmp_path)
        assert value(found, "selfheal_heals_running") == 1 and value(found, "selfheal_holds", layer="ei") is None
        journal.db.execute("UPDATE attempts SET phase = 'restart'")
        assert value(look(tmp_path), "selfheal_holds", layer="ei") == 1


def test_phases_are_a_histogram(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        told: list[tuple[str, dict[str, Any]]]
        told = [("ei1", detail(restart=0.1)), ("ei2", detail(restart=3.0)), ("ei3", detail(restart=1000.0)),
                ("ei1", {"phases": [{"name": "restart"}, 5, {"name": "x", "started": 1, "ended": 2}]})]  # fmt: skip
        for place, (node, how) in enumerate(told):
            heal = journal.decide(question(node), NOW + place)
            release(journal, heal["incident"], heal["epoch"], "undone", how, NOW + place + 0.5)
    found = look(tmp_path, NOW + 2000)
    buckets = {key[1][0][1]: count for key, count in found.items()
               if key[0] == "selfheal_phase_duration_seconds_bucket" and ("phase", "restart") in key[1]}  # fmt: skip
    assert buckets["0.1"] == 1 and buckets["2.5"] == 1 and buckets["5.0"] == 2
    assert buckets["300.0"] == 2 and buckets["+Inf"] == 3
    assert value(found, "selfheal_phase_duration_seconds_count", phase="restart") == 3
    assert value(found, "selfheal_phase_duration_seconds_sum", phase="restart") == pytest.approx(1003.1, abs=0.01)


def test_refusals_are_counted_once_and_outlive_the_quota(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        journal.decide(question(ill={}), NOW)
        journal.decide(question(ill={"ei1": "unknown"}), NOW + 1)
        first = look(tmp_path)
        assert value(first, "selfheal_refusals_total", reason="not_ill") == 1
        assert value(first, "selfheal_refusals_total", reason="unknown_reading") == 1
        assert value(first, "selfheal_decisions_total", admitted="no") == 2
        assert look(tmp_path) == first, "counted again"
        journal.db.execute("DELETE FROM decisions")  # the journal's quota
        assert look(tmp_path) == first, "a counter went down"
        journal.decide(question(ill={}), NOW + 2)
        assert value(look(tmp_path), "selfheal_refusals_total", reason="not_ill") == 2
        journal.db.execute("UPDATE meta SET value = 'x' WHERE name = 'created_at'")
        assert value(look(tmp_path), "selfheal_refusals_total", reason="not_ill") == 1, "another journal counts anew"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"journal": 1}', '{"journal": "J", "last": [], "totals": {"a": 1}}'])
def test_a_damaged_state_is_no_state(tmp_path: Path, text: str) -> None:
    with new(tmp_path) as journal:
        created = journal.meta("created_at")
        journal.decide(question(ill={}), NOW)
    (tmp_path / "selfheal.prom.state").write_text(text.replace("J", str(created)), encoding="utf-8")
    assert value(look(tmp_path), "selfheal_refusals_total", reason="not_ill") == 1


def test_the_age_of_the_last_good_reading(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        journal.db.execute("DELETE FROM readings")
        rows = [("ei1", 10, "ok"), ("ei1", 20, "unknown"), ("ei2", 15, "faulty"), ("ei3", 30, "unknown"),
                ("ei1", 25, None)]  # fmt: skip
        for node, at, word in rows:
            body = json.dumps({"verdict": word, "kind": None, "readings": [{"verdict": "ok"}]})
            journal.db.execute("INSERT INTO readings (node, at, body) VALUES (?, ?, ?)", (node, NOW + at, body))
        journal.db.execute("INSERT INTO readings (node, at, body) VALUES ('ei1', ?, 'no json')", (NOW + 40,))
    found = look(tmp_path, NOW + 45)
    assert value(found, "selfheal_last_good_reading_timestamp_seconds", node="ei1") == NOW + 10
    assert value(found, "selfheal_last_good_reading_timestamp_seconds", node="ei2") == NOW + 15
    assert value(found, "selfheal_last_good_reading_timestamp_seconds", node="ei3") is None
    assert value(found, "selfheal_last_good_reading_age_seconds") == 30


def test_alerts_runs_and_what_waits_for_nagios(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        add_healer(journal)

        def alert(name: str, read_at: float, outcome: str) -> None:
            fixed = {"host": "ei1", "state": "CRITICAL", "type": "HARD", "attempt": 1, "event_id": 1}
            insert(journal, "alerts", id=name, at=read_at, read_at=read_at, outcome=outcome, **fixed)

        alert("a", NOW, "opened")
        alert("b", NOW, "")
        for at, delivered in ((50, None), (60, None), (10, NOW)):
            insert(journal, "outbox", at=at, delivered_at=delivered, key="k", line="l")
        first = look(tmp_path)
        assert value(first, "selfheal_alerts_taken_in_total") == 2 and value(first, "selfheal_alerts_waiting") == 1
        assert value(first, "selfheal_outbox_waiting") == 2
        assert value(first, "selfheal_outbox_oldest_timestamp_seconds") == 50
        assert value(first, "selfheal_runs_running") == 0
        alert("c", NOW + 5, "")
        journal.db.execute("DELETE FROM alerts WHERE id = 'a'")  # the healer's quota
        journal.db.execute("DELETE FROM outbox WHERE delivered_at IS NULL")
        again = look(tmp_path)
        assert value(again, "selfheal_alerts_taken_in_total") == 3 and value(again, "selfheal_alerts_waiting") == 2
        assert value(again, "selfheal_outbox_waiting") == 0
        assert "selfheal_outbox_oldest_timestamp_seconds" not in names(again)


HOSTILE = ['a"b', "a\\b", "a\nselfheal_paused 7", 'x"} 1\n', "\x1b[2J", "\u202e", "\ufeff", ""]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_stay_labels(tmp_path: Path, name: str) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question("ei1"), NOW)
        release(journal, heal["incident"], heal["epoch"], "left_out", {}, NOW + 1)
        for sql in ("UPDATE incidents SET layer = ?, outcome = ?", "UPDATE attempts SET layer = ?, outcome = ?"):
            journal.db.execute(sql, (name, name))
        journal.db.execute("UPDATE leases SET resource = ? || ':x'", (name,))
        journal.db.execute("UPDATE readings SET node = ?", (name,))
        journal.db.execute("UPDATE decisions SET admitted = 0, reasons = ?", (json.dumps([name, "storm"]),))
    found = look(tmp_path)
    assert value(found, "selfheal_paused") == 0 and value(found, "selfheal_refusals_total", reason="storm") == 1
    assert value(found, "selfheal_refusals_total", reason="other") == 1, "the set of reasons is closed"
    assert all(re.fullmatch(r"selfheal_[a-z_]+", key) for key in names(found))
    assert "\x1b" not in (tmp_path / "selfheal.prom").read_text(encoding="utf-8")


def test_names_follow_the_conventions(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        add_healer(journal)
        journal.decide(question(ill={}), NOW)
    look(tmp_path)
    text = (tmp_path / "selfheal.prom").read_text(encoding="utf-8")
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert len(types) > 15
    for name, kind in types.items():
        assert (kind == "counter") == name.endswith("_total"), name
        assert not re.search(r"(millis|minutes|_ms|_pct|percent)", name), name
    documented = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
    for name in types:
        assert f"`{name}`" in documented or f"`{name}{{" in documented, f"docs/metrics.md does not explain {name}"
    assert set(re.findall(r"^\| `(selfheal_\w+)", documented, re.MULTILINE)) >= set(types)


@pytest.mark.parametrize("what", ["missing", "empty", "other", "damaged", "folder", "owner"])
def test_a_journal_that_cannot_be_read_is_a_metric(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "journal.db", tmp_path / "selfheal.prom"
    if what == "empty":
        path.touch()
    elif what == "other":
        import sqlite3

        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE meta (name, value)")
    elif what == "damaged":
        path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    elif what == "folder":
        path.mkdir()
    elif what == "owner":
        new(tmp_path).close()
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert metrics.main(["--journal", str(path), "--out", str(out)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("selfheal metrics: journal ") and said.count("\n") == 1
    assert read(out) == {("selfheal_journal_up", ()): 0.0}


def test_a_bad_moment_does_not_lose_what_was_counted(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        journal.decide(question(ill={}), NOW)
        first = look(tmp_path)
        (tmp_path / "journal.db").rename(tmp_path / "away.db")
        assert metrics.write(str(tmp_path / "journal.db"), tmp_path / "selfheal.prom", NOW) != ""
        (tmp_path / "away.db").rename(tmp_path / "journal.db")
        journal.db.execute("DELETE FROM decisions")
    assert look(tmp_path) == first


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new(tmp_path).close()
    assert metrics.main(["--journal", str(tmp_path / "journal.db"), "--out", str(tmp_path / "no" / "x.prom")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_it_waits_for_nobody_and_nobody_waits_for_it(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        journal.db.execute("BEGIN IMMEDIATE")
        journal.db.execute("INSERT INTO flags VALUES ('paused', 'true', 1, 'anna')")
        assert value(look(tmp_path), "selfheal_paused") == 0
        journal.db.execute("COMMIT")
        assert value(look(tmp_path), "selfheal_paused") == 1
    assert sorted(path.name for path in tmp_path.iterdir() if "prom" in path.name) == [
        "selfheal.prom", "selfheal.prom.state",
    ]  # fmt: skip


def test_a_full_ring_of_readings_is_read_in_time(tmp_path: Path) -> None:
    import time

    with new(tmp_path) as journal:
        body = json.dumps({"verdict": "unknown", "kind": None, "readings": [{"gauge": "memory", "value": 0.5}] * 30})
        journal.db.execute("BEGIN")
        journal.db.executemany(
            "INSERT INTO readings (node, at, body) VALUES (?, ?, ?)",
            ((f"n{place % 40}", NOW + place, body) for place in range(20000)),
        )
        journal.db.execute("COMMIT")
    begin = time.process_time()
    look(tmp_path)
    assert time.process_time() - begin < 2.0


def test_it_runs_as_a_process_of_its_own_and_loads_no_command_line(tmp_path: Path) -> None:
    new(tmp_path).close()
    program = (
        "import sys, selfheal_cluster.metrics as m; code = m.main(sys.argv[1:]);"
        "print(sorted({'typer', 'rich', 'jinja2', 'ansible'} & set(sys.modules))); sys.exit(code)"
    )
    words = ["--journal", str(tmp_path / "journal.db"), "--out", str(tmp_path / "x.prom")]
    path = os.pathsep.join(item for item in sys.path if item)
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": path})  # fmt: skip
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")
    assert ("selfheal_journal_up", ()) in read(tmp_path / "x.prom")
    assert tuple(sorted(metrics_journal.BUCKETS)) == metrics_journal.BUCKETS
