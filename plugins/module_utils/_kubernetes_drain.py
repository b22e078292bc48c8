# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Take a node of Kubernetes out of traffic, and give it back: cordon with our mark, evict, uncordon.

A pod goes by the eviction API alone, which asks every budget. A refusal is waited for until the time is over, and then
said with its reason; nothing is deleted past a budget.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Optional
from urllib.parse import quote

from ._errors import SelfhealError
from ._kubernetes import Api, KubernetesError, selector_text
from ._kubernetes_change import change
from ._kubernetes_hold import EPOCH, HOLD, hold_text, note_changes, notes_of, refuse
from ._kubernetes_node import CORDONED, drain_refusals, evictions_left, kept_well, node, planned
from ._kubernetes_workload import (
    COMPLETE,
    REVISION,
    available_mark,
    marked_available,
    name_of,
    owned_by,
    roll_out,
    stamp,
)

_PAUSE = 0.5
_AGAIN_SECONDS = 1.0
#: So long a node has to be not Ready without a break before it counts as one that serves nothing: a node that flaps is
#: Ready again by the time that it is rebooted, with pods that serve.
_STEADY_SECONDS = 10.0
_SHOWN = 3


class _Told:
    """What was said to the pods of a drain, and what a budget said of them."""

    def __init__(self) -> None:
        self.evicted: list[str] = []
        self.refused: dict[str, str] = {}
        self.asked_at: dict[str, float] = {}


class Drainer:
    """One node, as one account, for one incident."""

    def __init__(
        self,
        api: Api,
        name: str,
        incident: str,
        epoch: int,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.api = api
        self.name = name
        self.incident = incident
        self.epoch = epoch
        self.clock = clock
        self.sleep = sleep
        self.path = f"/api/v1/nodes/{quote(name, safe='')}"

    def _judged(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """The node, unless somebody else has it by now."""
        refuse(f"Node {self.name}", item, self.incident, self.epoch, self.clock())
        return node(item, self.clock())

    def cordon(self, phase: str, seconds: float, reason: str, check_mode: bool = False) -> bool:
        """Our hold, our mark and the cordon, in one change; true when something is new. A human's cordon is refused."""
        new = False

        def make(item: dict[str, Any]) -> list[dict[str, Any]]:
            nonlocal new
            seen = self._judged(item)
            if seen["human_cordon"]:
                raise SelfhealError(
                    "human_hold", f"Node {self.name} was cordoned by somebody else, and stays as it is."
                )
            new = not seen["cordoned"] or notes_of(item).get(CORDONED) != self.incident
            text = hold_text(self.incident, self.epoch, phase, self.clock() + seconds, reason)
            made = note_changes(item, {HOLD: text, EPOCH: str(self.epoch), CORDONED: self.incident})
            return made if seen["cordoned"] else [*made, {"op": "add", "path": "/spec/unschedulable", "value": True}]

        change(self.api, self.path, make, check_mode)
        return new

    def uncordon(self, check_mode: bool = False) -> bool:
        """Take our cordon, mark and hold away. A cordon that does not bear our mark is left alone."""
        ours = False

        def make(item: dict[str, Any]) -> list[dict[str, Any]]:
            nonlocal ours
            seen = self._judged(item)
            cordoned = bool(seen["cordoned"] and not seen["human_cordon"])
            ours = cordoned or HOLD in notes_of(item)
            made = note_changes(item, {HOLD: None, CORDONED: None, EPOCH: str(self.epoch)})
            return [*made, {"op": "remove", "path": "/spec/unschedulable"}] if cordoned else made

        change(self.api, self.path, make, check_mode)
        return ours

    def drain(self, seconds: float) -> dict[str, Any]:
        """Evict what a drain takes, until none of it is left or the time is over.

        ``evicted`` names the pods that were told to go, ``left`` those that are still there, ``refused`` the last word
        about each that was not let go. ``ready`` is false only where the node was not Ready for a while without a
        break: one that flaps may serve again at once. ``machine_id`` is the machine that its kubelet runs on, ``kept``
        the pods that stay and were well at the first look: what a proof of the node may ask for afterwards.

        What speaks against a drain is asked again before the first pod goes, also where an earlier run has begun with
        it: the plan does not look at it for a node that was not Ready then, or that is ours. To refuse is safe there
        too, for the node is given back, and pods that have gone are elsewhere.
        """
        begun = self.clock()
        steady = min(_STEADY_SECONDS, seconds / 2)
        seen: dict[str, Any] = {}
        left: list[dict[str, Any]] = []
        told = _Told()
        kept: Optional[list[str]] = None
        silent: Optional[float] = None  # since when each look found it not Ready
        asked = out = False
        while True:
            try:
                # A younger heal, or a human's hold, ends this one here. Where the node is not Ready nobody waits: its
                # kubelet is not there to end a pod, and no service sends anything to it.
                seen = self._judged(self.api.get(self.path))
                now = self.clock()
                if seen["ready"]:
                    silent = None
                elif silent is None:
                    silent = now
                out = silent is not None and now - silent >= steady
                pods = self.api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={self.name}")
                left = evictions_left(self.name, pods)
                kept = kept_well(self.name, pods) if kept is None else kept
                if seen["ready"] and not asked and not all(it["going"] for it in left):
                    self._ask_again()
                    asked = True
                if seen["ready"]:
                    self._evict(left, told)
                if not left or out or self.clock() - begun >= seconds:
                    break
            except KubernetesError as exc:  # it may come back while there is time
                if exc.reason != "api_unreachable" or self.clock() - begun >= seconds:
                    raise
                # Nobody saw it meanwhile. It ends with a look or with this error: what was not seen is not empty.
                silent = None
            self.sleep(_PAUSE)
        return {
            "evicted": told.evicted,
            "left": [_label(it) for it in left],
            "refused": told.refused,
            "ready": not out,
            "kept": kept or [],
            "machine_id": str(seen.get("machine_id") or ""),
        }

    def _ask_again(self) -> None:
        """Refuse when a pod would find no other place, or nobody would make it again.

        A budget that allows none at the moment is no refusal here: the drain waits for it.
        """
        paths = ("/api/v1/nodes", "/api/v1/pods", "/apis/policy/v1/poddisruptionbudgets")
        nodes, pods, budgets = (self.api.items(path) for path in paths)
        found = drain_refusals(self.name, nodes, pods, budgets, self.clock())
        grave = [it for it in found if it["reason"] != "budget"]
        if grave:
            told = [it["detail"] for it in grave[:_SHOWN]]
            told += [f"and {len(grave) - _SHOWN} more"] if len(grave) > _SHOWN else []
            raise SelfhealError(planned(grave[0]), f"Node {self.name} is not drained: {'; '.join(told)}.")

    def _evict(self, left: list[dict[str, Any]], told: _Told) -> None:
        """Ask once for each pod that has not been told to go, and again after a while for one that was refused."""
        for it in left:
            label, now = _label(it), self.clock()
            if it["going"] or now < told.asked_at.get(label, 0.0) + _AGAIN_SECONDS:
                continue
            if not it["controlled"]:  # it came after the question
                told.refused[label] = "it has no controller: nobody would make it again"
                continue
            told.asked_at[label] = now
            why = evict(self.api, str(it["namespace"]), str(it["name"]), str(it["uid"]))
            if why:
                told.refused[label] = why
            else:
                told.evicted.append(label)
                told.refused.pop(label, None)


def _label(it: Mapping[str, Any]) -> str:
    return f"{it['namespace']}/{it['name']}"


def evict(api: Api, namespace: str, name: str, uid: str = "") -> str:
    """Ask for one pod by the eviction API; a budget's refusal as a sentence, empty when it goes (or is gone)."""
    options: dict[str, Any] = {}
    if uid:
        options["preconditions"] = {"uid": uid}
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
        "deleteOptions": options,
    }
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(name, safe='')}/eviction"
    try:
        api.request("POST", path, body)
    except KubernetesError as exc:
        if exc.status == 404 or (exc.status == 409 and "uid" in exc.message.lower()):
            return ""  # gone, or another one of the same name, which nobody asked for
        if exc.status == 429:
            return exc.message
        raise
    return ""


