# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Policy is inventory: the group variables of a layer, checked and made whole.

Nothing is guessed. A value that is missing, misspelt or of another type stops the decision with the name of
the layer, the name of the variable and what is allowed there. Ansible's own validator takes NaN for a number
and ``true`` for 1, so the checks are ours.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Set

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges import DEFAULT_GAUGES, validate_gauges
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_default import CLUSTER_GAUGES, WORKLOAD_GAUGES
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_target import same_object
from ansible_collections.selfheal.cluster.plugins.module_utils._health import ADDRESS, SCHEME
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_json import canonical, digest, plain
from ansible_collections.selfheal.cluster.plugins.module_utils._policy_checks import (
    CHECKS,
    PolicyError,
    check_limits,
    suggest,
    text,
)

# Variables that belong to the layer: every node of it must see the same value.
LAYER_VARIABLES = (
    "selfheal_strategy", "selfheal_kind", "selfheal_mode", "selfheal_balancers", "selfheal_service",
    "selfheal_port", "selfheal_health_path", "selfheal_vip", "selfheal_instance", "selfheal_preferred",
    "selfheal_health_scheme", "selfheal_home", "selfheal_config_test", "selfheal_config_files", "selfheal_reboot",
    "selfheal_criticality", "selfheal_gauges", "selfheal_limits", "selfheal_relief", "selfheal_namespace",
    "selfheal_kubeconfig", "selfheal_context", "selfheal_power",
)  # fmt: skip
# Variables that may differ from node to node.
NODE_VARIABLES = (
    "selfheal_socket", "selfheal_domain", "selfheal_parents", "selfheal_address", "selfheal_health_address",
    "selfheal_layer", "selfheal_object",
)  # fmt: skip
GLOBAL_VARIABLES = (
    "selfheal_journal_host", "selfheal_journal", "selfheal_journal_user",
    "selfheal_nagios_url", "selfheal_nagios_user", "selfheal_nagios_password_file",
    "selfheal_nagios_ca_file",
    "selfheal_nagios_command_file", "selfheal_spool",
)  # fmt: skip
EXTRA_VARIABLES = ("selfheal_node", "selfheal_incident", "selfheal_reason")
KNOWN = frozenset(LAYER_VARIABLES + NODE_VARIABLES + GLOBAL_VARIABLES + EXTRA_VARIABLES)
# What a playbook registers or sets while it runs is no policy.
TRANSIENT_PREFIXES = ("selfheal_seen_", "selfheal_run_", "selfheal_step_")
KIND_OF_STRATEGY = {
    "lb_detach": "pool", "keepalived_failover": "pair", "kubernetes_workload": "workload",
    "kubernetes_node": "machine",
}  # fmt: skip
DEFAULTS: Dict[str, Any] = {
    "selfheal_mode": "observe", "selfheal_balancers": "", "selfheal_port": None, "selfheal_health_path": "/",
    "selfheal_health_scheme": SCHEME,
    "selfheal_vip": "", "selfheal_instance": "", "selfheal_preferred": "", "selfheal_home": "never",
    "selfheal_config_test": [], "selfheal_config_files": [], "selfheal_reboot": False,
    "selfheal_criticality": "normal", "selfheal_service": "", "selfheal_gauges": None, "selfheal_limits": {},
    "selfheal_relief": [], "selfheal_namespace": "", "selfheal_kubeconfig": "/etc/selfheal/kubernetes.conf",
    "selfheal_context": "", "selfheal_power": {},
}  # fmt: skip
OWN_GAUGES = {"workload": WORKLOAD_GAUGES, "machine": CLUSTER_GAUGES}
#: A pod takes its grace period to go, which is 30 s by Kubernetes' own default.
DRAIN_NODE_SECONDS = 60
DEFAULT_SOCKET = "/run/haproxy/admin.sock"
NOT_LAYERS = ("all", "ungrouped")

HostVars = Mapping[str, Mapping[str, Any]]
Groups = Mapping[str, Sequence[str]]


def policy_hash(policy: Mapping[str, Any]) -> str:
    return digest(policy)


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> List[str]:
    """Names of the keys in which two effective policies differ, for a person to read."""
    return sorted(key for key in set(one) | set(other) if one.get(key) != other.get(key))


