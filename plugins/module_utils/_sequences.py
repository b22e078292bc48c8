# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Phases, steps, their undoing and their deadlines, as data.

The roles carry the steps out; the planner prints them; the lease is extended to the deadline of the phase.
A step without an undoing changes nothing that has to be undone.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

PHASES = ("confirm", "shift", "evidence", "restart", "verify", "readmit", "soak")
# An attempt that came as far as one of these has its restart behind it.
AFTER_RESTART = ("verify", "readmit", "soak")
# Nothing is restarted: the node keeps out of traffic until a person comes.
SHIFT_ONLY = ("confirm", "shift", "evidence")
# An interrupted heal whose restart is over, or must not happen any more: prove the node and give it back.
RETURN_ONLY = ("confirm", "shift", "verify", "readmit", "soak")
# Seconds that a lease outlives the deadline of its phase: the start of Ansible and one lost connection.
MARGIN_SECONDS = 30
# Seconds that reading the farm and moving traffic may take besides what the policy allows for draining.
CONFIRM_SECONDS = 20
SHIFT_SECONDS = 20
# Seconds that a lost connection may cost the tasks of evidence, which drain as well; with the margin more than the
# 40 s of their time-outs.
EVIDENCE_SECONDS = 20


class Step(NamedTuple):
    name: str
    phase: str
    where: str  # balancers | node | peer | journal | monitor
    says: str  # what is done, with {node} and friends filled in by the planner
    undo: str  # name of the action that takes it back; '' when there is nothing to take back


STEPS: Dict[str, Tuple[Step, ...]] = {
    "lb_detach": (
        Step("plan", "confirm", "journal", "look at the farm again and take the leases", "release_leases"),
        Step("downtime", "shift", "monitor", "tell Nagios about our own downtime of {node}", "end_downtime"),
        Step("detach", "shift", "balancers", "take {node} out of traffic on {balancers}", "return_member"),
        Step("drain", "shift", "balancers", "wait until {node} has no request left", ""),
        Step("evidence", "evidence", "node", "collect evidence on {node}", ""),
        Step("restart", "restart", "node", "{restart}", ""),
        Step("answer", "verify", "node", "prove that {node} answers by itself", ""),
        Step("check", "verify", "balancers", "wait until the balancers' own checks of {node} are green", ""),
        Step("return", "readmit", "balancers", "give {node} its traffic back on {balancers}", "detach_again"),
        Step("watch", "soak", "balancers", "watch {node} under traffic", ""),
        Step("close", "soak", "journal", "write down the verified outcome and give the leases back", ""),
    ),
    "keepalived_failover": (
        Step("plan", "confirm", "journal", "look at the pair again and take the leases", "release_leases"),
        Step("downtime", "shift", "monitor", "tell Nagios about our own downtime of {node}", "end_downtime"),
        Step("move", "shift", "peer", "{move}", "move_back"),
        Step("evidence", "evidence", "node", "collect evidence on {node}", ""),
        Step("restart", "restart", "node", "{restart}", ""),
        Step("answer", "verify", "node", "prove that the service of {node} answers by itself", ""),
        Step("standby", "verify", "node", "prove that {node} can take the address: BACKUP, adverts heard", ""),
        Step("return", "readmit", "peer", "lift the holds, so that {node} is standby again", ""),
        Step("home", "readmit", "peer", "{home}", ""),
        Step("watch", "soak", "node", "watch the pair", ""),
        Step("close", "soak", "journal", "write down the verified outcome and give the leases back", ""),
    ),
    "kubernetes_workload": (
        Step("plan", "confirm", "journal", "look at the workload again and take the leases", "release_leases"),
        Step("downtime", "shift", "monitor", "tell Nagios about our own downtime of {node}", "end_downtime"),
        Step("hold", "shift", "journal", "put our hold on the Deployment of {node}", "lift_hold"),
        Step("evidence", "evidence", "journal", "keep logs, events and objects of {node}", ""),
        Step("restart", "restart", "journal", "{restart}", ""),
        Step("available", "verify", "journal", "wait until the roll-out is complete and its pods are available", ""),
        Step("return", "readmit", "journal", "lift our hold on {node}", ""),
        Step("watch", "soak", "journal", "watch {node} under traffic", ""),
        Step("close", "soak", "journal", "write down the verified outcome and give the leases back", ""),
    ),
    "kubernetes_node": (
        Step("plan", "confirm", "journal", "look at the cluster again and take the leases", "release_leases"),
        Step("downtime", "shift", "monitor", "tell Nagios about our own downtime of {node}", "end_downtime"),
        Step("cordon", "shift", "journal", "cordon {node} under our hold", "uncordon"),
        Step("drain", "shift", "journal", "evict the pods of {node} as their budgets allow", ""),
        Step("evidence", "evidence", "node", "collect evidence on {node}", ""),
        Step("restart", "restart", "node", "{restart}", ""),
        Step("ready", "verify", "journal", "prove that {node} is Ready", ""),
        Step("uncordon", "readmit", "journal", "uncordon {node} and lift our hold", "cordon_again"),
        Step("watch", "soak", "journal", "watch {node} and its pods", ""),
        Step("close", "soak", "journal", "write down the verified outcome and give the leases back", ""),
    ),
}


def steps(strategy: str, phases: Sequence[str]) -> List[Step]:
    return [step for step in STEPS[strategy] if step.phase in phases]


def undoings(strategy: str, phases: Sequence[str]) -> List[str]:
    """The undoing of what these phases do, last step first."""
    return [step.undo for step in reversed(steps(strategy, phases)) if step.undo]


def deadlines(limits: Mapping[str, Any], restarts: int = 1) -> Dict[str, int]:
    """Seconds that each phase may take. What passes its deadline is given up or undone.

    ``restarts``: how many restarts follow each other, each with its own time-out; a dead keepalived is one more.
    """
    seconds = {
        "confirm": CONFIRM_SECONDS,
        "shift": SHIFT_SECONDS + limits["drain_seconds"],
        "evidence": EVIDENCE_SECONDS + max(limits["drain_seconds"], limits["evidence_seconds"]),  # side by side
        "restart": limits["restart_seconds"] * restarts + MARGIN_SECONDS * (restarts - 1),
        "verify": limits["verify_seconds"],
        "readmit": limits["readmit_seconds"],
        "soak": limits["soak_seconds"],
    }
    return {phase: int(-(-seconds[phase] // 1)) for phase in PHASES}
