# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A healthy farm as the healer sees it, and how a case file changes it. Times in a case are like ``-5s``: from now."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from tests.unit.planner.farm import BALANCERS, NODES, merge, policies

NOW = 1_700_000_000.0
KINDS = {"memory": "resource", "http": "service", "": "connectivity", "disk": "storage"}
WORST = ("faulty", "suspect", "unknown", "ok")
TIME = re.compile(r"([+-]\d+(?:\.\d+)?)s")
# What a case may say about the world as it is, beside `seen`.
PLAIN = ("fresh", "read_at", "units", "serving", "paused", "aborts", "taken", "past_runs", "writes_every")


def timed(value: Any) -> Any:
    if isinstance(value, str) and TIME.fullmatch(value):
        return NOW + float(value[:-1])
    if isinstance(value, Mapping):
        return {timed(key): timed(item) for key, item in value.items()}
    return [timed(item) for item in value] if isinstance(value, list) else value


def verdict(node: str, services: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """``services``: verdict and time of the reading by service; '' is the host itself."""
    readings = [
        {"gauge": name or "host", "service": name, "label": "", "value": None, "at": at, "verdict": word}
        for name, (word, at) in services.items()
    ]
    word = min((item["verdict"] for item in readings), key=WORST.index) if readings else "unknown"
    kinds = [KINDS.get(str(item["service"]), "service") for item in readings if item["verdict"] == word]
    return {
        "node": node, "verdict": word, "kind": kinds[0] if word in ("faulty", "suspect") else None,
        "reasons": [] if word == "ok" else [f"{item['gauge']} is {word}" for item in readings
                                            if item["verdict"] == word],
        "readings": readings, "layer_load": False, **changes,
    }  # fmt: skip


def world(case: Mapping[str, Any]) -> dict[str, Any]:
    """The healthy farm with what the case says of it."""
    said = timed(copy.deepcopy(dict(case)))
    effective = {} if said.get("policies", {}) is None else policies()
    merge(effective, said.get("policies") or {})
    found: dict[str, Any] = {
        "policies": effective, "fresh": True, "read_at": NOW - 1,
        "alerts": [], "incidents": [], "attempts": [], "leases": [], "decisions": {}, "runs": [], "units": {},
        "paused": False, "aborts": [], "taken": [], "serving": {}, "past_runs": {}, "called": [], "verdicts": {},
        "fresh_journal": False,
    }  # fmt: skip
    for node in (*BALANCERS, *NODES):
        services = {"memory": ["ok", NOW - 3], "http": ["ok", NOW - 3], "": ["ok", NOW - 100]}
        seen = (said.get("seen") or {}).get(node) or {}
        said_of = ("verdict", "layer_load", "kind", "reasons", "unseen")
        changes = {name: seen.pop(name) for name in said_of if name in seen}
        services.update(seen)
        found["verdicts"][node] = verdict(node, {k: v for k, v in services.items() if v}, **changes)
    for node in said.get("unseen") or ():
        del found["verdicts"][node]
    found.update({name: said[name] for name in PLAIN if name in said})
    layer_of = {node: layer for layer, policy in found["policies"].items() for node in policy["nodes"]}
    for item in said.get("alerts") or ():
        found["alerts"].append({
            "id": "a1", "at": NOW - 2, "read_at": NOW - 1, "host": "ei1", "service": "memory", "state": "CRITICAL",
            "type": "HARD", "attempt": 3, "event_id": 1, "incident": None, "outcome": "", "reason": "", **item,
        })  # fmt: skip
    node_of = {}
    for item in said.get("incidents") or ():
        row = {"id": "I1", "node": "ei1", "state": "open", "opened_at": NOW - 60, "illness": "resource",
               "reasons": ["memory 97 %"], "outcome": None, "approved": False, "alerts": {}, **item}  # fmt: skip
        row["layer"] = layer_of.get(row["node"], "gone")
        node_of[row["id"]] = row["node"]
        found["incidents"].append(row)
    for item in said.get("attempts") or ():
        row = {"incident": "I1", "attempt": 1, "epoch": 1, "at": NOW - 50, "ended_at": None, "outcome": None,
               "phase": "confirm", "phase_at": NOW - 50, "rung": "service", "acknowledged": False, **item}  # fmt: skip
        row.setdefault("node", node_of.get(row["incident"], "ei1"))
        row.setdefault("layer", layer_of.get(row["node"], "gone"))
        found["attempts"].append(row)
    for item in said.get("leases") or ():
        found["leases"].append({
            "resource": "node:ei1", "incident": "I1", "epoch": 1, "mode": "exclusive", "phase": "confirm",
            "expires_at": NOW + 60, "owner": {"user": "anna"}, **item,
        })  # fmt: skip
    for node, item in (said.get("decisions") or {}).items():
        found["decisions"][node] = {
            "id": 1, "at": NOW - 20, "incident": None, "attempt": None, "admitted": False, "reasons": [], "same": 1,
            "verdict": "faulty", "kind": "resource", **item,
        }  # fmt: skip
    for item in said.get("runs") or ():
        row = {"incident": "I1", "number": 1, "started_at": NOW - 55, "ended_at": None, **item}
        row.setdefault("node", node_of.get(row["incident"], "ei1"))
        row["layer"] = layer_of.get(row["node"], "gone")
        row.setdefault("unit", unit(row["incident"], row["number"]))
        found["runs"].append(row)
    for item in said.get("called") or ():
        row = {"reason": item} if isinstance(item, str) else dict(item)
        found["called"].append({"incident": "I1", "at": NOW - 60, **row})
    return found


def unit(incident: str, number: int) -> str:
    return f"selfheal-heal@{incident}-{number}.service"


def acted(before: Mapping[str, Any], acts: list[dict[str, Any]], now: float) -> dict[str, Any]:
    """The world after the acts were done, nothing else having happened: what journal and systemd would show."""
    found: dict[str, Any] = copy.deepcopy(dict(before))
    settled: dict[str, str | None] = {}
    for act in acts:
        if act["act"] == "open":
            name = f"new-{act['node']}"
            found["incidents"].append({
                "id": name, "node": act["node"], "layer": act["layer"], "state": "open", "opened_at": now,
                "illness": act["kind"], "reasons": act["reasons"], "outcome": None, "approved": False, "alerts": {},
            })  # fmt: skip
            settled.update(dict.fromkeys(act["alerts"], name))
        elif act["act"] == "settle_alerts":
            settled.update(dict.fromkeys(act["ids"], act["incident"]))
        elif act["act"] == "close":
            found["incidents"] = [item for item in found["incidents"] if item["id"] != act["incident"]]
            found["leases"] = [item for item in found["leases"] if item["incident"] != act["incident"]]
        elif act["act"] == "ended":
            run = next(item for item in found["runs"] if (item["incident"], item["number"])
                       == (act["incident"], act["number"]))  # fmt: skip
            found["runs"].remove(run)
            past = {**run, "ended_at": now, "without": 1}
            found["past_runs"][act["incident"]] = max(
                past, found["past_runs"].get(act["incident"], past), key=lambda item: item["number"]
            )
        elif act["act"] == "start":
            assert not [item for item in found["runs"] if item["node"] == act["node"]], "two runs for one node"
            last = (found["past_runs"].get(act["incident"]) or {}).get("number", 0)
            row = {"incident": act["incident"], "number": last + 1, "unit": unit(act["incident"], last + 1),
                   "started_at": now, "ended_at": None, "node": act["node"], "layer": ""}  # fmt: skip
            found["runs"].append(row)
            if found["units"] is not None:
                found["units"][row["unit"]] = "active"
        elif act["act"] == "human":
            found["called"].append({"incident": act["incident"], "reason": act["reason"], "at": now})
        elif act["act"] == "withdraw":
            next(item for item in found["incidents"] if item["id"] == act["incident"])["approved"] = False
            found["called"] = [item for item in found["called"] if item["incident"] != act["incident"]
                               or item["reason"] not in ("mode_approve", "approve_late")]  # fmt: skip
    for item in found["alerts"]:
        for row in found["incidents"]:
            if row["id"] == settled.get(item["id"]):
                key = item.get("service") or ""
                row["alerts"][key] = max(item["at"], row["alerts"].get(key, item["at"]))
    found["alerts"] = [item for item in found["alerts"] if item["id"] not in settled]
    return found
