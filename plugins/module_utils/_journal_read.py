# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Reading the journal back: for people, for the command line, and for the replay of decisions (invariant 14)."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import zlib
from typing import Any, Dict, Iterator, List, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_basis import basis, evidence, would
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_said import pause, said, unknown_incident
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import told
from ansible_collections.selfheal.cluster.plugins.module_utils._planner import plan
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_json import digest
from ansible_collections.selfheal.cluster.plugins.module_utils._run_live import live

COLUMNS = "id, at, node, layer, incident, attempt, admitted, reasons, summary, hash, policy_hash"
BASES = 40  # decisions of one incident that are shown with what they rested on: admitted ones first, then the newest
# Of these many bytes of decisions, packed, it is said what would have been done: a tenth of what is parsed for it.
WOULD_BYTES = 4 * 1024 * 1024


@contextlib.contextmanager
def opened(path: str) -> Iterator[Journal]:
    """The journal as it was at one moment, for a reader: nothing can be written through it."""
    with Journal(path) as journal:
        with told(path):
            journal.db.execute("PRAGMA query_only = ON")
            journal.db.execute("BEGIN")
        yield journal


def overview(
    journal: Journal, now: float, incident: Optional[str], limit: int, bodies: bool, runs: Optional[str] = None
) -> Dict[str, Any]:
    """Incidents, newest first, with what belongs to them; all, or one whole.

    ``runs``: the folder of the runs' folders; without it ``runs`` beside the journal.
    """
    if incident:
        incidents = journal.rows("SELECT * FROM incidents WHERE id = ?", incident)
        if not incidents:
            raise unknown_incident(journal, incident)
        decisions = decided(journal, "incident = ?", [incident], 1000, bodies)
        _with_basis(journal, decisions)
    else:
        incidents = journal.rows("SELECT * FROM incidents ORDER BY state = 'open' DESC, opened_at DESC LIMIT ?", limit)
        decisions = decided(journal, "1", [], limit, bodies)
    chosen = [item["id"] for item in incidents]
    marks = ", ".join("?" * len(chosen))
    attempts = journal.rows("SELECT * FROM attempts WHERE incident IN (%s) ORDER BY at" % marks, *chosen)  # noqa: S608  # question marks only
    phases = journal.rows("SELECT * FROM phases WHERE incident IN (%s) ORDER BY at" % marks, *chosen)  # noqa: S608  # likewise
    for item in incidents:
        item.update(incident=item["id"], reasons=json.loads(item["reasons"]), approved=bool(item["approved"]))
        item.update(kind=item["illness"], reason="; ".join(item["reasons"]) or "drill")
    _with_would(journal, incidents)
    for item in attempts:
        item.update(owner=json.loads(item["owner"]), detail=json.loads(item["detail"] or "{}"))
        item["acknowledged"] = bool(item["acknowledged"])
    leases = journal.rows("SELECT * FROM leases ORDER BY resource, incident")
    for item in leases:
        item.update(owner=json.loads(item["owner"]), expired=item["expires_at"] <= now)
    more = _whole(journal, incident) if incident else {}
    flags = [item["name"] for item in journal.rows("SELECT name FROM flags ORDER BY name")]
    folder = runs or os.path.join(os.path.dirname(os.path.abspath(journal.path)), "runs")
    return {
        "incidents": incidents,
        "attempts": attempts,
        "phases": _with_length(phases, attempts),
        "decisions": decisions,
        "running": live(journal, now, folder, incident or None),
        "leases": [item for item in leases if not incident or item["incident"] == incident],
        "paused": "paused" in flags,
        "pause": pause(journal),
        "aborts": [name[6:] for name in flags if name.startswith("abort:")],
        "taken": [name[6:] for name in flags if name.startswith("taken:")],
        "words": said(journal, incident or None, limit),
        **more,
        "fresh_journal": journal.meta("initialised_at") is None,
        "last_epoch": int(journal.meta("last_epoch") or 0),
    }


def _with_basis(journal: Journal, decisions: List[Dict[str, Any]]) -> None:
    """What each decision rested on, for as many as a person reads."""
    chosen = sorted(decisions, key=lambda item: (not item["admitted"], -item["id"]))[:BASES]
    marks = ", ".join("?" * len(chosen))
    found = journal.rows("SELECT id, body FROM decisions WHERE id IN (%s)" % marks, *(item["id"] for item in chosen))  # noqa: S608  # question marks only
    bodies = {item["id"]: item["body"] for item in found}
    for item in decisions:
        if item["id"] in bodies:
            item["basis"] = basis(unpacked(bodies[item["id"]]))


