# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What Nagios' own looks at the services of Kubernetes saw while a heal was due. Nobody counts requests there.

A look is one check of a service that gauge ``http`` reads, as Nagios made it and the journal's ring kept it: a client
that asks every few seconds. It counts no request of anybody else, and the words say so.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_ring
from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import told

GAUGE = "http"
ANSWERED = {"ok": True, "warning": True, "critical": False}  # "unknown" is a check that could not look
LINES = 8
"""Services that are told of by name; the others in one line."""


def of(journal: Any, incident: str, names: Sequence[str], now: float) -> Optional[Dict[str, Any]]:
    """The looks at these workloads (inventory names) since the incident's node was last well; None if nobody can tell.

    What is in the ring never fails the end of a heal.
    """
    if not names:
        return None
    try:
        with told(journal.path):
            begin = _last_well(journal.db, incident)
            return looks(_journal_ring.readings(journal.db, begin, names), begin, now)
    except (SelfhealError, ValueError, TypeError, AttributeError):
        return None


def kept(detail: Optional[Mapping[str, Any]], found: Optional[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
    """The detail of an attempt with these looks beside what else clients felt."""
    if found is None:
        return detail
    detail = detail or {}
    return {**detail, "felt": {**(detail.get("felt") or {}), "looks": found}}


def _last_well(db: sqlite3.Connection, incident: str) -> float:
    """When the ring saw the node well for the last time before its incident was opened, else when that was."""
    node, opened = db.execute("SELECT node, opened_at FROM incidents WHERE id = ?", (incident,)).fetchone()
    well = db.execute(
        "SELECT max(at) FROM readings WHERE node = ? AND at <= ? AND json_valid(body)"
        " AND json_extract(body, '$.verdict') = 'ok'",
        (node, opened),
    ).fetchone()[0]
    return float(opened if well is None else well)


def looks(readings: Iterable[Mapping[str, Any]], begin: float, end: float) -> Dict[str, Any]:
    """By service: how many looks between ``begin`` and ``end`` (seconds since the epoch), and how many failed.

    ``longest_seconds``: from the last good look before a failed one to the next good one, as far as these reach; the
    service gave no answer for at most so long.
    """
    found: Dict[Tuple[str, str], Dict[float, bool]] = {}
    for one in readings:
        at, answered = one.get("at"), ANSWERED.get(str(one.get("state")))
        if one.get("gauge") != GAUGE or answered is None or not isinstance(at, (int, float)) or not begin <= at <= end:
            continue
        found.setdefault((str(one.get("node")), str(one.get("service"))), {})[float(at)] = answered
    services = [
        {
            "node": node,
            "service": service,
            "looks": len(seen),
            "failed": sum(not answered for answered in seen.values()),
            "longest_seconds": _longest(sorted(seen.items()), begin, end),
        }
        for (node, service), seen in sorted(found.items())
    ]
    return {"begin": begin, "end": end, "services": services}


def _longest(seen: Sequence[Tuple[float, bool]], begin: float, end: float) -> float:
    """The longest time between two good looks that had a failed one between them; begin and end count as good."""
    longest, good, failing = 0.0, begin, False
    for at, answered in (*seen, (end, True)):
        if not answered:
            failing = True
            continue
        longest, good, failing = max(longest, at - good if failing else 0.0), at, False
    return longest


def rows_of(value: Any) -> List[Mapping[str, Any]]:
    """The records of a list that may be missing or hold anything."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, (list, tuple)) else []


def words(what: Any, node: str) -> List[str]:
    """The looks for a person; nothing where there were none."""
    services = rows_of(what.get("services")) if isinstance(what, Mapping) else []
    if not services:
        return []
    services.sort(key=lambda row: -_number(row.get("failed")))
    seconds = _number(what.get("end")) - _number(what.get("begin"))
    lines = [f"Nagios' own looks since {node} was last well, {seconds:.0f} s:"]
    lines += [_line(row) for row in services[:LINES]]
    if rest := services[LINES:]:
        failed = sum(_number(row.get("failed")) > 0 for row in rest)
        lines.append("  {} further services, {} of them with failed looks".format(len(rest), failed or "none"))
    return lines


def _line(row: Mapping[str, Any]) -> str:
    name = clean(f"{row.get('node')} {row.get('service')}", 80)
    failed = _number(row.get("failed"))
    how = f"{failed:.0f} failed, no answer for at most {_number(row.get('longest_seconds')):.1f} s"
    return f"  {name}: {_number(row.get('looks')):.0f} looks, {how if failed else 'none failed'}"


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
