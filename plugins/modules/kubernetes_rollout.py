#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restarts the roll-out of a Deployment, puts a revision of it back, or takes stuck pods of it away."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_rollout
short_description: Restart the roll-out of a Deployment, put a revision back, or take stuck pods away
version_added: "0.1.0"
description:
  - With O(act=restart) and O(act=undo) it changes the pod template of a Deployment, and nothing else of it. Kubernetes
    then replaces its pods by the rules of the Deployment's own strategy.
  - With O(act=evict) pods go by the eviction API, which asks every budget. A budget that refuses is a refusal, and no
    pod is deleted past it.
  - The change names the version of the Deployment that was judged. Where somebody has changed it meanwhile, it is
    refused with RV(reason=conflict).
  - Returns at once; M(selfheal.cluster.kubernetes_workload_info) tells how the roll-out goes on.
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
  act:
    description:
      - V(restart) replaces all pods by new ones of the same revision.
      - V(undo) puts a revision back.
      - V(evict) takes O(pods) away; each gets another one in its place.
      - V(proven) marks the current revision as one that was seen available, for a way back to it; it is refused while
        the roll-out is not complete.
    type: str
    choices: [restart, undo, evict, proven]
    required: true
  to_revision:
    description: For O(act=undo), the revision; 0 takes the last one before the current that was seen available.
    type: int
    default: 0
  judged_revision:
    description:
      - The revision that this act was decided on. Where the Deployment is at another one by now, has been changed in
        this very moment, or is scaled to no pod at all, it is refused.
      - 0 asks for none of it. A roll-out that is paused is somebody's in any case, and refused.
    type: int
    default: 0
  pods:
    description:
      - For O(act=evict), names of pods of this Deployment. One that is gone already is no error, and one that serves by
        now is left alone.
    type: list
    elements: str
    default: []
  since_epoch:
    description:
      - A restart that this incident has given under this epoch or a younger one is not given again, whoever was killed
        in between.
      - 0 takes O(epoch).
    type: int
    default: 0
  incident:
    description: The incident on whose behalf this is done; empty for a human, or a roll-out.
    type: str
    default: ''
  epoch:
    description:
      - The epoch of the heal. One that is older than the highest that this Deployment has seen is refused, and so is a
        Deployment that another incident holds.
      - 0 asks for neither.
    type: int
    default: 0
extends_documentation_fragment:
  - selfheal.cluster.kubernetes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed when in diff mode.
    support: full
"""

EXAMPLES = r"""
- name: Put back what was available before
  selfheal.cluster.kubernetes_rollout:
    namespace: ei
    name: ei-deployment
    act: undo
  delegate_to: localhost
"""

RETURN = r"""
evicted:
  description: The pods that were told to go.
  returned: always
  type: list
  elements: str
restarted:
  description: Whether something was done by this call or, for the same incident, by one before it.
  returned: success
  type: bool
revision:
  description: The revision that was put back, or the current one with O(act=restart).
  returned: success
  type: int
  sample: 2
touched:
  description: Whether a change was sent whose answer was lost, so that nobody knows whether it was made.
  returned: failure
  type: bool
reason:
  description: Why nothing was done, or not everything, as one word.
  returned: failure
  type: str
  sample: no_revision
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import (
    SelfhealError,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import (
    ARGUMENTS,
    Api,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_rollout import (
    Rollout,
)


def main() -> None:
    """Judge, change, give back."""
    module = AnsibleModule(
        argument_spec={
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "act": {"type": "str", "choices": ["restart", "undo", "evict", "proven"], "required": True},
            "to_revision": {"type": "int", "default": 0},
            "judged_revision": {"type": "int", "default": 0},
            "pods": {"type": "list", "elements": "str", "default": []},
            "incident": {"type": "str", "default": ""},
            "epoch": {"type": "int", "default": 0},
            "since_epoch": {"type": "int", "default": 0},
            **ARGUMENTS,
        },
        supports_check_mode=True,
    )
    given = module.params
    rollout = None
    try:
        rollout = Rollout(
            Api(given["kubeconfig"], given["context"], given["timeout"]), given, time.time(), module.check_mode
        )
        result = rollout.run()
    except SelfhealError as exc:
        told = {"touched": rollout.touched, "evicted": rollout.evicted} if rollout else {}
        module.fail_json(msg=exc.message, reason=exc.reason, **told)
    module.exit_json(at=time.time(), **result)


if __name__ == "__main__":
    main()
