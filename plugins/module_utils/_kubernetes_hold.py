# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Holds and epochs on objects of Kubernetes: annotations of the object's own metadata, never of a pod template.

What a file on a balancer's disk is for a member, an annotation is here. The API server is the place where both are
enforced: every change names the version of the object that was judged, and is refused when there is a younger one.
Pure, but for what the caller gives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from ._errors import SelfhealError

HOLD = "selfheal.cluster/hold"
EPOCH = "selfheal.cluster/epoch"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
JSON_PATCH = "application/json-patch+json"


def notes_of(item: Mapping[str, Any]) -> dict[str, str]:
    """The annotations of an object."""
    return dict((item.get("metadata") or {}).get("annotations") or {})


def told_notes(item: Mapping[str, Any]) -> dict[str, str]:
    """The annotations that may be told: without the one in which kubectl keeps the whole object, values and all."""
    return {name: text for name, text in notes_of(item).items() if name != APPLIED}


def highest_epoch(notes: Mapping[str, str]) -> int:
    """The highest epoch that this object has seen; what is no number is no epoch."""
    text = notes.get(EPOCH, "")
    return int(text) if text.isdecimal() else 0


def read_hold(notes: Mapping[str, str], now: float) -> Optional[dict[str, Any]]:
    """The hold on an object, with its remaining seconds; an unreadable one belongs to nobody, and is kept."""
    text = notes.get(HOLD)
    if not text:
        return None
    try:
        found = json.loads(text)
        return {
            "incident": str(found["incident"]),
            "epoch": int(found["epoch"]),
            "phase": str(found["phase"]),
            "reason": str(found.get("reason", "")),
            "remaining_seconds": round(float(found["expires"]) - now, 1),
            "expired": float(found["expires"]) <= now,
        }
    except (ValueError, KeyError, TypeError):
        return {
            "incident": "unknown", "epoch": 0, "phase": "unknown", "reason": "the annotation cannot be read",
            "remaining_seconds": 0.0, "expired": False,
        }  # fmt: skip


def refuse(what: str, item: Mapping[str, Any], incident: str, epoch: int, now: float) -> None:
    """Raise unless this incident, under this epoch, may change the object (invariants 1 and 8)."""
    notes = notes_of(item)
    if epoch < highest_epoch(notes):
        raise SelfhealError(
            "stale_epoch",
            f"{what} has seen epoch {highest_epoch(notes)}; this run has {epoch}, so a younger one has taken over.",
        )
    hold = read_hold(notes, now)
    # One that has run out is of a heal that is over. The controller of Deployments copies annotations to ReplicaSets,
    # and `kubectl rollout undo` copies them back: so a hold may come again long after its incident.
    if hold is not None and hold["incident"] != incident and not hold["expired"]:
        raise SelfhealError(
            "human_hold",
            f"{what} is held by incident {hold['incident']} (epoch {hold['epoch']}, phase {hold['phase']}: "
            f"{hold['reason'] or 'no reason given'}), which this run does not own.",
        )


def hold_text(incident: str, epoch: int, phase: str, expires: float, reason: str) -> str:
    """The annotation's text."""
    return json.dumps(
        {"incident": incident, "epoch": epoch, "phase": phase, "expires": round(expires, 1), "reason": reason[:300]},
        sort_keys=True,
    )


def guarded(item: Mapping[str, Any], changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A JSON patch (RFC 6902) that is refused as a whole when the object is not the one that was judged any more.

    The version is written, not tested: a patch that brings one is answered 409 when there is a younger one (Kubernetes
    API concepts, "Resource versions"), where a failed test would be a 422 like any other mistake.
    """
    version = str((item.get("metadata") or {}).get("resourceVersion", ""))
    return [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}, *changes]


def note_changes(item: Mapping[str, Any], changes: Mapping[str, Optional[str]]) -> list[dict[str, Any]]:
    """The operations of a JSON patch that set annotations, or remove those whose value is nothing."""
    notes = notes_of(item)
    made: list[dict[str, Any]] = []
    if not notes and any(value is not None for value in changes.values()):
        made.append({"op": "add", "path": "/metadata/annotations", "value": {}})
    for name, value in sorted(changes.items()):
        path = "/metadata/annotations/" + name.replace("~", "~0").replace("/", "~1")
        if value is not None:
            made.append({"op": "add", "path": path, "value": value})
        elif name in notes:
            made.append({"op": "remove", "path": path})
    return made
