# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Objects of Kubernetes' API for tables of tests, in the shape that the API server of 1.35 answers with."""

from __future__ import annotations

import datetime
from typing import Any

NOW = 1_790_000_000.0
UID = "d-1"


def at(seconds_ago: float) -> str:
    """A time of the API, so many seconds before now."""
    return datetime.datetime.fromtimestamp(NOW - seconds_ago, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: str, reason: str = "", message: str = "", ago: float = 60) -> dict[str, Any]:
    """One condition."""
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at(ago)}


def deployment(
    wanted: int = 2, available: int | None = None, revision: int = 1, conditions: Any = (), **spec: Any
) -> dict[str, Any]:
    """A Deployment whose controller has seen it."""
    there = wanted if available is None else available
    return {
        "metadata": {
            "name": "ei-deployment", "namespace": "ei", "uid": UID, "generation": 3, "resourceVersion": "77",
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        },
        "spec": {
            "replicas": wanted, "progressDeadlineSeconds": 60,
            "selector": {"matchLabels": {"type": "ei"}},
            "template": {
                "metadata": {"labels": {"type": "ei"}},
                "spec": {"containers": [{"name": "integrator", "image": "ei:2"}]},
            },
            **spec,
        },
        "status": {
            "observedGeneration": 3, "replicas": wanted, "updatedReplicas": wanted, "readyReplicas": there,
            "availableReplicas": there, "conditions": list(conditions),
        },
    }  # fmt: skip


def replica_set(
    revision: int, available: int = 0, image: str = "ei:1", owner: str = UID, **annotations: str
) -> dict[str, Any]:
    """A ReplicaSet of the Deployment."""
    name = f"ei-deployment-{revision}"
    labels = {"type": "ei", "pod-template-hash": str(revision)}
    return {
        "metadata": {
            "name": name, "uid": f"rs-{revision}", "creationTimestamp": at(600 - revision), "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": str(revision), **annotations},
            "ownerReferences": [{"controller": True, "uid": owner, "kind": "Deployment"}],
        },
        "spec": {
            "template": {
                "metadata": {"labels": labels, "creationTimestamp": None},
                "spec": {"containers": [{"name": "integrator", "image": image}]},
            }
        },
        "status": {"replicas": available, "readyReplicas": available, "availableReplicas": available},
    }  # fmt: skip


def container(
    state: str = "running", reason: str = "", message: str = "", restarts: int = 0, last: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The status of a container."""
    return {
        "name": "integrator", "image": "ei:1", "ready": state == "running", "restartCount": restarts,
        "state": {state: {"reason": reason, "message": message} if reason else {}},
        "lastState": {"terminated": last} if last else {},
    }  # fmt: skip


def ended(ago: float, reason: str = "Error", code: int = 1) -> dict[str, Any]:
    """How a container ended."""
    return {"reason": reason, "exitCode": code, "finishedAt": at(ago)}


def pod(name: str = "ei-a", revision: int = 1, age: float = 300, conditions: Any = None, **more: Any) -> dict[str, Any]:
    """A pod of a revision; ready unless its conditions say otherwise."""
    told = [condition("Ready", "True")] if conditions is None else list(conditions)
    return {
        "metadata": {
            "name": name, "uid": f"pod-{name}", "creationTimestamp": at(age),
            "labels": {"pod-template-hash": str(revision)},
            "ownerReferences": [{"controller": True, "uid": f"rs-{revision}", "kind": "ReplicaSet"}],
            **({"deletionTimestamp": at(more.pop("deleted"))} if "deleted" in more else {}),
        },
        "spec": {"nodeName": more.pop("node", "kw1"), "containers": [{"name": "integrator", "image": "ei:1"}]},
        "status": {
            "phase": more.pop("phase", "Running"), "conditions": told,
            "containerStatuses": more.pop("containers", [container()]), **more,
        },
    }  # fmt: skip


UNSCHEDULABLE = condition("PodScheduled", "False", "Unschedulable", "0/3 nodes are available: 2 Insufficient cpu.")


def autoscaler(at_most: float | None = None, active: str = "True", current: int = 6) -> dict[str, Any]:
    """An autoscaler, at its maximum for so many seconds."""
    limited = (
        condition("ScalingLimited", "False", "DesiredWithinRange")
        if at_most is None
        else condition("ScalingLimited", "True", "TooManyReplicas", ago=at_most)
    )
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 200}}
    seen = {"name": "cpu", "current": {"averageUtilization": 240, "averageValue": "480m"}}
    return {
        "metadata": {"name": "ei-hpa"},
        "spec": {
            "minReplicas": 1, "maxReplicas": 6, "metrics": [{"type": "Resource", "resource": metric}],
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ei-deployment"},
        },
        "status": {
            "currentReplicas": current, "desiredReplicas": current,
            "currentMetrics": [{"type": "Resource", "resource": seen}],
            "conditions": [limited, condition("ScalingActive", active, "FailedGetResourceMetric", "no metrics")],
        },
    }  # fmt: skip
