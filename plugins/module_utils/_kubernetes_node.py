# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A node of Kubernetes as a healer sees it: is it Ready, who has cordoned it, and where would its pods go? Pure.

A drain may be begun only when every pod that it takes has a controller that makes it again, a budget that lets it go,
and room on another node. The last is judged as the scheduler would, as far as requests, taints and node selectors tell;
what it cannot judge (affinities, volumes that hang on one node, devices, ports of the node, a scheduler of its own)
counts against the drain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ._kubernetes_hold import HOLD, notes_of, read_hold
from ._kubernetes_workload import Object, age, budget, conditions, matches, name_of

#: By us, beside the hold: this cordon is ours, and was not there before.
CORDONED = "selfheal.cluster/cordoned"
MIRROR = "kubernetes.io/config.mirror"
#: Of the condition Ready: nothing was heard of the kubelet for the grace period of the controller manager.
SILENT = "Unknown"
#: Set by Kubernetes itself on a node that is cordoned, or in trouble; a pod of any other node does not tolerate them.
_UNITS = {
    "": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60, "n": 1e-9, "u": 1e-6,
}  # fmt: skip
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
DISK = "ephemeral-storage"
#: What is counted here as the scheduler counts it; of anything else that a pod asks for, nobody here knows the room.
_COUNTED = ("cpu", "memory", DISK)
#: A pod that names none has this one.
_SCHEDULER = "default-scheduler"
Numbers = dict[str, float]


def quantity(text: Any) -> float:
    """A quantity of the API as a number: ``200m``, ``64Mi``, ``1e3`` (apimachinery, resource.Quantity)."""
    found = re.fullmatch(r"\s*([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z]*)\s*", str(text))
    if not found or found.group(2) not in _UNITS:
        raise ValueError(f"{text!r} is no quantity of Kubernetes")
    return float(found.group(1)) * _UNITS[found.group(2)]


def requests(item: Object) -> Numbers:
    """CPUs, and bytes of memory and disk, that the scheduler counts for a pod: its containers together, or its largest
    first one, and what the runtime adds (Kubernetes, "Init containers", "Resource sharing within containers")."""
    spec = item.get("spec") or {}

    def of(part: Object) -> Numbers:
        asked = (part.get("resources") or {}).get("requests") or {}
        return {name: quantity(asked.get(name, 0)) for name in _COUNTED}

    total = dict.fromkeys(_COUNTED, 0.0)
    for part in spec.get("containers") or []:
        for name, value in of(part).items():
            total[name] += value
    for part in spec.get("initContainers") or []:
        for name, value in of(part).items():
            total[name] = total[name] + value if part.get("restartPolicy") == "Always" else max(total[name], value)
    for name in total:
        total[name] += quantity((spec.get("overhead") or {}).get(name, 0))
    return total


def node(item: Object, now: float) -> dict[str, Any]:
    """One node: ready, cordoned and by whom, its boot, what presses it."""
    meta, spec, status = (item.get(part) or {} for part in ("metadata", "spec", "status"))
    told = conditions(item)
    ready = told.get("Ready") or {}
    notes = notes_of(item)
    cordoned = bool(spec.get("unschedulable"))
    return {
        "name": name_of(item),
        "uid": str(meta.get("uid", "")),
        "ready": ready.get("status") == "True",
        "ready_status": str(ready.get("status") or "Unknown"),
        "ready_reason": str(ready.get("reason") or ""),
        "ready_message": str(ready.get("message") or "")[:300],
        "since_seconds": age(ready.get("lastTransitionTime"), now),
        "heartbeat_seconds": age(ready.get("lastHeartbeatTime"), now),
        "cordoned": cordoned,
        # A human's cordon is one that does not bear our mark (invariant 6). `kubectl uncordon` leaves the mark behind,
        # but our hold goes with ours: the mark alone is of a cordon that is over.
        "human_cordon": cordoned and not (CORDONED in notes and HOLD in notes),
        "pressures": [name for name in _PRESSURES if (told.get(name) or {}).get("status") == "True"],
        "taints": [dict(it) for it in spec.get("taints") or []],
        "boot_id": str((status.get("nodeInfo") or {}).get("bootID") or ""),
        "machine_id": str((status.get("nodeInfo") or {}).get("machineID") or ""),
        "addresses": [str(it.get("address")) for it in status.get("addresses") or []],
        "hold": read_hold(notes, now),
    }


