#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hold on to the leases of a heal, or give them back with its outcome."""

from __future__ import annotations

DOCUMENTATION = r"""
module: heal_lease
short_description: Extend the leases of a heal, or give them back
version_added: 0.1.0
author: selfheal.cluster contributors (@selfheal-cluster)
description:
  - A run extends its leases at the start of each phase to the deadline of that phase, and gives them back at its end
    together with the verified outcome.
  - Before C(shift) and C(restart) it is told to stop when a person has paused heals or aborted the incident, or when
    the journal has seen a storm since.
  - It fails with the reason V(lease_lost) when the leases are not held under this epoch any more. A run that gets
    that answer must change nothing more.
  - Runs on the journal host as the owner of the journal.
options:
  incident:
    description: Id of the incident.
    type: str
    required: true
  epoch:
    description: Epoch of the heal.
    type: int
    required: true
  phase:
    description: The phase that begins.
    type: str
    choices: [confirm, shift, evidence, restart, verify, readmit, soak]
    default: soak
  state:
    description: V(extended) holds on, V(released) gives back.
    type: str
    choices: [extended, released]
    default: extended
  deadline_seconds:
    description: How long this phase may take. The lease outlives it by 30 seconds and is never made shorter.
    type: float
    default: 60
  outcome:
    description:
      - The verified outcome; needed with O(state=released).
      - After V(left_out), V(failed) and V(ambiguous) the incident stays open and the slot of the node stays taken.
    type: str
    choices: [healed, undone, failed, left_out, refused, ambiguous]
  detail:
    description: Figures and sentences to keep with the attempt.
    type: dict
  looked_at:
    description:
      - Inventory names of workloads of Kubernetes whose clients may have felt the heal. With O(state=released) the
        looks of Nagios at them are kept with O(detail), because nobody counts requests there.
    type: list
    elements: str
    default: []
  downtime:
    description:
      - Begin our own downtime of the node in Nagios, or end it with O(state=released). It carries the incident in its
        comment. A Nagios that cannot be told is reported in RV(nagios) and never fails the heal.
    type: bool
    default: false
  downtime_seconds:
    description: When our own downtime ends by itself if nobody ends it.
    type: float
    default: 900
  command_file:
    description: Nagios' command pipe.
    type: path
    default: /var/lib/nagios4/rw/nagios.cmd
  journal:
    description: Path of the journal.
    type: path
    default: /var/lib/selfheal/journal.db
attributes:
  check_mode:
    description: Says what would be answered, and writes neither to the journal nor to Nagios.
    support: full
  diff_mode:
    description: Leases are no state of a file or service.
    support: none
seealso:
  - module: selfheal.cluster.heal_plan
"""

EXAMPLES = r"""
- name: Look once more for pause, abort and storm
  selfheal.cluster.heal_lease:
    incident: "{{ selfheal_plan.incident }}"
    epoch: "{{ selfheal_plan.epoch }}"
    phase: restart
    deadline_seconds: "{{ selfheal_plan.deadlines.restart }}"

- name: Write the outcome down
  selfheal.cluster.heal_lease:
    incident: "{{ selfheal_plan.incident }}"
    epoch: "{{ selfheal_plan.epoch }}"
    state: released
    outcome: healed
    downtime: true
"""

RETURN = r"""
held:
  description: Whether the leases are held now.
  returned: success
  type: bool
stop:
  description: Why the heal must go back, or empty.
  returned: success
  type: str
  sample: pause
epoch:
  description: The epoch.
  returned: success
  type: int
deadline:
  description: When the lease runs out, in seconds since 1970 by the clock of the journal host.
  returned: when held
  type: float
looks:
  description:
    - What Nagios' own looks at O(looked_at) saw since the node was last well, by service; null where nobody can tell.
  returned: with O(state=released)
  type: dict
  sample:
    begin: 1797000000.0
    end: 1797000090.0
    services: [{node: ei, service: http, looks: 45, failed: 2, longest_seconds: 6.0}]
nagios:
  description: Whether Nagios was told about the downtime, and what went wrong if not.
  returned: when O(downtime) is true
  type: dict
  sample: {written: true, message: ''}
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_lease import SPEC, answer


def main() -> None:
    module = AnsibleModule(
        argument_spec=SPEC, supports_check_mode=True, required_if=[("state", "released", ["outcome"])]
    )
    try:
        result: dict[str, Any] = answer(module.params, time.time(), module.check_mode)
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
