# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whether the ladder of an incident has a rung that was not tried yet. Pure.

Only what the policy and the attempts tell; whether the rung may be taken, the plan says.
"""

from __future__ import annotations

from typing import Any, List, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_view import View
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_rungs import EVICT, RESTART, UNDO

LADDER = {EVICT, RESTART, UNDO}

Row = Mapping[str, Any]


def rung_left(view: View, tried: List[Row], node: str) -> bool:
    """A restart of the service did not help, and the policy allows the next rung, which was not tried yet."""
    rungs = {item.get("rung") for item in tried}
    policy = view.policy(node)
    if policy.get("kind") == "workload":  # which of them, its pods say when the plan is made
        return bool(LADDER - rungs)
    if power_left(view, tried, node):
        return True  # a reboot that hangs: the plan says whether the machine is gone
    return bool(policy.get("reboot")) and tried[-1].get("rung") == "service" and "reboot" not in rungs


def power_left(view: View, tried: List[Row], node: str) -> bool:
    """Power is for a machine that is gone; as long as it is not seen ill at all, nobody knows that it is not."""
    seen = view.verdict(node)
    gone = seen.get("verdict") != "faulty" or seen.get("kind") == "connectivity"
    return bool(view.policy(node).get("power")) and gone and "power" not in {item.get("rung") for item in tried}
