# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin ``heal_step``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: heal_step
author: selfheal.cluster contributors (@selfheal-cluster)
version_added: "0.1.0"
short_description: Decide who acts next in a heal
description:
  - Runs on localhost between the plays of C(selfheal.cluster.heal). Takes the state that is registered as
    C(selfheal_heal), judges what the hosts of the last play answered, and returns the next state.
  - A play that had no hosts leaves the state as it is. Undoing is keyed on what was recorded as done.
  - Writes the state into the file named by the environment variable C(SELFHEAL_RESULT_FILE), for programs that follow
    a heal.
options:
  step:
    description: The plays that have just ended, in their order.
    type: list
    elements: str
    required: true
    choices: [plan, shift, drain, restart, verify, look, pay, readmit, soak, again, undo, release]
attributes:
  check_mode:
    description: Does the same in check mode; a heal in check mode ends after the plan.
    support: full
  diff_mode:
    description: Changes nothing on any system, so there is nothing to show.
    support: none
notes:
  - An action plugin that runs on the controller.
"""

EXAMPLES = r"""
- name: Judge the restart
  selfheal.cluster.heal_step:
    step: restart
  register: selfheal_heal
"""

RETURN = r"""
msg:
  description: Why the command ends with a failure.
  type: str
  returned: failure
status:
  description: C(planning), C(checked), C(acting), or the outcome.
  type: str
  returned: success
outcome:
  description: C(healed), C(undone), C(failed), C(left_out), C(refused), or empty while the heal is under way.
  type: str
  returned: success
run:
  description: Host patterns of the plays that follow.
  type: dict
  returned: success
phases:
  description: Phases that ended, with their times.
  type: list
  elements: dict
  returned: success
felt:
  description:
    - What clients felt up to now by the balancers' counters; null where no balancer counts for the layer.
    - C(total), C(backends) and C(node) are differences of HAProxy's counters since the plan was made, summed over
      C(balancers), with C(begin) and C(end) and the C(phases) between; C(gaps) are the balancers that are not counted
      or not to the end, with the reason.
  type: dict
  returned: success
problems:
  description: What a human has to know.
  type: list
  elements: str
  returned: success
"""
