# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""From Nagios to verdicts: the bulk queries, and every layer judged on them.

The queries run side by side, since each costs a big Nagios about a second whatever it returns.
"""

from __future__ import annotations

import threading
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges import (
    READING_AGE_SECONDS,
    evaluate,
    validate_gauges,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import NagiosClient, Snapshot


def look(
    client: NagiosClient,
    layers: Sequence[Mapping[str, Any]],
    now: Callable[[], float],
    expected_services: Optional[int] = None,
    reading_age_seconds: float = READING_AGE_SECONDS,
    history: Iterable[Mapping[str, Any]] = (),
    since: Optional[Mapping[str, float]] = None,
) -> Dict[str, Any]:
    """Verdicts for all nodes of ``layers`` (``layer``, ``nodes``, ``gauges``), with what they rest on."""
    checked = [(entry, _gauges_of(entry)) for entry in layers]  # a wrong gauge is told before Nagios is asked
    if not 0 < reading_age_seconds < 1e9:  # NaN is not within
        raise SelfhealError("invalid_value", "reading_age_seconds must be more than 0.")
    asked = _side_by_side(
        lambda: client.services(expected=expected_services),
        lambda: client.hosts(parents=False),
        client.downtimes,
        client.objects_hosts,  # only the configuration knows parents
    )
    services, hosts, downtimes, configured = asked
    wanted = {node for entry, _gauges in checked for node in entry["nodes"]}
    nagios = next((each.freshness for each in asked if not each.freshness["fresh"]), services.freshness)
    by_node: Dict[str, List[Mapping[str, Any]]] = {node: [] for node in sorted(wanted)}
    for service in services.items:
        if service["host"] in wanted:
            by_node[service["host"]].append(service)
    parents = {host["host"]: host["parents"] for host in configured.items}
    by_host = {host["host"]: {**host, "parents": parents.get(host["host"], [])} for host in hosts.items}
    return {
        "nagios": nagios,
        "verdicts": _verdicts(
            checked,
            by_node,
            by_host,
            nagios,
            now=nagios.get("queried_at") or now(),  # the clock that stamped the readings
            history=history,
            since=since,
            reading_age_seconds=reading_age_seconds,
        ),
        "hosts": _with_parents(by_host, wanted),
        "services": by_node,
        "downtimes": [downtime for downtime in downtimes.items if downtime["host"] in wanted],
    }


def times_of(since: Optional[Mapping[str, Any]]) -> Dict[str, float]:
    """Times by node out of a module's argument, where YAML may have left text; what is no time is refused."""
    times: Dict[str, float] = {}
    for node, at in (since or {}).items():
        try:
            times[node] = float(at)
        except (TypeError, ValueError):
            times[node] = float("nan")
        if isinstance(at, bool) or not 0 <= times[node] < 1e12:  # NaN is not within
            raise SelfhealError("invalid_value", f"since.{node} must be seconds since the epoch, not {str(at)[:60]!r}.")
    return times


def _gauges_of(entry: Mapping[str, Any]) -> List[Any]:
    return validate_gauges(entry.get("gauges") or [], f"gauges of layer {entry['layer']}")


def _verdicts(
    checked: Sequence[Any],
    by_node: Mapping[str, List[Mapping[str, Any]]],
    by_host: Mapping[str, Mapping[str, Any]],
    nagios: Mapping[str, Any],
    history: Iterable[Mapping[str, Any]],
    **options: Any,
) -> Dict[str, Any]:
    verdicts: Dict[str, Any] = {}
    past: Dict[str, List[Mapping[str, Any]]] = {}
    for reading in history:  # sorted once: gone through anew for each layer it takes a big farm minutes
        past.setdefault(str(reading.get("node")), []).append(reading)
    for entry, gauges in checked:
        own = {node: by_node[node] for node in entry["nodes"]}
        if nagios["fresh"]:
            earlier = [reading for node in entry["nodes"] for reading in past.get(node, ())]
            verdicts.update(evaluate(gauges, own, history=earlier, nodes=entry["nodes"], hosts=by_host, **options))
            continue
        for node in entry["nodes"]:  # frozen data may look young: nothing of them counts (invariant 4)
            verdicts[node] = {
                "node": node,
                "verdict": "unknown",
                "kind": None,
                "reasons": [f"Nagios cannot be believed ({nagios['reason']}): {nagios['message']}"],
                "readings": [],
                "layer_load": False,
            }
    return verdicts


def _with_parents(by_host: Mapping[str, Mapping[str, Any]], wanted: Iterable[str]) -> Dict[str, Mapping[str, Any]]:
    """The hosts of the nodes, and the parents that they are reached through."""
    own = {node: by_host[node] for node in sorted(wanted) if node in by_host}
    parents = {parent for host in own.values() for parent in host.get("parents") or ()}
    return {**{name: by_host[name] for name in sorted(parents) if name in by_host}, **own}


def _side_by_side(*asks: Callable[[], Snapshot]) -> List[Snapshot]:
    """Answers in the order of the questions; the first exception of any is raised here."""
    answers: List[Optional[Snapshot]] = [None] * len(asks)
    failures: List[BaseException] = []

    def run(index: int) -> None:
        try:
            answers[index] = asks[index]()
        except Exception as exc:  # a thread must not lose it; it is raised below, a bug as a bug
            failures.append(exc)

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(1, len(asks))]
    for thread in threads:
        thread.start()
    run(0)
    for thread in threads:
        thread.join()
    if failures:
        raise next((exc for exc in failures if not isinstance(exc, SelfhealError)), failures[0])
    return [answer for answer in answers if answer is not None]
