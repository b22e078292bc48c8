# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the healer does next: ``dispatch(world, now)``. Pure: no clock, no I/O, no chance.

It starts runs and keeps incidents; it admits no heal. Each run asks ``plan`` on live truth and may be refused, so a
start that comes too early costs time, and a node that is never started is the harm to avoid. ``now`` and all times are
seconds since the epoch. ``world`` is ``_journal_world.world`` and what the caller adds:

- ``verdicts``: by node, as ``_gauges.evaluate`` gives them; ``read_at``: when they were read; ``fresh``: whether
  Nagios was to be believed then
- ``units``: state by unit of every unit of ours that systemd knows, listed after the last run was begun; None when
  systemd did not say
- ``serving``: by node, whether clients reach it now; only the order of starts depends on it

Acts come in the order in which they are to be done:

====================================================  ================================================================
open: node, layer, kind, reasons, alerts              begin an incident; its run is started by the next dispatch
settle_alerts: ids, outcome, incident                 ``attach``
close: incident, node, outcome                        ``close_incident``
ended: incident, node, number, outcome                ``end_run``: the unit is gone
withdraw: incident, node                              ``withdraw``: a person's word was said too long ago
start: incident, node, reason                         ``begin_run`` with the reason, then the unit: ill, resume or
                                                      give_back; ask: only to learn what the plan would do, because
                                                      no person has said yes (mode approve)
human: incident, node, reason, text                   page, and ``call`` with this reason, or it comes again
wait: incident, node, reason, until, alerts, text     nothing; ``until`` None: until the world changes. ``explain`` the
                                                      alerts with the text, so that it is known why nothing was done
