# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The command with real Ansible, where no farm is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.unit.journal.helpers import new, question

ROOT = Path(__file__).resolve().parents[3]
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


PLACES = """
ansible_connection: local
ansible_become: false
ansible_python_interpreter: %(python)s
selfheal_journal: %(here)s/j/journal.db
selfheal_journal_user: root
selfheal_nagios_command_file: %(here)s/other.cmd
selfheal_spool: %(here)s/spool
"""
DOWNTIME = """
- hosts: localhost
  gather_facts: false
  tasks:
    - {selfheal.cluster.heal_target: , register: selfheal_heal}
- hosts: mon
  gather_facts: false
  vars:
    known: {incident: %(incident)s, epoch: %(epoch)s, phase: evidence, deadlines: {evidence: 60}}
    journal_host_heal: "{{ hostvars['localhost'].selfheal_heal | combine(known) }}"
  tasks:
    - ansible.builtin.include_role: {name: selfheal.cluster.journal_host, tasks_from: lease, rolespec_validate: false}
    - ansible.builtin.debug: {msg: "told {{ journal_host_lease.nagios }}"}
"""


def test_spool_and_command_pipe_are_where_the_inventory_says(tmp_path: Path) -> None:
    """Words of people and heals know them from there; the healer's role hands them to nobody else."""
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "spool").mkdir()
    (tmp_path / "j").mkdir()
    values = PLACES % {"here": tmp_path, "python": sys.executable}
    (tmp_path / "host_vars/mon.yml").write_text(values, encoding="utf-8")
    with new(tmp_path / "j") as journal:
        heal = journal.decide(question(), time.time())
    done = selfheal(tmp_path, "inject", "--node", "ei1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "spool").glob("*.event"))) == 1

    (tmp_path / "play.yml").write_text(DOWNTIME % {**heal, "root": ROOT}, encoding="utf-8")
    ours = {"ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".dev")}
    told = subprocess.run(
        [BIN / "ansible-playbook", "-i", tmp_path / "hosts.yml", tmp_path / "play.yml", "-e", "selfheal_node=ei1"],
        env={**os.environ, **ours}, cwd=tmp_path, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"{tmp_path}/other.cmd" in told.stdout, told.stdout
