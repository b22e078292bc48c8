# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The rung for a full partition of a pool's member: delete old files where the policy says so, restart nothing.

Only where it can help: each partition that the gauge found full must hold a path of ``selfheal_relief``. What the
reading does not tell is not guessed; then a person is called, as without a relief.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_default import DEFAULT_GAUGES
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_model import Gauge, validate_gauges
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_case import Case, names
from ansible_collections.selfheal.cluster.plugins.module_utils._policy_checks import holds, whole

Relief = Mapping[str, Any]


def choose(case: Case) -> Optional[Dict[str, Any]]:
    """The rung, or None with the refusal that says why a person is needed."""
    allowed: List[Relief] = case.policy.get("relief") or []
    if case.policy["kind"] != "pool" or not allowed:
        return _no(case, "a full disk of %s is relieved by a person, never restarted away" % case.node)
    own = case.incident["id"] if case.incident else None
    tried = [item for item in case.attempts if own and item.get("incident") == own and not item.get("acknowledged")]
    if any(item.get("rung") == "relief" and item.get("outcome") in ("failed", "left_out") for item in tried):
        case.refuse("attempts_exhausted", "%s was relieved in incident %s and stayed full; never twice"
                    % (case.node, own))  # fmt: skip
        return None
    gauges = {
        gauge.name: gauge
        for gauge in validate_gauges(case.policy.get("gauges") or DEFAULT_GAUGES)
        if gauge.kind == "storage"
    }
    readings = [item for item in case.verdict.get("readings") or () if item.get("gauge") in gauges]
    full = {str(item.get("label") or ""): item for item in readings if item.get("verdict") == "faulty"}
    if not full or not all(whole(label) for label in full):
        return _no(case, "no reading says which partition of %s is full; a person relieves it" % case.node)
    limits = {label: _limit(gauges[str(item["gauge"])], label) for label, item in full.items()}
    unknown = [label for label, limit in limits.items() if limit is None]
    if unknown:
        return _no(case, "no gauge says which share of %s of %s may be used; a person relieves it"
                   % (names(unknown), case.node))  # fmt: skip
    mounts = [str(item.get("label")) for item in readings if whole(item.get("label"))]
    useful = [item for item in allowed if _mount(item["path"], mounts) in full]
    left = set(full) - {_mount(item["path"], mounts) for item in useful}
    if left:
        return _no(case, "selfheal_relief names no path on the full %s of %s (it has %s); a person relieves it"
                   % (names(left), case.node, names({item["path"] for item in allowed})))  # fmt: skip
    return {
        "kind": "relief",
        "service": case.policy["service"],
        "relief": [dict(item) for item in useful],
        "partitions": [{"path": label, "below": limits[label]} for label in sorted(full)],
    }


def _no(case: Case, detail: str) -> Optional[Dict[str, Any]]:
    case.refuse("wrong_kind", detail)
    return None


def _mount(path: str, mounts: Iterable[str]) -> str:
    """The watched partition that a path lies on, as far as the readings tell; the node itself looks again."""
    return max((mount for mount in mounts if holds(mount, path)), key=len, default="")


def _limit(gauge: Gauge, label: str) -> Optional[float]:
    """Which share of a partition must be in use at most to be clear; None where the gauge has no share."""
    for source in gauge.sources:
        if source.label == label or (
            source.pattern is not None
            and source.pattern.match(label)
            and not (source.ignore is not None and source.ignore.match(label))
        ):
            below = source.clear_at if source.high else 1 - source.clear_at
            return round(below, 6) if source.unit == "ratio" and 0 < below <= 1 else None
    return None


def words(restart: Mapping[str, Any], node: str) -> str:
    """What the rung does, for people."""
    parts = [
        "files %s older than %s below %s" % (item["pattern"], _age(item["older_seconds"]), item["path"])
        for item in restart.get("relief") or ()
    ]
    return "delete %s on %s" % (" and ".join(parts), node)


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return "%d %s" % (seconds // size, unit)
    return "%g s" % seconds
