# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""From stamps to figures: when each run of a playbook began, decided and first could change something. Pure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

PLAN, STEP = "selfheal.cluster.heal_plan", "selfheal.cluster.heal_step"


@dataclass
class Run:
    """One process of ansible-playbook; times are seconds since the epoch, None for what never came."""

    pid: int
    node: str
    process: float
    first_task: float | None = None
    decided: float | None = None
    first_change: float | None = None
    ended: float | None = None


def runs(processes: Iterable[str], tasks: Iterable[str]) -> list[Run]:
    """``processes``: lines of the wrapper (time in ns, pid); ``tasks``: lines of the callback. In order of start.

    Before a decision nothing is changed, so the first change can only be the first task after it. A playbook without a
    plan may change something with its first task. A pid may come twice in a long bench; the newest start counts.
    """
    found: dict[int, Run] = {}
    every: list[Run] = []
    events = [(int(line.split()[0]) / 1e9, "process", int(line.split()[1]), "", "") for line in processes]
    for line in tasks:
        item = json.loads(line)
        events.append((item["at"], item["what"], item["pid"], item["action"], item["node"]))
    planned: set[int] = set()
    for at, what, pid, action, node in sorted(events, key=lambda event: event[0]):
        if what == "process":
            found[pid] = Run(pid, "", at)
            every.append(found[pid])
            planned.discard(pid)
            continue
        run = found.get(pid)
        if run is None:
            continue  # a playbook of somebody else
        run.node = node or run.node
        if what == "end":
            run.ended = at
        elif what == "task":
            run.first_task = run.first_task or at
            if run.decided is not None:
                run.first_change = run.first_change or at
        elif action == PLAN:
            planned.add(pid)
        elif action == STEP and pid in planned:
            run.decided = run.decided or at
    for run in every:
        if run.pid not in planned and run.ended is not None and run.decided is None:
            run.first_change = run.first_change or run.first_task
    return every


def first_after(found: Sequence[Run], node: str, at: float) -> Run | None:
    """The first run for a node whose process began after ``at``."""
    mine = [run for run in found if run.node == node and run.process >= at]
    return min(mine, key=lambda run: run.process) if mine else None


def percentile(values: Sequence[float], part: float) -> float:
    """The value that this part of all does not exceed, between the two nearest."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[round(part * 100) - 1]
