# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A journal in a temporary folder, and questions to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_healer as healer
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import initialise
from tests.unit.planner import farm

NOW = farm.NOW
UNIT = "selfheal-heal@{name}.service"
DESK = {
    "user": "anna",
    "host": "desk",
    "machine_id": "m1",
    "boot_id": "b1",
    "pid_namespace": "n1",
    "pid": 7,
    "started": 9,
}


def new(folder: Path, initialised: bool = True) -> Journal:
    path = str(folder / "journal.db")
    Journal.create(path, NOW - 3600)
    journal = Journal(path)
    if initialised:
        initialise(journal, {}, NOW - 3600)
    return journal


def question(node: str | None = "ei1", owner: dict[str, Any] | None = None, **case: Any) -> dict[str, Any]:
    """A request as the action plugin sends it; an ill node, and no block periods unless the case says otherwise."""
    if "ill" not in case and node:
        case["ill"] = {node: "resource"}
    seen, policies, _, _ = farm.farm({"node": node, **case})
    for policy in policies.values():
        policy["limits"].update({"block_node_seconds": 0, "block_layer_seconds": 0})
    farm.merge(policies, case.get("policy") or {})
    return {"snapshot": seen, "policies": policies, "owner": DESK if owner is None else owner, "dead": []}


def reasons(result: dict[str, Any]) -> list[str]:
    return sorted({item["reason"] for item in result["refusals"]})


def alert(name: str = "1.event", **changes: Any) -> dict[str, Any]:
    return {"v": 1, "id": name, "at": NOW - 2, "host": "ei1", "service": "memory", "state": "CRITICAL",
            "type": "HARD", "attempt": 3, "event_id": 17, **changes}  # fmt: skip


def opened(journal: Journal, node: str = "ei1", now: float = NOW) -> str:
    return healer.open_incident(journal, node, "ei", "resource", ["memory 97 %"], now)
