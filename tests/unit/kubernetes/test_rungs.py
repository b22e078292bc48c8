# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Which rung a workload gets: input, rung, and the words of the reason."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _kubernetes_rungs as rungs
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_workload import describe
from tests.unit.kubernetes.objects import (
    NOW,
    UNSCHEDULABLE,
    autoscaler,
    condition,
    container,
    deployment,
    ended,
    pod,
    replica_set,
)

SETTLED = condition("Progressing", "True", "NewReplicaSetAvailable")
FAILED = condition("Progressing", "False", "ProgressDeadlineExceeded", "it has timed out progressing.")
PULL = container("waiting", "ImagePullBackOff", "Back-off pulling image ei:3")
NO_CONFIG = container("waiting", "CreateContainerConfigError", 'secret "x" not found')
LOOP = container("waiting", "CrashLoopBackOff", "back-off 5m0s", 7, ended(20))
OLD, NEW = replica_set(1, 2), replica_set(2)


def view(told: Any, pods: Any, sets: Any = (OLD, NEW), scaler: Any = (), **status: Any) -> dict[str, Any]:
    item = deployment(2, status.pop("available", 1), revision=2, conditions=[told] if told else [])
    item["status"].update(status)
    return describe(item, sets, pods, NOW, scaler)


@pytest.mark.parametrize(
    ("seen", "failed", "kind", "words"),
    [
        (view(FAILED, [pod("n", 2, containers=[PULL])]), (), "undo", "ImagePullBackOff"),
        (view(FAILED, [pod("n", 2)]), (), "undo", "timed out progressing.; revision 1 was available"),
        (view(None, [pod("n", 2, containers=[LOOP])], updatedReplicas=1), (), "undo", "does not come up: pod n"),
        (view(FAILED, [pod("n", 2)]), ("undo",), "none", "putting a revision back did not help"),
        (view(FAILED, [pod("n", 2)], sets=[NEW]), (), "none", "no revision before is known to have been available"),
        (view(SETTLED, [pod("n", 2, containers=[PULL])]), (), "none", "cannot pull an image that revision 2 ran with"),
        (view(SETTLED, [pod("n", 2, containers=[NO_CONFIG])]), (), "undo", "pod n cannot start"),
        (view(SETTLED, [pod("n", 2, containers=[LOOP]), pod("m", 2)]), (), "evict", "CrashLoopBackOff"),
        (view(SETTLED, [pod("n", 2, containers=[LOOP])]), ("evict",), "rollout", "did not help"),
        (view(SETTLED, [pod("n", 2, containers=[LOOP])]), ("evict", "rollout"), "undo", "new pods did not help"),
        (view(SETTLED, [pod("n", 2, containers=[LOOP])]), ("evict", "rollout", "undo"), "none", "did not help"),
        (view(SETTLED, [pod("n", 2), pod("m", 2, deleted=61)]), (), "evict", "does not go"),
        (view(SETTLED, [pod("n", 2), pod("m", 2, deleted=59)]), (), "rollout", "what they serve is ill"),
        (view(SETTLED, [pod("n", 2, phase="Pending", conditions=[UNSCHEDULABLE], containers=[])]), (), "none",
         "finds no node: 0/3 nodes are available: 2 Insufficient cpu"),
        (view(FAILED, [pod("n", 2, phase="Pending", conditions=[UNSCHEDULABLE], containers=[])]), (), "none",
         "smaller requests"),
    ],
)  # fmt: skip
def test_the_rung(seen: dict[str, Any], failed: tuple[str, ...], kind: str, words: str) -> None:
    found = rungs.choose(seen, failed)
    assert (found["kind"], words in found["why"]) == (kind, True), found


def test_a_rung_names_what_it_is_about() -> None:
    stuck = view(SETTLED, [pod("a", 2, containers=[LOOP]), pod("b", 2), pod("c", 2, deleted=100)])
    assert rungs.choose(stuck, ())["pods"] == ["a", "c"]
    assert rungs.choose(view(FAILED, []), ())["revision"] == 1


def test_at_its_maximum_no_pod_is_ill() -> None:
    full = view(SETTLED, [pod("a", 2), pod("b", 2)], scaler=[autoscaler(400)], available=2, availableReplicas=2)
    assert "at its maximum of 6 (cpu 240 % of 200 %)" in rungs.short_of_room(full)
    assert rungs.short_of_room(view(SETTLED, [pod("a", 2)], scaler=[autoscaler(400)])) == ""
    assert rungs.short_of_room(view(SETTLED, [pod("a", 2)], available=2, scaler=[autoscaler()])) == ""


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (view(None, [pod("n", 2)], updatedReplicas=1), "revision 2 is under way: 1 of 2 pods are of this revision"),
        (view(None, [pod("n", 2, containers=[LOOP])], updatedReplicas=1), ""),
        (view(SETTLED, [pod("n", 2)]), ""),
        (view(FAILED, [pod("n", 2)]), ""),
        (view(SETTLED, [pod("n", 2, containers=[PULL])], observedGeneration=2), "revision 2 was changed just now"),
        (view(FAILED, [pod("n", 2)], observedGeneration=2), "revision 2 was changed just now"),
    ],
)
def test_a_roll_out_that_may_still_come_up_is_waited_for(seen: dict[str, Any], words: str) -> None:
    found = rungs.under_way(seen)
    assert (words in found) if words else (found == "")


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (view(SETTLED, [pod("a", 2), pod("b", 2)], available=2), ""),
        (view(SETTLED, [pod("a", 2)]), "roll-out progressing: 1 of 2 pods are available"),
        (view(FAILED, [pod("a", 2)]), "roll-out failed"),
        (view(SETTLED, [pod("a", 2, containers=[LOOP])], available=2), "pod a: CrashLoopBackOff"),
    ],
)
def test_what_is_not_proven_healthy(seen: dict[str, Any], words: str) -> None:
    found = rungs.well(seen)
    assert (words in found) if words else (found == "")
