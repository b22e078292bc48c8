#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes evidence on an ill node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_evidence
author: selfheal.cluster contributors (@selfheal-cluster)
version_added: "0.1.0"
short_description: Take evidence on an ill node before its restart destroys it
description:
  - Reads processes, memory, disk, sockets, the journal of the last minutes, kernel messages, the service's
    own log, failed
    units, and what HAProxy and keepalived say, where they are.
  - Cuts out what looks like a secret, on the node itself. Bounded in time and size; what could not be had in
    time is named
    in RV(missing). Changes nothing and does not fail because something could not be read.
options:
  service:
    description: The unit whose log is wanted.
    type: str
    required: true
  seconds:
    description: After this time the rest is given up.
    type: float
    default: 5
  minutes:
    description: How far back the journal is read.
    type: int
    default: 10
  limit:
    description: Characters kept of each text; the middle of a longer one is left out.
    type: int
    default: 65536
  socket:
    description: HAProxy's runtime socket. Where there is none, nothing is asked.
    type: path
    default: /run/haproxy/admin.sock
attributes:
  check_mode:
    description: Reads only, so check mode does the same.
    support: full
  diff_mode:
    description: Changes nothing, so there is nothing to show.
    support: none
seealso:
  - module: selfheal.cluster.node_evidence_store
"""

EXAMPLES = r"""
- name: Take evidence
  selfheal.cluster.node_evidence:
    service: ei.service
    seconds: 5
"""

RETURN = r"""
blob:
  description: All texts, packed for M(selfheal.cluster.node_evidence_store).
  type: str
  returned: success
taken:
  description: Names of the texts.
  type: list
  elements: str
  returned: success
missing:
  description: Names of what was given up.
  type: list
  elements: str
  returned: success
seconds:
  description: How long it took.
  type: float
  returned: success
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._evidence import pack, sources
from ansible_collections.selfheal.cluster.plugins.module_utils._evidence_collect import collect

ARGUMENTS = {
    "service": {"type": "str", "required": True},
    "seconds": {"type": "float", "default": 5},
    "minutes": {"type": "int", "default": 10},
    "limit": {"type": "int", "default": 65536},
    "socket": {"type": "path", "default": "/run/haproxy/admin.sock"},
}


def main() -> None:
    """Arguments in, one call, result out."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    started = time.monotonic()
    wanted = sources(module.params["service"], module.params["minutes"], module.params["socket"])
    texts, missing = collect(wanted, module.params["seconds"], module.params["limit"])
    module.exit_json(
        changed=False,
        blob=pack(texts),
        taken=sorted(texts),
        missing=missing,
        seconds=round(time.monotonic() - started, 3),
    )


if __name__ == "__main__":
    main()
