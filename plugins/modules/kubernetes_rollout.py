#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Restarts the roll-out of a Deployment, or puts a revision of it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_rollout
short_description: Restart the roll-out of a Deployment, or put a revision back
version_added: "0.2.0"
description:
  - Changes the pod template of a Deployment, and nothing else of it. Kubernetes then replaces its pods by the rules of
    the Deployment's own strategy.
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
    type: str
    choices: [restart, undo]
    required: true
  to_revision:
    description: For O(act=undo), the revision; 0 takes the last one before the current that was seen available.
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
revision:
  description: The revision that was put back, or the current one with O(act=restart).
  returned: success
  type: int
  sample: 2
reason:
  description: Why nothing was done, as one word.
  returned: failure
  type: str
  sample: no_revision
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
    selector_text,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_hold import (
    EPOCH,
    JSON_PATCH,
    guarded,
    note_changes,
    refuse,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_rollout import (
    chosen,
    may_restart,
    restart_template,
    undo_template,
)


def main() -> None:
    """Judge, change, give back."""
    module = AnsibleModule(
        argument_spec={
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "act": {"type": "str", "choices": ["restart", "undo"], "required": True},
            "to_revision": {"type": "int", "default": 0},
            "incident": {"type": "str", "default": ""},
            "epoch": {"type": "int", "default": 0},
            **ARGUMENTS,
        },
        supports_check_mode=True,
    )
    given, now = module.params, time.time()
    apps = f"/apis/apps/v1/namespaces/{given['namespace']}"
    path = f"{apps}/deployments/{given['name']}"
    try:
        api = Api(given["kubeconfig"], given["context"], given["timeout"])
        before = api.get(path)
        if given["epoch"]:
            refuse(f"Deployment {given['name']}", before, given["incident"], given["epoch"], now)
        if given["act"] == "restart":
            may_restart(before)
            number, template = current_revision(before), restart_template(before, now)
        else:
            sets = api.items(f"{apps}/replicasets", labelSelector=selector_text(before["spec"].get("selector")))
            number, replica_set = chosen(before, sets, given["to_revision"], now)
            template = undo_template(replica_set)
        changed = template != before["spec"]["template"]
        if changed:
            changes = [{"op": "replace", "path": "/spec/template", "value": template}]
            if given["epoch"]:
                changes += note_changes(before, {EPOCH: str(given["epoch"])})
            dry: dict[str, Any] = {"dryRun": "All"} if module.check_mode else {}
            api.request("PATCH", path, guarded(before, changes), JSON_PATCH, **dry)
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason)
    module.exit_json(
        changed=changed,
        revision=number,
        diff={"before": before["spec"]["template"], "after": template},
    )


def current_revision(deployment: dict[str, Any]) -> int:
    """The number of the revision that is rolled out."""
    text = str((deployment["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", ""))
    return int(text) if text.isdecimal() else 0


if __name__ == "__main__":
    main()
