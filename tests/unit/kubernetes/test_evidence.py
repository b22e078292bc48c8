# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is kept of a workload, in which order, and what is given up. The API is a fake."""

from __future__ import annotations

from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils import _kubernetes_evidence as evidence
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import KubernetesError
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_ask import machine
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_workload import describe
from tests.unit.kubernetes.objects import NOW, condition, container, deployment, ended, pod, replica_set

LOOP = container("waiting", "CrashLoopBackOff", "back-off", 2, ended(5))
PULL = container("waiting", "ErrImagePull", "no such host")


class FakeApi:
    """Answers every question; a log that holds a password, and no right to read the Deployment."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def request(self, _method: str, path: str, **query: Any) -> str:
        self.asked.append((path, query))
        if query.get("previous"):
            return "Traceback\npassword=hunter2\nValueError: no API definition\n"
        return "starting\n"

    def get(self, path: str) -> dict[str, Any]:
        self.asked.append((path, {}))
        if "/deployments/" in path:
            raise KubernetesError("not_authorized", "no", 403)
        return {"metadata": {"name": path.rsplit("/", 1)[1], "managedFields": [1]}}


def sleepless(_seconds: float) -> None:
    raise AssertionError("nothing is waited for")


def view() -> dict[str, Any]:
    pods = [pod("well"), pod("loop", containers=[LOOP]), pod("pull", containers=[PULL])]
    events = [{"involvedObject": {"kind": "Pod", "name": "loop"}, "reason": "BackOff", "type": "Warning"}]
    item = deployment(conditions=[condition("Progressing", "True", "NewReplicaSetAvailable")])
    return describe(item, [replica_set(1, 1)], pods, NOW, events=events)


def test_the_log_of_the_container_before_comes_first_and_secrets_are_cut_out() -> None:
    api: Any = FakeApi()
    texts, missing = evidence.take(api, view(), 10, 1000, lambda: 0.0, sleepless)
    assert list(texts)[:3] == ["events", "workload", "log-loop-integrator-previous"], "the first two are known already"
    assert "ValueError: no API definition" in texts["log-loop-integrator-previous"]
    assert "hunter2" not in str(texts)
    assert "log-pull-integrator" not in texts, "a container that never ran has no log"
    assert "log-well-integrator" in texts, "one that serves is kept beside, to compare"
    assert "BackOff Pod/loop" in texts["events"]
    assert "managedFields" not in texts["pod-loop"]
    assert missing == ["deployment (not_authorized)"]
    assert api.asked[0][1] == {
        "raw": True, "container": "integrator", "tailLines": 400, "limitBytes": 4000, "timestamps": "true",
        "previous": "true",
    }  # fmt: skip


def test_what_does_not_come_in_time_is_named() -> None:
    times = iter([0.0, 1.0, 1.0, 1.0, 11.0, *[12.0] * 20])
    api: Any = FakeApi()
    texts, missing = evidence.take(api, view(), 10, 1000, lambda: next(times), sleepless)
    assert list(texts) == ["events", "workload", "log-loop-integrator-previous"]
    assert "deployment (no time)" in missing


GONE = "unable to retrieve container logs for containerd://be3d369e"


def test_a_log_that_the_kubelet_has_just_removed_is_asked_for_again() -> None:
    """The pod's status named the container before by an id that was gone: it gives the right one soon after."""
    api: Any = FakeApi()
    good, answers, slept = api.request, [GONE, GONE], []
    api.request = lambda method, path, **query: (
        answers.pop() if query.get("previous") and answers else good(method, path, **query)
    )
    texts, missing = evidence.take(api, view(), 10, 1000, lambda: 0.0, slept.append)
    assert "no API definition" in texts["log-loop-integrator-previous"]
    assert len(slept) == 2 and missing == ["deployment (not_authorized)"]


def test_a_log_that_stays_gone_is_named_and_is_not_kept_as_a_log() -> None:
    api: Any = FakeApi()
    api.request = lambda *_args, **_query: GONE
    slept: list[float] = []
    texts, missing = evidence.take(api, view(), 10, 1000, lambda: sum(slept), slept.append)
    assert not [name for name in texts if name.startswith("log-")]
    assert missing[0] == "log-loop-integrator-previous (gone)"
    assert sum(slept) < 10 and "events" in texts, "and the rest is still taken"
    many = {**view(), "pods": [{**it, "trouble": "x"} for it in view()["pods"] if it["name"] == "loop"] * 4}
    slept.clear()
    texts, missing = evidence.take(api, many, 10, 1000, lambda: sum(slept), slept.append)
    assert sum(slept) <= 5 and "autoscaler (no time)" not in missing and "pod-loop" in texts, "however many stay gone"


def test_the_whole_object_that_kubectl_keeps_in_an_annotation_is_told_nowhere() -> None:
    """It has every value that was ever applied, and would be in each decision of the journal."""
    notes = {"kubectl.kubernetes.io/last-applied-configuration": '{"env": "hunter2"}', "somebody.example/note": "a"}
    item = deployment()
    item["metadata"]["annotations"] |= notes
    seen = describe(item, [replica_set(1, 1)], [], NOW)
    assert seen["annotations"] == {"deployment.kubernetes.io/revision": "1", "somebody.example/note": "a"}
    assert "hunter2" not in evidence.shown(item) and "somebody.example/note" in evidence.shown(item)
    worker = {"metadata": {"name": "kw1", "annotations": notes}, "status": {}, "spec": {}}
    assert machine("kw1", [worker], [], [], NOW)["annotations"] == {"somebody.example/note": "a"}
