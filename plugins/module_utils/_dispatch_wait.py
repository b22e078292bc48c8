# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How long the healer waits before it asks the plan again, and when it calls a human. Pure.

The plan alone decides; asking it costs a run that looks at the farm. So what it said last time decides how soon it is
worth asking again, and a refusal that time does not cure is told to a human once.
"""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Set, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_approval import RETURNS, needs_word, question
from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_rungs import power_left, rung_left
from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_view import (
    AHEAD_SECONDS,
    LEFT,
    UNFINISHED,
    View,
    number,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_rungs import NONE
from ansible_collections.selfheal.cluster.plugins.module_utils._planner import LIFTED_FOR_RETURN
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_reasons import ORDER, REASONS

FIRST_SECONDS, LONGEST_SECONDS = 30.0, 300.0
MODE_SECONDS = 300.0
LEASE_SECONDS, LEASE_LONGEST_SECONDS = 5.0, 60.0
READING_SECONDS = 10.0
SOON_SECONDS = 5.0  # what stood against it is over: the shortest time between two questions
SOFT_CALL_SECONDS = 120.0  # an illness that has been refused for this long is a human's
LEASE_CALL_SECONDS = 300.0
# An attempt left its node out, and the next rung has not begun by then: a human's. Longer than the healer pauses before
# it asks again: 60 s for a lease, 30 s and then 60 s after two refusals, or after two runs that decided nothing.
NEXT_RUNG_SECONDS = 120.0
AGAIN_SECONDS = 1.0  # the plan did not see an illness yet, and a reading since then does
FRUITLESS_RUNS = 3  # runs in a row that ended without any decision
DEATHS = 3  # heals in a row that were admitted and interrupted
# Nobody is called: the node is not ill, a human has said so already, or Nagios' own alarm tells it.
QUIET = frozenset({
    "not_ill", "suspect_only", "unknown_reading", "nagios_stale", "stale_alert", "layer_load", "mode_observe",
    "paused", "aborted", "downtime", "acknowledged", "flapping", "handler_disabled", "parent_unreachable",
})  # fmt: skip
# Time cures none of these.
HARD = frozenset({
    "mode_approve", "wrong_kind", "not_restartable", "ambiguous_outcome", "attempts_exhausted", "cloned_machine_id",
    "own_host", "policy_changed", "no_layer", "unknown_node", "no_track_file", "not_in_backend", "human_hold",
    "last_member", "below_minimum", "peer_config_differs",
})  # fmt: skip

# What the plan says of a node that looks well, or not ill enough; a newer reading may know better.
NOT_SEEN_ILL = frozenset({"not_ill", "suspect_only", "unknown_reading", "stale_alert"})
# A next rung that is refused for no more than this has to wait for its turn, or for a newer reading.
PASSING = NOT_SEEN_ILL | {"lease_taken", "blocked_node", "blocked_layer", "nagios_stale", "rollout_running"}
BESIDE_A_HEAL = frozenset({"last_member", "below_minimum", "survivors_loaded"})  # for as long as the other heal takes

Row = Mapping[str, Any]


def doubled(first: float, times: int, longest: float) -> float:
    return float(min(longest, first * 2 ** max(0, min(times, 20) - 1)))


def back_off(view: View, incident: Row, why: str) -> Tuple[str, float]:
    """Why to wait and until when; a time that is over means: ask now. ``why``: what the run would be for."""
    tried, run, decision = view.tried(incident), view.last_run(incident), view.decided(incident)
    if run and _silent(view, run, decision):
        # Not even a refusal: Ansible did not get as far as the journal.
        times = max(1, int(run.get("without") or 1))
        since = run.get("ended_at") or run["started_at"]
        return "no_decision", _end(view, since, doubled(FIRST_SECONDS, times, LONGEST_SECONDS))
    if not decision:
        return "", view.now
    if decision.get("admitted"):
        if not tried:
            return "", view.now
        # The first return or roll-forward at once, then ever later: each takes traffic to and fro.
        same = UNFINISHED if tried[-1].get("outcome") in UNFINISHED else LEFT
        times = 0
        for item in reversed(tried):
            if item.get("outcome") not in same:
                break
            times += 1
        if times < 2:
            return "", view.now
        since = max(item for item in (decision["at"], (run or {}).get("ended_at"), tried[-1].get("ended_at")) if item)
        return "interrupted", _end(view, since, doubled(FIRST_SECONDS, times - 1, LONGEST_SECONDS))
    return _after_refusal(view, incident, decision, why)


def _silent(view: View, run: Row, decision: Optional[Row]) -> bool:
    """Did the newest run end without a decision? One from the future is older: the clock was set back since."""
    if not decision or decision["at"] < run["started_at"]:
        return True
    return bool(decision["at"] > view.now + AHEAD_SECONDS >= run["started_at"])


def _after_refusal(view: View, incident: Row, decision: Row, why: str) -> Tuple[str, float]:
    reasons = set(decision.get("reasons") or ())
    at, same = decision["at"], max(1, int(decision.get("same") or 1))
    limits = view.policy(incident["node"]).get("limits") or {}
    if "mode_approve" in reasons and view.approved(incident):
        return "mode_approve", _end(view, at, 0.0)  # the word came after the question
    hard = []
    for mode in ("mode_observe", "mode_approve"):
        if mode in reasons:
            changed = SOON_SECONDS if _changed(view, incident, decision) else MODE_SECONDS
            hard.append((_end(view, at, changed), mode))
    if why not in RETURNS and not hard and needs_word(view, incident):
        hard.append((_end(view, at, MODE_SECONDS), "mode_approve"))  # also where the plan knows of no such mode
    returns = why in RETURNS  # nothing new is begun, so neither block period nor storm holds it up
    if returns and not hard and _changed(view, incident, decision):
        return _first(reasons), _end(view, at, SOON_SECONDS)  # it was refused as a heal of an ill node
    for reason in () if returns else ("blocked_node", "blocked_layer"):
        end = _block_end(view, incident, reason, limits) if reason in reasons else None
        if end is not None:
            hard.append((max(end, _end(view, at, SOON_SECONDS)), reason))
    if "storm" in reasons and not returns:
        hard.append((_end(view, at, float(limits.get("storm_window_seconds", 60))), "storm"))
    if hard:
        until, reason = max(hard)
        return reason, until
    if "lease_taken" in reasons:
        return "lease_taken", _end(view, at, doubled(LEASE_SECONDS, same, LEASE_LONGEST_SECONDS))
    if why == "ill" and reasons <= NOT_SEEN_ILL and _seen_ill_since(view, incident, decision):
        return _first(reasons), _end(view, at, doubled(AGAIN_SECONDS, same, LONGEST_SECONDS))
    for reason in ("nagios_stale", "unknown_reading"):
        if reason in reasons:
            return reason, _end(view, at, READING_SECONDS)
    if "paused" in reasons and view.paused:  # an interrupted heal whose node is not known to be out of traffic
        return "paused", _end(view, at, doubled(FIRST_SECONDS, same, LONGEST_SECONDS))
    if reasons & {"paused", "aborted"}:  # the word is taken back, or this moment would not be reached
        return _first(reasons), _end(view, at, SOON_SECONDS)
    return _first(reasons), _end(view, at, doubled(FIRST_SECONDS, same, LONGEST_SECONDS))


def _end(view: View, since: float, seconds: float) -> float:
    """``seconds`` after ``since``. A clock that was set back must not make anybody wait longer than that."""
    return view.now if since > view.now + AHEAD_SECONDS else since + seconds


def _changed(view: View, incident: Row, decision: Row) -> bool:
    if not decision.get("verdict"):
        return False
    seen = view.verdict(incident["node"])
    return (seen.get("verdict"), seen.get("kind")) != (decision["verdict"], decision.get("kind"))


def _seen_ill_since(view: View, incident: Row, decision: Row) -> bool:
    """Is the node faulty by a reading that Nagios took after the plan's own?"""
    bad = [item for item in view.readings(incident["node"]) if item.get("verdict") == "faulty"]
    read_later = number(view.read_at) and view.read_at > decision["at"]
    return bool(read_later and bad and (decision.get("verdict") != "faulty" or any(
        view.newer(item, decision["at"]) for item in bad
    )))  # fmt: skip


