# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a command shows of the journal, as data: the incidents, and one of them whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def incident_id(row: Mapping[str, Any]) -> str:
    """The id of an incident."""
    return str(row.get("incident") or "")


def incidents(journal: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All incidents of the journal, the newest first."""
    rows = [dict(row) for row in journal.get("incidents") or []]
    return sorted(rows, key=lambda row: row.get("opened_at") or 0, reverse=True)


def one_incident(journal: Mapping[str, Any], incident: str) -> dict[str, Any] | None:
    """Everything of one incident: itself, its decisions, attempts and phases, what people said, what was kept."""
    found = next((row for row in incidents(journal) if incident_id(row) == incident), None)
    if found is None:
        return None
    parts = {
        key: [row for row in journal.get(key) or [] if str(row.get("incident")) == incident]
        for key in ("attempts", "phases", "decisions", "leases", "words", "alerts", "runs", "calls", "running")
    }
    parts["evidence"] = list(journal.get("evidence") or [])  # the journal gives it for the incident that was asked for
    for key, flag in (("taken", "taken"), ("aborted", "aborts")):
        found[key] = incident in (journal.get(flag) or ())
    return {"incident": found, **{key: rows for key, rows in parts.items() if rows}}


def phase_words(running: Mapping[str, Any]) -> str:
    """The phase of a heal that runs; one that has settled how it ends gives its leases back."""
    return str(running.get("phase") or f"ending: {running.get('outcome') or 'not known'}")
