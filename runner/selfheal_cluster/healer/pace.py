# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""When Nagios is read next. Pure: reading costs its machine at most a tenth of one core, whatever its size.

Every reading is paid for by waiting: what it cost (seconds of CPU) over the share that it may take. An alert is
answered on credit, and asked about again until a reading is newer than it; the wait afterwards is longer by as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

SHARE = 0.1
CREDIT = 2.0  # seconds of CPU; where one reading costs more, one reading
ALERTED_SECONDS = 1.0  # Nagios writes its state out once a second, so asking more often shows nothing new
DOUBT_SECONDS = 1.5  # a gauge may be full at any check, and Nagios sends no alert for a state that only lasts


@dataclass(frozen=True)
class Pace:
    """``paid_at``: when everything is paid for; ``last_cost``: of one reading, in seconds of CPU."""

    begun_at: float = float("-inf")
    paid_at: float = float("-inf")
    last_cost: float = 0.0


def due_at(pace: Pace, wanted_seconds: float, alerted: bool) -> float:
    """The time from which on Nagios may be read again."""
    if alerted:
        return max(pace.begun_at + ALERTED_SECONDS, pace.paid_at - max(pace.last_cost, CREDIT) / SHARE)
    return max(pace.begun_at + wanted_seconds, pace.paid_at)


def wanted_seconds(verdicts: Mapping[str, Any], usual: float) -> float:
    """How far readings should be apart: closer while a node is suspect, unless all of its layer is under load.

    No reading is less paid for because of it.
    """
    doubt = any(one.get("verdict") == "suspect" and not one.get("layer_load") for one in verdicts.values())
    return min(usual, DOUBT_SECONDS) if doubt else usual


def begun(pace: Pace, now: float) -> Pace:
    """A reading begins."""
    return replace(pace, begun_at=now)


def ended(pace: Pace, cost: float, now: float) -> Pace:
    """A reading has ended; it is paid for from its begin on, behind what was unpaid then."""
    cost = max(cost, 0.0)
    start = max(pace.paid_at, pace.begun_at if pace.begun_at <= now else now)
    return replace(pace, paid_at=start + cost / SHARE, last_cost=cost)


def cost_of(
    own_cpu: float, asked_seconds: float, server_cpu: float | None, machine_cpu: float | None, cores: int
) -> float:
    """What one reading cost its machine, in seconds of CPU.

    ``server_cpu`` is what the web server's unit used meanwhile. Where that is not to be had, the four questions,
    which run side by side, are taken to have kept as many cores busy as there are; but no more than was used on the
    whole machine (``machine_cpu``).
    """
    if server_cpu is not None and server_cpu >= 0:
        return own_cpu + server_cpu
    most = own_cpu + asked_seconds * max(1, min(4, cores))
    return most if machine_cpu is None else max(own_cpu, min(most, machine_cpu))