def evictable(item: Object) -> bool:
    """Whether a drain takes this pod: not what a DaemonSet or the node itself would make again at once, nor what has
    ended."""
    meta, status = item.get("metadata") or {}, item.get("status") or {}
    if MIRROR in (meta.get("annotations") or {}) or status.get("phase") in ("Succeeded", "Failed"):
        return False
    return _daemon(item) is None


def going(item: Object) -> bool:
    """Whether this pod was told to go, and is ending."""
    return bool((item.get("metadata") or {}).get("deletionTimestamp"))


def is_ready(item: Object) -> bool:
    """Whether this pod serves, as its kubelet has told it."""
    return (conditions(item).get("Ready") or {}).get("status") == "True"


def label_of(item: Object) -> str:
    """A pod's namespace and name, for people."""
    return f"{(item.get('metadata') or {}).get('namespace', '')}/{name_of(item)}"


def _on(name: str, pods: Iterable[Object]) -> list[Object]:
    return [it for it in pods if (it.get("spec") or {}).get("nodeName") == name]


def controlled(item: Object) -> bool:
    """Whether somebody makes this pod again."""
    return any(it.get("controller") for it in (item.get("metadata") or {}).get("ownerReferences") or [])


def tolerates(item: Object, taint: Mapping[str, Any]) -> bool:
    """Whether a pod may be put on a node with this taint (Kubernetes, "Taints and Tolerations")."""
    if taint.get("effect") == "PreferNoSchedule":
        return True
    for it in (item.get("spec") or {}).get("tolerations") or []:
        if it.get("effect") not in (None, "", taint.get("effect")):
            continue
        if it.get("operator") == "Exists" and it.get("key") in (None, "", taint.get("key")):
            return True
        if it.get("key") == taint.get("key") and (it.get("value") or "") == (taint.get("value") or ""):
            return True
    return False


def fits_by_rules(item: Object, target: Object) -> bool:
    """Whether taints and node selector let the pod onto this node."""
    spec, labels = item.get("spec") or {}, (target.get("metadata") or {}).get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    return all(tolerates(item, taint) for taint in (target.get("spec") or {}).get("taints") or [])


def cannot_judge(item: Object) -> str:
    """Why nobody can say here where this pod would go; empty when its requests, taints and selector tell."""
    spec = item.get("spec") or {}
    affinity = spec.get("affinity") or {}
    for kind in ("nodeAffinity", "podAffinity", "podAntiAffinity"):
        if (affinity.get(kind) or {}).get("requiredDuringSchedulingIgnoredDuringExecution"):
            return f"it demands {kind}"
    for it in spec.get("topologySpreadConstraints") or []:
        if it.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule":
            return "it demands to be spread"
    for it in spec.get("volumes") or []:
        if "persistentVolumeClaim" in it or "hostPath" in it:
            return f"its volume {it.get('name')} may hang on this node"
    return _demands_of_node(spec)


