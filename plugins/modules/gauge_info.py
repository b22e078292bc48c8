#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Verdicts on nodes by their gauges, out of one look at Nagios."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gauge_info
short_description: Judge nodes by gauges over the readings of Nagios
version_added: 0.1.0
description:
  - Reads all services, hosts and downtimes of Nagios with one bulk query each, side by side, and judges every node of
    the given layers by the gauges of its layer.
  - A node is V(ok), V(suspect) (between healthy and faulty), V(faulty) or V(unknown). What is missing, stale or
    unreadable is unknown; so is everything when Nagios itself cannot be believed. Neither is a failure of the module.
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
  layers:
    description: The layers to judge. Nodes of one layer are twins and are compared with each other.
    type: list
    elements: dict
    required: true
    suboptions:
      layer:
        description: Name of the layer.
        type: str
        required: true
      nodes:
        description: Names of its nodes, as Nagios calls the hosts.
        type: list
        elements: str
        required: true
      gauges:
        description: The gauges, as C(docs/gauges.md) describes them. Without any, the default set.
        type: list
        elements: dict
      reading_age_seconds:
        description: As O(reading_age_seconds), for this layer alone.
        type: float
  expected_services:
    description:
      - How many services the whole of Nagios must show at the least to be believed. Without it, one.
    type: int
  reading_age_seconds:
    description:
      - A reading older than this is unknown, in layers that have no age of their own. Two and a half times the interval
        of the checks is a good value.
    type: float
    default: 150
  since:
    description:
      - When a node was last healed, in seconds since the epoch, by node. Older readings of it do not count.
    type: dict
  journal:
    description:
      - Path of a journal on the host of the task. Its ring of readings and its ends of heals are judged with, besides
        O(history) and O(since).
      - Where its newest alerts tell of states that Nagios' data do not show yet, because they are older, the task looks
        again for up to three seconds.
      - Only root and the owner of the journal may read it; for anybody else, or where it is missing, it is as if this
        option was not given, and RV(past) says why.
    type: path
  history:
    description:
      - Earlier readings, each as in RV(verdicts), with C(node). Gauges that want several readings use them; without
        them, the hard state of Nagios and the time of its last change have to do.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Judge two layers, one of them by gauges of its own
  selfheal.cluster.gauge_info:
    url: http://monitor.example.com/nagios4/cgi-bin
    user: selfheal
    password_file: /etc/selfheal/nagios.password
    layers:
      - layer: extlb
        nodes: [extlb1, extlb2]
      - layer: ei
        nodes: [ei1, ei2, ei3]
        gauges:
          - name: memory
            service: memory
            label: mem_used
            per: max
            raise_at: 0.95
            clear_at: 0.85
            for_seconds: 30
            kind: resource
  delegate_to: monitor
  register: judged

- name: Show who is ill and why
  ansible.builtin.debug:
    msg: "{{ judged.verdicts.values() | selectattr('verdict', 'eq', 'faulty') | map(attribute='reasons') }}"
"""

RETURN = r"""
nagios:
  description:
    - Whether the data of Nagios can be believed, as M(selfheal.cluster.nagios_info) returns it.
    - They cannot, for reason V(partial), if Nagios shows nothing of two or more of the nodes. One such node is told in
      C(unseen), a sentence, which the verdicts of its layer have as well; then nothing of that layer is healed.
  returned: success
  type: dict
  sample: {fresh: true, reason: ok, message: "Nagios' data are fresh.", age_seconds: 1.0}
verdicts:
  description: One verdict per node, by its name.
  returned: success
  type: dict
  contains:
    node:
      description: The node.
      type: str
    verdict:
      description: V(ok), V(suspect), V(faulty) or V(unknown).
      type: str
    kind:
      description: What the illness is about, V(connectivity), V(storage), V(resource) or V(service); null if not ill.
      type: str
    reasons:
      description: Sentences for people, the gravest first.
      type: list
      elements: str
    readings:
      description: What the verdict rests on; C(value) is in seconds, bytes or a ratio (1 is 100 %).
      type: list
      elements: dict
    layer_load:
      description: True if all twins are high as well, so that capacity is short and nobody is ill.
      type: bool
  sample:
    ei1:
      node: ei1
      verdict: faulty
      kind: resource
      reasons: ["memory: mem_used of memory is 97 % (raised at 90 %, clear at 80 %), hard critical in Nagios."]
      readings:
        - {gauge: memory, service: memory, label: mem_used, value: 0.97, unit: ratio, state: critical, state_type: hard,
           at: 1700000000.0, age_seconds: 2.0, verdict: faulty}
      layer_load: false
hosts:
  description: The hosts of the nodes and their parents as Nagios sees them, by name.
  returned: success
  type: dict
services:
  description: All services of each node, by node.
  returned: success
  type: dict
downtimes:
  description: The downtimes of the nodes; C(ours) tells those that a heal set.
  returned: success
  type: list
  elements: dict
past:
  description: What the journal gave.
  returned: when O(journal) is given
  type: dict
  contains:
    readings:
      description: Earlier readings of what is V(suspect) or V(faulty) now, which those verdicts may rest on.
      type: list
      elements: dict
    healed:
      description: When each node was last healed, in seconds since the epoch.
      type: dict
    problem:
      description: Why nothing is known of the past; empty when it was read.
      type: str
"""

import time
from typing import Any, Callable, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_ring as ring
from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_module as common
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_seen import look, rested_on, times_of
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_told import look_again
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import NagiosClient


def argument_spec() -> dict[str, Any]:
    """The parameters; a unit test compares them with the documentation."""
    layer = {
        "layer": {"type": "str", "required": True},
        "nodes": {"type": "list", "elements": "str", "required": True},
        "gauges": {"type": "list", "elements": "dict"},
        "reading_age_seconds": {"type": "float"},
    }
    return {
        **common.argument_spec(),
        "layers": {"type": "list", "elements": "dict", "required": True, "options": layer},
        "expected_services": {"type": "int"},
        "reading_age_seconds": {"type": "float", "default": 150},
        "since": {"type": "dict"},
        "journal": {"type": "path"},
        "history": {"type": "list", "elements": "dict", "default": []},
    }


def judged(
    client: NagiosClient,
    params: dict[str, Any],
    now: Callable[[], float],
    sleep: Callable[[float], None] = time.sleep,
    interval: Optional[float] = None,
) -> dict[str, Any]:
    """The verdicts, with the past that the journal knows and what they rest on of it.

    ``interval``: in which Nagios writes its state, in seconds; None where nobody knows.
    """
    since = times_of(params["since"])
    past = ring.past(params["journal"], params["layers"], now()) if params["journal"] else ring.Past([], {})

    def seen() -> dict[str, Any]:
        return look(
            client,
            params["layers"],
            now,
            expected_services=params["expected_services"],
            reading_age_seconds=params["reading_age_seconds"],
            history=[*past.readings, *params["history"]],
            since={**past.healed, **since},
        )

    result = look_again(seen, past.alerts, time.monotonic, sleep, interval)
    if params["journal"]:
        result["past"] = rested_on(past, result["verdicts"])
    return result


def main() -> None:
    """Arguments in, one look, verdicts out."""
    module = AnsibleModule(
        argument_spec=argument_spec(),
        mutually_exclusive=common.MUTUALLY_EXCLUSIVE,
        supports_check_mode=True,
    )
    params = module.params
    try:
        interval = common.known_interval(params)
        client = common.client({**params, "status_update_interval": interval})
        result = judged(client, params, time.time, interval=interval)
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
