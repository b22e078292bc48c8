# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A picture of the farm for a human: what it is, how it is, what a heal would do, and what stands in its way.

Pure: observations in, plain data out. The observations are what the heal itself reads, so that the picture
shows what a heal would see; the decision is the planner's own, asked once per node. It has to survive every
farm: whatever could not be read is shown as such, with the sentence that says why.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence

from ansible_collections.selfheal.cluster.plugins.module_utils._survey_missing import missing
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_seen import (
    pair_instance,
    part,
    rows,
    sight,
    why_not,
)

# plan(node, reason) -> the planner's plan for that node on these observations.
Plan = Callable[[str, str], Mapping[str, Any]]


def rotation(observed: Mapping[str, Any], layer: Mapping[str, Any], node: str) -> List[Dict[str, Any]]:
    """Where a member of a pool stands on each balancer of its layer."""
    address = (observed.get("addresses") or {}).get(node)
    port = layer.get("port")
    places: List[Dict[str, Any]] = []
    for balancer in layer.get("balancers") or []:
        answer = part(observed, balancer, "balancer")
        if answer is None:
            reason = why_not(observed, balancer, "balancer")
            places.append({"balancer": balancer, "state": "not known", "detail": reason})
            continue
        servers = [
            server
            for server in rows(answer, "servers")
            if server.get("address") == address and server.get("port") == port
        ]
        if not servers:
            doubt = (observed.get("unresolved") or {}).get(node)
            detail = str(doubt or f"no server has the address {address}:{port}")
            places.append({"balancer": balancer, "state": "not mapped", "detail": detail})
        for server in servers:
            state, detail = server_state(server)
            places.append(
                {
                    "balancer": balancer,
                    "backend": server.get("backend"),
                    "server": server.get("server"),
                    "state": state,
                    "detail": detail,
                    "sessions": server.get("sessions"),
                }
            )
    return places


def server_state(server: Mapping[str, Any]) -> tuple[str, str]:
    """One word for a human about a server of HAProxy, and what it rests on."""
    hold = server.get("hold")
    check = str(server.get("check") or "no check")
    if server.get("admin") in ("maint", "drain"):
        if hold:
            left = hold.get("remaining_seconds")
            expired = "run out" if hold.get("expired") else f"{_seconds(left)} left"
            return "held", f"by incident {hold.get('incident')}, phase {hold.get('phase')}, {expired}"
        return "held by a human", f"{server.get('admin')} without a hold of ours"
    if server.get("operational") == "running":
        if server.get("weight") == 0:
            return "no weight", "weight 0: it gets no new requests"
        return "in rotation", check
    return "down", check


def _seconds(value: Any) -> str:
    return f"{value:.0f} s" if isinstance(value, (int, float)) else "? s"


def pair_role(observed: Mapping[str, Any], layer: Mapping[str, Any], node: str) -> Dict[str, Any]:
    """What a member of a pair is at the moment."""
    answer = part(observed, node, "keepalived")
    if answer is None:
        return {"state": "not known", "detail": why_not(observed, node, "keepalived"), "address": None}
    instance = pair_instance(answer, layer)
    if not answer.get("running"):
        state = "STOPPED" if answer.get("stopped") else "not known"
        left = instance.get("address_present") if instance else None
        return {"state": state, "detail": "keepalived does not run", "address": left}
    if instance is None:
        detail = f"keepalived knows no instance {layer.get('instance')}"
        return {"state": "not known", "detail": detail, "address": None}
    state = str(instance.get("state"))
    detail = f"priority {instance.get('effective_priority')}"
    if instance.get("offset"):
        detail += f" (offset {instance['offset']})"
    hold = instance.get("hold")
    if hold:
        detail += f", held by incident {hold.get('incident')}"
    return {"state": state, "detail": detail, "address": bool(instance.get("address_present"))}


def ask(plan: Plan, node: str, reason: str) -> Dict[str, Any]:
    """The planner's word on one node; a planner that fails is a finding, never the end of the survey."""
    try:
        said = dict(plan(node, reason))
    except Exception as error:  # a survey must show a broken plan, not break on it
        said = {"admitted": False, "refusals": [{"reason": "no_plan", "detail": f"the plan failed: {error}"}]}
    return {
        "admitted": bool(said.get("admitted")),
        "refusals": [dict(refusal) for refusal in said.get("refusals") or []],
        "strategy": said.get("strategy"),
        "summary": str(said.get("summary") or ""),
        "would": [str(step) for step in said.get("would") or []],
    }


def node_view(observed: Mapping[str, Any], layer: Mapping[str, Any], node: str, plan: Plan) -> Dict[str, Any]:
    """One node: its verdict, its place in the traffic, its own word, and what a heal would do."""
    seen = sight(observed, node)
    verdict = _verdict(observed, node)
    target = part(observed, node, "target")
    unit = (target or {}).get("unit") or {}
    view: Dict[str, Any] = {
        "node": node,
        "layer": layer["layer"],
        "reachable": seen.get("reachable"),
        "error": str(seen.get("error") or "") if not seen.get("reachable") else "",
        "verdict": verdict.get("verdict") or "unknown",
        "kind": verdict.get("kind"),
        "reasons": [str(reason) for reason in verdict.get("reasons") or []],
        "service": {"unit": layer.get("service"), "state": unit.get("detail"), "active": unit.get("active")},
        "rotation": rotation(observed, layer, node) if layer.get("kind") == "pool" else [],
        "role": pair_role(observed, layer, node) if layer.get("kind") == "pair" else None,
    }
    if layer.get("problem"):
        view["now"] = {"admitted": False, "refusals": [{"reason": "policy", "detail": layer["problem"]}]}
        view["if_ill"] = view["now"]
        return view
    view["now"] = ask(plan, node, "")
    # A healthy node is refused as such, which hides whether a heal would be possible at all. A drill lifts that.
    view["if_ill"] = ask(plan, node, "drill")
    return view


