#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads everything that a plan needs from one machine, in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: heal_observe
author: selfheal.cluster contributors (@selfheal-cluster)
version_added: "0.1.0"
short_description: Read all that a plan needs from one machine, in one call
description:
  - What M(selfheal.cluster.lb_member_info) and M(selfheal.cluster.keepalived_info) return, from one connection and one
    process, because each task on a machine costs clients of an ill node half a second.
  - An action plugin of the same name also runs M(selfheal.cluster.gauge_info), where O(nagios) is given.
  - Each part is a result of its own, with C(failed) and C(msg), so that a part that cannot be read hides no other.
options:
  balancer:
    description: Arguments of M(selfheal.cluster.lb_member_info). Leave it out where there is no load balancer.
    type: dict
  keepalived:
    description: Arguments of M(selfheal.cluster.keepalived_info). Leave it out where there is no pair.
    type: dict
  nagios:
    description: Arguments of M(selfheal.cluster.gauge_info). Only the action plugin knows this option.
    type: dict
  seconds:
    description:
      - How long an answer is waited for, for a machine that may be too ill to give one; 0 leaves it to the
        task's C(timeout).
      - Without an answer the result says whether SSH was heard. If not even its greeting came, also not on a connection
        of its own, the machine is unreachable, as one whose processes stand still. The greeting may take 4 s at first
        and 2 s then, so C(timeout) has to be at least 3 s longer.
      - Only the action plugin knows this option.
    type: float
    default: 0.0
attributes:
  check_mode:
    description: Reads only, so check mode does the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
seealso:
  - module: selfheal.cluster.lb_member_info
  - module: selfheal.cluster.keepalived_info
  - module: selfheal.cluster.gauge_info
"""

EXAMPLES = r"""
- name: Observe
  selfheal.cluster.heal_observe:
    balancer:
      socket: /run/haproxy/admin.sock
    keepalived:
      instance: VI_ext
      vip: 10.0.0.100
      service_port: 80
  register: selfheal_seen
"""

RETURN = r"""
seen:
  description: The results, by C(balancer), C(keepalived) and C(nagios), with the machine id; only what was asked for.
  type: dict
  returned: when it answered
"""

from pathlib import Path
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._haproxy import Haproxy, resource
from ansible_collections.selfheal.cluster.plugins.module_utils._health import ADDRESS, SCHEME
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Holds, boot_id, describe
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived import Keepalived
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived_view import Node


def read_balancer(asked: dict[str, Any]) -> dict[str, Any]:
    """As ``lb_member_info``."""
    haproxy, holds = Haproxy(asked.get("socket") or "/run/haproxy/admin.sock", 3.0), Holds()
    info = haproxy.look()
    info["boot_id"] = boot_id()
    for server in info["servers"]:
        server["hold"] = describe(holds.read(resource(server)))
    return {"balancer": info}


def read_keepalived(asked: dict[str, Any]) -> dict[str, Any]:
    """As ``keepalived_info``."""
    wanted: dict[str, Any] = {
        "instance": str(asked.get("instance") or ""),
        "vip": str(asked.get("vip") or ""),
        "service_port": int(asked.get("service_port") or 0),
        "service_path": str(asked.get("service_path") or "/"),
        "service_scheme": str(asked.get("service_scheme") or SCHEME),
        "service_address": str(asked.get("service_address") or ADDRESS),
        "config_files": list(asked.get("config_files") or []),
    }
    return {"keepalived": Node(Keepalived(2.0), Holds()).look(**wanted)}


def machine_id() -> str:
    """Two machines with the same one are clones, and no telling them apart is safe."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


READERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "balancer": read_balancer,
    "keepalived": read_keepalived,
}


def main() -> None:
    """Read each part that was asked for; one that fails hides no other."""
    # The action plugin of the same name takes nagios and seconds for itself.
    spec: dict[str, Any] = {name: {"type": "dict"} for name in (*READERS, "nagios")}
    spec["seconds"] = {"type": "float", "default": 0.0}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    seen = {}
    for name, read in READERS.items():
        if module.params[name] is None:
            continue
        try:
            seen[name] = {**read(module.params[name]), "machine_id": machine_id()}
        except SelfhealError as exc:
            seen[name] = {"failed": True, "msg": str(exc), "reason": exc.reason}
    module.exit_json(changed=False, seen=seen)


if __name__ == "__main__":
    main()
