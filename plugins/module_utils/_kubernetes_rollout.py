# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Restart a roll-out, put a revision back, or take stuck pods away: what is changed of a Deployment."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from ._errors import SelfhealError
from ._kubernetes import Api, KubernetesError, selector_text
from ._kubernetes_change import Result, change, patiently
from ._kubernetes_drain import evict, mark_available
from ._kubernetes_hold import EPOCH, note_changes, notes_of, refuse
from ._kubernetes_node import going, is_ready
from ._kubernetes_workload import (
    COMPLETE,
    Object,
    owned_by,
    revision,
    revision_of,
    roll_out,
    rollback_to,
    stamp,
)

#: What ``kubectl rollout restart`` sets as well (kubectl, pkg/polymorphichelpers/objectrestarter.go).
RESTARTED = "kubectl.kubernetes.io/restartedAt"
HASH = "pod-template-hash"
#: Ours, on the Deployment: the incident and the epoch of the last act, so that nothing is given twice.
ACTED = "selfheal.cluster/acted"
#: How long an API server that gives no answer is asked again; what a lost answer did is read from the object itself.
PATIENCE_SECONDS = 20.0


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
    meta["annotations"] = {**(meta.get("annotations") or {}), RESTARTED: stamp(now)}
    return template


def may_restart(deployment: Object) -> None:
    """Raise where a restart of the roll-out would come in the way of another one."""
    state, reason, message = roll_out(deployment)
    if state not in (COMPLETE, "failed") and reason != "NotAvailable":
        raise SelfhealError(
            "rollout_running", f"A roll-out is under way ({message}); it is not restarted in the middle."
        )


def may_act(deployment: Object, act: str, judged: int) -> None:
    """Raise where a person works on it, or has rolled out something that nobody judged (invariants 2 and 6).

    ``judged``: the revision that the decision was about; 0 asks for none.
    """
    meta, spec, status = (deployment.get(part) or {} for part in ("metadata", "spec", "status"))
    name, seen = meta.get("name"), revision_of(deployment)
    if spec.get("paused"):
        raise SelfhealError("human_hold", f"The roll-out of {name} is paused: somebody works on it.")
    if judged and spec.get("replicas") == 0:
        raise SelfhealError("human_hold", f"{name} is scaled to no pod at all: somebody wants it so.")
    if judged and seen != judged:
        raise SelfhealError("conflict", f"{name} is at revision {seen}; {act} was decided on for revision {judged}.")
    if judged and int(meta.get("generation") or 0) > int(status.get("observedGeneration") or 0):
        # The number of the revision is its controller's, and may be of the specification before.
        raise SelfhealError("conflict", f"{name} was changed just now, and its controller has not seen that yet.")


def acted_already(deployment: Object, act: str, incident: str, since_epoch: int) -> bool:
    """Whether this very act was given for this incident under this epoch or a younger one."""
    words = notes_of(deployment).get(ACTED, "").split()
    if len(words) != 3 or not words[2].isdecimal():
        return False
    return bool(incident) and words[:2] == [act, incident] and int(words[2]) >= since_epoch