def _block_end(view: View, incident: Row, reason: str, limits: Row) -> Optional[float]:
    """When the block period is over, as ``_planner_gates`` counts it; None when the attempts do not tell."""
    node, layer = incident["node"], view.layer_of.get(incident["node"])
    seconds = float(limits.get("block_node_seconds" if reason == "blocked_node" else "block_layer_seconds", 0))
    ends = []
    for item in view.attempts:
        mine = item["node"] == node
        if item.get("outcome") == "refused" or item.get("acknowledged") or mine != (reason == "blocked_node"):
            continue
        end = item.get("ended_at") or item["at"]
        if (mine or item.get("layer") == layer) and end <= view.now + AHEAD_SECONDS:
            ends.append(end + seconds)
    return max(ends) if ends else None


def _first(reasons: Set[str]) -> str:
    return min(reasons, key=_place) if reasons else ""


def _place(reason: str) -> int:
    return ORDER.get(reason, len(ORDER))


# -- calling a human ---------------------------------------------------------------------------------


def whom_to_tell(view: View, incident: Row, reason: str, until: Optional[float]) -> Optional[Tuple[str, str]]:
    """A reason to call a human about this incident that nobody was called for yet, and a sentence.

    ``reason`` and ``until``: why no run is started for it now, and until when; '' where one is.
    """
    return _unless_known(view, incident, _needs(view, incident, reason, until))


