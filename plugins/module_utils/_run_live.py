# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a heal shows of itself while it works: its result, ansible-runner's events, and the journal. Reads only.

A run that the healer started has a folder ``INCIDENT-N``: ``result.json`` is replaced as a whole after each step, and
``artifacts/heal/job_events`` gets a file per event. A heal by hand has the journal only. Whatever is not there yet,
torn or of a strange type is left out, and only so much is read, however long a heal has gone on.
"""

from __future__ import annotations

import heapq
import itertools
import json
import math
import os
import re
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Union

if TYPE_CHECKING:
    from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal

RESULT = "result.json"
EVENTS = os.path.join("artifacts", "heal", "job_events")
EVENT = re.compile(r"([1-9][0-9]{0,8})-[0-9A-Za-z-]{1,80}\.json")  # not the halves: UUID-partial.json, *.json.tmp
RESULT_BYTES = 4 * 1024 * 1024
EVENT_BYTES = 1024 * 1024  # one event may hold what a module answered
EVENTS_LISTED = 20000
EVENTS_READ = 20
HEALS = 50  # heals at one moment that are told
PROBLEMS = 20

Row = Dict[str, Any]
PathLike = Union[str, "os.PathLike[str]"]


def read_result(path: PathLike) -> Row:
    """What a run wrote for programs; nothing where it has written none yet, or something else is there."""
    return _read(path, RESULT_BYTES)


def last_event(folder: PathLike) -> Row:
    """The newest event of a run: ``play``, ``task``, ``host``, and ``at`` (seconds since the epoch)."""
    base = os.path.join(folder, EVENTS)
    found: List[Any] = []
    try:
        with os.scandir(base) as entries:
            for entry in itertools.islice(entries, EVENTS_LISTED):
                hit = EVENT.fullmatch(entry.name)
                if hit:
                    found.append((int(hit.group(1)), entry.name))
    except OSError:
        return {}
    at: Optional[float] = None
    for _number, name in heapq.nlargest(EVENTS_READ, found):
        path = os.path.join(base, name)
        data = _part(_read(path, EVENT_BYTES).get("event_data"))
        try:
            at = os.stat(path).st_mtime if at is None else at
        except OSError:
            continue  # removed meanwhile
        if data.get("play"):
            return {"at": at, **{key: str(data.get(key) or "") for key in ("play", "task", "host")}}
    return {} if at is None else {"at": at, "play": "", "task": "", "host": ""}


def live(journal: Journal, now: float, runs: str, incident: Optional[str] = None) -> List[Row]:
    """All heals that run at this moment, or that of one incident; the oldest first. ``runs``: the folder of runs."""
    where, values = (" AND i.id = ?", [incident]) if incident else ("", [])
    started = journal.rows(
        "SELECT r.incident, r.number, r.unit, r.started_at, i.node, i.layer FROM runs r"  # noqa: S608  # constants
        " JOIN incidents i ON i.id = r.incident WHERE r.ended_at IS NULL%s ORDER BY r.started_at LIMIT ?" % where,
        *values, HEALS,
    )  # fmt: skip
    attempts = journal.rows(
        "SELECT a.* FROM attempts a JOIN incidents i ON i.id = a.incident"  # noqa: S608  # constants
        " WHERE a.outcome IS NULL%s ORDER BY a.at LIMIT ?" % where, *values, HEALS,
    )  # fmt: skip
    by_unit = {row["incident"]: row for row in started}
    reserved = {row["incident"]: row for row in attempts}
    found = []
    for name in dict.fromkeys([*by_unit, *reserved]):
        run, attempt = by_unit.get(name), reserved.get(name)
        folder = os.path.join(runs, "%s-%d" % (os.path.basename(name), run["number"])) if run else ""
        result = read_result(os.path.join(folder, RESULT)) if run else {}
        event = last_event(folder) if run else {}
        phases = journal.rows(
            "SELECT phase, at FROM phases WHERE incident = ? AND attempt = ? ORDER BY at LIMIT 100",
            name, attempt["attempt"],
        ) if attempt else []  # fmt: skip
        lease = journal.rows("SELECT min(expires_at) AS until FROM leases WHERE incident = ?", name)
        found.append(_one(run, attempt, result, event, phases, lease[0]["until"], now))
    return sorted(found, key=lambda row: (row["started_at"], row["incident"]))[:HEALS]


def _one(
    run: Optional[Row], attempt: Optional[Row], result: Row, event: Row, phases: List[Row], until: Any, now: float
) -> Row:
    """One heal: what it told itself comes first, then what the journal saw of it. Pure."""
    head = run or attempt or {}
    if result.get("incident") != head["incident"]:
        result = {}  # it has not got as far as the plan
    owner = _part(json.loads(attempt["owner"])) if attempt else {}
    begun = float(head["started_at"] if run else head["at"])
    phase, phase_at, done = _from_result(result) or _from_journal(phases) or ("confirm", begun, [])
    heard = [value for value in (event.get("at"), phase_at, begun) if value is not None]
    return {
        "incident": head["incident"], "node": head["node"], "layer": head["layer"],
        "unit": run["unit"] if run else None, "number": run["number"] if run else None,
        "attempt": attempt["attempt"] if attempt else _whole(result.get("attempt")),
        "by": "%s@%s" % (owner["user"], owner.get("host") or "?") if owner.get("user") and not run else "",
        "started_at": begun, "seconds": _since(begun, now),
        "phase": phase, "phase_at": phase_at, "phase_seconds": _since(phase_at, now) if phase else None,
        "phases": done, "status": str(result.get("status") or ""), "outcome": str(result.get("outcome") or ""),
        "problems": [str(item) for item in _list(result.get("problems"))][:PROBLEMS],
        "doing": {key: event[key] for key in ("play", "task", "host")} if event.get("play") else {},
        "heard_at": max(heard), "silent_seconds": _since(max(heard), now),
        "lease_until": until, "lease_expired": until is not None and until <= now,
    }  # fmt: skip


def _from_result(result: Row) -> Any:
    """Phase, since when, and the phases that ended, as the heal told them; nothing when it told none."""
    at = _number(result.get("phase_started"))
    if at is None:
        return None
    return str(result.get("phase") or ""), at, list(_ended(result.get("phases")))


def _ended(phases: Any) -> Iterable[Row]:
    for item in map(_part, _list(phases)[:100]):
        begin, end = _number(item.get("started")), _number(item.get("ended"))
        if item.get("name") and begin is not None and end is not None:
            yield {"name": str(item["name"]), "seconds": _since(begin, end)}


def _from_journal(phases: List[Row]) -> Any:
    """The same as the journal saw the phases begin: it is told of those for which a lease is extended."""
    if not phases:
        return None
    pairs = zip(phases, phases[1:])
    done = [{"name": one["phase"], "seconds": _since(one["at"], after["at"])} for one, after in pairs]
    return phases[-1]["phase"], phases[-1]["at"], done


def _since(begin: float, end: float) -> float:
    """Seconds; a clock that went back gives none."""
    return round(max(0.0, end - begin), 3)


def _read(path: PathLike, limit: int) -> Row:
    """One JSON object out of a file of at most so many bytes, or nothing."""
    try:
        with open(path, "rb") as stream:
            text = stream.read(limit + 1)
        found = json.loads(text.decode("utf-8")) if len(text) <= limit else None
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _part(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> List[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> Optional[float]:
    sound = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if sound else None


def _whole(value: Any) -> Optional[int]:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
