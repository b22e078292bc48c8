# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Restart a roll-out, put a revision back, or take stuck pods away: what is changed of a Deployment."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from ._errors import SelfhealError
from ._kubernetes import Api, selector_text
from ._kubernetes_drain import evict
from ._kubernetes_hold import EPOCH, JSON_PATCH, guarded, note_changes, notes_of, refuse
from ._kubernetes_workload import COMPLETE, Object, owned_by, revision, roll_out, rollback_to

#: What ``kubectl rollout restart`` sets as well (kubectl, pkg/polymorphichelpers/objectrestarter.go).
RESTARTED = "kubectl.kubernetes.io/restartedAt"
HASH = "pod-template-hash"
#: Ours, on the Deployment: the incident and the epoch of the last act, so that nothing is given twice.
ACTED = "selfheal.cluster/acted"


def chosen(deployment: Object, replica_sets: Iterable[Object], wanted: int, now: float) -> tuple[int, Object]:
    """The revision to put back with its ReplicaSet; 0 takes the last one before the current that was available."""
    meta = deployment.get("metadata") or {}
    number = str((meta.get("annotations") or {}).get("deployment.kubernetes.io/revision", ""))
    own = owned_by(replica_sets, [str(meta.get("uid", ""))])
    seen = {}
    for item in own:
        told = revision(item, False, now)
        told["current"] = str(told["revision"]) == number
        seen[told["revision"]] = (told, item)
    if wanted:
        if wanted not in seen:
            raise SelfhealError("no_revision", f"There is no revision {wanted}; there are {_list(seen)}.")
        return wanted, seen[wanted][1]
    target = rollback_to(told for told, _item in seen.values())
    if target is None:
        raise SelfhealError(
            "no_revision", f"No revision before {number or 'this one'} is known to have been available: call a human."
        )
    return int(target["revision"]), seen[int(target["revision"])][1]


def _list(seen: Mapping[int, Any]) -> str:
    return ", ".join(map(str, sorted(seen))) or "none"


def undo_template(replica_set: Object) -> dict[str, Any]:
    """The pod template of a revision as the Deployment had it: without the label that its controller adds."""
    template: dict[str, Any] = copy.deepcopy(dict((replica_set.get("spec") or {}).get("template") or {}))
    if not (template.get("spec") or {}).get("containers"):
        raise SelfhealError("no_revision", f"ReplicaSet {replica_set.get('metadata', {}).get('name')} has no template.")
    labels = (template.get("metadata") or {}).get("labels") or {}
    labels.pop(HASH, None)
    (template.get("metadata") or {}).pop("creationTimestamp", None)
    return template


def restart_template(deployment: Object, now: float) -> dict[str, Any]:
    """The Deployment's own template with the mark that makes its pods new ones."""
    template: dict[str, Any] = copy.deepcopy(dict((deployment.get("spec") or {}).get("template") or {}))
    meta = template.setdefault("metadata", {})
    when = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    meta["annotations"] = {**(meta.get("annotations") or {}), RESTARTED: when}
    return template


def may_restart(deployment: Object) -> None:
    """Raise where a restart of the roll-out would come in the way of another one."""
    state, reason, message = roll_out(deployment)
    if state not in (COMPLETE, "failed") and reason != "NotAvailable":
        raise SelfhealError(
            "rollout_running", f"A roll-out is under way ({message}); it is not restarted in the middle."
        )


def acted_already(deployment: Object, act: str, incident: str, since_epoch: int) -> bool:
    """Whether this very act was given for this incident under this epoch or a younger one."""
    words = notes_of(deployment).get(ACTED, "").split()
    if len(words) != 3 or not words[2].isdecimal():
        return False
    return bool(incident) and words[:2] == [act, incident] and int(words[2]) >= since_epoch


class Rollout:
    """One act on one Deployment; ``given`` are the arguments of the module ``kubernetes_rollout``."""

    def __init__(self, api: Api, given: Mapping[str, Any], now: float, check_mode: bool) -> None:
        self.api = api
        self.given = given
        self.now = now
        self.check_mode = check_mode
        self.apps = f"/apis/apps/v1/namespaces/{quote(given['namespace'], safe='')}"
        self.path = f"{self.apps}/deployments/{quote(given['name'], safe='')}"

    def run(self) -> dict[str, Any]:
        """Judge, act, and tell; SelfhealError when it must not be."""
        before = self.api.get(self.path)
        given, act = self.given, str(self.given["act"])
        if given["epoch"]:
            refuse(f"Deployment {given['name']}", before, given["incident"], given["epoch"], self.now)
        number = _number(before)
        result = {"changed": False, "restarted": True, "revision": number, "evicted": [], "diff": {}}
        if acted_already(before, act, given["incident"], given["since_epoch"] or given["epoch"]):
            return result
        if act == "evict":
            return {**result, **self._evict(before)}
        if act == "restart":
            may_restart(before)
            template = restart_template(before, self.now)
        else:
            selector = selector_text((before.get("spec") or {}).get("selector"))
            sets = self.api.items(f"{self.apps}/replicasets", labelSelector=selector)
            number, replica_set = chosen(before, sets, given["to_revision"], self.now)
            template = undo_template(replica_set)
        changed = template != before["spec"]["template"]
        if changed:
            self._patch(before, [{"op": "replace", "path": "/spec/template", "value": template}], act)
        diff = {"before": before["spec"]["template"], "after": template}
        return {**result, "changed": changed, "revision": number, "diff": diff}

    def _patch(self, before: Object, changes: list[dict[str, Any]], act: str) -> None:
        epoch, incident = self.given["epoch"], self.given["incident"]
        notes: dict[str, Any] = {EPOCH: str(epoch), ACTED: f"{act} {incident} {epoch}"} if epoch else {}
        query = {"dryRun": "All"} if self.check_mode else {}
        patch = guarded(before, [*changes, *note_changes(before, notes)])
        self.api.request("PATCH", self.path, patch, JSON_PATCH, False, **query)

    def _evict(self, before: Object) -> dict[str, Any]:
        """The pods of this Deployment by these names; the mark is written before the first is told to go."""
        space = str(self.given["namespace"])
        selector = selector_text((before.get("spec") or {}).get("selector"))
        sets = self.api.items(f"{self.apps}/replicasets", labelSelector=selector)
        own = owned_by(sets, [str((before.get("metadata") or {}).get("uid", ""))])
        path = f"/api/v1/namespaces/{quote(space, safe='')}/pods"
        pods = owned_by(self.api.items(path, labelSelector=selector), [str(it["metadata"]["uid"]) for it in own])
        wanted = {str(it["metadata"]["name"]): str(it["metadata"]["uid"]) for it in pods}
        names = [name for name in self.given["pods"] if name in wanted]
        if names and self.given["epoch"]:
            self._patch(before, [], "evict")
        told: list[str] = []
        for name in names if not self.check_mode else []:
            why = evict(self.api, space, name, wanted[name])
            if why:
                if told:
                    break  # what is done is done; the others are the next look's
                raise SelfhealError("budget", f"pod {name} was not let go: {why}")
            told.append(name)
        return {"changed": bool(names), "evicted": told if not self.check_mode else names}


def _number(deployment: Object) -> int:
    text = str(notes_of(deployment).get("deployment.kubernetes.io/revision", ""))
    return int(text) if text.isdecimal() else 0