def begins_nothing(view: View, incident: Row, run: Row) -> Optional[Tuple[str, str]]:
    """The same for an incident whose run lives: its node was left out, and the run does not come any further.

    Nobody is called while a run may still heal; one that hangs must not keep the call for the hours that it may live.
    It hangs when it has not begun an attempt for long, or does not extend the lease of the one that it has begun.
    """
    tried = view.tried(incident)
    left = [item for item in tried if item.get("outcome") in LEFT]
    if not left or tried[-1].get("outcome") not in UNFINISHED + LEFT:
        return None
    if tried[-1].get("outcome") is None:
        if view.leased(incident):
            return None
    elif view.now < max(_end(view, since, LEASE_CALL_SECONDS) for since in (_ended(tried[-1]), run["started_at"])):
        return None
    return _unless_known(view, incident, _left_words(incident, left[-1]))


def _unless_known(view: View, incident: Row, found: Optional[Tuple[str, str]]) -> Optional[Tuple[str, str]]:
    if not found or incident["id"] in view.taken:  # a human has it
        return None
    return None if (incident["id"], found[0]) in view.called_at else found


def _needs(view: View, incident: Row, reason: str, until: Optional[float]) -> Optional[Tuple[str, str]]:
    node, tried, run, decision = incident["node"], view.tried(incident), view.last_run(incident), view.decided(incident)
    last = tried[-1] if tried else None
    outcome = last.get("outcome") if last else None
    age = view.now - incident["opened_at"]
    if outcome == "ambiguous":
        return "ambiguous", (
            "Nobody knows how attempt %s on %s ended; look at it and acknowledge incident %s."
            % (last["attempt"] if last else "", node, incident["id"])
        )
    # Under a pause it goes on, unless the plan could not see that the node is out of traffic.
    paused = view.paused and decision is not None and "paused" in (decision.get("reasons") or ())
    stopped = (
        "the incident is aborted" if incident["id"] in view.aborts else "heals are paused" if paused
        else "" if view.fresh else "Nagios cannot be believed"
    )  # fmt: skip
    if last and outcome in UNFINISHED and stopped and not view.by_hand(incident):
        since = last.get("ended_at") or last.get("phase_at") or last["at"]
        if number(since) and view.now - since >= SOFT_CALL_SECONDS:
            return "interrupted", (
                "The heal of %s was interrupted in phase %s and does not go on, because %s; %s may be out of traffic."
                % (node, last.get("phase"), stopped, node)
            )
    ends = [item.get("outcome") in UNFINISHED for item in reversed(tried)]
    died = ends.index(False) if False in ends else len(ends)
    if last and died >= DEATHS and not view.by_hand(incident):
        return "interrupted", (
            "The heal of %s was interrupted %d times in a row, the last time in phase %s; it is tried again, but %s may"
            " be out of traffic. Look at the log of its unit %s."
            % (node, died, last.get("phase"), node, (run or {}).get("unit") or "")
        )
    if last and outcome in LEFT:
        well = view.well(incident)
        told = (incident["id"], outcome) in view.called_at
        if not _goes_on(view, incident, tried, well, reason, until) and not (well and told):
            return _left_words(incident, last)
        if not well:
            return None
    if run and _silent(view, run, decision):
        if int(run.get("without") or 0) < FRUITLESS_RUNS:
            return None
        return "no_decision", "The heal of %s ended %d times without a decision; look at the log of its unit %s." % (
            node, run["without"], run.get("unit") or "",
        )  # fmt: skip
    if not decision or decision.get("admitted"):
        return None
    return _refused(view, incident, decision, age) or _held_back(view, incident, last, decision)