def check_names(layer: str, names: Mapping[str, Any]) -> None:
    """Refuse a variable of our prefix that means nothing: most often a slip of the pen in group_vars."""
    for name in sorted(names):
        if not name.startswith("selfheal_") or name in KNOWN or name.startswith(TRANSIENT_PREFIXES):
            continue
        hint = suggest(name, KNOWN)
        raise PolicyError(
            "layer %s: unknown variable %s.%s" % (layer, name, " Did you mean %s?" % hint if hint else ""), names[name]
        )


def layers(groups: Groups, hostvars: HostVars) -> Dict[str, List[str]]:
    """Which groups are layers, and their nodes in the order of the inventory.

    Host variables do not tell which group they came from. So a layer is the widest group whose members all see
    the same policy; the variable ``selfheal_layer`` settles it where that is not enough.
    """
    carriers = [node for node in groups.get("all", sorted(hostvars)) if _get(hostvars, node, "selfheal_strategy")]
    found = {name: nodes for name, nodes in _guess(groups, hostvars, carriers).items() if nodes}
    owner: Dict[str, str] = {}
    for name, nodes in found.items():
        for node in nodes:
            if node in owner:
                raise PolicyError(
                    "node %s is in two layers, %s and %s; a node has one job: take it out of one of the groups"
                    % (node, owner[node], name)
                )
            owner[node] = name
    for node in carriers:
        if node not in owner:
            raise PolicyError(
                "node %s has selfheal_strategy, but no group of it has the same policy for all of its nodes%s; "
                "set the variables in group_vars of the layer, not per host" % (node, _why(node, groups, hostvars))
            )
    return dict(sorted(found.items()))


def effective(layer: str, hostvars: HostVars, groups: Groups) -> Dict[str, Any]:
    """The whole policy of one layer, with defaults filled in."""
    nodes = [node for node in groups.get(layer, ()) if node in hostvars]
    if not nodes:
        raise PolicyError("layer %s: the group has no host" % layer)
    for node in nodes:
        names = [name for name in hostvars[node] if isinstance(name, str) and name.startswith("selfheal_")]
        close = [name for name in names if name not in KNOWN]  # a known one need not even be renderable here
        # Variables of other roles may be here too: only what looks like a slip is refused. The action plugin,
        # which sees the inventory itself, refuses every unknown name.
        check_names(layer, {name: hostvars[node][name] for name in close if suggest(name, KNOWN, cutoff=0.88)})
    raw: Dict[str, Any] = {}
    for name in LAYER_VARIABLES:
        raw[name] = _uniform(layer, name, nodes, hostvars)
    return _checked(layer, nodes, raw, hostvars, groups)


def _checked(layer: str, nodes: List[str], raw: Dict[str, Any], hostvars: HostVars, groups: Groups) -> Dict[str, Any]:
    values: Dict[str, Any] = {}
    for name in LAYER_VARIABLES:
        value = raw[name]
        # An empty text is how people say "none" in YAML.
        if (value is None or value == "") and name in DEFAULTS:
            values[name] = DEFAULTS[name]
            continue
        if value is None and name == "selfheal_kind":
            continue
        values[name] = CHECKS[name](layer, name, value) if name in CHECKS else value
    kind = KIND_OF_STRATEGY[values["selfheal_strategy"]]
    if values.get("selfheal_kind", kind) != kind:
        raise PolicyError(
            "layer %s: selfheal_kind is %s, but the strategy %s heals a %s"
            % (layer, values["selfheal_kind"], values["selfheal_strategy"], kind), raw["selfheal_kind"],
        )  # fmt: skip
    limits = check_limits(layer, raw["selfheal_limits"])
    policy: Dict[str, Any] = {
        "layer": layer,
        "nodes": [str(node) for node in nodes],
        "kind": kind,
        "strategy": values["selfheal_strategy"],
        "mode": values["selfheal_mode"],
        "balancers": [],
        "gauges": _gauges(layer, values["selfheal_gauges"], OWN_GAUGES.get(kind, DEFAULT_GAUGES)),
        "limits": limits,
        "sockets": {},
        "domains": {},
        "health_addresses": {},
    }
    for short in ("service", "port", "health_path", "health_scheme", "vip", "instance", "preferred", "home",
                  "config_test", "config_files", "reboot", "criticality", "relief"):  # fmt: skip
        policy[short] = values["selfheal_" + short]
    for node in nodes:
        domain = _get(hostvars, node, "selfheal_domain")
        if domain:
            policy["domains"][str(node)] = text(layer, "selfheal_domain", domain)
        address = _get(hostvars, node, "selfheal_health_address") or ADDRESS
        policy["health_addresses"][str(node)] = CHECKS["selfheal_health_address"](
            layer, "selfheal_health_address", address
        )
    if values["selfheal_power"] and kind != "machine":
        raise PolicyError(
            "layer %s: selfheal_power is for the machines of a cluster of Kubernetes; elsewhere a machine that nobody "
            "reaches is a person's" % layer, raw["selfheal_power"],
        )  # fmt: skip
    if kind == "pool":
        _pool(policy, values, raw, hostvars, groups)
    elif kind == "pair":
        _pair(policy)
    else:
        _kubernetes(policy, values, hostvars)
    if policy["preferred"] and policy["preferred"] not in nodes:
        raise PolicyError(
            "layer %s: selfheal_preferred is %s, which is no node of the layer (%s)"
            % (layer, policy["preferred"], ", ".join(nodes)), raw["selfheal_preferred"],
        )  # fmt: skip
    return dict(plain(policy))


