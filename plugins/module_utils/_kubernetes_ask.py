# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The questions that tell all about one workload. What an account may not ask, or a cluster does not have, is named."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from ._kubernetes import Api, KubernetesError, selector_text
from ._kubernetes_hold import read_hold, told_notes
from ._kubernetes_node import drain_refusals, evictable, label_of, node, unready
from ._kubernetes_workload import describe

_MOST_EVENTS = 2000
#: What is no reason to say nothing at all: an answer about the workload is of use without it.
_SIDE_REASONS = ("not_authorized", "not_found", "api_error", "not_supported", "too_many_requests")


def workload(api: Api, namespace: str, name: str, now: Callable[[], float] = time.time) -> dict[str, Any]:
    """One Deployment with its pods, revisions, autoscaler, budgets, events and measured use.

    :class:`KubernetesError` when the Deployment, its ReplicaSets or its pods cannot be read: without them there is
    nothing to say. What else cannot be read is in ``missing``.
    """
    space = quote(namespace, safe="")
    apps = f"/apis/apps/v1/namespaces/{space}"
    deployment = api.get(f"{apps}/deployments/{quote(name, safe='')}")
    selector = selector_text((deployment.get("spec") or {}).get("selector"))
    replica_sets = api.items(f"{apps}/replicasets", labelSelector=selector)
    pods = api.items(f"/api/v1/namespaces/{space}/pods", labelSelector=selector)
    missing: list[str] = []

    def beside(what: str, path: str, **query: Any) -> list[dict[str, Any]]:
        try:
            answer = api.get(path, **query)
            if (answer.get("metadata") or {}).get("continue"):
                missing.append(f"{what}: there are more than {_MOST_EVENTS}, and these are not the last ones")
            return list(answer.get("items") or [])
        except KubernetesError as exc:
            # An aggregated API whose server hangs is silent as a dead one; the API server itself has just answered.
            if exc.reason not in _SIDE_REASONS and not (what == "metrics" and exc.reason == "api_unreachable"):
                raise
            missing.append(f"{what}: {exc.message}")
            return []

    autoscalers = beside("autoscaler", f"/apis/autoscaling/v2/namespaces/{space}/horizontalpodautoscalers")
    budgets = beside("budgets", f"/apis/policy/v1/namespaces/{space}/poddisruptionbudgets")
    events = beside("events", f"/api/v1/namespaces/{space}/events", limit=_MOST_EVENTS)
    measured = beside("metrics", f"/apis/metrics.k8s.io/v1beta1/namespaces/{space}/pods", labelSelector=selector)
    seen = describe(deployment, replica_sets, pods, now(), autoscalers, budgets, events, missing)
    use = {str(item["metadata"]["name"]): _use(item) for item in measured}
    for pod in seen["pods"]:
        pod["use"] = use.get(pod["name"])
    return seen


def _use(item: dict[str, Any]) -> dict[str, dict[str, str]]:
    """What each container uses, in the quantities of the API (``12m`` CPUs, ``34Mi`` bytes)."""
    return {str(part["name"]): dict(part.get("usage") or {}) for part in item.get("containers") or []}


def cluster(
    api: Api,
    workloads: Iterable[Mapping[str, str]],
    machines: Iterable[Mapping[str, str]],
    now: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """What a plan must know of these workloads and nodes, by their inventory name.

    One that cannot be read has ``error`` and ``reason`` in its place; an API server that does not answer, or an account
    that proves nothing, is said once for all.
    """
    seen: dict[str, Any] = {"reachable": True, "reason": "", "error": "", "workloads": {}, "nodes": {}}
    try:
        for one in workloads:
            ask = partial(_held, api, one["namespace"], one["name"], now)
            seen["workloads"][one["host"]] = _or_error(ask)
        wanted = list(machines)
        if wanted:
            paths = ("/api/v1/nodes", "/api/v1/pods", "/apis/policy/v1/poddisruptionbudgets")
            lists = _or_error(lambda: {path: api.items(path) for path in paths})
            for one in wanted:
                if lists.get("error"):
                    seen["nodes"][one["host"]] = lists
                    continue
                nodes, pods, budgets = (lists[path] for path in paths)
                seen["nodes"][one["host"]] = _or_error(partial(machine, one["name"], nodes, pods, budgets, now()))
    except KubernetesError as exc:
        seen.update(reachable=False, reason=exc.reason, error=exc.message)
    return seen


#: What is known of a cluster that was not asked, or did not answer.
NOTHING: dict[str, Any] = {"reachable": False, "reason": "", "error": "", "workloads": {}, "nodes": {}}
_NOTHING_AT_ALL = ("api_unreachable", "not_authenticated", "no_client", "no_kubeconfig")


def _or_error(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return ask()
    except KubernetesError as exc:
        if exc.reason in _NOTHING_AT_ALL:
            raise
        return {"error": exc.message, "reason": exc.reason}


def _held(api: Api, namespace: str, name: str, now: Callable[[], float]) -> dict[str, Any]:
    seen = workload(api, namespace, name, now)
    return {**seen, "hold": read_hold(seen["annotations"], now())}


def machine(
    name: str, nodes: list[dict[str, Any]], pods: list[dict[str, Any]], budgets: list[dict[str, Any]], now: float
) -> dict[str, Any]:
    """One node, with the pods that a drain would take, why it must not be drained, and its own that do not serve."""
    item = next((it for it in nodes if (it.get("metadata") or {}).get("name") == name), None)
    if item is None:
        known = ", ".join(sorted(str(it["metadata"]["name"]) for it in nodes))
        raise KubernetesError("not_found", f"The cluster has no node {name}; it has {known or 'none'}.", 404)
    mine = [it for it in pods if (it.get("spec") or {}).get("nodeName") == name and evictable(it)]
    return {
        **node(item, now),
        "annotations": told_notes(item),
        "pods": sorted(map(label_of, mine)),
        "unready": unready(name, pods),
        "refusals": drain_refusals(name, nodes, pods, budgets, now),
    }
