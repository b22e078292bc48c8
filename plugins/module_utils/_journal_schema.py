# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The file of the journal: its tables, how it is opened, and what is wrong with one that cannot be used."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any, Iterator, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

SCHEMA = 2
APPLICATION = 0x5348434A  # "SHCJ", so that nobody else's database is taken for a journal
BUSY_MILLISECONDS = 10000

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE incidents (
  id TEXT PRIMARY KEY, node TEXT NOT NULL, layer TEXT NOT NULL, state TEXT NOT NULL CHECK (state IN ('open', 'closed')),
  opened_at REAL NOT NULL, closed_at REAL, illness TEXT, reasons TEXT NOT NULL, outcome TEXT, approved INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX incidents_open ON incidents (state, node);
CREATE TABLE attempts (
  incident TEXT NOT NULL REFERENCES incidents (id), attempt INTEGER NOT NULL, node TEXT NOT NULL, layer TEXT NOT NULL,
  epoch INTEGER NOT NULL, at REAL NOT NULL, ended_at REAL, outcome TEXT, phase TEXT NOT NULL, phase_at REAL NOT NULL,
  rung TEXT NOT NULL, reason TEXT NOT NULL, owner TEXT NOT NULL, decision INTEGER NOT NULL, detail TEXT,
  acknowledged INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (incident, attempt)
) WITHOUT ROWID;
CREATE INDEX attempts_at ON attempts (at);
CREATE TABLE leases (
  resource TEXT NOT NULL, incident TEXT NOT NULL REFERENCES incidents (id), epoch INTEGER NOT NULL,
  mode TEXT NOT NULL CHECK (mode IN ('exclusive', 'shared')), expires_at REAL NOT NULL, phase TEXT NOT NULL,
  owner TEXT NOT NULL, PRIMARY KEY (resource, incident)
) WITHOUT ROWID;
CREATE UNIQUE INDEX leases_exclusive ON leases (resource) WHERE mode = 'exclusive';
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, node TEXT, layer TEXT, incident TEXT, attempt INTEGER,
  admitted INTEGER NOT NULL, reasons TEXT NOT NULL, summary TEXT NOT NULL, hash TEXT NOT NULL, policy_hash TEXT,
  body BLOB NOT NULL
);
CREATE INDEX decisions_at ON decisions (at);
CREATE TABLE phases (
  incident TEXT NOT NULL, attempt INTEGER NOT NULL, phase TEXT NOT NULL, at REAL NOT NULL, epoch INTEGER NOT NULL,
  deadline REAL, PRIMARY KEY (incident, attempt, phase, at)
) WITHOUT ROWID;
CREATE TABLE policies (
  layer TEXT PRIMARY KEY, hash TEXT NOT NULL, body TEXT NOT NULL, at REAL NOT NULL, pinned INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE readings (id INTEGER PRIMARY KEY AUTOINCREMENT, node TEXT NOT NULL, at REAL NOT NULL, body TEXT NOT NULL);
CREATE INDEX readings_node ON readings (node, id);
CREATE TABLE flags (name TEXT PRIMARY KEY, value TEXT NOT NULL, at REAL NOT NULL, by TEXT NOT NULL) WITHOUT ROWID;
"""
# What the healer keeps, since schema 2: alerts of Nagios, the runs it started, what waits for Nagios' pipe, and
# whom it called. An alert without an outcome waits for a reading; an outbox line without delivered_at for the pipe.
TABLES_2 = """
CREATE TABLE alerts (
  id TEXT PRIMARY KEY, at REAL NOT NULL, read_at REAL NOT NULL, host TEXT NOT NULL, service TEXT, state TEXT NOT NULL,
  type TEXT NOT NULL, attempt INTEGER NOT NULL, event_id INTEGER NOT NULL, incident TEXT,
  outcome TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX alerts_waiting ON alerts (outcome, at);
CREATE INDEX alerts_incident ON alerts (incident);
CREATE TABLE runs (
  incident TEXT NOT NULL REFERENCES incidents (id), number INTEGER NOT NULL, unit TEXT NOT NULL,
  started_at REAL NOT NULL, ended_at REAL, outcome TEXT, PRIMARY KEY (incident, number)
) WITHOUT ROWID;
CREATE INDEX runs_open ON runs (ended_at);
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, key TEXT NOT NULL, line TEXT NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0, delivered_at REAL, error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX outbox_waiting ON outbox (delivered_at, id);
CREATE TABLE calls (
  incident TEXT NOT NULL REFERENCES incidents (id), reason TEXT NOT NULL, at REAL NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY (incident, reason)
) WITHOUT ROWID;
CREATE INDEX decisions_node ON decisions (node, id);
"""


class JournalError(SelfhealError):
    """The journal cannot be used: nothing may act (invariant 7)."""

    def __init__(self, message: str) -> None:
        super().__init__("no_journal", message)


@contextlib.contextmanager
def told(path: str) -> Iterator[None]:
    """Turn what SQLite says into a sentence with the next step."""
    try:
        yield
    except sqlite3.Error as exc:
        text = str(exc)
        if "full" in text:
            hint = "its disk is full or its quota is reached: free space and try again; nothing was written"
        elif "locked" in text or "busy" in text:
            hint = "another process holds it for longer than %d s; try again" % (BUSY_MILLISECONDS // 1000)
        elif "readonly" in text or "unable to open" in text:
            hint = "user id %d may not write it or its folder; become the owner of the journal" % os.geteuid()
        elif "disk I/O" in text:
            hint = "its disk does not take writes (%s); nothing was written" % text
        else:
            hint = "it is damaged (%s): move it away and let heal_journal make a new one" % text
        raise JournalError("journal %s: %s" % (path, hint)) from exc


def connect(path: str) -> sqlite3.Connection:
    """An open journal of this schema, owned by us; anything else is refused with the reason."""
    connection, version = _connect(path)
    if version != SCHEMA:
        connection.close()
        raise _other_schema(path, version)
    return connection


def migrate(path: str, now: float, store: bool = True) -> bool:
    """Bring a journal of schema 1 to this schema, in place and in one transaction; false when it is there already.

    ``now``: seconds since the epoch. With ``store`` false nothing is written, the answer is the same. A heal that runs
    keeps its schema: its own modules would be refused a journal that is newer than they are, in the middle of a heal.
    """
    connection, version = _connect(path)
    try:
        if version == SCHEMA:
            return False
        if version != 1:
            raise _other_schema(path, version)
        with told(path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                changed = _migrate(connection, path, now)
                connection.execute("COMMIT" if store else "ROLLBACK")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return changed
    finally:
        connection.close()


def _migrate(connection: sqlite3.Connection, path: str, now: float) -> bool:
    version = connection.execute("PRAGMA user_version").fetchone()[0]  # another may have been faster
    if version == SCHEMA:
        return False
    if version != 1:
        raise _other_schema(path, version)
    running = connection.execute(
        "SELECT incident FROM leases WHERE resource LIKE 'node:%' AND expires_at > ? ORDER BY incident", (now,)
    ).fetchone()
    if running:
        raise JournalError(
            "journal %s cannot be brought to schema %d while incident %s is being healed: wait for its end, or abort it"
            % (path, SCHEMA, running[0])
        )
    for statement in TABLES_2.split(";\n"):  # executescript would end the transaction before it begins
        if statement.strip():
            connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('migrated_at', ?)", (repr(now),))
    connection.execute("PRAGMA user_version = %d" % SCHEMA)  # part of the transaction, like any page
    return True


def _other_schema(path: str, version: int) -> JournalError:
    hint = "let heal_journal bring it up to date" if version < SCHEMA else "use one version everywhere"
    return JournalError(
        "journal %s has schema %d, this version of selfheal.cluster knows %d: %s" % (path, version, SCHEMA, hint)
    )


def _connect(path: str) -> Tuple[sqlite3.Connection, int]:
    """An open journal of ours, of any schema, and its schema."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise JournalError(
            "no journal at %s: create it there once with the module selfheal.cluster.heal_journal; "
            "selfheal survey prints the task" % path
        ) from None
    except OSError as exc:
        raise JournalError("journal %s: %s" % (path, exc.strerror)) from exc
    # One owner: a second user of a WAL database leaves files behind that the first cannot write.
    if status.st_uid != os.geteuid():
        raise JournalError(
            "journal %s belongs to user id %d, this process is %d: become the owner"
            % (path, status.st_uid, os.geteuid())
        )
    if status.st_size == 0:
        raise JournalError("journal %s is empty: remove it and let heal_journal make a new one" % path)
    with told(path):
        connection = _open(path)
        try:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error:
            connection.close()
            raise
    if application != APPLICATION:
        connection.close()
        raise JournalError("%s is a database, but no journal of selfheal.cluster" % path)
    return connection, int(version)


def create(path: str, now: float) -> bool:
    """Make the journal if there is none. Whole or not at all: it is built aside and renamed."""
    if os.path.exists(path):
        connect(path).close()
        return False
    # A write-ahead log of a journal that was deleted would be replayed into the new one.
    for leftover in (path + "-wal", path + "-shm"):
        if os.path.exists(leftover):
            os.unlink(leftover)
    aside = "%s.new.%d" % (path, os.getpid())
    try:
        # Ours alone from its first byte on; SQLite gives its other files the same mode. Not by umask, which belongs to
        # the whole process: two threads that put it back in the wrong order leave it changed.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with told(path):
            connection = sqlite3.connect(aside, isolation_level=None)
            try:
                connection.executescript("BEGIN;" + TABLES + TABLES_2)
                connection.execute("INSERT INTO meta VALUES ('created_at', ?)", (repr(now),))
                connection.execute("INSERT INTO meta VALUES ('last_epoch', '0')")
                connection.execute("COMMIT")
                connection.execute("PRAGMA application_id = %d" % APPLICATION)
                connection.execute("PRAGMA user_version = %d" % SCHEMA)
            finally:
                connection.close()
        try:
            os.link(aside, path)  # unlike rename, never over a journal that somebody made meanwhile
        except FileExistsError:
            return False
        return True
    except OSError as exc:
        raise JournalError("journal %s: %s" % (path, exc.strerror)) from exc
    finally:
        if os.path.exists(aside):
            os.unlink(aside)


def _open(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_MILLISECONDS / 1000.0, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA busy_timeout = %d" % BUSY_MILLISECONDS)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # an attempt is on the disk before anything acts
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def row(item: sqlite3.Row) -> dict[str, Any]:
    return {key: item[key] for key in item.keys()}  # noqa: SIM118  # sqlite3.Row iterates over values, not keys
