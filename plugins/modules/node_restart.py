#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restarts the service of a node that is out of traffic. Runs on the node; the action plugin calls it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_restart
author: selfheal.cluster contributors (@selfheal-cluster)
version_added: "0.1.0"
short_description: Restart a node's service, or the node, or relieve its full disk, after proving the right to do so
description:
  - Checks on the node itself, in the same operation, that this heal is not outdated (epoch), that the
    balancers (or the
    peer of a pair) said a moment ago that the node is out of traffic, that no connection of theirs is open,
    and that a
    restart can succeed. Then gives systemd one command and waits until the service answers.
  - A O(kind=relief) proves the same right, deletes old files below the paths of O(relief), and succeeds only if each of
    O(partitions) has room then and the service answers. It restarts nothing, and may be called again.
  - A second call under the same incident waits for the first restart instead of doing another, unless that one
    is older than O(since_epoch).
options:
  service:
    description: The unit to restart. Empty only for a reboot of a machine whose service has no unit of its own.
    type: str
    required: true
  kind:
    description:
      - Restart the service, or reboot the machine, or delete old files to make room on a full partition.
      - A reboot is proven by another boot id, a relief by the use of the partition.
    type: str
    choices: [service, reboot, relief]
    default: service
  incident:
    description: The incident on whose behalf this is done.
    type: str
    required: true
  epoch:
    description: The epoch of the heal. An epoch older than the highest seen here is refused.
    type: int
    required: true
  since_epoch:
    description: A restart of this incident counts as this one if its epoch is not older. It is the epoch of the first
      interrupted attempt that this heal rolls forward, or else O(epoch).
    type: int
    default: 0
  resource:
    description: Name under which the epoch is kept. Default is C(service:) and the unit, or C(machine) without a unit.
    type: str
    default: ''
  witnesses:
    description: Who says that the node is out of traffic.
    type: list
    elements: dict
    default: []
    suboptions:
      balancer:
        description: The balancer, or the peer of a pair.
        type: str
        required: true
      out:
        description: Whether it keeps traffic away from the node.
        type: bool
        required: true
      at:
        description: When the controller got its answer, in seconds since the epoch by the controller's clock.
        type: float
      age_seconds:
        description: Age of the answer. The action plugin computes it from O(witnesses[].at).
        type: float
      ends:
        description:
          - The ends, as C(ADDRESS:PORT), of the connections to this node that the balancer had when it gave it no more
            requests, as M(selfheal.cluster.lb_member) returns them. Left out where it does not know.
          - A connection on this node that no balancer has, and that was silent since before they were asked, is
            half-open (a cable was out, a balancer lost its power). It carries no request and refuses no restart.
        type: list
        elements: str
      since:
        description: When the controller began to ask for O(witnesses[].ends), in seconds since the epoch by its clock.
        type: float
      asked_seconds:
        description: How long ago that was. The action plugin computes it from O(witnesses[].since).
        type: float
  witness_age_seconds:
    description: How old a witness may be.
    type: float
    default: 30
  heard_uptime:
    description:
      - The RV(half_open_at) of an earlier call, which the controller had before it computed
        O(witnesses[].asked_seconds). The action plugin calls again with it.
    type: float
  peers:
    description: Addresses of the balancers. A connection from one of them on O(port) refuses the restart.
    type: list
    elements: str
    default: []
  left_sessions:
    description: How many connections the balancers know to have outlived the drain limit.
    type: int
    default: 0
  port:
    description: The port of the service.
    type: int
    default: 0
  vip:
    description: The shared address of a pair, which must not be on this machine.
    type: str
    default: ''
  config_test:
    description: >-
      Commands (lists of words) that must succeed first, such as C([haproxy, -c, -f,
      /etc/haproxy/haproxy.cfg]).
    type: list
    elements: list
    default: []
  forbidden_machine_ids:
    description: Machine ids of the controller, the journal and Nagios.
    type: list
    elements: str
    default: []
  machine_id:
    description: Machine id of the machine that was taken out of traffic, if it is known. Another one is refused
      (V(wrong_machine)); a machine without an id is not.
    type: str
    default: ''
  health_scheme:
    description:
      - How the service is asked, on the node itself. V(http) and V(https) want a status of 2xx or 3xx, V(tcp) an
        accepted connection; V(none) asks nothing, for services that only their load balancers can judge.
      - With V(https) the certificate is not verified, because the name that is asked is an address.
    type: str
    choices: [http, https, tcp, none]
    default: http
  health_address:
    description: Address on which the service is asked, on the node itself.
    type: str
    default: 127.0.0.1
  health_port:
    description: Port on which the service is asked; 0 asks nothing.
    type: int
    default: 0
  health_path:
    description: Path that is asked.
    type: str
    default: /
  stop_timeout:
    description: Seconds after which a service that does not stop is killed.
    type: float
    default: 10
  timeout:
    description: Seconds until the service must answer.
    type: float
    default: 60
  relief:
    description:
      - What may be deleted, for a O(kind=relief). Only regular files with one name that are open in no process go, the
        oldest first, and at most 10000.
      - No symbolic link is followed on the way to a folder or below it, and no other file system is entered.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Folder to clear, with all that is below it.
        type: str
        required: true
      pattern:
        description: Shell pattern for the name of a file.
        type: str
        required: true
      older_seconds:
        description: How long ago a file must have been changed last.
        type: float
        required: true
  partitions:
    description: The full partitions, on which all paths of O(relief) must lie.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Mount point.
        type: str
        required: true
      below:
        description: Share that may be in use afterwards, as C(df) counts it; 1 is all.
        type: float
        required: true
  state_dir:
    description: The folder with the holds and epochs of this machine.
    type: path
    default: /var/lib/selfheal
