# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What balancers and machines showed over time, as spans and moments. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .records import BalancerSeen, MachineSeen, Sample

STALE_SECONDS = 1.5  # a balancer that was not seen answering for so long says nothing
FOREVER = float("inf")
DISRUPTION_SECONDS = 3.0  # a restart and what the machine shows of it are this close
#: A unit's first process may be its configuration test (ExecStartPre), which ends before the service itself starts.
ONE_START_SECONDS = 1.0
TICKS_SECONDS = 0.02  # a start is told in ticks of the kernel, and so up to one and a rounding too early


def out_spans(node: str, samples: Iterable[Sample], balancers: Iterable[str]) -> list[tuple[float, float]]:
    """The times in which no balancer that answers would send the node a request; the last one may be open.

    The begin is the first look that showed it, so it is late by one look and never early.
    """
    wanted = set(balancers)
    state: dict[str, tuple[float, bool]] = {}
    spans: list[tuple[float, float]] = []
    since: float | None = None
    for sample in samples:
        if not isinstance(sample, BalancerSeen) or sample.balancer not in wanted:
            continue
        if sample.servers is not None and node in sample.servers:
            state[sample.balancer] = (sample.at, sample.servers[node].out)
        fresh = [out for at, out in state.values() if sample.at - at <= STALE_SECONDS]
        out = bool(fresh) and all(fresh)
        if out and since is None:
            since = sample.at
        elif not out and since is not None:
            spans.append((since, sample.at))
            since = None
    if since is not None:
        spans.append((since, FOREVER))
    return spans


def restarts(node: str, samples: Iterable[Sample], units: Iterable[str] = ()) -> list[float]:
    """When the node was booted or one of the units started anew, by the start times that its host shows.

    A unit's start is that of its oldest process. Where that one dies and its children live a moment longer, the next
    one is oldest: it was there at the last look already, so nothing has started since.
    """
    wanted = set(units)
    boot: float | None = None
    seen: dict[str, float] = {}
    running: dict[str, float] = {}  # the last look that showed it running
    found: list[float] = []
    for sample in samples:
        if not isinstance(sample, MachineSeen) or sample.node != node:
            continue
        if boot is not None and sample.boot > boot + 0.5:
            found.append(sample.boot)
            seen, running = dict(sample.units), dict.fromkeys(sample.units, sample.at)
        boot = sample.boot or boot
        for unit, at in sample.units.items():
            if wanted and unit not in wanted:
                continue
            if unit in seen and at > max(seen[unit] + 0.05, running[unit] - TICKS_SECONDS):
                if found and found[-1] == seen[unit] and at - seen[unit] < ONE_START_SECONDS:
                    found.pop()
                found.append(at)
            seen[unit], running[unit] = at, sample.at
    return found
