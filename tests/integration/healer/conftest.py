# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What role healer writes, made of the lab's inventory on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles/healer"
PLAY = """
- hosts: monitor
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        healer_targets: [extlb1, ei1]
        check: "{{ hostvars | selfheal.cluster.effective_policies(groups) }}"
    - ansible.builtin.set_fact: {healer_host_key: {content: "{{ item.key | b64encode }}"}}
      delegate_to: "{{ item.host }}"
      delegate_facts: true
      loop: "{{ keys }}"
    - ansible.builtin.include_role: {name: selfheal.cluster.healer, tasks_from: inventory}
    - ansible.builtin.include_role:
        name: selfheal.cluster.healer
        tasks_from: "{{ entrance | default('objects') }}"
        public: true
    - ansible.builtin.template:
        src: "{{ role }}/templates/{{ item }}.j2"
        dest: "{{ __healer_settings }}/{{ item }}"
        mode: "0644"
      loop: [healer.json, ansible.cfg, selfheal.service, selfheal-heal@.service, sudoers, selfheal.sh]
    - ansible.builtin.copy:
        content: "{{ {'policies': check, 'lines': healer_nagios_lines} | to_json }}"
        dest: "{{ __healer_settings }}/seen.json"
        mode: "0644"
"""
LINE = re.compile(r"^(\S+)\s+: .*changed=(\d+)", re.MULTILINE)


class Written:
    """The role's files in a folder, and the way to write them again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "farm"
        shutil.copytree(ROOT / "lab/inventory", self.inventory)
        self.settings = folder / "etc"
        self.settings.mkdir()
        (self.settings / "inventory").mkdir()
        (folder / "play.yml").write_text(PLAY)
        (folder / "main.cfg").write_text("log_file=x\n")
        self.extra: dict[str, Any] = {
            "role": str(ROLE), "keys": [], "healer_user": "root", "healer_home": str(folder / "home"),
            "healer_inventory": str(self.inventory), "healer_spool": str(folder / "spool"),
            "healer_nagios_config": str(folder / "main.cfg"),
            "healer_nagios_objects": str(self.settings / "nagios.cfg"), "healer_nagios_plugins": str(folder),
            "healer_nagios_contact_groups": ["nobody"], "healer_nagios_nodes": ["ei1"],
            "healer_nagios_freshness_seconds": 2, "__healer_settings": str(self.settings),
            "__healer_event": str(ROLE / "files/selfheal-event"),
            "ansible_python_interpreter": sys.executable,
        }  # fmt: skip

    def write(self, without: str = "", **extra: Any) -> int:
        """Run the role's tasks, one variable left to its default; how many of them changed something."""
        values = self.folder / "values.json"
        given = {name: value for name, value in {**self.extra, **extra}.items() if name != without}
        values.write_text(json.dumps(given))
        tool, settings = Path(sys.executable).with_name("ansible-playbook"), str(ROOT / "lab/ansible.cfg")
        done = subprocess.run(
            [tool, "-i", self.inventory, self.folder / "play.yml", "-e", f"@{values}"],
            env={**os.environ, "ANSIBLE_CONFIG": settings, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".dev")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return int(dict(LINE.findall(done.stdout))["monitor"])

    def text(self, name: str) -> str:
        """One written file."""
        return (self.settings / name).read_text()

    def known_hosts(self) -> dict[str, str]:
        """Key by the names of a machine."""
        lines = [line for line in self.text("known_hosts").splitlines() if not line.startswith("#")]
        return {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    made = Written(tmp_path_factory.mktemp("role"))
    made.write(keys=[{"host": "extlb1", "key": "ssh-ed25519 AAAA1 root@extlb1\n"}])
    return made
