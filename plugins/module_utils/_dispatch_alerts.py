# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What becomes of alerts that still wait, and which illness begins an incident. Pure.

An alert is only a hint: it may arrive before Nagios shows the new state, an hour late, or twice. So it waits until a
reading that is newer than itself says what is true (invariant 12), or until the gauges find its node faulty. Where it
very likely tells of an illness (``_dispatch_hint``), the run that finds out begins at once.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_hint import hinted
from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_view import View

# An alert whose node stays between ok and faulty for this long, by newer readings, was no illness.
HINT_SECONDS = 3600.0

Act = Dict[str, Any]


def sort_alerts(view: View) -> Tuple[List[Act], List[Act], List[Act]]:
    """Acts ``open``, ``settle_alerts`` and ``wait`` (for alerts of nodes without an incident)."""
    settled: Dict[Tuple[str, Optional[str]], List[str]] = {}
    waiting: Dict[str, List[Mapping[str, Any]]] = {}
    for alert in sorted(view.alerts, key=lambda item: (item["at"], item["id"])):
        node = alert["host"]
        if node in view.incidents:
            settled.setdefault(("known", view.incidents[node]["id"]), []).append(alert["id"])
        elif node not in view.layer_of:
            if view.policies:  # with no policy at all nothing is known, not even that it is nobody's
                settled.setdefault(("no_layer", None), []).append(alert["id"])
        else:
            waiting.setdefault(node, []).append(alert)
    opens = _opens(view, waiting)
    opened = {act["node"] for act in opens}
    waits = []
    for node in sorted(set(waiting) - opened):
        left = []
        for alert in waiting[node]:
            outcome = _outcome(view, alert)
            if outcome:
                settled.setdefault((outcome, None), []).append(alert["id"])
            else:
                left.append(alert["id"])
        if left:
            waits.append(_wait(view, node, left))
    settles = [
        {"act": "settle_alerts", "ids": ids, "outcome": outcome, "incident": incident}
        for (outcome, incident), ids in settled.items()
    ]
    return opens, settles, waits


def _opens(view: View, waiting: Mapping[str, List[Mapping[str, Any]]]) -> List[Act]:
    if not view.fresh:
        return []
    acts = []
    hints = hinted(view, waiting)
    for node in sorted(view.layer_of):
        seen = view.verdict(node)
        ill = seen.get("verdict") == "faulty" and not view.old_news(node)
        if node in view.incidents or not (ill or node in hints):
            continue
        acts.append({
            "act": "open", "node": node, "layer": view.layer_of[node], "kind": seen.get("kind") if ill else None,
            "reasons": list(seen.get("reasons") or ()) if ill else hints[node],
            "alerts": [item["id"] for item in waiting.get(node, ())],
        })  # fmt: skip
    return acts


def _outcome(view: View, alert: Mapping[str, Any]) -> str:
    """'' while nothing newer than the alert is known."""
    node, service, at = alert["host"], alert.get("service") or "", alert["at"]
    if not view.fresh or not view.answered(node, service, at):
        return ""
    own = [item for item in view.readings(node) if (item.get("service") or "") == service]
    verdict = view.verdict(node).get("verdict")
    if (all(item.get("verdict") == "ok" for item in own) if own else verdict == "ok") and verdict != "faulty":
        healed = view.healed_at(node)
        return "stale" if healed is not None and at <= healed else "recovered"
    used = own or [item for item in view.readings(node) if item.get("service")]
    known = all(item.get("verdict") in ("ok", "suspect") for item in used)
    if verdict == "suspect" and known and view.now - at > HINT_SECONDS:
        return "stale"
    return ""


def _wait(view: View, node: str, alerts: List[str]) -> Act:
    seen = view.verdict(node)
    verdict = seen.get("verdict")
    if not view.fresh:
        reason = "nagios_stale"
    elif verdict == "faulty":
        reason = "stale_alert"
    elif verdict == "suspect":
        reason = "layer_load" if seen.get("layer_load") else "suspect_only"
    else:
        reason = "unknown_reading" if verdict == "unknown" else "older_reading"
    text = "%s: %s" % (reason, "; ".join(seen.get("reasons") or ()) or "no reading is newer than the alert")
    return {"act": "wait", "node": node, "incident": None, "reason": reason, "until": None, "alerts": alerts,
            "text": text}  # fmt: skip
