# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What became of an incident in one sentence, and what a person has to do now. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

ENDED = {
    "healed": "Healed and verified.",
    "undone": "Not healed: the node serves as before.",
    "left_out": "Not healed: the node stays out of traffic until a person has looked.",
    "failed": "The heal failed: a person has to look.",
    "ambiguous": "How the heal ended is not known: a person has to look.",
    "interrupted": "The heal was interrupted.",
    "refused": "Nothing was touched.",
    "recovered": "It recovered by itself; nothing was touched.",
    "returned_by_hand": "A person gave the node back.",
}
LOOK = ("left_out", "failed", "ambiguous", "interrupted")
# What a person can do about a refusal, by its reason; for the others the reason says enough.
REFUSED = {
    "mode_observe": "Layer {layer} only observes. To let it be healed, set its selfheal_mode to approve or act.",
    "mode_approve": "It waits for a word: selfheal approve {id}",
    "paused": "Heals are paused. To go on: selfheal resume",
    "aborted": "It was aborted. When it is settled: selfheal ack {id}",
    "attempts_exhausted": "Every rung was tried. Look at {node}; when it is settled: selfheal ack {id}",
    "ambiguous_outcome": "Find out how the last heal of {node} ended; then: selfheal ack {id}",
    "wrong_kind": "A restart does not cure this. Look at {node}: its disks, network and power.",
    "below_minimum": "Too few members serve: bring another member of layer {layer} back first.",
    "last_member": "It is the last one that serves: bring another member of layer {layer} back first.",
    "human_hold": "A person holds it or its twin in maintenance: end that first.",
    "nagios_stale": "Nagios gives no fresh readings: see whether it runs.",
    "no_journal": "There is no journal: selfheal survey says what is missing.",
}


def verdict(head: Row, attempts: Sequence[Row]) -> str:
    """One sentence for the top of the page."""
    outcome = str(head.get("outcome") or "")
    if outcome.startswith("acknowledged"):
        return f"A person settled it ({outcome})."
    if head.get("taken"):
        return "A person has taken it over. " + ENDED.get(outcome, "")
    if outcome:
        return ENDED.get(outcome, f"It ended as: {outcome}.")
    if head.get("state") != "open":
        return "It is closed."
    return (
        "A heal is under way." if attempts and not attempts[-1].get("outcome") else "It is open; nothing was done yet."
    )


def duties(head: Row, told: Sequence[Row], attempts: Sequence[Row], words: Sequence[Row]) -> list[str]:
    """What a person has to do, the most pressing first; nothing to do is said as well."""
    names = {"id": head.get("incident") or head.get("id"), "node": head.get("node"), "layer": head.get("layer")}
    if head.get("state") != "open":
        found = ["Nothing: it is closed."]
        if any(
            (row.get("detail") or {}).get("unverified") for row in attempts if isinstance(row.get("detail"), Mapping)
        ):
            found = ["{node} was returned unverified, as the last one: look whether it serves well.".format(**names)]
        return found
    found = []
    if head.get("taken"):
        by = next((str(row.get("by")) for row in words if row.get("word") == "take"), "a person")
        found.append("{by} has it. When it is settled: selfheal ack {id}".format(by=by, **names))
    if head.get("outcome") in LOOK:
        found.append("Look at {node}. When it is settled: selfheal ack {id}".format(**names))
    last = told[-1] if told else {}
    if last and not last.get("admitted"):
        reasons = last.get("reasons")
        for reason in reasons if isinstance(reasons, (list, tuple)) else ():
            if str(reason) in REFUSED:
                found.append(REFUSED[str(reason)].format(**names))
    if not found and attempts and not attempts[-1].get("outcome"):
        return ["Nothing yet: a heal is under way. To have it go back: selfheal abort {id}".format(**names)]
    return found or ["Nothing yet: it is looked at again by itself."]
