# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a healer must know of a Deployment, out of the API's own objects. Pure: objects and the time in, plain data out.

Field names are those of the API (apps/v1 Deployment and ReplicaSet, v1 Pod, autoscaling/v2 HorizontalPodAutoscaler,
policy/v1 PodDisruptionBudget). Times are seconds since the epoch, ages are seconds.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ._kubernetes_hold import told_notes

Object = Mapping[str, Any]
REVISION = "deployment.kubernetes.io/revision"
#: Put by us on a ReplicaSet once its roll-out was seen available; Kubernetes itself does not remember that. Its name
#: ends with the ReplicaSet's uid: `kubectl rollout undo` copies annotations to the Deployment, whose controller writes
#: them over those of every ReplicaSet that it looks at from then on, bad ones too.
AVAILABLE = "selfheal.cluster/available"
#: The container does not run and will not by itself, or only to end again.
STUCK = (
    "CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull",
    "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "ImageInspectError",
)  # fmt: skip
COMPLETE, PROGRESSING, FAILED, PAUSED = "complete", "progressing", "failed", "paused"
NOT_OBSERVED = "NotObserved"


def seconds(text: Optional[str]) -> Optional[float]:
    """A time of the API (RFC 3339) in seconds since the epoch."""
    if not text:
        return None
    try:
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def age(text: Optional[str], now: float) -> Optional[float]:
    """How long ago that was; never below 0, where the server's clock is ahead."""
    then = seconds(text)
    return None if then is None else round(max(0.0, now - then), 1)


def stamp(at: float) -> str:
    """A time as the API has it (RFC 3339, UTC)."""
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def revision_of(item: Object) -> int:
    """The revision that a Deployment rolls out, or that a ReplicaSet is; 0 where it says none."""
    text = str(((item.get("metadata") or {}).get("annotations") or {}).get(REVISION, ""))
    return int(text) if text.isdecimal() else 0


def name_of(item: Object) -> str:
    """metadata.name."""
    return str((item.get("metadata") or {}).get("name", ""))


def conditions(item: Object) -> dict[str, dict[str, Any]]:
    """The conditions of an object by their type."""
    return {str(it.get("type")): dict(it) for it in (item.get("status") or {}).get("conditions") or []}


def owned_by(items: Iterable[Object], uids: Iterable[str]) -> list[Object]:
    """Those whose controller is one of these objects."""
    wanted = set(uids)
    return [
        item
        for item in items
        if any(
            owner.get("controller") and owner.get("uid") in wanted
            for owner in (item.get("metadata") or {}).get("ownerReferences") or []
        )
    ]


# -- pods ------------------------------------------------------------------------------------------------


def container(status: Object, spec_images: Mapping[str, str]) -> dict[str, Any]:
    """One container of a pod: what it does now, and how it ended the last time."""
    state = status.get("state") or {}
    word = next(iter(state), "waiting")
    detail = state.get(word) or {}
    last = (status.get("lastState") or {}).get("terminated") or {}
    return {
        "name": str(status.get("name", "")),
        "image": spec_images.get(str(status.get("name", "")), str(status.get("image", ""))),
        "state": word,
        "ready": bool(status.get("ready")),
        "reason": str(detail.get("reason") or ""),
        "message": str(detail.get("message") or "")[:500],
        "exit_code": detail.get("exitCode"),
        "restarts": int(status.get("restartCount") or 0),
        "last_reason": str(last.get("reason") or ""),
        "last_exit_code": last.get("exitCode"),
        "last_finished": seconds(last.get("finishedAt")),
    }


