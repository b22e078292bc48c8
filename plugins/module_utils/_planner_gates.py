# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Checks that hold for every node: Nagios' word, people's word, modes, attempts and leases."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Set

from ansible_collections.selfheal.cluster.plugins.module_utils._planner_case import Case, healed_at, names, seconds

# Outcomes that never touched the node are no attempt.
UNTOUCHED = ("refused",)


def world(case: Case) -> None:
    """Is there ground to decide on at all (invariants 4, 7 and 13)?"""
    snapshot, history = case.snapshot, case.history
    if case.node in (snapshot.get("controller") or {}).get("host", ()):
        case.refuse("own_host", "%s is the machine of the controller, the journal or Nagios" % case.node)
    ids = snapshot.get("machine_ids") or {}
    twins = [name for name, value in ids.items() if name != case.node and value == ids.get(case.node)]
    if twins:
        case.refuse("cloned_machine_id", "%s and %s have the same machine-id" % (case.node, names(twins)))
    pinned = (history.get("policies") or {}).get(case.layer)
    if pinned and pinned.get("differs"):
        case.refuse(
            "policy_changed",
            "the policy of layer %s differs from the journal's in %s; give the journal the new one first"
            % (case.layer, names(pinned["differs"])),
        )
    nagios = snapshot.get("nagios") or {}
    if not nagios.get("fresh"):
        message = nagios.get("message") or "no answer"
        case.refuse("nagios_stale", "%s: %s" % (nagios.get("reason") or "unreachable", message))
    elif case.verdict.get("unseen"):
        case.refuse("nagios_stale", "partial: %s" % case.verdict["unseen"])
    if history.get("fresh_journal"):
        case.refuse("mode_observe", "the journal is new and not initialised: run heal_journal on its host first")
    elif case.policy["mode"] == "observe":
        case.refuse("mode_observe", "layer %s has selfheal_mode observe" % case.layer)
    elif case.policy["mode"] == "approve" and snapshot.get("origin") == "healer" and not _approved(case):
        case.refuse("mode_approve", "layer %s waits for a person: type the heal by hand" % case.layer)
    if history.get("paused") or snapshot.get("paused"):
        case.refuse("paused", "all new heals are paused")
    aborted = case.own_incidents & set(history.get("aborts") or ())
    if aborted:
        case.refuse("aborted", "incident %s was aborted by a person" % names(aborted))


def _approved(case: Case) -> bool:
    return bool((case.incident or {}).get("approved"))


def illness(case: Case, symptom_of: str) -> None:
    """The verdict decides; a drill lifts only "not ill" and "suspect"."""
    verdict = case.verdict.get("verdict")
    why = "; ".join(case.verdict.get("reasons") or ()) or "no reasons given"
    if verdict == "unknown":
        case.refuse("unknown_reading", "%s: %s" % (case.node, why))
    elif verdict == "faulty" and case.verdict.get("layer_load"):
        case.refuse("layer_load", "all nodes of layer %s are high: %s" % (case.layer, why))
    elif verdict == "suspect" and not case.drill:
        case.refuse("suspect_only", "%s: %s" % (case.node, why))
    elif verdict == "ok" and not case.drill:
        case.refuse("not_ill", "%s is ok; a heal of a healthy node needs selfheal_reason=drill" % case.node)
    elif verdict == "faulty" and symptom_of and not case.drill:
        case.refuse("not_ill", "the readings of %s are a symptom of %s: heal that first" % (case.node, symptom_of))
    ended, reading = healed_at(case.history, case.node, case.now), case.newest_reading()
    if verdict == "faulty" and ended is not None and reading is not None and reading <= ended and not case.drill:
        case.refuse("stale_alert", "the newest bad reading of %s is from before its last heal ended" % case.node)


def people(case: Case) -> None:
    """Invariant 6: downtime that is not ours, acknowledgement, flapping, handler, parents."""
    host = (case.snapshot.get("hosts") or {}).get(case.node) or {}
    marks = (case.snapshot.get("marks") or {}).get(case.node) or {}
    mine = [item for item in case.snapshot.get("downtimes") or () if item.get("host") == case.node]
    ours = [item for item in mine if item.get("ours")]
    theirs = [item for item in mine if not item.get("ours") and item.get("in_effect", True)]
    if theirs:
        who = ", ".join("%s (%s)" % (item.get("author") or "?", item.get("comment") or "") for item in theirs[:3])
        case.refuse("downtime", "%s is in downtime by %s" % (case.node, who))
    elif not ours and ((host.get("downtime_depth") or 0) > 0 or marks.get("downtime")):
        case.refuse("downtime", "%s is in downtime" % (names(marks.get("downtime") or ()) or case.node))
    for mark, flag, text in (
        ("acknowledged", host.get("acknowledged"), "acknowledged"),
        ("flapping", host.get("flapping"), "flapping"),
        ("handler_disabled", host.get("handler_enabled") is False, "without event handler"),
    ):
        services = marks.get(mark) or []
        if flag or services:
            what = names(services) if services else "the host"
            case.refuse(mark, "%s of %s is %s" % (what, case.node, text))
    down = [
        parent
        for parent in host.get("parents") or ()
        if ((case.snapshot.get("hosts") or {}).get(parent) or {}).get("status") in ("down", "unreachable")
    ]
    if down or host.get("status") == "unreachable":
        case.refuse("parent_unreachable", "parent %s of %s is down" % (names(down) or "(unknown)", case.node))