class Rollout:
    """One act on one Deployment; ``given`` are the arguments of the module ``kubernetes_rollout``."""

    def __init__(
        self,
        api: Api,
        given: Mapping[str, Any],
        now: float,
        check_mode: bool,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.api = api
        self.given = given
        self.now = now
        self.check_mode = check_mode
        self.clock = clock
        self.sleep = sleep
        self.end = clock() + PATIENCE_SECONDS
        #: True also when ``run`` raises: a change was sent whose answer was lost; and the pods that were told to go.
        self.touched = False
        self.evicted: list[str] = []
        self._marked = False  # by a change of this run whose answer was lost
        self.apps = f"/apis/apps/v1/namespaces/{quote(given['namespace'], safe='')}"
        self.path = f"{self.apps}/deployments/{quote(given['name'], safe='')}"

    def run(self) -> dict[str, Any]:
        """Judge, act, and tell; SelfhealError when it must not be."""
        if self.given["act"] == "proven":
            return self._proven()
        result: dict[str, Any] = {"changed": False, "restarted": True, "revision": 0, "evicted": [], "diff": {}}
        generation = None

        def make(before: dict[str, Any]) -> list[dict[str, Any]]:
            """What to change of it; judged anew when its status has changed meanwhile, but not its specification."""
            nonlocal generation
            changes = self._changes(before, result)  # none where an answer was lost, and the change was made
            now = (before.get("metadata") or {}).get("generation")
            if changes and generation not in (None, now):
                raise SelfhealError("conflict", f"Deployment {self.given['name']} was changed by somebody meanwhile.")
            generation = now
            return changes

        try:
            before = self._patiently(lambda: change(self.api, self.path, make, self.check_mode, dry_run=True))
        except KubernetesError as exc:
            if self.touched and exc.reason != "api_unreachable":  # a webhook's 500, say: the server can be asked
                self.touched = self._may_be_made()
            raise
        self.touched = False
        return {**result, **self._evict(before)} if self.given["act"] == "evict" else result

    def _may_be_made(self) -> bool:
        """Whether the change that was sent last is in the Deployment, or nobody can say."""
        try:
            item = self.api.get(self.path)
        except KubernetesError:
            return True
        return not self.given["epoch"] or self._acted(item)

    def _acted(self, item: Object) -> bool:
        """Whether this act was given already, by whatever run of this heal."""
        given = self.given
        return acted_already(item, str(given["act"]), given["incident"], given["since_epoch"] or given["epoch"])

    def _patiently(self, act: Callable[[], Result]) -> Result:
        """Do it, and again while there is time: each change names what it was judged by, and is not made twice."""

        def tried() -> Result:
            try:
                return act()
            except KubernetesError as exc:
                self.touched |= exc.lost
                raise

        return patiently(tried, self.end - self.clock(), self.clock, self.sleep)

    def _changes(self, before: dict[str, Any], result: dict[str, Any]) -> list[dict[str, Any]]:
        given, act = self.given, str(self.given["act"])
        if given["epoch"]:
            refuse(f"Deployment {given['name']}", before, given["incident"], given["epoch"], self.now)
        result["revision"] = number = revision_of(before)
        if self._acted(before):
            self._marked, self.touched = self.touched, False  # what was sent, if anything was, is known now
            return []
        may_act(before, act, int(given["judged_revision"]))
        if act == "evict":
            return self._marks(before, act) if self._own(before) else []
        if act == "restart":
            may_restart(before)
            template = restart_template(before, self.now)
        else:
            number, replica_set = chosen(before, self._sets(before), given["to_revision"], self.now)
            template = undo_template(replica_set)
        changed = template != before["spec"]["template"]
        diff = {"before": before["spec"]["template"], "after": template}
        result.update(changed=changed, revision=number, diff=diff)
        if not changed:
            return []
        return [{"op": "replace", "path": "/spec/template", "value": template}, *self._marks(before, act)]

    def _marks(self, before: Object, act: str) -> list[dict[str, Any]]:
        epoch, incident = self.given["epoch"], self.given["incident"]
        return note_changes(before, {EPOCH: str(epoch), ACTED: f"{act} {incident} {epoch}"}) if epoch else []

    def _proven(self) -> dict[str, Any]:
        """Remember that the current revision was seen available; refused while its roll-out is not complete."""
        before = self.api.get(self.path)
        state, _reason, message = roll_out(before)
        if state != COMPLETE:
            raise SelfhealError("rollout_running", f"The roll-out is {state} ({message}): it is not proven.")
        marked = False if self.check_mode else mark_available(self.api, self.given["namespace"], before, self.now)
        return {"changed": marked, "restarted": False, "revision": revision_of(before), "evicted": [], "diff": {}}

    def _sets(self, before: Object) -> list[dict[str, Any]]:
        selector = selector_text((before.get("spec") or {}).get("selector"))
        return self.api.items(f"{self.apps}/replicasets", labelSelector=selector)

    def _own(self, before: Object) -> dict[str, str]:
        """Those of the named pods that are this Deployment's and have not recovered, with their identity."""
        selector = selector_text((before.get("spec") or {}).get("selector"))
        own = owned_by(self._sets(before), [str((before.get("metadata") or {}).get("uid", ""))])
        path = f"/api/v1/namespaces/{quote(str(self.given['namespace']), safe='')}/pods"
        pods = owned_by(self.api.items(path, labelSelector=selector), [str(it["metadata"]["uid"]) for it in own])
        known = {
            str(it["metadata"]["name"]): str(it["metadata"]["uid"]) for it in pods if going(it) or not is_ready(it)
        }
        return {name: known[name] for name in self.given["pods"] if name in known}

    def _evict(self, before: Object) -> dict[str, Any]:
        """The pods of this Deployment by these names; the mark was written before the first is told to go."""
        if not self._marked and self._acted(before):
            return {}
        wanted = self._own(before)
        if self.check_mode:
            return {"changed": bool(wanted), "evicted": list(wanted)}
        for name, uid in wanted.items():

            def go(name: str = name, uid: str = uid) -> str:
                return evict(self.api, str(self.given["namespace"]), name, uid)

            why = self._patiently(go)
            if why:
                if self.evicted:
                    break  # what is done is done; the others are the next look's
                raise SelfhealError("budget", f"pod {name} was not let go: {why}")
            self.evicted.append(name)
        return {"changed": bool(wanted), "evicted": self.evicted}
