# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What of a Nagios may become an inventory, and as what. No Ansible in here, so that a table can test it.

Whoever can edit an object in Nagios must not get a say in how the controller connects: a host variable such as
``ansible_ssh_common_args`` runs commands there. So names are allowed one by one, and values are held against a
pattern; the rest is ``nagios_*``, which nothing acts upon.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import NagiosClient

HOST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}\Z")
GROUP_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,252}\Z")
ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}(?:%[A-Za-z0-9._-]{1,32})?\Z")
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")
RESERVED = {"all", "ungrouped"}


@dataclass
class Farm:
    """Hosts with their variables, groups with their members, and what was left out and why."""

    hosts: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    groups: Dict[str, List[str]] = field(default_factory=dict)
    warnings: List[str] = field(default_factory=list)

    def to_cache(self) -> Dict[str, Any]:
        """Plain data."""
        return {"hosts": self.hosts, "groups": self.groups, "warnings": self.warnings}

    @classmethod
    def from_cache(cls, data: Mapping[str, Any]) -> Farm:
        """Back from plain data. A cache is a file that others may have written: everything is checked again."""
        try:
            hosts = {str(name): dict(own) for name, own in data["hosts"].items() if HOST_NAME.match(str(name))}
            groups = {str(name): [str(each) for each in members] for name, members in data["groups"].items()}
            warnings = [str(line) for line in data["warnings"]]
        except (KeyError, TypeError, AttributeError, ValueError) as exc:
            raise SelfhealError("invalid", "The cache of this inventory is broken; remove it.") from exc
        return cls(
            {name: {key: own[key] for key in own if _allowed(key, own[key])} for name, own in hosts.items()},
            {
                name: [each for each in members if each in hosts]
                for name, members in groups.items()
                if GROUP_NAME.match(name) and name not in RESERVED
            },
            warnings,
        )


def read_farm(client: NagiosClient, only: Sequence[str] = ()) -> Farm:
    """Two bulk queries, and what may be made of their answers."""
    return build(client.objects_hosts().require(), client.hostgroups().require(), only)


def build(
    hosts: Sequence[Mapping[str, Any]], hostgroups: Sequence[Mapping[str, Any]], only: Sequence[str] = ()
) -> Farm:
    """The farm out of the records of ``objects_hosts`` and ``hostgroups``."""
    farm = Farm()
    unknown = sorted(set(only) - {each["hostgroup"] for each in hostgroups})
    if unknown:
        raise SelfhealError("unknown_name", f"Nagios has no hostgroup {', '.join(unknown)} that this user may see.")
    wanted = {host for each in hostgroups if each["hostgroup"] in only for host in each["members"]}
    memberships: Dict[str, List[str]] = {}
    for each in hostgroups:
        for host in each["members"]:
            memberships.setdefault(host, []).append(each["hostgroup"])
    for record in hosts:
        name = record["host"]
        if only and name not in wanted:
            continue
        if not HOST_NAME.match(name):
            farm.warnings.append(f"Host {name!r} of Nagios was left out: its name is none that Ansible can take.")
            continue
        farm.hosts[name] = _variables(record, memberships.get(name, []), farm.warnings)
    for each in hostgroups:
        name, members = each["hostgroup"], [host for host in each["members"] if host in farm.hosts]
        if not members:
            continue
        if not GROUP_NAME.match(name) or name in RESERVED:
            farm.warnings.append(f"Hostgroup {name!r} of Nagios is no group here: its name is none for Ansible.")
            continue
        if name in farm.hosts:
            farm.warnings.append(f"Hostgroup {name!r} of Nagios is no group here: a host has the same name.")
            continue
        farm.groups[name] = members
    return farm


def _variables(record: Mapping[str, Any], memberships: List[str], warnings: List[str]) -> Dict[str, Any]:
    custom = record["custom_variables"]
    variables: Dict[str, Any] = {
        "nagios_address": record["address"],
        "nagios_alias": record["alias"],
        "nagios_display_name": record["display_name"],
        "nagios_notes": record["notes"],
        "nagios_parents": record["parents"],
        "nagios_hostgroups": sorted(memberships),
        "nagios_custom_variables": dict(custom),
    }
    asked = {
        "ansible_host": record["address"],
        "ansible_user": custom.get("ANSIBLE_USER"),
        "ansible_port": _port(custom.get("ANSIBLE_PORT")),
    }
    for name, value in asked.items():
        if value is None:
            continue
        if _allowed(name, value):
            variables[name] = value
        else:
            warnings.append(f"Host {record['host']!r}: {value!r} of Nagios is no value for {name}; it was left out.")
    return variables


def _port(value: Optional[str]) -> Any:
    """The port as a number, or the text as it is, for the check to refuse."""
    return int(value) if value is not None and re.fullmatch(r"[0-9]{1,5}", value) else value


def _allowed(name: str, value: Any) -> bool:
    if name.startswith("nagios_"):
        return True
    if name == "ansible_port":
        return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536
    pattern = {"ansible_host": ADDRESS, "ansible_user": USER}.get(name)
    return pattern is not None and isinstance(value, str) and pattern.match(value) is not None
