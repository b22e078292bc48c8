# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One gauge, one probe: the readings that it gives and the verdict on each, before twins are compared.

A reading is ``ok``, ``suspect``, ``faulty`` or ``unknown``. What is missing, old, unreadable or from before a heal is
unknown, whatever Nagios calls it: Nagios says CRITICAL when a plugin could not measure.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_agent import agent_trouble, no_network
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_model import Gauge, Source
from ansible_collections.selfheal.cluster.plugins.module_utils._perfdata import Metric, Perfdata

SETTLE_SECONDS = 60.0
"""Attempts that Nagios counted before a heal prove nothing; this long after it, its hard state does again."""
FUTURE_SECONDS = 60.0
"""A reading from further ahead than this comes from another clock."""

Series = Sequence[Tuple[float, float]]
"""Earlier values of one reading, as pairs of time and value, in any order."""


class Moment(NamedTuple):
    """When a node is judged: now, since its last heal, and the age at which a reading is too old."""

    now: float
    since: Optional[float]
    max_age: float


class Found(NamedTuple):
    """A judged reading; ``reason`` is a sentence unless it is plainly ok, ``trouble`` what the agent said."""

    reading: Dict[str, Any]
    reason: str
    trouble: str
    empty: bool


def unreadable(service: Mapping[str, Any], moment: Moment, max_age: Optional[float]) -> str:
    """Why nothing can be read from this probe now; empty when it can."""
    checked = service.get("last_check")
    status = service.get("status")
    if status == "pending" or service.get("checked") is False or not isinstance(checked, (int, float)):
        return "has not been checked yet"
    age = moment.now - checked
    limit = moment.max_age if max_age is None else max_age
    if age > limit:
        return f"was last checked {age:.0f} s ago, which is more than the {limit:.0f} s that a reading may be old"
    if age < -FUTURE_SECONDS:
        return f"was checked {-age:.0f} s in the future: the clocks of Nagios and of the one who asks differ"
    if moment.since is not None and checked <= moment.since:
        return "has not been checked again since the node was healed"
    if service.get("unreadable"):
        return "gave an output that Nagios could not pass on (not UTF-8)"
    return ""


def untold(service: Mapping[str, Any]) -> Tuple[str, str]:
    """Why a fresh probe says nothing about the node, and which trouble of the agent it tells of; empty when it does."""
    trouble = agent_trouble(str(service.get("output") or ""))
    if trouble == "unreachable":
        return "could not be asked: the agent (NRPE) does not answer", trouble
    if trouble == "starved":
        return "could not be asked: the agent (NRPE) cannot start a process", trouble
    if service.get("status") not in ("warning", "critical"):
        return "could not measure (Nagios calls it unknown)", ""
    return "", ""


def reading(
    gauge: Gauge, source: Mapping[str, Any], label: str, value: Optional[float], unit: str, now: float, verdict: str
) -> Dict[str, Any]:
    """The record of a reading, as results, journal and reports carry it."""
    at = source.get("last_check")
    return {
        "gauge": gauge.name,
        "service": source.get("service", ""),
        "label": label,
        "value": value,
        "unit": unit,
        "state": source.get("status", ""),
        "state_type": source.get("state_type", ""),
        "at": at,
        "age_seconds": None if at is None else now - at,
        "verdict": verdict,
    }


def judge_state(gauge: Gauge, service: Mapping[str, Any], moment: Moment) -> Found:
    """A gauge that takes Nagios' word: soft is suspect, hard is faulty."""
    name = service.get("service") or "the host check"
    why = unreadable(service, moment, gauge.max_age_seconds)
    if why:
        return _found(gauge, service, moment, "unknown", f"{gauge.name}: {name} {why}.")
    status = service["status"]
    if status == "ok":
        return _found(gauge, service, moment, "ok", "")
    why, trouble = untold(service)
    if why:
        return _found(gauge, service, moment, "unknown", f"{gauge.name}: {name} {why}.", trouble)
    said = f"{gauge.name}: Nagios calls {name} {status}"
    if status == "warning":
        return _found(gauge, service, moment, "suspect", f"{said}.")
    if service.get("state_type") != "hard":
        tried = f" (attempt {service.get('attempt')} of {service.get('max_attempts')})"
        return _found(gauge, service, moment, "suspect", f"{said}, but not for sure yet{tried}.")
    if not _hard_since(service, moment.since):
        return _found(gauge, service, moment, "suspect", f"{said}, but its attempts were counted before the heal.")
    lasted = _lasted(service, moment.since)
    if lasted < gauge.for_seconds:
        return _found(gauge, service, moment, "suspect", f"{said} for {lasted:.0f} of {gauge.for_seconds:.0f} s.")
    trouble = "no_network" if no_network(str(service.get("output") or "")) else ""
    return _found(gauge, service, moment, "faulty", f"{said} for sure (hard).", trouble)


