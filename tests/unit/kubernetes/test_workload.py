# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is read out of a Deployment's objects, and what would be changed of it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _kubernetes_rollout as rollout
from ansible_collections.selfheal.cluster.plugins.module_utils import _kubernetes_workload as workload
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import said_by_server, selector_text
from tests.unit.kubernetes.objects import (
    NOW,
    UNSCHEDULABLE,
    at,
    autoscaler,
    condition,
    container,
    deployment,
    ended,
    pod,
    replica_set,
)

FAILED = condition("Progressing", "False", "ProgressDeadlineExceeded", "it has timed out progressing.")


def changed(status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    made = deployment(3, **spec)
    made["status"].update(status)
    return made


@pytest.mark.parametrize(
    ("item", "state", "reason"),
    [
        (deployment(3), "complete", ""),
        (changed({"observedGeneration": 2}), "progressing", "NotObserved"),
        (changed({"updatedReplicas": 1}), "progressing", "Updating"),
        (changed({"replicas": 4}), "progressing", "OldPods"),
        (changed({"availableReplicas": 2}), "progressing", "NotAvailable"),
        (changed({"availableReplicas": 2}, conditions=[FAILED]), "failed", "ProgressDeadlineExceeded"),
        # It stays failed (its controller leaves the condition); that it is paused is told beside it.
        (changed({}, conditions=[FAILED], paused=True), "failed", "ProgressDeadlineExceeded"),
        (changed({}, paused=True), "paused", "Paused"),
        (deployment(0), "complete", ""),
        ({}, "complete", ""),
    ],
)
def test_roll_out(item: dict[str, Any], state: str, reason: str) -> None:
    assert workload.roll_out(item)[:2] == (state, reason)


@pytest.mark.parametrize(
    ("item", "reason", "words"),
    [
        (pod(), "", ""),
        (pod(phase="Pending", conditions=[UNSCHEDULABLE], containers=[]), "Unschedulable", "2 Insufficient cpu"),
        (pod(containers=[container("waiting", "ErrImagePull", "no such host")]), "ErrImagePull", "no such host"),
        (pod(containers=[container("waiting", "CrashLoopBackOff", "back-off", 3, ended(9, "OOMKilled", 137))]),
         "CrashLoopBackOff", "last ended by OOMKilled (exit code 137)"),
        (pod(containers=[container("waiting", "ContainerCreating")]), "", ""),
        (pod(containers=[container("terminated", "Completed")]), "Completed", "ended with exit code"),
        (pod(phase="Failed", reason="Evicted", message="The node was low on memory."), "Evicted", "low on memory"),
    ],
)  # fmt: skip
def test_why_a_pod_does_not_serve(item: dict[str, Any], reason: str, words: str) -> None:
    found, sentence = workload.trouble(workload.pod(item, NOW))
    assert (found, words in sentence) == (reason, True), sentence


def test_the_whole_of_a_bad_roll_out() -> None:
    loop = container("waiting", "CrashLoopBackOff", "back-off 10s", 2, ended(5))
    seen = workload.describe(
        deployment(2, 1, revision=3, conditions=[FAILED]),
        [
            replica_set(1, **{f"{workload.AVAILABLE}-rs-1": at(500)}),
            replica_set(2, available=1),
            replica_set(3, image="ei:bad"),
            replica_set(9, available=5, owner="another"),
        ],
        [pod("good", 2), pod("bad", 3, containers=[loop], conditions=[]), pod("other", 9)],
        NOW,
        [autoscaler(100), {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "other"}}}],
        [{"metadata": {"name": "pdb"}, "spec": {"selector": {"matchLabels": {"type": "ei"}}, "maxUnavailable": 1},
          "status": {"disruptionsAllowed": 1}}, {"spec": {"selector": {"matchLabels": {"type": "x"}}}}],
        [{"involvedObject": {"kind": "Pod", "name": "bad"}, "reason": "BackOff", "type": "Warning", "count": 4,
          "message": "Back-off\nrestarting", "lastTimestamp": at(3)},
         {"involvedObject": {"kind": "Pod", "name": "other"}, "reason": "BackOff"}],
        ["metrics: not authorized"],
    )  # fmt: skip
    assert [it["name"] for it in seen["pods"]] == ["bad", "good"]
    assert [(it["revision"], it["current"], it["was_available"]) for it in seen["revisions"]] == [
        (3, True, False), (2, False, True), (1, False, True),
    ]  # fmt: skip
    assert seen["rollback_to"]["revision"] == 2
    assert seen["restarts"] == 2 and seen["restart_reasons"] == {"Error": 2}
    assert seen["autoscaler"]["at_maximum"] and seen["autoscaler"]["at_maximum_seconds"] == 100
    assert seen["autoscaler"]["metrics"] == [{"name": "cpu", "current": "240 %", "target": "200 %"}]
    assert [it["name"] for it in seen["budgets"]] == ["pdb"]
    assert [(it["object"], it["message"], it["count"]) for it in seen["events"]] == [
        ("Pod/bad", "Back-off restarting", 4)
    ]
    assert seen["missing"] == ["metrics: not authorized"]
    assert workload.why_not(seen) == [
        "roll-out failed: it has timed out progressing.",
        "pod bad: CrashLoopBackOff: container integrator: back-off 10s, last ended by Error (exit code 1)",
        "1 of 2 pods are available",
    ]


