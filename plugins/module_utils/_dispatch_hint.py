# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""When an alert alone is reason enough to start a run, before any reading shows the illness. Pure.

Nagios writes its state out once a second at best, and Ansible needs a second to begin. So the run begins while the
reading is on its way: it decides on live truth as any other, and an alert that was wrong costs one refused run. Only
what would very likely make the node faulty begins one: the alert is of a service that a gauge reads, says critical,
and completes that gauge as far as an alert can tell. All else waits for the reading, and so does more than a few nodes
at once, for then the readings of all of them say whether it is one cause. A Nagios that is known to write rarely would
show the run the world before the alert: there the reading comes first, and the prepared run is kept for it.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_view import View
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_default import DEFAULT_GAUGES
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_told import LATE_SECONDS

HINT_SECONDS = 15.0  # an older alert has had its reading, or Nagios is not read at all
QUIET_SECONDS = 30.0  # after a heal of the node, and until its checks have run again: what was counted before is late
FARM_NODES = 2  # at once, in different layers
BAD_STATES = ("CRITICAL", "DOWN")

Row = Mapping[str, Any]


def hinted(view: View, waiting: Mapping[str, List[Row]]) -> Dict[str, List[str]]:
    """Reasons by node: which nodes are probably ill by their alerts. ``waiting``: alerts by node, oldest first."""
    if not view.fresh or (view.writes_every is not None and view.writes_every > LATE_SECONDS):
        return {}
    critical = {node: found for node in sorted(waiting) for found in [_critical(view, waiting[node])] if found}
    layers = [view.layer_of[node] for node in critical]
    if len(critical) > FARM_NODES or len(set(layers)) < len(layers):
        return {}
    found = {}
    for node, alerts in critical.items():
        reasons = [_words(alert) for alert in alerts if _completes(view, alert)]
        if reasons and _quiet(view, node):
            found[node] = reasons
    return found


def still_hinted(view: View, incident: Row) -> bool:
    """Was this incident opened by an alert that no reading has answered yet, and has nobody looked at it since?"""
    if view.last_run(incident) or view.decided(incident) or view.now - incident["opened_at"] > HINT_SECONDS:
        return False
    alerts = incident.get("alerts") or {}
    return any(not view.answered(incident["node"], service, at) for service, at in alerts.items())


def _critical(view: View, alerts: List[Row]) -> List[Row]:
    """The newest alert of each service, where it is bad, young and not answered by a reading."""
    newest = {alert.get("service") or "": alert for alert in alerts}
    return [
        alert
        for service, alert in sorted(newest.items())
        if alert["state"] in BAD_STATES
        and 0 <= view.now - alert["at"] <= HINT_SECONDS
        and not view.answered(alert["host"], service, alert["at"])
    ]


def _quiet(view: View, node: str) -> bool:
    """Would a start now be what the policy wants, and no echo of a heal?"""
    healed = view.healed_at(node)
    policy = view.policy(node)
    quiet = healed is None or (view.now - healed > QUIET_SECONDS and view.all_newer(node, healed))
    return bool(policy.get("mode") == "act" and quiet)


def _completes(view: View, alert: Row) -> bool:
    """Does the alert complete a gauge? Without a gauge that reads its service it says nothing about an illness."""
    node, service = alert["host"], alert.get("service") or ""
    gauges = {gauge.get("name"): gauge for gauge in view.policy(node).get("gauges") or DEFAULT_GAUGES}
    for reading in view.readings(node):
        if (reading.get("service") or "") != service:
            continue
        gauge = gauges.get(reading.get("gauge"))
        if gauge is None or gauge.get("for_seconds"):
            continue  # only time completes it
        count = gauge.get("count") or {}
        if alert.get("type") == "HARD" or (count and (alert.get("attempt") or 0) >= int(count.get("raise") or 1)):
            return True
    return False


def _words(alert: Row) -> str:
    what = alert.get("service") or "the host"
    return "Nagios' alert: %s is %s (%s)" % (what, alert["state"], str(alert.get("type") or "").lower())