def _pool(
    policy: Dict[str, Any], values: Dict[str, Any], raw: Dict[str, Any], hostvars: HostVars, groups: Groups
) -> None:
    layer, nodes, group = policy["layer"], policy["nodes"], values["selfheal_balancers"]
    if not group:
        raise PolicyError("layer %s: selfheal_balancers is missing: the group whose load balancers serve it" % layer)
    if group not in groups or not groups[group]:
        hint = suggest(group, groups)
        raise PolicyError(
            "layer %s: selfheal_balancers names %s, which is no group with hosts.%s"
            % (layer, group, " Did you mean %s?" % hint if hint else ""), raw["selfheal_balancers"],
        )  # fmt: skip
    balancers = [str(host) for host in groups[group]]
    both = sorted(set(balancers) & set(nodes))
    if both:
        raise PolicyError("layer %s: %s would balance itself: a node is a member or a balancer" % (layer, both[0]))
    if policy["port"] is None:
        raise PolicyError(
            "layer %s: selfheal_port is missing: the port on which the members serve (1 to 65535)" % layer
        )
    if policy["limits"]["max_unavailable"] >= len(nodes) > 1:
        raise PolicyError(
            "layer %s: limits.max_unavailable is %d of %d nodes; at least one node must stay"
            % (layer, policy["limits"]["max_unavailable"], len(nodes)), raw["selfheal_limits"],
        )  # fmt: skip
    policy["balancers"] = balancers
    for host in balancers:
        socket = _get(hostvars, host, "selfheal_socket") if host in hostvars else None
        policy["sockets"][host] = CHECKS["path"](layer, "selfheal_socket", socket or DEFAULT_SOCKET)


def _pair(policy: Dict[str, Any]) -> None:
    layer, nodes = policy["layer"], policy["nodes"]
    if len(nodes) != 2:
        raise PolicyError(
            "layer %s: a pair has two nodes, this group has %d: %s" % (layer, len(nodes), ", ".join(nodes))
        )
    for short in ("vip", "instance"):
        if not policy[short]:
            raise PolicyError("layer %s: selfheal_%s is missing" % (layer, short))
    if policy["health_scheme"] == "none":
        raise PolicyError(
            "layer %s: selfheal_health_scheme is none, but besides the nodes of a pair nobody proves their service;"
            " allowed for a pair: http, https, tcp" % layer
        )
    if policy["vip"] in policy["health_addresses"].values():
        raise PolicyError(
            "layer %s: selfheal_health_address is the virtual IP, where the other node may answer: let the service"
            " listen on 127.0.0.1 too, or on an address of each node's own, and name that one" % layer
        )
    if policy["limits"]["max_unavailable"] != 1:
        raise PolicyError("layer %s: limits.max_unavailable of a pair is 1" % layer)
    if policy["relief"]:
        raise PolicyError(
            "layer %s: selfheal_relief is for the members of a pool; the full disk of a pair's node is relieved by "
            "a person" % layer
        )


