# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whom the playbook of a prepared run connects to, with real Ansible: local hosts, and one that nobody can reach."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

AWAY = "ansible_host: 127.0.0.1, ansible_port: 1"  # touched, it would be unreachable
HERE = "ansible_connection: local"
INVENTORY = """
all:
  children:
    ei:
      hosts: {{ei1: {{{ei1}}}, ei2: {{{away}}}}}
      vars: {{selfheal_strategy: lb_detach, selfheal_balancers: lb, selfheal_service: ei.service, selfheal_port: 8280}}
    lb:
      hosts: {{lb1: {{{lb1}}}, lb2: {{{here}}}}}
      vars: {{selfheal_strategy: keepalived_failover, selfheal_service: haproxy.service, selfheal_port: 80,
              selfheal_vip: 10.0.0.100, selfheal_instance: VI_1}}
    monitor: {{hosts: {{mon: {{{away}, selfheal_nagios_url: "http://127.0.0.1:1/"}}}}}}
"""


@pytest.mark.parametrize(
    ("node", "lb1", "touched"),
    [
        pytest.param("ei1", HERE, {"lb1", "lb2"}, id="a member: its balancers"),
        pytest.param("lb1", AWAY, {"lb2"}, id="a balancer: its twin"),
    ],
)
def test_all_that_a_heal_asks_first_but_never_the_node(node: str, lb1: str, touched: set[str], tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text(INVENTORY.format(ei1=AWAY, away=AWAY, lb1=lb1, here=HERE), encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", inventory, "-e", f"selfheal_node={node}",
         "selfheal.cluster.ahead"],
        env={**os.environ, "HOME": str(tmp_path)}, cwd=tmp_path, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    recap = dict(re.findall(r"^(\w+)\s+: ok=(\d+) ", done.stdout.partition("PLAY RECAP")[2], re.MULTILINE))
    assert recap == {"localhost": "1", **dict.fromkeys(touched, "1")}, done.stdout
