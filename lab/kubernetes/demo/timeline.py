# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The timeline of the demo: looks, answers and events as seconds, seconds as buckets, buckets as rows. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lab.kubernetes.demo.load import Answer
from lab.kubernetes.demo.watch import Look

BUCKET_SECONDS = 5
#: A look is good for so many seconds; after them nobody knows.
LOOK_AGE_SECONDS = 3.0
#: A clock that somebody sets in the middle of the demo must not make rows for a year.
MOST_SECONDS = 4 * 3600
HEADS = ("time", "until", "pods", "CPU", "requests/s", "failed", "what happened")
NUMBERS = (0, 1, 2, 3, 4, 5)


class Event(NamedTuple):
    """``at``: seconds since the epoch."""

    at: float
    text: str


class Second(NamedTuple):
    """One second. ``at``: whole seconds since the demo began; the rest as in a look; requests by when they began."""

    at: int
    desired: int | None
    ready: int | None
    utilization: int | None
    requests: int
    failures: int


class Bucket(NamedTuple):
    """Some seconds, from ``begin`` up to ``end`` (since the demo began). Pods are those of its last look, CPU is the
    highest, requests and failures are sums; each event has its number."""

    begin: int
    end: int
    desired: int | None
    ready: int | None
    utilization: int | None
    requests: int
    failures: int
    events: tuple[str, ...]


def clock(seconds: float) -> str:
    """Minutes and seconds since the beginning."""
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def seconds_of(begin: float, end: float, looks: Iterable[Look], answers: Iterable[Answer]) -> list[Second]:
    """One row for each second from ``begin`` to ``end`` (since the epoch)."""
    length = min(max(1, math.ceil(end - begin)), MOST_SECONDS)
    counts = [[0, 0] for _ in range(length)]
    for answer in answers:
        place = math.floor(answer.begun - begin)
        if 0 <= place < length:
            counts[place][0] += 1
            counts[place][1] += not answer.ok
    ordered = sorted(looks, key=lambda look: look.at)
    rows, used = [], 0
    last: Look | None = None
    for place, (requests, failures) in enumerate(counts):
        while used < len(ordered) and ordered[used].at < begin + place + 1:
            last = ordered[used]
            used += 1
        known = last if last is not None and last.at >= begin + place - LOOK_AGE_SECONDS else Look(0.0)
        rows.append(Second(place, known.desired, known.ready, known.utilization, requests, failures))
    return rows


def numbered(begin: float, events: Iterable[Event]) -> list[tuple[int, float, str]]:
    """Events in order of time: their number, seconds since ``begin``, and their words."""
    ordered = sorted(events, key=lambda event: event.at)
    return [(number, max(0.0, event.at - begin), event.text) for number, event in enumerate(ordered, 1)]


def buckets_of(
    seconds: Sequence[Second], events: Sequence[tuple[int, float, str]], width: int = BUCKET_SECONDS
) -> list[Bucket]:
    """Buckets of ``width`` seconds. An event from after the last second is in the last bucket."""
    found = []
    for first in range(0, len(seconds), width):
        inside = seconds[first : first + width]
        end = inside[-1].at + 1
        ends = math.inf if first + width >= len(seconds) else end
        pods = next((row for row in reversed(inside) if row.desired is not None), inside[-1])
        found.append(
            Bucket(
                inside[0].at, end, pods.desired, pods.ready,
                max((row.utilization for row in inside if row.utilization is not None), default=None),
                sum(row.requests for row in inside), sum(row.failures for row in inside),
                tuple(f"[{number}] {text}" for number, at, text in events if inside[0].at <= at < ends),
            )
        )  # fmt: skip
    return found


def merged(buckets: Iterable[Bucket]) -> list[Bucket]:
    """The same with neighbours in one, where nothing happens, nothing fails and no pod comes or goes."""
    found: list[Bucket] = []
    for bucket in buckets:
        before = found[-1] if found else None
        if before is None or not _alike(before, bucket):
            found.append(bucket)
            continue
        highest = max((it for it in (before.utilization, bucket.utilization) if it is not None), default=None)
        found[-1] = before._replace(end=bucket.end, utilization=highest, requests=before.requests + bucket.requests)
    return found


def _alike(before: Bucket, bucket: Bucket) -> bool:
    return (
        (before.desired, before.ready, bool(before.requests)) == (bucket.desired, bucket.ready, bool(bucket.requests))
        and not (before.failures or bucket.failures)
        and not (before.events or bucket.events)
    )


def rows_of(buckets: Iterable[Bucket]) -> list[tuple[str, ...]]:
    """Cells under ``HEADS``."""
    return [
        (
            clock(it.begin), clock(it.end),
            "-" if it.desired is None else f"{it.ready} of {it.desired}",
            "-" if it.utilization is None else f"{it.utilization} %",
            f"{it.requests / (it.end - it.begin):.1f}" if it.requests else "-",
            str(it.failures) if it.requests else "-",
            "\n".join(it.events),
        )
        for it in buckets
    ]  # fmt: skip


def document(
    begin: float,
    end: float,
    seconds: Iterable[Second],
    events: Iterable[tuple[int, float, str]],
    steps: Sequence[Mapping[str, Any]],
    heals: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """All of it for programs. ``begin``, ``end``: seconds since the epoch; all other times count from ``begin``."""
    return {
        "begin": round(begin, 3),
        "end": round(end, 3),
        "steps": [dict(step) for step in steps],
        "events": [{"number": number, "at": round(at, 3), "text": text} for number, at, text in events],
        "seconds": [row._asdict() for row in seconds],
        "heals": [dict(heal) for heal in heals],
    }
