# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the healer writes into the journal. Each function is one transaction; ``now`` is seconds since the epoch.

The healer writes alerts, incidents that wait, readings, its own runs and what Nagios has to hear. Attempts, leases and
outcomes are written by the runs themselves (``Journal.decide``, ``_journal_leases``). What is read back for a decision
is in ``_journal_world``.
"""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal, _journal_ring
from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_approval import RETURNS
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal, new_incident
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import told
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_world import world

__all__ = [
    "ALERT_OUTCOMES", "add_readings", "attach", "begin_run", "call", "close_incident", "delivered", "end_run",
    "explain", "open_incident", "pending", "post", "prune", "recent_readings", "take_in", "undelivered", "withdraw",
    "world",
]  # fmt: skip

ALERT_OUTCOMES = ("opened", "known", "recovered", "stale", "no_layer", "bad")
# Words of people that belong to one incident, and end with it.
INCIDENT_FLAGS = ("abort:", "taken:")
QUESTIONS = ("mode_approve", "approve_late")  # calls that a person answers with approve
ALERTS_KEPT = 100000  # settled ones, so that a storm of alerts does not fill the disk
KEPT_SECONDS = 90 * 86400.0
DELIVERED_KEPT_SECONDS = 7 * 86400.0
OUTBOX_KEPT = 10000  # lines without a key, while Nagios' pipe has no reader: the oldest go first

Row = Dict[str, Any]


@contextlib.contextmanager
def _transaction(journal: Journal) -> Iterator[None]:
    with told(journal.path):
        journal.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            journal.db.execute("COMMIT")
        except BaseException:
            if journal.db.in_transaction:  # SQLite rolls back by itself when the disk is full
                journal.db.execute("ROLLBACK")
            raise


# -- alerts ------------------------------------------------------------------------------------------


def take_in(journal: Journal, alerts: Iterable[Mapping[str, Any]], now: float) -> int:
    """Alerts out of the spool, by the ``id`` of their file; how many are new. The same alert twice is one.

    An alert that cannot be read is kept as well, as ``bad`` with the reason: a file with only an ``id`` and a
    ``reason`` is enough. The caller removes the files afterwards (invariant 12).
    """
    taken = 0
    with _transaction(journal):
        for alert in alerts:
            values, reason = _alert(alert, now)
            cursor = journal.db.execute(
                "INSERT OR IGNORE INTO alerts"
                " (id, at, read_at, host, service, state, type, attempt, event_id, outcome, reason)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (str(alert["id"]), values["at"], now, values["host"], values["service"], values["state"],
                 values["type"], values["attempt"], values["event_id"], "bad" if reason else "", reason),
            )  # fmt: skip
            taken += cursor.rowcount
    return taken


def _alert(alert: Mapping[str, Any], now: float) -> Tuple[Row, str]:
    """The columns of an alert, and what is wrong with it; empty when nothing is."""
    at, host, service = alert.get("at"), alert.get("host"), alert.get("service")
    wrong = str(alert.get("reason") or "")
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not math.isfinite(at):
        wrong, at = wrong or "it has no time", now
    if not isinstance(host, str) or not host:
        wrong, host = wrong or "it names no host", ""
    if service is not None and not isinstance(service, str):
        wrong, service = wrong or "its service is no name", None
    found: Row = {"at": float(at), "host": host, "service": service or None}
    for name in ("state", "type"):
        found[name] = str(alert.get(name) or "")
    for name in ("attempt", "event_id"):
        value = alert.get(name)
        known = isinstance(value, int) and abs(value) < 2**63  # more does not fit into SQLite
        found[name] = value if known else 0
    return found, wrong


def attach(journal: Journal, alert_ids: Iterable[str], incident: Optional[str], outcome: str, reason: str = "") -> None:
    """What became of alerts: one of ``ALERT_OUTCOMES``, with the incident they belong to and a reason for people."""
    if outcome not in ALERT_OUTCOMES:
        raise SelfhealError("outcome", "outcome %r is none of %s" % (outcome, ", ".join(ALERT_OUTCOMES)))
    with _transaction(journal):
        for alert in alert_ids:
            journal.db.execute(
                "UPDATE alerts SET outcome = ?, incident = coalesce(?, incident), reason = ?"
                " WHERE id = ? AND outcome = ''",  # what is settled stays settled
                (outcome, incident, reason, alert),
            )


def explain(journal: Journal, alert_ids: Iterable[str], reason: str) -> None:
    """Why nothing is done about alerts that still wait, for people who look."""
    with _transaction(journal):
        for alert in alert_ids:
            journal.db.execute(
                "UPDATE alerts SET reason = ? WHERE id = ? AND outcome = '' AND reason != ?", (reason, alert, reason)
            )


# -- incidents and runs ------------------------------------------------------------------------------


def open_incident(
    journal: Journal, node: str, layer: str, kind: Optional[str], reasons: Iterable[str], now: float
) -> str:
    """The incident of a node: a new one, or the one that is open already."""
    with _transaction(journal):
        found = journal.rows(
            "SELECT id FROM incidents WHERE state = 'open' AND node = ? ORDER BY opened_at DESC, id DESC LIMIT 1", node
        )
        if found:
            return str(found[0]["id"])
        incident = new_incident(node, now)
        journal.db.execute(
            "INSERT INTO incidents (id, node, layer, state, opened_at, illness, reasons, approved)"
            " VALUES (?, ?, ?, 'open', ?, ?, ?, 0)",
            (incident, node, layer, now, kind, json.dumps(list(reasons))),
        )
    return incident


def close_incident(journal: Journal, incident: str, outcome: str, now: float) -> bool:
    """Close an incident that nobody heals; false when it is closed already or a heal holds its node right now."""
    with _transaction(journal):
        live = journal.rows(
            "SELECT 1 FROM leases WHERE incident = ? AND resource LIKE 'node:%' AND expires_at > ?", incident, now
        )
        if live:  # between the decision and now somebody has begun a heal of it by hand
            return False
        cursor = journal.db.execute(
            "UPDATE incidents SET state = 'closed', closed_at = ?, outcome = ? WHERE id = ? AND state = 'open'",
            (now, outcome, incident),
        )
        if not cursor.rowcount:
            return False
        journal.db.execute(
            "UPDATE attempts SET outcome = 'interrupted', ended_at = ? WHERE incident = ? AND outcome IS NULL",
            (now, incident),
        )
        journal.db.execute("DELETE FROM leases WHERE incident = ?", (incident,))
        for word in INCIDENT_FLAGS:
            journal.db.execute("DELETE FROM flags WHERE name = ?", (word + incident,))
    return True


def withdraw(journal: Journal, incident: str) -> bool:
    """A person's approval does not hold any more; they are asked anew. False when a run began under it."""
    with _transaction(journal):
        cursor = journal.db.execute(
            "UPDATE incidents SET approved = 0 WHERE id = ? AND state = 'open' AND approved != 0"
            " AND NOT EXISTS (SELECT 1 FROM runs WHERE incident = ? AND ended_at IS NULL)", (incident, incident),
        )  # fmt: skip
        if cursor.rowcount:
            for reason in QUESTIONS:
                journal.db.execute("DELETE FROM calls WHERE incident = ? AND reason = ?", (incident, reason))
    return bool(cursor.rowcount)