def test_nothing_speaks_against_a_healthy_one() -> None:
    seen = workload.describe(deployment(1), [replica_set(1, 1)], [pod()], NOW)
    assert workload.why_not(seen) == []
    assert seen["rollback_to"] is None and seen["autoscaler"] is None


@pytest.mark.parametrize(
    ("revisions", "wanted", "found"),
    [
        ([replica_set(1, 1), replica_set(2)], 0, 1),
        ([replica_set(1, 1), replica_set(2, 1), replica_set(3)], 0, 2),
        ([replica_set(1, 1), replica_set(2), replica_set(3)], 0, 1),
        ([replica_set(1), replica_set(2)], 1, 1),
        ([replica_set(1), replica_set(2)], 0, "known to have been available"),
        ([replica_set(2)], 0, "known to have been available"),
        ([replica_set(1), replica_set(2)], 7, "There is no revision 7; there are 1, 2."),
    ],
)
def test_which_revision_is_put_back(revisions: list[dict[str, Any]], wanted: int, found: Any) -> None:
    current = deployment(revision=int(revisions[-1]["metadata"]["annotations"]["deployment.kubernetes.io/revision"]))
    if isinstance(found, int):
        number, item = rollout.chosen(current, revisions, wanted, NOW)
        assert (number, item["metadata"]["name"]) == (found, f"ei-deployment-{found}")
        return
    with pytest.raises(SelfhealError, match=found):
        rollout.chosen(current, revisions, wanted, NOW)


def test_a_revision_is_put_back_without_what_its_controller_added() -> None:
    item = replica_set(1)
    template = rollout.undo_template(item)
    assert template["metadata"] == {"labels": {"type": "ei"}}
    assert template["spec"] == item["spec"]["template"]["spec"]
    assert item["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] == "1", "the given one stays as it was"
    with pytest.raises(SelfhealError, match="has no template"):
        rollout.undo_template({"metadata": {"name": "x"}})


def test_a_restart_marks_the_template_and_changes_nothing_else() -> None:
    before = deployment()
    template = rollout.restart_template(before, NOW)
    assert template["metadata"].pop("annotations") == {rollout.RESTARTED: at(0)}
    assert template == before["spec"]["template"]


@pytest.mark.parametrize(
    ("item", "may"),
    [
        (deployment(3), True),
        (changed({"availableReplicas": 2}), True),
        (changed({"availableReplicas": 2}, conditions=[FAILED]), True),
        (changed({"updatedReplicas": 1}), False),
        (changed({"observedGeneration": 2}), False),
        (changed({}, paused=True), False),
    ],
)
def test_a_roll_out_under_way_is_not_restarted(item: dict[str, Any], may: bool) -> None:
    if may:
        rollout.may_restart(item)
        return
    with pytest.raises(SelfhealError) as refused:
        rollout.may_restart(item)
    assert refused.value.reason == "rollout_running"


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, "a in (1,2)"),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, "!a"),
        (None, ""),
    ],
)
def test_selectors(selector: Any, text: str) -> None:
    assert selector_text(selector) == text


@pytest.mark.parametrize(
    ("selector", "labels", "fits"),
    [
        (None, {"a": "1"}, False),
        ({}, {"a": "1"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "2"}}, {"a": "1"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {"a": "1"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Better"}]}, {"a": "1"}, False),
    ],
)
def test_what_a_selector_selects(selector: Any, labels: dict[str, str], fits: bool) -> None:
    assert workload.matches(selector, labels) is fits


@pytest.mark.parametrize(
    ("body", "status", "reason", "words"),
    [
        ('{"message": "deployments.apps is forbidden: User x cannot get"}', 403, "not_authorized", "lacks that verb"),
        ('{"message": "m", "details": {"causes": [{"field": "spec.replicas", "message": "Invalid value"}]}}', 422,
         "invalid", "spec.replicas: Invalid value"),
        ("<html>", 502, "api_error", "<html>"),
        ("", 401, "not_authenticated", "still valid?"),
        ('["x"]', 409, "conflict", "GET /x"),
    ],
)  # fmt: skip
def test_what_the_server_says_no_with(body: str, status: int, reason: str, words: str) -> None:
    found = said_by_server(body, status, "GET /x")
    assert (found.reason, found.status, words in found.message) == (reason, status, True), found.message
