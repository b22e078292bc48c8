# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The life of a lease after the decision: extended at the start of each phase, given back with the outcome."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import told
from ansible_collections.selfheal.cluster.plugins.module_utils._sequences import MARGIN_SECONDS, PHASES

OUTCOMES = ("healed", "undone", "failed", "left_out", "refused", "ambiguous")
# After these the illness is over, or the node is as it was before; after the others a person is needed.
CLOSING = ("healed", "undone", "refused")
# Before these phases pause, abort and storm are looked at again (invariant 4).
ASKED_AGAIN = ("shift", "restart")


def extend(
    journal: Journal, incident: str, epoch: int, phase: str, deadline_seconds: float, now: float, store: bool = True
) -> Dict[str, Any]:
    """Hold on until the deadline of this phase; a lease that ran out, or that another took, is lost.

    A lease is never made shorter: what the phase before was given may still be at work.
    """
    if phase not in PHASES:
        raise SelfhealError("phase", "phase %r is none of %s" % (phase, ", ".join(PHASES)))
    with told(journal.path):
        journal.db.execute("BEGIN IMMEDIATE" if store else "BEGIN")
        try:
            attempt = _held(journal, incident, epoch, now, expired_is_lost=True)
            stop = stop_word(journal, attempt, now) if phase in ASKED_AGAIN else ""
            mine = journal.rows("SELECT expires_at FROM leases WHERE incident = ? AND epoch = ?", incident, epoch)
            expires = max([now + deadline_seconds + MARGIN_SECONDS, *(lease["expires_at"] for lease in mine)])
            if store and not stop:
                _write_phase(journal, attempt, epoch, phase, expires, now)
            journal.db.execute("COMMIT" if store else "ROLLBACK")
        except BaseException:
            if journal.db.in_transaction:
                journal.db.execute("ROLLBACK")
            raise
    return {"held": True, "stop": stop, "epoch": epoch, "deadline": expires, "node": attempt["node"],
            "attempt": attempt["attempt"]}  # fmt: skip


def release(
    journal: Journal,
    incident: str,
    epoch: int,
    outcome: str,
    detail: Optional[Mapping[str, Any]],
    now: float,
    store: bool = True,
) -> Dict[str, Any]:
    """Write the verified outcome and give the leases back. A node left out keeps its slot as missing."""
    if outcome not in OUTCOMES:
        raise SelfhealError("outcome", "outcome %r is none of %s" % (outcome, ", ".join(OUTCOMES)))
    with told(journal.path):
        journal.db.execute("BEGIN IMMEDIATE" if store else "BEGIN")
        try:
            # Nobody took over: the outcome of a run that was late at the end is still worth writing down.
            attempt = _held(journal, incident, epoch, now, expired_is_lost=False)
            if store:
                _write_outcome(journal, attempt, outcome, detail, now)
            journal.db.execute("COMMIT" if store else "ROLLBACK")
        except BaseException:
            if journal.db.in_transaction:
                journal.db.execute("ROLLBACK")
            raise
    return {"held": False, "stop": "", "epoch": epoch, "deadline": None, "node": attempt["node"],
            "attempt": attempt["attempt"]}  # fmt: skip


def _held(journal: Journal, incident: str, epoch: int, now: float, expired_is_lost: bool) -> Dict[str, Any]:
    mine = journal.rows("SELECT * FROM leases WHERE incident = ? AND epoch = ?", incident, epoch)
    attempts = journal.rows("SELECT * FROM attempts WHERE incident = ? AND epoch = ?", incident, epoch)
    if not attempts:
        raise SelfhealError(
            "lease_lost", "the journal knows no attempt of incident %s with epoch %s" % (incident, epoch)
        )
    if attempts[0]["outcome"] is not None:
        raise SelfhealError(
            "lease_lost",
            "the attempt with epoch %s of incident %s has ended (%s); stop here"
            % (epoch, incident, attempts[0]["outcome"]),
        )
    if not any(lease["resource"].startswith("node:") for lease in mine):
        raise SelfhealError(
            "lease_lost", "incident %s does not hold its leases under epoch %s any more" % (incident, epoch)
        )
    if expired_is_lost and any(lease["expires_at"] <= now for lease in mine):
        late = now - min(lease["expires_at"] for lease in mine)
        raise SelfhealError(
            "lease_lost", "the lease of incident %s ran out %.0f s ago; type the heal again to go on" % (incident, late)
        )
    return attempts[0]


