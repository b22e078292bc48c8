#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads a node of Kubernetes, and whether it may be drained."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_node_info
short_description: Read a node of Kubernetes, and whether it may be drained
version_added: "0.1.0"
description:
  - One call tells whether a node is Ready, who has cordoned it, of which boot it is, which pods a drain would take, and
    what speaks against a drain.
  - A drain is spoken against when a pod has no controller, finds no room on another node, demands what cannot be judged
    here (affinities, volumes, devices, ports or the network of its node, any request but CPU, memory and disk, a
    scheduler of its own), or has a budget that lets no pod go, or two budgets, which the eviction API does not take.
author:
  - selfheal.cluster contributors (@selfheal-cluster)
options:
  name:
    description: The name of the node in the cluster.
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
- name: Ask whether a node may be drained
  selfheal.cluster.kubernetes_node_info:
    name: kw1
  delegate_to: localhost
  register: seen
"""

RETURN = r"""
node:
  description: The node as it is now.
  returned: success
  type: dict
  contains:
    ready:
      description: Whether it is Ready.
      type: bool
      returned: success
    cordoned:
      description: Whether no new pod comes to it.
      type: bool
      returned: success
    human_cordon:
      description: Whether that cordon does not bear our mark.
      type: bool
      returned: success
    boot_id:
      description: Identity of its boot, as its kubelet has told it.
      type: str
      returned: success
    pods:
      description: The pods that a drain would take.
      type: list
      elements: str
      returned: success
    unready:
      description: Its pods of DaemonSets and its static ones that are not Ready, but for those that serve on no node.
      type: list
      elements: str
      returned: success
    refusals:
      description:
        - What speaks against a drain, each with its detail and reason, one of V(no_place), V(bare_pod), V(budget) and
          V(two_budgets).
      type: list
      elements: dict
      returned: success
      sample:
        - reason: no_place
          detail: "pod ei/ei-deployment-6d4cf56db6-x7k2p would find no other node: no other one is Ready and takes pods"
reason:
  description: Why nothing can be said, as one word.
  returned: failure
  type: str
  sample: not_found
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
    cluster,
)


def main() -> None:
    """Read, and give back."""
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "required": True}, **ARGUMENTS}, supports_check_mode=True
    )
    given = module.params
    try:
        api = Api(given["kubeconfig"], given["context"], given["timeout"])
        seen = cluster(api, [], [{"host": given["name"], "name": given["name"]}])
    except SelfhealError as exc:
        module.fail_json(msg=exc.message, reason=exc.reason)
    found = seen["nodes"].get(given["name"]) or seen
    if found.get("error"):
        module.fail_json(msg=found["error"], reason=found["reason"])
    module.exit_json(changed=False, node=found)


if __name__ == "__main__":
    main()
