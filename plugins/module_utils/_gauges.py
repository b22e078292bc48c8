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

from fnmatch import fnmatchcase
from itertools import chain
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_default import DEFAULT_GAUGES
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_model import (
    KINDS,
    Gauge,
    validate_gauges,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_reading import (
    Found,
    Moment,
    judge_host,
    judge_state,
    judge_values,
    reading,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._perfdata import Perfdata, parse

__all__ = ["DEFAULT_GAUGES", "KINDS", "READING_AGE_SECONDS", "VERDICTS", "Gauge", "evaluate", "validate_gauges"]

VERDICTS = ("faulty", "suspect", "unknown", "ok")
"""Worst first."""
READING_AGE_SECONDS = 60.0
_RANK = {verdict: rank for rank, verdict in enumerate(VERDICTS)}
_Services = Union[Iterable[Mapping[str, Any]], Mapping[str, Iterable[Mapping[str, Any]]]]


class _Judged(NamedTuple):
    """A reading with its gauge; rewritten as it is held against others."""

    gauge: Gauge
    found: Found
    kind: str

    @property
    def verdict(self) -> str:
        return str(self.found.reading["verdict"])


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
    judged: Dict[str, List[_Judged]] = {}
    silent: Dict[str, List[Gauge]] = {}
    for node, own in services.items():
        healed = since.get(node) if isinstance(since, Mapping) else since
        moment = Moment(now, healed, reading_age_seconds)
        host = hosts.get(node) if hosts else None
        judged[node], silent[node] = _judge_node(matching, own, host, moment, past.get(node) or {}, perfdata)
    _add_missing(gauges, judged, silent, hosts is not None, now)
    for items in judged.values():
        _hold_against_each_other(items)
    loaded = _compare_twins(gauges, judged, services, hosts or {})
    return {node: _verdict(node, items, services[node], node in loaded) for node, items in judged.items()}


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
        if isinstance(value, (int, float)) and isinstance(at, (int, float)) and value == value and at == at:
            key = (str(entry.get("gauge") or ""), str(entry.get("service")), str(entry.get("label")))
            past.setdefault(str(entry.get("node")), {}).setdefault(key, []).append((at, value))
    return past


class _Matching:
    """Which gauges read a service, by its description; each description is matched once."""

    def __init__(self, gauges: Sequence[Gauge]) -> None:
        self.gauges = gauges
        self._known: Dict[str, Tuple[Gauge, ...]] = {}

    def of(self, description: str) -> Tuple[Gauge, ...]:
        found = self._known.get(description)
        if found is None:
            lower = description.lower()
            plain = lower.replace("_", " ").replace("-", " ").replace("check ", "", 1).strip()
            found = self._known[description] = tuple(
                gauge
                for gauge in self.gauges
                if any(fnmatchcase(lower, pattern) or fnmatchcase(plain, pattern) for pattern in gauge.services)
            )
        return found


def _judge_node(
    matching: _Matching,
    services: Sequence[Mapping[str, Any]],
    host: Optional[Mapping[str, Any]],
    moment: Moment,
    history: Mapping[Tuple[str, str, str], Sequence[Tuple[float, float]]],
    perfdata: Optional[Mapping[Tuple[str, str], Perfdata]],
) -> Tuple[List[_Judged], List[Gauge]]:
    """The readings of a node, and the gauges whose probe is there with nothing to measure (a swap of size 0)."""
    items: List[_Judged] = []
    lacking: List[_Judged] = []
    silent: List[Gauge] = []
    for service in services:
        gauges = matching.of(service["service"])
        if not gauges:
            continue
        parsed: Optional[Perfdata] = None
        for gauge in gauges:
            if gauge.read == "state":
                items.append(_Judged(gauge, judge_state(gauge, service, moment), gauge.kind))
                continue
            if parsed is None:
                parsed = perfdata.get((service["host"], service["service"])) if perfdata else None
                if parsed is None:
                    parsed = parse(service.get("perf_data"))
            values = judge_values(gauge, service, parsed, moment, history)
            if not values:
                silent.append(gauge)
            for found in values:
                (lacking if found.empty else items).append(_Judged(gauge, found, gauge.kind))
    for item in lacking:  # "Disk I/O" beside "Disk /": a probe without the label matters only if no other has it
        if not any(other.gauge is item.gauge for other in items):
            items.append(item)
    for gauge in matching.gauges:
        if gauge.read == "host" and host is not None:
            said = judge_host(gauge, host, moment)
            if said is not None:
                items.append(_Judged(gauge, said, gauge.kind))
    return items, silent


def _add_missing(
    gauges: Sequence[Gauge],
    judged: Dict[str, List[_Judged]],
    silent: Mapping[str, Sequence[Gauge]],
    with_hosts: bool,
    now: float,
) -> None:
    """A gauge that a node gives no reading for is unknown there, if it is required or if a twin has it."""
    for gauge in gauges:
        if gauge.read == "host" and not (with_hosts and gauge.required):
            continue
        having = {
            node
            for node, items in judged.items()
            if any(item.gauge is gauge for item in items) or any(other is gauge for other in silent[node])
        }
        if len(having) == len(judged) or not (having or gauge.required):
            continue
        for node, items in judged.items():
            if node not in having:
                blank = reading(gauge, {}, "", None, gauge.sources[0].unit if gauge.sources else "", now, "unknown")
                what = "no host state" if gauge.read == "host" else "no service of the node gives it a reading"
                items.append(_Judged(gauge, Found(blank, f"{gauge.name}: {what}.", "", False), gauge.kind))


def _hold_against_each_other(items: List[_Judged]) -> None:
    """Readings of one node that explain or contradict each other."""
    if all(item.verdict == "ok" for item in items):
        return
    answers = any(item.kind == "service" and item.gauge.read == "state" and item.verdict == "ok" for item in items)
    failing = any(item.kind == "service" and item.verdict == "faulty" for item in items)
    away = any(item.found.trouble == "unreachable" for item in items)
    starved = any(item.found.trouble == "starved" for item in items)
    for index, item in enumerate(items):
        found = item.found
        if item.kind == "connectivity" and item.verdict == "faulty" and answers and item.gauge.read != "value":
            reason = f"{found.reason[:-1]}, but the service answers."
            items[index] = item._replace(found=_rewritten(found, "suspect", reason))
        elif found.trouble == "starved":
            reason = f"{found.reason[:-1]}: the node is short of memory or processes."
            verdict = "faulty" if failing else "suspect"
            items[index] = _Judged(item.gauge, _rewritten(found, verdict, reason), "resource")
        elif away and not starved and item.kind == "service" and found.trouble == "no_network":
            reason = f"{found.reason[:-1]}: no packet reaches it, and the agent is out of reach as well."
            items[index] = _Judged(item.gauge, _rewritten(found, "faulty", reason), "connectivity")


def _rewritten(found: Found, verdict: str, reason: str) -> Found:
    return found._replace(reading={**found.reading, "verdict": verdict}, reason=reason)


def _compare_twins(
    gauges: Sequence[Gauge],
    judged: Dict[str, List[_Judged]],
    services: Mapping[str, Sequence[Mapping[str, Any]]],
    hosts: Mapping[str, Mapping[str, Any]],
) -> List[str]:
    """Invariant 5: take back what is load rather than illness; returns the nodes under load."""
    loaded: List[str] = []
    if len(judged) < 2:
        return loaded
    for gauge in gauges:
        if not gauge.load:
            continue
        worst = {node: _worst(item for item in items if item.gauge is gauge) for node, items in judged.items()}
        high = [node for node, verdict in worst.items() if verdict in ("faulty", "suspect")]
        if not high:
            continue
        telling = {
            node
            for node, verdict in worst.items()
            if verdict != "unknown" and verdict and _carries_load(judged[node], services[node], hosts.get(node))
        }
        for node in high:
            twins = telling - {node}
            if not twins:
                note = "no twin can be compared with it"
            elif all(worst[twin] in ("faulty", "suspect") for twin in twins):
                note = f"all {len(twins)} twins that carry load are high as well: load, not illness"
                loaded.append(node)
            else:
                continue
            for index, item in enumerate(judged[node]):
                if item.gauge is gauge and item.verdict in ("faulty", "suspect"):
                    reason = f"{item.found.reason[:-1]}; {note}."
                    judged[node][index] = item._replace(found=_rewritten(item.found, "suspect", reason))
    return loaded


def _worst(items: Iterable[_Judged]) -> str:
    verdicts = [item.verdict for item in items if not item.found.reading.get("settling")]
    return min(verdicts, key=_RANK.__getitem__) if verdicts else ""


def _carries_load(
    items: Sequence[_Judged], services: Sequence[Mapping[str, Any]], host: Optional[Mapping[str, Any]]
) -> bool:
    """Whether a node serves as far as can be told: not in downtime, and neither service nor network is in doubt."""
    if (host is not None and host.get("downtime_depth")) or any(service.get("downtime_depth") for service in services):
        return False
    return not any(
        not item.gauge.load and item.kind in ("service", "connectivity") and item.verdict in ("faulty", "suspect")
        for item in items
    )


def _verdict(
    node: str, items: Sequence[_Judged], services: Sequence[Mapping[str, Any]], loaded: bool
) -> Dict[str, Any]:
    counted = [item for item in items if not item.found.reading.get("settling")]
    if not counted:
        what = "none of its services is read by a gauge" if services else "Nagios shows no service of this node"
        reasons = [item.found.reason for item in items] or [f"Nothing is known: {what}."]
        return _record(node, "unknown", None, reasons, items, False)
    worst = min((item.verdict for item in counted), key=_RANK.__getitem__)
    if worst == "ok":
        return _record(node, "ok", None, [item.found.reason for item in items if item.found.reason], items, loaded)
    kind = None
    if worst in ("faulty", "suspect"):
        kind = min((item.kind for item in counted if item.verdict == worst), key=KINDS.index)
    ordered = sorted((item for item in items if item.found.reason), key=lambda item: _RANK[item.verdict])
    reasons = _without_repeats(node, ordered, items)
    return _record(node, worst, kind, reasons, items, loaded)


def _without_repeats(node: str, ordered: Sequence[_Judged], items: Sequence[_Judged]) -> List[str]:
    """The reasons, worst first; an agent that is away is said once and not for every probe behind it."""
    away = {item.found.reading["service"] for item in items if item.found.trouble == "unreachable"}
    reasons = [item.found.reason for item in ordered if not (item.found.trouble == "unreachable" and len(away) > 1)]
    if len(away) > 1:
        fine = sorted({item.gauge.name for item in items if item.gauge.read == "state" and item.verdict == "ok"})
        rest = f"; {' and '.join(fine)} are fine" if len(fine) > 1 else f"; {fine[0]} is fine" if fine else ""
        names = ", ".join(sorted(away))
        reasons.append(f"The agent (NRPE) of {node} does not answer, so {names} are unknown{rest}.")
    return list(dict.fromkeys(reasons))


def _record(
    node: str, verdict: str, kind: Optional[str], reasons: List[str], items: Sequence[_Judged], loaded: bool
) -> Dict[str, Any]:
    return {
        "node": node,
        "verdict": verdict,
        "kind": kind,
        "reasons": reasons,
        "readings": [item.found.reading for item in items],
        "layer_load": loaded,
    }
