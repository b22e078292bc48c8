#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts our hold on a Deployment or a node of Kubernetes, drains a node, and lifts the hold."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_hold
short_description: Hold a Deployment or a node of Kubernetes, and let it go
version_added: "0.1.0"
description:
  - A hold is an annotation of the object's own metadata, with incident, epoch and expiry. A Deployment's pods are not
    touched by it. A node is cordoned with it, and O(state=drained) also takes its pods away by the eviction API.
  - An epoch that is older than the highest which the object has seen is refused, and so is an object that another
    incident holds, a cordon that somebody else has set, or one that was changed in the meantime.
  - Before the first pod goes, O(state=drained) asks the cluster what speaks against it, and refuses with V(no_place) or
    V(budget) where a pod would find no other node, nobody would make it again, or two budgets count it. A budget that
    allows none at the moment is waited for.
  - A node that is not Ready for 10 seconds without a break (for half of O(drain_timeout), where that is less) is left
    with its pods. One that flaps is not.
  - O(state=free) takes away what is ours. A cordon without our mark stays.
author:
  - selfheal.cluster contributors (@selfheal-cluster)
options:
  kind:
    description: What is held.
    type: str
    choices: [Deployment, Node]
    required: true
  namespace:
    description: The namespace of the Deployment.
    type: str
    default: ''
  name:
    description: The name of the Deployment or node.
    type: str
    required: true
  state:
    description: V(held) cordons a node; V(drained) cordons and empties it.
    type: str
    choices: [held, drained, free]
    required: true
  incident:
    description: Whose hold it is.
    type: str
    required: true
  epoch:
    description: The epoch of the heal.
    type: int
    required: true
  phase:
    description: The phase of the heal.
    type: str
    required: true
  deadline_seconds:
    description: Seconds after which the hold has run out.
    type: float
    default: 600
  drain_timeout:
    description: For O(state=drained), seconds that the pods may take to go.
    type: float
    default: 60
  patience:
    description: Seconds for which an API server that gives no answer is asked again.
    type: float
    default: 25
  reason:
    description: For people.
    type: str
    default: ''
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
- name: Take a node out of traffic
  selfheal.cluster.kubernetes_hold:
    kind: Node
    name: kw1
    state: drained
    incident: i-20261129-1
    epoch: 1790000000
    phase: shift
  delegate_to: localhost
"""

RETURN = r"""
evicted:
  description: The pods that were told to go.
  returned: when O(state=drained)
  type: list
  elements: str
left:
  description: The pods that are still on the node.
  returned: when O(state=drained)
  type: list
  elements: str
refused:
  description: The last word about each pod that was not let go, most often a budget's.
  returned: when O(state=drained)
  type: dict
ready:
  description: V(false) where the node was not Ready for a while without a break, so that its pods serve nobody.
  returned: when O(state=drained)
  type: bool
kept:
  description: Its pods of DaemonSets and its static ones that were well when the drain began.
  returned: when O(state=drained)
  type: list
  elements: str
machine_id:
  description: Machine id of the node, as its kubelet has told it; empty if it has not.
  returned: when O(state=drained)
  type: str
at:
  description: When it was done, in seconds since the epoch.
  returned: success
  type: float
reason:
  description: Why nothing was done, as one word.
  returned: failure
  type: str
  sample: human_hold
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import (
    SelfhealError,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import (
    ARGUMENTS,
    Api,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_change import (
    patiently,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_drain import (
    Drainer,
    hold_workload,
)


def main() -> None:
    """Judge, change, give back."""
    module = AnsibleModule(
        argument_spec={
            "kind": {"type": "str", "choices": ["Deployment", "Node"], "required": True},
            "namespace": {"type": "str", "default": ""},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["held", "drained", "free"], "required": True},
            "incident": {"type": "str", "required": True},
            "epoch": {"type": "int", "required": True},
            "phase": {"type": "str", "required": True},
            "deadline_seconds": {"type": "float", "default": 600},
            "drain_timeout": {"type": "float", "default": 60},
            "reason": {"type": "str", "default": ""},
            "patience": {"type": "float", "default": 25},
            **ARGUMENTS,
        },
        required_if=[("kind", "Deployment", ("namespace",))],
        supports_check_mode=True,
    )
    given = module.params
    if given["kind"] == "Deployment" and (given["state"] == "drained" or not given["namespace"]):
        module.fail_json(
            msg="A Deployment needs its namespace, and is held or free, not drained.", reason="bad_arguments"
        )
    extra: dict[str, Any] = {}
    try:
        api = Api(given["kubeconfig"], given["context"], given["timeout"])
        changed = patiently(lambda: hold(api, given, module.check_mode), given["patience"])
        if given["state"] == "drained" and not module.check_mode:
            extra = Drainer(api, given["name"], given["incident"], given["epoch"]).drain(given["drain_timeout"])
            changed = changed or bool(extra["evicted"])
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason)
    module.exit_json(changed=changed, at=time.time(), **extra)


def hold(api: Api, given: dict[str, Any], check_mode: bool) -> bool:
    """Put it, or lift it; done twice it is the same."""
    if given["kind"] == "Deployment":
        return hold_workload(api, given, time.time, check_mode)
    drainer = Drainer(api, given["name"], given["incident"], given["epoch"])
    if given["state"] == "free":
        return drainer.uncordon(check_mode)
    return drainer.cordon(given["phase"], given["deadline_seconds"], given["reason"], check_mode)


if __name__ == "__main__":
    main()