def judge_host(gauge: Gauge, host: Mapping[str, Any], moment: Moment) -> Optional[Found]:
    """The state of the host itself. None when it says nothing: hosts are checked rarely, and up is no news then."""
    states = {"up": "ok", "down": "critical", "unreachable": "unknown"}
    service = dict(host, status=states.get(str(host.get("status")), "pending"), service="")
    if host.get("status") == "unreachable" and not unreadable(service, moment, gauge.max_age_seconds):
        reason = f"{gauge.name}: Nagios cannot see the host, because a parent of it is down."
        return _found(gauge, service, moment, "unknown", reason)
    found = judge_state(gauge, service, moment)
    if found.reading["verdict"] == "unknown" and host.get("status") != "down":
        return None
    return found


def _found(
    gauge: Gauge, service: Mapping[str, Any], moment: Moment, verdict: str, reason: str, trouble: str = ""
) -> Found:
    return Found(reading(gauge, service, "", None, "", moment.now, verdict), reason, trouble, False)


def judge_values(
    gauge: Gauge,
    service: Mapping[str, Any],
    perfdata: Perfdata,
    moment: Moment,
    history: Mapping[Tuple[str, str, str], Series],
) -> List[Found]:
    """The numbers that a gauge finds in a probe, judged; one unknown reading when it finds none."""
    name = str(service.get("service"))
    why = unreadable(service, moment, gauge.max_age_seconds)
    if why:
        return [_no_value(gauge, service, moment, f"{gauge.name}: {name} {why}.")]
    metrics = perfdata.metrics
    if not metrics or service["status"] not in ("ok", "warning", "critical"):
        if gauge.optional and service["status"] == "ok":
            return []
        why, trouble = untold(service) if service["status"] != "ok" else ("", "")
        why = why or f"gave no number (Nagios calls it {service['status']})"
        return [_no_value(gauge, service, moment, f"{gauge.name}: {name} {why}.", trouble)]
    idle = False  # a label is there, but its maximum is 0: no swap, a bind mount
    for source in gauge.sources:
        found: List[Found] = []
        if not source.pattern:
            metric = metrics.get(source.label)
            chosen = () if metric is None else (metric,)
        else:
            chosen = tuple(metric for label, metric in metrics.items() if fnmatchcase(label, source.label))
        for metric in chosen:
            if source.ignore and any(fnmatchcase(metric.label, pattern) for pattern in source.ignore):
                continue
            value, doubt = number(source, metric, metrics)
            if value is not None:
                found.append(_judge_value(gauge, source, service, metric.label, value, moment, history))
            elif doubt:
                reason = f"{gauge.name}: {metric.label} of {name} {doubt}."
                blank = reading(gauge, service, metric.label, None, source.unit, moment.now, "unknown")
                found.append(Found(blank, reason, "", False))
            else:
                idle = True
        if found:
            return found
    if idle or (gauge.optional and service["status"] == "ok"):
        return []
    wanted = " or ".join(dict.fromkeys(source.label for source in gauge.sources))
    reason = f"{gauge.name}: {name} has no usable number called {wanted}."
    return [_no_value(gauge, service, moment, reason, empty=not perfdata.broken)]


def _no_value(
    gauge: Gauge, service: Mapping[str, Any], moment: Moment, reason: str, trouble: str = "", empty: bool = False
) -> Found:
    unit = gauge.sources[0].unit
    return Found(reading(gauge, service, "", None, unit, moment.now, "unknown"), reason, trouble, empty)


def number(source: Source, metric: Metric, metrics: Mapping[str, Metric]) -> Tuple[Optional[float], str]:
    """The number that a source makes of a metric, or why there is none; None and no reason: nothing to measure."""
    value = metric.value
    if value is None:
        return None, "is unknown to its plugin"
    if source.per:
        if source.per == "max":
            whole = metric.max
        else:
            other = metrics.get(source.per)
            whole = None if other is None else other.value
        if whole is None:
            return None, f"came without {source.per}"
        if whole == 0:
            return None, ""
        if whole < 0 or value < 0:
            return None, "is negative"
        value /= whole
    elif metric.unit != source.unit:
        given = metric.raw_unit or "no unit"
        return None, f"came with {given} where {source.unit or 'a plain number'} is expected"
    return (1.0 - value if source.invert else value), ""


