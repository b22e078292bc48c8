# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is read again of a healed node, and what Nagios said then, for the state, the journal and people. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges import DEFAULT_GAUGES, validate_gauges
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_state import Results, State, because, verdict

LEVELS = ("storage", "resource")
"""Kinds of gauges that no balancer sees. A service's own answers are the balancers' to judge."""


def levels(seen: Mapping[str, Any], gauges: Any) -> List[Dict[str, str]]:
    """Gauge and service of each level that made the node faulty when the plan was made, by its verdict.

    What clients alone can raise is none: after a heal it is too young to be judged.
    """
    known = validate_gauges(gauges or DEFAULT_GAUGES)
    names = {one.name for one in known if one.kind in LEVELS and one.read == "value" and not one.traffic}
    found = [
        (str(one.get("gauge")), str(one.get("service")))
        for one in seen.get("readings") or []
        if one.get("verdict") == "faulty" and one.get("gauge") in names and one.get("service")
    ]
    return [{"gauge": gauge, "service": service} for gauge, service in dict.fromkeys(found)]


def still_ill(state: State, results: Results) -> str:
    """Keep the word of Nagios in the state; why the node is still ill, or empty.

    Empty is no proof: Nagios may have said nothing in time, and then the word of the balancers is all there is.
    """
    if not state.get("levels"):
        return ""
    result = results.get(str(state.get("journal_host") or "")) or {}
    if verdict(result) != "ok":
        state["read_again"] = {"verdict": "unknown", "reasons": [because("Nagios", result)]}
        return ""
    said = [*(result.get("reasons") or []), result.get("problem") or ""]
    reasons = [str(reason)[:300] for reason in said if reason][:3]
    state["read_again"] = {"verdict": str(result.get("verdict")), "reasons": reasons}
    if not result.get("still_ill"):
        return ""
    return "{} serves, but is still ill: {}".format(state["node"], reasons[0] if reasons else "Nagios says so")


def words(read: Any) -> str:
    """One line about ``read_again``, or empty where nothing was read again."""
    if not isinstance(read, Mapping) or not read.get("verdict"):
        return ""
    if read["verdict"] == "ok":
        return "Nagios after the heal: what made it ill is well"
    reasons = read.get("reasons")
    first = str(reasons[0])[:300] if isinstance(reasons, (list, tuple)) and reasons else "no reason is known"
    return "Nagios after the heal: {}: {}".format(read["verdict"], first)
