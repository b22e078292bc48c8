#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask Nagios whether a healed node is well, while it is watched in rotation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: heal_look
short_description: Ask Nagios whether the illness of a healed node is gone
version_added: 0.1.0
author: selfheal.cluster contributors (@selfheal-cluster)
description:
  - Has Nagios run the checks that made the node ill, at once, and judges their gauges on what they bring, until it is
    plain or the time is over. What was read before counts for nothing.
  - Only two bad readings say that it is still ill. A Nagios that cannot be believed, or shows no new reading in time,
    says nothing and is no failure of the module.
  - Runs on the host of Nagios' command pipe. Who may not write into it waits for the next regular check.
extends_documentation_fragment:
  - selfheal.cluster.nagios
attributes:
  check_mode:
    description: Looks, but asks Nagios for no checks.
    support: full
  diff_mode:
    description: Changes no state of a file or service.
    support: none
options:
  node:
    description: The healed node, as Nagios calls the host.
    type: str
    required: true
  readings:
    description: What made it ill.
    type: list
    elements: dict
    required: true
    suboptions:
      gauge:
        description: Name of a gauge of the layer.
        type: str
        required: true
      service:
        description: The service of Nagios that gave the reading.
        type: str
        required: true
  gauges:
    description: The gauges of its layer, as C(docs/gauges.md) describes them. Without any, the default set.
    type: list
    elements: dict
  reading_age_seconds:
    description: A reading older than this is unknown.
    type: float
    default: 150
  seconds:
    description: How long to look. A question that has been asked is waited for.
    type: float
    required: true
  command_file:
    description: Nagios' command pipe.
    type: path
    default: /var/lib/nagios4/rw/nagios.cmd
seealso:
  - module: selfheal.cluster.gauge_info
"""

EXAMPLES = r"""
- name: Look whether the illness is gone
  selfheal.cluster.heal_look:
    url: http://monitor.example.com/nagios4/cgi-bin
    user: selfheal
    password_file: /etc/selfheal/nagios.password
    node: ei1
    readings:
      - {gauge: memory, service: memory}
    seconds: 10
  delegate_to: monitor
  register: looked
"""

RETURN = r"""
verdict:
  description: The last verdict, V(ok), V(suspect), V(faulty) or V(unknown).
  returned: success
  type: str
  sample: ok
reasons:
  description: Sentences for people, the gravest first.
  returned: success
  type: list
  elements: str
still_ill:
  description: Whether two bad readings since the heal say so.
  returned: success
  type: bool
looks:
  description: How often Nagios was asked.
  returned: success
  type: int
problem:
  description: Why Nagios could not be told to check, or empty. It checks in its own time then.
  returned: success
  type: str
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_commands as commands
from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_module as common
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_look import SPEC, look_again


def main() -> None:
    """Arguments in, some looks, one word out."""
    module = AnsibleModule(argument_spec=SPEC, mutually_exclusive=common.MUTUALLY_EXCLUSIVE, supports_check_mode=True)
    params: dict[str, Any] = module.params

    def tell(lines: list[str]) -> None:
        if not module.check_mode:
            commands.write(params["command_file"], lines)

    try:
        client = common.client(params)
        result = look_again(params, lambda: client.services(host=params["node"]), tell, time.monotonic, time.sleep)
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
