# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is decided about machines before anything is made: names, limits, configuration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab import base, build
from lab.machines import Lab, LabError, run, wait_until


def wanted(**machines: dict[str, Any]) -> dict[str, Any]:
    return {"bridge_address": "10.213.77.1/24", "machines": machines}


def machine(address: str = "10.213.77.21", **more: Any) -> dict[str, Any]:
    return {"address": address, "memory_mb": 256, "cpu": 0.5, "disk_mb": 512, **more}


def test_a_machine_takes_its_prefix_from_the_bridge() -> None:
    assert build.check_spec(wanted(ei1=machine()))["ei1"]["prefix"] == 24


@pytest.mark.parametrize(("machines", "complaint"), [
    ({}, "no machines"),
    ({"Ei1": machine()}, "cannot be a lab machine"),
    ({"ei_1": machine()}, "cannot be a lab machine"),
    ({"../x": machine()}, "cannot be a lab machine"),
    ({"ei1": machine(), "ei2": machine()}, "the same address"),
    ({"ei1": machine(address="192.0.2.1")}, "not an address in the lab's network"),
    ({"ei1": machine(address="web; rm -rf /")}, "not an address"),
])  # fmt: skip
def test_a_bad_inventory_is_refused_in_words(machines: dict[str, Any], complaint: str) -> None:
    with pytest.raises(LabError, match=complaint):
        build.check_spec(wanted(**machines))


def test_limits_in_the_words_of_both_cgroup_versions() -> None:
    assert build.limit_lines(256, 0.5, v2=False) == [
        "lxc.cgroup.memory.limit_in_bytes = 256M",
        "lxc.cgroup.cpu.cfs_period_us = 100000",
        "lxc.cgroup.cpu.cfs_quota_us = 50000",
        "lxc.cgroup.cpu.shares = 1024",
    ]
    assert build.limit_lines(256, 0.5, v2=True) == [
        "lxc.cgroup2.memory.max = 256M",
        "lxc.cgroup2.memory.swap.max = 0",
        "lxc.cgroup2.cpu.max = 50000 100000",
        "lxc.cgroup2.cpu.weight = 100",
    ]
    assert "lxc.cgroup.cpu.shares = 8192" in build.limit_lines(256, 0.5, v2=False, weight=8)
    assert "lxc.cgroup2.cpu.weight = 800" in build.limit_lines(256, 0.5, v2=True, weight=8)


@pytest.mark.parametrize(("v1", "word"), [(True, "lxc.cgroup.memory"), (False, "lxc.cgroup2.memory")])
def test_the_configuration_follows_what_the_host_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, v1: bool, word: str
) -> None:
    if v1:
        (tmp_path / "memory").mkdir()
    monkeypatch.setattr(build, "CGROUPS", tmp_path)
    spec = build.check_spec(wanted(ei1=machine()))["ei1"]
    text = build.config_text(Lab(), "ei1", spec)
    assert word in text
    assert "$" not in text
    assert "lxc.net.0.ipv4.address = 10.213.77.21/24" in text
    assert "lxc.net.0.hwaddr = 02:5e:0a:d5:4d:15" in text


@pytest.mark.parametrize("name", ["", "Lab", "1lab", "lab-two", "a" * 9, "a/b", "../x"])
def test_a_lab_name_that_could_be_a_path_or_another_prefix_is_refused(name: str) -> None:
    with pytest.raises(LabError):
        Lab(name)


def test_every_name_of_a_lab_is_its_own() -> None:
    one, other = Lab(), Lab("mine")
    assert one.state != other.state
    assert one.bridge != other.bridge
    assert one.lock != other.lock
    assert one.container("ei1") == "shlab-ei1"
    assert not other.container("ei1").startswith(one.container(""))


def test_cables_fit_the_kernel_and_stay_apart() -> None:
    nodes = ["ei1", "averylongnodename1", "averylongnodename2", "averylongnodename11"]
    cables = [Lab().veth(node) for node in nodes]
    assert all(len(cable) <= 15 for cable in cables)
    assert len(set(cables)) == len(cables)


def test_the_base_is_named_after_its_recipe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = base.base_dir(tmp_path)
    assert base.base_dir(tmp_path) == before
    assert "haproxy" in base.packages()
    assert not [name for name in base.packages() if "#" in name or " " in name]
    monkeypatch.setattr(base, "SUITE", "trixie")
    assert base.base_dir(tmp_path) != before


def test_a_lock_keeps_two_runs_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lock"
    holder = (
        "import sys; from lab.base import locked; from pathlib import Path\n"
        "with locked(Path(sys.argv[1]), 'works'): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[3],
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LabError, match="another run works"), base.locked(path, "works", seconds=0):
            pass
        other.kill()
    assert "waiting for another run" in capsys.readouterr().err
    with base.locked(path, "works", seconds=0):
        pass


def test_a_failed_command_says_its_own_error() -> None:
    with pytest.raises(LabError, match="No such file"):
        run(["ls", "/nonexistent-folder"])
    assert run(["false"], check=False).returncode == 1


def test_waiting_is_for_a_condition() -> None:
    seen: list[int] = []

    def third() -> bool:
        seen.append(1)
        return len(seen) == 3

    assert wait_until(third, 60, pause=0)
    assert not wait_until(lambda: False, 0, pause=0)
