#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read the journal: incidents, attempts, phases, leases, decisions and their replay."""

from __future__ import annotations

DOCUMENTATION = r"""
module: heal_info
short_description: Read the journal of heals
version_added: 0.1.0
author: selfheal.cluster contributors (@selfheal-cluster)
description:
  - Gives incidents with their attempts and phases, leases, decisions, and whether heals are paused.
  - Can replay decisions, that is, plan again on the stored snapshot and say whether the same comes out.
  - Runs on the journal host as the owner of the journal.
options:
  journal:
    description: Path of the journal.
    type: path
    default: /var/lib/selfheal/journal.db
  incident:
    description:
      - Give everything about this incident only, with what its decisions rested on, its alerts, its runs, and the list
        of the evidence in the folder C(evidence) beside the journal.
    type: str
  limit:
    description: How many incidents and decisions at the most, the newest first; open incidents come before all.
    type: int
    default: 50
  bodies:
    description: Give each decision with the snapshot, the policy, the history and the plan that it consists of.
    type: bool
    default: false
  replay:
    description: Plan again on what each decision rested on.
    type: bool
    default: false
attributes:
  check_mode:
    description: Reads only.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
"""

EXAMPLES = r"""
- name: What is open
  selfheal.cluster.heal_info:
  become: true
  become_user: selfheal
  register: journal

- name: Replay the last hundred decisions
  selfheal.cluster.heal_info:
    replay: true
    limit: 100
  become: true
  become_user: selfheal
"""

RETURN = r"""
incidents:
  description:
    - Incidents, open ones first, then the newest first.
    - Each with what its newest decision C(would) have done if not for the mode of its layer, or why not, in one line;
      empty when that decision admitted a heal, or when there is none.
  returned: success
  type: list
  elements: dict
attempts:
  description: Attempts of these incidents.
  returned: success
  type: list
  elements: dict
phases:
  description: Phases of these attempts, with their length.
  returned: success
  type: list
  elements: dict
decisions:
  description: Decisions, the newest first; refusals as well.
  returned: success
  type: list
  elements: dict
running:
  description:
    - Heals that run at this moment, the oldest first. Each with its C(unit) (none for a heal by hand), C(phase),
      C(phase_seconds), the C(phases) that ended with their seconds, and what it is C(doing).
    - Read from the folder C(runs) beside the journal as far as the heal has one, else from the journal.
  returned: success
  type: list
  elements: dict
leases:
  description: Leases.
  returned: success
  type: list
  elements: dict
paused:
  description: Whether a person has paused new heals.
  returned: success
  type: bool
pause:
  description: Since when heals are paused, by whom and why.
  returned: success
  type: dict
aborts:
  description: Incidents that a person has aborted.
  returned: success
  type: list
  elements: str
taken:
  description: Incidents that a person has taken over.
  returned: success
  type: list
  elements: str
words:
  description: What people said, the newest first, with time, name and reason.
  returned: success
  type: list
  elements: dict
alerts:
  description: Alerts of this incident.
  returned: when O(incident) is given and the journal has them
  type: list
  elements: dict
runs:
  description: Units that the healer started for this incident.
  returned: when O(incident) is given and the journal has them
  type: list
  elements: dict
calls:
  description: When a person was called for this incident, and why.
  returned: when O(incident) is given and the journal has them
  type: list
  elements: dict
evidence:
  description: Files that were kept of this incident, with folder and size.
  returned: when O(incident) is given
  type: list
  elements: dict
fresh_journal:
  description: Whether the journal has not been initialised; nothing is healed then.
  returned: success
  type: bool
last_epoch:
  description: The last epoch that was issued.
  returned: success
  type: int
replays:
  description: For each decision whether planning again gives the same, and in which keys it differs.
  returned: when O(replay) is true
  type: list
  elements: dict
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_read import opened, overview, replay

SPEC: dict[str, Any] = {
    "journal": {"type": "path", "default": "/var/lib/selfheal/journal.db"},
    "incident": {"type": "str"},
    "limit": {"type": "int", "default": 50},
    "bodies": {"type": "bool", "default": False},
    "replay": {"type": "bool", "default": False},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    params: dict[str, Any] = module.params
    try:
        with opened(params["journal"]) as journal:
            result = overview(journal, time.time(), params["incident"], params["limit"], params["bodies"])
            if params["replay"]:
                result["replays"] = replay(journal, params["incident"], params["limit"])
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
