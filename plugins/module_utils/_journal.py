# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The journal: the durable record, and the one transaction in which a heal is decided.

``decide`` looks, decides, reserves the attempt, takes the leases, issues the epoch and writes the decision down
in a single ``BEGIN IMMEDIATE`` (invariants 1, 7 and 14). Two that ask at once are put in order by SQLite: the
second sees the leases of the first.
"""

from __future__ import annotations

import binascii
import gzip
import json
import os
import re
import time
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import connect, create, row, told
from ansible_collections.selfheal.cluster.plugins.module_utils._planner import plan
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_json import digest
from ansible_collections.selfheal.cluster.plugins.module_utils._sequences import MARGIN_SECONDS

INCIDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
READINGS_KEPT = 20000
DECISIONS_KEPT_SECONDS = 90 * 86400.0
DECISIONS_KEPT_BYTES = 64 * 1024 * 1024
ATTEMPTS_SEEN_SECONDS = 30 * 86400.0

Row = Dict[str, Any]


class Journal:
    """One open journal. ``now`` always comes from the caller, so that tests need no clock."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.db = connect(path)

    @staticmethod
    def create(path: str, now: float) -> bool:
        return create(path, now)

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    # -- reading ---------------------------------------------------------------------------------

    def rows(self, sql: str, *values: Any) -> List[Row]:
        with told(self.path):
            return [row(item) for item in self.db.execute(sql, values)]

    def meta(self, name: str) -> Optional[str]:
        found = self.rows("SELECT value FROM meta WHERE name = ?", name)
        return str(found[0]["value"]) if found else None

    def flag(self, name: str) -> bool:
        return bool(self.rows("SELECT 1 FROM flags WHERE name = ?", name))

    def history(self, now: float, policies: Optional[Mapping[str, Any]] = None) -> Row:
        """What the planner may know of the past."""
        attempts = self.rows(
            "SELECT incident, attempt, node, layer, epoch, at, ended_at, outcome, phase, phase_at, rung, acknowledged"
            " FROM attempts WHERE at > ? OR outcome IS NULL ORDER BY at, incident, attempt",
            now - ATTEMPTS_SEEN_SECONDS,
        )  # fmt: skip
        for item in attempts:
            item["acknowledged"] = bool(item["acknowledged"])
        leases = self.rows("SELECT * FROM leases ORDER BY resource, incident")
        for item in leases:
            item["owner"] = json.loads(item["owner"])
        incidents = self.rows(
            "SELECT id, node, layer, state, opened_at, outcome, approved FROM incidents"
            " WHERE state = 'open' ORDER BY id"
        )
        flags = [item["name"] for item in self.rows("SELECT name FROM flags ORDER BY name")]
        return {
            "attempts": attempts,
            "leases": leases,
            "incidents": incidents,
            "paused": "paused" in flags,
            "aborts": [name[6:] for name in flags if name.startswith("abort:")],
            "fresh_journal": self.meta("initialised_at") is None,
            "policies": self._pinned(policies or {}),
        }

    def _pinned(self, policies: Mapping[str, Any]) -> Row:
        found: Row = {}
        for item in self.rows("SELECT layer, hash, body FROM policies WHERE pinned = 1 ORDER BY layer"):
            policy = policies.get(item["layer"])
            if policy is None:
                continue
            differs = []
            if digest(policy) != item["hash"]:
                old = json.loads(item["body"])
                differs = sorted(key for key in set(old) | set(policy) if old.get(key) != policy.get(key))
            found[item["layer"]] = {"hash": item["hash"], "differs": differs}
        return found

    # -- deciding --------------------------------------------------------------------------------

    def decide(self, request: Mapping[str, Any], now: float, store: bool = True) -> Row:
        """Plan and, when admitted, reserve and take everything in one transaction.

        ``request`` has ``snapshot``, ``policies``, ``owner`` (who asks), ``dead`` (runs that the asker proved
        dead on its own machine) and optionally ``incident``. With ``store`` false nothing is written.
        """
        # A round through JSON, so that what is decided on is exactly what is stored and replayed.
        snapshot, policies = json.loads(json.dumps([request["snapshot"], request["policies"]]))
        with told(self.path):
            self.db.execute("BEGIN IMMEDIATE" if store else "BEGIN")
            try:
                result = self._decide(snapshot, policies, request, now, store)
                self.db.execute("COMMIT" if store else "ROLLBACK")
            except BaseException:
                if self.db.in_transaction:  # SQLite rolls back by itself when the disk is full
                    self.db.execute("ROLLBACK")
                raise
        return result

    def _decide(self, snapshot: Row, policies: Row, request: Mapping[str, Any], now: float, store: bool) -> Row:
        owner = dict(request.get("owner") or {})
        history = self.history(now, policies)
        _bury(history["leases"], request.get("dead") or (), owner)
        self._known(request.get("incident"), snapshot.get("node"), history)
        decision = plan(snapshot, policies, history, now)
        layer = decision["layer"]
        result = dict(decision)
        result.update(epoch=None, attempt=None, decision_id=None, policy=policies.get(layer) or {})
        result["holders"] = [item for item in history["leases"] if item["expires_at"] > now]
        if not store:
            return result
        if decision["admitted"]:
            self._evict([item for item in history["leases"] if item.get("dead")])
            self._admit(result, request, owner, now)
        stored = {"snapshot": snapshot, "policy": policies, "history": history, "now": now, "plan": decision}
        result["decision_id"] = self._write_decision(stored, result, now)
        if decision["admitted"]:
            self.db.execute(
                "UPDATE attempts SET decision = ? WHERE incident = ? AND attempt = ?",
                (result["decision_id"], result["incident"], result["attempt"]),
            )
        self._see(policies, snapshot, now)
        self._prune(now)
        return result

    def _known(self, incident: Any, node: Any, history: Row) -> None:
        if not incident:
            return
        if not isinstance(incident, str) or not INCIDENT.fullmatch(incident):
            raise SelfhealError("unknown_incident", "%r is no incident id" % (incident,))
        found = self.rows("SELECT node, state FROM incidents WHERE id = ?", incident)
        if found and (found[0]["node"] != node or found[0]["state"] != "open"):
            raise SelfhealError(
                "unknown_incident",
                "incident %s is of node %s and %s; leave selfheal_incident out to begin a new one"
                % (incident, found[0]["node"], found[0]["state"]),
            )
        if not found and any(item["node"] == node for item in history["incidents"]):
            open_one = next(item["id"] for item in history["incidents"] if item["node"] == node)
            raise SelfhealError(
                "unknown_incident", "node %s has the open incident %s; continue that one" % (node, open_one)
            )

    def _admit(self, result: Row, request: Mapping[str, Any], owner: Row, now: float) -> None:
        node, layer = result["node"], result["layer"]
        self._close(result["closes"], "returned_by_hand", now)
        epoch = max(int(self.meta("last_epoch") or 0) + 1, int(now))
        self.db.execute("UPDATE meta SET value = ? WHERE name = 'last_epoch'", (str(epoch),))
        incident = result["incident"]
        if not incident:
            incident = request.get("incident") or new_incident(node, now)
            self.db.execute(
                "INSERT INTO incidents VALUES (?, ?, ?, 'open', ?, NULL, ?, ?, NULL, 0)",
                (incident, node, layer, now, result["illness"], json.dumps(result["reasons"])),
            )
        # The attempt that died is closed as what it is; only its successor may end otherwise.
        self.db.execute(
            "UPDATE attempts SET outcome = 'interrupted', ended_at = ? WHERE incident = ? AND outcome IS NULL",
            (now, incident),
        )
        last = self.rows("SELECT max(attempt) AS last FROM attempts WHERE incident = ?", incident)[0]["last"]
        attempt = (last or 0) + 1
        self.db.execute(
            "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, 'confirm', ?, ?, ?, ?, 0, NULL, 0)",
            (incident, attempt, node, layer, epoch, now, now, result["restart"]["kind"],
             str((request.get("snapshot") or {}).get("reason") or ""), json.dumps(owner)),
        )  # fmt: skip
        expires = now + result["deadlines"]["confirm"] + result["deadlines"]["shift"] + MARGIN_SECONDS
        self.db.execute("DELETE FROM leases WHERE incident = ?", (incident,))
        for lease in result["leases"]:
            # What the planner found dead or expired makes room; a live one would break the unique index.
            if lease["mode"] == "exclusive":
                self.db.execute("DELETE FROM leases WHERE resource = ?", (lease["resource"],))
            self.db.execute(
                "INSERT INTO leases VALUES (?, ?, ?, ?, ?, 'confirm', ?)",
                (lease["resource"], incident, epoch, lease["mode"], expires, json.dumps(owner)),
            )
        self.db.execute(
            "INSERT INTO phases VALUES (?, ?, 'confirm', ?, ?, ?)", (incident, attempt, now, epoch, expires)
        )
        result.update(incident=incident, attempt=attempt, epoch=epoch, expires_at=expires)

    def _evict(self, dead: List[Row]) -> None:
        """A run that is proven dead loses all at once, so that no rest of it can extend a part."""
        for incident in sorted({item["incident"] for item in dead}):
            self.db.execute("DELETE FROM leases WHERE incident = ? AND resource NOT LIKE 'slot:%'", (incident,))

    def _close(self, incidents: List[str], outcome: str, now: float) -> None:
        for incident in incidents:
            if self.flag("taken:" + incident):
                continue  # what a person has taken ends by that person's word
            self.db.execute(
                "UPDATE incidents SET state = 'closed', closed_at = ?, outcome = ? WHERE id = ? AND state = 'open'",
                (now, outcome, incident),
            )
            self.db.execute(
                "UPDATE attempts SET outcome = ?, ended_at = ? WHERE incident = ? AND outcome IS NULL",
                (outcome, now, incident),
            )
            self.db.execute("DELETE FROM leases WHERE incident = ?", (incident,))

    def _write_decision(self, stored: Row, result: Row, now: float) -> int:
        layer = result["layer"]
        text = json.dumps(stored, sort_keys=True, separators=(",", ":"))
        cursor = self.db.execute(
            "INSERT INTO decisions"
            " (at, node, layer, incident, attempt, admitted, reasons, summary, hash, policy_hash, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (now, result["node"], layer, result["incident"], result["attempt"], int(result["admitted"]),
             json.dumps(sorted({item["reason"] for item in result["refusals"]})), result["summary"],
             digest_text(text), digest(result["policy"]) if layer else None,
             # mtime 0: the same decision is the same bytes
             gzip.compress(text.encode("utf-8"), 6, mtime=0)),
        )  # fmt: skip
        return int(cursor.lastrowid or 0)

    def _see(self, policies: Row, snapshot: Row, now: float) -> None:
        """The policy in force and the readings of this moment, for whoever decides next."""
        for layer, policy in sorted(policies.items()):
            self.db.execute(
                "INSERT INTO policies VALUES (?, ?, ?, ?, 0) ON CONFLICT (layer) DO UPDATE"
                " SET hash = excluded.hash, body = excluded.body, at = excluded.at WHERE pinned = 0",
                (layer, digest(policy), json.dumps(policy), now),
            )
        for node, verdict in sorted((snapshot.get("verdicts") or {}).items()):
            body = {"verdict": verdict.get("verdict"), "kind": verdict.get("kind"), "readings": verdict.get("readings")}
            self.db.execute("INSERT INTO readings (node, at, body) VALUES (?, ?, ?)", (node, now, json.dumps(body)))

    def _prune(self, now: float) -> None:
        """Quotas: the ring of readings, and decisions by age and size; what an open incident acts on stays."""
        self.db.execute("DELETE FROM readings WHERE id <= (SELECT max(id) FROM readings) - ?", (READINGS_KEPT,))
        keep = "admitted = 0 OR incident NOT IN (SELECT id FROM incidents WHERE state = 'open')"
        self.db.execute("DELETE FROM decisions WHERE at < ? AND (%s)" % keep, (now - DECISIONS_KEPT_SECONDS,))  # noqa: S608  # no value of anybody in it
        total = self.rows("SELECT coalesce(sum(length(body)), 0) AS total FROM decisions")[0]["total"]
        if total > DECISIONS_KEPT_BYTES:
            self.db.execute(
                "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE (%s) ORDER BY id LIMIT"  # noqa: S608  # likewise
                " max(1, (SELECT count(*) / 10 FROM decisions)))" % keep
            )


def new_incident(node: str, now: float) -> str:
    """Readable, safe as a file name, and without a chance to meet another one of the same second."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return "%s-%s-%s" % (
        re.sub(r"[^A-Za-z0-9._-]", "_", node)[:40],
        stamp,
        binascii.hexlify(os.urandom(2)).decode("ascii"),
    )


def digest_text(text: str) -> str:
    return digest(json.loads(text))


def _bury(leases: List[Row], dead: Any, owner: Mapping[str, Any]) -> None:
    """Mark leases whose run is proven dead. Only its own machine can prove it; elsewhere only expiry counts."""
    proven = {(item.get("incident"), item.get("epoch")) for item in dead}
    for lease in leases:
        here = bool(owner.get("machine_id")) and lease["owner"].get("machine_id") == owner["machine_id"]
        if here and (lease["incident"], lease["epoch"]) in proven:
            lease["dead"] = True
