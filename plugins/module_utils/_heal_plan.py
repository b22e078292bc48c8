# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The decision on the journal host: open the journal, decide, or refuse because there is none."""

from __future__ import annotations

from typing import Any, Dict, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._planner import plan, refused
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_json import plain

EMPTY_HISTORY: Dict[str, Any] = {
    "attempts": [], "leases": [], "incidents": [], "paused": False, "aborts": [],
    "fresh_journal": False, "policies": {},
}  # fmt: skip


def answer(params: Mapping[str, Any], now: float, check_mode: bool) -> Dict[str, Any]:
    """Invariant 7: without a journal that can be read and written nothing may act."""
    try:
        with Journal(params["journal"]) as journal:
            result = journal.decide(params, now, store=not check_mode)
    except SelfhealError as exc:
        if exc.reason != "no_journal":
            raise
        result = without_journal(params, now, exc.message)
    result["check_mode"] = check_mode
    return result


def without_journal(params: Mapping[str, Any], now: float, message: str) -> Dict[str, Any]:
    """What the plan would be, refused for the want of a journal."""
    decision = plan(plain(params["snapshot"]), plain(params["policies"]), EMPTY_HISTORY, now)
    result = refused(decision, "no_journal", message)
    policy = (params["policies"] or {}).get(result["layer"]) or {}
    result.update(epoch=None, attempt=None, decision_id=None, policy=policy, holders=[])
    return result
