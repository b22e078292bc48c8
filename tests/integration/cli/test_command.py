# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The command with real Ansible, where no farm is needed; and once on the lab's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent
INVENTORY = """
all:
  children:
    ei:
      hosts:
        ei1: {ansible_host: 127.0.0.1, ansible_port: 1}
        ei2: {ansible_host: 127.0.0.1, ansible_port: 1}
      vars: {selfheal_strategy: lb_detach, selfheal_balancers: lb, selfheal_service: ei.service, selfheal_port: 8280}
    lb: {hosts: {lb1: {ansible_host: 127.0.0.1, ansible_port: 1}}}
    monitor: {hosts: {mon: {ansible_host: 127.0.0.1, ansible_port: 1, selfheal_nagios_url: "http://127.0.0.1:1/",
                            selfheal_nagios_user: u, selfheal_nagios_password_file: /no}}}
"""


def selfheal(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(INVENTORY, encoding="utf-8")
    config = tmp_path / "ansible.cfg"
    config.write_text("[defaults]\ntimeout = 5\n", encoding="utf-8")
    env = {**os.environ, "ANSIBLE_CONFIG": str(config), "XDG_STATE_HOME": str(tmp_path / "state")}
    return subprocess.run(
        [BIN / "selfheal", "-i", inventory, *words], env=env, cwd=tmp_path, text=True, capture_output=True, check=False
    )


def test_a_node_that_is_not_there_comes_with_the_nearest_name(tmp_path: Path) -> None:
    done = selfheal(tmp_path, "heal", "ei11")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "did you mean ei1?" in done.stderr


def test_a_group_is_no_node(tmp_path: Path) -> None:
    done = selfheal(tmp_path, "heal", "ei")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "is a group" in done.stderr


def test_our_own_host_is_refused(tmp_path: Path) -> None:
    done = selfheal(tmp_path, "heal", "mon")
    assert done.returncode == 3, done.stdout + done.stderr


def test_a_farm_out_of_reach_is_refused(tmp_path: Path) -> None:
    done = selfheal(tmp_path, "heal", "ei1", "--json")
    assert done.returncode == 3, done.stdout + done.stderr
    assert json.loads(done.stdout)["refusals"]


def test_a_journal_out_of_reach(tmp_path: Path) -> None:
    done = selfheal(tmp_path, "history")
    assert done.returncode == 1
    assert "no journal on mon" in done.stderr


def test_the_status_of_a_farm_out_of_reach(tmp_path: Path) -> None:
    done = selfheal(tmp_path, "status", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(json.loads(done.stdout)["blind"]) == {"lb1", "mon"}


@pytest.mark.lab
def test_a_drill_on_the_lab_is_in_the_history(lab: Any) -> None:
    command = [str(BIN / "selfheal"), "-i", "lab/inventory"]
    refused = lab.run(*command, "heal", "ei3", "--check")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "not_ill" in refused.stdout
    done = lab.run(*command, "--json", "heal", "ei3", "--reason", "drill")
    assert done.returncode == 0, done.stdout + done.stderr
    incident = json.loads(done.stdout)["incident"]
    rows = json.loads(lab.run(*command, "--json", "history").stdout)
    assert [row["outcome"] for row in rows if row["incident"] == incident] == ["healed"]
    shown = json.loads(lab.run(*command, "--json", "show", incident).stdout)
    assert {phase["phase"] for phase in shown["phases"]} >= {"restart", "verify", "readmit"}
    status = json.loads(lab.run(*command, "--json", "status").stdout)
    assert status["holds"] == [] and status["blind"] == {}
