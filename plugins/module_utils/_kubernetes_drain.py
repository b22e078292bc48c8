# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Take a node of Kubernetes out of traffic, and give it back: cordon with our mark, evict, uncordon.

A pod goes by the eviction API alone, which asks every budget. A refusal is waited for until the time is over, and then
said with its reason; nothing is deleted past a budget.
"""

from __future__ import annotations

import time
from collections.abc import Callable
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
        of a budget about each.
        """
        end = self.clock() + seconds
        evicted: list[str] = []
        refused: dict[str, str] = {}
        asked_at: dict[str, float] = {}
        while True:
            self._judged()  # a younger heal, or a human's hold, ends this one here
            pods = self.api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={self.name}")
            left = evictions_left(self.name, pods)
            for it in left:
                label, now = f"{it['namespace']}/{it['name']}", self.clock()
                if it["going"] or now < asked_at.get(label, 0.0) + _AGAIN_SECONDS:
                    continue
                asked_at[label] = now
                why = self.evict(str(it["namespace"]), str(it["name"]), str(it["uid"]))
                if why:
                    refused[label] = why
                else:
                    evicted.append(label)
                    refused.pop(label, None)
            if not left:
                return {"evicted": evicted, "left": [], "refused": refused}
            if self.clock() >= end:
                names = [f"{it['namespace']}/{it['name']}" for it in left]
                return {"evicted": evicted, "left": names, "refused": refused}
            self.sleep(_PAUSE)

    def evict(self, namespace: str, name: str, uid: str = "", grace: Optional[int] = None) -> str:
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
            self.api.request("POST", path, body)
        except KubernetesError as exc:
            if exc.status == 404 or (exc.status == 409 and "uid" in exc.message.lower()):
                return ""  # gone, or another one of the same name, which nobody asked for
            if exc.status == 429:
                return exc.message
            raise
        return ""
