# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The state of one heal on its controller: a plain dict that each step takes and gives back.

The steps themselves are in ``_heal_flow`` (what every heal does), ``_heal_pool`` and ``_heal_pair``. ``run`` says
who takes part in the plays that follow. Everything in it starts as nobody, so that a step that breaks down leaves the
plays after it without hosts instead of with the hosts of yesterday.
"""

from __future__ import annotations

import copy
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._heal_target import NOBODY, pattern

State = Dict[str, Any]
Results = Mapping[str, Mapping[str, Any]]  # what one registered name holds, by host

PLAYS = (
    "observe",
    "observe_cluster",
    "shift",
    "drain",
    "evidence",
    "restart",
    "store",
    "verify",
    "look",
    "pay",
    "readmit",
    "soak",
    "again",
    "undo",
    "release",
)
LEASE = ("", "journal_host", "lease")
# Plays in which several groups of hosts work side by side: the play they wait for, and for each group its play, role
# and tasks. Without a role it is the strategy's, without a play the host of the journal's. A host that is in several
# groups does its parts in this order.
TOGETHER: Dict[str, Tuple[str, Tuple[Tuple[str, str, str], ...]]] = {
    "drain_and_evidence": ("drain", (LEASE, ("drain", "", "drain"), ("evidence", "node_evidence", "main"))),
    "restart_and_store": ("store", (("restart", "", "restart"), ("store", "node_evidence", "store"))),
    "verify_and_lease": ("verify", (LEASE, ("verify", "", "verify"))),
    "readmit_and_lease": ("readmit", (LEASE, ("readmit", "", "readmit"))),
    "soak_and_lease": ("soak", (LEASE, ("soak", "", "soak"), ("illness", "journal_host", "look"))),
}
OUTCOMES = ("healed", "undone", "failed", "left_out", "refused")


def new_state(started: float, node: Optional[str], reason: str, incident: str) -> State:
    """A heal that knows its target and nothing else yet."""
    return {
        "status": "planning",
        "outcome": "",
        "node": node or "",
        "reason": reason,
        "incident": incident,
        "layer": "",
        "kind": "",
        "strategy": "",
        "role": "",
        "epoch": 0,
        "attempt": 0,
        "peer": "",
        "balancers": [],
        "balancing": [],
        "dead": False,
        "leftover": False,
        "silent": False,
        "addresses": [],
        "run": nobody(),
        "hosts": {play: [] for play in PLAYS},
        "parts": {},
        "started_at": started,
        "phase": "confirm",
        "phase_started": started,
        "phases": [],
        "hold_seconds": 600,
        "goes_home": False,
        "parked": False,
        "parked_before": False,
        "offset_before": 0,
        "owed": [],
        "done": {"shift": [], "restart": False, "readmit": []},
        "witnesses": [],
        "machine_id": "",
        "kept_pods": [],
        "left_sessions": 0,
        "traffic_safe_at": None,
        "restored_at": None,
        "home_at": None,
        "counted": {"hosts": [], "before": {}, "after": {}},
        "felt": None,
        "looked_at": [],
        "looks": None,
        "levels": [],
        "read_again": None,
        "unverified": False,
        "problems": [],
        "said": "",
        "refusals": [],
        "candidates": [],
    }


def step_of(state: State) -> State:
    """A copy to work on: nobody takes part in the plays that follow until this step says so."""
    fresh = copy.deepcopy(dict(state))
    fresh["hosts_before"] = fresh.get("hosts", {})
    fresh["run"] = nobody()
    fresh["hosts"] = {play: [] for play in PLAYS}
    fresh["parts"] = {}
    fresh["said"] = ""
    return fresh


def nobody() -> Dict[str, str]:
    """Patterns of all plays, none of which matches a host."""
    return dict.fromkeys((*PLAYS, *TOGETHER), NOBODY)


def compose(state: State) -> None:
    """Plays that several groups of hosts share, so that they work side by side, and what each host does there."""
    groups = {**state["hosts"], "": [state.get("journal_host", "")]}
    groups["illness"] = groups[""] if state["levels"] else []  # only for what no balancer sees
    for name, (main, rows) in TOGETHER.items():
        if not state["hosts"][main]:
            continue
        parts: Dict[str, List[Dict[str, Any]]] = {}
        for play, role, tasks in rows:
            for host in groups[play]:
                own = parts.setdefault(host, [])
                # Ansible takes equal includes of several hosts for one, in the order of the first of them: the place of
                # a part makes those of a host that does something else before it different ones.
                own.append({"role": role or state["strategy"], "tasks": tasks, "place": len(own)})
        hosts = sorted(parts, key=lambda host: host in groups[""])  # what the others do takes longer, and begins first
        state["run"][name], state["parts"][name] = pattern(hosts), parts


def take_part(state: State, play: str, hosts: Iterable[str]) -> None:
    """These hosts take part in this play."""
    names = list(dict.fromkeys(hosts))
    state["hosts"][play] = names
    state["run"][play] = pattern(names)


def enter(state: State, phase: str, now: float) -> None:
    """Close the running phase and open the next one."""
    if state["phase"] == phase:
        return
    if state["phase"]:
        state["phases"].append({"name": state["phase"], "started": state["phase_started"], "ended": now})
    state["phase"], state["phase_started"] = phase, now


def problem(state: State, text: str) -> None:
    """Something that the human at the end has to read."""
    if text and text not in state["problems"]:
        state["problems"].append(text)


def verdict(result: Optional[Mapping[str, Any]]) -> str:
    """What became of one remote task: ``ok``, ``refused`` (it said why), ``failed``, ``unreachable`` or ``absent``."""
    if not result:
        return "absent"
    if result.get("unreachable"):
        return "unreachable"
    if result.get("failed"):
        return "refused" if result.get("reason") else "failed"
    return "absent" if result.get("skipped") else "ok"


# Refusals that are said before anything is touched. Any other failure may have come after the act.
_BEFORE_ACTING = (
    "stale_epoch",
    "epoch_unreadable",
    "below_minimum",
    "human_hold",
    "config_disabled",
    "no_such_member",
    "no_check",
    "no_track_file",
    "not_backup",
    "no_preempt",
    "address_owner",
    # Kubernetes' API server: what it refuses as a whole has changed nothing.
    "not_authenticated",
    "not_authorized",
    "not_found",
    "conflict",
    "no_client",
    "no_kubeconfig",
)


def may_have_acted(result: Optional[Mapping[str, Any]]) -> bool:
    """Whether this host may have shifted something: a lost or broken answer is no proof of nothing."""
    return verdict(result) != "refused" or (result or {}).get("reason") not in _BEFORE_ACTING


def because(host: str, result: Optional[Mapping[str, Any]]) -> str:
    """One line for a human about a task that did not work."""
    what = verdict(result)
    if what == "unreachable":
        return f"{host}: not reachable"
    if what == "absent" or result is None:
        return f"{host}: gave no answer"
    text = str(result.get("msg") or result.get("exception") or "failed").strip().splitlines()
    return "{}: {}".format(host, text[0][:300] if text else "failed")


def by_verdict(results: Results, hosts: Iterable[str], *wanted: str) -> List[str]:
    """Hosts, in their order, whose result has one of these verdicts."""
    return [host for host in hosts if verdict(results.get(host)) in wanted]


def at_of(result: Mapping[str, Any], earliest: float, now: float) -> float:
    """The time that the target gives for its act, if its clock is plausible, else now."""
    at = _plausible(result.get("at"), earliest, now)
    return now if at is None else at


def _plausible(at: Any, earliest: float, now: float) -> Optional[float]:
    """A time that a clock in step with the controller's can have given within this phase, else None."""
    return float(at) if isinstance(at, (int, float)) and earliest - 1.0 <= float(at) <= now + 0.5 else None


