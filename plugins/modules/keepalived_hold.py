#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Moves a virtual address by an offset in keepalived's track file, and holds it there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: keepalived_hold
short_description: Move a virtual address between the nodes of a pair and hold it there
version_added: "0.1.0"
description:
  - Writes an offset into the track file of a VRRP instance, verifies in keepalived's dump and in the addresses of
    the machine that the address moved, and takes the offset back when it did not.
  - Runs on the machine whose track file is written. With O(mode=peer) that is the proven standby, so the ill node
    need not answer; with O(mode=soft) and O(mode=hard) it is the node that loses the address.
  - keepalived must run with the track file C(state_dir/keepalived/INSTANCE) and a weight of 1.
author:
  - selfheal.cluster contributors (@selfheal-cluster)
options:
  instance:
    description: The VRRP instance.
    type: str
    required: true
  vip:
    description: The virtual address to look for; empty means those of the instance.
    type: str
    default: ''
  mode:
    description:
      - V(peer) raises this node, a proven standby, above the other one.
      - V(soft) lowers this node; it keeps the address until the other one takes it.
      - V(hard) sends this node to FAULT; it drops the address at once. Make sure first that the other one lives.
    type: str
    choices: [peer, soft, hard]
    default: peer
  state:
    description: Whether the hold shall be there. V(absent) sets the offset to 0 and removes the hold.
    type: str
    choices: [present, absent]
    default: present
  incident:
    description: The incident on whose behalf this is done.
    type: str
    required: true
  epoch:
    description: The epoch of the heal. An epoch older than the highest seen here is refused.
    type: int
    required: true
  phase:
    description: The phase of the heal, kept in the hold.
    type: str
    required: true
  deadline_seconds:
    description: How long the hold has an owner. Afterwards the guard calls a human.
    type: float
    default: 600
  reason:
    description: One line for humans, kept in the hold.
    type: str
    default: ''
  offset:
    description: The offset to write; V(0) chooses one that reaches 254, 1 or FAULT according to O(mode).
    type: int
    default: 0
  expect:
    description: With O(state=absent), the state of this node to wait for; empty waits for the priority only.
    type: str
    choices: ['', MASTER, BACKUP]
    default: ''
  timeout:
    description: Seconds within which the move must be verified.
    type: float
    default: 5
  state_dir:
    description: The folder with the holds, epochs and track files of this machine.
    type: path
    default: /var/lib/selfheal
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
    details: All refusals are evaluated in check mode too.
  diff_mode:
    description: Will return details on what has changed when in diff mode.
    support: full
seealso:
  - module: selfheal.cluster.keepalived_info
"""

EXAMPLES = r"""
- name: Take the address to the standby (runs on the standby)
  selfheal.cluster.keepalived_hold:
    instance: VI_ext
    vip: 10.0.0.100
    mode: peer
    incident: "20261124-2"
    epoch: 1795560604
    phase: shift

- name: Let the address go home, and wait until it has left
  selfheal.cluster.keepalived_hold:
    instance: VI_ext
    vip: 10.0.0.100
    state: absent
    expect: BACKUP
    incident: "20261124-2"
    epoch: 1795560604
    phase: readmit
"""

RETURN = r"""
before:
  description: The instance before, as M(selfheal.cluster.keepalived_info) returns it.
  returned: success
  type: dict
after:
  description: The instance after, or as predicted in check mode.
  returned: success
  type: dict
offset:
  description: The offset in the track file.
  returned: success
  type: int
moved_seconds:
  description: How long it took until the move was verified.
  returned: success
  type: float
at:
  description: When the state was verified, in seconds since the epoch.
  returned: success
  type: float
reason:
  description:
    - Why it was refused or failed.
    - One of V(stale_epoch), V(epoch_unreadable), V(human_hold), V(no_track_file), V(not_backup), V(no_preempt),
      V(address_owner), V(no_instance), V(not_running), V(no_answer), V(no_json), V(not_moved), V(locked).
  returned: failure
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Holds
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived import Keepalived
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived_move import Mover, Wish, essence
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived_view import Node

ARGUMENTS: dict[str, Any] = {
    "instance": {"type": "str", "required": True},
    "vip": {"type": "str", "default": ""},
    "mode": {"type": "str", "choices": ["peer", "soft", "hard"], "default": "peer"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "incident": {"type": "str", "required": True},
    "epoch": {"type": "int", "required": True},
    "phase": {"type": "str", "required": True},
    "deadline_seconds": {"type": "float", "default": 600},
    "reason": {"type": "str", "default": ""},
    "offset": {"type": "int", "default": 0},
    "expect": {"type": "str", "choices": ["", "MASTER", "BACKUP"], "default": ""},
    "timeout": {"type": "float", "default": 5},
    "state_dir": {"type": "path", "default": "/var/lib/selfheal"},
}


def main() -> None:
    """Arguments in, one call, result out."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = dict(module.params)
    holds = Holds(params.pop("state_dir"))
    mover = Mover(Node(Keepalived(), holds), holds)
    try:
        wish = Wish(**params)
        result = mover.preview(wish) if module.check_mode else mover.apply(wish)
    except SelfhealError as exc:
        module.fail_json(msg=str(exc), reason=exc.reason)
    module.exit_json(diff={key: essence(result[key]) for key in ("before", "after")}, **result)


if __name__ == "__main__":
    main()
