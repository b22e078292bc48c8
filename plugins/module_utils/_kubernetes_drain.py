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
from ._kubernetes import Api, KubernetesError
from ._kubernetes_hold import EPOCH, HOLD, JSON_PATCH, guarded, hold_text, note_changes, notes_of, refuse
from ._kubernetes_node import CORDONED, evictions_left, node

_PAUSE = 0.5
_AGAIN_SECONDS = 1.0


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

    def _judged(self) -> dict[str, Any]:
        item = self.api.get(self.path)
        refuse(f"Node {self.name}", item, self.incident, self.epoch, self.clock())
        return item

    def cordon(self, phase: str, seconds: float, reason: str, check_mode: bool = False) -> bool:
        """Our hold, our mark and the cordon, in one change; true when something is new. A human's cordon is refused."""
        item = self._judged()
        seen = node(item, self.clock())
        if seen["human_cordon"]:
            raise SelfhealError("human_hold", f"Node {self.name} was cordoned by somebody else, and stays as it is.")
        text = hold_text(self.incident, self.epoch, phase, self.clock() + seconds, reason)
        changes = note_changes(item, {HOLD: text, EPOCH: str(self.epoch), CORDONED: self.incident})
        if not seen["cordoned"]:
            changes.append({"op": "add", "path": "/spec/unschedulable", "value": True})
        self._patch(item, changes, check_mode)
        return not seen["cordoned"] or notes_of(item).get(CORDONED) != self.incident

    def uncordon(self, check_mode: bool = False) -> bool:
        """Take our cordon, mark and hold away. A cordon that does not bear our mark is left alone."""
        item = self._judged()
        seen, notes = node(item, self.clock()), notes_of(item)
        changes = note_changes(item, {HOLD: None, CORDONED: None, EPOCH: str(self.epoch)})
        if seen["cordoned"] and not seen["human_cordon"]:
            changes.append({"op": "remove", "path": "/spec/unschedulable"})
        self._patch(item, changes, check_mode)
        return bool(seen["cordoned"] and not seen["human_cordon"]) or HOLD in notes

    def _patch(self, item: dict[str, Any], changes: list[dict[str, Any]], check_mode: bool) -> None:
        if changes and not check_mode:
            self.api.request("PATCH", self.path, guarded(item, changes), JSON_PATCH)

    def drain(self, seconds: float) -> dict[str, Any]:
        """Evict what a drain takes, until none of it is left or the time is over.

        ``evicted`` names the pods that were told to go, ``left`` those that are still there, ``refused`` the last word
        of a budget about each; ``ready`` is whether the node was Ready at the last look.
        """
        end = self.clock() + seconds
        evicted: list[str] = []
        refused: dict[str, str] = {}
        asked_at: dict[str, float] = {}
        while True:
            # A younger heal, or a human's hold, ends this one here. Where the node is not Ready nobody waits: its
            # kubelet is not there to end a pod, and no service sends anything to it.
            ready = node(self._judged(), self.clock())["ready"]
            pods = self.api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={self.name}")
            left = evictions_left(self.name, pods)
            for it in left:
                label, now = f"{it['namespace']}/{it['name']}", self.clock()
                if it["going"] or now < asked_at.get(label, 0.0) + _AGAIN_SECONDS:
                    continue
                asked_at[label] = now
                why = evict(self.api, str(it["namespace"]), str(it["name"]), str(it["uid"]))
                if why:
                    refused[label] = why
                else:
                    evicted.append(label)
                    refused.pop(label, None)
            if not left or self.clock() >= end or not ready:
                names = [f"{it['namespace']}/{it['name']}" for it in left]
                return {"evicted": evicted, "left": names, "refused": refused, "ready": ready}
            self.sleep(_PAUSE)


def evict(api: Api, namespace: str, name: str, uid: str = "", grace: Optional[int] = None) -> str:
    """Ask for one pod by the eviction API; a budget's refusal as a sentence, empty when it goes (or is gone)."""
    options: dict[str, Any] = {}
    if uid:
        options["preconditions"] = {"uid": uid}
    if grace is not None:
        options["gracePeriodSeconds"] = grace
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


def hold_workload(api: Api, given: Mapping[str, Any], now: float, check_mode: bool) -> bool:
    """Put our hold on a Deployment, or lift it (``state`` free); ``given`` as in the module ``kubernetes_hold``."""
    space, name = quote(given["namespace"], safe=""), quote(given["name"], safe="")
    path = f"/apis/apps/v1/namespaces/{space}/deployments/{name}"
    item = api.get(path)
    refuse(f"Deployment {given['name']}", item, given["incident"], given["epoch"], now)
    had = HOLD in notes_of(item)
    text = None
    if given["state"] == "held":
        expires = now + given["deadline_seconds"]
        text = hold_text(given["incident"], given["epoch"], given["phase"], expires, given["reason"])
    changes = note_changes(item, {HOLD: text, EPOCH: str(given["epoch"])})
    if not check_mode:
        api.request("PATCH", path, guarded(item, changes), JSON_PATCH)
    return had != (text is not None) or text is not None
