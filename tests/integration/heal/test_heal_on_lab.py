# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Heals on real machines: to the end, twice at once, without SSH, and killed half-way."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.demo.nagios import Nagios
from lab.machines import Lab as Machines
from lab.machines import wait_until
from tests.integration.conftest import NODES, Lab
from tests.integration.heal.runs import Heal, OtherUser, at_home, boot_id, holders, serves, service_process, wait_for

pytestmark = pytest.mark.lab

EI1 = "10.213.77.21"
DRILL = ("-e", "selfheal_reason=drill")


@pytest.fixture(autouse=True)
def no_run_left() -> Iterator[None]:
    """A test that fails while its heal runs must not fail the ones after it as well."""
    yield
    Heal.end_all()


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


@pytest.mark.parametrize(
    ("node", "other", "unit"),
    [("ei1", "ei1", "ei.service"), ("ei1", "ei2", "ei.service"), ("extlb1", "extlb2", "haproxy.service")],
    ids=["same-node", "two-members", "same-pair"],
)
def test_of_two_heals_at_once_by_two_users_exactly_one_acts(
    lab: Lab, tmp_path: Path, other_user: OtherUser, node: str, other: str, unit: str
) -> None:
    untouched = service_process(lab, other, unit)
    first = Heal(lab, tmp_path / "first", node, *DRILL)
    first.reach("shift")
    second = Heal(lab, tmp_path / "second", other, *DRILL, user=other_user).end()
    assert second["rc"] == 2, second["log"][-3000:]
    assert second["status"] == "refused"
    assert "lease_taken" in [item["reason"] for item in second["refusals"]], second["refusals"]
    assert f"by {getpass.getuser()}" in str(second["refusals"]), "the other one is told who acts"
    assert first.end()["outcome"] == "healed"
    if other != node:
        assert service_process(lab, other, unit) == untouched
    assert serves(lab, EI1)
    assert serves(lab, "10.213.77.22")


@pytest.fixture
def other_user(lab: Lab, tmp_path: Path) -> Iterator[OtherUser]:
    """A second operator of this controller: another uid, with a key, a home and settings of its own."""
    with OtherUser.made(lab) as user:
        yield user


@pytest.mark.parametrize(
    ("phase", "outcomes"),
    [
        ("confirm", {"left_out"}),
        ("shift", {"left_out"}),
        ("evidence", {"left_out"}),
        ("restart", {"left_out", "healed"}),
        ("verify", {"healed"}),
        ("readmit", {"healed"}),
        ("soak", {"healed"}),
    ],
)
def test_ssh_to_the_ill_node_cut_at_every_step(lab: Lab, tmp_path: Path, phase: str, outcomes: set[str]) -> None:
    if phase == "confirm":
        cut_ssh(lab, "ei1")
    run = Heal(lab, tmp_path / "cut", "ei1", *DRILL)
    try:
        if phase != "confirm":
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


@pytest.mark.parametrize(
    ("node", "unit", "phase"),
    [("ei1", "ei.service", "evidence"), ("ei1", "ei.service", "restart"), ("extlb1", "haproxy.service", "restart")],
)
def test_killed_and_typed_again_it_ends_well(lab: Lab, tmp_path: Path, node: str, unit: str, phase: str) -> None:
    run = Heal(lab, tmp_path / "killed", node, *DRILL)
    run.reach(phase)
    run.kill()
    killed = run.result()
    again = Heal(lab, tmp_path / "again", node, *DRILL).end()
    assert again["outcome"] == "healed", again["log"][-3000:]
    assert again["incident"] == killed["incident"]
    assert again["epoch"] > killed["epoch"]
    assert serves(lab, EI1)
    assert at_home(lab)
    assert lab.on(node, f"systemctl is-active {unit}").stdout.strip() == "active"