def _goes_on(view: View, incident: Row, tried: List[Row], well: bool, reason: str, until: Optional[float]) -> bool:
    """After an attempt that left the node out: does the next one follow by itself, and soon?

    A call that comes late is the harm here. So what will surely not go on is a human's at once, and what waits for its
    turn or for a newer reading has its time, however often it is asked meanwhile.
    """
    node, last, asks = incident["node"], tried[-1], needs_word(view, incident)
    due = _end(view, _ended(last), LEASE_CALL_SECONDS if reason in ("", "lease_taken") else NEXT_RUNG_SECONDS)
    if well:  # no rung is needed, only its return
        return view.now < due or not (reason or asks)
    if view.now >= due or (until is not None and until > due):
        return False
    if asks or reason in ("paused", "aborted") or not rung_left(view, tried, node):
        return False
    if last.get("rung") == NONE and view.policy(node).get("kind") == "workload":
        return False  # the plan knew of no remedy: that attempt took the evidence for a human
    limits = view.policy(node).get("limits") or {}
    blocks = [_block_end(view, incident, block, limits) for block in ("blocked_node", "blocked_layer")]
    if any(end is not None and end > due for end in blocks):
        return False  # the plan will say so, and need not be waited for
    decision = view.decided(incident)
    if not decision or decision.get("admitted") or decision["at"] <= _ended(last):
        return True  # it was not asked since
    passing = PASSING | (BESIDE_A_HEAL if "lease_taken" in (decision.get("reasons") or ()) else frozenset())
    if power_left(view, tried, node):
        passing |= {"wrong_kind"}  # a machine's power is taken when it has been silent for long enough
    return set(decision.get("reasons") or ()) <= passing


def _ended(attempt: Row) -> float:
    return float(attempt.get("ended_at") or attempt["at"])


def _left_words(incident: Row, last: Row) -> Tuple[str, str]:
    words = "stays out of traffic" if last["outcome"] == "left_out" else "could not be healed"
    return str(last["outcome"]), "%s %s after attempt %s (%s); look at it." % (
        incident["node"], words, last["attempt"], "; ".join(incident.get("reasons") or ()) or "drill",
    )  # fmt: skip


def _held_back(view: View, incident: Row, last: Optional[Row], decision: Row) -> Optional[Tuple[str, str]]:
    """An interrupted heal that the plan does not let go on: however well its node looks, it may be held.

    Not where the plan has seen that it is not: then it had lifted these refusals and admitted the return.
    """
    reasons = set(decision.get("reasons") or ())
    if not last or last.get("outcome") not in UNFINISHED or view.by_hand(incident) or reasons <= LIFTED_FOR_RETURN:
        return None
    since = last.get("ended_at") or last.get("phase_at") or last["at"]
    if view.now - since < (LEASE_CALL_SECONDS if "lease_taken" in reasons else SOFT_CALL_SECONDS):
        return None
    return "interrupted", (
        "The heal of %s was interrupted in phase %s and does not go on, because the plan refuses it (%s);"
        " %s may be out of traffic."
        % (incident["node"], last.get("phase"), ", ".join(sorted(reasons, key=_place)), incident["node"])
    )


def _refused(view: View, incident: Row, decision: Row, age: float) -> Optional[Tuple[str, str]]:
    reasons = set(decision.get("reasons") or ())
    if not reasons or view.verdict(incident["node"]).get("verdict") == "ok":
        return None
    if "mode_approve" in reasons:
        return question(view, incident)
    if reasons & QUIET:
        return None
    reason = _first(reasons)
    if reasons & HARD and "lease_taken" not in reasons:
        reason = _first(reasons & HARD)
    elif age < (LEASE_CALL_SECONDS if "lease_taken" in reasons else SOFT_CALL_SECONDS):
        return None
    return reason, "%s is ill and not healed: %s" % (incident["node"], REASONS.get(reason, reason))
