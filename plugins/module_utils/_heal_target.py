# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Which node a heal is about, and which machines are looked at before it: pure functions.

Keeps the first half of invariant 13: an empty, ambiguous or unknown target is refused, and so is our own host.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

ALLOWED_EXTRA = ("selfheal_node", "selfheal_incident", "selfheal_reason")
OURS = (
    "heal_now",
    "heal_part",
    "lb_detach_",
    "keepalived_failover_",
    "kubernetes_workload_",
    "kubernetes_node_",
    "node_evidence_",
    "journal_host_",
)  # variables of the plays and roles of a heal
REASONS = ("", "drill")
NOBODY = "!all"  # a pattern that matches no host and, unlike an empty list, never means "all"

# Exactly what an inventory name may look like here: none of the characters that make a host pattern.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_INCIDENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_OPTIONS = (
    ("subset", "--limit", None),
    ("tags", "--tags", ("all",)),
    ("skip_tags", "--skip-tags", None),
    ("start_at_task", "--start-at-task", None),
    ("step", "--step", None),
)


def skipping_options(cliargs: Mapping[str, Any]) -> List[str]:
    """Options on this command line that can skip a task, by the name a person typed."""
    found = []
    for key, option, harmless in _OPTIONS:
        value = cliargs.get(key)
        if isinstance(value, (list, tuple)):
            value = tuple(str(item) for item in value)
        if value and value != harmless:
            found.append(option)
    return found


