#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decide whether a node may be healed, and take what the heal needs, in one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: heal_plan
short_description: Decide whether a node may be healed, and take the leases
version_added: 0.1.0
author: selfheal.cluster contributors (@selfheal-cluster)
description:
  - Reads what the C(*_info) modules registered on balancers, pairs and the monitor, builds the snapshot and the
    effective policy on the controller, and sends both to the journal host.
  - There, in one transaction, the plan is made, the attempt reserved, the leases taken, the epoch issued and the
    decision stored with everything it rests on.
  - A refusal is a result, not a failure. RV(admitted) is false then, and RV(refusals) says why.
  - Delegate the task to the journal host and become the owner of the journal.
options:
  node:
    description:
      - Name of the node in the inventory. Without it the single most urgent node that the plan admits is taken.
    type: str
  reason:
    description:
      - V(drill) heals a healthy node on purpose. It lifts the refusals C(not_ill), C(suspect_only) and
        C(stale_alert), and for the active node of a pair C(layer_load).
    type: str
    choices: ['', drill]
    default: ''
  incident:
    description:
      - Id of an open incident of this node to go on with, or of a new one to begin. Without it an open incident of
        the node is continued, or a new one is begun.
    type: str
  journal:
    description:
      - Path of the journal on the host of the task. The default is the variable C(selfheal_journal).
    type: path
    default: /var/lib/selfheal/journal.db
  snapshot:
    description:
      - What the farm showed. Set by the action plugin.
    type: dict
  policies:
    description:
      - The effective policy of every layer. Set by the action plugin.
    type: dict
  owner:
    description:
      - Who asks, as machine, boot, process and user. Set by the action plugin.
    type: dict
  dead:
    description:
      - Runs that the action plugin has proven dead on its own machine. Set by the action plugin.
    type: list
    elements: dict
attributes:
  check_mode:
    description: The same decision is made; nothing is stored and no lease is taken.
    support: full
  diff_mode:
    description: The decision is no state of a file or service.
    support: none
seealso:
  - module: selfheal.cluster.heal_lease
  - module: selfheal.cluster.heal_info
"""

EXAMPLES = r"""
- name: Decide about ei1
  selfheal.cluster.heal_plan:
    node: ei1
  delegate_to: "{{ selfheal_journal_host }}"
  become: true
  become_user: selfheal
  ignore_unreachable: true
  register: selfheal_plan

- name: Rehearse the heal of a healthy node
  selfheal.cluster.heal_plan:
    node: ei1
    reason: drill
  delegate_to: "{{ selfheal_journal_host }}"
  become: true
  become_user: selfheal
"""

RETURN = r"""
admitted:
  description: Whether the heal may begin.
  returned: success
  type: bool
node:
  description: The node that was decided about.
  returned: success
  type: str
layer:
  description: Its layer.
  returned: success
  type: str
incident:
  description: Id of the incident.
  returned: when admitted
  type: str
attempt:
  description: Number of the attempt within the incident.
  returned: when admitted
  type: int
epoch:
  description: The epoch of this heal.
  returned: when admitted
  type: int
strategy:
  description: The strategy of the layer.
  returned: success
  type: str
policy:
  description: The effective policy of the layer.
  returned: success
  type: dict
limits:
  description: The limits of the layer.
  returned: success
  type: dict
refusals:
  description: All reasons against the heal, each with C(reason) and C(detail).
  returned: success
  type: list
  elements: dict
candidates:
  description: Without a target, every ill node with urgency and reasons, the most urgent one first.
  returned: success
  type: list
  elements: dict
phases:
  description: The phases of this heal; without C(restart) when nothing is to be restarted.
  returned: success
  type: list
  elements: str
restart:
  description: The rung, as C(kind) (V(service), V(reboot), V(relief), V(none)) and C(service); of a relief also what it
    may delete (C(relief)), and the full C(partitions) with the share C(below) which each must come.
  returned: success
  type: dict
ends:
  description: V(healed), or V(left_out) when the traffic is shifted only and a person is called.
  returned: success
  type: str
unproven:
  description: Whether the node is out of traffic and may have been restarted; then nobody gives it back unverified.
  returned: success
  type: bool
resume:
  description: The interrupted attempt that this heal rolls forward, if any.
  returned: success
  type: dict
would:
  description: What the heal does, or would do, step by step.
  returned: success
  type: list
  elements: str
decision_id:
  description: Number of the decision in the journal.
  returned: when stored
  type: int
peer:
  description: The other node of the pair.
  returned: success
  type: str
dead:
  description: Whether the node's keepalived is proven not to run. It is started then, besides the service or alone.
  returned: success
  type: bool
leftover:
  description: Whether that keepalived left the address behind while the peer has it, so that it is taken off the node.
  returned: success
  type: bool
preferred:
  description: The node that is the home of the virtual address.
  returned: success
  type: str
deadlines:
  description: Seconds that each phase may take.
  returned: success
  type: dict
min_up:
  description: Members that must stay in rotation on every balancer; -1 when that does not apply.
  returned: success
  type: int
balancers:
  description: Balancers to act on.
  returned: success
  type: list
  elements: str
skipped_balancers:
  description: Balancers that are proven down and owe a hold.
  returned: success
  type: list
  elements: str
machine_ids:
  description: Machine ids that no restart may touch, that of the journal host.
  returned: success
  type: list
  elements: str
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_plan import answer
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_plan_spec import SPEC


def own_machine_id() -> list[str]:
    """The machine of the journal, which no heal restarts (invariant 13)."""
    try:
        return [Path("/etc/machine-id").read_text(encoding="ascii").strip()]
    except OSError:
        return []


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    params: dict[str, Any] = module.params
    if params["snapshot"] is None or params["policies"] is None:
        module.fail_json(msg="heal_plan runs through its action plugin; call it from a playbook", reason="no_snapshot")
    try:
        result = answer(params, time.time(), module.check_mode)
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason)
    changed = bool(result["admitted"]) and not module.check_mode
    module.exit_json(changed=changed, machine_ids=own_machine_id(), **result)


if __name__ == "__main__":
    main()
