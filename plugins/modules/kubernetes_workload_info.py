#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads all that a healer must know of a workload of Kubernetes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_workload_info
short_description: Read what a healer must know of a Deployment
version_added: "0.1.0"
description:
  - One call gives replicas, roll-out, revisions, pods with the reasons why they do not serve, autoscaler, budget and
    events of a Deployment, and what is used of CPU and memory.
  - It asks a handful of lists of the namespace, and changes nothing.
  - An account that may not read the Deployment, its ReplicaSets or its pods is an error. What else cannot be read is
    named in RV(workload.missing), and nothing is guessed in its place.
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
extends_documentation_fragment:
  - selfheal.cluster.kubernetes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed when in diff mode.
    support: none
"""

EXAMPLES = r"""
- name: See how the integrator is
  selfheal.cluster.kubernetes_workload_info:
    namespace: ei
    name: ei-deployment
  delegate_to: localhost
  register: seen

- name: Say why it is not what it should be
  ansible.builtin.debug:
    msg: "{{ seen.why_not | join('; ') or 'all well' }}"
"""

RETURN = r"""
workload:
  description: The Deployment as it is now.
  returned: success
  type: dict
  contains:
    desired:
      description: Pods that are wanted; with an autoscaler, what that has set.
      type: int
      returned: success
    ready:
      description: Pods that are ready.
      type: int
      returned: success
    available:
      description: Pods that have been ready for C(minReadySeconds).
      type: int
      returned: success
    updated:
      description: Pods of the current revision.
      type: int
      returned: success
    rollout:
      description:
        - State of the roll-out (C(complete), C(progressing), C(failed), C(paused)), its reason, message and revision.
      type: dict
      returned: success
      sample:
        state: failed
        reason: ProgressDeadlineExceeded
        message: ReplicaSet "ei-deployment-6d4cf56db6" has timed out progressing.
        revision: 3
        deadline_seconds: 60
    revisions:
      description: The ReplicaSets, the youngest first; C(was_available) says whether one was ever seen available.
      type: list
      elements: dict
      returned: success
    rollback_to:
      description: The last revision before the current one that was available; V(null) where none is known.
      type: dict
      returned: success
    pods:
      description:
        - The pods, with node, state of each container, restarts, and C(trouble), the reason why one does not serve.
      type: list
      elements: dict
      returned: success
    restarts:
      description: Restarts of all containers of all pods that are there.
      type: int
      returned: success
    restart_reasons:
      description: How many of them had which reason.
      type: dict
      returned: success
      sample:
        OOMKilled: 2
    autoscaler:
      description: Its least, most, current and desired replicas, its metrics, and since when it is at its maximum.
      type: dict
      returned: success
    budgets:
      description: The PodDisruptionBudgets that select its pods, with the number of pods that may be taken now.
      type: list
      elements: dict
      returned: success
    events:
      description: The last events about it, its ReplicaSets and its pods, the oldest first.
      type: list
      elements: dict
      returned: success
    missing:
      description: What could not be read, each with its reason.
      type: list
      elements: str
      returned: success
why_not:
  description: Why the workload is not what it should be, one sentence each; empty when nothing speaks against it.
  returned: success
  type: list
  elements: str
  sample:
    - "pod ei-deployment-6d4cf56db6-x7k2p: ImagePullBackOff: container integrator: Back-off pulling image ..."
reason:
  description: Why nothing can be said, as one word.
  returned: failure
  type: str
  sample: not_authorized
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import (
    SelfhealError,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import (
    ARGUMENTS,
    Api,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_ask import (
    workload,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_workload import (
    why_not,
)


def main() -> None:
    """Read, and give back."""
    module = AnsibleModule(
        argument_spec={
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            **ARGUMENTS,
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        api = Api(given["kubeconfig"], given["context"], given["timeout"])
        seen = workload(api, given["namespace"], given["name"])
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason)
    module.exit_json(changed=False, workload=seen, why_not=why_not(seen))


if __name__ == "__main__":
    main()
