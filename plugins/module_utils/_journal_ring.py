# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The ring of readings and the ends of heals, as the gauges need them: read by the healer and by every heal.

Both have to judge by the same past, or the healer starts what its own run then refuses. A heal reads it while it asks
Nagios, on the journal's host. There is one owner of the journal: another user than that or root is given nothing, and
judges by Nagios' word alone; whether the journal can be used for a heal at all is for ``heal_plan`` to say.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_default import DEFAULT_GAUGES
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_told import alerts
from ansible_collections.selfheal.cluster.plugins.module_utils._heals import healed_since
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import connect, told

SPARE_SECONDS = 60.0
COUNT_SECONDS = 600.0

Row = Dict[str, Any]


class Past(NamedTuple):
    """Earlier readings, when each node was last healed (seconds since the epoch), and why nothing is known, if so.

    ``alerts``: the newest of what Nagios has told lately, which its data may not show yet.
    """

    readings: List[Row]
    healed: Dict[str, float]
    problem: str = ""
    alerts: Sequence[Row] = ()


def past(path: str, layers: Iterable[Mapping[str, Any]], now: float) -> Past:
    """What the journal at ``path`` knows for judging these layers; nothing where this process may not read it."""
    seconds = reach_seconds(layers)
    try:
        with _owner_of(path), contextlib.closing(connect(path)) as db, told(path):
            return Past(readings(db, now - seconds) if seconds else [], healed(db, now), alerts=alerts(db, now))
    except (SelfhealError, OSError, ValueError) as exc:
        return Past([], {}, str(exc))


def readings(db: sqlite3.Connection, since: float, nodes: Sequence[str] = ()) -> List[Row]:
    """Readings written after ``since``, each once, as ``_gauges.evaluate(history=...)`` takes them.

    With ``nodes`` (inventory names) those of these alone.
    """
    found: Dict[Tuple[Any, ...], Row] = {}
    for node, body in db.execute("SELECT node, body FROM readings WHERE at > ? ORDER BY id", (since,)):
        if nodes and node not in nodes:
            continue
        for reading in json.loads(body).get("readings") or ():
            key = (node, reading.get("gauge"), reading.get("service"), reading.get("label"), reading.get("at"))
            found[key] = {**reading, "node": node}
    return list(found.values())


def healed(db: sqlite3.Connection, now: float) -> Dict[str, float]:
    """When each node was last healed, as the healer knows it."""
    rows = db.execute(
        "SELECT node, outcome, phase, ended_at FROM attempts WHERE outcome IN ('healed', 'undone') ORDER BY node"
    )
    names = ("node", "outcome", "phase", "ended_at")
    return healed_since((dict(zip(names, row)) for row in rows), now)


def reach_seconds(layers: Iterable[Mapping[str, Any]]) -> float:
    """How far back the gauges of these layers have to see; 0 when none looks back."""
    longest = max((_seconds(gauge) for layer in layers for gauge in layer.get("gauges") or DEFAULT_GAUGES), default=0.0)
    return longest + SPARE_SECONDS if longest else 0.0


def _seconds(gauge: Any) -> float:
    """One that counts readings is given ten minutes. Twins are compared over the time that an average takes to fall."""
    if not isinstance(gauge, Mapping):
        return 0.0
    looks_back = (float(gauge.get(name) or 0.0) for name in ("for_seconds", "settle_seconds"))
    return max(*looks_back, COUNT_SECONDS if gauge.get("count") else 0.0)


@contextlib.contextmanager
def _owner_of(path: str) -> Iterator[None]:
    """Root reads as the owner of the journal, so that it leaves none of its own files behind there."""
    own = os.geteuid()
    owner = os.stat(path).st_uid
    if own != 0 or owner == 0:
        yield
        return
    os.seteuid(owner)
    try:
        yield
    finally:
        os.seteuid(own)