def stop_word(journal: Journal, attempt: Mapping[str, Any], now: float) -> str:
    """Why a heal that has not restarted yet must go back: '' | pause | abort | storm."""
    if journal.flag("abort:" + attempt["incident"]):
        return "abort"
    if journal.flag("paused"):
        return "pause"
    return "storm" if _storm(journal, attempt, now) else ""


def _storm(journal: Journal, attempt: Mapping[str, Any], now: float) -> bool:
    """Has the journal seen a storm since? A refusal for it, or too many incidents opened at once."""
    policies = journal.rows("SELECT body FROM policies WHERE layer = ?", attempt["layer"])
    limits = json.loads(policies[0]["body"])["limits"] if policies else {}
    since = now - limits.get("storm_window_seconds", 60)
    told = journal.rows(
        "SELECT DISTINCT node, layer FROM decisions WHERE at > ? AND id > ? AND reasons LIKE '%\"storm\"%'",
        since, attempt["decision"],
    )  # fmt: skip
    if any(item["layer"] == attempt["layer"] for item in told):
        return True
    # The healer opens incidents for symptoms too; an illness of its own is one that the plan has admitted.
    opened = journal.rows(
        "SELECT node, layer FROM incidents WHERE state = 'open' AND opened_at > ?"
        " AND EXISTS (SELECT 1 FROM attempts WHERE attempts.incident = incidents.id)", since,
    )  # fmt: skip
    nodes = {item["node"] for item in [*opened, *told]} | {attempt["node"]}
    layer = {item["node"] for item in opened if item["layer"] == attempt["layer"]} | {attempt["node"]}
    return bool(len(layer) >= limits.get("storm_layer", 2) or len(nodes) >= limits.get("storm_farm", 3))


def _write_phase(
    journal: Journal, attempt: Mapping[str, Any], epoch: int, phase: str, expires: float, now: float
) -> None:
    incident, number = attempt["incident"], attempt["attempt"]
    journal.db.execute(
        "UPDATE leases SET expires_at = ?, phase = ? WHERE incident = ? AND epoch = ?",
        (expires, phase, incident, epoch),
    )
    journal.db.execute(
        "UPDATE attempts SET phase = ?, phase_at = ? WHERE incident = ? AND attempt = ?", (phase, now, incident, number)
    )
    journal.db.execute(
        "INSERT OR REPLACE INTO phases VALUES (?, ?, ?, ?, ?, ?)", (incident, number, phase, now, epoch, expires)
    )


def _write_outcome(
    journal: Journal, attempt: Mapping[str, Any], outcome: str, detail: Optional[Mapping[str, Any]], now: float
) -> None:
    incident = attempt["incident"]
    journal.db.execute(
        "UPDATE attempts SET outcome = ?, ended_at = ?, detail = ? WHERE incident = ? AND attempt = ?",
        (outcome, now, json.dumps(detail or {}), incident, attempt["attempt"]),
    )
    # A person who took over has the last word: a heal that went back leaves the illness, and so the incident, to them.
    taken = outcome != "healed" and journal.flag("taken:" + incident)
    if outcome in CLOSING:
        if taken:
            journal.db.execute("UPDATE incidents SET outcome = ? WHERE id = ?", (outcome, incident))
        else:
            journal.db.execute(
                "UPDATE incidents SET state = 'closed', closed_at = ?, outcome = ? WHERE id = ?",
                (now, outcome, incident),
            )
            journal.db.execute("DELETE FROM flags WHERE name = ?", ("taken:" + incident,))
        journal.db.execute("DELETE FROM leases WHERE incident = ?", (incident,))
        journal.db.execute("DELETE FROM flags WHERE name = ?", ("abort:" + incident,))
    else:
        journal.db.execute("UPDATE incidents SET outcome = ? WHERE id = ?", (outcome, incident))
        if taken:  # the abort was meant for the heal that has ended; the person may begin one by hand
            journal.db.execute("DELETE FROM flags WHERE name = ?", ("abort:" + incident,))
        # Invariant 1: a node that does not come back keeps its slot as missing; all else is free again.
        journal.db.execute("DELETE FROM leases WHERE incident = ? AND resource NOT LIKE 'slot:%'", (incident,))


