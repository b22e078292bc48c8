# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a decision rested on, cut down to what a person reads about one node. Pure but for the list of evidence.

The whole snapshot of a farm is in the journal for the replay; most of it is about other layers.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping

PLAN = (
    "strategy", "kind", "verdict", "illness", "reasons", "refusals", "notes", "would", "restart", "ends", "peer",
    "survivors", "min_up", "candidates", "phases", "deadlines", "resume", "moves",
    "dead", "leftover",
)  # fmt: skip
EVIDENCE_FILES = 500


def basis(body: Mapping[str, Any]) -> Dict[str, Any]:
    """The node's readings, its twins' verdicts, what the balancers said of its layer, and the plan."""
    snapshot, plan = body.get("snapshot") or {}, body.get("plan") or {}
    node, layer = plan.get("node"), plan.get("layer")
    verdicts = snapshot.get("verdicts") or {}
    nodes = (snapshot.get("layers") or {}).get(layer) or []
    addresses = {
        (member.get("address"), str(member.get("port")))
        for name, member in (snapshot.get("members") or {}).items()
        if name in nodes
    }
    policy = (body.get("policy") or {}).get(layer) or {}
    return {
        "node": node,
        "mode": policy.get("mode"),
        "verdict": verdicts.get(node) or {},
        "twins": [
            {"node": name, **{key: (verdicts.get(name) or {}).get(key) for key in ("verdict", "kind", "reasons")}}
            for name in nodes
            if name != node
        ],
        "nagios": snapshot.get("nagios") or {},
        "balancers": [
            {"balancer": name, **{key: seen.get(key) for key in ("reachable", "error", "holds_address", "age_seconds")},
             "servers": [row for row in seen.get("servers") or []
                         if (row.get("address"), str(row.get("port"))) in addresses or node == name]}
            for name, seen in (snapshot.get("balancers") or {}).items()
            if not policy.get("balancers") or name in policy["balancers"]
        ],
        "pair": {name: seen for name, seen in (snapshot.get("pair") or {}).items() if name in nodes},
        "plan": {key: plan.get(key) for key in PLAN},
    }  # fmt: skip


def evidence(root: str, incident: str) -> List[Dict[str, Any]]:
    """The files that were kept of an incident; an unreadable folder is none."""
    found: List[Dict[str, Any]] = []
    for base, folders, names in os.walk(os.path.join(root, os.path.basename(incident))):
        folders.sort()
        for name in sorted(names):
            try:
                size = os.lstat(os.path.join(base, name)).st_size
            except OSError:
                continue
            found.append({"folder": base, "file": name, "bytes": size})
    return found[:EVIDENCE_FILES]