def begin_run(journal: Journal, incident: str, unit: str, now: float, why: str = "ill") -> int:
    """Write a run down before its unit is started; its number within the incident.

    ``unit`` may hold ``{name}``, which becomes INCIDENT-NUMBER. Refused while another run of the incident's node is
    not known to have ended: never two for one node. ``why`` is the reason of the act: a pause stops only what begins
    something new, a person's abort or take stops everything.
    """
    with _transaction(journal):
        found = journal.rows("SELECT node, state FROM incidents WHERE id = ?", incident)
        if not found or found[0]["state"] != "open":
            raise SelfhealError("unknown_incident", "the journal knows no open incident %s" % incident)
        other = journal.rows(
            "SELECT runs.incident, number FROM runs JOIN incidents ON incidents.id = runs.incident"
            " WHERE ended_at IS NULL AND node = ?", found[0]["node"],
        )  # fmt: skip
        if other:
            raise SelfhealError(
                "lease_taken",
                "run %s-%d of node %s has not ended" % (other[0]["incident"], other[0]["number"], found[0]["node"]),
            )
        # A person's word may have come since the healer looked.
        words = ["abort:" + incident, "taken:" + incident]
        if why not in RETURNS:
            words.insert(0, "paused")
        stop = next((name for name in words if journal.flag(name)), "")
        if stop:
            raise SelfhealError("stopped", "a person has said %s since the healer looked" % stop.partition(":")[0])
        last = journal.rows("SELECT max(number) AS last FROM runs WHERE incident = ?", incident)[0]["last"]
        number = int(last or 0) + 1
        journal.db.execute(
            "INSERT INTO runs (incident, number, unit, started_at) VALUES (?, ?, ?, ?)",
            (incident, number, unit.replace("{name}", "%s-%d" % (incident, number)), now),
        )
    return number


def end_run(journal: Journal, incident: str, number: int, outcome: str, now: float) -> bool:
    """The unit of a run is gone; false when that was known already. The outcome of the heal is the attempt's.

    Who takes an incident over asks its run to go back; that word ends with the run, or the person could not heal it.
    """
    with _transaction(journal):
        cursor = journal.db.execute(
            "UPDATE runs SET ended_at = ?, outcome = ? WHERE incident = ? AND number = ? AND ended_at IS NULL",
            (now, outcome, incident, number),
        )
        # A lease of an attempt that began in this very run is nobody's any more, however long it still lives.
        held = journal.rows(
            "SELECT 1 FROM leases WHERE incident = ? AND resource LIKE 'node:%' AND expires_at > ? AND NOT EXISTS"
            " (SELECT 1 FROM attempts, runs WHERE attempts.incident = leases.incident AND attempts.epoch = leases.epoch"
            " AND runs.incident = leases.incident AND runs.number = ? AND attempts.at >= runs.started_at"
            " AND attempts.at <= runs.ended_at)", incident, now, number,
        )  # fmt: skip
        if cursor.rowcount and journal.flag("taken:" + incident) and not held:
            journal.db.execute("DELETE FROM flags WHERE name = ?", ("abort:" + incident,))
    return bool(cursor.rowcount)


