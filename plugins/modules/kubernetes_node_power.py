#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes the power of a dead node of Kubernetes away and gives it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_node_power
short_description: Bring a dead node of Kubernetes back by its power
version_added: "0.1.0"
description:
  - For a machine that nobody reaches any more. A fence agent takes its power away, is asked until it says so twice,
    gives the power back, and is asked again.
  - Proves its own right immediately before. The node has to be under the hold of this incident, and its kubelet silent
    by the API server's own word; one that is Ready, or says of itself that it is not, is never touched.
  - Given once per incident. Called again for the same it only gives power back where it is missing.
author:
  - selfheal.cluster contributors (@selfheal-cluster)
options:
  name:
    description: The node's name in the cluster.
    type: str
    required: true
  agent:
    description: The program of the fence agent, by its whole path. Only root may be able to change it.
    type: path
    required: true
  options_file:
    description:
      - File with the agent's options, one C(key=value) on a line, as its manual names them. It has secrets, so that
        nobody but root and the user of this module may be able to read it.
      - They go to the agent by its standard input.
    type: path
    required: true
  incident:
    description: The incident that this is for.
    type: str
    required: true
  epoch:
    description: The epoch of its lease.
    type: int
    required: true
  silent_seconds:
    description: For so many seconds the API server has to have heard nothing of the node's kubelet.
    type: float
    default: 300
  forbidden_machine_ids:
    description: Machine ids of the controller, the journal and Nagios, whose power is never taken away.
    type: list
    elements: str
    default: []
  give_back:
    description: Take nothing away; only what O(incident) has taken before is given back.
    type: bool
    default: false
  when_off:
    description: Whether a machine that is found without power is switched on. Somebody may have switched it off.
    type: bool
    default: false
  seconds:
    description: Within so many seconds power has to be off and on again.
    type: float
    default: 60
extends_documentation_fragment:
  - selfheal.cluster.kubernetes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed when in diff mode.
    support: none
"""

EXAMPLES = r"""
- name: Bring a dead worker back
  selfheal.cluster.kubernetes_node_power:
    name: kw1
    agent: /usr/sbin/fence_ipmilan
    options_file: /etc/selfheal/power/kw1
    incident: kw1-20261130-1
    epoch: 1790000000
    kubeconfig: /etc/selfheal/kubernetes.conf
"""

RETURN = r"""
was_on:
  description: Whether the machine had power before.
  returned: success
  type: bool
phases:
  description: What was done, C(off) and C(on).
  returned: success
  type: list
  elements: str
boot_id_before:
  description: The boot that the node has had; its next one proves that it was started anew.
  returned: success
  type: str
at:
  description: When it was done, in seconds since the epoch.
  returned: success
  type: float
touched:
  description: Whether the machine may have lost its power all the same.
  returned: failure
  type: bool
reason:
  description: Why nothing was done, as one word; missing when something may have been done, or the agent is of no use.
  returned: failure
  type: str
  sample: human_hold
"""

import os
import signal
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import (
    SelfhealError,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import (
    ARGUMENTS,
    Api,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_power import (
    Right,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._power import (
    Agent,
    PowerError,
    check_place,
    check_program,
    read_options,
    run_agent,
)


def main() -> None:
    """Judge, switch, give back."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "agent": {"type": "path", "required": True},
            "options_file": {"type": "path", "required": True},
            "incident": {"type": "str", "required": True},
            "epoch": {"type": "int", "required": True},
            "silent_seconds": {"type": "float", "default": 300},
            "forbidden_machine_ids": {"type": "list", "elements": "str", "default": []},
            "give_back": {"type": "bool", "default": False},
            "when_off": {"type": "bool", "default": False},
            "seconds": {"type": "float", "default": 60},
            **ARGUMENTS,
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        check_program(given["agent"])
        options = read_options(given["options_file"], os.geteuid())
        check_place(given["options_file"], options, os.geteuid())
        agent = Agent(given["agent"], options, run_agent)
        api = Api(given["kubeconfig"], given["context"], given["timeout"])
        done = power(api, agent, given, module.check_mode)
    except PowerError as exc:
        module.fail_json(msg=exc.message, touched=exc.touched)
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason, touched=False)
    module.exit_json(at=time.time(), **done)


def own_machine_id() -> str:
    """Of the machine on which this runs; empty where it has none."""
    try:
        with open("/etc/machine-id", encoding="ascii") as handle:
            return handle.read().strip()
    except OSError:
        return ""


def power(api: Api, agent: Agent, given: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """In check mode everything is judged, and nothing marked or switched."""
    forbidden = [*given["forbidden_machine_ids"], own_machine_id()]
    right = Right(api, given["name"], given["incident"], given["epoch"], given["silent_seconds"], forbidden)
    if check_mode:
        was_on, fresh = agent.is_on(), right.look(False)
        takes = was_on and fresh and not given["give_back"]
        done = {"was_on": was_on, "off": takes, "on": takes or (not was_on and (not fresh or given["when_off"]))}
    else:
        # Between off and on nobody ends this: what is told to stop here would leave the machine without power.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        done = agent.cycle(given["seconds"], right.look, given["when_off"], given["give_back"])
    phases = [name for name in ("off", "on") if done[name]]
    return {
        "changed": bool(phases), "was_on": done["was_on"], "phases": phases, "boot_id_before": right.boot_id,
    }  # fmt: skip


if __name__ == "__main__":
    main()
