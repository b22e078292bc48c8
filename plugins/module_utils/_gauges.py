# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Gauges: from readings to a verdict per node. Pure: no clock, no I/O; the caller brings ``now``.

``docs/gauges.md`` is the long form. The order of thought:

1. Every probe that a gauge matches gives readings (``_gauges_reading``): ok, suspect, faulty, unknown. Missing, stale
   and unreadable are unknown: never ok, never faulty by themselves (invariant 4).
2. Readings of one node are held against each other. A failing ping is doubted while the service answers. An agent that
   does not answer is no illness of the node; one that cannot fork is a sign of short resources; and a service that no
   packet reaches, on a node whose agent is out of reach as well, is a lost connection and not an ill service.
3. Nodes of a layer are held against each other (invariant 5): a load gauge that is high on all twins means load.
   Twins that carry no load tell nothing, so those in downtime (a heal sets its own) or ill otherwise do not count.
4. The worst reading is the node's verdict: faulty, then suspect, then unknown, then ok; so a faulty service with an
   unknown memory is faulty. Its kind is the first of connectivity, storage, resource, service among the readings of
   that verdict: a lost connection can not be cured from here, a full disk must never become a restart, and short
   resources explain a service that fails.

On a pair the standby is idle, so "all twins are high" never holds and a load peak looks like illness: there,
``for_seconds`` and ``raise_at`` of the CPU gauge have to carry the difference.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple, Union

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_default import DEFAULT_GAUGES
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_model import (
    KINDS,
    Gauge,
    validate_gauges,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_proof import LOADS, History, last_high
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_reading import (
    judge_host,
    judge_state,
    judge_values,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_sheet import (
    VERDICTS,
    Item,
    Moment,
    Sheet,
    record,
    unreadable,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._heals import SET_BACK_SECONDS
from ansible_collections.selfheal.cluster.plugins.module_utils._perfdata import Perfdata, parse

__all__ = ["DEFAULT_GAUGES", "KINDS", "READING_AGE_SECONDS", "VERDICTS", "Gauge", "evaluate", "validate_gauges"]

# Two and a half rounds of checks that run once a minute: a late one is not yet a missing one.
READING_AGE_SECONDS = 150.0
_HIGH = ("faulty", "suspect")
_Services = Union[Iterable[Mapping[str, Any]], Mapping[str, Iterable[Mapping[str, Any]]]]


def evaluate(
    layer_gauges: Optional[Sequence[Any]],
    readings: _Services,
    now: float,
    history: Iterable[Mapping[str, Any]] = (),
    *,
    nodes: Optional[Iterable[str]] = None,
    hosts: Optional[Mapping[str, Mapping[str, Any]]] = None,
    since: Union[float, Mapping[str, float], None] = None,
    reading_age_seconds: float = READING_AGE_SECONDS,
    perfdata: Optional[Mapping[Tuple[str, str], Perfdata]] = None,
) -> Dict[str, Dict[str, Any]]:
    """Judge all nodes of one layer.

    ``layer_gauges``: as written or validated; none at all means :data:`DEFAULT_GAUGES`. ``readings``: the service
    records of ``_nagios``, as a list or by node. ``history``: earlier readings as this function returned them, with
    ``node``. ``nodes``: all nodes of the layer, so that one without any service is not forgotten. ``hosts``: host
    records of ``_nagios`` by node. ``since``: when a node was last healed (one time, or by node); nothing from before
    it counts. ``perfdata``: what is parsed already, by node and service.
    """
    gauges = validate_gauges(layer_gauges if layer_gauges else DEFAULT_GAUGES)
    services = _by_node(readings, nodes)
    past = _by_series(history)
    matching = _Matching(gauges)
    sheets: Dict[str, Sheet] = {}
    moments: Dict[str, Moment] = {}
    for node, own in services.items():
        healed = since.get(node) if isinstance(since, Mapping) else since
        if healed is not None and healed > now + SET_BACK_SECONDS:
            healed = None  # stamped before the clock was set back: what is read now is newer than that
        moment = moments[node] = Moment(now, healed, reading_age_seconds)
        host = hosts.get(node) if hosts else None
        sheets[node] = _read_node(matching, own, host, moment, past.get(node), perfdata)
    _add_missing(gauges, sheets, hosts is not None, now)
    for sheet in sheets.values():
        _hold_against_each_other(sheet)
    loaded = _compare_twins(gauges, sheets, services, hosts or {}, _Past(past, moments))
    return {node: _verdict(node, sheet, bool(services[node]), node in loaded) for node, sheet in sheets.items()}


def _by_node(readings: _Services, nodes: Optional[Iterable[str]]) -> Dict[str, List[Mapping[str, Any]]]:
    wanted: Optional[Dict[str, List[Mapping[str, Any]]]] = None if nodes is None else {node: [] for node in nodes}
    listed = chain.from_iterable(readings.values()) if isinstance(readings, Mapping) else readings
    grouped: Dict[str, List[Mapping[str, Any]]] = {} if wanted is None else wanted
    for service in listed:
        host = service["host"]
        if wanted is None:
            grouped.setdefault(host, []).append(service)
        elif host in grouped:
            grouped[host].append(service)
    return grouped


def _by_series(
    history: Iterable[Mapping[str, Any]],
) -> Dict[str, Dict[Tuple[str, str, str], List[Tuple[float, float]]]]:
    """Earlier numbers by node and by gauge, service, label; entries without a number or a time are left out."""
    past: Dict[str, Dict[Tuple[str, str, str], List[Tuple[float, float]]]] = {}
    for entry in history:
        value, at = entry.get("value"), entry.get("at")
        if (
            isinstance(value, (int, float))
            and isinstance(at, (int, float))
            and not (math.isnan(value) or math.isnan(at))
        ):
            key = (str(entry.get("gauge") or ""), str(entry.get("service")), str(entry.get("label")))
            past.setdefault(str(entry.get("node")), {}).setdefault(key, []).append((at, value))
    return past


class _Matching:
    """Which gauges read a service, by its description; each description is matched once."""

    def __init__(self, gauges: Sequence[Gauge]) -> None:
        self.of_hosts = [gauge for gauge in gauges if gauge.read == "host"]
        self._of_services = [gauge for gauge in gauges if gauge.services is not None]
        self._known: Dict[str, Tuple[Gauge, ...]] = {}

    def of(self, description: str) -> Tuple[Gauge, ...]:
        found = self._known.get(description)
        if found is None:
            lower = description.lower()
            plain = lower.replace("_", " ").replace("-", " ").replace("check ", "", 1).strip()
            found = self._known[description] = tuple(
                gauge
                for gauge in self._of_services
                if gauge.services is not None and (gauge.services.match(lower) or gauge.services.match(plain))
            )
        return found


def _read_node(
    matching: _Matching,
    services: Sequence[Mapping[str, Any]],
    host: Optional[Mapping[str, Any]],
    moment: Moment,
    history: Optional[History],
    perfdata: Optional[Mapping[Tuple[str, str], Perfdata]],
) -> Sheet:
    """Every gauge on every probe of a node."""
    sheet = Sheet()
    for service in services:
        name = service["service"]
        gauges = matching.of(name)
        if not gauges:
            continue
        why = unreadable(service, moment)
        parsed: Optional[Perfdata] = None
        for gauge in gauges:
            sheet.read.add(gauge.name)
            if gauge.read == "state":
                judge_state(gauge, service, moment, sheet)
                continue
            if parsed is None:
                parsed = perfdata.get((service["host"], name)) if perfdata else None
                if parsed is None:
                    parsed = parse(service.get("perf_data"))
            judge_values(gauge, service, parsed, why, moment, history, sheet)
    for item in sheet.lacking:  # "Disk I/O" beside "Disk /": a probe without the label matters only if no other has it
        if not sheet.worst(item.gauge):
            sheet.doubt(item)
    if host is not None:
        for gauge in matching.of_hosts:
            judge_host(gauge, host, moment, sheet)
    return sheet


def _add_missing(gauges: Sequence[Gauge], sheets: Mapping[str, Sheet], with_hosts: bool, now: float) -> None:
    """A gauge that a node gives no reading for is unknown there, if it is required or if a twin has it."""
    anywhere: Set[str] = set().union(*(sheet.read for sheet in sheets.values()))
    wanted = [
        gauge
        for gauge in gauges
        if (gauge.read != "host" and gauge.name in anywhere)
        or (gauge.required and (with_hosts or gauge.read != "host"))
    ]
    names = {gauge.name for gauge in wanted}
    for sheet in sheets.values():
        if names <= sheet.read:
            continue
        for gauge in wanted:
            if gauge.name not in sheet.read:
                what = "Nagios shows no state of the host" if gauge.read == "host" else "no service gives it a reading"
                blank = record(gauge, {}, "", None, gauge.sources[0].unit if gauge.sources else "", now, "unknown")
                sheet.doubt(Item(gauge, blank, f"{gauge.name}: {what}."))


def _hold_against_each_other(sheet: Sheet) -> None:
    """Readings of one node that explain or contradict each other."""
    if not sheet.doubts:
        return
    # A VRRP daemon that runs is no answer to clients, and one that is dead is no service that fails them.
    answers = any(gauge.kind == "service" and gauge.read == "state" and not gauge.vrrp for gauge in sheet.fine.values())
    failing = any(item.kind == "service" and item.verdict == "faulty" and not item.gauge.vrrp for item in sheet.doubts)
    away = any(item.trouble == "unreachable" for item in sheet.doubts)
    starved = any(item.trouble == "starved" for item in sheet.doubts)
    for item in sheet.doubts:
        reason = item.reason[:-1]
        if item.kind == "connectivity" and item.verdict == "faulty" and answers and item.gauge.read != "value":
            item.rewrite("suspect", f"{reason}, but the service answers.")
        elif item.trouble == "starved":
            verdict = "faulty" if failing else "suspect"
            item.rewrite(verdict, f"{reason}: the node is short of memory or processes.", "resource")
        elif item.trouble == "no_network" and item.kind == "service" and away and not starved:
            said = f"{reason}: no packet reaches it, and the agent is out of reach as well."
            item.rewrite("faulty", said, "connectivity")
        elif item.verdict == "faulty" and item.reading["label"] in LOADS:
            clear = _clear_beside(sheet, item)
            if clear is not None:
                said = f"{reason}, but {clear['label']} of {clear['service']} is clear: what waits is not for the CPU."
                item.rewrite("suspect", said)


def _clear_beside(sheet: Sheet, item: Item) -> Optional[Mapping[str, Any]]:
    """The share of the CPU that another probe of the same gauge reads, if it is clear.

    A load counts what waits for a disk as well, that of a neighbour on the same host too. A restart mends none of it.
    """
    return next(
        (
            reading
            for reading in sheet.readings
            if reading["gauge"] == item.gauge.name
            and reading["verdict"] == "ok"
            and reading["value"] is not None
            and reading["label"] not in LOADS
        ),
        None,
    )


class _Past:
    """What the readings before this one say of a node that is at ease now: was it high with the others?"""

    def __init__(self, past: Mapping[str, History], moments: Mapping[str, Moment]) -> None:
        self._past = past
        self._moments = moments

    def high_since(self, node: str, sheet: Sheet, gauge: Gauge, begin: Optional[float]) -> bool:
        """Whether this node was past the gauge's mark at that time or later."""
        own = self._past.get(node)
        if begin is None or not own:
            return False
        for reading in sheet.readings:
            if reading["gauge"] != gauge.name:
                continue
            service, label = str(reading["service"]), str(reading["label"])
            series = own.get((gauge.name, service, label)) or own.get(("", service, label)) or ()
            last = last_high(gauge, label, self._moments[node], series)
            if last is not None and last >= begin:
                return True
        return False

    def begin_of(self, node: str, sheet: Sheet, gauge: Gauge) -> Optional[float]:
        """From when on a twin that was high was so together with this node, though it may be at ease again.

        What all had together ends on each at its own time. An average that comes down (``settle_seconds``) is high for
        that long after its cause is gone. And a number in the zone between the marks is ill only because it was
        raised: when all were raised with it, the last one to be clear again is no more ill than the first.
        """
        own = [item for item in sheet.doubts if item.gauge is gauge and item.verdict in _HIGH and not item.settling]
        raised = [item.raised_at for item in own if item.raised_at is not None]
        begins = [self._moments[node].now - gauge.settle_seconds] if gauge.settle_seconds else []
        if own and raised and not any(item.high for item in own):
            begins.append(min(raised))
        return min(begins, default=None)


def _compare_twins(
    gauges: Sequence[Gauge],
    sheets: Mapping[str, Sheet],
    services: Mapping[str, Sequence[Mapping[str, Any]]],
    hosts: Mapping[str, Mapping[str, Any]],
    past: _Past,
) -> Set[str]:
    """Invariant 5: take back what is load rather than illness; returns the nodes under load."""
    loaded: Set[str] = set()
    if len(sheets) < 2:
        return loaded
    for gauge in gauges:
        if not gauge.load:
            continue
        worst = {node: sheet.worst(gauge) for node, sheet in sheets.items()}
        high = [node for node, verdict in worst.items() if verdict in _HIGH]
        if not high:
            continue
        telling = {
            node
            for node, verdict in worst.items()
            if verdict in ("ok", *_HIGH) and _carries_load(sheets[node], services[node], hosts.get(node))
        }
        for node in high:
            twins = telling - {node}
            at_ease = [twin for twin in twins if worst[twin] not in _HIGH]
            if not twins:
                note = "no twin can be compared with it"
            elif not at_ease:
                note = f"all {len(twins)} twins that carry load are high as well: load, not illness"
                loaded.add(node)
            else:
                begin = past.begin_of(node, sheets[node], gauge)
                if not all(past.high_since(twin, sheets[twin], gauge, begin) for twin in at_ease):
                    continue
                note = f"all {len(twins)} twins that carry load are, or were with it, high as well: load, not illness"
                loaded.add(node)
            for item in sheets[node].doubts:
                if item.gauge is gauge and item.verdict in _HIGH and not item.settling:
                    item.rewrite("suspect", f"{item.reason[:-1]}; {note}.")
    return loaded


def _carries_load(sheet: Sheet, services: Sequence[Mapping[str, Any]], host: Optional[Mapping[str, Any]]) -> bool:
    """Whether a node serves as far as can be told: not in downtime, and neither service nor network is in doubt."""
    if (host is not None and host.get("downtime_depth")) or any(service.get("downtime_depth") for service in services):
        return False
    return not any(
        not item.gauge.load and item.kind in ("service", "connectivity") and item.verdict in _HIGH
        for item in sheet.doubts
    )


def _verdict(node: str, sheet: Sheet, shown: bool, loaded: bool) -> Dict[str, Any]:
    counted = [item for item in sheet.doubts if not item.settling]  # settling readings alone prove nothing
    verdict = (
        min((item.verdict for item in counted), key=VERDICTS.index) if counted else "ok" if sheet.fine else "unknown"
    )
    kind = None
    if verdict in _HIGH:
        kind = min((item.kind for item in counted if item.verdict == verdict), key=KINDS.index)
    reasons = _reasons(node, sheet) if sheet.doubts else []
    if not sheet.readings:
        what = "none of its services is read by a gauge" if shown else "Nagios shows no service of this node"
        reasons = [f"Nothing is known: {what}."]
    return {
        "node": node,
        "verdict": verdict,
        "kind": kind,
        "reasons": reasons,
        "readings": sheet.readings,
        "layer_load": loaded,
    }


def _reasons(node: str, sheet: Sheet) -> List[str]:
    """The reasons, worst first; an agent that is away is said once and not for every probe behind it."""
    ordered = sorted(sheet.doubts, key=lambda item: VERDICTS.index(item.verdict))
    away = sorted({item.reading["service"] for item in ordered if item.trouble == "unreachable"})
    if len(away) < 2:
        return list(dict.fromkeys(item.reason for item in ordered))
    fine = [gauge.name for gauge in sheet.fine.values() if gauge.read == "state"]
    rest = f"; {' and '.join(fine)} {'are' if len(fine) > 1 else 'is'} fine" if fine else ""
    told = f"The agent (NRPE) of {node} does not answer, so {', '.join(away)} are unknown{rest}."
    return list(dict.fromkeys(told if item.trouble == "unreachable" else item.reason for item in ordered))