def call(journal: Journal, incident: str, reason: str, text: str, now: float) -> bool:
    """Remember that a human was called, so that it is done once for each reason; false when it was done before."""
    with _transaction(journal):
        cursor = journal.db.execute("INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?)", (incident, reason, now, text))
    return bool(cursor.rowcount)


# -- readings ----------------------------------------------------------------------------------------


def add_readings(journal: Journal, verdicts: Mapping[str, Mapping[str, Any]], now: float) -> int:
    """Readings of this moment into the ring; how many nodes had something new.

    A node whose probes have not looked again since the newest entry is left out, so that a fast poll does not push
    out of the ring what a gauge needs for ``for_seconds``.
    """
    added = 0
    with _transaction(journal):
        newest = {
            item["node"]: json.loads(item["body"])
            for item in journal.rows(
                "SELECT node, body FROM readings WHERE id IN (SELECT max(id) FROM readings GROUP BY node)"
            )
        }
        for node, verdict in sorted(verdicts.items()):
            body = {"verdict": verdict.get("verdict"), "kind": verdict.get("kind"), "readings": verdict.get("readings")}
            if node in newest and _looked(newest[node]) == _looked(body):
                continue
            journal.db.execute("INSERT INTO readings (node, at, body) VALUES (?, ?, ?)", (node, now, json.dumps(body)))
            added += 1
        journal.db.execute(
            "DELETE FROM readings WHERE id <= (SELECT max(id) FROM readings) - ?", (_journal.READINGS_KEPT,)
        )
    return added


def _looked(body: Mapping[str, Any]) -> Any:
    """An entry without the age of its readings, which grows while nobody looks."""
    readings = [{key: item[key] for key in item if key != "age_seconds"} for item in body.get("readings") or ()]
    return body.get("verdict"), body.get("kind"), json.loads(json.dumps(readings))


def recent_readings(journal: Journal, since: float) -> List[Row]:
    """Readings written after ``since``, each once, as ``_gauges.evaluate(history=...)`` takes them."""
    with told(journal.path):
        return _journal_ring.readings(journal.db, since)


# -- what waits for Nagios ---------------------------------------------------------------------------


def post(journal: Journal, key: str, line: str, now: float) -> None:
    """A command for Nagios' pipe, without its time. One with the same key that still waits is replaced.

    Without a key ('') nothing is replaced: every comment counts, of a passive state only the newest.
    """
    with _transaction(journal):
        if key:
            journal.db.execute("DELETE FROM outbox WHERE key = ? AND delivered_at IS NULL", (key,))
        journal.db.execute("INSERT INTO outbox (at, key, line) VALUES (?, ?, ?)", (now, key, line))


def pending(journal: Journal, limit: int) -> List[Row]:
    """What waits, oldest first."""
    return journal.rows(
        "SELECT id, at, key, line, tries, error FROM outbox WHERE delivered_at IS NULL ORDER BY id LIMIT ?", limit
    )


def delivered(journal: Journal, ids: Iterable[int], now: float) -> None:
    with _transaction(journal):
        for place in ids:
            journal.db.execute("UPDATE outbox SET delivered_at = ?, error = '' WHERE id = ?", (now, place))


def undelivered(journal: Journal, ids: Iterable[int], error: str) -> None:
    with _transaction(journal):
        for place in ids:
            journal.db.execute("UPDATE outbox SET tries = tries + 1, error = ? WHERE id = ?", (error[:500], place))


def prune(journal: Journal, now: float) -> None:
    """Quotas of what the healer writes; an alert or a run that is not settled is never thrown away."""
    with _transaction(journal):
        old = now - KEPT_SECONDS
        journal.db.execute("DELETE FROM alerts WHERE outcome != '' AND read_at < ?", (old,))
        journal.db.execute(
            "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE outcome != ''"
            " ORDER BY read_at DESC, id DESC LIMIT -1 OFFSET ?)", (ALERTS_KEPT,),
        )  # fmt: skip
        journal.db.execute("DELETE FROM runs WHERE ended_at < ?", (old,))
        journal.db.execute(
            "DELETE FROM calls WHERE at < ? AND incident NOT IN (SELECT id FROM incidents WHERE state = 'open')", (old,)
        )
        journal.db.execute("DELETE FROM outbox WHERE delivered_at < ?", (now - DELIVERED_KEPT_SECONDS,))
        journal.db.execute(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE delivered_at IS NULL AND key = ''"
            " ORDER BY id DESC LIMIT -1 OFFSET ?)", (OUTBOX_KEPT,),
        )  # fmt: skip
