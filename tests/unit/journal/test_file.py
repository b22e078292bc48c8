# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A journal that is missing, strange, damaged or full: nothing may act, and the reason is told (invariant 7)."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_plan import answer
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import release
from tests.unit.journal.helpers import NOW, new, question, reasons


def asked(path: Path, check_mode: bool = False) -> dict[str, Any]:
    return answer({**question(), "journal": str(path)}, NOW, check_mode)


def no_journal(path: Path, *words: str) -> None:
    for check_mode in (False, True):
        result = asked(path, check_mode)
        assert reasons(result) == ["no_journal"]
        assert result["refusals"][0]["reason"] == "no_journal"
        for word in words:
            assert word in result["refusals"][0]["detail"]
        assert result["would"], "the plan is said all the same"
        assert result["policy"]["layer"] == "ei"


def test_journals_made_by_many_threads_leave_the_process_as_it_was(tmp_path: Path) -> None:
    """Each set the mask of the whole process and put it back in its own order; others could not read later files."""
    before = os.umask(0o022)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda number: Journal.create(str(tmp_path / f"{number}.db"), NOW), range(64)))
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.db")} == {0o600}


def test_missing(tmp_path: Path) -> None:
    no_journal(tmp_path / "journal.db", "heal_journal")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "journal.db").touch()
    no_journal(tmp_path / "journal.db", "empty")


def test_text(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_text("not a database\n" * 100)
    no_journal(tmp_path / "journal.db", "damaged")


def test_database_of_somebody_else(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "journal.db") as other:
        other.execute("CREATE TABLE t (x)")
    no_journal(tmp_path / "journal.db", "no journal of selfheal")


def test_another_schema(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        journal.db.execute("PRAGMA user_version = 99")
    no_journal(tmp_path / "journal.db", "schema 99")


def test_damaged_pages(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        journal.decide(question(), NOW - 5000)
        journal.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = tmp_path / "journal.db"
    size = path.stat().st_size
    with path.open("r+b") as handle:
        handle.seek(4096)
        handle.write(b"\xff" * (size - 4096))
    no_journal(path, "damaged")


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "journal.db").mkdir()
    no_journal(tmp_path / "journal.db")


def test_another_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new(tmp_path).close()
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    no_journal(tmp_path / "journal.db", "belongs to user id")


def test_a_full_disk_writes_nothing_by_half(tmp_path: Path) -> None:
    """SQLite's own quota raises what a full disk raises, at the same place."""
    with new(tmp_path) as journal:
        pages = journal.rows("PRAGMA page_count")[0]["page_count"]
        journal.db.execute(f"PRAGMA max_page_count = {pages}")
        failures = 0
        for place in range(200):
            before = dump(journal)
            try:
                result = journal.decide(question(ill={}), NOW + place)
                assert not result["admitted"]
            except SelfhealError as exc:
                failures += 1
                assert exc.reason == "no_journal"
                assert "full" in exc.message
                assert not journal.db.in_transaction
                assert dump(journal) == before
                if failures == 3:
                    break
        assert failures == 3, "the quota was never reached"
        before = dump(journal)
        with pytest.raises(SelfhealError):
            journal.decide(question(), NOW + 500)
        assert dump(journal) == before, "an attempt or a lease was written without its decision"


def dump(journal: Journal) -> list[str]:
    return list(journal.db.iterdump())


def test_a_crash_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with new(tmp_path) as journal:
        before = dump(journal)
        monkeypatch.setattr(Journal, "_write_decision", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            journal.decide(question(), NOW)
        assert dump(journal) == before
        monkeypatch.undo()
        assert journal.decide(question(), NOW)["admitted"]


def test_a_busy_journal_says_so(tmp_path: Path) -> None:
    with new(tmp_path) as one, new(tmp_path) as other:
        one.db.execute("BEGIN IMMEDIATE")
        other.db.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(SelfhealError) as busy:
            other.decide(question(), NOW)
        assert "another process" in busy.value.message


def test_creating_never_replaces_a_journal(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        journal.decide(question(), NOW)
    assert Journal.create(str(tmp_path / "journal.db"), NOW) is False
    with Journal(str(tmp_path / "journal.db")) as journal:
        assert len(journal.rows("SELECT * FROM decisions")) == 1
    assert sorted(path.name for path in tmp_path.iterdir() if ".new." in path.name) == []


def test_a_log_of_a_deleted_journal_does_not_come_back(tmp_path: Path) -> None:
    (tmp_path / "journal.db-wal").write_bytes(b"\x37\x7f\x06\x82" + b"x" * 200)
    with new(tmp_path) as journal:
        assert journal.decide(question(), NOW)["admitted"]


def test_durability_is_asked_for(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        assert journal.rows("PRAGMA journal_mode")[0]["journal_mode"] == "wal"
        assert journal.rows("PRAGMA synchronous")[0]["synchronous"] == 2


def test_quotas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "READINGS_KEPT", 20)
    monkeypatch.setattr(_journal, "DECISIONS_KEPT_BYTES", 40_000)
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        for place in range(60):
            journal.decide(question(ill={}), NOW + place)
        assert journal.rows("SELECT count(*) AS n FROM readings")[0]["n"] == 20
        assert journal.rows("SELECT sum(length(body)) AS n FROM decisions")[0]["n"] <= 42_000
        kept = [item["id"] for item in journal.rows("SELECT id FROM decisions ORDER BY id")]
        assert kept[0] == heal["decision_id"], "the decision of an open incident was thrown away"
        assert kept[-1] == 61
        release(journal, heal["incident"], heal["epoch"], "healed", {}, NOW)
        journal.decide(question(ill={}), NOW + 91 * 86400)
        assert len(journal.rows("SELECT id FROM decisions")) == 1
