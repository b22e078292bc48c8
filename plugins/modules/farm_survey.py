#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: farm_survey
short_description: Say how a heal would see the farm, and what is missing for one
version_added: "0.1.0"
description:
  - With O(stage=scope) it says whom to ask what, out of the inventory alone.
  - With O(stage=report) it reads what the plays before it registered on the hosts, asks the planner about every
    node, and returns the picture of the farm as data and as a block of text.
  - With O(stage=status) and O(stage=journal) it does the same for less.
  - It changes nothing, connects to nothing and survives whatever could not be read.
  - Writes its result into the file named by the environment variable E(SELFHEAL_RESULT_FILE), for programs.
author:
  - selfheal.cluster contributors (@selfheal-cluster)
options:
  stage:
    description:
      - V(scope) before the plays that ask.
      - After them, V(report) is the whole farm, V(status) what is going on, V(journal) what the journal holds.
    type: str
    choices: [scope, report, status, journal]
    default: report
  show:
    description: Whether to print the block of text.
    type: bool
    default: true
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed when in diff mode.
    support: none
"""

EXAMPLES = r"""
- name: Find whom to ask
  selfheal.cluster.farm_survey:
    stage: scope
  register: selfheal_run_scope

- name: Say what the answers mean
  selfheal.cluster.farm_survey:
    stage: report
"""

RETURN = r"""
scope:
  description: Layers, problems of the policy, whom to ask what, and host patterns for the plays that ask.
  returned: with O(stage=scope)
  type: dict
survey:
  description: The picture, with C(layers), C(nodes), C(nagios), C(journal), C(guard), C(missing), C(counts).
  returned: with O(stage=report)
  type: dict
status:
  description: Open incidents, leases and holds, and the machines that were not seen.
  returned: with O(stage=status)
  type: dict
journal:
  description: What the journal holds, and whether there is one.
  returned: with O(stage=journal)
  type: dict
text:
  description: The same as a block of text.
  returned: with every stage but V(scope)
  type: str
"""
