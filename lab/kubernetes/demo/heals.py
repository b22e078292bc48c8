# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the healer's runs say of themselves, as the demo tells it. Pure but for the gauges' reader."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges import evaluate
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_default import CLUSTER_GAUGES, WORKLOAD_GAUGES
from lab.demo.nagios import Nagios
from lab.kubernetes.demo.timeline import Event
from lab.machines import Lab

#: What the rung of a heal is, for people.
RUNGS = {
    "service": "restarts its service", "reboot": "reboots it", "power": "switches its power off and on",
    "undo": "puts an earlier revision back", "rollout": "restarts the roll-out", "evict": "takes a pod away",
    "none": "restarts nothing",
}  # fmt: skip


class ClusterNagios(Nagios):
    """Nagios of the farm, judged by the gauges of workloads and of machines of a cluster."""

    def __init__(self, lab: Lab, workloads: Collection[str]) -> None:
        super().__init__(lab)
        self.workloads = frozenset(workloads)

    def verdict(self, services: Sequence[dict[str, object]], node: str, nodes: Sequence[str]) -> tuple[str, str]:
        """The gauges' verdict of one node among its twins, and the first reason."""
        gauges = WORKLOAD_GAUGES if node in self.workloads else CLUSTER_GAUGES
        own = [service for service in services if service["host"] in nodes]
        judged = evaluate(gauges, own, time.time(), nodes=nodes).get(node, {})
        reasons = judged.get("reasons") or [""]
        return str(judged.get("verdict") or "unknown"), str(reasons[0])


def attempts(node: str, since: float, runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Runs for this node that acted, began since then (seconds since the epoch) and are over; the first one first."""
    mine = [
        dict(run)
        for run in runs
        if run.get("node") == node
        and float(run.get("started_at") or 0) >= since
        and run.get("ended_at")
        and run.get("status") not in ("refused", "acting")
    ]
    return sorted(mine, key=lambda run: float(run["started_at"]))


def moments(run: Mapping[str, Any]) -> list[Event]:
    """What happened in a run, for the timeline; a time that it does not know is left out."""
    node = clean(run.get("node"), 40)
    rung = RUNGS.get(str(run.get("restart_kind")), "acts")
    began = [phase.get("started") for phase in run.get("phases") or [] if phase.get("name") == "restart"]
    told = [
        (run.get("started_at"), f"healer takes {node} in hand"),
        (began[0] if began else None, f"healer: {node}: {rung}"),
        (run.get("restored_at"), f"healer: {node} is given back"),
        (run.get("ended_at"), f"healer: {node}: {clean(run.get('status'), 40)}"),
    ]
    return [Event(float(at), text) for at, text in told if isinstance(at, (int, float)) and not isinstance(at, bool)]


def attempt_words(run: Mapping[str, Any]) -> str:
    """One line about a run that is over."""
    rung = RUNGS.get(str(run.get("restart_kind")), "acts")
    problems = [clean(text, 160) for text in run.get("problems") or []]
    said = f"the healer's run for {clean(run.get('node'), 40)} ({rung}) ended: {clean(run.get('status'), 40)}"
    return said + (f" ({problems[0]})" if problems else "")
