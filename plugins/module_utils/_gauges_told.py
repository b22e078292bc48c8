# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Nagios' data beside what Nagios itself has told: a heal that begins at once may look before the data are written.

Nagios runs its event handler when a state changes, and writes its data every ``status_update_interval``. Between the
two its CGIs answer with the world before the alert. A decision on that is none on live truth: it would refuse, and the
heal would begin again later. So whoever knows of the alert looks again, for a moment, if the data can come in it.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

LATE_SECONDS = 3.0  # so long it is waited for; data that come later are a later heal's
PAUSE_SECONDS = 0.2
PAUSE_COSTS = 2.0  # a pause is as long as so many looks: most of the time of Nagios' machine stays its own
RECENT_SECONDS = 10.0  # Nagios' default interval: data are newer than an alert of longer ago, or not to be believed
AHEAD_SECONDS = 1.0  # so far clocks of one machine may differ from themselves

Row = Dict[str, Any]


def alerts(db: sqlite3.Connection, now: float) -> List[Row]:
    """The newest recent alert of each host and service in the journal.

    By the primary key, which begins with the time in nanoseconds: however many there are, only these are read.

    Event handlers may run out of order: Nagios' own count says which is the newest. What a person injected has none,
    and Nagios will never show it.
    """
    first = "%020d" % max(0, int((now - RECENT_SECONDS) * 1e9))
    found: Dict[Tuple[str, str], Row] = {}
    names = ("at", "host", "service", "state", "type")
    sql = (
        "SELECT at, host, service, state, type FROM alerts WHERE id >= ? AND at > ? AND at < ? AND event_id > 0"
        " ORDER BY event_id, attempt, at"
    )
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
    """A state that is hard may have been told while it was soft; a soft recovery is hard in the data (checks.c)."""
    state = str(alert["state"]).lower()
    if not alert["service"]:
        host = seen["hosts"].get(alert["host"])
        return host is None or host["status"] == state
    for service in seen["services"][alert["host"]]:
        if service["service"] == alert["service"]:
            hard = alert["type"] == "HARD" and state != "ok"
            return bool(service["status"] == state and (service["state_type"] == "hard" or not hard))
    return True  # Nagios does not show it to us: waiting would not help


def look_again(
    look: Callable[[], Row],
    recent: Sequence[Mapping[str, Any]],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    interval: Optional[float],
) -> Row:
    """The first look that is not behind these alerts, or the last one in time. ``clock`` is one that never goes back.

    It waits until Nagios has to write next (``interval`` seconds after it wrote last), and not at all if that is too
    late. Where nobody knows the interval it is not taken for Nagios' default: it looks until the time is over.
    """
    end = clock() + LATE_SECONDS
    while True:
        begun = clock()
        seen = look()
        if not recent or not behind(recent, seen):
            return seen
        due = 0.0 if interval is None else interval - seen["nagios"]["age_seconds"]
        pause = max(PAUSE_SECONDS, PAUSE_COSTS * (clock() - begun), due)
        if clock() + pause > end:
            return seen
        sleep(pause)
