# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whether an illness lasts: out of earlier readings where there are some, else out of Nagios' hard state."""

from __future__ import annotations

import math
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_model import Gauge, Source
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_sheet import Moment

SETTLE_SECONDS = 60.0
"""Attempts that Nagios counted before a heal prove nothing; this long after it, its hard state does again."""

LOADS = ("load1", "scaled_load1")
"""Labels of check_load's average of tasks that run or wait, for the CPU or for a disk."""
LOAD_SECONDS = 60.0
"""Its time constant: Linux keeps it by load = load * e**(-5/60) + tasks * (1 - e**(-5/60)) every 5 s
(include/linux/sched/loadavg.h, EXP_1)."""
LOAD_STEP_SECONDS = 5.0
"""Of two readings closer than this the rounding of the plugin says more than their difference."""

Series = Sequence[Tuple[float, float]]
"""Earlier values of one reading, as pairs of time and value, in any order."""
History = Mapping[Tuple[str, str, str], Series]
"""Series of one node by gauge (may be empty), service and label."""


class Proof(NamedTuple):
    """Whether an illness is proven, the half sentence that says so, and since when it is raised without being clear
    again (nothing where it is not), with whether the newest reading is still past its mark."""

    proven: bool
    says: str
    raised_at: Optional[float] = None
    high: bool = True


def lasting(
    gauge: Gauge, source: Source, service: Mapping[str, Any], value: float, moment: Moment, earlier: Series
) -> Proof:
    """Whether an illness is proven by enough readings.

    Once raised it stays raised until a reading is clear again: in the zone between the marks, where it came from
    decides. What was read while a healed node settled had other reasons, so that it proves nothing later either.
    """
    at = float(service["last_check"])
    ended = ended_at(service, moment.now)
    floor = None if moment.since is None else moment.since + gauge.settle_seconds
    limit = moment.max_age if gauge.max_age_seconds is None else gauge.max_age_seconds
    known = {when: number for when, number in earlier if when < at and (floor is None or when > floor)}
    known[at] = value
    times = sorted(known)
    window: List[bool] = []
    raised, started, before = False, None, times[0]
    cleared: Optional[float] = None
    for when in times:
        high = known[when] >= source.raise_at if source.high else known[when] <= source.raise_at
        clear = known[when] < source.clear_at if source.high else known[when] > source.clear_at
        if clear or when - before > max(limit, gauge.for_seconds):  # readings that are missing prove nothing
            raised, started = False, None
        if when - before > max(limit, gauge.for_seconds):
            window.clear()
        before = when
        if clear:
            cleared = when
        window.append(high)
        if high and started is None:
            started = when
        seen_to = ended if when == at else when
        lasted = started is not None and seen_to - started >= gauge.for_seconds
        enough = sum(window[-gauge.of :]) >= gauge.need and lasted
        raised = raised or (high and enough)
    high_now = window[-1]
    if raised:
        since = at if started is None else started
        if not high_now:
            if _cause_gone(source, known, at):
                return Proof(False, "and comes down as an average does whose cause is gone", since, high=False)
            return Proof(True, "not clear again since it was raised", since, high=False)
        if gauge.for_seconds:
            return Proof(True, f"for {ended - since:.0f} s", since)
        return Proof(True, f"in {sum(window[-gauge.of :])} of the last {len(window[-gauge.of :])} readings", since)
    if not high_now:
        return Proof(False, "between the two", high=False)
    told = _nagios_proof(gauge, service, moment)
    known_enough = len(times) >= gauge.of and ended - times[0] >= gauge.for_seconds
    if known_enough and not (told[0] and _looked_oftener(gauge, service, cleared)):
        return Proof(False, "but not for long enough yet")
    return Proof(*told, raised_at=started)


def _cause_gone(source: Source, known: Mapping[float, float], at: float) -> bool:
    """Whether so few tasks ran or waited since the reading before that the load would be clear with them for ever."""
    if source.label not in LOADS or not source.high:
        return False
    before = max((when for when in known if when <= at - LOAD_STEP_SECONDS), default=None)
    if before is None:
        return False
    kept = math.exp((before - at) / LOAD_SECONDS)
    return (known[at] - known[before] * kept) / (1.0 - kept) < source.clear_at


def last_high(gauge: Gauge, label: str, moment: Moment, earlier: Series) -> Optional[float]:
    """When this series was past its mark the last time; nothing from before a heal and its settling counts."""
    source = next((one for one in gauge.sources if one.reads(label)), None)
    if source is None:
        return None
    floor = None if moment.since is None else moment.since + gauge.settle_seconds
    return max(
        (
            when
            for when, value in earlier
            if when <= moment.now
            and (floor is None or when > floor)
            and (value >= source.raise_at if source.high else value <= source.raise_at)
        ),
        default=None,
    )


def _looked_oftener(gauge: Gauge, service: Mapping[str, Any], cleared: Optional[float]) -> bool:
    """Whether Nagios has counted enough bad checks, of which our readings saw only some but none that was clear.

    It tries a service again within seconds, while somebody reads its state now and then. ``cleared``: when our newest
    clear reading was taken.
    """
    changed = service.get("last_state_change")
    if not isinstance(changed, (int, float)) or int(service.get("attempt") or 0) < gauge.need:
        return False
    return cleared is None or cleared < changed


def _nagios_proof(gauge: Gauge, service: Mapping[str, Any], moment: Moment) -> Tuple[bool, str]:
    """Without earlier readings of our own, Nagios' hard state and the time of its last change have to do."""
    if service["status"] != "critical" or service.get("state_type") != "hard":
        return False, "and nothing proves yet that it lasts (no earlier readings, not hard in Nagios)"
    if not hard_since(service, moment.since):
        return False, "and nothing proves yet that it lasts (Nagios counted its attempts before the heal)"
    lasted = lasted_for(service, moment)
    if lasted < gauge.for_seconds:
        return False, f"for {lasted:.0f} of {gauge.for_seconds:.0f} s"
    return True, "hard critical in Nagios" + (f" for {lasted:.0f} s" if gauge.for_seconds else "")


def hard_since(service: Mapping[str, Any], since: Optional[float]) -> bool:
    changed = service.get("last_hard_state_change")
    if since is None or (isinstance(changed, (int, float)) and changed > since):
        return True
    return bool(service["last_check"] - since >= SETTLE_SECONDS)


def ended_at(service: Mapping[str, Any], now: float) -> float:
    """When the last check was over. One that measures for some seconds proves what was so until then."""
    at = float(service["last_check"])
    return max(at, min(now, at + float(service.get("execution_time") or 0.0)))


def lasted_for(service: Mapping[str, Any], moment: Moment) -> float:
    """How long the readings prove that the state has lasted: to the last of them, not to now."""
    since = moment.since
    changed = service.get("last_state_change")
    if not isinstance(changed, (int, float)):
        return 0.0
    start = changed if since is None else max(changed, since)
    return float(max(0.0, ended_at(service, moment.now) - start))
