# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One gauge, one probe: the readings that it gives and the verdict on each, before twins are compared.

A reading is ``ok``, ``suspect``, ``faulty`` or ``unknown``. What is missing, old, unreadable or from before a heal is
unknown, whatever Nagios calls it: Nagios says CRITICAL when a plugin could not measure.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_agent import agent_trouble, no_network
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_model import Gauge, Source
from ansible_collections.selfheal.cluster.plugins.module_utils._perfdata import Metric, Perfdata

VERDICTS = ("faulty", "suspect", "unknown", "ok")
"""Worst first."""
SETTLE_SECONDS = 60.0
"""Attempts that Nagios counted before a heal prove nothing; this long after it, its hard state does again."""
FUTURE_SECONDS = 60.0
"""A reading from further ahead than this comes from another clock."""

Series = Sequence[Tuple[float, float]]
"""Earlier values of one reading, as pairs of time and value, in any order."""
History = Mapping[Tuple[str, str, str], Series]
"""Series of one node by gauge (may be empty), service and label."""


class Moment(NamedTuple):
    """When a node is judged: now, since its last heal, and the age at which a reading is too old."""

    now: float
    since: Optional[float]
    max_age: float


class Item:
    """A reading that is not plainly ok, rewritten as it is held against others.

    ``reading`` is the record for results; ``reason`` a sentence for people; ``trouble`` what the output
    says about the way to the node; ``settling`` keeps it out of verdicts.
    """

    __slots__ = ("gauge", "kind", "reading", "reason", "settling", "trouble")

    def __init__(self, gauge: Gauge, reading: Dict[str, Any], reason: str, trouble: str = "") -> None:
        self.gauge = gauge
        self.kind = gauge.kind
        self.reading = reading
        self.reason = reason
        self.trouble = trouble
        self.settling = False

    @property
    def verdict(self) -> str:
        """The verdict on this reading alone."""
        return str(self.reading["verdict"])

    def rewrite(self, verdict: str, reason: str, kind: str = "") -> None:
        """Judge it anew in the light of others."""
        self.reading["verdict"] = verdict
        self.reason = reason
        self.kind = kind or self.kind


class Sheet:
    """What is read on one node. Most readings of a farm are ok, so those are records and nothing more.

    ``fine`` are the gauges with a reading that is ok, ``doubts`` the readings that are not; ``lacking`` are sound
    probes without the label of a gauge; ``read`` are the names of the gauges that had their say, if only to find
    nothing to measure.
    """

    __slots__ = ("doubts", "fine", "lacking", "read", "readings")

    def __init__(self) -> None:
        self.readings: List[Dict[str, Any]] = []
        self.fine: Dict[str, Gauge] = {}
        self.doubts: List[Item] = []
        self.lacking: List[Item] = []
        self.read: Set[str] = set()

    def doubt(self, item: Item) -> None:
        """Add a reading that is not ok."""
        self.readings.append(item.reading)
        self.doubts.append(item)

    def worst(self, gauge: Gauge) -> str:
        """The worst verdict of one gauge; empty when it has none."""
        found = [item.verdict for item in self.doubts if item.gauge is gauge and not item.settling]
        if gauge.name in self.fine:
            found.append("ok")
        return min(found, key=VERDICTS.index) if found else ""


def unreadable(service: Mapping[str, Any], moment: Moment, max_age: Optional[float] = None) -> str:
    """Why nothing can be read from this probe now; empty when it can."""
    checked = service.get("last_check")
    if checked is None or service.get("checked") is False or service.get("status") == "pending":
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


def record(
    gauge: Gauge, service: Mapping[str, Any], label: str, value: Optional[float], unit: str, now: float, verdict: str
) -> Dict[str, Any]:
    """A reading as results, journal and reports carry it."""
    at = service.get("last_check")
    return {
        "gauge": gauge.name,
        "service": service.get("service", ""),
        "label": label,
        "value": value,
        "unit": unit,
        "state": service.get("status", ""),
        "state_type": service.get("state_type", ""),
        "at": at,
        "age_seconds": None if at is None else now - at,
        "verdict": verdict,
    }


def judge_state(gauge: Gauge, service: Mapping[str, Any], moment: Moment, sheet: Sheet) -> None:
    """A gauge that takes Nagios' word: soft is suspect, hard is faulty."""
    verdict, said, trouble = _state(gauge, service, moment)
    found = record(gauge, service, "", None, "", moment.now, verdict)
    if verdict == "ok":
        sheet.readings.append(found)
        sheet.fine[gauge.name] = gauge
    else:
        sheet.doubt(Item(gauge, found, f"{gauge.name}: {said}.", trouble))


def _state(gauge: Gauge, service: Mapping[str, Any], moment: Moment) -> Tuple[str, str, str]:
    """Verdict, half a sentence, and trouble."""
    name = service.get("service") or "the host check"
    why = unreadable(service, moment, gauge.max_age_seconds)
    if why:
        return "unknown", f"{name} {why}", ""
    status = service["status"]
    if status == "ok":
        return "ok", "", ""
    why, trouble = untold(service)
    if why:
        return "unknown", f"{name} {why}", trouble
    said = f"Nagios calls {name} {status}"
    if status == "warning":
        return "suspect", said, ""
    if service.get("state_type") != "hard":
        tried = f"attempt {service.get('attempt')} of {service.get('max_attempts')}"
        return "suspect", f"{said}, but not for sure yet ({tried})", ""
    if not _hard_since(service, moment.since):
        return "suspect", f"{said}, but its attempts were counted before the heal", ""
    lasted = _lasted(service, moment.since)
    if lasted < gauge.for_seconds:
        return "suspect", f"{said} for {lasted:.0f} of {gauge.for_seconds:.0f} s", ""
    return "faulty", f"{said} for sure (hard)", "no_network" if no_network(str(service.get("output") or "")) else ""