attributes:
  check_mode:
    description: Evaluates every refusal and restarts nothing; of a relief, lists the files and deletes none.
    support: full
  diff_mode:
    description: Shows the process before and after; of a relief, the use of the partitions.
    support: full
notes:
  - An action plugin of the same name adds the age of the witnesses, comes back after a lost connection, and
    waits for the
    machine after a reboot.
  - After a lost connection a refusal has no RV(reason), for the call that was lost may have restarted the service.
seealso:
  - module: selfheal.cluster.lb_member
"""

EXAMPLES = r"""
- name: Restart the service that no balancer uses any more
  selfheal.cluster.node_restart:
    service: ei.service
    incident: "20261124-1"
    epoch: 1795560603
    witnesses:
      - {balancer: extlb1, out: true, at: 1795560600.5}
      - {balancer: extlb2, out: true, at: 1795560600.6}
    peers: [10.0.0.11, 10.0.0.12]
    port: 8280
    health_port: 8280
    health_path: /health
"""

RETURN = r"""
restarted:
  description: Whether the service was restarted under this incident, by this call or an earlier one.
  type: bool
  returned: always
relieved:
  description: Whether this call may have deleted files.
  type: bool
  returned: for a relief
relief:
  description:
    - What was deleted, or in check mode would be - the number of C(files), the C(bytes) of room that they took, and in
      C(removed) up to 200 of them with C(path), C(bytes) and C(changed_at); C(not_named) counts the others.
    - C(skipped) counts what matched and stayed, by reason; C(bound) is V(files) or V(time) if there were more.
    - C(earlier) has the same of calls before under this incident, whose result may have been lost with the connection.
    - C(partitions) has the use of each C(before) and C(after), and what it must be C(below).
  type: dict
  returned: for a relief, once the machine was looked at
half_open:
  description:
    - Connections on this node, as C(ADDRESS:PORT) of their other ends, that no balancer has any more. They did not
      refuse the restart.
  type: list
  elements: str
  returned: success, unless in check mode
half_open_at:
  description: Uptime of this machine, in seconds, when only connections that seem half-open were in the way. Called
    again with it as O(heard_uptime), the module knows how old the balancers' word is.
  type: float
  returned: if that is why it was refused
phases:
  description: Seconds for the preflights (C(preflight_seconds)), until systemd called the new process active
    (C(restart_seconds)) or the files were deleted (C(relief_seconds)), and until it answered (C(answer_seconds)).
  type: dict
  returned: success
before:
  description: The process before.
  type: dict
  returned: success
after:
  description: The process after.
  type: dict
  returned: success
boot_id_before:
  description: Boot id before.
  type: str
  returned: success
boot_id_after:
  description: Boot id after.
  type: str
  returned: success
machine_id:
  description: Machine id of the node.
  type: str
  returned: success
at:
  description: When the service answered, in seconds since the epoch.
  type: float
  returned: success
