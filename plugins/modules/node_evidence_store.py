#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keeps evidence on the host of the journal."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_evidence_store
author: selfheal.cluster contributors (@selfheal-cluster)
version_added: "0.1.0"
short_description: Keep evidence in the folder of its incident
description:
  - Writes what M(selfheal.cluster.node_evidence) took, and what balancers, keepalived and Nagios said at
    that moment, into
    one folder per incident and heal. Folders have mode 0700, files 0600.
  - The oldest folders are removed when all evidence together is larger than O(quota).
options:
  incident:
    description: The incident.
    type: str
    required: true
  epoch:
    description: The epoch of the heal, which names the subfolder.
    type: int
    required: true
  node:
    description: The ill node.
    type: str
    required: true
  blob:
    description: >-
      What M(selfheal.cluster.node_evidence) returned as RV(selfheal.cluster.node_evidence#module:blob),
      or empty.
    type: str
    default: ''
  outside:
    description: What was seen from outside.
    type: dict
    default: {}
  note:
    description: Why there is no evidence from the node, or what was given up.
    type: str
    default: ''
  path:
    description: The folder of all evidence.
    type: path
    default: /var/lib/selfheal/evidence
  quota:
    description: Bytes of all evidence together.
    type: int
    default: 268435456
attributes:
  check_mode:
    description: Predicts that the folder would be written.
    support: full
  diff_mode:
    description: Evidence is not shown on the terminal.
    support: none
"""

EXAMPLES = r"""
- name: Keep the evidence
  selfheal.cluster.node_evidence_store:
    incident: "20261124-1"
    epoch: 1795560603
    node: ei1
    blob: "{{ node_evidence_result.blob }}"
"""

RETURN = r"""
folder:
  description: Where it is kept.
  type: str
  returned: success
files:
  description: Names of the files.
  type: list
  elements: str
  returned: success
removed:
  description: Folders of older incidents that had to go.
  type: list
  elements: str
  returned: success
reason:
  description: C(bad_evidence) or C(not_written).
  type: str
  returned: failure
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._evidence_store import store

ARGUMENTS = {
    "incident": {"type": "str", "required": True},
    "epoch": {"type": "int", "required": True},
    "node": {"type": "str", "required": True},
    "blob": {"type": "str", "default": ""},
    "outside": {"type": "dict", "default": {}},
    "note": {"type": "str", "default": ""},
    "path": {"type": "path", "default": "/var/lib/selfheal/evidence"},
    "quota": {"type": "int", "default": 268435456},
}


def main() -> None:
    """Arguments in, one call, result out."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = store(module.params, module.check_mode)
    except SelfhealError as exc:
        module.fail_json(msg=str(exc), reason=exc.reason)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
