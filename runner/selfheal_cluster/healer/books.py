# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The healer's hand on the journal: opened when needed, let go when it fails, the same calls for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_healer as store
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_said import pause
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import JournalError, told
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_words import LEFT_BEHIND
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_json import digest

Row = dict[str, Any]
LEFT_BEHIND_SECONDS = 86400.0  # from then on only the guard's own check tells of a hold without an owner


class Books:
    """Every method is one transaction; a failure is a :class:`JournalError` and nothing was written."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._journal: Journal | None = None
        self._inode = (0, 0)

    def close(self) -> None:
        """Let go of the file."""
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def _open(self) -> Journal:
        """The journal that is there now; one that was moved away must not be written on."""
        try:
            status = Path(self._path).stat()
            inode = (status.st_dev, status.st_ino)
        except OSError:
            inode = (0, 0)  # opening it says why
        if self._journal is not None and inode != self._inode:
            self.close()
        if self._journal is None:
            self._journal = Journal(self._path)
            self._inode = inode
        return self._journal

    def world(self, now: float) -> Row:
        """What dispatching needs of the past, and in ``calls`` what humans were told about open incidents.

        An incident that was acknowledged although its last attempt may have left a hold is told as well, for as long as
        no later attempt on the node has ended well: nobody has proven that clients reach it again.
        """
        journal = self._open()
        world = dict(store.world(journal, now))
        open_calls = journal.rows(
            "SELECT incidents.node, incident, text FROM calls JOIN incidents ON incidents.id = incident"
            " WHERE state = 'open' ORDER BY at, reason"
        )
        world["calls"] = [*self._left_behind(journal, now), *open_calls]
        world["pause"] = pause(journal)
        return world

    @staticmethod
    def _left_behind(journal: Journal, now: float) -> list[Row]:
        found = journal.rows(
            "SELECT i.node, i.id AS incident, a.outcome FROM attempts a JOIN incidents i ON i.id = a.incident"
            " WHERE a.acknowledged = 1 AND a.outcome IN (?, ?, ?, ?)"
            " AND i.state = 'closed' AND i.closed_at > ? AND i.outcome LIKE 'acknowledged%'"
            " AND NOT EXISTS (SELECT 1 FROM attempts b WHERE b.node = a.node AND b.at > a.at"
            " AND (b.incident = a.incident OR b.outcome IN ('healed', 'undone')))"
            " ORDER BY a.at", *LEFT_BEHIND, now - LEFT_BEHIND_SECONDS,
        )  # fmt: skip
        for row in found:
            row["text"] = (
                f"it was acknowledged, but its last attempt ended {row.pop('outcome')}: {row['node']} may still be held"
                " out of traffic; look at selfheal status"
            )
        return found

    def take_in(self, alerts: Sequence[Row], now: float) -> int:
        """Alerts, once each however often they are seen."""
        return int(store.take_in(self._open(), list(alerts), now))

    def attach(self, ids: Sequence[str], incident: str | None, outcome: str, reason: str = "") -> None:
        """What became of alerts."""
        store.attach(self._open(), list(ids), incident, outcome, reason)

    def explain(self, ids: Sequence[str], reason: str) -> None:
        """Why nothing is done about alerts that wait."""
        store.explain(self._open(), ids, reason)

    def open_incident(self, node: str, layer: str, kind: str | None, reasons: Sequence[str], now: float) -> str:
        """The node's incident, a new one if none is open."""
        return str(store.open_incident(self._open(), node, layer, kind, list(reasons), now))

    def close_incident(self, incident: str, outcome: str, now: float) -> bool:
        """The end of an incident; false when it was closed already, or somebody heals it right now."""
        return bool(store.close_incident(self._open(), incident, outcome, now))

    def call(self, incident: str, reason: str, text: str, now: float) -> bool:
        """A human was called; false when it was known already."""
        return bool(store.call(self._open(), incident, reason, text, now))

    def withdraw(self, incident: str) -> bool:
        """A person's approval does not hold any more; false when a run has begun under it meanwhile."""
        return bool(store.withdraw(self._open(), incident))

    def begin_run(self, incident: str, unit: str, now: float, why: str = "ill") -> int:
        """The number of a run that is about to be started, and never a second one for the same node."""
        return int(store.begin_run(self._open(), incident, unit, now, why))

    def end_run(self, incident: str, number: int, outcome: str, now: float) -> None:
        """A run whose unit is gone."""
        store.end_run(self._open(), incident, number, outcome, now)

    def post(self, key: str, line: str, now: float) -> None:
        """A line for Nagios, kept until it is delivered."""
        store.post(self._open(), key, line, now)

    def pending(self, limit: int) -> list[Row]:
        """Lines that wait for Nagios, oldest first."""
        return list(store.pending(self._open(), limit))

    def delivered(self, ids: Iterable[int], now: float) -> None:
        """Lines that Nagios took."""
        store.delivered(self._open(), list(ids), now)

    def undelivered(self, ids: Iterable[int], error: str) -> None:
        """Lines that it did not take, with the reason."""
        store.undelivered(self._open(), list(ids), error)

    def changes(self, limit: int) -> dict[str, float]:
        """When each of the newest incidents changed last, as far as people read about it."""
        found = self._open().rows(
            "SELECT id, max(opened_at, coalesce(closed_at, 0),"
            " (SELECT coalesce(max(ended_at), 0) FROM runs WHERE incident = id),"
            " (SELECT coalesce(max(ended_at), 0) FROM attempts WHERE incident = id),"
            " (SELECT coalesce(max(at), 0) FROM calls WHERE incident = id)) AS at"
            " FROM incidents ORDER BY opened_at DESC LIMIT ?", limit,
        )  # fmt: skip
        return {row["id"]: float(row["at"]) for row in found}

    def prune(self, now: float) -> None:
        """Quotas of what the healer writes."""
        store.prune(self._open(), now)

    def keep_policies(self, policies: Mapping[str, Any], now: float, spared: Iterable[str] = ()) -> None:
        """The policies in force, as a decision writes them; a pinned one stays as the human pinned it.

        Layers that are gone are not watched any more; ``spared`` are layers whose new policy is not valid.
        """
        kept = {*policies, *spared}
        journal = self._open()
        with told(self._path):
            journal.db.execute("BEGIN IMMEDIATE")
            try:
                for layer, policy in sorted(policies.items()):
                    journal.db.execute(
                        "INSERT INTO policies VALUES (?, ?, ?, ?, 0) ON CONFLICT (layer) DO UPDATE"
                        " SET hash = excluded.hash, body = excluded.body, at = excluded.at WHERE pinned = 0",
                        (layer, digest(policy), json.dumps(policy), now),
                    )
                gone = [row["layer"] for row in journal.db.execute("SELECT layer FROM policies WHERE pinned = 0")]
                for layer in gone:
                    if layer not in kept:
                        journal.db.execute("DELETE FROM policies WHERE layer = ?", (layer,))
                journal.db.execute("COMMIT")
            except BaseException:
                if journal.db.in_transaction:
                    journal.db.execute("ROLLBACK")
                raise


__all__ = ["Books", "JournalError"]
