# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Heals on real machines: to the end, twice at once, without SSH, and killed half-way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.conftest import Lab
from tests.integration.heal.runs import Heal, serves, service_process, wait_for

pytestmark = pytest.mark.lab

EI1 = "10.213.77.21"
DRILL = ("-e", "selfheal_reason=drill")


def inside(lab: Lab, node: str, *command: str) -> None:
    """A command on a machine, not over SSH: from outside, as its console would."""
    name = os.environ.get("LAB_NAME", "shlab")
    done = lab.run("lxc-attach", "-P", str(lab.state / "lxc"), "-n", f"{name}-{node}", "--", *command)
    assert done.returncode == 0, done.stdout + done.stderr


def cut_ssh(lab: Lab, node: str) -> None:
    """SSH is gone and its connections with it; the service and its network stay."""
    inside(lab, node, "systemctl", "stop", "ssh.socket", "ssh.service")
    inside(lab, node, "sh", "-c", "pkill -KILL sshd || true")


def join_ssh(lab: Lab, node: str) -> None:
    inside(lab, node, "systemctl", "start", "ssh.service")
    lab.run("sh", "-c", f"rm -f {lab.state}/cp/*")  # masters of connections that are dead
    wait_for(lambda: lab.on(node, "true").returncode == 0, f"SSH to {node}")


def test_a_drill_detaches_restarts_and_returns(lab: Lab, tmp_path: Path) -> None:
    before = service_process(lab, "ei1", "ei.service")
    result = Heal(lab, tmp_path, "ei1", *DRILL).end()
    assert result["rc"] == 0, result["log"][-3000:]
    assert result["outcome"] == "healed"
    assert [phase["name"] for phase in result["phases"]] == [
        "confirm", "shift", "evidence", "restart", "verify", "readmit", "soak",
    ]  # fmt: skip
    assert result["started_at"] < result["traffic_safe_at"] < result["restored_at"]
    assert service_process(lab, "ei1", "ei.service") != before
    assert serves(lab, EI1)
    evidence = lab.on(
        "monitor", f"find /var/lib/selfheal/evidence/{result['incident']} -type f -printf '%m %u %f '"
    ).stdout
    assert "600 selfheal ei1.processes.txt" in evidence
    assert "outside.seen.json" in evidence


def test_the_active_node_of_the_pair_is_healed_and_gets_its_address_back(lab: Lab, tmp_path: Path) -> None:
    before = service_process(lab, "extlb1", "haproxy.service")
    result = Heal(lab, tmp_path, "extlb1", *DRILL).end()
    assert result["rc"] == 0, result["log"][-3000:]
    assert result["outcome"] == "healed"
    assert result["traffic_safe_at"] < result["restored_at"] < result["home_at"]
    assert service_process(lab, "extlb1", "haproxy.service") != before
    assert "10.213.77.100" in lab.on("extlb1", "ip -o addr").stdout
    assert "10.213.77.100" not in lab.on("extlb2", "ip -o addr").stdout
    assert "keepalived_" not in lab.on("extlb2", "ls /var/lib/selfheal/holds").stdout


def test_a_healthy_node_is_not_healed_without_a_reason(lab: Lab, tmp_path: Path) -> None:
    before = service_process(lab, "ei2", "ei.service")
    result = Heal(lab, tmp_path, "ei2").end()
    assert result["rc"] == 2
    assert "not_ill" in [item["reason"] for item in result["refusals"]]
    assert service_process(lab, "ei2", "ei.service") == before


def test_check_mode_prints_the_plan_and_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    before = service_process(lab, "ei2", "ei.service")
    result = Heal(lab, tmp_path, "ei2", *DRILL, "--check").end()
    assert result["rc"] == 0, result["log"][-3000:]
    assert result["status"] == "checked"
    assert "would: restart" in result["log"]
    assert service_process(lab, "ei2", "ei.service") == before
    assert serves(lab, "10.213.77.22")


@pytest.mark.parametrize("other", ["ei1", "ei2"])
def test_of_two_heals_at_once_exactly_one_acts(lab: Lab, tmp_path: Path, other: str) -> None:
    first = Heal(lab, tmp_path / "first", "ei1", *DRILL)
    first.reach("shift")
    second = Heal(lab, tmp_path / "second", other, *DRILL).end()
    assert second["rc"] == 2, second["log"][-3000:]
    assert second["status"] == "refused"
    assert "lease_taken" in [item["reason"] for item in second["refusals"]], second["refusals"]
    assert first.end()["outcome"] == "healed"
    assert serves(lab, EI1)


@pytest.mark.parametrize(
    ("phase", "outcomes"),
    [
        ("shift", {"left_out"}),
        ("evidence", {"left_out"}),
        ("restart", {"left_out", "healed"}),
        ("verify", {"healed"}),
        ("readmit", {"healed"}),
    ],
)
def test_ssh_to_the_ill_node_cut_at_every_step(lab: Lab, tmp_path: Path, phase: str, outcomes: set[str]) -> None:
    run = Heal(lab, tmp_path / "cut", "ei1", *DRILL)
    try:
        run.reach(phase)
        cut_ssh(lab, "ei1")
        result = run.end()
    finally:
        join_ssh(lab, "ei1")
    assert result["outcome"] in outcomes, result["log"][-3000:]
    assert (result["rc"] == 0) == (result["outcome"] == "healed")
    if result["outcome"] == "left_out":
        assert result["problems"], "a human must be told"
        assert not serves(lab, EI1)
        again = Heal(lab, tmp_path / "again", "ei1", *DRILL).end()
        assert again["outcome"] == "healed", again["log"][-3000:]
    assert serves(lab, EI1)


@pytest.mark.parametrize("phase", ["evidence", "restart", "verify"])
def test_killed_and_typed_again_it_ends_well(lab: Lab, tmp_path: Path, phase: str) -> None:
    run = Heal(lab, tmp_path / "killed", "ei1", *DRILL)
    run.reach(phase)
    run.kill()
    killed = run.result()
    again = Heal(lab, tmp_path / "again", "ei1", *DRILL).end()
    assert again["outcome"] == "healed", again["log"][-3000:]
    assert again["incident"] == killed["incident"]
    assert again["epoch"] > killed["epoch"]
    assert serves(lab, EI1)
    assert lab.on("ei1", "systemctl is-active ei.service").stdout.strip().endswith("active")
