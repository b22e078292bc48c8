# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin ``heal_target``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: heal_target
author: selfheal.cluster contributors (@selfheal-cluster)
version_added: "0.1.0"
short_description: Find the target of a heal, and whom to ask about it
description:
  - First task of the playbook C(selfheal.cluster.heal). Reads the extra variables C(selfheal_node), C(selfheal_reason)
    and C(selfheal_incident), and refuses every other one that starts with C(selfheal_).
  - A target that is given but empty, that is a group or a pattern, that is not in the inventory, or that is the
    machine of the controller, the journal or Nagios, is refused. No target means the most urgent node.
  - Renders and checks the policy of every layer. Changes nothing.
options:
  started:
    description: When the command was started, in seconds since the epoch. Default is the start of this process.
    type: float
attributes:
  check_mode:
    description: Does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
notes:
  - An action plugin that runs on the controller.
"""

EXAMPLES = r"""
- name: Find the target
  selfheal.cluster.heal_target:
  register: selfheal_heal
"""

RETURN = r"""
node:
  description: The target, or empty.
  type: str
  returned: success
journal_host:
  description: The host that keeps the journal.
  type: str
  returned: success
watched:
  description: Which hosts are asked for members (C(balancers)) and for the address (C(pairs)).
  type: dict
  returned: success
run:
  description: Host patterns of the plays that follow.
  type: dict
  returned: success
reason:
  description: In case of failure, the word for machines; else the reason that was given.
  type: str
  returned: always
"""
