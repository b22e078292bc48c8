# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A journal of schema 1 becomes one of schema 2, whole or not at all."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_schema as schema
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import initialise, release
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import JournalError, migrate
from tests.unit.journal.helpers import NOW, question

ROOT = Path(__file__).resolve().parents[3]


def old(folder: Path, ended: bool = True) -> str:
    """A journal as schema 1 left it behind, with a heal in it."""
    path = str(folder / "journal.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "SCHEMA", 1)
        patch.setattr(schema, "TABLES_2", "")
        Journal.create(path, NOW - 9000)
        with Journal(path) as journal:
            initialise(journal, {}, NOW - 9000)
            heal = journal.decide(question(), NOW - 8000)
            assert heal["admitted"]
            if ended:
                release(journal, heal["incident"], heal["epoch"], "healed", {}, NOW - 7950)
    return path


def look(path: str) -> tuple[int, list[str]]:
    with sqlite3.connect(path) as db:
        return db.execute("PRAGMA user_version").fetchone()[0], list(db.iterdump())


def shape(path: str) -> set[tuple[str, str]]:
    with sqlite3.connect(path) as db:
        return set(db.execute("SELECT name, sql FROM sqlite_master"))


def test_a_migrated_journal_is_like_a_new_one_and_keeps_everything(tmp_path: Path) -> None:
    path = old(tmp_path)
    before = [line for line in look(path)[1] if line.startswith("INSERT")]
    assert migrate(path, NOW) is True
    version, after = look(path)
    assert version == schema.SCHEMA == 2
    assert set(before) <= set(after)
    new = str(tmp_path / "new.db")
    Journal.create(new, NOW)
    assert shape(path) == shape(new)
    with Journal(path) as journal:
        assert journal.meta("migrated_at") == repr(NOW)
        assert journal.decide(question(), NOW)["admitted"]


def test_a_second_migration_does_nothing(tmp_path: Path) -> None:
    path = old(tmp_path)
    assert migrate(path, NOW) is True
    before = look(path)
    assert migrate(path, NOW + 1) is False
    assert look(path) == before
    assert migrate(path, NOW + 1, store=False) is False


def test_a_new_journal_needs_no_migration(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    Journal.create(path, NOW)
    assert migrate(path, NOW) is False


def test_schema_1_is_refused_until_it_is_migrated(tmp_path: Path) -> None:
    path = old(tmp_path)
    with pytest.raises(JournalError, match=r"has schema 1, this version .* knows 2: let heal_journal bring it up"):
        Journal(path)
    migrate(path, NOW)
    Journal(path).close()


@pytest.mark.parametrize("version", [0, 3, 99])
def test_another_schema_is_refused_and_left_alone(tmp_path: Path, version: int) -> None:
    path = old(tmp_path)
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {version}")
    before = look(path)
    for use in (lambda: migrate(path, NOW), lambda: Journal(path)):
        with pytest.raises(JournalError, match=f"has schema {version}"):
            use()
    assert look(path) == before


def test_a_rehearsal_writes_nothing(tmp_path: Path) -> None:
    path = old(tmp_path)
    before = look(path)
    assert migrate(path, NOW, store=False) is True
    assert look(path) == before


@pytest.mark.parametrize("broken", ["CREATE TABLE meta (x);\n", "CREATE INDEX nothing ON nowhere (x);\n", "what;\n"])
def test_a_migration_that_fails_leaves_schema_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    path = old(tmp_path)
    before = look(path)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "TABLES_2", schema.TABLES_2 + broken)
        with pytest.raises(JournalError):
            migrate(path, NOW)
    assert look(path) == before
    assert migrate(path, NOW) is True


def test_a_full_disk_leaves_schema_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = old(tmp_path)
    before = look(path)
    real = schema._open

    def short(where: str) -> sqlite3.Connection:
        connection = real(where)
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 3}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(schema, "_open", short)
        with pytest.raises(JournalError, match="full"):
            migrate(path, NOW)
    assert look(path) == before
    assert migrate(path, NOW) is True


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_process_that_dies_in_the_middle_leaves_schema_1(tmp_path: Path, where: str) -> None:
    path = old(tmp_path)
    before = look(path)
    child = os.fork()
    if not child:  # no pytest in here any more: only os._exit leaves
        real: Any = schema._migrate

        def dies(connection: sqlite3.Connection, path: str, now: float) -> bool:
            if where == "after":
                real(connection, path, now)
            os._exit(9)

        schema._migrate = dies
        try:
            migrate(path, NOW)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert look(path) == before
    assert migrate(path, NOW) is True


def test_a_heal_that_runs_is_not_left_without_its_journal(tmp_path: Path) -> None:
    path = old(tmp_path, ended=False)
    before = look(path)
    with pytest.raises(SelfhealError, match=r"while incident ei1-\S+ is being healed: wait for its end, or abort it"):
        migrate(path, NOW - 7990)
    assert look(path) == before
    assert migrate(path, NOW) is True, "a lease that ran out is nobody's"


def test_two_at_once_migrate_once(tmp_path: Path) -> None:
    path = old(tmp_path)
    answers: list[bool] = []
    gate = threading.Barrier(4)

    def run() -> None:
        gate.wait()
        answers.append(migrate(path, NOW))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False, False, False, True]
    Journal(path).close()


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal at"):
        migrate(str(tmp_path / "journal.db"), NOW)
    assert not (tmp_path / "journal.db").exists()
    with sqlite3.connect(tmp_path / "journal.db") as other:
        other.execute("CREATE TABLE t (x)")
        other.execute("PRAGMA user_version = 1")
    with pytest.raises(JournalError, match="no journal of selfheal"):
        migrate(str(tmp_path / "journal.db"), NOW)


def said(path: str, check_mode: bool) -> dict[str, Any]:
    """The module as Ansible runs it."""
    given = {"path": path, "_ansible_check_mode": check_mode, "_ansible_remote_tmp": str(Path(path).parent)}
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.selfheal.cluster.plugins.modules.heal_journal"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": given}), capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".dev")},
    )  # fmt: skip
    assert not done.returncode, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def test_heal_journal_migrates(tmp_path: Path) -> None:
    path = old(tmp_path)
    before = look(path)
    rehearsed = said(path, check_mode=True)
    assert (rehearsed["changed"], rehearsed["changes"]) == (True, ["migrated"])
    assert look(path) == before
    first = said(path, check_mode=False)
    assert (first["changed"], first["created"], first["changes"]) == (True, False, ["migrated"])
    assert look(path)[0] == 2
    again = said(path, check_mode=False)
    assert (again["changed"], again["changes"]) == (False, [])