def pod(item: Object, now: float) -> dict[str, Any]:
    """One pod: where it is, whether it serves, and if not, why not."""
    meta, spec, status = item.get("metadata") or {}, item.get("spec") or {}, item.get("status") or {}
    images = {str(it.get("name")): str(it.get("image", "")) for it in spec.get("containers") or []}
    told = conditions(item)
    scheduled = told.get("PodScheduled") or {}
    containers = [container(it, images) for it in status.get("containerStatuses") or []]
    return {
        "name": name_of(item),
        "uid": str(meta.get("uid", "")),
        "node": str(spec.get("nodeName") or ""),
        "hash": str((meta.get("labels") or {}).get("pod-template-hash", "")),
        "phase": str(status.get("phase") or "Unknown"),
        "ready": (told.get("Ready") or {}).get("status") == "True",
        "ready_since": seconds((told.get("Ready") or {}).get("lastTransitionTime")),
        "terminating": bool(meta.get("deletionTimestamp")),
        "terminating_seconds": age(meta.get("deletionTimestamp"), now),
        "age_seconds": age(meta.get("creationTimestamp"), now),
        "reason": str(status.get("reason") or ""),
        "message": str(status.get("message") or "")[:500],
        "unschedulable": scheduled.get("status") == "False",
        "schedule_reason": str(scheduled.get("reason") or "") if scheduled.get("status") == "False" else "",
        "schedule_message": str(scheduled.get("message") or "")[:500] if scheduled.get("status") == "False" else "",
        "restarts": sum(it["restarts"] for it in containers),
        "containers": containers,
    }


def trouble(seen: Mapping[str, Any]) -> tuple[str, str]:
    """Why a pod does not serve, as a reason and a sentence; two empty texts for one that does, or may yet."""
    if seen["phase"] in ("Failed", "Succeeded"):
        return seen["reason"] or seen["phase"], seen["message"] or f"the pod has ended ({seen['phase']})"
    if seen["unschedulable"]:
        return seen["schedule_reason"] or "Unschedulable", seen["schedule_message"]
    for it in seen["containers"]:
        if it["reason"] in STUCK:
            ended = (
                f", last ended by {it['last_reason']} (exit code {it['last_exit_code']})" if it["last_reason"] else ""
            )
            return it["reason"], f"container {it['name']}: {it['message'] or it['reason']}{ended}"
    for it in seen["containers"]:
        if it["state"] == "terminated":
            return it["reason"] or "Terminated", f"container {it['name']} ended with exit code {it['exit_code']}"
    return "", ""


# -- revisions and roll-out ------------------------------------------------------------------------------


def revision(item: Object, current: bool, now: float) -> dict[str, Any]:
    """One ReplicaSet of the Deployment."""
    meta, status = item.get("metadata") or {}, item.get("status") or {}
    template = ((item.get("spec") or {}).get("template") or {}).get("spec") or {}
    return {
        "revision": revision_of(item),
        "replica_set": name_of(item),
        "uid": str(meta.get("uid", "")),
        "current": current,
        "replicas": int(status.get("replicas") or 0),
        "ready": int(status.get("readyReplicas") or 0),
        "available": int(status.get("availableReplicas") or 0),
        "images": [str(it.get("image", "")) for it in template.get("containers") or []],
        "age_seconds": age(meta.get("creationTimestamp"), now),
        "was_available": int(status.get("availableReplicas") or 0) > 0 or marked_available(item),
    }


def available_mark(replica_set: Object) -> str:
    """The name of the mark, for this ReplicaSet alone."""
    return f"{AVAILABLE}-{(replica_set.get('metadata') or {}).get('uid', '')}"


def marked_available(replica_set: Object) -> bool:
    """Whether this very ReplicaSet bears the mark."""
    return available_mark(replica_set) in ((replica_set.get("metadata") or {}).get("annotations") or {})


def roll_out(deployment: Object) -> tuple[str, str, str]:
    """State, reason and a sentence of the roll-out, by the rules of ``kubectl rollout status``
    (kubectl, pkg/polymorphichelpers/rollout_status.go)."""
    meta, spec, status = (deployment.get(part) or {} for part in ("metadata", "spec", "status"))
    told = conditions(deployment).get("Progressing") or {}
    replicas = int(spec.get("replicas") or 0)
    updated, available = int(status.get("updatedReplicas") or 0), int(status.get("availableReplicas") or 0)
    total = int(status.get("replicas") or 0)
    if int(meta.get("generation") or 0) > int(status.get("observedGeneration") or 0):
        return PROGRESSING, NOT_OBSERVED, "the controller has not seen this specification yet"
    if told.get("reason") == "ProgressDeadlineExceeded":
        return FAILED, "ProgressDeadlineExceeded", str(told.get("message") or "")
    if spec.get("paused"):
        return PAUSED, "Paused", "the roll-out is paused"
    if updated < replicas:
        return PROGRESSING, "Updating", f"{updated} of {replicas} pods are of this revision"
    if total > updated:
        return PROGRESSING, "OldPods", f"{total - updated} pods of an old revision are still there"
    if available < updated:
        return PROGRESSING, "NotAvailable", f"{available} of {updated} pods are available"
    return COMPLETE, "", ""


