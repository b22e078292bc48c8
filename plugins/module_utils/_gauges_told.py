# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Nagios' data beside what Nagios itself has told: a heal that begins at once may look before the data are written.

Nagios runs its event handler when a state changes, and writes its data every ``status_update_interval``. Between the
two its CGIs answer with the world before the alert. A decision on that is none on live truth: it would refuse, and the
heal would begin again later. So whoever knows of the alert looks again, for a moment.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any, Callable, Dict, Iterable, List, Mapping, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_ring import owner_of
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import connect, told

LATE_SECONDS = 3.0  # so long it is waited for; data that come later are a later heal's
PAUSE_SECONDS = 0.2
RECENT_SECONDS = 10.0  # Nagios' default interval: data are newer than an alert of longer ago, or not to be believed
AHEAD_SECONDS = 1.0  # so far clocks of one machine may differ from themselves

Row = Dict[str, Any]


def alerts(path: str, now: float) -> List[Row]:
    """The newest recent alert of each host and service in the journal; none where this process may not read it."""
    try:
        with owner_of(path), contextlib.closing(connect(path)) as db, told(path):
            return _recent(db, now)
    except (SelfhealError, OSError, ValueError):
        return []


def _recent(db: sqlite3.Connection, now: float) -> List[Row]:
    """By the primary key, which begins with the time in nanoseconds: however many there are, only these are read."""
    first = "%020d" % max(0, int((now - RECENT_SECONDS) * 1e9))
    found: Dict[Tuple[str, str], Row] = {}
    names = ("at", "host", "service", "state", "type")
    sql = "SELECT at, host, service, state, type FROM alerts WHERE id >= ? AND at > ? AND at < ? ORDER BY at"
    for values in db.execute(sql, (first, now - RECENT_SECONDS, now + AHEAD_SECONDS)):
        row = dict(zip(names, values))
        found[row["host"], row["service"] or ""] = row
    return list(found.values())


def behind(recent: Iterable[Mapping[str, Any]], seen: Mapping[str, Any]) -> bool:
    """Whether data of Nagios (as ``_gauges_seen.look`` gives them) are older than one of these alerts.

    They are if they do not show its state and were written before it. Data that are not to be believed are not behind.
    """
    nagios = seen["nagios"]
    if not nagios["fresh"] or nagios.get("queried_at") is None or nagios.get("age_seconds") is None:
        return False
    written = nagios["queried_at"] - nagios["age_seconds"]
    asked = [alert for alert in recent if alert["host"] in seen["services"]]
    return any(alert["at"] > written and not _shown(alert, seen) for alert in asked)


def _shown(alert: Mapping[str, Any], seen: Mapping[str, Any]) -> bool:
    if not alert["service"]:
        host = seen["hosts"].get(alert["host"])
        return host is None or host["status"] == str(alert["state"]).lower()
    for service in seen["services"][alert["host"]]:
        if service["service"] == alert["service"]:
            told_state = (str(alert["state"]).lower(), str(alert["type"]).lower())
            return (service["status"], service["state_type"]) == told_state
    return True  # Nagios does not show it to us: waiting would not help


def look_again(
    look: Callable[[], Row], recent: List[Row], clock: Callable[[], float], sleep: Callable[[float], None]
) -> Row:
    """The first look that is not behind these alerts, or the last one in time."""
    end = clock() + LATE_SECONDS
    seen = look()
    while recent and behind(recent, seen) and clock() < end:
        sleep(PAUSE_SECONDS)
        seen = look()
    return seen
