# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What Nagios has to watch, out of the inventory: hosts, layers, and what to check on each. Pure.

The values end up in Nagios' object files and command lines, so each is held against a pattern first.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._health import SCHEME, SCHEMES
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_thresholds import thresholds
from ansible_collections.selfheal.cluster.plugins.module_utils._policy import layers

CRITICALITIES = ("low", "normal", "high")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*\Z")
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:%-]*\Z")
_PARTITION = re.compile(r"/[A-Za-z0-9._/ +@-]*\Z")
#: A name of Kubernetes: of a namespace, a workload, a node (RFC 1123, subdomain).
_OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z")
_KUBERNETES = {"kubernetes_workload": "workload", "kubernetes_node": "node"}
_PATH = re.compile(r"/[A-Za-z0-9._~/%?=&:@+,-]*\Z")


def farm(
    hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]], nodes: Sequence[str]
) -> Dict[str, Any]:
    """``hosts``: one record per node to watch; ``layers``: hostgroups with those of their nodes that are watched.

    ``objects``: what of them is in a cluster, as :mod:`kubernetes_look` takes it.
    """
    found = layers(groups, hostvars)
    known = {str(name): [str(node) for node in members if node in nodes] for name, members in found.items()}
    layer_of = {node: name for name, members in known.items() for node in members}
    guarded = _guarded(hostvars, groups, known)
    hosts = [_host(str(node), hostvars[node], layer_of.get(node, ""), node in guarded) for node in nodes]
    for host in hosts:
        missing = sorted(set(host["parents"]) - set(groups.get("all", hostvars)))
        if missing:
            raise _error(host["name"], "selfheal_parents", ", ".join(missing), "hosts of the inventory")
        host["parents"] = [parent for parent in host["parents"] if parent in nodes]
    named = {_name(name, name): members for name, members in known.items() if members}
    return {"hosts": hosts, "layers": named, "objects": _objects(hosts)}


def _objects(hosts: Sequence[Mapping[str, Any]]) -> Dict[str, List[Dict[str, str]]]:
    found: Dict[str, List[Dict[str, str]]] = {"workloads": [], "nodes": []}
    for host in hosts:
        its = host["kubernetes"]
        if its.get("kind") == "workload":
            found["workloads"].append({"host": host["name"], "namespace": its["namespace"], "name": its["name"]})
        elif its:
            found["nodes"].append({"host": host["name"], "name": its["name"]})
    return found


def _guarded(
    hostvars: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]], known: Mapping[str, List[str]]
) -> List[str]:
    """Nodes where holds can lie: those of pairs, and the balancers of pools."""
    found: List[str] = []
    for members in known.values():
        for node in members:
            if hostvars[node].get("selfheal_strategy") == "keepalived_failover":
                found.append(node)
            else:
                found.extend(str(each) for each in groups.get(hostvars[node].get("selfheal_balancers") or "", ()))
    return found


def _host(node: str, own: Mapping[str, Any], layer: str, guarded: bool) -> Dict[str, Any]:
    address = str(own.get("selfheal_address") or own.get("ansible_host") or node)
    if not _ADDRESS.match(address):
        raise _error(node, "ansible_host", address, "a host name or an address")
    criticality = own.get("selfheal_criticality") or "normal"
    if criticality not in CRITICALITIES:
        raise _error(node, "selfheal_criticality", criticality, "low, normal or high")
    port = own.get("selfheal_port") if layer else None
    if port is not None and not (isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65536):
        raise _error(node, "selfheal_port", port, "a number from 1 to 65535")
    path = str(own.get("selfheal_health_path") or "/")
    if not _PATH.match(path):
        raise _error(node, "selfheal_health_path", path, "a path of a URL")
    scheme = str(own.get("selfheal_health_scheme") or SCHEME)
    if scheme not in SCHEMES:
        raise _error(node, "selfheal_health_scheme", scheme, ", ".join(SCHEMES))
    return {
        "name": _name(node, node),
        "address": address,
        "layer": layer,
        "criticality": criticality,
        "parents": [_name(str(each), node) for each in own.get("selfheal_parents") or []],
        "partitions": partitions(node, own.get("nagios_agent_partitions")),
        "port": port,
        "path": path,
        "scheme": scheme,
        "guarded": guarded,
        "kubernetes": _kubernetes(node, own) if layer else {},
        "machine": own.get("selfheal_strategy") != "kubernetes_workload",
        "urls": _urls(node, own),
        "pair": bool(layer) and own.get("selfheal_strategy") == "keepalived_failover",
        "thresholds": thresholds(own.get("selfheal_gauges")),
    }


def _kubernetes(node: str, own: Mapping[str, Any]) -> Dict[str, str]:
    """How the cluster calls this node, or the workload that it stands for; empty for what is in none."""
    kind = _KUBERNETES.get(str(own.get("selfheal_strategy") or ""), "")
    if not kind:
        return {}
    found = {"kind": kind, "name": str(own.get("selfheal_object") or node), "namespace": ""}
    if kind == "workload":
        found["namespace"] = str(own.get("selfheal_namespace") or "")
    scaler = own.get("nagios_server_autoscaler")
    found["autoscaler"] = str(scaler) if scaler else ""
    for what, value in (("selfheal_object", found["name"]), ("nagios_server_autoscaler", found["autoscaler"]),
                        ("selfheal_namespace", found["namespace"])):  # fmt: skip
        if value and not _OBJECT.match(value):
            raise _error(node, what, value, "a name of Kubernetes")
    if kind == "workload" and not found["namespace"]:
        raise _error(node, "selfheal_namespace", "", "the namespace of the workload")
    return found


def _urls(node: str, own: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """More addresses to ask than the one of the service: each a port, a path, and whether with TLS."""
    found = []
    for one in own.get("nagios_server_urls") or []:
        port, path, scheme = one.get("port"), str(one.get("path") or "/"), str(one.get("scheme") or "http")
        whole = isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65536
        if not whole or not _PATH.match(path) or scheme not in ("http", "https"):
            raise _error(node, "nagios_server_urls", one, "a port, a path of a URL, and http or https")
        found.append({"port": port, "path": path, "scheme": scheme})
    return found


def partitions(node: str, paths: Any = None) -> List[Dict[str, str]]:
    """Each partition's mount point and the name of its NRPE command; both roles must agree on them."""
    result: List[Dict[str, str]] = []
    for raw in ["/"] if paths is None else paths:
        path = str(raw)
        command = "check_disk_" + (re.sub(r"[^A-Za-z0-9]+", "_", path.strip("/")) or "root")
        if not _PARTITION.match(path) or any(command == other["command"] for other in result):
            raise _error(node, "nagios_agent_partitions", path, "mount points, each once")
        result.append({"path": path, "command": command})
    return result


def _name(name: str, node: str) -> str:
    if not _NAME.match(name):
        raise _error(node, "name", name, "letters, digits, dot, colon, dash and underscore")
    return name


def _error(node: str, what: str, value: Any, allowed: str) -> SelfhealError:
    return SelfhealError("policy", f"{node}: {what} is {value!r}; Nagios can take {allowed}.")
