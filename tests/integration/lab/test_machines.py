# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Lab machines behave like servers, and nothing of a killed run stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lab import owner
from lab.base import mounts_below
from lab.machines import wait_until

from .conftest import SMALL_SPEC, SmallLab

pytestmark = pytest.mark.lab
NODES = sorted(SMALL_SPEC["machines"])
#: Works for a second and prints how much CPU time it got.
BUSY_SECOND = """python3 -c '
import time
end = time.monotonic() + 1
while time.monotonic() < end: pass
print(time.process_time())'"""


def boot_id(lab: SmallLab, node: str) -> str:
    return lab.ssh(node, "cat /proc/sys/kernel/random/boot_id", check=False)


def monitor_pid(lab: SmallLab, node: str) -> int:
    """LXC's own process that watches over a machine."""
    for cgroup in lab.lab.cgroups(node):
        if "lxc.monitor." in cgroup.name:
            pids = (cgroup / "cgroup.procs").read_text().split()
            if pids:
                return int(pids[0])
    raise AssertionError(f"{node} has no LXC monitor")


def test_a_second_run_changes_nothing(small_lab: SmallLab) -> None:
    before = {node: boot_id(small_lab, node) for node in NODES}
    assert small_lab.up()["changed"] is False
    assert {node: boot_id(small_lab, node) for node in NODES} == before
    assert all(before.values())


def test_every_machine_is_its_own(small_lab: SmallLab) -> None:
    machine_ids = {small_lab.ssh(node, "cat /etc/machine-id") for node in NODES}
    host_keys = {small_lab.ssh(node, "cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub") for node in NODES}
    assert len(machine_ids) == len(host_keys) == len({boot_id(small_lab, node) for node in NODES}) == len(NODES)
    assert Path("/etc/machine-id").read_text().strip() not in machine_ids
    known = (small_lab.lab.state / "known_hosts").read_text()
    assert all(key in known for key in host_keys)
    assert small_lab.ssh(NODES[0], "hostname") == NODES[0]


def test_limits_are_seen_from_inside(small_lab: SmallLab) -> None:
    for node, spec in SMALL_SPEC["machines"].items():
        kilobytes = int(small_lab.ssh(node, "awk '/^MemTotal/ {print $2}' /proc/meminfo"))
        assert kilobytes == spec["memory_mb"] * 1024
        disk = int(small_lab.ssh(node, "df --output=size -m / | tail -1"))
        assert 0.8 * spec["disk_mb"] < disk <= spec["disk_mb"]
        share = float(small_lab.ssh(node, BUSY_SECOND))
        # At most the limit, and a little for the slice that it began in; less on a busy host.
        assert 0 < share < spec["cpu"] + 0.25


def test_only_ssh_is_enabled_and_no_way_leads_out(small_lab: SmallLab) -> None:
    enabled = small_lab.ssh(NODES[0], "systemctl list-unit-files --state=enabled --no-legend | cut -d' ' -f1")
    assert enabled.split() == ["ssh.service"]
    assert small_lab.ssh(NODES[0], "systemctl --failed --no-legend") == ""
    assert small_lab.ssh(NODES[0], "ip route show default") == ""


def test_a_reboot_from_inside_changes_the_boot_id(small_lab: SmallLab) -> None:
    before = boot_id(small_lab, "one")
    small_lab.ssh("one", "systemctl reboot", check=False)
    assert wait_until(lambda: boot_id(small_lab, "one") not in ("", before), 30)


def test_cut_and_join_freeze_and_thaw(small_lab: SmallLab) -> None:
    lab, node = small_lab.lab, "two-a"

    def answers() -> bool:
        return bool(small_lab.ssh(node, "true; echo yes", check=False))

    def action(name: str) -> None:
        small_lab.run(["python3", "-m", "lab.machines", name, node])

    assert answers()
    action("cut")
    assert not answers()
    console = small_lab.run(["python3", "-m", "lab.machines", "exec", node, "hostname"])
    assert console.stdout.strip() == node, "the console works without the network"
    action("join")
    assert wait_until(answers, 5)
    action("freeze")
    assert lab.frozen(node)
    action("thaw")
    assert not lab.frozen(node)
    assert boot_id(small_lab, node)


def test_power_goes_without_a_word_and_comes_back_as_another_boot(small_lab: SmallLab) -> None:
    lab, before = small_lab.lab, boot_id(small_lab, "one")
    act = [sys.executable, "-m", "lab.machines"]
    small_lab.run([*act, "off", "one"])
    assert lab.pid("one") is None and small_lab.ssh("one", "true", check=False) == ""
    small_lab.run([*act, "off", "one"])
    small_lab.run([*act, "on", "one"])
    assert wait_until(lambda: boot_id(small_lab, "one") not in ("", before), 20)
    now = lab.pid("one")
    small_lab.run([*act, "on", "one"])
    assert lab.pid("one") == now, "one that has power is left alone"


