# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a watch looks for: each is a pure question about one answer of an info module.

A question returns ``""`` when all is well, else one line that says what is not.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils._heal_pair import instance_of
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_state import member_rows
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_rungs import well

Answer = Mapping[str, Any]
Question = Callable[[Answer, Mapping[str, Any]], str]


def member_serves(answer: Answer, about: Mapping[str, Any]) -> str:
    """The member is in rotation and green, in every backend of this balancer."""
    rows = member_rows(answer, str(about["address"]), about["port"])
    if not rows:
        return "the balancer has no such member"
    for row in rows:
        where = "{}/{}".format(row.get("backend"), row.get("server"))
        if row.get("operational") not in ("running", "starting"):
            return "{} is {} ({})".format(where, row.get("operational"), row.get("check"))
        if row.get("admin") != "ready":
            return "{} is in {}".format(where, row.get("admin"))
    return ""


def standby_proven(answer: Answer, about: Mapping[str, Any]) -> str:
    """Invariant 3, for the healed node: running, BACKUP, hears its twin, has no address, its service answers."""
    if not (answer.get("keepalived") or {}).get("running"):
        return "keepalived is not running"
    own = instance_of(answer, str(about["instance"]))
    if own.get("state") != "BACKUP":
        return "{} is {}, not BACKUP".format(about["instance"], own.get("state") or "unknown")
    if own.get("address_present"):
        return "it has the address although it is BACKUP"
    if not own.get("adverts_heard"):
        return "it hears no adverts of the active node"
    return _service(answer)


def holds_address(answer: Answer, about: Mapping[str, Any]) -> str:
    """The active node of a pair: MASTER, with the address, its service answers."""
    own = instance_of(answer, str(about["instance"]))
    if own.get("state") != "MASTER" or not own.get("address_present"):
        return "{} is {} and {} the address".format(
            about["instance"],
            own.get("state") or "unknown",
            "has" if own.get("address_present") else "has not",
        )
    return _service(answer)


def no_address(answer: Answer, about: Mapping[str, Any]) -> str:
    """The address has left this node."""
    own = instance_of(answer, str(about["instance"]))
    return "it still has the address" if own.get("address_present") else ""


def well_in_pair(answer: Answer, about: Mapping[str, Any]) -> str:
    """Either role is fine, as long as state and address agree."""
    own = instance_of(answer, str(about["instance"]))
    if own.get("state") not in ("MASTER", "BACKUP"):
        return "{} is {}".format(about["instance"], own.get("state") or "unknown")
    if (own.get("state") == "MASTER") != bool(own.get("address_present")):
        return "{} is {}, but the address says otherwise".format(about["instance"], own.get("state"))
    return _service(answer)


def members_checked(answer: Answer, about: Mapping[str, Any]) -> str:
    """A full round of checks after a start: HAProxy calls servers up before their first check."""
    rows = ((answer.get("balancer") or {}).get("servers")) or []
    if not rows:
        return "HAProxy has no servers"
    for row in rows:
        if not row.get("checked", True):
            continue  # a server without a check never gets one
        if row.get("admin") != "maint" and str(row.get("check") or "") in ("", "INI", "* INI"):
            return "{}/{} has not been checked yet".format(row.get("backend"), row.get("server"))
    uptime = float((answer.get("balancer") or {}).get("uptime_seconds") or 0.0)
    need = float(about.get("uptime", 0.0))
    return "" if uptime >= need else f"HAProxy runs for {uptime:.0f} of {need:.0f} s"


def workload_available(answer: Answer, about: Mapping[str, Any]) -> str:
    """All pods of the current revision of a Deployment are available, and none is in trouble."""
    del about
    return well(answer.get("workload") or {"rollout": {"state": "unknown", "message": "it was not read"}})


def node_ready(answer: Answer, about: Mapping[str, Any]) -> str:
    """A node of Kubernetes is Ready, and of another boot than the one before (a quick reboot never shows otherwise).

    With ``pods``, those of its own that were well before, they serve again: one that was ill before proves nothing.
    """
    seen = answer.get("node") or {}
    if not seen.get("ready"):
        return "it is not Ready ({}): {}".format(seen.get("ready_status"), seen.get("ready_message"))
    if about.get("boot_id") and seen.get("boot_id") == about["boot_id"]:
        return "the cluster still knows it by its boot before"
    ill = [name for name in seen.get("unready") or [] if name in (about.get("pods") or [])]
    return "pods of its own were well before and are not Ready: {}".format(", ".join(ill)) if ill else ""


def _service(answer: Answer) -> str:
    service = (answer.get("keepalived") or {}).get("service")
    if service and not service.get("ok"):
        return "its own service does not answer: {}".format(service.get("detail"))
    return ""


QUESTIONS: Dict[str, Question] = {
    "member_serves": member_serves,
    "standby_proven": standby_proven,
    "holds_address": holds_address,
    "no_address": no_address,
    "well_in_pair": well_in_pair,
    "members_checked": members_checked,
    "workload_available": workload_available,
    "node_ready": node_ready,
}
ASKS = ("lb_member_info", "keepalived_info", "kubernetes_workload_info", "kubernetes_node_info")


def judge(mode: str, answers: List[str], patience: int) -> bool:
    """Whether the watch is over before its time.

    ``until``: the last answer is good. ``while``: the last ``patience`` answers in a row are bad; a single bad one may
    be the moment between two states.
    """
    if mode == "until":
        return bool(answers) and answers[-1] == ""
    return len(answers) >= patience and all(answers[-patience:])
