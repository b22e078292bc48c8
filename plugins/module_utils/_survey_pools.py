# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What stands in the way of detaching a member of a pool from its load balancers."""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, Set, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._survey_seen import (
    Finding,
    finding,
    part,
    rows,
    why_not,
)

ADMIN_SOCKET = ("global", "    stats socket {path} mode 660 level admin", "    stats timeout 30s")


def pool_findings(observed: Mapping[str, Any], layer: Mapping[str, Any]) -> Iterator[Finding]:
    """The balancers of a pool, their rights, and that every member is known on every one of them."""
    name = str(layer["layer"])
    file = f"group_vars/{name}.yml"
    nodes: List[str] = list(layer["nodes"] or [])
    balancers: List[str] = list(layer["balancers"] or [])
    if len(nodes) < 2:
        yield finding("blocks", name, "a single point of failure: one member, so there is nobody to take its traffic",
                      "hosts.yml", (f"{name}:", "  hosts:", "    A_SECOND_NODE:"))  # fmt: skip
    if not balancers:
        yield finding("blocks", name, "no load balancer is named that serves it", file,
                      ("selfheal_balancers: GROUP_OF_ITS_LOAD_BALANCERS",))  # fmt: skip
        return
    if len(balancers) == 1:
        yield finding("weakens", balancers[0], f"a single point of failure: the only load balancer of {name}")
    yield from address_findings(observed, layer)
    unused: Set[Tuple[str, str]] = set()
    for balancer in balancers:
        yield from balancer_findings(observed, layer, balancer)
        unused |= strangers(observed, layer, balancer)
    for backend, server in sorted(unused):
        yield finding("note", name, f"HAProxy's server {backend}/{server} is no node of this inventory: left alone")


def address_findings(observed: Mapping[str, Any], layer: Mapping[str, Any]) -> Iterator[Finding]:
    """Members and balancers whose address is not certain: nothing that HAProxy or a node tells could be matched."""
    unresolved = observed.get("unresolved") or {}
    for host in [*(layer["nodes"] or []), *(layer["balancers"] or [])]:
        if host in unresolved:
            yield finding("blocks", host, str(unresolved[host]), f"host_vars/{host}.yml",
                          ("selfheal_address: ADDRESS    # the one under which the others see it",))  # fmt: skip


def balancer_findings(observed: Mapping[str, Any], layer: Mapping[str, Any], balancer: str) -> Iterator[Finding]:
    """One load balancer as seen from one pool."""
    answer = part(observed, balancer, "balancer")
    rights = (part(observed, balancer, "target") or {}).get("socket")
    if rights and rights.get("level") != "admin":
        what = f"its socket {rights.get('path')} gives no admin rights: "
        what += f"level {rights['level']}" if rights.get("level") else str(rights.get("error"))
        lines = [line.format(path=rights.get("path")) for line in ADMIN_SOCKET]
        yield finding("blocks", balancer, what, "/etc/haproxy/haproxy.cfg", lines)
    if answer is None:
        yield finding("blocks", balancer, f"its HAProxy could not be asked: {why_not(observed, balancer, 'balancer')}")
        return
    for node in layer["nodes"] or []:
        yield from member_findings(observed, layer, balancer, answer, node)


def member_findings(
    observed: Mapping[str, Any],
    layer: Mapping[str, Any],
    balancer: str,
    answer: Mapping[str, Any],
    node: str,
) -> Iterator[Finding]:
    """One member on one balancer: mapped by address and port, and checked by HAProxy itself."""
    if node in (observed.get("unresolved") or {}):
        return  # told once, for all balancers
    address = (observed.get("addresses") or {}).get(node)
    port = layer.get("port")
    servers = [
        server for server in rows(answer, "servers") if server.get("address") == address and server.get("port") == port
    ]
    if not servers:
        yield finding(
            "blocks", node, f"unmapped: no server of {balancer} has its address {address}:{port}",
            f"/etc/haproxy/haproxy.cfg on {balancer}",
            ("backend NAME", f"    server {node} {address}:{port} check inter 1s fall 3 rise 2"),
        )  # fmt: skip
    for server in servers:
        place = f"{server.get('backend')}/{server.get('server')}"
        if not server.get("check"):
            yield finding(
                "blocks", node, f"{balancer} does not check {place}: nothing would say when it serves again",
                f"/etc/haproxy/haproxy.cfg on {balancer}",
                (f"    server {server.get('server')} {address}:{port} check inter 1s fall 3 rise 2",),
            )  # fmt: skip
        if server.get("admin") in ("maint", "drain") and not server.get("hold"):
            yield finding("note", node, f"a human holds {place} out of traffic on {balancer}: left as it is")


def strangers(observed: Mapping[str, Any], layer: Mapping[str, Any], balancer: str) -> Set[Tuple[str, str]]:
    """Servers that stand beside our members in a backend and are no node of the inventory."""
    if set(layer["nodes"] or []) & set(observed.get("unresolved") or {}):
        return set()  # it may be one of ours
    servers = rows(part(observed, balancer, "balancer"), "servers")
    addresses = observed.get("addresses") or {}
    known = set(addresses.values())
    ours = {addresses.get(node) for node in layer["nodes"] or []}
    backends = {server.get("backend") for server in servers if server.get("address") in ours}
    return {
        (str(server.get("backend")), str(server.get("server")))
        for server in servers
        if server.get("backend") in backends and server.get("address") not in known
    }
