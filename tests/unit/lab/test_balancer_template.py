# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""More nodes and layers are inventory lines only: what HAProxy gets of an inventory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = """
- hosts: {host}
  connection: local
  gather_facts: false
  vars_files: [{vars}]
  tasks:
    - ansible.builtin.template: {{src: {template}, dest: "{target}"}}
"""


def render(tmp_path: Path, host: str, template: str, inventory: Path) -> str:
    role = ROOT / "lab/roles/lab_balancer"
    target = tmp_path / "rendered"
    play = tmp_path / "play.yml"
    play.write_text(
        PLAYBOOK.format(host=host, vars=role / "vars/main.yml", template=role / "templates" / template, target=target)
    )
    tool = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [
            str(tool),
            "-i",
            str(inventory),
            str(play),
            "-e",
            "lab_balancer_stats_port=8404",
            "-e",
            "ansible_python_interpreter=" + sys.executable,
        ],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "lab/ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target.read_text()


@pytest.fixture(name="bigger")
def _bigger(tmp_path: Path) -> Path:
    """The sample with one node more, and a second pair with a pool behind it."""
    inventory = tmp_path / "inventory"
    shutil.copytree(ROOT / "lab/inventory", inventory)
    hosts = yaml.safe_load((inventory / "hosts.yml").read_text())
    hosts["ei"]["hosts"]["ei4"] = {"ansible_host": "10.213.77.24"}
    hosts["intlb"] = {"hosts": {"intlb1": {"ansible_host": "10.213.77.13"}, "intlb2": {"ansible_host": "10.213.77.14"}}}
    hosts["dep"] = {"hosts": {"dep1": {"ansible_host": "10.213.77.31"}}}
    (inventory / "hosts.yml").write_text(yaml.safe_dump(hosts))
    pair = yaml.safe_load((inventory / "group_vars/extlb.yml").read_text())
    pair.update(selfheal_vip="10.213.77.101", selfheal_instance="VI_int", selfheal_preferred="intlb1")
    (inventory / "group_vars/intlb.yml").write_text(yaml.safe_dump(pair))
    pool = yaml.safe_load((inventory / "group_vars/ei.yml").read_text())
    pool.update(selfheal_balancers="intlb", selfheal_port=9763, lab_balancer_front_port=8280)
    (inventory / "group_vars/dep.yml").write_text(yaml.safe_dump(pool))
    return inventory


def test_a_node_and_a_layer_more_are_inventory_lines(tmp_path: Path, bigger: Path) -> None:
    outer = render(tmp_path, "extlb2", "haproxy.cfg.j2", bigger)
    inner = render(tmp_path, "intlb1", "haproxy.cfg.j2", bigger)
    server = re.compile(r"^    server (\S+) (\S+)$", re.MULTILINE)
    assert server.findall(outer) == [(f"ei{number}", f"10.213.77.2{number}:8280") for number in (1, 2, 3, 4)]
    assert server.findall(inner) == [("dep1", "10.213.77.31:9763")]
    assert re.findall(r"^(?:frontend|backend) \S+", inner, re.MULTILINE) == ["frontend fe_dep", "backend be_dep"]
    assert "bind :8280" in inner
