# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is kept of a workload before its pods are gone: logs, also of the container before, events, the objects.

Invariant 9: the most telling first, complete or given up in time. Kubernetes keeps one ended container per pod, and
nothing of a pod that is gone; so this is taken before any rung.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from ._evidence import clip
from ._evidence_secrets import redact
from ._kubernetes import Api, KubernetesError
from ._kubernetes_hold import told_notes

LINES = 400
MOST_PODS = 4
LOG_GONE = "unable to retrieve container logs for "
GONE_ASKED, GONE_EVERY = 6, 0.5
Ask = Callable[[], str]


def wanted_pods(view: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Pods whose logs are kept: those in trouble, then those that were restarted, then one that serves."""
    ill = [it for it in view["pods"] if it["trouble"]]
    again = [it for it in view["pods"] if not it["trouble"] and it["restarts"]]
    rest = [it for it in view["pods"] if not it["trouble"] and not it["restarts"]]
    return [*ill, *again, *rest[:1]][:MOST_PODS]


def sources(api: Api, view: Mapping[str, Any], limit: int) -> Iterator[tuple[str, Ask]]:
    """Each file of the evidence with the question that fills it, the most telling first."""
    space = f"/namespaces/{quote(view['namespace'], safe='')}"
    own = f"/apis/apps/v1{space}"

    def log(pod: str, container: str, previous: bool) -> Ask:
        path = f"/api/v1{space}/pods/{quote(pod, safe='')}/log"
        asked: dict[str, Any] = {
            "container": container,
            "tailLines": LINES,
            "limitBytes": 4 * limit,
            "timestamps": "true",
        }
        if previous:
            asked["previous"] = "true"
        return lambda: str(api.request("GET", path, raw=True, **asked))

    def whole(path: str) -> Ask:
        return lambda: shown(api.get(path))

    yield "events", lambda: lines_of(view["events"])  # these two ask nobody, so no time can run out for them
    yield "workload", lambda: json.dumps(view, indent=1, sort_keys=True, default=str)
    for pod in wanted_pods(view):
        for part in pod["containers"]:
            if part["restarts"]:
                yield f"log-{pod['name']}-{part['name']}-previous", log(pod["name"], part["name"], True)
            if part["state"] != "waiting" or part["restarts"]:
                yield f"log-{pod['name']}-{part['name']}", log(pod["name"], part["name"], False)
    for pod in wanted_pods(view):
        yield f"pod-{pod['name']}", whole(f"/api/v1{space}/pods/{quote(pod['name'], safe='')}")
    yield "deployment", whole(f"{own}/deployments/{quote(view['name'], safe='')}")
    for number in view["revisions"][:2]:
        name = number["replica_set"]
        yield f"replicaset-{name}", whole(f"{own}/replicasets/{quote(name, safe='')}")
    if view["autoscaler"]:
        name = quote(view["autoscaler"]["name"], safe="")
        yield "autoscaler", whole(f"/apis/autoscaling/v2{space}/horizontalpodautoscalers/{name}")


def shown(item: Mapping[str, Any]) -> str:
    """An object for a person: without the bookkeeping of who has set which field to what."""
    meta = {key: value for key, value in (item.get("metadata") or {}).items() if key != "managedFields"}
    if meta.get("annotations"):
        meta["annotations"] = told_notes(item)
    return json.dumps({**item, "metadata": meta}, indent=1, sort_keys=True)


def lines_of(events: Any) -> str:
    """Events, one a line, the oldest first."""
    return "".join(
        f"{it['at'] or 0:.0f} {it['type']} {it['reason']} {it['object']} x{it['count']}: {it['message']}\n"
        for it in events
    )


def kept(ask: Ask, until: float, clock: Callable[[], float], pause: Callable[[float], None]) -> str:
    """A file's text, asked again while the kubelet says that the container which it names is gone.

    When a container ends, the kubelet removes the one before it at once and says in the pod's status up to seconds
    later which one is now the container before (kubelet, pkg/kubelet/kuberuntime, GetContainerLogs: the sentence is
    given as if it were the log, with status 200).
    """
    for _again in range(GONE_ASKED):
        text = ask()
        if not text.startswith(LOG_GONE):
            return text
        if clock() + GONE_EVERY >= until:
            break
        pause(GONE_EVERY)
    raise KubernetesError("gone", "the kubelet has removed the container that the pod's status names")


def take(
    api: Api,
    view: Mapping[str, Any],
    seconds: float,
    limit: int,
    clock: Callable[[], float],
    pause: Callable[[float], None],
) -> tuple[dict[str, str], list[str]]:
    """Texts by name with secrets cut out, and the names of what was given up, each with its reason."""
    begun = clock()
    end, patient = begun + seconds, begun + seconds / 2  # logs that stay gone leave the other half for all the rest
    texts: dict[str, str] = {}
    missing: list[str] = []
    for name, ask in sources(api, view, limit):
        if clock() >= end:
            missing.append(f"{name} (no time)")
            continue
        try:
            texts[name] = clip(redact(kept(ask, patient, clock, pause)), limit)
        except KubernetesError as exc:
            missing.append(f"{name} ({exc.reason})")
    return texts, missing
