# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a decision rested on, cut down to what a person reads about one node. Pure but for the list of evidence.

The whole snapshot of a farm is in the journal for the replay; most of it is about other layers.
"""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from typing import Any, Dict, List, Mapping, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._planner_kubernetes import HOW, words
from ansible_collections.selfheal.cluster.plugins.module_utils._sequences import RETURN_ONLY

PLAN = (
    "strategy", "kind", "verdict", "illness", "reasons", "refusals", "notes", "would", "restart", "ends", "peer",
    "survivors", "min_up", "candidates", "phases", "deadlines", "resume", "moves",
    "dead", "leftover",
)  # fmt: skip
EVIDENCE_FILES = 500
MODES = ("mode_observe", "mode_approve")
_SHIFTS = {"workload": "hold", "machine": "drain"}


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
        "verdict": _with_marks(verdicts.get(node) or {}, policy.get("gauges") or []),
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


def would(plan: Mapping[str, Any]) -> str:
    """A decision that began no heal, in one line: what only the layer's mode stood in the way of, or what else did."""
    refusals = plan.get("refusals") or []
    others = [item for item in refusals if item["reason"] not in MODES]
    if others:
        more = len({item["reason"] for item in others} - {others[0]["reason"]})
        tail = " (and %d more reason%s)" % (more, "" if more == 1 else "s") if more else ""
        return "would not: %s%s" % (others[0].get("detail") or others[0]["reason"], tail)
    if not refusals:
        return ""
    waits = any(item["reason"] == "mode_approve" for item in refusals)
    return "%s: %s" % ("would" if waits else "would have", ", ".join(_moves(plan)))


def _moves(plan: Mapping[str, Any]) -> List[str]:
    """The steps of a plan that clients or the node would feel."""
    node, phases, restart = plan.get("node"), plan.get("phases") or [], plan.get("restart") or {}
    found = []
    if tuple(phases) != RETURN_ONLY and "shift" in phases:
        address = "move" if plan.get("moves") else "keep"
        where = "to" if plan.get("moves") else "on"
        found.append("%s the address %s %s" % (address, where, plan.get("peer")) if plan.get("kind") == "pair"
                     else "%s %s" % (_SHIFTS.get(str(plan.get("kind")), "detach"), node))  # fmt: skip
    if "restart" in phases:
        kind = restart.get("kind")
        found.append(words(restart) if kind in HOW else "reboot %s" % node if kind == "reboot"
                     else "restart %s" % restart.get("service"))  # fmt: skip
    return [*found, "return" if "readmit" in phases else "call a person"]


def _with_marks(verdict: Mapping[str, Any], gauges: List[Mapping[str, Any]]) -> Dict[str, Any]:
    """A verdict whose readings carry the mark at which their gauge is raised, as far as the policy has one."""
    readings = [{**item, "raise_at": _mark(item, gauges)} for item in verdict.get("readings") or []]
    return {**verdict, "readings": readings} if readings else dict(verdict)


def _mark(reading: Mapping[str, Any], gauges: List[Mapping[str, Any]]) -> Optional[float]:
    for gauge in gauges:
        if gauge.get("name") == reading.get("gauge"):
            for source in (gauge, *(gauge.get("alternatives") or ())):
                if source.get("label") and fnmatchcase(str(reading.get("label")), source["label"]):
                    found = source.get("raise_at", gauge.get("raise_at"))
                    return None if found is None else float(found)
    return None


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
