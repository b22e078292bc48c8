#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Takes evidence of a workload before its pods are gone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_evidence
short_description: Take evidence of a Deployment before its pods are gone
version_added: "0.1.0"
description:
  - Reads the logs of its pods, also of the container that ended before, its events and its objects, the most telling
    first, and gives up what does not come in time.
  - Values that look like secrets are cut out. Nothing is changed, and nothing is written on any machine.
author:
  - selfheal.cluster contributors (@selfheal-cluster)
options:
  namespace:
    description: The namespace of the Deployment.
    type: str
    required: true
  name:
    description: The name of the Deployment.
    type: str
    required: true
  seconds:
    description: Seconds after which the rest is given up.
    type: float
    default: 10
  limit:
    description: Characters of each file; the middle of a longer one is left out.
    type: int
    default: 60000
extends_documentation_fragment:
  - selfheal.cluster.kubernetes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed when in diff mode.
    support: none
seealso:
  - module: selfheal.cluster.node_evidence_store
"""

EXAMPLES = r"""
- name: Keep what its pods have said
  selfheal.cluster.kubernetes_evidence:
    namespace: ei
    name: ei-deployment
  delegate_to: localhost
  register: evidence
"""

RETURN = r"""
blob:
  description: The files, packed, as M(selfheal.cluster.node_evidence_store) takes them.
  returned: success
  type: str
taken:
  description: Names of the files.
  returned: success
  type: list
  elements: str
  sample: [events, log-ei-deployment-6d4cf56db6-x7k2p-integrator-previous]
missing:
  description: What was given up, each with its reason.
  returned: success
  type: list
  elements: str
seconds:
  description: How long it took.
  returned: success
  type: float
reason:
  description: Why nothing could be taken, as one word.
  returned: failure
  type: str
  sample: not_authorized
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import (
    SelfhealError,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._evidence import pack
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import (
    ARGUMENTS,
    Api,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_ask import (
    workload,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_evidence import (
    take,
)


def main() -> None:
    """Look, take, give back."""
    module = AnsibleModule(
        argument_spec={
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "seconds": {"type": "float", "default": 10},
            "limit": {"type": "int", "default": 60000},
            **ARGUMENTS,
        },
        supports_check_mode=True,
    )
    given, started = module.params, time.monotonic()
    try:
        api = Api(given["kubeconfig"], given["context"], given["timeout"])
        view = workload(api, given["namespace"], given["name"])
        texts, missing = take(api, view, given["seconds"], given["limit"], time.monotonic, time.sleep)
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason)
    module.exit_json(
        changed=False,
        blob=pack(texts),
        taken=sorted(texts),
        missing=missing,
        seconds=round(time.monotonic() - started, 3),
    )


if __name__ == "__main__":
    main()
