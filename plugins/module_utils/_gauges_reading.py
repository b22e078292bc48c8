# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One gauge, one probe: the readings that it gives and the verdict on each, before twins are compared.

A reading is ``ok``, ``suspect``, ``faulty`` or ``unknown``. What is missing, old, unreadable or from before a heal is
unknown, whatever Nagios calls it: Nagios says CRITICAL when a plugin could not measure.
"""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_agent import no_network
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_model import Gauge, Source
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_proof import (
    History,
    Series,
    hard_since,
    lasted_for,
    lasting,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_sheet import (
    Item,
    Moment,
    Sheet,
    record,
    unreadable,
    untold,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._perfdata import Metric, Perfdata


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
    if not hard_since(service, moment.since):
        return "suspect", f"{said}, but its attempts were counted before the heal", ""
    lasted = lasted_for(service, moment)
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
            chosen = [metric for label, metric in metrics.items() if source.reads(label)]
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


def _lost(source: Source, broken: Sequence[str]) -> List[str]:
    """Labels of broken tokens that the source would have read, had they been whole."""
    labels = [token.partition("=")[0].strip("'") for token in broken if "=" in token]
    return [label for label in labels if source.reads(label)]


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
    proof = lasting(gauge, source, service, value, moment, earlier)
    item.raised_at, item.high = proof.raised_at, proof.high
    proven, says = proof.proven, proof.says
    if proven and source.agree and service["status"] != "critical":
        proven, says = False, f"but Nagios, which knows this machine's limits, calls it {service['status']}"
    item.rewrite("faulty" if proven else "suspect", f"{said} ({marks}), {says}.")
    return item


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