def hold_workload(api: Api, given: Mapping[str, Any], clock: Callable[[], float], check_mode: bool) -> bool:
    """Put our hold on a Deployment, or lift it (``state`` free); ``given`` as in the module ``kubernetes_hold``.

    In phase ``readmit`` the revision that was proven is marked as one that was available, for a way back to it.
    """
    space, name = quote(given["namespace"], safe=""), quote(given["name"], safe="")
    path = f"/apis/apps/v1/namespaces/{space}/deployments/{name}"
    what = f"Deployment {given['name']}"
    held = given["state"] == "held"
    had = False

    def make(item: dict[str, Any]) -> list[dict[str, Any]]:
        nonlocal had
        refuse(what, item, given["incident"], given["epoch"], clock())
        had = HOLD in notes_of(item)
        text = None
        if held:
            expires = clock() + given["deadline_seconds"]
            text = hold_text(given["incident"], given["epoch"], given["phase"], expires, given["reason"])
        return note_changes(item, {HOLD: text, EPOCH: str(given["epoch"])})

    item = change(api, path, make, check_mode)
    if given["phase"] == "readmit" and not held and not check_mode and roll_out(item)[0] == COMPLETE:
        mark_available(api, given["namespace"], item, clock())
    return held or had


def mark_available(api: Api, namespace: str, deployment: Mapping[str, Any], now: float) -> bool:
    """Write on the current ReplicaSet that it was seen available; Kubernetes itself does not remember that.

    True when it was not written before. An account without that right leaves it: it is a help, and no part of a heal.
    """
    selector = selector_text((deployment.get("spec") or {}).get("selector"))
    path = f"/apis/apps/v1/namespaces/{quote(namespace, safe='')}/replicasets"
    number = notes_of(deployment).get(REVISION, "")
    uid = str((deployment.get("metadata") or {}).get("uid", ""))
    for item in owned_by(api.items(path, labelSelector=selector), [uid]):
        if notes_of(item).get(REVISION) != number or marked_available(item):
            continue
        body = {"metadata": {"annotations": {available_mark(item): stamp(now)}}}
        try:
            api.patch(f"{path}/{quote(name_of(item), safe='')}", body)
        except KubernetesError as exc:
            if exc.reason != "not_authorized":
                raise
            return False
        return True
    return False
