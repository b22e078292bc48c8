# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin ``heal_watch``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: heal_watch
author: selfheal.cluster contributors (@selfheal-cluster)
version_added: "0.1.0"
short_description: Watch a member or a pair for a while
description:
  - Runs an info module on the target repeatedly, and judges each answer by one question.
  - With O(mode=until) it ends with the first good answer, and fails when there was none in time.
  - With O(mode=while) it lasts for the whole time, and fails as soon as O(patience) answers in a row were bad.
  - A connection that is lost in the meantime is no answer. If there was no answer at all, the host is unreachable.
options:
  ask:
    description: The info module.
    type: str
    required: true
    choices: [lb_member_info, keepalived_info, kubernetes_workload_info, kubernetes_node_info]
  args:
    description: Arguments of the info module.
    type: dict
    default: {}
  question:
    description: What has to be true of its answer.
    type: str
    required: true
    choices:
      - holds_address
      - member_serves
      - members_checked
      - no_address
      - node_ready
      - standby_proven
      - well_in_pair
      - workload_available
  about:
    description:
      - What the question is about; C(address) and C(port) of a member, or C(instance) of a pair.
      - C(members_checked) takes C(uptime), the seconds that HAProxy has to be running.
    type: dict
    default: {}
  mode:
    description: Wait until it is well, or watch whether it stays well.
    type: str
    choices: [until, while]
    default: until
  seconds:
    description: How long.
    type: float
    required: true
  since:
    description:
      - From when on O(seconds) count, in seconds since the epoch, by the controller's clock; by default from now on.
      - There is always time for O(patience) answers.
    type: float
    default: 0.0
  every:
    description: Seconds between two looks.
    type: float
    default: 1.0
  patience:
    description: How many bad answers in a row end O(mode=while).
    type: int
    default: 2
attributes:
  check_mode:
    description: Reads only, so check mode does the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
"""

EXAMPLES = r"""
- name: Watch the member for ten seconds
  selfheal.cluster.heal_watch:
    ask: lb_member_info
    args: {socket: /run/haproxy/admin.sock}
    question: member_serves
    about: {address: 10.0.0.21, port: 8280}
    mode: while
    seconds: 10
"""

RETURN = r"""
asked:
  description: How often it was asked.
  type: int
  returned: always
silent:
  description: How often there was no answer, because the connection was lost.
  type: int
  returned: always
answer:
  description: The last answer of the info module.
  type: dict
  returned: always
asked_at:
  description:
    - When the last question was asked that was answered, in seconds since the epoch.
    - The answer is at least this old; V(null) when there was none.
  type: float
  returned: always
reached_at:
  description: When the watch ended, in seconds since the epoch.
  type: float
  returned: always
reason:
  description:
    - C(not_well) when the answers were bad.
    - A failure without it proves nothing, because at the end the info module itself broke instead of answering.
  type: str
  returned: when the last answer was bad
"""
