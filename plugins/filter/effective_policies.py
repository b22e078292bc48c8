# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The filter with which the role healer pins the policies that it finds in the inventory."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_target import Once
from ansible_collections.selfheal.cluster.plugins.module_utils._policy import effective, layers

DOCUMENTATION = r"""
name: effective_policies
short_description: The policy of every layer, out of the inventory
version_added: 0.1.0
author:
  - selfheal.cluster contributors (@selfheal-cluster)
description:
  - Renders and validates the policy of every layer, with all defaults filled in, as a heal does.
  - The role P(selfheal.cluster.healer#role) pins the result in the journal with M(selfheal.cluster.heal_journal).
positional: _input, groups
options:
  _input:
    description: The variables of all hosts, that is C(hostvars).
    type: dict
    required: true
  groups:
    description: The groups of the inventory, that is C(groups).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Pin the policies, so that a heal with another one is refused
  selfheal.cluster.heal_journal:
    policies: "{{ hostvars | selfheal.cluster.effective_policies(groups) }}"
  become: true
  become_user: selfheal
"""

RETURN = r"""
_value:
  description: The effective policy of each layer, by the name of the layer.
  type: dict
"""


def effective_policies(hostvars: Any, groups: Any) -> dict[str, Any]:
    """See DOCUMENTATION."""
    plain = {str(name): [str(host) for host in hosts] for name, hosts in groups.items()}
    seen = Once(hostvars)
    try:
        return {layer: effective(layer, seen, plain) for layer in layers(plain, seen)}
    except SelfhealError as exc:
        raise AnsibleFilterError(exc.message) from exc


class FilterModule:
    """Ansible's entrance."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filter by its name."""
        return {"effective_policies": effective_policies}