@pytest.mark.parametrize("phase", ["shift"])
def test_ssh_to_the_ill_node_of_a_pair_cut(lab: Lab, tmp_path: Path, phase: str) -> None:
    """The address is safe on the other node, and the node has to prove itself: a human is told, then it is healed."""
    run = Heal(lab, tmp_path / "cut", "extlb1", *DRILL)
    try:
        run.reach(phase)
        cut_ssh(lab, "extlb1")
        result = run.end()
        assert result["outcome"] == "left_out", result["log"][-3000:]
        assert result["rc"] == 2
        assert result["problems"], "a human must be told"
        assert holders(lab, "extlb2") == ["extlb2"]
    finally:
        join_ssh(lab, "extlb1")
    again = Heal(lab, tmp_path / "again", "extlb1", *DRILL).end()
    assert again["outcome"] == "healed", again["log"][-3000:]
    assert again["incident"] == result["incident"]
    assert at_home(lab)


def test_a_nagios_that_is_stopped_or_knows_half_heals_nobody(lab: Lab, tmp_path: Path) -> None:
    before = service_process(lab, "ei2", "ei.service")
    lab.on("monitor", "systemctl stop nagios4")
    try:
        stopped = Heal(lab, tmp_path / "stopped", "ei2", *DRILL).end()
        lab.on("monitor", "cd /etc/selfheal && cp -p nagios.password kept && echo wrong > nagios.password")
        denied = Heal(lab, tmp_path / "denied", "ei2", *DRILL).end()
    finally:
        lab.on("monitor", "cd /etc/selfheal; [ ! -e kept ] || mv kept nagios.password; systemctl start nagios4")
        nagios = Nagios(Machines.from_env())
        assert wait_until(lambda: nagios.all_well(NODES), 180, pause=1.0)
    for said in (stopped, denied):
        assert said["rc"] == 2
        assert said["status"] == "refused"
        assert "nagios_stale" in [item["reason"] for item in said["refusals"]], said["refusals"]
        line = said["log"].rpartition("refused nagios_stale")[2].splitlines()[0]
        assert len(line) > 20, "the line says why"
    assert service_process(lab, "ei2", "ei.service") == before
    assert serves(lab, "10.213.77.22")


def test_memory_that_a_restart_does_not_free_is_not_called_healed(lab: Lab, tmp_path: Path) -> None:
    """The balancers find the restarted node well; Nagios, asked again, reads what it read before."""
    before, nagios = service_process(lab, "ei3", "ei.service"), Nagios(Machines.from_env())
    lab.break_("ei3", "memory_elsewhere")
    try:
        assert nagios.wait_for("faulty", "ei3", ("ei1", "ei2", "ei3"), 60, print)
        result = Heal(lab, tmp_path / "hog", "ei3", "-i", str(lab.root / "lab/inventory")).end()
    finally:
        lab.mend("ei3")
        assert wait_until(lambda: nagios.all_well(NODES), 180, pause=1.0)
    assert (result["rc"], result["outcome"]) == (2, "undone"), result["log"][-3000:]
    assert result["read_again"]["verdict"] == "faulty", result["read_again"]
    assert any(text.startswith("ei3 serves, but is still ill: memory") for text in result["problems"])
    assert service_process(lab, "ei3", "ei.service") != before, "the restart was tried, once"
    assert serves(lab, "10.213.77.23")


def test_a_reboot_is_proven_by_another_boot_id(lab: Lab, tmp_path: Path) -> None:
    """Opt-in per layer; here the layer has no service that could be restarted, so it is the only rung."""
    overlay = tmp_path / "inventory"
    (overlay / "group_vars").mkdir(parents=True)
    (overlay / "hosts.yml").write_text("ei: {}\n", encoding="ascii")
    (overlay / "group_vars" / "ei.yml").write_text("selfheal_reboot: true\nselfheal_service: ''\n", encoding="ascii")
    boot = boot_id(lab, "ei3")
    inventories = ("-i", str(lab.root / "lab/inventory"), "-i", str(overlay))
    result = Heal(lab, tmp_path / "reboot", "ei3", *inventories, *DRILL).end()
    assert result["outcome"] == "healed", result["log"][-3000:]
    assert boot_id(lab, "ei3") != boot
    assert serves(lab, "10.213.77.23")
