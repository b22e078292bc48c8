# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What ``_dispatch`` has to know of the past, read out of the journal. Writes nothing."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import told

SAME_COUNTED = 12  # refusals in a row that are counted; the waiting time stops growing long before

Row = Dict[str, Any]


def world(journal: Journal, now: float) -> Row:
    """The journal's part of the world. The caller adds ``verdicts``, ``fresh``, ``read_at``, ``units``, ``serving``.

    Besides what the contract of ``dispatch`` names: an incident has ``alerts`` (newest time by service, '' for the
    host itself) and ``approved_at`` (when a person last approved it), a decision has the ``verdict`` and ``kind`` it
    was made on and ``same`` (refusals in a row with the same reasons), a run has ``node`` and ``layer``; ``past_runs``
    is the newest run of each incident with ``without`` (runs since the newest decision), ``called`` says for what a
    human was called.
    """
    with told(journal.path):
        journal.db.execute("BEGIN")  # all of one moment: a run may write between two of these questions
        try:
            return _world(journal, now)
        finally:
            if journal.db.in_transaction:
                journal.db.execute("ROLLBACK")


def _world(journal: Journal, now: float) -> Row:
    history = journal.history(now)
    incidents = journal.rows(
        "SELECT id, node, layer, state, opened_at, illness, reasons, outcome, approved FROM incidents"
        " WHERE state = 'open' ORDER BY id"
    )
    decisions: Row = {}
    for item in incidents:
        item.update(reasons=json.loads(item["reasons"]), approved=bool(item["approved"]), alerts={})
        item["approved_at"] = _approved_at(journal, item["id"]) if item["approved"] else None
        found = _decision(journal, item["node"])
        if found:
            decisions[item["node"]] = found
    by_id = {item["id"]: item for item in incidents}
    for item in journal.rows(
        "SELECT incident, coalesce(service, '') AS service, max(at) AS at FROM alerts"
        " WHERE incident IN (SELECT id FROM incidents WHERE state = 'open') GROUP BY incident, coalesce(service, '')"
    ):
        by_id[item["incident"]]["alerts"][item["service"]] = item["at"]
    flags = [item["name"] for item in journal.rows("SELECT name FROM flags ORDER BY name")]
    return {
        "policies": {
            item["layer"]: json.loads(item["body"])
            for item in journal.rows("SELECT layer, body FROM policies ORDER BY layer")
        },
        "alerts": journal.rows("SELECT * FROM alerts WHERE outcome = '' ORDER BY at, id"),
        "incidents": incidents,
        "attempts": history["attempts"],
        "leases": history["leases"],
        "decisions": decisions,
        "runs": journal.rows(
            "SELECT runs.incident, number, unit, started_at, ended_at, node, layer FROM runs"
            " JOIN incidents ON incidents.id = runs.incident WHERE ended_at IS NULL ORDER BY runs.incident, number"
        ),
        "past_runs": _past_runs(journal, incidents, decisions),
        "called": journal.rows(
            "SELECT incident, reason, at FROM calls WHERE incident IN (SELECT id FROM incidents WHERE state = 'open')"
            " ORDER BY incident, reason"
        ),
        "paused": history["paused"],
        "aborts": history["aborts"],
        "taken": [name[6:] for name in flags if name.startswith("taken:")],
        "fresh_journal": history["fresh_journal"],
    }


def _approved_at(journal: Journal, incident: str) -> Optional[float]:
    """When a person approved it last; None where the record of that word is gone."""
    rows = journal.rows("SELECT value FROM meta WHERE name LIKE 'said:%' AND value LIKE ?", '%"approve"%')
    said = [json.loads(item["value"]) for item in rows]
    times = [item["at"] for item in said if item.get("word") == "approve" and item.get("incident") == incident]
    return float(max(times)) if times else None


def _decision(journal: Journal, node: str) -> Optional[Row]:
    """The newest decision about a node, by its number: a clock that went back does not make an old one the newest."""
    found = journal.rows(
        "SELECT id, at, incident, attempt, admitted, reasons FROM decisions WHERE node = ? ORDER BY id DESC LIMIT ?",
        node, SAME_COUNTED,
    )  # fmt: skip
    if not found:
        return None
    newest = found[0]
    same = 0
    for item in found:
        if item["admitted"] or item["reasons"] != newest["reasons"]:
            break
        same += 1
    newest.update(admitted=bool(newest["admitted"]), reasons=json.loads(newest["reasons"]), same=same)
    # The decision wrote the readings it rests on at its own moment.
    seen = journal.rows(
        "SELECT body FROM readings WHERE node = ? AND at = ? ORDER BY id DESC LIMIT 1", node, newest["at"]
    )
    body = json.loads(seen[0]["body"]) if seen else {}
    newest.update(verdict=body.get("verdict"), kind=body.get("kind"))
    return newest


def _past_runs(journal: Journal, incidents: List[Row], decisions: Row) -> Row:
    found: Row = {}
    for item in incidents:
        runs = journal.rows(
            "SELECT number, unit, started_at, ended_at, outcome FROM runs WHERE incident = ?"
            " ORDER BY number DESC LIMIT ?", item["id"], SAME_COUNTED,
        )  # fmt: skip
        if runs:
            decided = (decisions.get(item["node"]) or {}).get("at")
            without = [run for run in runs if decided is None or run["started_at"] > decided]
            found[item["id"]] = {**runs[0], "without": len(without)}
    return found
