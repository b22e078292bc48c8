# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Mode approve: for how long a person's word holds, and what may be started without it. Pure.

The plan refuses ``mode_approve`` by itself. This is the second lock: without a word in force nothing is begun, a run is
started only to ask the plan, so that a person can read what would be done before they say yes.
"""

from __future__ import annotations

from typing import Any, Mapping, Optional, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_view import (
    AHEAD_SECONDS,
    LEFT,
    UNFINISHED,
    View,
    number,
)

# The word was said about the farm as it was then. What was begun under it is brought to its end, however long it takes.
APPROVAL_SECONDS = 1800.0
ASK_AGAIN_SECONDS = 1800.0  # a question that nobody answers is put once more
RETURNS = ("resume", "give_back")  # these begin nothing: the node is out of traffic, and they bring it back

Row = Mapping[str, Any]


def needs_word(view: View, incident: Row) -> bool:
    """Whether its layer is in mode approve and no word is in force."""
    return view.policy(incident["node"]).get("mode") == "approve" and not view.approved(incident)


def lapsed(view: View, incident: Row, why: str) -> bool:
    """Whether a person's word was said too long ago for what would be started now (``why``; '' for nothing)."""
    if view.policy(incident["node"]).get("mode") != "approve" or not incident.get("approved"):
        return False
    at = incident.get("approved_at")
    if at is None or not number(at):
        at = float(incident["opened_at"])  # no record of the word: it was not said before there was an incident
    if -AHEAD_SECONDS <= view.now - at <= APPROVAL_SECONDS:
        return False
    tried = view.tried(incident)
    begun = bool(tried) and tried[-1].get("outcome") in UNFINISHED + LEFT
    return not begun or why == "ill"


def question(view: View, incident: Row) -> Optional[Tuple[str, str]]:
    """The reason and the sentence with which a person is asked for their word; a second one when nobody answers."""
    if view.approved(incident):
        return None
    ill = "; ".join(incident.get("reasons") or ())
    asked = view.called_at.get((incident["id"], "mode_approve"))
    if asked is not None and number(asked) and view.now - asked >= ASK_AGAIN_SECONDS:
        return "approve_late", "%s is ill (%s) and has waited for a word for %d minutes; to heal it type: " \
            "selfheal approve %s" % (incident["node"], ill, (view.now - asked) // 60, incident["id"])  # fmt: skip
    return "mode_approve", "%s is ill (%s); to heal it type: selfheal approve %s" % (
        incident["node"], ill, incident["id"],
    )  # fmt: skip