def _with_would(journal: Journal, incidents: List[Dict[str, Any]]) -> None:
    """What would have been done for each incident whose newest decision admitted nothing, or why not."""
    marks = ", ".join("?" * len(incidents))
    newest = journal.rows(
        "SELECT id, incident, admitted, length(body) AS size FROM decisions WHERE id IN"  # noqa: S608  # question marks only
        " (SELECT max(id) FROM decisions WHERE incident IN (%s) GROUP BY incident)" % marks,
        *(item["id"] for item in incidents),
    )
    refused = {item["incident"]: item for item in newest if not item["admitted"]}
    left = WOULD_BYTES
    for item in incidents:
        found = refused.get(item["id"])
        if found is None:
            item["would"] = ""
        elif left <= 0:
            item["would"] = "for what would have been done: selfheal show %s" % item["id"]
        else:
            left -= found["size"]
            body = journal.rows("SELECT body FROM decisions WHERE id = ?", found["id"])[0]["body"]
            try:
                item["would"] = would(unpacked(body).get("plan") or {})
            except (OSError, EOFError, ValueError, zlib.error):  # the other incidents are told all the same
                item["would"] = "not known: decision %d is damaged" % found["id"]


def _whole(journal: Journal, incident: str) -> Dict[str, Any]:
    """What else there is about one incident: alerts, runs, calls of people, if its schema has them; evidence."""
    tables = {item["name"] for item in journal.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    found: Dict[str, Any] = {}
    for table, order in (("alerts", "at"), ("runs", "number"), ("calls", "at")):
        if table in tables:
            sql = "SELECT * FROM %s WHERE incident = ? ORDER BY %s LIMIT 1000" % (table, order)  # noqa: S608  # constants
            found[table] = journal.rows(sql, incident)
    folder = os.path.join(os.path.dirname(os.path.abspath(journal.path)), "evidence")
    found["evidence"] = evidence(folder, incident)
    return found


def decided(journal: Journal, where: str, values: List[Any], limit: int, bodies: bool) -> List[Dict[str, Any]]:
    columns = COLUMNS + (", body" if bodies else "")
    found = journal.rows(
        "SELECT %s FROM decisions WHERE %s ORDER BY id DESC LIMIT ?" % (columns, where), *values, limit  # noqa: S608  # both are constants of this file
    )  # fmt: skip
    for item in found:
        item.update(admitted=bool(item["admitted"]), reasons=json.loads(item["reasons"]))
        if bodies:
            item["body"] = unpacked(item["body"])
    return found


def unpacked(body: bytes) -> Dict[str, Any]:
    return dict(json.loads(gzip.decompress(body).decode("utf-8")))


def replay(journal: Journal, incident: Optional[str], limit: int) -> List[Dict[str, Any]]:
    """Plan again on what every decision rested on, and say whether it comes out the same."""
    where, values = ("incident = ?", [incident]) if incident else ("1", [])
    results = []
    for item in journal.rows(
        "SELECT id, hash, body FROM decisions WHERE %s ORDER BY id DESC LIMIT ?" % where, *values, limit  # noqa: S608  # a constant
    ):  # fmt: skip
        stored = unpacked(item["body"])
        again = plan(stored["snapshot"], stored["policy"], stored["history"], stored["now"])
        differs = sorted(key for key in set(again) | set(stored["plan"]) if again.get(key) != stored["plan"].get(key))
        intact = digest(stored) == item["hash"]
        results.append({"decision": item["id"], "same": not differs and intact, "differs": differs, "intact": intact})
    return results


def _with_length(phases: List[Dict[str, Any]], attempts: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Each phase lasts until the next one of its attempt begins, or until the attempt ends."""
    later = {(item["incident"], item["attempt"]): item["ended_at"] for item in attempts}
    for item in reversed(phases):  # in the order of time
        key = (item["incident"], item["attempt"])
        end = later.get(key)
        item["seconds"] = round(end - item["at"], 3) if end is not None else None
        later[key] = item["at"]
    return phases