def _kubernetes(policy: Dict[str, Any], values: Dict[str, Any], hostvars: HostVars) -> None:
    """Workloads and nodes of a cluster: where its API server is asked, and how each is called there."""
    layer = policy["layer"]
    if policy["kind"] == "workload":
        if not values["selfheal_namespace"]:
            raise PolicyError("layer %s: selfheal_namespace is missing: the namespace of its workloads" % layer)
        if policy["relief"] or policy["reboot"]:
            raise PolicyError("layer %s: a workload of Kubernetes has no disk and no machine of its own: no "
                              "selfheal_relief and no selfheal_reboot" % layer)  # fmt: skip
    else:
        if policy["relief"]:
            raise PolicyError("layer %s: selfheal_relief is for the members of a pool" % layer)
        policy["power"] = values["selfheal_power"]
        if "drain_seconds" not in (values["selfheal_limits"] or {}):
            policy["limits"]["drain_seconds"] = DRAIN_NODE_SECONDS
    for short in ("namespace", "kubeconfig", "context"):
        policy[short] = values["selfheal_" + short]
    policy["objects"] = {
        node: text(layer, "selfheal_object", _get(hostvars, node, "selfheal_object") or node)
        for node in policy["nodes"]
    }
    twice = same_object(policy["objects"].items())
    if twice:
        raise PolicyError("layer %s: %s" % (layer, twice))


def _gauges(layer: str, gauges: Any, own: List[Dict[str, Any]]) -> List[Any]:
    chosen = plain(own if gauges is None else gauges)
    try:
        validate_gauges(chosen)
    except SelfhealError as exc:
        raise PolicyError("layer %s: selfheal_gauges: %s" % (layer, exc.message), gauges) from exc
    return list(chosen)


def _get(hostvars: HostVars, node: str, name: str) -> Any:
    # HostVars of Ansible has no get() that renders templates; the lookup by key does.
    return hostvars[node][name] if node in hostvars and name in hostvars[node] else None


def _uniform(layer: str, name: str, nodes: List[str], hostvars: HostVars) -> Any:
    first = _get(hostvars, nodes[0], name)
    for node in nodes[1:]:
        other = _get(hostvars, node, name)
        if _same(first) != _same(other):
            raise PolicyError(
                "layer %s: %s differs between %s and %s; it belongs to the layer: set it in its group_vars"
                % (layer, name, nodes[0], node), other if other is not None else first,
            )  # fmt: skip
    return first


def _same(value: Any) -> str:
    try:
        return canonical(value)
    except (TypeError, ValueError):
        return repr(value)


def _guess(groups: Groups, hostvars: HostVars, carriers: List[str]) -> Dict[str, List[str]]:
    named: Dict[str, List[str]] = {}
    for node in carriers:
        name = _get(hostvars, node, "selfheal_layer")
        if name:
            named.setdefault(str(name), []).append(node)
    prints = {node: [_same(_get(hostvars, node, name)) for name in LAYER_VARIABLES] for node in carriers}
    taken: Set[str] = {node for nodes in named.values() for node in nodes}
    uniform: Dict[str, List[str]] = {}
    for name, members in groups.items():
        nodes = [node for node in members if node in prints]
        if name in NOT_LAYERS or not nodes or len(nodes) != len(members) or taken & set(nodes):
            continue
        if all(prints[node] == prints[nodes[0]] for node in nodes):
            uniform[name] = nodes
    for name, nodes in list(uniform.items()):
        if any(set(nodes) < set(others) for others in uniform.values()):
            del uniform[name]
    return {**uniform, **named}


def _why(node: str, groups: Groups, hostvars: HostVars) -> str:
    for name, members in sorted(groups.items()):
        if name in NOT_LAYERS or node not in members:
            continue
        for other in members:
            for variable in LAYER_VARIABLES:
                if _same(_get(hostvars, node, variable)) != _same(_get(hostvars, other, variable)):
                    return " (in group %s, %s differs between %s and %s)" % (name, variable, node, other)
    return ""
