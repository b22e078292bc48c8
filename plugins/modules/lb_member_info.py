#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what a load balancer knows about its members."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lb_member_info
short_description: Read the members of a load balancer
version_added: "0.1.0"
description:
  - Reads servers, backends and process of HAProxy over its runtime socket, with the holds kept on this machine.
  - Runs on the load balancer itself and needs the right to use the socket.
author:
  - selfheal.cluster contributors (@selfheal-cluster)
options:
  socket:
    description: The runtime socket of HAProxy.
    type: path
    default: /run/haproxy/admin.sock
  backend:
    description: Only the servers of this backend; empty returns all.
    type: str
    default: ''
  timeout:
    description: Seconds that HAProxy may take for each answer.
    type: float
    default: 5
  state_dir:
    description: The folder with the holds of this machine.
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
  - module: selfheal.cluster.lb_member
"""

EXAMPLES = r"""
- name: See who is in rotation
  selfheal.cluster.lb_member_info:
    socket: /run/haproxy/admin.sock
  register: seen

- name: Name the members of a backend that serve
  ansible.builtin.debug:
    msg: "{{ seen.balancer.servers | selectattr('admin', 'eq', 'ready') | map(attribute='server') }}"
"""

RETURN = r"""
balancer:
  description: The load balancer as it is now.
  returned: success
  type: dict
  contains:
    version:
      description: Version of HAProxy.
      type: str
      returned: success
    pid:
      description: Process id of HAProxy's worker.
      type: int
      returned: success
    uptime_seconds:
      description: Seconds since HAProxy was started or reloaded.
      type: int
      returned: success
    started_at:
      description: When this process of HAProxy was started, in seconds since the epoch; V(null) where it does not say.
      type: int
      returned: success
    boot_id:
      description: Identity of this boot of the machine.
      type: str
      returned: success
    at:
      description: When it was read, in seconds since the epoch by this machine's clock.
      type: float
      returned: success
    servers:
      description: The servers of all backends, with check, sessions, queue and hold.
      type: list
      elements: dict
      returned: success
      sample:
        - backend: be_ei
          server: ei1
          address: 10.0.0.21
          port: 8280
          operational: running
          admin: ready
          admin_flags: []
          weight: 1
          sessions: 3
          queue: 0
          check: L7OK
          checked: true
          backup: false
          hold: null
    backends:
      description: Queue and sessions of each backend.
      type: list
      elements: dict
      returned: success
      sample:
        - name: be_ei
          queue: 0
          sessions: 3
    counters:
      description:
        - What this process of HAProxy has counted since its start, for each server and, where C(server) is empty, for
          each backend as a whole. The backend also counts what no server was there for.
        - The names are those of C(show stat). What a row does not have, like 5xx in mode tcp, is left out.
      type: list
      elements: dict
      returned: success
      sample:
        - backend: be_ei
          server: ei1
          address: 10.0.0.21
          port: 8280
          mode: http
          counters:
            stot: 1204
            econ: 0
            eresp: 2
            hrsp_5xx: 2
            cli_abrt: 0
            srv_abrt: 1
            wretr: 0
            wredis: 0
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import (
    SelfhealError,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._haproxy import (
    Haproxy,
    resource,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import (
    Holds,
    boot_id,
    describe,
)


def main() -> None:
    """Read, and give back."""
    module = AnsibleModule(
        argument_spec={
            "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
            "backend": {"type": "str", "default": ""},
            "timeout": {"type": "float", "default": 5},
            "state_dir": {"type": "path", "default": "/var/lib/selfheal"},
        },
        supports_check_mode=True,
    )
    wanted = module.params["backend"]
    haproxy = Haproxy(module.params["socket"], module.params["timeout"])
    holds = Holds(module.params["state_dir"])
    try:
        info = haproxy.look()
        for server in info["servers"]:
            server["hold"] = describe(holds.read(resource(server)))
    except SelfhealError as exc:
        module.fail_json(msg=str(exc), reason=exc.reason)
    info["boot_id"] = boot_id()
    for name, key in (("servers", "backend"), ("backends", "name"), ("counters", "backend")):
        info[name] = [row for row in info[name] if wanted in ("", row[key])]
    module.exit_json(changed=False, balancer=info)


if __name__ == "__main__":
    main()
