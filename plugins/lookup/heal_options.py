# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Refuse the options of ansible-playbook that can skip a guard of a heal."""

from __future__ import annotations

DOCUMENTATION = r"""
name: heal_options
author: selfheal.cluster contributors (@selfheal-cluster)
version_added: "0.1.0"
short_description: Host of the first play of a heal, unless a guard could be skipped
description:
  - Returns C(localhost) for the first play's C(hosts).
  - Raises an error, so that C(ansible-playbook) ends with exit code 4, when the command line carries C(--limit),
    C(--tags), C(--skip-tags), C(--start-at-task) or C(--step). A task cannot do this, because these options skip it.
options: {}
"""

EXAMPLES = r"""
- name: Find the target
  hosts: "{{ lookup('selfheal.cluster.heal_options') }}"
  gather_facts: false
  tasks: []
"""

RETURN = r"""
_raw:
  description: The one host of the first play.
  type: list
  elements: str
"""

from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.module_utils.common import arg_spec
from ansible.plugins.lookup import LookupBase

from ansible_collections.selfheal.cluster.plugins.action import (
    heal_observe,
    heal_plan,
    heal_step,
    heal_target,
    heal_watch,
    node_restart,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_target import skipping_options

# Not for this plugin: a lookup runs in the main process, and every worker of the run is a fork of it. Without these
# each worker would import (and compile) them again.
PRELOADED = (arg_spec, heal_observe, heal_plan, heal_step, heal_target, heal_watch, node_restart)


class LookupModule(LookupBase):
    """Invariant 13 starts here: a run whose command line could skip a task is no heal."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        del terms, variables, kwargs
        found = skipping_options(dict(context.CLIARGS))
        if found:
            raise AnsibleError(
                "a heal takes no {}: each of them can skip a guard. Name the node with -e selfheal_node=NAME; "
                "to look without acting use --check".format(", ".join(found))
            )
        return ["localhost"]
