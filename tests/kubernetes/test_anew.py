# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A cluster made anew, and removed without a trace. Its name has it collected before the cluster of all other tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from lab import owner
from lab.kubernetes import names
from lab.machines import Lab
from tests.kubernetes.harness import ROOT, RealCluster, ask, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.machines, pytest.mark.timeout(3600)]
#: What kubelet, kube-proxy and the pods' network would set on a host.
SYSCTLS = (
    "vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet", "net/ipv4/conf/default/route_localnet", "net/netfilter/nf_conntrack_max",
    "net/bridge/bridge-nf-call-iptables",
)  # fmt: skip
OURS = re.compile(r"kube|etcd|containerd|ipmi_sim|metrics-server|/pause|selfheal-lab")


def lines(*argv: str) -> list[str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return sorted(line for line in done.stdout.splitlines() if line.strip() and not line.startswith(("#", ":", "-P")))


def host() -> dict[str, object]:
    """All of the host that a cluster could leave something in."""
    return {
        "processes": sorted(
            path.parent.name + " " + path.read_text().replace("\0", " ")
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if OURS.search(_read(path))
        ),
        "mounts": sorted(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
        "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob("*/*") if path.is_dir()),
        "links": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "rules": lines("iptables-save") + lines("ip", "route") + lines("ip", "rule"),
        "sysctls": {name: _read(Path("/proc/sys") / name) for name in SYSCTLS},
        "state": sorted(str(path) for path in Path("/var/lib").glob("selfheal-lab*")),
        "run": sorted(str(path) for path in Path("/run").glob("*") if OURS.search(path.name)),
    }


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_it_serves_soon_and_leaves_nothing(tmp_path: Path) -> None:
    lab = Lab.from_env()
    assert not lab.nodes(), "this test needs a host without a lab: make lab-down"
    env = {**os.environ, **owner.environment()}
    subprocess.run([ROOT / ".venv/bin/python", "-m", "lab.kubernetes.cluster", "build"], cwd=ROOT, check=True, env=env)
    before = host()
    begun = time.monotonic()
    try:
        subprocess.run([ROOT / "lab/kubernetes/up"], cwd=ROOT, env=env, check=True, stdin=subprocess.DEVNULL)
        up = time.monotonic() - begun
        real = RealCluster.of_lab(lab)
        real.play(tmp_path)
        address = real.nodes()[real.worker(0)]
        wait_for(lambda: ask(address, 30010)[0] == 200, 60)
        print(f"up after {up:.1f} s, a NodePort serves after {time.monotonic() - begun:.1f} s")
        assert {lab.spec(node)["part"] for node in lab.nodes()} == {names.PART}
    finally:
        begun = time.monotonic()
        subprocess.run([ROOT / "lab/kubernetes/down"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
        print(f"removed after {time.monotonic() - begun:.1f} s")
    assert host() == before


def test_of_one_that_was_killed_while_it_was_made_nothing_is_left_either() -> None:
    lab = Lab.from_env()
    assert not lab.nodes(), "this test needs a host without a lab: make lab-down"
    env = {**os.environ, **owner.environment()}
    before = host()
    making = subprocess.Popen(
        [ROOT / "lab/kubernetes/up"], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(lambda: len(lab.nodes(names.PART)) == 3, 120, pause=0.01)
    finally:
        os.killpg(making.pid, signal.SIGKILL)
        making.wait()
        subprocess.run([ROOT / "lab/kubernetes/down"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
    assert host() == before