def acknowledge(journal: Journal, incident: str, by: str, now: float) -> bool:
    """A person's word that an incident is settled: it is closed, its leases are free, its attempts do not count."""
    with told(journal.path):
        journal.db.execute("BEGIN IMMEDIATE")
        try:
            found = journal.rows("SELECT state FROM incidents WHERE id = ?", incident)
            if not found:
                raise SelfhealError("unknown_incident", "the journal knows no incident %s" % incident)
            runs = "SELECT 1 FROM leases WHERE incident = ? AND expires_at > ? AND resource LIKE 'node:%'"
            live = journal.rows(runs, incident, now)
            if live:
                raise SelfhealError("lease_taken", "incident %s is being healed right now: abort it first" % incident)
            before = journal.db.total_changes
            journal.db.execute(
                "UPDATE attempts SET acknowledged = 1, outcome = coalesce(outcome, 'interrupted'),"
                " ended_at = coalesce(ended_at, ?) WHERE incident = ? AND acknowledged = 0", (now, incident),
            )  # fmt: skip
            journal.db.execute(
                "UPDATE incidents SET state = 'closed', closed_at = ?, outcome = ? WHERE id = ? AND state = 'open'",
                (now, "acknowledged by " + by, incident),
            )
            journal.db.execute("DELETE FROM leases WHERE incident = ?", (incident,))
            for word in ("abort:", "taken:"):
                journal.db.execute("DELETE FROM flags WHERE name = ?", (word + incident,))
            changed = journal.db.total_changes > before
            journal.db.execute("COMMIT")
        except BaseException:
            if journal.db.in_transaction:
                journal.db.execute("ROLLBACK")
            raise
    return changed


def set_flag(journal: Journal, name: str, value: bool, by: str, now: float) -> bool:
    if journal.flag(name) == value:
        return False
    with told(journal.path):
        if value:
            journal.db.execute("INSERT OR REPLACE INTO flags VALUES (?, 'true', ?, ?)", (name, now, by))
        else:
            journal.db.execute("DELETE FROM flags WHERE name = ?", (name,))
    return True


def initialise(journal: Journal, policies: Mapping[str, Any], now: float, whole: bool = False) -> List[str]:
    """A person's word: from now on this journal may act. Policies given here are pinned: others are refused.

    ``whole``: these are all that shall be pinned; a layer that was pinned before is no more.
    """
    from ansible_collections.selfheal.cluster.plugins.module_utils._planner_json import digest

    changed: List[str] = []
    with told(journal.path):
        journal.db.execute("BEGIN IMMEDIATE")
        try:
            if journal.meta("initialised_at") is None:
                journal.db.execute("INSERT INTO meta VALUES ('initialised_at', ?)", (repr(now),))
                changed.append("initialised")
            for layer, policy in sorted(policies.items()):
                old = journal.rows("SELECT hash, pinned FROM policies WHERE layer = ?", layer)
                if old and old[0]["pinned"] and old[0]["hash"] == digest(policy):
                    continue
                journal.db.execute(
                    "INSERT OR REPLACE INTO policies VALUES (?, ?, ?, ?, 1)",
                    (layer, digest(policy), json.dumps(policy), now),
                )
                changed.append("policy of " + layer)
            for layer in pinned_beside(journal, policies) if whole else ():
                journal.db.execute("UPDATE policies SET pinned = 0 WHERE layer = ?", (layer,))
                changed.append("policy of %s not pinned any more" % layer)
            journal.db.execute("COMMIT")
        except BaseException:
            if journal.db.in_transaction:
                journal.db.execute("ROLLBACK")
            raise
    return changed


def pinned_beside(journal: Journal, policies: Mapping[str, Any]) -> List[str]:
    """Layers whose policy is pinned and that are not among these."""
    rows = journal.rows("SELECT layer FROM policies WHERE pinned = 1 ORDER BY layer")
    return [str(row["layer"]) for row in rows if row["layer"] not in policies]
