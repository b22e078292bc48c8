#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Services and hosts of a Nagios as data, with a verdict whether to believe them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nagios_info
short_description: Read services and hosts of Nagios, and whether they can be believed
version_added: 0.1.0
description:
  - Reads the state of services, hosts and downtimes out of the JSON CGIs of Nagios Core 4, with one bulk query each.
  - Says in RV(nagios) whether the data are fresh and whole. A Nagios that is stopped, hangs, shows this user nothing
    or gives half an answer is not a failure of the module, unless O(fail_on_stale=true).
author:
  - selfheal.cluster contributors (@selfheal-cluster)
extends_documentation_fragment:
  - selfheal.cluster.nagios
attributes:
  check_mode:
    description: Only reads, so that check mode makes no difference.
    support: full
  diff_mode:
    description: Changes nothing, so that there is no difference to show.
    support: N/A
options:
  gather:
    description: What to read.
    type: list
    elements: str
    choices: [services, hosts, downtimes]
    default: [services, hosts]
  host:
    description: Only this host, by its exact name in Nagios.
    type: str
  hostgroup:
    description: Only the hosts of this hostgroup.
    type: str
  service:
    description: Only services with exactly this description.
    type: str
  expected_services:
    description:
      - How many services the answer must have at the least to be believed. Without it, one.
      - Nagios leaves out, without a word, what a user may not see, and now and then everything during a reload.
    type: int
  fail_on_stale:
    description: Fail if the data cannot be believed, instead of saying so in RV(nagios).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Read everything
  selfheal.cluster.nagios_info:
    url: http://monitor.example.com/nagios4/cgi-bin
    user: selfheal
    password_file: /etc/selfheal/nagios.password
  register: seen

- name: Show the services that are critical, if that can be believed
  ansible.builtin.debug:
    msg: "{{ seen.services | selectattr('status', 'eq', 'critical') | map(attribute='service') }}"
  when: seen.nagios.fresh

- name: Stop here unless Nagios is alive and shows the ten services of one host
  selfheal.cluster.nagios_info:
    url: https://monitor.example.com/nagios4/cgi-bin
    ca_path: /etc/ssl/monitor-ca.pem
    user: selfheal
    password: "{{ vault_nagios_password }}"
    gather: [services]
    host: ei1
    expected_services: 10
    fail_on_stale: true
"""

RETURN = r"""
nagios:
  description: Whether the data can be believed.
  returned: success
  type: dict
  contains:
    fresh:
      description: True only if everything that was asked for came whole and up to date.
      type: bool
    reason:
      description: One of V(ok), V(stale), V(empty), V(no_services), V(unauthorized), V(invalid), V(unreachable),
        V(not_running).
      type: str
    message:
      description: What is wrong and what to do about it.
      type: str
    age_seconds:
      description: Age of the data by the clock of Nagios.
      type: float
    status_update_interval:
      description: How often Nagios is taken to write its status.
      type: float
    queried_at:
      description: When Nagios answered, by its clock, in seconds since the epoch.
      type: float
    expected:
      description: How many entries there had to be.
      type: int
    seen:
      description: How many there were.
      type: int
  sample: {fresh: false, reason: stale, message: "Nagios' data are 71 s old", age_seconds: 71.0}
services:
  description: One entry per service.
  returned: when O(gather) has V(services)
  type: list
  elements: dict
  sample:
    - host: ei1
      service: memory
      status: critical
      state_type: hard
      attempt: 2
      max_attempts: 2
      last_check: 1700000000.0
      last_state_change: 1699999990.0
      last_hard_state_change: 1700000000.0
      execution_time: 0.2
      next_check: 1700000010.0
      output: "CRITICAL: 4.1% (10 MB) available"
      long_output: ""
      perf_data: mem_available=10MB
      checked: true
      unreadable: false
      acknowledged: false
      flapping: false
      downtime_depth: 0
      handler_enabled: true
      checks_enabled: true
hosts:
  description: One entry per host. Times are seconds since the epoch, null for never.
  returned: when O(gather) has V(hosts)
  type: list
  elements: dict
  sample:
    - host: ei1
      status: up
      state_type: hard
      last_check: 1700000000.0
      acknowledged: false
      flapping: false
      downtime_depth: 0
      handler_enabled: true
      parents: [extlb1, extlb2]
downtimes:
  description: One entry per downtime; C(ours) tells those that a heal set.
  returned: when O(gather) has V(downtimes)
  type: list
  elements: dict
  sample:
    - {id: 3, host: ei1, service: null, author: selfheal, comment: "selfheal:ei1-7", ours: true, in_effect: true,
       start: 1700000000.0, end: 1700000600.0}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_module as common
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import NagiosClient, Snapshot


def argument_spec() -> dict[str, Any]:
    """The parameters; a unit test compares them with the documentation."""
    kinds = ["services", "hosts", "downtimes"]
    return {
        **common.argument_spec(),
        "gather": {"type": "list", "elements": "str", "choices": kinds, "default": ["services", "hosts"]},
        "host": {"type": "str"},
        "hostgroup": {"type": "str"},
        "service": {"type": "str"},
        "expected_services": {"type": "int"},
        "fail_on_stale": {"type": "bool", "default": False},
    }


def gather(client: NagiosClient, params: dict[str, Any]) -> dict[str, Any]:
    """Everything that was asked for, and one verdict over all of it."""
    host, hostgroup = params["host"], params["hostgroup"]
    snapshots: dict[str, Snapshot] = {}
    if "services" in params["gather"]:
        snapshots["services"] = client.services(host, hostgroup, params["service"], params["expected_services"])
    if "hosts" in params["gather"]:
        snapshots["hosts"] = client.hosts(host, hostgroup)
    if "downtimes" in params["gather"]:
        snapshots["downtimes"] = client.downtimes()
    result: dict[str, Any] = {kind: snapshot.items for kind, snapshot in snapshots.items()}
    result["nagios"] = common.worst(*snapshots.values())
    return result


def main() -> None:
    """Arguments in, one call, result out."""
    module = AnsibleModule(
        argument_spec=argument_spec(),
        mutually_exclusive=common.MUTUALLY_EXCLUSIVE,
        supports_check_mode=True,
    )
    if not module.params["gather"]:
        module.fail_json(
            msg="gather is empty: name at least one of services, hosts, downtimes.", reason="invalid_value"
        )
    try:
        result = gather(common.client(module.params), module.params)
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason)
    if module.params["fail_on_stale"] and not result["nagios"]["fresh"]:
        module.fail_json(msg=result["nagios"]["message"], reason=result["nagios"]["reason"], **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