def rollback_to(revisions: Iterable[Mapping[str, Any]]) -> Optional[dict[str, Any]]:
    """The youngest revision before the current one that was seen available; none is an answer as well."""
    older = [it for it in revisions if not it["current"] and it["was_available"]]
    return dict(max(older, key=lambda it: int(it["revision"]))) if older else None


# -- autoscaler and budget -------------------------------------------------------------------------------


def _quantity(value: Object) -> Optional[str]:
    for kind in ("averageUtilization", "averageValue", "value"):
        if value.get(kind) is not None:
            return f"{value[kind]} %" if kind == "averageUtilization" else str(value[kind])
    return None


def _metric(item: Object) -> tuple[str, Object]:
    kind = str(item.get("type", ""))
    detail = item.get(kind[:1].lower() + kind[1:]) or {}
    return str(detail.get("name") or (detail.get("metric") or {}).get("name") or kind), detail


def autoscaler(item: Object, now: float) -> dict[str, Any]:
    """A HorizontalPodAutoscaler: where it is, where it wants to be, and whether it could."""
    spec, status, told = item.get("spec") or {}, item.get("status") or {}, conditions(item)
    current = dict(map(_metric, status.get("currentMetrics") or []))
    metrics = []
    for name, detail in map(_metric, spec.get("metrics") or []):
        seen = (current.get(name) or {}).get("current") or {}
        metrics.append({"name": name, "current": _quantity(seen), "target": _quantity(detail.get("target") or {})})
    limited, active = told.get("ScalingLimited") or {}, told.get("ScalingActive") or {}
    return {
        "name": name_of(item),
        "min": int(spec.get("minReplicas") or 1),
        "max": int(spec.get("maxReplicas") or 0),
        "current": int(status.get("currentReplicas") or 0),
        "desired": int(status.get("desiredReplicas") or 0),
        "metrics": metrics,
        "at_maximum": limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas",
        "at_maximum_seconds": age(limited.get("lastTransitionTime"), now)
        if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas"
        else None,
        "active": active.get("status") != "False",
        "message": str(active.get("message") or "")[:300] if active.get("status") == "False" else "",
    }


def scales(item: Object, kind: str, name: str) -> bool:
    """Whether this autoscaler is the one of this workload."""
    target = (item.get("spec") or {}).get("scaleTargetRef") or {}
    return (target.get("kind"), target.get("name")) == (kind, name)


def matches(selector: Optional[Object], labels: Mapping[str, Any]) -> bool:
    """Whether a label selector selects these labels; in policy/v1 an empty one selects all, a missing one none."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions") or []:
        operator, values, key = rule.get("operator"), rule.get("values") or [], rule.get("key")
        fits = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not fits.get(str(operator), False):
            return False
    return True


def budget(item: Object) -> dict[str, Any]:
    """A PodDisruptionBudget: how many pods may be taken now."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    return {
        "name": name_of(item),
        "allowed": int(status.get("disruptionsAllowed") or 0),
        "healthy": int(status.get("currentHealthy") or 0),
        "wanted": int(status.get("desiredHealthy") or 0),
        "expected": int(status.get("expectedPods") or 0),
        "max_unavailable": spec.get("maxUnavailable"),
        "min_available": spec.get("minAvailable"),
        "unhealthy_policy": str(spec.get("unhealthyPodEvictionPolicy") or "IfHealthyBudget"),
    }


def event(item: Object) -> dict[str, Any]:
    """One event of core/v1 (its own series, or the older count)."""
    series = item.get("series") or {}
    when = series.get("lastObservedTime") or item.get("lastTimestamp") or item.get("eventTime")
    about = item.get("involvedObject") or {}
    return {
        "at": seconds(when) or seconds((item.get("metadata") or {}).get("creationTimestamp")),
        "type": str(item.get("type") or ""),
        "reason": str(item.get("reason") or ""),
        "object": f"{about.get('kind', '')}/{about.get('name', '')}",
        "message": " ".join(str(item.get("message") or "").split())[:500],
        "count": int(series.get("count") or item.get("count") or 1),
    }


# -- the whole -------------------------------------------------------------------------------------------


