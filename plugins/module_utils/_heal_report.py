# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a heal says to people and to programs."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any, Dict, List, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils import _felt, _heal_again

# Keys of the state that programs may read; the rest is the controller's own business.
PUBLIC = (
    "node",
    "layer",
    "kind",
    "strategy",
    "role",
    "reason",
    "incident",
    "attempt",
    "epoch",
    "peer",
    "balancers",
    "status",
    "outcome",
    "phase",
    "phase_started",
    "phases",
    "started_at",
    "ended_at",
    "traffic_safe_at",
    "restored_at",
    "home_at",
    "unverified",
    "problems",
    "refusals",
    "candidates",
    "summary",
    "would",
    "decision_id",
    "restart",
    "parked",
    "felt",
    "read_again",
)
HUMAN = {
    "healed": "healed and verified",
    "undone": "not healed: it serves as before",
    "left_out": "stays out of traffic: a human has to look",
    "failed": "the heal failed: a human has to look",
    "refused": "refused",
}


def result(state: Mapping[str, Any]) -> Dict[str, Any]:
    """The machine-readable result, also in the middle of a heal."""
    return {key: state[key] for key in PUBLIC if key in state}


def write(path: str, content: Mapping[str, Any]) -> None:
    """Whole or not at all: a reader never meets half a file."""
    folder = os.path.dirname(os.path.abspath(path))
    handle, name = tempfile.mkstemp(prefix=".selfheal-", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream, sort_keys=True, default=str)
        os.replace(name, path)
    except BaseException:
        if os.path.exists(name):
            os.unlink(name)
        raise


def lines(before: Mapping[str, Any], state: Mapping[str, Any], step: str) -> List[str]:
    """Progress on the terminal: one line per phase that ended, and the plan and the summary."""
    if step == "plan":
        return _plan(state)
    if state is before or state == before:
        return []
    known = {(phase["name"], phase["started"]) for phase in before.get("phases", [])}
    out = [
        _row(phase["name"], phase["ended"] - phase["started"], state.get("said", ""))
        for phase in state.get("phases", [])
        if (phase["name"], phase["started"]) not in known
    ]
    fresh = [text for text in state.get("problems", []) if text not in before.get("problems", [])]
    out += [f"selfheal  ! {text}" for text in fresh]
    return out + (_summary(state) if step == "release" else [])


def _row(name: str, seconds: float, text: str) -> str:
    return f"selfheal  {name:<9} {seconds:6.2f} s  {text}".rstrip()


def _plan(state: Mapping[str, Any]) -> List[str]:
    out = []
    if state.get("summary"):
        out.append("selfheal  plan: {}".format(state["summary"]))
    if state["status"] != "acting":  # what is being done is told as it happens
        out += [f"selfheal    would: {text}" for text in state.get("would") or []]
    out += ["selfheal    refused {}: {}".format(item.get("reason"), item.get("detail")) for item in state["refusals"]]
    others = [item for item in state.get("candidates") or [] if item.get("node") != state["node"]]
    if others:
        names = ["{} ({})".format(item.get("node"), item.get("verdict")) for item in others]
        out.append("selfheal    other candidates: {}".format(", ".join(names)))
    if state["status"] == "acting":
        out.append(
            "selfheal  heal of {}, incident {}, attempt {}".format(state["node"], state["incident"], state["attempt"])
        )
    return out


def _summary(state: Mapping[str, Any]) -> List[str]:
    out = ["selfheal  {}: {}".format(state["node"], HUMAN.get(state["outcome"], state["outcome"]))]
    for key, label in (
        ("traffic_safe_at", "traffic safe"),
        ("restored_at", "redundancy restored"),
        ("home_at", "address home"),
    ):
        if state.get(key):
            out.append(f"selfheal    {label:<20} after {state[key] - state['started_at']:5.1f} s")
    again = _heal_again.words(state.get("read_again"))
    out += [
        f"selfheal    {text}" for text in ([again] if again else []) + _felt.words(state.get("felt"), state["node"])
    ]
    return out + [f"selfheal    {text}" for text in state.get("problems", [])]


def exit_message(state: Mapping[str, Any]) -> str:
    """Why the command ends with a failure; empty if it does not."""
    if state["status"] == "refused":
        why = "; ".join("{}: {}".format(item.get("reason"), item.get("detail")) for item in state["refusals"])
        return "refused: %s" % (why or state.get("summary") or "no node needs a heal that the plan admits")
    if state["status"] in ("undone", "left_out", "failed"):
        return "{}: {} ({})".format(
            state["node"], HUMAN[state["status"]], "; ".join(state["problems"]) or "no reason known"
        )
    return ""
