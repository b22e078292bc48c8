# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whether a layer's readings may be old enough for the pace of its checks. Pure.

Where they may not, a well node is unknown between two checks, and an ill one is not healed then; nothing else tells
why. Nagios' states carry no interval; from the last check to the next that is planned is one.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._survey_seen import Finding, finding, part, rows

SPARE = 2.5  # intervals that a reading may be old: a late check is not yet a missing one
LONGEST_SECONDS = 86400


def age_findings(observed: Mapping[str, Any], layer: Mapping[str, Any]) -> Iterator[Finding]:
    """One line for a layer whose readings are too old before they are taken again."""
    answer = part(observed, str(observed.get("monitor") or ""), "nagios")
    age = (layer.get("limits") or {}).get("reading_age_seconds")
    if answer is None or not isinstance(age, (int, float)) or not (answer.get("nagios") or {}).get("fresh"):
        return
    found = slowest(answer, layer)
    if found is None or found[0] <= age:
        return
    seconds, service = found
    wanted = min(LONGEST_SECONDS, round(SPARE * seconds))
    yield finding(
        "weakens", str(layer["layer"]),
        f"Nagios checks {service} every {seconds:.0f} s, and a reading counts for {age:.0f} s only: between two checks "
        "its nodes are unknown and not healed",
        f"group_vars/{layer['layer']}.yml",
        (f"selfheal_limits: {{reading_age_seconds: {wanted}}}    # beside the limits that are there",),
    )  # fmt: skip


def slowest(answer: Mapping[str, Any], layer: Mapping[str, Any]) -> Optional[Tuple[float, str]]:
    """The longest interval in seconds among the services that the layer's gauges read, and that service.

    Of twins the shortest counts: a check that waits for its time period, or a Nagios that was just started, makes a
    single one long.
    """
    own_age = {gauge.get("name") for gauge in rows(layer, "gauges") if gauge.get("max_age_seconds") is not None}
    intervals: Dict[str, List[float]] = {}
    for node in layer.get("nodes") or []:
        verdict = (answer.get("verdicts") or {}).get(node) or {}
        read = {item.get("service") for item in rows(verdict, "readings") if item.get("gauge") not in own_age}
        for service in rows(answer.get("services") or {}, node):
            seconds = interval(service)
            if service.get("service") in read and seconds is not None:
                intervals.setdefault(str(service["service"]), []).append(seconds)
    return max(((min(found), name) for name, found in intervals.items()), default=None)


def interval(service: Mapping[str, Any]) -> Optional[float]:
    """Seconds between two checks of a service; None where it is not checked by plan, or tried again sooner."""
    last, following = service.get("last_check"), service.get("next_check")
    if not isinstance(last, (int, float)) or not isinstance(following, (int, float)) or following <= last:
        return None
    soon = service.get("state_type") != "hard" and service.get("status") != "ok"
    return None if soon or service.get("checks_enabled") is False else float(following - last)
