#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes a member out of a load balancer, or gives it its traffic back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lb_member
short_description: Take a member out of a load balancer or give it its traffic back
version_added: "0.1.0"
description:
  - Changes a member of HAProxy over the runtime socket, in every backend that has a server with its address and
    port, and keeps a hold on the load balancer's disk that says whose doing it is.
  - Checks on the load balancer itself, in the same operation, that the heal has the right to act (epoch), that
    enough other members serve, and that nobody else put the member where it is.
  - Runs on each load balancer; all of them or none is the business of the playbook.
author:
  - selfheal.cluster contributors (@selfheal-cluster)
options:
  socket:
    description: The runtime socket of HAProxy.
    type: path
    default: /run/haproxy/admin.sock
  address:
    description: The address of the member. A name is resolved on the load balancer.
    type: str
    required: true
  port:
    description: The port of the member.
    type: int
    required: true
  backend:
    description: Only in this backend; empty means in every backend that has the member.
    type: str
    default: ''
  state:
    description:
      - V(maint) takes the member out at once; requests that run may end.
      - V(drain) keeps new requests away, while HAProxy checks the member again.
      - V(ready) gives it its traffic back and removes the hold.
    type: str
    choices: [ready, drain, maint]
    required: true
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
  min_up:
    description:
      - How many other members must serve in each backend, by HAProxy's own view, before this one may leave.
      - V(0) still protects the last one that serves; V(-1) asks nothing. A member that serves nobody may always
        leave.
    type: int
    default: -1
  drain_timeout:
    description: Seconds to wait until no request runs on the member; V(0) does not wait.
    type: float
    default: 0
  wait_up_timeout:
    description:
      - Seconds to wait, with O(state=drain), until HAProxy's own check has passed as often as C(rise) asks for,
        in every backend; V(0) does not wait.
      - With O(state=ready) a member in maintenance is drained and proven like this first.
    type: float
    default: 0
  timeout:
    description: Seconds that HAProxy may take for each answer.
    type: float
    default: 5
  state_dir:
    description: The folder with the holds and epochs of this machine.
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
  - module: selfheal.cluster.lb_member_info
"""

EXAMPLES = r"""
- name: Take the ill node out and wait until its requests have ended
  selfheal.cluster.lb_member:
    address: 10.0.0.21
    port: 8280
    state: maint
    incident: "20261124-1"
    epoch: 1795560603
    phase: shift
    min_up: 2
    drain_timeout: 15

- name: Let HAProxy prove the restarted node
  selfheal.cluster.lb_member:
    address: 10.0.0.21
    port: 8280
    state: drain
    incident: "20261124-1"
    epoch: 1795560603
    phase: verify
    wait_up_timeout: 30

- name: Give it its traffic back
  selfheal.cluster.lb_member:
    address: 10.0.0.21
    port: 8280
    state: ready
    incident: "20261124-1"
    epoch: 1795560603
    phase: readmit
"""

RETURN = r"""
before:
  description: The member's servers before, as M(selfheal.cluster.lb_member_info) returns them.
  returned: success
  type: list
  elements: dict
after:
  description: The member's servers after the change, or as predicted in check mode.
  returned: success
  type: list
  elements: dict
drain_seconds:
  description: How long it took until no request ran on the member, or until the time was up.
  returned: success
  type: float
left_sessions:
  description: Requests that still ran or waited on the member when the module ended.
  returned: success
  type: int
open_ends:
  description:
    - The ends, as C(ADDRESS:PORT), of the connections to the member's port, of whatever address, that processes of this
      machine had when all else was done. Most are idle ones, which HAProxy keeps for a while.
    - Not there where the module cannot see HAProxy's connections, because it runs in a container of its own.
  returned: for O(state=maint), unless in check mode, or if it cannot be known
  type: list
  elements: str
check_rounds_seconds:
  description: How long HAProxy's own check took to prove the member.
  returned: success
  type: float
at:
  description: When the state was verified, in seconds since the epoch.
  returned: success
  type: float
balancer:
  description:
    - The process of HAProxy and what it has counted in the member's backends, read when all else was done, as
      M(selfheal.cluster.lb_member_info) returns it.
  returned: success, unless in check mode, or if HAProxy did not say
  type: dict
reason:
  description:
    - Why it was refused or failed.
    - One of V(stale_epoch), V(epoch_unreadable), V(below_minimum), V(human_hold), V(config_disabled),
      V(no_such_member), V(no_check), V(not_up), V(not_verified), V(locked), V(socket).
  returned: failure
  type: str
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import (
    SelfhealError,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._haproxy import (
    Haproxy,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._haproxy_member import (
    Member,
    Wish,
    differs,
    essence,
    resolve,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import (
    Holds,
    boot_id,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._sockets import held

ARGUMENTS = {
    "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "backend": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["ready", "drain", "maint"], "required": True},
    "incident": {"type": "str", "required": True},
    "epoch": {"type": "int", "required": True},
    "phase": {"type": "str", "required": True},
    "deadline_seconds": {"type": "float", "default": 600},
    "reason": {"type": "str", "default": ""},
    "min_up": {"type": "int", "default": -1},
    "drain_timeout": {"type": "float", "default": 0},
    "wait_up_timeout": {"type": "float", "default": 0},
    "timeout": {"type": "float", "default": 5},
    "state_dir": {"type": "path", "default": "/var/lib/selfheal"},
}


def _wish(params: dict[str, Any]) -> Wish:
    taken = ("port", "state", "incident", "epoch", "phase", "deadline_seconds", "reason", "backend", "min_up")
    waits = ("drain_timeout", "wait_up_timeout")
    return Wish(addresses=resolve(params["address"]), **{name: params[name] for name in taken + waits})


def _counted(haproxy: Haproxy, backends: set[str], wish: Wish) -> dict[str, Any]:
    """What HAProxy has counted in these backends, and still has open to the member.

    The act is done and verified: this may not make it a failure.
    """
    try:
        found = haproxy.look()
    except SelfhealError:
        return {}
    counters = [row for row in found["counters"] if row["backend"] in backends]
    process = {key: found[key] for key in ("version", "pid", "uptime_seconds", "started_at", "at")}
    ends = held(found["pid"], wish.port) if wish.state == "maint" else None
    return {
        "balancer": {**process, "boot_id": boot_id(), "counters": counters},
        **({} if ends is None else {"open_ends": ends}),
    }


def main() -> None:
    """Arguments in, one call, result out."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    haproxy = Haproxy(module.params["socket"], module.params["timeout"])
    member = Member(haproxy, Holds(module.params["state_dir"]))
    try:
        wish = _wish(module.params)
        if module.check_mode:
            before, after = member.preview(wish)
            result: dict[str, Any] = {"changed": differs(before, after), "before": before, "after": after}
            result.update(drain_seconds=0.0, left_sessions=0, check_rounds_seconds=0.0, at=time.time())
        else:
            result = member.apply(wish)
            result.update(_counted(haproxy, {server["backend"] for server in result["before"]}, wish))
    except SelfhealError as exc:
        module.fail_json(msg=str(exc), reason=exc.reason)
    module.exit_json(
        diff={"before": essence(result["before"]), "after": essence(result["after"])},
        **result,
    )


if __name__ == "__main__":
    main()
