# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The lab, started once for all tests that need its machines, and removed after them if they started it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab import owner
from lab.demo.nagios import Nagios
from lab.machines import Lab as Machines
from lab.machines import wait_until
from tests.integration import second_lab

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
NODES = ("ei1", "ei2", "ei3", "extlb1", "extlb2")
SOAK_SECONDS = 4  # long enough for a test to come in between
PAIR, HOME, VIP = ("extlb1", "extlb2"), "extlb1", "10.213.77.100"


def lab_state() -> Path:
    """The folder in which this lab keeps its machines, its key and its Ansible configuration."""
    name = os.environ.get("LAB_NAME", "shlab")
    return Path("/var/lib/selfheal-lab" if name == "shlab" else f"/var/lib/selfheal-lab-{name}")


@dataclass(frozen=True)
class Lab:
    """A running lab; every command is run as an operator at the lab's host would type it."""

    state: Path
    root: Path = ROOT
    mine: bool = True  # started for these tests, and removed after them

    def environment(self, **extra: str) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(self.state / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            **extra,
        }

    def run(self, *command: str, timeout: float = 300, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(command),
            cwd=self.root,
            env=self.environment(**extra),
            text=True,
            capture_output=True,
            timeout=timeout,
            check=False,
        )

    def playbook(self, *arguments: str, timeout: float = 300, **extra: str) -> subprocess.CompletedProcess[str]:
        return self.run(str(BIN / "ansible-playbook"), *arguments, timeout=timeout, **extra)

    def heal(self, node: str, *arguments: str, timeout: float = 300, **extra: str) -> subprocess.CompletedProcess[str]:
        return self.playbook(
            "selfheal.cluster.heal", "-e", f"selfheal_node={node}", *arguments, timeout=timeout, **extra
        )

    def on(self, node: str, script: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a shell script on a machine, as root over a connection of its own; an `ansible` costs seconds here."""
        known = f"UserKnownHostsFile={self.state}/known_hosts"
        options = [known, "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes", "BatchMode=yes",
                   "IdentitiesOnly=yes", "LogLevel=ERROR", "ConnectTimeout=10"]  # fmt: skip
        words = [word for option in options for word in ("-o", option)]
        address = Machines.from_env().address(node)
        return self.run("ssh", "-F", "none", "-n", "-i", f"{self.state}/id_ed25519", *words, f"root@{address}", script,
                        timeout=timeout)  # fmt: skip

    def break_(self, node: str, fault: str) -> None:
        done = self.run("lab/break", node, fault)
        assert done.returncode == 0, done.stdout + done.stderr

    def mend(self, node: str) -> None:
        done = self.run("lab/mend", node)
        assert done.returncode == 0, done.stdout + done.stderr


def brief(folder: Path) -> str:
    """The lab's inventory with a short soak, as ANSIBLE_INVENTORY has it: few tests are about how long is watched."""
    with (ROOT / "lab/inventory/group_vars/all/90-lab.yml").open(encoding="utf-8") as settings:
        limits = yaml.safe_load(settings)["selfheal_limits"]
    made = folder / "brief"
    (made / "group_vars").mkdir(parents=True, exist_ok=True)
    (made / "hosts.yml").write_text("ei: {}\n", encoding="ascii")
    (made / "group_vars/all.yml").write_text(
        json.dumps({"selfheal_limits": {**limits, "soak_seconds": SOAK_SECONDS}}), encoding="ascii"
    )
    return f"{ROOT}/lab/inventory,{made}"


def holders() -> list[str]:
    """Who of the pair has the virtual IP on an interface, seen from the machines' host."""
    lab = Machines.from_env()
    show = ["ip", "-4", "addr", "show", "dev", "eth0"]
    return [node for node in PAIR if f"{VIP}/" in lab.exec(node, show).stdout]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab whose farm serves; one that already runs is used and left as it is.

    In the worker of the second part it is the second lab: see tests/conftest.py.
    """
    mine = owner.to_make(Machines.from_env())
    made = Lab(lab_state(), mine=mine)
    try:
        up = made.run("lab/up", timeout=900, LAB_FAST="1", **owner.environment())
        assert up.returncode == 0, up.stdout[-6000:] + up.stderr[-2000:]
        nagios = Nagios(Machines.from_env())
        # A Nagios that has just started knows nothing yet, and unknown never heals.
        assert wait_until(lambda: nagios.all_well(NODES), 180, pause=1.0), (
            "Nagios does not see every node well: mend the lab"
        )
        # A look in the middle of a move sees two holders or none, and nothing is healed then.
        assert wait_until(lambda: holders() == [HOME], 60, pause=0.5), "the virtual IP is not at home: mend the lab"
        yield made
    finally:
        if mine:
            made.run("lab/down", "farm", timeout=120)
        if second_lab.inside():
            second_lab.leave()
