#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what keepalived knows of its instances, and who has the address."""

from __future__ import annotations

DOCUMENTATION = r"""
module: keepalived_info
short_description: Read the state of keepalived and the addresses of a node
version_added: "0.1.0"
description:
  - Reads keepalived's own dump, the addresses of the machine, the offset and the hold of each VRRP instance, and
    whether adverts of the other node arrive.
  - Only a fresh and whole dump counts. Without one within the time limit the state is C(UNKNOWN).
  - The state C(STOPPED) is no silence but proven - no process of keepalived lives in the network of this machine, and
    systemd does not run its unit. What it left behind is told all the same, above all the address.
  - Needs root, because keepalived is asked by a signal.
author:
  - selfheal.cluster contributors (@selfheal-cluster)
options:
  instance:
    description: Only this VRRP instance; empty returns all.
    type: str
    default: ''
  vip:
    description: The virtual address to look for; empty means those of the instance.
    type: str
    default: ''
  service_port:
    description: The port on which this node's own service is asked; V(0) does not ask.
    type: int
    default: 0
  service_path:
    description: The path that is asked.
    type: str
    default: /
  service_scheme:
    description:
      - How the service is asked. V(http) and V(https) want a status of 2xx or 3xx, V(tcp) an accepted connection.
      - With V(https) the certificate is not verified, because the name that is asked is an address.
    type: str
    choices: [http, https, tcp]
    default: http
  service_address:
    description: The address on which it is asked. Not the virtual one, on which the other node may answer.
    type: str
    default: 127.0.0.1
  config_files:
    description: Files whose SHA-256 is returned, to be compared between the nodes of a pair.
    type: list
    elements: path
    default: []
  timeout:
    description: Seconds that keepalived may take for each dump.
    type: float
    default: 2
  state_dir:
    description: The folder with the holds and track files of this machine.
    type: path
    default: /var/lib/selfheal
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed when in diff mode.
    support: none
seealso:
  - module: selfheal.cluster.keepalived_hold
"""

EXAMPLES = r"""
- name: See who has the address
  selfheal.cluster.keepalived_info:
    instance: VI_ext
    vip: 10.0.0.100
    service_port: 80
    config_files:
      - /etc/haproxy/haproxy.cfg
  register: seen
"""

RETURN = r"""
keepalived:
  description: keepalived of this machine.
  returned: success
  type: dict
  contains:
    running:
      description: Whether keepalived runs.
      type: bool
      returned: success
    stopped:
      description: >-
        Whether it is proven that keepalived does not run. If both are false, nobody knows, and
        RV(keepalived.error) says why.
      type: bool
      returned: success
    boot_id:
      description: Identity of this boot of the machine.
      type: str
      returned: success
    address_present:
      description: Whether this machine has the address O(vip), also when keepalived does not run.
      type: bool
      returned: success
    error:
      description: Why something is unknown; empty when all was read.
      type: str
      returned: success
    instances:
      description: The VRRP instances; without an answer of keepalived what is known of O(instance).
      type: list
      elements: dict
      returned: success
      sample:
        - instance: VI_ext
          state: BACKUP
          base_priority: 150
          effective_priority: 150
          master_priority: 200
          vips: [10.0.0.100]
          address_present: false
          adverts_heard: true
          adverts_received: 2992
          nopreempt: false
          preempt_delay_seconds: 0.0
          advert_seconds: 0.1
          sync_group: ''
          track_file: true
          track_weight: 1
          offset: 0
          hold: null
          last_transition: 1795560603.46
    comparable:
      description: A hash over router ids, versions, intervals and addresses, equal on both nodes of a pair.
      type: str
      returned: success
    files:
      description: SHA-256 of each file in O(config_files); empty for one that cannot be read.
      type: dict
      returned: success
    service:
      description: Whether the own service answers, with details; null when it was not asked.
      type: dict
      returned: success
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._health import ADDRESS, ASKED, SCHEME
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Holds
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived import Keepalived
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived_view import Node

ARGUMENTS = {
    "instance": {"type": "str", "default": ""},
    "vip": {"type": "str", "default": ""},
    "service_port": {"type": "int", "default": 0},
    "service_path": {"type": "str", "default": "/"},
    "service_scheme": {"type": "str", "choices": [*ASKED], "default": SCHEME},
    "service_address": {"type": "str", "default": ADDRESS},
    "config_files": {"type": "list", "elements": "path", "default": []},
    "timeout": {"type": "float", "default": 2},
    "state_dir": {"type": "path", "default": "/var/lib/selfheal"},
}


def main() -> None:
    """Read, and give back."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    node = Node(Keepalived(module.params["timeout"]), Holds(module.params["state_dir"]))
    asked = ("instance", "vip", "service_port", "service_path", "service_scheme", "service_address", "config_files")
    try:
        seen = node.look(**{name: module.params[name] for name in asked})
    except SelfhealError as exc:
        module.fail_json(msg=str(exc), reason=exc.reason)
    module.exit_json(changed=False, keepalived=seen)


if __name__ == "__main__":
    main()
