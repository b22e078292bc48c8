# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The cluster as its API server has it: pods wanted and ready, CPU, nodes. One look each second for the timeline."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from lab.kubernetes.cluster import Kubectl
from lab.machines import LabError

LOOK_SECONDS = 1.0
#: An API server that does not answer in this time gives a hole in the timeline, and no more.
ANSWER_SECONDS = 5.0


class Look(NamedTuple):
    """``at``: seconds since the epoch. Pods wanted and ready; CPU in percent of the request, and what the autoscaler
    aims at. Nothing where it was not told."""

    at: float
    desired: int | None = None
    ready: int | None = None
    utilization: int | None = None
    target: int | None = None

    def __str__(self) -> str:
        if self.desired is None:
            return "the API server does not answer"
        cpu = "not measured yet" if self.utilization is None else f"{self.utilization} %"
        return f"{self.ready} of {self.desired} pods ready, CPU {cpu}" + (f" of {self.target} %" if self.target else "")


class Node(NamedTuple):
    """A machine as the cluster sees it. ``held``: by a heal, in an annotation of its own."""

    ready: bool
    cordoned: bool
    boot_id: str
    held: bool


def look_of(at: float, answer: Mapping[str, Any]) -> Look:
    """A list with the Deployment and its autoscaler (autoscaling/v2), as ``kubectl get -o json`` answers it."""
    found = {str(item.get("kind")): item for item in answer.get("items") or []}
    deployment, scaler = found.get("Deployment"), found.get("HorizontalPodAutoscaler") or {}
    if deployment is None:
        return Look(at)
    return Look(
        at,
        int((deployment.get("spec") or {}).get("replicas") or 0),
        int((deployment.get("status") or {}).get("readyReplicas") or 0),
        _cpu((scaler.get("status") or {}).get("currentMetrics"), "current"),
        _cpu((scaler.get("spec") or {}).get("metrics"), "target"),
    )


def _cpu(metrics: Any, part: str) -> int | None:
    for metric in metrics or []:
        resource = metric.get("resource") or {}
        if resource.get("name") == "cpu":
            value = (resource.get(part) or {}).get("averageUtilization")
            return None if value is None else int(value)
    return None


def node_of(answer: Mapping[str, Any]) -> Node:
    """A Node object."""
    status = answer.get("status") or {}
    ready = any(it.get("type") == "Ready" and it.get("status") == "True" for it in status.get("conditions") or [])
    held = "selfheal.cluster/hold" in ((answer.get("metadata") or {}).get("annotations") or {})
    cordoned = bool((answer.get("spec") or {}).get("unschedulable"))
    return Node(ready, cordoned, str((status.get("nodeInfo") or {}).get("bootID") or ""), held)


def ready_pods(answer: Mapping[str, Any]) -> dict[str, str]:
    """The pods of a list that serve, each with its node. One that is told to go is none of them."""
    return {
        str(item["metadata"]["name"]): str(item["spec"].get("nodeName") or "")
        for item in answer.get("items") or []
        if not item["metadata"].get("deletionTimestamp")
        and any(
            it.get("type") == "Ready" and it.get("status") == "True"
            for it in (item.get("status") or {}).get("conditions") or []
        )
    }


def image_of(deployment: Mapping[str, Any]) -> str:
    """The image that a Deployment's pods are to have."""
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


def look_at(tool: Kubectl, namespace: str, deployment: str, autoscaler: str) -> Look:
    """One look now. What goes wrong is a look that saw nothing, because the timeline goes on."""
    at = time.time()
    words = ("get", "-n", namespace, f"deployment/{deployment}", f"hpa/{autoscaler}", "-o", "json")
    try:
        return look_of(at, json.loads(tool.run(*words, timeout=ANSWER_SECONDS).stdout))
    except (LabError, subprocess.TimeoutExpired, ValueError):
        return Look(at)


class Sampler:
    """Looks once a second until it is stopped."""

    def __init__(self, look: Callable[[], Look]) -> None:
        self.looks: list[Look] = []
        self._look = look
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not self._end.is_set():
            begun = time.monotonic()
            self.looks.append(self._look())
            self._end.wait(max(0.0, LOOK_SECONDS - (time.monotonic() - begun)))

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def since(self, at: float) -> Look | None:
        """The newest look, if it is from after this time (seconds since the epoch)."""
        return self.looks[-1] if self.looks and self.looks[-1].at >= at else None

    def stop(self) -> None:
        """End it; the looks stay."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(ANSWER_SECONDS + 2)