def _verdict(observed: Mapping[str, Any], node: str) -> Mapping[str, Any]:
    answer = part(observed, str(observed.get("monitor") or ""), "nagios")
    if answer is None:
        reason = why_not(observed, str(observed.get("monitor") or ""), "nagios")
        return {"verdict": "unknown", "reasons": [f"Nagios could not be asked: {reason}"]}
    found = (answer.get("verdicts") or {}).get(node)
    if isinstance(found, Mapping):
        return found
    return {"verdict": "unknown", "reasons": ["Nagios knows no host of this name"]}


def layer_view(observed: Mapping[str, Any], layer: Mapping[str, Any]) -> Dict[str, Any]:
    """One layer: the policy that counts for it, and for a pair who holds the address."""
    holders = []
    for node in layer.get("nodes") or []:
        if layer.get("kind") == "pair" and pair_role(observed, layer, node)["address"]:
            holders.append(node)
    keys = ("layer", "nodes", "kind", "strategy", "mode", "balancers", "service", "port", "vip", "instance",
            "preferred", "home", "reboot", "config_files", "limits")  # fmt: skip
    view = {key: layer.get(key) for key in keys}
    view.update({key: layer[key] for key in ("namespace", "kubeconfig", "context") if key in layer})
    view["problem"] = str(layer.get("problem") or "")
    view["holders"] = holders
    return view


def nagios_view(observed: Mapping[str, Any]) -> Dict[str, Any]:
    """Whether Nagios can be believed at this moment."""
    monitor = str(observed.get("monitor") or "")
    answer = part(observed, monitor, "nagios")
    view: Dict[str, Any] = {"host": monitor or None, "fresh": False, "reason": "unreachable", "message": ""}
    if not monitor:
        view["message"] = "no host of the inventory is named as the monitor"
    elif answer is None:
        view["message"] = why_not(observed, monitor, "nagios")
        view["reason"] = str(sight(observed, monitor).get("nagios_reason") or "unreachable")
    else:
        view.update(answer.get("nagios") or {})
    return view


def journal_view(observed: Mapping[str, Any]) -> Dict[str, Any]:
    """What the journal says, or that there is none."""
    host = str(observed.get("journal_host") or "")
    answer = part(observed, host, "journal")
    if answer is None:
        error = why_not(observed, host, "journal") if host else "no host of the inventory is named for it"
        # A journal that could not be asked may be there: that is another sentence, and no lines to add.
        reason = sight(observed, host).get("journal_reason") if host else "no_journal"
        asked = reason == "no_journal"
        return {"host": host or None, "present": False, "asked": asked, "error": error, "reason": reason}
    return {
        "host": host,
        "present": True,
        "asked": True,
        "error": "",
        "paused": bool(answer.get("paused")),
        "pause": answer.get("pause"),
        "taken": list(answer.get("taken") or []),
        "fresh": bool(answer.get("fresh_journal")),
        "incidents": [row for row in rows(answer, "incidents") if row.get("state", "open") == "open"],
        "leases": [row for row in rows(answer, "leases") if not row.get("expired")],
    }


def survey(observed: Mapping[str, Any], plan: Plan) -> Dict[str, Any]:
    """The whole picture. ``observed`` is what the action plugin gathers, see docs/survey.md."""
    layers: Sequence[Mapping[str, Any]] = observed.get("layers") or []
    nodes = [node_view(observed, layer, node, plan) for layer in layers for node in layer.get("nodes") or []]
    picture: Dict[str, Any] = {
        "at": observed.get("now"),
        "layers": [layer_view(observed, layer) for layer in layers],
        "nodes": nodes,
        "nagios": nagios_view(observed),
        "journal": journal_view(observed),
        "guard": guard_view(observed, layers),
    }
    picture["missing"] = missing(observed, picture)
    picture["counts"] = counts(picture)
    return picture


def guard_view(observed: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> Dict[str, List[str]]:
    """Of the machines that keep holds, load balancers and pairs, on which the guard runs and on which not."""
    view: Dict[str, List[str]] = {"runs_on": [], "not_on": [], "not_known": []}
    keepers: List[str] = []
    for layer in layers:
        keepers += layer.get("balancers") or []
        keepers += layer.get("nodes") or [] if layer.get("kind") == "pair" else []
    for node in dict.fromkeys(keepers):
        target = part(observed, node, "target")
        guard = (target or {}).get("guard") or {}
        place = (
            "not_known"
            if target is None or guard.get("exists") is None
            else ("runs_on" if guard.get("active") else "not_on")
        )
        view[place].append(node)
    return view


def counts(picture: Mapping[str, Any]) -> Dict[str, int]:
    """The figures of the last line: how many of what."""
    nodes = picture["nodes"]
    figures = {word: sum(1 for node in nodes if node["verdict"] == word) for word in
               ("ok", "suspect", "faulty", "unknown")}  # fmt: skip
    figures["layers"] = len(picture["layers"])
    figures["nodes"] = len(nodes)
    figures["would_heal_now"] = sum(1 for node in nodes if node["now"]["admitted"])
    figures["could_heal"] = sum(1 for node in nodes if node["if_ill"]["admitted"])
    figures["blocks"] = sum(1 for finding in picture["missing"] if finding["weight"] == "blocks")
    return figures