def judge_host(gauge: Gauge, host: Mapping[str, Any], moment: Moment, sheet: Sheet) -> None:
    """The state of the host itself. Hosts are checked rarely: an old or missing "up" says nothing, and is no doubt."""
    states = {"up": "ok", "down": "critical", "unreachable": "unknown"}
    service = dict(host, status=states.get(str(host.get("status")), "pending"), service="")
    why = unreadable(service, moment, gauge.max_age_seconds)
    if why and host.get("status") != "down":
        return
    sheet.read.add(gauge.name)
    if host.get("status") == "unreachable":
        found = record(gauge, service, "", None, "", moment.now, "unknown")
        sheet.doubt(Item(gauge, found, f"{gauge.name}: Nagios cannot see the host, because a parent of it is down."))
    else:
        judge_state(gauge, service, moment, sheet)


def judge_values(
    gauge: Gauge,
    service: Mapping[str, Any],
    perfdata: Perfdata,
    why: str,
    moment: Moment,
    history: Optional[History],
    sheet: Sheet,
) -> None:
    """The numbers that a gauge finds in a probe, judged; one unknown reading when it should find some and does not.

    ``why`` is what :func:`unreadable` said about the probe; a gauge with a limit of its own asks again.
    """
    if gauge.max_age_seconds is not None:
        why = unreadable(service, moment, gauge.max_age_seconds)
    if why:
        sheet.doubt(_blank(gauge, service, moment, why))
        return
    status = service["status"]
    metrics, broken = perfdata
    if not metrics or status not in ("ok", "warning", "critical"):
        if not (gauge.optional and status == "ok"):
            why, trouble = untold(service) if status != "ok" else ("", "")
            why = why or f"gave no number (Nagios calls it {status})"
            sheet.doubt(_blank(gauge, service, moment, why, trouble))
        return
    doubts: List[Item] = []
    idle = False  # a label is there, but its maximum is 0: no swap, a bind mount
    for source in gauge.sources:
        if source.pattern is None:
            metric = metrics.get(source.label)
            if metric is None:
                continue
            chosen: Sequence[Metric] = (metric,)
        else:
            chosen = [metric for label, metric in metrics.items() if _matches(source, label)]
        found = False
        for metric in chosen:
            value, doubt = number(source, metric, metrics)
            if value is not None:
                found = True
                if value < source.clear_at if source.high else value > source.clear_at:  # at the mark is not clear
                    ok = record(gauge, service, metric.label, value, source.unit, moment.now, "ok")
                    sheet.readings.append(ok)
                    sheet.fine[gauge.name] = gauge
                else:
                    sheet.doubt(_judge_value(gauge, source, service, metric.label, value, moment, history))
            elif doubt:
                doubts.append(_blank(gauge, service, moment, doubt, label=metric.label))
            else:
                idle = True
        if broken and source.pattern is not None:
            doubts += [_blank(gauge, service, moment, "is broken", label=label) for label in _lost(source, broken)]
        if found:
            for item in doubts if source.pattern is not None else ():
                sheet.doubt(item)
            return
    if doubts:
        for item in doubts:
            sheet.doubt(item)
    elif not idle and not (gauge.optional and status == "ok"):
        wanted = " or ".join(dict.fromkeys(source.label for source in gauge.sources))
        item = _blank(gauge, service, moment, f"has no usable number called {wanted}")
        if broken:
            sheet.doubt(item)
        else:
            sheet.lacking.append(item)


def _matches(source: Source, label: str) -> bool:
    """Whether a source with a pattern reads this label."""
    if source.pattern is None or not source.pattern.match(label):
        return False
    return source.ignore is None or not source.ignore.match(label)


def _lost(source: Source, broken: Sequence[str]) -> List[str]:
    """Labels of broken tokens that the source would have read, had they been whole."""
    labels = [token.partition("=")[0].strip("'") for token in broken if "=" in token]
    return [label for label in labels if _matches(source, label)]


def _blank(
    gauge: Gauge, service: Mapping[str, Any], moment: Moment, why: str, trouble: str = "", label: str = ""
) -> Item:
    """A reading that should have a number and has none."""
    what = f"{label} of {service.get('service')}" if label else service.get("service")
    unit = gauge.sources[0].unit
    found = record(gauge, service, label, None, unit, moment.now, "unknown")
    return Item(gauge, found, f"{gauge.name}: {what} {why}.", trouble)


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
    history: Optional[History],
) -> Item:
    """A number that is not clear: raised or in the zone, and whether it lasts."""
    item = Item(gauge, record(gauge, service, label, value, source.unit, moment.now, "suspect"), "")
    name = str(service["service"])
    said = f"{gauge.name}: {label} of {name} is {shown(value, source.unit)}"
    marks = f"raised at {shown(source.raise_at, source.unit)}, clear at {shown(source.clear_at, source.unit)}"
    if gauge.settle_seconds and moment.since is not None and moment.now - moment.since < gauge.settle_seconds:
        left = gauge.settle_seconds - (moment.now - moment.since)
        item.rewrite("suspect", f"{said} and may still come down after the heal; judged in {left:.0f} s.")
        item.settling = True
        return item
    earlier: Series = ()
    if history:
        earlier = history.get((gauge.name, name, label)) or history.get(("", name, label)) or ()
    lasting, proof = _lasting(gauge, source, service, value, moment, earlier)
    if lasting and source.agree and service["status"] != "critical":
        lasting, proof = False, f"but Nagios, which knows this machine's limits, calls it {service['status']}"
    item.rewrite("faulty" if lasting else "suspect", f"{said} ({marks}), {proof}.")
    return item


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
