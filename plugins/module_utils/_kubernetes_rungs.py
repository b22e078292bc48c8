# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Which remedy a workload of Kubernetes needs, where Kubernetes' own does not help. Pure.

Kubernetes starts containers again and makes pods anew by itself. What it does not do: notice that this does not help.
So the rungs are few: take a stuck pod away (its place gets another one, perhaps on another node), replace all pods,
put back the last revision that was available, and call a person. What the pods themselves say chooses the first rung;
one that has failed in this incident is not tried again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Optional

from ._kubernetes_workload import COMPLETE, FAILED, NOT_OBSERVED, PAUSED

View = Mapping[str, Any]
EVICT, RESTART, UNDO, NONE = "evict", "rollout", "undo", "none"
#: A container never gets as far as its own program; the same pod elsewhere would not either.
CONFIGURATION = (
    "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
)  # fmt: skip
#: Of these: what a revision that once came up had before, from the same place under the same name.
PULL = ("ImagePullBackOff", "ErrImagePull")
ENDED = ("Failed", "Succeeded")
#: A pod that is told to go and is still there after its time and this: its node does not answer, or a finalizer waits.
STUCK_SECONDS = 60.0


def in_trouble(view: View) -> list[View]:
    """The pods that do not serve. One that has ended (evicted, preempted) stays to be looked at, long after another one
    has taken its place, and one that is told to go is on its way."""
    return [it for it in view["pods"] if it["trouble"] and not it["terminating"] and it["phase"] not in ENDED]


def choose(view: View, failed: Collection[str]) -> dict[str, Any]:
    """The rung: ``kind``, ``why`` in a sentence, and what it is about (``pods``, ``revision``)."""
    bad = in_trouble(view)
    back = view["rollback_to"]
    roll = view["rollout"]
    pod = _first(bad, ("Unschedulable",))
    if pod:
        return _none(f"pod {pod['name']} finds no node: {pod['trouble_message']}; more room, or smaller requests, help")
    if roll["state"] == FAILED or (not roll["settled"] and bad):
        return _undo(back, failed, f"the roll-out of revision {roll['revision']} {_how(roll, bad)}")
    pod = _first(bad, PULL)
    if pod:
        return _none(
            f"pod {pod['name']} cannot pull an image that revision {roll['revision']} ran with before: "
            f"{pod['trouble_message']}; the registry, or the right to it, helps, and no other revision does"
        )
    pod = _first(bad, CONFIGURATION)
    if pod:
        return _undo(back, failed, f"pod {pod['name']} cannot start: {pod['trouble']}: {pod['trouble_message']}")
    stuck = [it for it in view["pods"] if (it["terminating_seconds"] or 0) > STUCK_SECONDS]
    if (bad or stuck) and EVICT not in failed:
        names = [it["name"] for it in [*bad, *stuck]]
        what = bad[0]["trouble"] if bad else "does not go"
        return {
            "kind": EVICT,
            "pods": names,
            "revision": 0,
            "why": f"pod {names[0]}: {what}; another one takes its place",
        }
    if RESTART not in failed:
        why = "its pods run, and what they serve is ill" if not bad else "a new pod in its place did not help"
        return {"kind": RESTART, "pods": [], "revision": 0, "why": why, "after": bool(bad)}
    return _undo(back, failed, "new pods did not help")


def _first(bad: list[View], troubles: Collection[str]) -> Optional[View]:
    """The first pod with one of these troubles."""
    return next((it for it in bad if it["trouble"] in troubles), None)


def _undo(back: Any, failed: Collection[str], why: str) -> dict[str, Any]:
    if UNDO in failed:
        return _none(f"{why}, and putting a revision back did not help")
    if not back:
        return _none(f"{why}, and no revision before is known to have been available")
    return {
        "kind": UNDO,
        "pods": [],
        "revision": back["revision"],
        "why": f"{why}; revision {back['revision']} was available",
    }


def _none(why: str) -> dict[str, Any]:
    return {"kind": NONE, "pods": [], "revision": 0, "why": why}


def _how(roll: View, bad: list[View]) -> str:
    if bad:
        return f"does not come up: pod {bad[0]['name']}: {bad[0]['trouble']}: {bad[0]['trouble_message']}"
    return f"has failed: {roll['message']}"


def short_of_room(view: View) -> str:
    """The autoscaler is at its maximum and all pods serve: no pod is ill. What would help; else empty."""
    scaler = view["autoscaler"]
    if not scaler or not scaler["at_maximum"] or view["available"] < view["desired"]:
        return ""
    metrics = ", ".join(f"{it['name']} {it['current']} of {it['target']}" for it in scaler["metrics"])
    return (
        f"autoscaler {scaler['name']} is at its maximum of {scaler['max']} ({metrics}) and all pods serve: "
        "a higher maximum, larger requests or less load help, no restart does"
    )


def under_way(view: View) -> str:
    """Why one has to wait for a roll-out that may still come up; else empty.

    One whose pods say why they do not start is not waited for: its deadline only makes the outage longer.
    """
    roll = view["rollout"]
    if roll["reason"] == NOT_OBSERVED:  # all else that is told is of the specification before
        return f"revision {roll['revision']} was changed just now: {roll['message']}"
    if roll["state"] in (COMPLETE, FAILED, PAUSED) or roll["settled"]:
        return ""
    if in_trouble(view):
        return ""
    return f"the roll-out of revision {roll['revision']} is under way: {roll['message']}"


def well(view: View) -> str:
    """Why the workload is not proven healthy; empty when all pods of the current revision serve, none in trouble."""
    roll = view["rollout"]
    if roll["state"] != COMPLETE:
        return f"roll-out {roll['state']}: {roll['message']}"
    if view["available"] < max(1, view["desired"]):
        return f"{view['available']} of {max(1, view['desired'])} pods are available"
    bad = in_trouble(view)
    return f"pod {bad[0]['name']}: {bad[0]['trouble']}" if bad else ""
