# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Filter for the roles that write Nagios' checks: gauges in, thresholds out."""

from __future__ import annotations

from typing import Any, Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_thresholds import thresholds

DOCUMENTATION = r"""
name: nagios_thresholds
short_description: Thresholds of Nagios checks out of gauges
version_added: 0.1.0
author:
  - selfheal.cluster contributors (@selfheal-cluster)
description:
  - Gives the warning and critical thresholds of the checks that the roles P(selfheal.cluster.nagios_agent#role) and
    P(selfheal.cluster.nagios_server#role) install, so that Nagios and the gauges agree.
  - A gauge that cannot be translated (bytes, a load average) leaves its check at the marks of the default gauges.
positional: _input
options:
  _input:
    description: The gauges of a layer (its variable C(selfheal_gauges)); empty or undefined means the default set.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show when memory is critical
  ansible.builtin.debug:
    msg: "{{ (selfheal_gauges | default([]) | selfheal.cluster.nagios_thresholds).memory.critical }} % used"
"""

RETURN = r"""
_value:
  description:
    - For each of V(memory), V(cpu), V(disk), V(ping_loss) percent used or lost, for V(ping_time) and V(http_time)
      seconds, each with C(warning) and C(critical).
  type: dict
  sample: {memory: {warning: 80.0, critical: 90.0}}
"""


def nagios_thresholds(gauges: Any) -> dict[str, dict[str, float]]:
    """See DOCUMENTATION."""
    try:
        return thresholds(gauges)
    except SelfhealError as exc:
        raise AnsibleFilterError(exc.message) from exc


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters of this file."""
        return {"nagios_thresholds": nagios_thresholds}
