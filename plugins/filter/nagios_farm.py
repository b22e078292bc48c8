# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Filters for the roles that put a farm under the eyes of Nagios."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_farm import farm

DOCUMENTATION = r"""
name: nagios_farm
short_description: What Nagios has to watch, out of the inventory
version_added: 0.1.0
author:
  - selfheal.cluster contributors (@selfheal-cluster)
description:
  - Reads layers and policy out of the inventory and gives hosts, hostgroups and checks for the object file that
    the role P(selfheal.cluster.nagios_server#role) writes.
  - A value that Nagios could take for something else is refused with the name of host and variable.
positional: _input, groups, nodes
options:
  _input:
    description: The variables of all hosts, that is C(hostvars).
    type: dict
    required: true
  groups:
    description: The groups of the inventory, that is C(groups).
    type: dict
    required: true
  nodes:
    description: The hosts to watch.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show what Nagios would watch
  ansible.builtin.debug:
    msg: "{{ hostvars | selfheal.cluster.nagios_farm(groups, groups['all']) }}"
"""

RETURN = r"""
_value:
  description: C(hosts), a list with one entry per host, and C(layers), the nodes of each layer.
  type: dict
"""


def nagios_farm(hostvars: Any, groups: Any, nodes: Any) -> dict[str, Any]:
    """See DOCUMENTATION."""
    try:
        return farm(hostvars, groups, list(nodes))
    except SelfhealError as exc:
        raise AnsibleFilterError(exc.message) from exc


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters of this file."""
        return {"nagios_farm": nagios_farm}
