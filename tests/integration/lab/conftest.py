# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Two labs: a small one of the tests' own, in its own network namespace, and the whole farm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab import owner
from lab.machines import Lab
from tests.integration.conftest import Lab as OneLab

ROOT = Path(__file__).resolve().parents[3]
SMALL_NAME = "shtest"
SMALL_SPEC: dict[str, Any] = {
    "bridge_address": "10.213.77.1/24",
    "machines": {
        "one": {"address": "10.213.77.201", "memory_mb": 96, "cpu": 0.5, "disk_mb": 256},
        "two-a": {"address": "10.213.77.202", "memory_mb": 128, "cpu": 1.0, "disk_mb": 256},
    },
}


@dataclass(frozen=True)
class SmallLab:
    """A lab of two machines that the tests may break as they like."""

    lab: Lab
    owner_pid: int = field(default_factory=os.getpid)

    def command(self, argv: list[str]) -> list[str]:
        mine = f"{owner.VARIABLE}={self.owner_pid}"
        return ["nsenter", f"--net=/run/netns/{SMALL_NAME}", "env", f"LAB_NAME={SMALL_NAME}", mine, *argv]

    def run(self, argv: list[str], check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(argv), input=stdin, text=True, capture_output=True, cwd=ROOT, timeout=300, check=False
        )
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done

    def start(self, action: str) -> subprocess.Popen[str]:
        """Begin making the lab, to be killed on the way or to race another one."""
        process = subprocess.Popen(
            self.command([sys.executable, "-m", "lab.build", action]),
            text=True,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(SMALL_SPEC))
        process.stdin.close()
        process.stdin = None  # communicate() would flush it again
        return process

    def up(self, spec: dict[str, Any] | None = None) -> dict[str, Any]:
        done = self.run([sys.executable, "-m", "lab.build", "up"], stdin=json.dumps(spec or SMALL_SPEC))
        return dict(json.loads(done.stdout))

    def down(self) -> dict[str, Any]:
        return dict(json.loads(self.run([sys.executable, "-m", "lab.build", "down"]).stdout))

    def ssh(self, node: str, command: str, check: bool = True) -> str:
        state = self.lab.state
        return self.run(
            [
                "ssh",
                "-i",
                str(state / "id_ed25519"),
                "-o",
                f"UserKnownHostsFile={state}/known_hosts",
                "-o",
                "StrictHostKeyChecking=yes",
                "-o",
                "GlobalKnownHostsFile=/dev/null",
                "-o",
                "BatchMode=yes",
                "-o",
                "ConnectTimeout=3",
                f"root@{self.lab.address(node)}",
                command,
            ],
            check=check,
        ).stdout.strip()


@pytest.fixture(scope="module")
def small_lab() -> Iterator[SmallLab]:
    """The small lab, up; removed with its network namespace whatever happens."""
    subprocess.run(["ip", "netns", "del", SMALL_NAME], check=False, capture_output=True)
    subprocess.run(["ip", "netns", "add", SMALL_NAME], check=True)
    lab = SmallLab(Lab(SMALL_NAME))
    try:
        lab.up()
        yield lab
    finally:
        lab.run([sys.executable, "-m", "lab.build", "down"], check=False)
        subprocess.run(["ip", "netns", "del", SMALL_NAME], check=True)


@dataclass(frozen=True)
class Farm:
    """The whole farm, as `make lab` brings it up."""

    lab: Lab

    def playbook(self, *arguments: str) -> str:
        environment = {**os.environ, "ANSIBLE_CONFIG": str(self.lab.state / "ansible.cfg"), "NO_COLOR": "1"}
        tool = ROOT / ".venv/bin/ansible-playbook"
        done = subprocess.run(
            [str(tool if tool.exists() else shutil.which("ansible-playbook")), *arguments],
            cwd=ROOT,
            env=environment,
            text=True,
            capture_output=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        return done.stdout


@pytest.fixture(scope="module")
def farm(lab: OneLab) -> Farm:
    """The lab of all tests, as `lab/up` brought it up."""
    assert lab.state.exists()
    return Farm(Lab.from_env())
