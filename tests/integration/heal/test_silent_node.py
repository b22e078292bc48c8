# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A node whose processes stand still: its kernel accepts, and nobody ever greets. Real ssh, real Ansible."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLAY = """
- hosts: silent
  gather_facts: false
  tasks:
    - selfheal.cluster.heal_observe:
        keepalived: {instances: [VI_1]}
        seconds: %s
      register: seen
      timeout: 8
      ignore_errors: true  # what it says is what is tested
      ignore_unreachable: true
    - ansible.builtin.copy:
        content: "{{ seen | to_json }}"
        dest: "{{ playbook_dir }}/seen.json"
        mode: "0600"
      delegate_to: localhost
"""


@pytest.fixture
def port() -> Iterator[int]:
    """A port whose connections are taken by the kernel alone."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        yield silent.getsockname()[1]


def observed(folder: Path, port: int, seconds: int) -> dict[str, Any]:
    (folder / "play.yml").write_text(PLAY % seconds)
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {"silent": {"ansible_host": "127.0.0.1", "ansible_port": port}, "localhost": here}
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    # Longer than the task may take: so it is on a farm whose operators wrote nothing about it, or wrote much.
    (folder / "ansible.cfg").write_text("[defaults]\ntimeout = 60\n")
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", folder / "hosts.yml", folder / "play.yml"],
        env={**os.environ, "ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "HOME": str(folder),
             "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".dev")},
        text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert (folder / "seen.json").exists(), done.stdout + done.stderr
    return dict(json.loads((folder / "seen.json").read_text()))


def test_it_is_out_of_reach_and_not_merely_late(tmp_path: Path, port: int) -> None:
    seen = observed(tmp_path, port, 3)
    assert seen.get("unreachable") and not seen.get("timedout"), seen


def test_without_a_limit_of_ours_nobody_knows(tmp_path: Path, port: int) -> None:
    seen = observed(tmp_path, port, 0)
    assert seen.get("timedout") and not seen.get("unreachable"), seen