def test_a_part_is_removed_without_the_other_one(small_lab: SmallLab) -> None:
    other = {"third": {**SMALL_SPEC["machines"]["one"], "address": "10.213.77.203"}}
    assert small_lab.up({**SMALL_SPEC, "part": "aside", "machines": other})["made"] == ["third"]
    before = boot_id(small_lab, "third")
    assert small_lab.up()["changed"] is False
    small_lab.run([sys.executable, "-m", "lab.build", "down-part", "farm"])
    assert small_lab.lab.nodes() == ["third"] and boot_id(small_lab, "third") == before
    assert small_lab.up()["made"] == NODES and boot_id(small_lab, "third") == before
    small_lab.run([sys.executable, "-m", "lab.build", "down-part", "aside"])
    assert small_lab.lab.nodes() == NODES


def test_a_killed_lxc_is_found_by_prefix(small_lab: SmallLab) -> None:
    other = boot_id(small_lab, "two-a")
    os.kill(monitor_pid(small_lab, "one"), signal.SIGKILL)
    assert any("lxc.payload." in cgroup.name for cgroup in small_lab.lab.cgroups("one")), "its processes live on"
    result = small_lab.up()
    assert result["removed"] == result["made"] == ["one"]
    assert boot_id(small_lab, "one")
    assert boot_id(small_lab, "two-a") == other, "the machine that was well is left alone"


@pytest.mark.parametrize("sign", ["machines/one/root", "machines/one/host_key.pub", "machines/two-a/config"])
def test_a_run_killed_on_the_way_is_made_good(small_lab: SmallLab, sign: str) -> None:
    small_lab.down()
    run = small_lab.start("up")
    assert wait_until((small_lab.lab.state / sign).exists, 60, pause=0.002)
    run.kill()
    run.communicate()
    assert small_lab.up()["changed"] is True
    assert all(boot_id(small_lab, node) for node in NODES)
    payloads = {cgroup.name for cgroup in small_lab.lab.cgroups() if "lxc.payload." in cgroup.name}
    assert len(payloads) == len(NODES), payloads


def test_what_a_killed_run_still_starts_is_ended_first(small_lab: SmallLab, tmp_path: Path) -> None:
    """Its lxc-start lives on, and would bring a machine up after what is left of it has been removed."""
    small_lab.down()
    config, where = tmp_path / "config", small_lab.lab
    os.mkfifo(config)  # it waits for this, and has made no cgroup yet
    words = ["-P", str(where.lxc_path), "-n", where.container("one"), "-d", "-f", str(config)]
    where.machine_dir("one").mkdir(parents=True)
    where.lxc_path.mkdir()
    with subprocess.Popen(["lxc-start", *words]) as starter:
        try:
            assert wait_until(lambda: where.starters("one") == [starter.pid], 5)
            assert small_lab.up()["removed"] == ["one"]
            assert starter.poll() == -signal.SIGKILL
        finally:
            starter.kill()
    assert all(boot_id(small_lab, node) for node in NODES)


def test_a_machine_is_made_though_its_cgroup_went_late(small_lab: SmallLab) -> None:
    """What is left of a machine is no machine: `up` once said that all was well, and there was none."""
    small_lab.up()
    before = next(cgroup for cgroup in small_lab.lab.cgroups("one") if ".payload." in cgroup.name)
    small_lab.down()
    until = time.monotonic() + 5

    def keep() -> None:
        while time.monotonic() < until:
            with suppress(OSError):  # it is being removed at the same time
                (before / "child").mkdir(parents=True)

    with ThreadPoolExecutor(1) as pool:
        kept = pool.submit(keep)
        assert wait_until((before / "child").exists, 2)
        assert "one" in small_lab.up()["made"]
        kept.result()
    assert all(boot_id(small_lab, node) for node in NODES)
    small_lab.down()
    assert not list(small_lab.lab.cgroups())
    small_lab.up()


def test_the_lab_of_a_dead_run_is_removed_first(small_lab: SmallLab) -> None:
    small_lab.down()
    run = subprocess.Popen(["sleep", "600"])
    try:
        replace(small_lab, owner_pid=run.pid).up()
        before = {node: boot_id(small_lab, node) for node in NODES}
        assert small_lab.up()["changed"] is False, "its run lives"
        assert not owner.to_make(small_lab.lab)
    finally:
        run.kill()
        run.wait()
    assert owner.to_make(small_lab.lab)
    assert small_lab.up()["made"] == NODES
    after = {node: boot_id(small_lab, node) for node in NODES}
    assert all(after[node] not in ("", before[node]) for node in NODES)
    assert not owner.to_make(small_lab.lab), "these tests made it, and live"


def test_two_runs_at_once_make_one_lab(small_lab: SmallLab) -> None:
    small_lab.down()
    runs = [small_lab.start("up"), small_lab.start("up")]
    answers = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], answers
    assert sorted('"changed": true' in out for out, _err in answers) == [False, True]


def test_down_leaves_nothing_and_touches_nothing_else(small_lab: SmallLab) -> None:
    lab = small_lab.lab
    cgroups = set(lab.cgroups())
    foreign = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    lab.freeze("one")
    os.kill(monitor_pid(small_lab, "two-a"), signal.SIGKILL)
    assert cgroups
    assert small_lab.down()["changed"] is True
    assert not lab.state.exists()
    assert not mounts_below(lab.state)
    assert not list(lab.cgroups())
    assert small_lab.run(["ip", "-br", "link"]).stdout.split()[0] == "lo"
    assert len(small_lab.run(["ip", "-br", "link"]).stdout.splitlines()) == 1
    assert subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout == foreign
    assert small_lab.down()["changed"] is False
