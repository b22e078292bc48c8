# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Restart a roll-out, or put a revision back: what is changed of a Deployment, as a patch. Pure."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from ._errors import SelfhealError
from ._kubernetes_workload import COMPLETE, Object, owned_by, revision, roll_out, rollback_to

#: What ``kubectl rollout restart`` sets as well (kubectl, pkg/polymorphichelpers/objectrestarter.go).
RESTARTED = "kubectl.kubernetes.io/restartedAt"
HASH = "pod-template-hash"


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