====================================================  ================================================================
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_alerts import sort_alerts
from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_approval import RETURNS, lapsed, needs_word
from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_hint import still_hinted
from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_rungs import rung_left
from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_view import LEFT, UNFINISHED, View
from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_wait import (
    LEASE_SECONDS,
    back_off,
    begins_nothing,
    whom_to_tell,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._planner import KIND_WEIGHT, LIFTED_FOR_RETURN

SETTLED = ("undone", "refused", "healed")  # after these the node is as it was, or well: nothing of ours holds it

Act = Dict[str, Any]
Row = Mapping[str, Any]


def dispatch(world: Row, now: float) -> List[Act]:
    view = View(world, now)
    opens, settles, waits = sort_alerts(view)
    closes, withdraws, starts, humans = [], [], [], []
    started: Dict[str, int] = {}
    for incident in sorted(view.incidents.values(), key=lambda item: _rank(view, item)):
        node, layer = incident["node"], view.layer_of.get(incident["node"])
        if node in view.live:  # at most one unit for a node; what it finds out is in the journal when it ends
            humans += _human(incident, begins_nothing(view, incident, view.live[node]))
            continue
        if _over(view, incident):
            closes.append({"act": "close", "incident": incident["id"], "node": node, "outcome": "recovered"})
            continue
        ground = _ground(view, incident)
        if lapsed(view, incident, ground[0]):
            view.lapsed.add(incident["id"])
            withdraws.append({"act": "withdraw", "incident": incident["id"], "node": node})
        why, reason, until = _next(view, incident, layer, ground)
        if why and layer is not None:
            reason, until = _busy(view, incident, layer, why, started) or ("", None)
        humans += _human(incident, whom_to_tell(view, incident, reason, until))
        if why and layer is not None and not reason:
            started[layer] = started.get(layer, 0) + 1
            why = "ask" if needs_word(view, incident) else why
            starts.append({"act": "start", "incident": incident["id"], "node": node, "reason": why})
            continue
        waits.append({"act": "wait", "node": node, "incident": incident["id"], "reason": reason, "until": until,
                      "alerts": [], "text": ""})  # fmt: skip
    ended = [
        {"act": "ended", "incident": run["incident"], "node": run.get("node"), "number": run["number"],
         "outcome": "failed" if (world.get("units") or {}).get(run["unit"]) == "failed" else "gone"}
        for run in view.gone
    ]  # fmt: skip
    return [*opens, *settles, *closes, *ended, *withdraws, *starts, *humans, *waits]


def _human(incident: Row, found: Optional[Tuple[str, str]]) -> List[Act]:
    if not found:
        return []
    return [{"act": "human", "incident": incident["id"], "node": incident["node"], "reason": found[0],
             "text": found[1]}]  # fmt: skip


def _over(view: View, incident: Row) -> bool:
    """Is the illness over, and is it sure that nothing of ours keeps the node out of traffic?"""
    if not view.well(incident) or view.by_hand(incident) or incident["id"] in view.taken:
        return False  # what a person has taken ends by that person's word
    tried = view.tried(incident)
    if all(item.get("outcome") in SETTLED for item in tried):
        return True
    if tried[-1].get("outcome") not in UNFINISHED + LEFT:
        return False
    # An attempt that did not end well may have left a hold. Only a plan on live truth since then knows: were the node
    # held by this incident, the plan would have lifted these refusals and admitted its return.
    decision = view.decided(incident)
    if not decision or decision.get("admitted") or decision["at"] <= (tried[-1].get("ended_at") or tried[-1]["at"]):
        return False
    reasons = set(decision.get("reasons") or ())
    return "not_ill" in reasons and reasons <= LIFTED_FOR_RETURN


def _next(view: View, incident: Row, layer: Optional[str], ground: Tuple[str, str]) -> Tuple[str, str, Optional[float]]:
    """Why to start a run now (or ''), else the reason to wait and until when. ``ground``: what ``_ground`` found."""
    why, reason = ground
    stopped = _stopped(view, incident, layer, why)
    if stopped:
        return "", stopped, None
    lease = view.by_hand(incident)
    if lease:
        return "", "lease_taken", float(lease["expires_at"])
    if not why:
        return "", reason, None
    reason, until = back_off(view, incident, why)
    return ("", reason, until) if until > view.now else (why, "", None)


def _stopped(view: View, incident: Row, layer: Optional[str], why: str) -> str:
    if layer is None:
        return "no_layer"
    if incident["id"] in view.taken:
        return "taken"
    if incident["id"] in view.aborts:
        return "aborted"
    if view.paused and why not in RETURNS:
        return "paused"  # a pause is about new heals; a node that one of ours left out of traffic is brought back
    if view.verdict(incident["node"]).get("unseen") and why not in RETURNS:
        return "nagios_stale"  # a run would be refused: Nagios does not show all nodes of the layer
    return "" if view.fresh else "nagios_stale"


def _ground(view: View, incident: Row) -> Tuple[str, str]:
    """What a run would be for: ``resume``, ``give_back`` or ``ill``; or '' and why there is no ground."""
    node, tried = incident["node"], view.tried(incident)
    seen = view.verdict(node)
    verdict = seen.get("verdict")
    outcome = tried[-1].get("outcome") if tried else "refused"
    if outcome in UNFINISHED:
        return "resume", ""
    if outcome == "ambiguous":
        return "", "ambiguous_outcome"
    if outcome in LEFT:
        if view.well(incident):
            return "give_back", ""
        if verdict == "faulty" and not rung_left(view, tried, node):
            return "", "attempts_exhausted"
    if verdict == "faulty":
        return ("", "stale_alert") if view.old_news(node) else ("ill", "")
    if still_hinted(view, incident):
        return "ill", ""
    if verdict == "suspect":
        return "", "layer_load" if seen.get("layer_load") else "suspect_only"
    return "", "unknown_reading" if verdict != "ok" else "older_reading"


def _busy(
    view: View, incident: Row, layer: str, why: str, started: Mapping[str, int]
) -> Optional[Tuple[str, Optional[float]]]:
    """Another heal of the layer goes on: the plan would refuse ``lease_taken``, so it is not even asked."""
    soon = view.now + LEASE_SECONDS
    others = {node for node in view.live if view.layer_of.get(node) == layer}
    if started.get(layer) or any(view.just_begun(view.live[node]) for node in others):
        return "lease_taken", soon  # one after the other, so that the second sees the leases of the first
    if why in RETURNS:
        return None  # what was begun is ended first; it holds its own slot already
    for lease in view.leases:
        held = str(lease["resource"])
        if held.startswith("node:") and view.layer_of.get(held[5:]) == layer and view.now < lease["expires_at"]:
            others.add(held[5:])
    others.discard(incident["node"])
    policy = view.policies[layer]
    room = 1 if policy.get("kind") == "pair" else int((policy.get("limits") or {}).get("max_unavailable", 1))
    return ("lease_taken", soon) if len(others) >= max(1, room) else None


def _rank(view: View, incident: Row) -> Tuple[Any, ...]:
    """Most urgent first, as the planner: begun heals, an active node of a pair, members in traffic, the rest."""
    node, tried = incident["node"], view.tried(incident)
    policy = view.policy(node)
    seen = view.verdict(node)
    score = 0
    if tried and tried[-1].get("outcome") in UNFINISHED + LEFT:
        score += 1000
    if view.serving.get(node):
        score += 200 if policy.get("kind") == "pair" else 100
    if seen.get("verdict") == "faulty":
        score += 10
    score += KIND_WEIGHT.get(str(seen.get("kind")), 0)
    return -score, incident["opened_at"], node
