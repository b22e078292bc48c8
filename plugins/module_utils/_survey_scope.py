# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the survey has to ask whom, out of the inventory alone. Pure.

A mistake in the policy of one layer stops a heal; here it becomes a finding, and the rest of the farm is still
surveyed.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.selfheal.cluster.plugins.module_utils._addresses import Resolver, known
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_asked import layers_of
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_target import (
    journal_host,
    of_cluster,
    own_hosts,
    pattern,
    watched,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._policy import (
    DEFAULT_SOCKET,
    KIND_OF_STRATEGY,
    NOT_LAYERS,
    effective,
    layers,
)

HostVars = Mapping[str, Mapping[str, Any]]
Groups = Mapping[str, Sequence[str]]

JOURNAL = "/var/lib/selfheal/journal.db"
JOURNAL_USER = "selfheal"
TRACK_FILES = "/var/lib/selfheal/keepalived/"
RAW = ("service", "port", "vip", "instance", "preferred", "home")


def scope(groups: Groups, hostvars: HostVars, resolve: Resolver) -> Dict[str, Any]:
    """Layers, problems of the policy, whom to ask what, addresses, and patterns for the plays that ask."""
    problems: List[Dict[str, str]] = []
    found = [layer_of(name, groups, hostvars) for name in names_of_layers(groups, hostvars, problems)]
    journal = guarded(problems, lambda: journal_host(as_lists(groups), hostvars))
    monitor = (list(groups.get("monitor") or []) or [journal])[0]
    valid = [layer for layer in found if not layer["problem"]]
    asked = watched(valid, valid)
    machines = [layer for layer in found if layer["kind"] != "workload"]  # a workload has no machine to be asked
    targets: Dict[str, Dict[str, Any]] = {node: target_of(layer, node) for layer in machines for node in layer["nodes"]}
    asks: Dict[str, Dict[str, Any]] = {}
    for host in asked["balancers"]:
        socket = {"socket": value(hostvars, host, "selfheal_socket") or DEFAULT_SOCKET}
        targets.setdefault(host, {}).update(socket)
        asks.setdefault(host, {})["balancer"] = socket
    for layer in valid:
        for node in layer["nodes"] if layer["kind"] == "pair" else []:
            asks.setdefault(node, {})["keepalived"] = pair_of(layer, node)
    if monitor:
        targets.setdefault(monitor, {})
        path = value(hostvars, monitor, "selfheal_journal") or JOURNAL
        asks.setdefault(monitor, {})["nagios"] = nagios_of(valid, path if monitor == journal else "")
    if journal:
        targets.setdefault(journal, {})["journal"] = value(hostvars, journal, "selfheal_journal") or JOURNAL
        cluster = cluster_of(valid, problems)
        if cluster:
            asks.setdefault(journal, {})["kubernetes"] = cluster
    everybody = safe_hosts(list(dict.fromkeys([*targets, *asks])), problems)
    addresses, unresolved = known(hostvars, everybody, resolve)
    return {
        "layers": found,
        "problems": problems,
        "group_names": sorted(name for name in groups if name not in NOT_LAYERS),
        "asked": everybody,
        "targets": targets,
        "asks": {host: asks.get(host, {}) for host in everybody},
        "pairs": asked["pairs"],
        "monitor": monitor,
        "journal_host": journal,
        "journal": value(hostvars, journal, "selfheal_journal") or JOURNAL,
        "journal_user": value(hostvars, journal, "selfheal_journal_user") or JOURNAL_USER,
        "own_hosts": own_hosts(as_lists(groups), hostvars, journal),
        "addresses": addresses,
        "unresolved": unresolved,
        "run": {
            "all": pattern(everybody),
            "traffic": pattern([host for host in everybody if {"balancer", "keepalived"} & set(asks.get(host, {}))]),
            "journal": pattern([host for host in everybody if host == journal]),
        },
    }


def cluster_of(valid: Sequence[Mapping[str, Any]], problems: List[Dict[str, str]]) -> Dict[str, Any]:
    """What Kubernetes is asked about, or nothing and a problem."""
    try:
        return of_cluster(valid)
    except SelfhealError as error:
        problems.append({"where": "inventory", "what": error.message})
        return {}


def as_lists(groups: Groups) -> Dict[str, List[str]]:
    """Groups as plain lists, which Ansible's own lists are not always."""
    return {name: list(hosts) for name, hosts in groups.items()}


def guarded(problems: List[Dict[str, str]], ask: Any) -> str:
    """The answer, or nothing and a problem."""
    try:
        return str(ask())
    except SelfhealError as error:
        if error.reason != "no_journal":  # its absence is told with the lines to add, not twice
            problems.append({"where": "inventory", "what": error.message})
        return ""


def safe_hosts(hosts: Sequence[str], problems: List[Dict[str, str]]) -> List[str]:
    """The hosts that a play can name; a name that reads as a pattern is left out and told."""
    good = []
    for host in hosts:
        try:
            pattern([host])
        except SelfhealError as error:
            problems.append({"where": str(host), "what": error.message})
        else:
            good.append(host)
    return good


def names_of_layers(groups: Groups, hostvars: HostVars, problems: List[Dict[str, str]]) -> Dict[str, List[str]]:
    """The layers as the policy sees them, or as near to it as a contradictory inventory allows."""
    try:
        return layers(groups, hostvars)
    except SelfhealError as error:
        problems.append({"where": "inventory", "what": error.message})
    rough: Dict[str, List[str]] = {}
    taken: set[str] = set()
    for name in sorted(groups, key=lambda name: (len(groups[name]), name)):
        members = list(groups[name])
        carriers = [host for host in members if value(hostvars, host, "selfheal_strategy") and host not in taken]
        if name not in NOT_LAYERS and carriers and len(carriers) == len(members):
            rough[name] = carriers
            taken.update(carriers)
    return rough


def layer_of(name: str, groups: Groups, hostvars: HostVars) -> Dict[str, Any]:
    """The effective policy of a layer, or what can be read of it with the sentence why it is not valid."""
    try:
        return {**effective(name, hostvars, groups), "problem": ""}
    except SelfhealError as error:
        problem = error.message
    nodes = [str(node) for node in groups.get(name, ()) if node in hostvars]
    first = nodes[0] if nodes else ""
    raw = {key: value(hostvars, first, "selfheal_" + key) for key in RAW}
    group = value(hostvars, first, "selfheal_balancers")
    return {
        **raw,
        "layer": name,
        "nodes": nodes,
        "strategy": value(hostvars, first, "selfheal_strategy"),
        "kind": KIND_OF_STRATEGY.get(str(value(hostvars, first, "selfheal_strategy"))),
        "mode": value(hostvars, first, "selfheal_mode"),
        "balancers": list(groups.get(str(group), ())) if group else [],
        "config_test": [],
        "config_files": [],
        "limits": {},
        "problem": problem,
    }


def value(hostvars: HostVars, host: str, name: str) -> Any:
    """A variable of a host, or None where either is missing."""
    if not host or host not in hostvars or name not in hostvars[host]:
        return None
    return hostvars[host][name]


def target_of(layer: Mapping[str, Any], node: str) -> Dict[str, Any]:
    """What to ask a node about itself."""
    asks: Dict[str, Any] = {
        "service": str(layer.get("service") or ""),
        "port": layer["port"] if isinstance(layer.get("port"), int) else 0,
        "config_test": list(layer.get("config_test") or []),
    }
    if layer.get("kind") == "pair" and layer.get("instance"):
        asks["track_file"] = TRACK_FILES + str(layer["instance"])
    if not layer.get("problem") and asks["port"] and layer["health_scheme"] != "none":
        asks["health"] = {  # the question after a restart
            "scheme": layer["health_scheme"],
            "address": layer["health_addresses"][node],
            "port": asks["port"],
            "path": layer["health_path"],
        }
    return asks


def pair_of(layer: Mapping[str, Any], node: str) -> Dict[str, Any]:
    """What to ask keepalived of a pair."""
    return {
        "instance": layer["instance"],
        "vip": layer["vip"],
        "service_port": layer["port"] or 0,
        "service_path": layer["health_path"],
        "service_scheme": layer["health_scheme"],
        "service_address": layer["health_addresses"][node],
        "config_files": list(layer["config_files"]),
    }


def nagios_of(valid: Sequence[Mapping[str, Any]], ring: str) -> Dict[str, Any]:
    """What to ask Nagios, in the shape of ``gauge_info``; where it is, the play knows.

    ``ring``: path of the journal to judge with, where it is on the same machine.
    """
    return {"layers": layers_of(valid), **({"journal": ring} if ring else {})}
