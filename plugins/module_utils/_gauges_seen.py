# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""From Nagios to verdicts: the bulk queries, and every layer judged on them.

The queries run side by side, since each costs a big Nagios about a second whatever it returns.

Nagios may show a part of the farm only: its user is a contact of some hosts, or nobody has told it of a new node. What
it does not show may be ill all the same, and the storm guard cannot count it (invariant 4):

- Two such nodes, wherever they are, make a storm together with an ill one: nothing of the answer is believed.
- A single one can hide a storm in its own layer only, and the standby of a pair is of that layer too (invariant 3): of
  that layer nothing is healed. The other layers go on; what a heal has to know of its load balancers it asks these
  themselves.
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
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_ring import Past
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import NagiosClient, Snapshot

UNSEEN_FARM = 2
"""So many nodes that Nagios does not show are too many for any heal: with an ill one they would be a storm."""


def look(
    client: NagiosClient,
    layers: Sequence[Mapping[str, Any]],
    now: Callable[[], float],
    expected_services: Optional[int] = None,
    reading_age_seconds: float = READING_AGE_SECONDS,
    history: Iterable[Mapping[str, Any]] = (),
    since: Optional[Mapping[str, float]] = None,
) -> Dict[str, Any]:
    """Verdicts for all nodes of ``layers`` (``layer``, ``nodes``, ``gauges``), with what they rest on.

    A layer may have a ``reading_age_seconds`` of its own; the argument is for those that have none.
    """
    # A wrong gauge or age is told before Nagios is asked.
    checked = [(entry, _gauges_of(entry), _age_of(entry, reading_age_seconds)) for entry in layers]
    asked = _side_by_side(
        lambda: client.services(expected=expected_services),
        lambda: client.hosts(parents=False),
        client.downtimes,
        client.objects_hosts,  # only the configuration knows parents
    )
    services, hosts, downtimes, configured = asked
    wanted = {node for entry, _gauges, _age in checked for node in entry["nodes"]}
    nagios = next((each.freshness for each in asked if not each.freshness["fresh"]), services.freshness)
    by_node: Dict[str, List[Mapping[str, Any]]] = {node: [] for node in sorted(wanted)}
    for service in services.items:
        if service["host"] in wanted:
            by_node[service["host"]].append(service)
    parents = {host["host"]: host["parents"] for host in configured.items}
    by_host = {host["host"]: {**host, "parents": parents.get(host["host"], [])} for host in hosts.items}
    unseen = [node for node in by_node if not by_node[node] and node not in by_host] if nagios["fresh"] else []
    if len(unseen) >= UNSEEN_FARM:
        nagios = {**nagios, "fresh": False, "reason": "partial", "message": _partial(len(by_node), unseen)}
    elif unseen:
        nagios = {**nagios, "unseen": _partial(len(by_node), unseen)}
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
        ),
        "hosts": _with_parents(by_host, wanted),
        "services": by_node,
        "downtimes": [downtime for downtime in downtimes.items if downtime["host"] in wanted],
    }


def rested_on(past: Past, verdicts: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    """The past as a snapshot keeps it: of the earlier readings those of a series that is not plainly well now.

    Whoever looks back at a decision (invariant 14) finds in it what ``raised before`` and ``2 of 3`` were proven with.
    """
    doubtful = {
        (node, reading["gauge"], reading["service"], reading["label"])
        for node, verdict in verdicts.items()
        for reading in verdict["readings"]
        if reading["verdict"] in ("suspect", "faulty") and reading["value"] is not None
    }
    kept = [
        reading
        for reading in past.readings
        if (reading["node"], reading.get("gauge"), reading.get("service"), reading.get("label")) in doubtful
    ]
    healed = {node: at for node, at in past.healed.items() if node in verdicts}
    return {"readings": kept, "healed": healed, "problem": past.problem}


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


def _age_of(entry: Mapping[str, Any], default: float) -> float:
    age = entry.get("reading_age_seconds")
    seconds = default if age is None else age
    if not 0 < seconds < 1e9:  # NaN is not within
        raise SelfhealError("invalid_value", f"reading_age_seconds of layer {entry['layer']} must be more than 0.")
    return float(seconds)


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
    for entry, gauges, age in checked:
        own = {node: by_node[node] for node in entry["nodes"]}
        if nagios["fresh"]:
            earlier = [reading for node in entry["nodes"] for reading in past.get(node, ())]
            options.update(nodes=entry["nodes"], hosts=by_host, reading_age_seconds=age)
            judged = evaluate(gauges, own, history=earlier, **options)
            if any(not own[node] and node not in by_host for node in own):  # kept, for storms elsewhere count them
                judged = {node: {**verdict, "unseen": nagios["unseen"]} for node, verdict in judged.items()}
            verdicts.update(judged)
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


def _partial(every: int, unseen: Sequence[str]) -> str:
    """The sentence about the nodes that Nagios does not show."""
    named = ", ".join(unseen[:10]) + (f" and {len(unseen) - 10} more" if len(unseen) > 10 else "")
    return (
        f"Nagios shows {every - len(unseen)} of {every} nodes: missing {named}. Give its user "
        "authorized_for_all_hosts and authorized_for_all_services in cgi.cfg, let Nagios watch them, or take them out "
        "of their layers."
    )


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