def check_extra(extra: Mapping[str, Any]) -> None:
    """Refuse every extra variable that would change policy or is a mistyped name of ours."""
    for name in sorted(extra):
        if name in ALLOWED_EXTRA or not name.startswith(("selfheal_", *OURS)):
            continue
        near = difflib.get_close_matches(name, ALLOWED_EXTRA, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "policy belongs into group variables"
        raise SelfhealError(
            "unknown_variable",
            "extra variable {} is not known here: {} (known: {})".format(name, hint, ", ".join(ALLOWED_EXTRA)),
        )


def chosen_node(extra: Mapping[str, Any], hosts: Iterable[str], groups: Iterable[str]) -> Optional[str]:
    """The node that was typed, exactly as the inventory spells it; None when none was given at all."""
    if "selfheal_node" not in extra:
        return None
    node = extra["selfheal_node"]
    known = sorted(hosts)
    if not isinstance(node, str) or not node.strip():
        raise SelfhealError("empty_target", "selfheal_node is given but empty: name one node, or leave it out")
    if node in known and _NAME.match(node):
        return node
    if node in set(groups):
        raise SelfhealError("ambiguous_target", f"{node!r} is a group: a heal is about exactly one node")
    if not _NAME.match(node):
        raise SelfhealError("ambiguous_target", f"{node!r} is a pattern: a heal is about exactly one node, by its name")
    near = difflib.get_close_matches(node, known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise SelfhealError("unknown_node", f"no node {node!r} in the inventory{hint}")


def checked_reason(extra: Mapping[str, Any]) -> str:
    """The reason of a heal: empty, or ``drill``."""
    reason = extra.get("selfheal_reason", "")
    if reason not in REASONS:
        raise SelfhealError("unknown_reason", f"selfheal_reason is {reason!r}: leave it out, or say drill")
    return str(reason)


def checked_incident(extra: Mapping[str, Any]) -> str:
    """The incident that a runner hands in; an id that is safe as a file name."""
    incident = extra.get("selfheal_incident", "")
    if incident and not (isinstance(incident, str) and _INCIDENT.match(incident)):
        raise SelfhealError("bad_incident", "selfheal_incident is not an id (letters, digits, dot, dash, underscore)")
    return str(incident)


def pattern(hosts: Iterable[str]) -> str:
    """A host pattern for a play: exact names, or one that matches nobody."""
    names = list(hosts)
    for name in names:
        if not _NAME.match(name):
            raise SelfhealError("bad_name", f"the inventory name {name!r} reads as a pattern: rename it")
    return ",".join(names) if names else NOBODY


class Once(Dict[str, Any]):
    """Host variables, looked up once per host: Ansible gathers all of a host's variables at every single look."""

    def __init__(self, hostvars: Mapping[str, Any]) -> None:
        super().__init__()
        self._hostvars = hostvars

    def __missing__(self, host: str) -> Any:
        self[host] = self._hostvars[host]
        return self[host]

    def __contains__(self, host: object) -> bool:
        return host in self._hostvars

    def __iter__(self) -> Any:
        return iter(self._hostvars)


def own_hosts(groups: Mapping[str, List[str]], hostvars: Mapping[str, Mapping[str, Any]], journal: str) -> List[str]:
    """Inventory names that are known to be the controller, the journal or Nagios."""
    own = {"localhost", "127.0.0.1", "::1", journal}
    own.update(groups.get("monitor", []))
    for host in groups.get("all", []):
        if hostvars[host].get("ansible_connection") in ("local", "ansible.builtin.local"):
            own.add(host)
    own.discard("")
    return sorted(own)


def journal_host(groups: Mapping[str, List[str]], hostvars: Mapping[str, Mapping[str, Any]]) -> str:
    """Where the journal is: the policy's word, else the only member of group ``monitor``."""
    named = {str(hostvars[host].get("selfheal_journal_host") or "") for host in groups.get("all", [])} - {""}
    if len(named) > 1:
        raise SelfhealError(
            "policy", "selfheal_journal_host differs between nodes: {}".format(", ".join(sorted(named)))
        )
    host = named.pop() if named else ""
    if not host:
        monitors = groups.get("monitor", [])
        if len(monitors) != 1:
            raise SelfhealError(
                "no_journal", "no journal host: set selfheal_journal_host, or put exactly one host into group monitor"
            )
        host = monitors[0]
    if host not in groups.get("all", []):
        raise SelfhealError("no_journal", f"the journal host {host!r} is not in the inventory")
    return host


def balancing(every: Iterable[Mapping[str, Any]]) -> List[str]:
    """Nodes that balance some pool, whatever their service is called: they have members to check and holds to pay."""
    return sorted({str(host) for policy in every if policy["kind"] == "pool" for host in policy["balancers"]})


def watched(wanted: Iterable[Mapping[str, Any]], every: Iterable[Mapping[str, Any]]) -> Dict[str, List[str]]:
    """Whom the observing play asks: balancers for their members, pairs for their address."""
    balancers: List[str] = []
    pairs: List[str] = []
    for policy in wanted:
        if policy["kind"] == "pool":
            balancers += policy["balancers"]
        elif policy["kind"] == "pair":
            pairs += policy["nodes"]
            balancers += policy["nodes"]  # a standby that sees no members is no standby (invariant 3)
    for policy in every:
        # A balancer that is half of a pair is asked for its address too: it tells whether a silent twin may hold it.
        if policy["kind"] == "pair" and set(policy["nodes"]) & set(balancers):
            pairs += policy["nodes"]
    return {"balancers": list(dict.fromkeys(balancers)), "pairs": list(dict.fromkeys(pairs))}


def machines_of(policy: Mapping[str, Any]) -> List[str]:
    """The hosts of a layer and its balancers that have an address: a workload of Kubernetes has none to look for."""
    nodes = [] if policy["kind"] == "workload" else policy["nodes"]
    return [str(name) for name in (*nodes, *policy["balancers"])]


def same_object(named: Iterable[Tuple[str, str]]) -> str:
    """Two hosts that are one and the same thing of a cluster, as a sentence: else one of them would be drained, and the
    machine of the other one restarted with all that it carries. Each host comes with what it is there."""
    owners: Dict[str, str] = {}
    for host, thing in named:
        if thing in owners:
            told = (owners[thing], host, thing)
            return "selfheal_object of {} and of {} is {}; each host is a thing of its own in the cluster".format(*told)
        owners[thing] = host
    return ""


def looked_at(wanted: Iterable[Mapping[str, Any]], every: Iterable[Mapping[str, Any]]) -> List[str]:
    """The workloads that may run on the machines which may be healed: all of their cluster."""
    places = {(policy["kubeconfig"], policy["context"]) for policy in wanted if policy["kind"] == "machine"}
    return [
        str(node)
        for policy in every
        if policy["kind"] == "workload" and (policy["kubeconfig"], policy["context"]) in places
        for node in policy["nodes"]
    ]


def of_cluster(wanted: Iterable[Mapping[str, Any]]) -> Dict[str, Any]:
    """What the API server of Kubernetes is asked about: workloads, and the nodes of layers of them; empty for neither.

    One kubeconfig serves all: a farm whose layers name several is refused, so that nothing is asked of the wrong one.
    So are two hosts, of whatever layers, that are one thing of the cluster.
    """
    policies = [policy for policy in wanted if policy["kind"] in ("workload", "machine")]
    if not policies:
        return {}
    places = sorted({(policy["kubeconfig"], policy["context"]) for policy in policies})
    if len(places) > 1:
        names = ", ".join("{} {}".format(*place).strip() for place in places)
        raise SelfhealError("policy", f"layers of Kubernetes name several places to ask: {names}; one heal asks one")
    ask: Dict[str, Any] = {"workloads": [], "nodes": [], "kubeconfig": places[0][0], "context": places[0][1]}
    for policy in policies:
        for node in policy["nodes"]:
            one = {"host": node, "name": policy["objects"][node]}
            if policy["kind"] == "workload":
                ask["workloads"].append({**one, "namespace": policy["namespace"]})
            else:
                ask["nodes"].append(one)
    for part in ("workloads", "nodes"):
        twice = same_object(
            (one["host"], "{}/{}".format(one.get("namespace", ""), one["name"]).lstrip("/")) for one in ask[part]
        )
        if twice:
            raise SelfhealError("policy", twice)
    return ask
