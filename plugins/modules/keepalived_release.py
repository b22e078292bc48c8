#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes off this machine an address that a dead keepalived left behind."""

from __future__ import annotations

DOCUMENTATION = r"""
module: keepalived_release
short_description: Take off an address that a dead keepalived left behind
version_added: "0.1.0"
description:
  - When all processes of keepalived are killed at once, its virtual address stays on the interface. The other node of
    the pair takes it too, and both answer for it.
  - Removes the address from this machine, after two proofs in the same operation. keepalived does not run here - no
    process of it, and systemd does not run its unit. And another machine answers for the address on the same wire.
  - Without the second proof the address stays, because it may be the only one that serves.
  - Afterwards everybody on the wire is told where the address is, for neighbours that still ask for it here.
  - It places no hold and does not start keepalived.
author:
  - selfheal.cluster contributors (@selfheal-cluster)
options:
  instance:
    description: The VRRP instance.
    type: str
    required: true
  addresses:
    description: Its virtual addresses, without a prefix length. Those that are not here are passed over.
    type: list
    elements: str
    required: true
  epoch:
    description: The epoch of the heal. An epoch older than the highest seen here is refused.
    type: int
    required: true
  timeout:
    description: Seconds within which another machine must answer for each address.
    type: float
    default: 1
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
    support: none
notes:
  - Needs root, for raw frames and to change addresses.
  - IPv4 on Ethernet only. With an IPv6 address, or with C(use_vmac), the second proof is not possible, and it refuses.
seealso:
  - module: selfheal.cluster.keepalived_info
  - module: selfheal.cluster.keepalived_hold
"""

EXAMPLES = r"""
- name: Take off what a killed keepalived left behind
  selfheal.cluster.keepalived_release:
    instance: VI_ext
    addresses: [10.0.0.100]
    epoch: 1795560603
"""

RETURN = r"""
released:
  description: The addresses that were here, each with its interface and the machine that answers for it.
  type: list
  elements: dict
  returned: success
  sample:
    - address: 10.0.0.100
      interface: eth0
      taken_over_by: 02:00:00:00:00:12
at:
  description: When they were off, in seconds since the epoch.
  type: float
  returned: success
reason:
  description:
    - Why it was refused or failed.
    - Refused before anything was done - V(stale_epoch), V(epoch_unreadable), V(still_running), V(not_taken_over),
      V(unknown_addresses), V(locked).
    - Failed afterwards - V(not_released).
  type: str
  returned: failure
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Holds
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived_release import Release, Wish

ARGUMENTS = {
    "instance": {"type": "str", "required": True},
    "addresses": {"type": "list", "elements": "str", "required": True},
    "epoch": {"type": "int", "required": True},
    "timeout": {"type": "float", "default": 1},
    "state_dir": {"type": "path", "default": "/var/lib/selfheal"},
}


def main() -> None:
    """Arguments in, one call, result out."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    asked = {name: module.params[name] for name in ("instance", "epoch", "timeout")}
    release = Release(Holds(module.params["state_dir"]), Wish(addresses=tuple(module.params["addresses"]), **asked))
    try:
        result = release.result(release.check(), time.time()) if module.check_mode else release.apply()
    except SelfhealError as exc:
        module.fail_json(msg=str(exc), reason=exc.reason)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