def _demands_of_node(spec: Mapping[str, Any]) -> str:
    """What only some nodes have, or have once: devices, ports of the node itself; and who else would choose one."""
    if spec.get("schedulerName") not in (None, "", _SCHEDULER):
        return f"the scheduler {spec['schedulerName']} places it, by rules of its own"
    if spec.get("hostNetwork"):
        return "it uses the network of its node, where its ports may be taken"
    if spec.get("resourceClaims"):
        return "it claims devices (resourceClaims)"
    parts = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    for port in (it for part in parts for it in part.get("ports") or []):
        if port.get("hostPort"):
            return f"it wants port {port['hostPort']} of its node"
    asked = [(part.get("resources") or {}).get("requests") or {} for part in parts]
    asked += [(spec.get("resources") or {}).get("requests") or {}, spec.get("overhead") or {}]
    others = sorted({name for it in asked for name in it if name not in _COUNTED and quantity(it[name])})
    return f"it asks for {', '.join(others)}" if others else ""


def _free(target: Object, pods: Iterable[Object]) -> Numbers:
    room = (target.get("status") or {}).get("allocatable") or {}
    free = {name: quantity(room.get(name, 0)) for name in _COUNTED}
    free["pods"] = quantity(room.get("pods", 110))
    for item in pods:
        if (item.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        for name, value in requests(item).items():
            free[name] -= value
        free["pods"] -= 1
    return free


def drain_refusals(
    name: str, nodes: Iterable[Object], pods: Iterable[Object], budgets: Iterable[Object], now: float
) -> list[dict[str, str]]:
    """Why this node must not be drained now, each with a reason and a sentence; empty when nothing speaks against it.

    ``pods`` are those of all nodes. The largest pods are placed first, each where the most CPU is left.
    """
    every, all_nodes, known = list(pods), list(nodes), list(budgets)
    # One that is told to go already needs nobody's leave any more: its controller has made another one.
    mine = [it for it in _on(name, every) if evictable(it) and not going(it)]
    found: list[dict[str, str]] = []

    def refuse(reason: str, detail: str) -> None:
        found.append({"reason": reason, "detail": detail})

    others = {
        name_of(it): it
        for it in all_nodes
        if name_of(it) != name and node(it, now)["ready"] and not (it.get("spec") or {}).get("unschedulable")
    }
    free = {key: _free(it, _on(key, every)) for key, it in others.items()}
    for item in sorted(mine, key=lambda it: (-requests(it)["cpu"], -requests(it)["memory"], name_of(it))):
        label = label_of(item)
        if not controlled(item):
            refuse("bare_pod", f"pod {label} has no controller: nobody would make it again")
            continue
        why = cannot_judge(item)
        if why:
            refuse("no_place", f"nobody can say here where pod {label} would go: {why}")
            continue
        need = {**requests(item), "pods": 1.0}
        rooms = [
            key
            for key, target in others.items()
            if fits_by_rules(item, target)
            and all(not value or free[key][part] >= value for part, value in need.items())
        ]
        if not rooms:
            refuse("no_place", f"pod {label} would find no other node: {_why_no_room(item, others, free, need)}")
            continue
        best = max(rooms, key=lambda key: (free[key]["cpu"], key))
        for part, value in need.items():
            free[best][part] -= value
    for item in mine:
        why = _two_budgets(item, known)
        if why:
            refuse("two_budgets", f"pod {label_of(item)}: {why}")
    for label, why in _blocked(mine, known):
        refuse("budget", f"pod {label}: {why}")
    return found


def planned(item: Mapping[str, str]) -> str:
    """The planner's word for what speaks against a drain."""
    return "budget" if item["reason"] in ("budget", "two_budgets") else "no_place"


def _why_no_room(item: Object, others: Mapping[str, Object], free: Mapping[str, Numbers], need: Numbers) -> str:
    if not others:
        return "no other one is Ready and takes pods"
    allowed = [key for key, target in others.items() if fits_by_rules(item, target)]
    if not allowed:
        return "taints or its node selector keep it off " + ", ".join(sorted(others))
    best = max(allowed, key=lambda key: free[key]["cpu"])
    disk = f", {max(0.0, free[best][DISK]) / 2**20:.0f} MiB of {need[DISK] / 2**20:.0f} of disk" if need[DISK] else ""
    return (
        f"it asks for {need['cpu']:g} CPUs and {need['memory'] / 2**20:.0f} MiB, and {best} has "
        f"{max(0.0, free[best]['cpu']):g} and {max(0.0, free[best]['memory']) / 2**20:.0f} left{disk}"
    )


def _budgets_of(item: Object, budgets: Iterable[Object]) -> list[Object]:
    """The budgets that count this pod."""
    meta = item.get("metadata") or {}
    return [
        it
        for it in budgets
        if (it.get("metadata") or {}).get("namespace") == meta.get("namespace")
        and matches((it.get("spec") or {}).get("selector"), meta.get("labels") or {})
    ]


def _two_budgets(item: Object, budgets: Iterable[Object]) -> str:
    """The eviction API answers 500 for a pod of two budgets, however much they allow (Kubernetes,
    pkg/registry/core/pod/storage/eviction.go): a drain would break there, half done."""
    found = sorted(name_of(it) for it in _budgets_of(item, budgets))
    if len(found) < 2:
        return ""
    return f"the budgets {', '.join(found)} count it, and the eviction API takes no pod that more than one counts"


def _blocked(mine: Iterable[Object], budgets: Iterable[Object]) -> list[tuple[str, str]]:
    """Pods that no budget would let go, now or later: one whose every pod is needed."""
    found = []
    known = list(budgets)
    for item in mine:
        for it in _budgets_of(item, known):
            told = budget(it)
            if not is_ready(item) and told["unhealthy_policy"] == "AlwaysAllow":
                continue
            if told["allowed"] == 0 and told["wanted"] >= told["expected"]:
                found.append(
                    (label_of(item),
                     f"budget {told['name']} needs {told['wanted']} of {told['expected']} pods, so none may go")
                )  # fmt: skip
    return found


def unready(name: str, pods: Iterable[Object]) -> list[str]:
    """The pods that no drain takes from this node, and that do not serve: of DaemonSets, and of the node itself.

    ``pods`` are those of all nodes: one whose DaemonSet serves on no other node either is not this node's illness.
    """
    every, found = list(pods), []
    for item in _on(name, every):
        ended = (item.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if evictable(item) or ended or going(item) or is_ready(item):
            continue
        maker = _daemon(item)
        others = [
            it for it in every if maker and _daemon(it) == maker and (it.get("spec") or {}).get("nodeName") != name
        ]
        if not others or any(is_ready(it) for it in others):
            found.append(label_of(item))
    return sorted(found)


def kept_well(name: str, pods: Iterable[Object]) -> list[str]:
    """The pods that no drain takes from this node, and whose containers are all well.

    By the containers' own word, not the pod's: of a silent node Kubernetes calls every pod not Ready, and leaves what
    the kubelet said of the containers last.
    """
    return sorted(
        label_of(it)
        for it in _on(name, pods)
        if not evictable(it) and not going(it) and (it.get("status") or {}).get("phase") == "Running"
        and all(part.get("ready") for part in (it.get("status") or {}).get("containerStatuses") or [{}])
    )  # fmt: skip


def _daemon(item: Object) -> Optional[tuple[str, str]]:
    """The DaemonSet that makes this pod."""
    meta = item.get("metadata") or {}
    for it in meta.get("ownerReferences") or []:
        if it.get("kind") == "DaemonSet" and it.get("controller"):
            return str(meta.get("namespace", "")), str(it.get("name", ""))
    return None


def evictions_left(name: str, pods: Iterable[Object]) -> list[dict[str, Any]]:
    """The pods that a drain still has to take from this node; one that is not ``controlled`` nobody makes again."""
    return [
        {
            "namespace": str((it.get("metadata") or {}).get("namespace", "")),
            "name": name_of(it),
            "uid": str((it.get("metadata") or {}).get("uid", "")),
            "going": going(it),
            "controlled": controlled(it),
        }
        for it in _on(name, pods)
        if evictable(it)
    ]
