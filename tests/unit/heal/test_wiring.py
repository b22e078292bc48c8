# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a module refuses on is only refused if the role hands it over: without it, most do not look at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
HANDED: list[tuple[str, str, str, str, str]] = [
    ("lb_detach", "shift", "lb_member", "min_up", "2: who may leave is counted on the balancer itself"),
    ("lb_detach", "shift", "lb_member", "epoch", "8: an older heal changes nothing"),
    ("lb_detach", "shift", "lb_member", "deadline_seconds", "11: a hold has an end"),
    ("lb_detach", "restart", "node_restart", "witnesses", "8: all balancers said that it is out"),
    ("lb_detach", "restart", "node_restart", "peers", "8: no balancer has a connection to it"),
    ("lb_detach", "restart", "node_restart", "port", "8: connections to the port that serves"),
    ("lb_detach", "restart", "node_restart", "forbidden_machine_ids", "13: never our own machine"),
    ("lb_detach", "restart", "node_restart", "since_epoch", "12: what a dead run restarted is not restarted again"),
    ("keepalived_failover", "restart", "node_restart", "witnesses", "8: the peer said that it has the address"),
    ("keepalived_failover", "restart", "node_restart", "vip", "8: the address is not on the node"),
    ("keepalived_failover", "restart", "node_restart", "forbidden_machine_ids", "13: never our own machine"),
    ("keepalived_failover", "restart", "node_restart", "since_epoch", "12: as above"),
    ("kubernetes_workload", "shift", "kubernetes_hold", "epoch", "8: an older heal changes nothing"),
    ("kubernetes_workload", "shift", "kubernetes_hold", "deadline_seconds", "11: a hold has an end"),
    ("kubernetes_workload", "restart", "kubernetes_rollout", "epoch", "8: as above"),
    ("kubernetes_workload", "restart", "kubernetes_rollout", "since_epoch", "12: as above"),
    ("kubernetes_node", "shift", "kubernetes_hold", "epoch", "8: as above"),
    ("kubernetes_node", "drain", "kubernetes_hold", "epoch", "8: as above"),
    ("kubernetes_node", "restart", "node_restart", "witnesses", "8: the API server said that it is drained"),
    ("kubernetes_node", "restart", "node_restart", "forbidden_machine_ids", "13: never our own machine"),
    ("kubernetes_node", "restart", "node_restart", "machine_id", "8: the machine is the node that was drained"),
    ("kubernetes_node", "restart", "node_restart", "since_epoch", "12: as above"),
]


def calls(tasks: Any, module: str) -> list[dict[str, Any]]:
    """The arguments of every call of a module of ours, in blocks too."""
    found = []
    for task in tasks:
        found += [task[f"selfheal.cluster.{module}"]] if f"selfheal.cluster.{module}" in task else []
        for part in ("block", "rescue", "always"):
            found += calls(task.get(part) or [], module)
    return found


@pytest.mark.parametrize(("role", "phase", "module", "argument", "promise"), HANDED)
def test_what_a_module_refuses_on_is_handed_over(
    role: str, phase: str, module: str, argument: str, promise: str
) -> None:
    found = calls(yaml.safe_load((ROLES / role / "tasks" / f"{phase}.yml").read_text(encoding="utf-8")), module)
    assert found, f"{role}/{phase} does not call {module}"
    for given in found:
        assert f"{role}_heal." in str(given.get(argument, "")), f"invariant {promise}"


@pytest.mark.parametrize(("phase", "asks"), [("verify", True), ("soak", False)])
def test_only_the_proof_of_a_node_asks_for_its_own_pods(phase: str, asks: bool) -> None:
    """In a soak a DaemonSet that is rolled out would look like an illness of the node."""
    tasks = yaml.safe_load((ROLES / "kubernetes_node" / "tasks" / f"{phase}.yml").read_text(encoding="utf-8"))
    asked = ["kept_pods" in given["about"].get("pods", "") for given in calls(tasks, "heal_watch")]
    assert asked == [asks]
