# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the judge knows of the farm: read once from the inventory, as data; and what it may touch."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NETWORK = ipaddress.ip_network("10.213.77.0/24")
KEEPALIVED = "keepalived.service"
VIP = "10.213.77.100"
ROOT = Path(__file__).resolve().parent.parent.parent


class JudgeError(Exception):
    """Something that the caller of the judge has to put right."""


def lab_address(text: str) -> str:
    """The same address, if it is the lab's; the judge never touches anything else."""
    try:
        inside = ipaddress.ip_address(text) in NETWORK
    except ValueError:
        inside = False
    if not inside:
        raise JudgeError(f"{text!r} is not an address of the lab ({NETWORK}); the judge touches nothing else")
    return text


@dataclass(frozen=True)
class Farm:
    addresses: Mapping[str, str]
    layers: Mapping[str, tuple[str, ...]]
    kinds: Mapping[str, str] = field(default_factory=dict)
    balancers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    vip: str = VIP
    monitor: str = "10.213.77.10"
    minimum: Mapping[str, int] = field(default_factory=dict)
    home: Mapping[str, str] = field(default_factory=dict)
    preferred: Mapping[str, str] = field(default_factory=dict)

    def layer_of(self, node: str) -> str:
        return next((layer for layer, nodes in self.layers.items() if node in nodes), "")

    def pools(self) -> list[str]:
        return [layer for layer in self.layers if self.kinds.get(layer, "pool") == "pool"]

    def pairs(self) -> list[str]:
        return [layer for layer in self.layers if self.kinds.get(layer) == "pair"]

    def unit_names(self, layer: str) -> tuple[str, ...]:
        """What has to run on a node of the layer."""
        units = {self.units.get(layer) or "", KEEPALIVED if self.kinds.get(layer) == "pair" else ""}
        return tuple(sorted(unit if "." in unit else f"{unit}.service" for unit in units if unit))

    def stays_away(self, layer: str, node: str) -> bool:
        """Whether the address, once away from this node, shall not come home by itself."""
        return self.preferred.get(layer) == node and self.home.get(layer) == "never"

    def all_balancers(self) -> list[str]:
        return sorted({name for names in self.balancers.values() for name in names})


def farm_from(listing: Mapping[str, Any]) -> Farm:
    """The farm out of `ansible-inventory --list`."""
    hostvars: Mapping[str, Mapping[str, Any]] = listing["_meta"]["hostvars"]

    def members(group: str) -> list[str]:
        entry = listing.get(group, {})
        found = list(entry.get("hosts", []))
        for child in entry.get("children", []):
            found += members(child)
        return sorted(set(found))

    layers: dict[str, tuple[str, ...]] = {}
    balancers: dict[str, tuple[str, ...]] = {}
    kinds, units, minimum = {}, {}, {}
    home, preferred = {}, {}
    vips: dict[str, str] = {}
    for group in listing:
        nodes = members(group)
        if group in ("_meta", "all", "ungrouped") or not nodes:
            continue
        facts = hostvars.get(nodes[0], {})
        if "selfheal_strategy" not in facts:
            continue
        kind = facts.get("selfheal_kind", "pool" if facts["selfheal_strategy"] == "lb_detach" else "pair")
        if any(set(nodes) & set(other) for other in layers.values()):
            continue  # a group above or below a layer that was taken already
        layers[group], kinds[group] = tuple(nodes), kind
        units[group] = str(facts.get("selfheal_service", ""))
        limits = facts.get("selfheal_limits") or {}
        minimum[group] = len(nodes) - int(limits.get("max_unavailable", 1))
        if kind == "pool":
            balancers[group] = tuple(members(str(facts.get("selfheal_balancers", ""))))
        else:
            vips.setdefault(str(facts.get("selfheal_vip", VIP)), group)
            home[group] = str(facts.get("selfheal_home", "never"))
            preferred[group] = str(facts.get("selfheal_preferred", ""))
    if len(vips) > 1:
        raise JudgeError(
            f"the pairs {', '.join(vips.values())} have virtual IPs of their own; the judge watches one, and what"
            " it says of the other would be wrong: leave one pair out of the lab's inventory"
        )
    addresses = {
        name: lab_address(str(facts["ansible_host"]))
        for name, facts in hostvars.items()
        if "ansible_host" in facts and facts.get("ansible_connection") != "local"
    }
    return Farm(
        addresses,
        layers,
        kinds,
        balancers,
        units,
        lab_address(next(iter(vips), VIP)),
        addresses.get((members("monitor") or ["monitor"])[0], "10.213.77.10"),
        minimum,
        home,
        preferred,
    )


def load(config: Path) -> Farm:
    """Ask Ansible once, so that the judge reads the inventory that the user reads."""
    tool = Path(sys.executable).parent / "ansible-inventory"
    command = (
        str(tool) if tool.exists() else shutil.which("ansible-inventory") or str(ROOT / ".venv/bin/ansible-inventory")
    )
    env = {**os.environ, "ANSIBLE_CONFIG": str(config)}
    done = subprocess.run([command, "--list"], env=env, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise JudgeError(f"cannot read the lab's inventory: {done.stderr.strip()}")
    return farm_from(json.loads(done.stdout))