reason:
  description:
    - Why it was refused or failed.
    - Refused before anything was done - V(stale_epoch), V(epoch_unreadable), V(witness_stale), V(not_out_of_traffic),
      V(connections_open), V(config_invalid), V(disk_full), V(read_only_root), V(package_manager), V(own_host),
      V(wrong_machine),
      V(not_restartable), V(not_relievable), V(disk), V(locked).
    - Failed after the restart - V(start_failed), V(start_timeout), V(no_answer).
    - Failed after the relief - V(still_full), V(stale_epoch), V(no_answer).
  type: str
  returned: failure
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils import _restart_checks as checks
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import boot_id, uptime_clock
from ansible_collections.selfheal.cluster.plugins.module_utils._relief import Relief
from ansible_collections.selfheal.cluster.plugins.module_utils._restart import Restart, essence
from ansible_collections.selfheal.cluster.plugins.module_utils._restart_spec import ARGUMENTS


def perform(restart: Restart, check_mode: bool) -> dict[str, Any]:
    """The result of one call. ``restarted`` is told also when it fails, because undoing depends on it."""
    boot = boot_id()
    before = restart.show()
    result: dict[str, Any] = {"changed": False, "restarted": False, "before": essence(before), "boot_id_before": boot}
    try:
        if restart.done_before(before):
            result["restarted"] = True
            after = restart.wait_started({"InvocationID": restart.invocation_before()})
        else:
            before = restart.preflight()
            result["changed"] = True
            if check_mode:
                return {**result, "after": essence(before), "phases": restart.phases, "at": time.time()}
            mine = restart.act(before)
            result.update(restarted=True, changed=mine)
            if not mine:
                before = {"InvocationID": restart.invocation_before()}
            elif restart.params["kind"] == "reboot":
                return {**result, "rebooting": True, "phases": restart.phases, "half_open": restart.half_open}
            after = restart.wait_started(before)
        restart.wait_answer()
    except SelfhealError as exc:
        if not result["restarted"]:
            result["changed"] = False
        result.update(failed=True, msg=str(exc), reason=exc.reason, phases=restart.phases)
        return {**result, **unsure(restart)}
    result.update(after=essence(after), boot_id_after=boot, phases=restart.phases, at=time.time())
    result["half_open"] = restart.half_open
    result["diff"] = {"before": result["before"], "after": result["after"]}
    return result


def unsure(restart: Restart) -> dict[str, float]:
    """That a second call would know more."""
    return {} if restart.half_open_at is None else {"half_open_at": restart.half_open_at}


def relieve(restart: Restart, check_mode: bool) -> dict[str, Any]:
    """The result of one relief. ``relieved`` is told also when it fails, because undoing depends on it."""
    params = restart.params
    result: dict[str, Any] = {"changed": False, "restarted": False, "relieved": False, "boot_id_before": boot_id()}
    end = uptime_clock() + params["timeout"]

    def right() -> None:
        restart.holds.check_epoch(restart.resource, params["epoch"])

    relief = Relief(params["relief"], params["partitions"], end, right, restart.root)
    try:
        restart.prove_right()
        checks.disk(restart.root, full=True)
        restart.lap("preflight_seconds")
        relief.look()
        if not relief.tight():
            relief.found = []  # somebody was quicker, and nothing needs to go any more
        if check_mode:
            return {
                **result,
                "changed": bool(relief.found),
                "relief": relief.told(would=True),
                "phases": restart.phases,
            }
        restart.claim()
        result["relieved"] = True
        relief.clear()
        relief.prove()
        restart.lap("relief_seconds")
        restart.wait_answer("relieved")
    except (SelfhealError, OSError) as exc:
        reason = exc.reason if isinstance(exc, SelfhealError) else "not_relievable"
        result.update(failed=True, msg=str(exc), reason=reason, **unsure(restart))
    finally:
        if relief.before:
            result["relief"] = relief.told()
        relief.close()
        if result["relieved"]:
            earlier = restart.reliefs()
            restart.keep_reliefs([*earlier, result["relief"]] if relief.removed else earlier)
            result["relief"] = {**result["relief"], **({"earlier": earlier} if earlier else {})}
    result.update(changed=bool(relief.removed), phases=restart.phases, at=time.time(), half_open=restart.half_open)
    for when in ("before", "after"):
        result.setdefault("diff", {})[when] = {
            one["path"]: one[when] for one in result.get("relief", {}).get("partitions", ())
        }
    return result


def main() -> None:
    """Arguments in, one call, result out."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        restart = Restart(module.params)
        act = relieve if module.params["kind"] == "relief" else perform
        result = act(restart, module.check_mode)
    except SelfhealError as exc:
        module.fail_json(msg=str(exc), reason=exc.reason, restarted=False)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(machine_id=getattr(restart, "machine_id", ""), **result)


if __name__ == "__main__":
    main()
