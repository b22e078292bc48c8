# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Under which address a node is known to its balancers, and a balancer to its nodes. Pure: the resolver is passed in.

HAProxy and the kernel tell addresses, never names, so a name of the inventory is resolved before anything is compared.
A name that stands for no address, or for several, is told; which one is meant is never guessed.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Callable, Dict, Iterable, Mapping, Sequence, Tuple

# All addresses of each of these names; a name that does not resolve has none. Asked once, for all names together.
Resolver = Callable[[Sequence[str]], Mapping[str, Sequence[str]]]

VARIABLES = ("selfheal_address", "ansible_host", "ansible_ssh_host")
SHOWN = 4  # of several addresses; more make no sentence


def name_of(variables: Mapping[str, Any], host: str) -> str:
    """The address or the name that the inventory gives this host."""
    for name in VARIABLES:
        found = variables[name] if name in variables else None  # noqa: SIM401  # host variables render by key alone
        if found:
            return str(found)
    return host


def known(
    hostvars: Mapping[str, Mapping[str, Any]], hosts: Iterable[str], resolve: Resolver
) -> Tuple[Dict[str, str], Dict[str, str]]:
    """The address of each host, and for each without a certain one the sentence that says so.

    A host without a certain address keeps its name, which no balancer and no connection has.
    """
    named = {host: name_of(hostvars[host], host) if host in hostvars else host for host in hosts}
    plain = {host: _address(name) for host, name in named.items()}
    names = sorted({named[host] for host, address in plain.items() if not address})
    found = resolve(names) if names else {}
    addresses: Dict[str, str] = {}
    doubts: Dict[str, str] = {}
    for host, name in named.items():
        several = [plain[host]] if plain[host] else sorted({str(item) for item in found.get(name) or ()})
        addresses[host] = several[0] if len(several) == 1 else name
        if len(several) != 1:
            doubts[host] = _doubt(host, name, several)
    return addresses, doubts


def _address(text: str) -> str:
    """This address as HAProxy prints it; empty if it is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _doubt(host: str, name: str, several: Sequence[str]) -> str:
    if not several:
        return f"its address is not known: the controller cannot resolve {name}; set selfheal_address of {host}"
    shown = ", ".join(several[:SHOWN]) + (", ..." if len(several) > SHOWN else "")
    return f"its address is not certain: {name} stands for {shown}; set selfheal_address of {host} to one of them"