def describe(
    deployment: Object,
    replica_sets: Iterable[Object],
    pods: Iterable[Object],
    now: float,
    autoscalers: Iterable[Object] = (),
    budgets: Iterable[Object] = (),
    events: Iterable[Object] = (),
    missing: Iterable[str] = (),
    last_events: int = 20,
) -> dict[str, Any]:
    """Everything of one Deployment. ``missing`` names what could not be asked; nothing is guessed in its place."""
    meta, spec, status = (deployment.get(part) or {} for part in ("metadata", "spec", "status"))
    own = owned_by(replica_sets, [str(meta.get("uid", ""))])
    number = str((meta.get("annotations") or {}).get(REVISION, ""))
    revisions = sorted(
        (
            revision(item, str(((item.get("metadata") or {}).get("annotations") or {}).get(REVISION)) == number, now)
            for item in own
        ),
        key=lambda it: -int(it["revision"]),
    )
    mine = [pod(item, now) for item in owned_by(pods, [it["uid"] for it in revisions])]
    for it in mine:
        it["trouble"], it["trouble_message"] = trouble(it)
    state, reason, message = roll_out(deployment)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    names = {name_of(deployment), *(it["replica_set"] for it in revisions), *(it["name"] for it in mine)}
    scalers = [autoscaler(item, now) for item in autoscalers if scales(item, "Deployment", name_of(deployment))]
    names |= {it["name"] for it in scalers}
    about = [event(item) for item in events if (item.get("involvedObject") or {}).get("name") in names]
    about.sort(key=lambda it: it["at"] or 0.0)
    reasons: dict[str, int] = {}
    for it in mine:
        for part in it["containers"]:
            if part["restarts"] and part["last_reason"]:
                reasons[part["last_reason"]] = reasons.get(part["last_reason"], 0) + part["restarts"]
    return {
        "kind": "Deployment",
        "namespace": str(meta.get("namespace", "")),
        "name": name_of(deployment),
        "uid": str(meta.get("uid", "")),
        "annotations": told_notes(deployment),
        "desired": int(spec.get("replicas") or 0),
        "total": int(status.get("replicas") or 0),
        "updated": int(status.get("updatedReplicas") or 0),
        "ready": int(status.get("readyReplicas") or 0),
        "available": int(status.get("availableReplicas") or 0),
        "rollout": {
            "state": state,
            "reason": reason,
            "message": message,
            "revision": revision_of(deployment),
            # Beside the state: one that has failed stays so when somebody pauses it to have a look.
            "paused": bool(spec.get("paused")),
            "deadline_seconds": int(spec.get("progressDeadlineSeconds") or 600),
            # Once a roll-out was complete, its condition says so until the next one; that pods are not available
            # meanwhile is then no matter of the roll-out any more.
            "settled": (conditions(deployment).get("Progressing") or {}).get("reason") == "NewReplicaSetAvailable",
        },
        "revisions": revisions,
        "rollback_to": rollback_to(revisions),
        "pods": sorted(mine, key=lambda it: str(it["name"])),
        "restarts": sum(it["restarts"] for it in mine),
        "restart_reasons": reasons,
        "autoscaler": scalers[0] if scalers else None,
        "budgets": [budget(item) for item in budgets if matches((item.get("spec") or {}).get("selector"), labels)],
        "events": about[-last_events:],
        "missing": list(missing),
        "at": now,
    }


def why_not(seen: Mapping[str, Any]) -> list[str]:
    """Why a workload is not what it should be, one sentence each; empty when nothing speaks against it."""
    found = []
    if seen["rollout"]["state"] in (FAILED, PAUSED):
        found.append(f"roll-out {seen['rollout']['state']}: {seen['rollout']['message']}")
    told = set()
    for it in seen["pods"]:
        if it["trouble"] and not it["terminating"]:
            key = (it["trouble"], it["trouble_message"])
            if key not in told:
                found.append(f"pod {it['name']}: {it['trouble']}: {it['trouble_message']}")
            told.add(key)
    warned = [it for it in seen["events"] if it["type"] == "Warning"]
    if not told and warned and seen["available"] < seen["desired"]:
        found.append(f"{warned[-1]['object']}: {warned[-1]['reason']}: {warned[-1]['message']}")
    if seen["available"] < seen["desired"]:
        found.append(f"{seen['available']} of {seen['desired']} pods are available")
    return found
