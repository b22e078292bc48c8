# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the demo reads of the API server's objects, and what it makes of an answer that does not come."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import Any, cast

import pytest

from lab.kubernetes.cluster import Kubectl
from lab.kubernetes.demo import watch
from lab.kubernetes.demo.watch import Look, Node, Sampler, image_of, look_at, look_of, node_of, ready_pods
from lab.machines import LabError

CPU_TARGET = {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 200}}}
CPU_NOW = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 231, "averageValue": "1"}}}
MEMORY_NOW = {"type": "Resource", "resource": {"name": "memory", "current": {"averageUtilization": 9}}}


def deployment(replicas: int | None = 2, ready: int | None = 1) -> dict[str, Any]:
    spec = {} if replicas is None else {"replicas": replicas}
    return {"kind": "Deployment", "spec": spec, "status": {} if ready is None else {"readyReplicas": ready}}


def scaler(*current: dict[str, Any], target: Any = None) -> dict[str, Any]:
    given = [CPU_TARGET] if target is None else target
    return {"kind": "HorizontalPodAutoscaler", "spec": {"metrics": given}, "status": {"currentMetrics": list(current)}}


@pytest.mark.parametrize(
    ("items", "wanted", "words"),
    [
        ([deployment(), scaler(MEMORY_NOW, CPU_NOW)], (2, 1, 231, 200), "1 of 2 pods ready, CPU 231 % of 200 %"),
        ([scaler(CPU_NOW), deployment(4, 4)], (4, 4, 231, 200), "4 of 4 pods ready, CPU 231 % of 200 %"),
        ([deployment(1, None), scaler()], (1, 0, None, 200), "0 of 1 pods ready, CPU not measured yet of 200 %"),
        ([deployment(1, 1)], (1, 1, None, None), "1 of 1 pods ready, CPU not measured yet"),
        ([deployment(None, None), {"kind": "HorizontalPodAutoscaler"}], (0, 0, None, None), None),
        # An idle autoscaler has written its metric without a number.
        ([deployment(1, 1), scaler({"resource": {"name": "cpu", "current": {}}})], (1, 1, None, 200), None),
        ([scaler(CPU_NOW)], (None, None, None, None), "the API server does not answer"),
        ([], (None, None, None, None), "the API server does not answer"),
    ],
)
def test_a_look(items: list[dict[str, Any]], wanted: tuple[Any, ...], words: str | None) -> None:
    found = look_of(7.0, {"items": items})
    assert found == (7.0, *wanted)
    assert words is None or str(found) == words


def condition(ready: str) -> dict[str, Any]:
    return {"conditions": [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": ready}]}


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ({"status": {**condition("True"), "nodeInfo": {"bootID": "b1"}}}, Node(True, False, "b1", False)),
        ({"status": condition("Unknown"), "spec": {"unschedulable": True}}, Node(False, True, "", False)),
        ({"status": condition("True"), "metadata": {"annotations": {"selfheal.cluster/hold": "{}"}}},
         Node(True, False, "", True)),
        ({"status": condition("True"), "metadata": {"annotations": {"other": ""}}}, Node(True, False, "", False)),
        ({}, Node(False, False, "", False)),
    ],
)  # fmt: skip
def test_a_node(answer: dict[str, Any], wanted: Node) -> None:
    assert node_of(answer) == wanted


def pod(name: str, ready: str = "True", node: str | None = "kw1", ends: bool = False) -> dict[str, Any]:
    metadata = {"name": name, **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if ends else {})}
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}, "status": condition(ready)}


def test_only_pods_that_serve_and_stay_count() -> None:
    items = [pod("a"), pod("b", ready="False"), pod("c", ends=True), pod("d", node="kw2"), pod("e", "Unknown", None)]
    assert ready_pods({"items": items}) == {"a": "kw1", "d": "kw2"}
    assert ready_pods({"items": [{"metadata": {"name": "f"}, "spec": {}}]}) == {}
    assert ready_pods({}) == {}


def test_the_image_of_a_deployment() -> None:
    assert image_of({"spec": {"template": {"spec": {"containers": [{"image": "r/ei:1"}]}}}}) == "r/ei:1"


class Tool:
    """kubectl that gives one answer."""

    def __init__(self, answer: str | Exception) -> None:
        self.answer = answer
        self.words: tuple[str, ...] = ()

    def run(self, *words: str, timeout: float) -> subprocess.CompletedProcess[str]:
        self.words = words
        assert timeout == watch.ANSWER_SECONDS
        if isinstance(self.answer, Exception):
            raise self.answer
        return subprocess.CompletedProcess(words, 0, stdout=self.answer)


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (json.dumps({"items": [deployment(), scaler(CPU_NOW)]}), 1),
        (LabError("refused"), None),
        (subprocess.TimeoutExpired("kubectl", 5), None),
        ("{not json", None),
    ],
)
def test_a_look_that_fails_is_a_hole_and_no_error(answer: str | Exception, ready: int | None) -> None:
    tool = Tool(answer)
    found = look_at(cast(Kubectl, tool), "ei", "ei-deployment", "ei-hpa")
    assert found.ready == ready
    assert found.at > 1e9
    assert tool.words == ("get", "-n", "ei", "deployment/ei-deployment", "hpa/ei-hpa", "-o", "json")


def test_the_sampler_looks_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.001)
    enough, count = threading.Event(), 0

    def look() -> Look:
        nonlocal count
        count += 1
        if count == 5:
            enough.set()
        return Look(float(count), 1, 1)

    sampler = Sampler(look)
    assert sampler.since(0.0) is None
    sampler.start()
    assert enough.wait(20)
    sampler.stop()
    last = len(sampler.looks)
    assert last >= 4
    assert sampler.since(float(last)) == Look(float(last), 1, 1)
    assert sampler.since(last + 0.5) is None, "an old look says nothing of now"


def test_a_sampler_that_never_began_is_stopped_all_the_same() -> None:
    sampler = Sampler(lambda: Look(0.0))
    sampler.stop()
    assert sampler.looks == []
