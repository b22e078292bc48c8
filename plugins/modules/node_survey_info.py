#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what a heal would need of one machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_survey_info
short_description: Read what a heal would need of one machine
version_added: "0.1.0"
description:
  - Says whether the service's unit exists, its configuration test passes, the load balancer's socket gives
    enough rights, the track file is there, the guard runs, and what would stand in the way of a restart.
  - It never fails because of what it finds. What cannot be read is returned as C(null), or with a sentence.
author:
  - selfheal.cluster contributors (@selfheal-cluster)
options:
  service:
    description: The systemd unit that a heal would restart.
    type: str
    default: ''
  port:
    description: The TCP port on which the service must listen; 0 asks nothing.
    type: int
    default: 0
  health:
    description: The question that a heal asks after a restart, on this machine itself; left out where none is asked.
    type: dict
    suboptions:
      scheme:
        description:
          - V(http) and V(https) want a status of 2xx or 3xx, V(tcp) an accepted connection. No certificate is verified.
        type: str
        choices: [http, https, tcp]
        default: http
      address:
        description: The address that is asked.
        type: str
        default: 127.0.0.1
      port:
        description: The port that is asked.
        type: int
        required: true
      path:
        description: The path that is asked over HTTP.
        type: str
        default: /
  config_test:
    description: Commands that test the service's configuration, each a list of words. No shell is involved.
    type: list
    elements: list
    default: []
  socket:
    description: The runtime socket of HAProxy on a load balancer; empty on other machines.
    type: str
    default: ''
  track_file:
    description: The track file of keepalived on a member of a pair; empty on other machines.
    type: str
    default: ''
  journal:
    description: The journal on the machine that keeps it; empty on other machines.
    type: str
    default: ''
  guard_unit:
    description: The systemd unit of the guard.
    type: str
    default: selfheal-guard.service
  nrpe_port:
    description: The TCP port on which NRPE listens.
    type: int
    default: 5666
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed when in diff mode.
    support: none
"""

EXAMPLES = r"""
- name: Ask a member of a pool whether it could be healed
  selfheal.cluster.node_survey_info:
    service: ei.service
    port: 8280

- name: Ask a load balancer
  selfheal.cluster.node_survey_info:
    service: haproxy.service
    socket: /run/haproxy/admin.sock
    config_test:
      - [haproxy, -c, -f, /etc/haproxy/haproxy.cfg]
"""

RETURN = r"""
target:
  description: What the machine says about itself.
  returned: success
  type: dict
  contains:
    machine_id: {description: The id of the machine; empty when it has none., type: str}
    boot_id: {description: The id of its current boot., type: str}
    root: {description: Whether the module ran as root., type: bool}
    unit: {description: "The unit, with C(exists), C(active), C(restartable) and C(detail).", type: dict}
    guard: {description: The same for the guard's unit., type: dict}
    listening: {description: Whether something listens on the ports of C(service) and C(nrpe)., type: dict}
    health: {description: "What was C(asked) of the service, with C(ok) and C(detail).", type: dict}
    config_test: {description: "One entry per test, with C(ok) and C(detail).", type: list, elements: dict}
    socket: {description: "The runtime socket, with C(exists), C(level) and C(error).", type: dict}
    track_file: {description: "The track file, with C(exists), C(directory) and C(value).", type: dict}
    journal: {description: The journal with C(exists)., type: dict}
    root_read_only: {description: Whether the root file system is read-only., type: bool}
    full_disks: {description: Partitions that are as good as full., type: list, elements: dict}
    package_manager: {description: Whether a package manager is at work., type: bool}
    connections_readable: {description: Whether C(ss) is there to count open connections., type: bool}
  sample:
    machine_id: 0123456789abcdef0123456789abcdef
    root: true
    unit: {name: ei.service, exists: true, active: true, restartable: true, detail: active/running}
"""

from typing import Sequence

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._health import ADDRESS, ASKED, SCHEME
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_target import look

HEALTH = {
    "scheme": {"type": "str", "choices": [*ASKED], "default": SCHEME},
    "address": {"type": "str", "default": ADDRESS},
    "port": {"type": "int", "required": True},
    "path": {"type": "str", "default": "/"},
}
ARGUMENTS = {
    "service": {"type": "str", "default": ""},
    "port": {"type": "int", "default": 0},
    "health": {"type": "dict", "options": HEALTH},
    "config_test": {"type": "list", "elements": "list", "default": []},
    "socket": {"type": "str", "default": ""},
    "track_file": {"type": "str", "default": ""},
    "journal": {"type": "str", "default": ""},
    "guard_unit": {"type": "str", "default": "selfheal-guard.service"},
    "nrpe_port": {"type": "int", "default": 5666},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)

    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        found = module.get_bin_path(argv[0])
        if found is None:
            return 127, "", argv[0] + " is not installed"
        code, out, err = module.run_command([found, *argv[1:]])
        return code, out, err

    module.exit_json(changed=False, target=look(module.params, run))


if __name__ == "__main__":
    main()