def said_at(result: Mapping[str, Any], earliest: float, now: float) -> float:
    """When a witness said so, for its age (invariant 8). In doubt it is as old as its phase, never younger.

    A watch of our own has the controller's time of its last question in ``asked_at``; a module has its target's time
    in ``at``, which counts only if that clock is plausible.
    """
    for name in ("asked_at", "at"):
        at = _plausible(result.get(name), earliest, now)
        if at is not None:
            return at
    return earliest


def member_rows(answer: Optional[Mapping[str, Any]], address: str, port: Any) -> List[Mapping[str, Any]]:
    """The rows of one member, by address and port, in an ``lb_member_info`` answer."""
    rows = ((answer or {}).get("balancer") or {}).get("servers") or []
    return [row for row in rows if row.get("address") == address and str(row.get("port")) == str(port)]


def serving(row: Mapping[str, Any]) -> bool:
    """A member that gets traffic now: up, in rotation, with weight."""
    up = row.get("operational") in ("running", "starting")
    return up and row.get("admin") == "ready" and int(row.get("weight") or 0) > 0


def settle(state: State, outcome: str, now: float) -> None:
    """The heal is over but for its lease."""
    state["outcome"] = outcome
    take_part(state, "release", [state["journal_host"]] if state.get("journal_host") else [])
    enter(state, "", now)


def go_back(state: State, hosts: Iterable[str], now: float) -> None:
    """Return what was shifted: nothing has been restarted, so the way back is safe.

    If a run before this one may have restarted the node, it is not: then nobody gives it back unverified.
    """
    if state.get("restarted_before"):
        call_human(
            state, "{} may have been restarted and is not verified; it stays as it is".format(state["node"]), now
        )
        return
    names = list(hosts)
    if not names:
        settle(state, "undone", now)
        return
    enter(state, "undo", now)
    take_part(state, "undo", names)


def call_human(state: State, text: str, now: float) -> None:
    """The node stays out of traffic under its hold; a person has to look."""
    problem(state, text)
    settle(state, "left_out", now)


def after_evidence(state: State, verifiers: Iterable[str], now: float) -> None:
    """What the plan wants after the node is out of traffic: a restart, only the proof, or a person."""
    if "restart" in state["planned"] and state["restart_kind"] != "none":
        enter(state, "restart", now)
        take_part(state, "restart", [state["node"]])
    elif "verify" in state["planned"]:
        enter(state, "verify", now)
        take_part(state, "verify", verifiers)
    else:
        call_human(state, f"{state['node']} is out of traffic; a restart does not cure this illness", now)