def attempts(case: Case) -> None:
    """Invariant 7. Success does not reset anything; an acknowledged attempt is a person's word that it is settled."""
    own = case.incident["id"] if case.resume and case.incident else None
    real = [
        item
        for item in case.history.get("attempts") or ()
        if item.get("outcome") not in UNTOUCHED and not item.get("acknowledged")
    ]
    mine = [item for item in real if item.get("node") == case.node]
    window = case.limits["attempts_window_seconds"]
    recent = [item for item in mine if case.now - item["at"] < window]
    if len(recent) >= case.limits["max_attempts"]:
        case.refuse(
            "attempts_exhausted",
            "%d attempts on %s within %s, allowed are %d"
            % (len(recent), case.node, seconds(window), case.limits["max_attempts"]),
        )
    _block(case, [item for item in mine if item.get("incident") != own], "blocked_node", "block_node_seconds")
    others = [item for item in real if item.get("layer") == case.layer and item.get("node") != case.node]
    _block(case, others, "blocked_layer", "block_layer_seconds")
    last = max(mine, key=lambda item: (item["at"], item.get("attempt") or 0)) if mine else None
    if last and last.get("outcome") == "ambiguous":
        case.refuse("ambiguous_outcome", "attempt %s of incident %s ended unknown; look at %s and acknowledge it"
                    % (last.get("attempt"), last.get("incident"), case.node))  # fmt: skip
    elif case.resume and case.resume.get("phase") == "restart" and case.resume.get("rung") == "reboot":
        # systemd merges a second restart of a unit; a second reboot of a machine nobody merges.
        case.refuse("ambiguous_outcome", "incident %s was interrupted while %s rebooted; look at it and acknowledge it"
                    % (case.resume.get("incident"), case.node))  # fmt: skip


def _block(case: Case, items: List[Mapping[str, Any]], reason: str, limit: str) -> None:
    if not items:
        return
    last = max(items, key=lambda item: item.get("ended_at") or item["at"])
    # A clock that went back must not block for longer than the policy says.
    left = min((last.get("ended_at") or last["at"]) + case.limits[limit] - case.now, case.limits[limit])
    if left > 0:
        case.refuse(
            reason,
            "%s was healed %s ago (incident %s, %s); blocked for another %s"
            % (last["node"], seconds(max(0.0, case.now - (last.get("ended_at") or last["at"]))),
               last.get("incident"), last.get("outcome") or "running", seconds(left)),
        )  # fmt: skip


def leases(case: Case, wanted: List[Dict[str, str]], slots: int) -> List[Dict[str, str]]:
    """Invariant 1: every lease at once, or none. Returns the leases to take, with the slot chosen."""
    own = case.incident["id"] if case.incident else None
    live = case.live_leases()
    told: Set[str] = set()
    for lease in live:
        if own and not case.resume and lease["incident"] == own and lease["resource"] == "node:" + case.node:
            _taken(case, lease, told)
    for want in wanted:
        for lease in live:
            both_shared = want["mode"] == "shared" and lease.get("mode") == "shared"
            if lease["resource"] == want["resource"] and lease.get("incident") != own and not both_shared:
                _taken(case, lease, told)
    chosen = list(wanted)
    if slots:
        taken = {item["resource"]: item for item in live if item["resource"].startswith("slot:%s:" % case.layer)}
        free = [
            "slot:%s:%d" % (case.layer, number)
            for number in range(slots)
            if taken.get("slot:%s:%d" % (case.layer, number), {}).get("incident") in (None, own)
        ]
        mine = [name for name in free if name in taken]
        if free:
            chosen.append({"resource": (mine or free)[0], "mode": "exclusive"})
        else:
            for lease in taken.values():
                _taken(case, lease, told)
    return sorted(chosen, key=lambda item: item["resource"])


def _taken(case: Case, lease: Mapping[str, Any], told: Set[str]) -> None:
    if lease["resource"] in told:
        return
    told.add(lease["resource"])
    who = (lease.get("owner") or {}).get("user")
    until = lease.get("expires_at")
    left = " for another %s" % seconds(until - case.now) if until is not None and until > case.now else ""
    case.refuse(
        "lease_taken",
        "%s is held by incident %s (epoch %s%s%s)%s"
        % (lease["resource"], lease.get("incident"), lease.get("epoch"),
           ", phase %s" % lease["phase"] if lease.get("phase") else "", ", by %s" % who if who else "", left),
    )  # fmt: skip