def _judge_value(
    gauge: Gauge,
    source: Source,
    service: Mapping[str, Any],
    label: str,
    value: float,
    moment: Moment,
    history: Mapping[Tuple[str, str, str], Series],
) -> Found:
    raised = value >= source.raise_at if source.high else value <= source.raise_at
    cleared = value < source.clear_at if source.high else value > source.clear_at
    record = reading(gauge, service, label, value, source.unit, moment.now, "ok")
    if cleared and not raised:
        return Found(record, "", "", False)
    said = f"{gauge.name}: {label} of {record['service']} is {shown(value, source.unit)}"
    marks = f"raised at {shown(source.raise_at, source.unit)}, clear at {shown(source.clear_at, source.unit)}"
    if gauge.settle_seconds and moment.since is not None and moment.now - moment.since < gauge.settle_seconds:
        left = gauge.settle_seconds - (moment.now - moment.since)
        record["verdict"] = "suspect"
        record["settling"] = True
        return Found(record, f"{said} and may still come down after the heal; judged in {left:.0f} s.", "", False)
    where = record["service"], label
    earlier = (history.get((gauge.name, *where)) or history.get(("", *where)) or ()) if history else ()
    lasting, proof = _lasting(gauge, source, service, value, moment, earlier)
    if lasting and source.agree and service["status"] != "critical":
        lasting, proof = False, f"but Nagios, which knows this machine's limits, calls it {service['status']}"
    record["verdict"] = "faulty" if lasting else "suspect"
    return Found(record, f"{said} ({marks}), {proof}.", "", False)


def _lasting(
    gauge: Gauge, source: Source, service: Mapping[str, Any], value: float, moment: Moment, earlier: Series
) -> Tuple[bool, str]:
    """Whether an illness is proven by enough readings, and the half sentence that says so.

    Once raised it stays raised until a reading is clear again: in the zone between the marks, where it came from
    decides.
    """
    at = float(service["last_check"])
    limit = moment.max_age if gauge.max_age_seconds is None else gauge.max_age_seconds
    known = {when: number for when, number in earlier if when < at and (moment.since is None or when > moment.since)}
    known[at] = value
    times = sorted(known)
    window: List[bool] = []
    raised, started, before = False, None, times[0]
    for when in times:
        high = known[when] >= source.raise_at if source.high else known[when] <= source.raise_at
        clear = known[when] < source.clear_at if source.high else known[when] > source.clear_at
        if clear or when - before > max(limit, gauge.for_seconds):  # readings that are missing prove nothing
            raised, started = False, None
        if when - before > max(limit, gauge.for_seconds):
            window.clear()
        before = when
        window.append(high)
        if high and started is None:
            started = when
        enough = sum(window[-gauge.of :]) >= gauge.need and started is not None and when - started >= gauge.for_seconds
        raised = raised or (high and enough)
    high_now = window[-1]
    if raised:
        if not high_now:
            return True, "not clear again since it was raised"
        if gauge.for_seconds:
            return True, f"for {at - (at if started is None else started):.0f} s"
        return True, f"in {sum(window[-gauge.of :])} of the last {len(window[-gauge.of :])} readings"
    if not high_now:
        return False, "between the two"
    if len(times) >= gauge.of and times[-1] - times[0] >= gauge.for_seconds:
        return False, "but not for long enough yet"
    return _nagios_proof(gauge, service, moment)


def _nagios_proof(gauge: Gauge, service: Mapping[str, Any], moment: Moment) -> Tuple[bool, str]:
    """Without earlier readings of our own, Nagios' hard state and the time of its last change have to do."""
    if service["status"] != "critical" or service.get("state_type") != "hard":
        return False, "and nothing proves yet that it lasts (no earlier readings, not hard in Nagios)"
    if not _hard_since(service, moment.since):
        return False, "and nothing proves yet that it lasts (Nagios counted its attempts before the heal)"
    lasted = _lasted(service, moment.since)
    if lasted < gauge.for_seconds:
        return False, f"for {lasted:.0f} of {gauge.for_seconds:.0f} s"
    return True, "hard critical in Nagios" + (f" for {lasted:.0f} s" if gauge.for_seconds else "")


def _hard_since(service: Mapping[str, Any], since: Optional[float]) -> bool:
    changed = service.get("last_hard_state_change")
    if since is None or (isinstance(changed, (int, float)) and changed > since):
        return True
    return bool(service["last_check"] - since >= SETTLE_SECONDS)


def _lasted(service: Mapping[str, Any], since: Optional[float]) -> float:
    """How long the readings prove that the state has lasted: to the last of them, not to now."""
    changed = service.get("last_state_change")
    if not isinstance(changed, (int, float)):
        return 0.0
    start = changed if since is None else max(changed, since)
    return float(max(0.0, service["last_check"] - start))


def shown(value: float, unit: str) -> str:
    """A number for people."""
    if unit == "ratio":
        return f"{value * 100:.3g} %"
    if unit == "B":
        for name in ("B", "KiB", "MiB", "GiB"):
            if abs(value) < 1024:
                return f"{value:.3g} {name}"
            value /= 1024
        return f"{value:.3g} TiB"
    return f"{value:.3g} {unit}".strip() if unit != "c" else f"{value:.3g}"
