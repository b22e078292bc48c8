#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Create and initialise the journal; say a person's words to it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: heal_journal
short_description: Create the journal of heals, and say a person's words to it
version_added: 0.1.0
author: selfheal.cluster contributors (@selfheal-cluster)
description:
  - Creates the journal and initialises it. That is a person's word that heals may act; a journal that was not
    initialised stays in mode observe, whatever the layers say.
  - Also carries the other words of a person, namely pause, approval, abort, take-over, acknowledgement, and an event
    by hand. Each of them that changes something is written down with who said it; said twice, it changes nothing.
  - With O(initialised=false) a word to a journal that is not there is refused instead of making one.
  - Runs on the journal host as the user who is to own the journal. The folder must exist and belong to that user.
options:
  path:
    description: Path of the journal.
    type: path
    default: /var/lib/selfheal/journal.db
  state:
    description: V(present) creates what is missing and initialises it. A journal is never removed by this module.
    type: str
    choices: [present]
    default: present
  initialised:
    description: Whether heals may act. With V(false) a journal that is made now begins in mode observe.
    type: bool
    default: true
  policies:
    description:
      - Effective policies by layer, pinned. A heal whose policy differs from the pinned one is refused
        C(policy_changed).
    type: dict
    default: {}
  policies_whole:
    description:
      - Whether O(policies) are all that shall be pinned. With V(true) a layer that was pinned before and is not among
        them is no more, and the healer forgets it once its inventory has it no more either.
    type: bool
    default: false
  paused:
    description: Pause all new heals, or let them go on. Without it nothing changes.
    type: bool
  approve:
    description: Id of an open incident that may be healed, for a layer in mode approve.
    type: str
  abort:
    description: Id of an incident whose heal must go back if it has not restarted yet, and must not be begun again.
    type: str
  take:
    description:
      - Id of an open incident that a person takes over. The healer starts nothing more for it, and a heal that runs
        goes back as with O(abort). O(acknowledge) ends it.
    type: str
  acknowledge:
    description:
      - Id of an incident that a person has settled. It is closed, its leases are free and its attempts count no more.
    type: str
  inject:
    description: An event by hand, for the healer. It is one more hint, and decides nothing.
    type: dict
    suboptions:
      node:
        description: The node that the event is about.
        type: str
        required: true
      service:
        description: The service in Nagios; without it the event is about the host.
        type: str
      state:
        description: The state; without it V(CRITICAL) for a service and V(DOWN) for a host.
        type: str
        choices: [OK, WARNING, CRITICAL, UNKNOWN, UP, DOWN, UNREACHABLE]
      known:
        description: All nodes that there are; another one is refused.
        type: list
        elements: str
        default: []
  spool:
    description: The folder in which the healer looks for events.
    type: path
    default: /var/spool/selfheal
  by:
    description: Who says so.
    type: str
    default: a person
  reason:
    description: Why, for the people who read the journal.
    type: str
    default: ""
attributes:
  check_mode:
    description: Says whether something would change.
    support: full
  diff_mode:
    description: Shows the changes in words, since the journal is no text.
    support: full
"""

EXAMPLES = r"""
- name: Create the journal
  selfheal.cluster.heal_journal:
  become: true
  become_user: selfheal

- name: Pause all new heals
  selfheal.cluster.heal_journal:
    initialised: false
    paused: true
    by: anna@desk
    reason: the network is being rebuilt
  become: true
  become_user: selfheal

- name: Settle an incident whose end nobody knows
  selfheal.cluster.heal_journal:
    initialised: false
    acknowledge: ei1-20260101-120000-ab12
    by: anna@desk
  become: true
  become_user: selfheal
"""

RETURN = r"""
created:
  description: Whether the journal was made now.
  returned: success
  type: bool
changes:
  description: What was changed, in words.
  returned: success
  type: list
  elements: str
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import migrate
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_words import SPEC, say


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    path = module.params["path"]
    try:
        migrated = os.path.exists(path) and migrate(path, time.time(), store=not module.check_mode)
        if migrated and module.check_mode:  # what else would change cannot be read out of the old schema
            module.exit_json(changed=True, created=False, changes=["migrated"])
        created, said = say(module.params, time.time(), module.check_mode)
        changes = ["migrated", *said] if migrated else said
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason)
    shown = {"before": "", "after": "".join(text + "\n" for text in changes)}
    module.exit_json(changed=bool(changes), created=created, changes=changes, diff=shown)


if __name__ == "__main__":
    main()
