# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A person's words to the journal: that it may act, pause, abort, acknowledge."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import (
    acknowledge,
    initialise,
    set_flag,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_json import digest

SPEC: Dict[str, Any] = {
    "path": {"type": "path", "default": "/var/lib/selfheal/journal.db"},
    "state": {"type": "str", "choices": ["present"], "default": "present"},
    "initialised": {"type": "bool", "default": True},
    "policies": {"type": "dict", "default": {}},
    "paused": {"type": "bool"},
    "abort": {"type": "str"},
    "acknowledge": {"type": "str"},
    "by": {"type": "str", "default": "a person"},
}


def say(params: Mapping[str, Any], now: float, check_mode: bool) -> Tuple[bool, List[str]]:
    """Do what is asked; the changes in words. In check mode nothing is written."""
    path = params["path"]
    missing = not os.path.exists(path)
    if missing and check_mode:
        return True, ["created"]
    created = Journal.create(path, now) if missing else False
    changes = ["created"] if created else []
    with Journal(path) as journal:
        planned = _planned(journal, params)
        if check_mode:
            return created, changes + planned
        if params["initialised"]:
            initialise(journal, params["policies"], now)
        if params["paused"] is not None:
            set_flag(journal, "paused", params["paused"], params["by"], now)
        if params["abort"]:
            set_flag(journal, "abort:" + params["abort"], True, params["by"], now)
        if params["acknowledge"]:
            acknowledge(journal, params["acknowledge"], params["by"], now)
    return created, changes + planned


def _planned(journal: Journal, params: Mapping[str, Any]) -> List[str]:
    changes = []
    if params["initialised"]:
        if journal.meta("initialised_at") is None:
            changes.append("initialised")
        for layer, policy in sorted(params["policies"].items()):
            old = journal.rows("SELECT hash FROM policies WHERE layer = ? AND pinned = 1", layer)
            if not old or old[0]["hash"] != digest(policy):
                changes.append("policy of layer %s pinned" % layer)
    if params["paused"] is not None and params["paused"] != journal.flag("paused"):
        changes.append("paused" if params["paused"] else "not paused any more")
    if params["abort"]:
        _exists(journal, params["abort"], must_be_open=True)
        if not journal.flag("abort:" + params["abort"]):
            changes.append("incident %s aborted" % params["abort"])
    if params["acknowledge"]:
        _exists(journal, params["acknowledge"], must_be_open=False)
        unsettled = journal.rows(
            "SELECT 1 FROM attempts JOIN incidents ON incidents.id = incident WHERE incident = ?"
            " AND (acknowledged = 0 OR state = 'open')", params["acknowledge"],
        )  # fmt: skip
        if unsettled:
            changes.append("incident %s acknowledged" % params["acknowledge"])
    return changes


def _exists(journal: Journal, incident: str, must_be_open: bool) -> None:
    found = journal.rows("SELECT state FROM incidents WHERE id = ?", incident)
    if not found:
        raise SelfhealError("unknown_incident", "the journal knows no incident %s" % incident)
    if must_be_open and found[0]["state"] != "open":
        raise SelfhealError("unknown_incident", "incident %s is closed already" % incident)
