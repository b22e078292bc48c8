# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Who may ask NRPE: the task file of role nagios_agent on files in a folder, by real Ansible."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# The role's own handler would restart the NRPE of this machine.
PLAY = """
- hosts: all
  connection: local
  gather_facts: false
  handlers: [{name: Restart NRPE, ansible.builtin.debug: {msg: restarted}}]
  tasks: [{ansible.builtin.include_tasks: "{{ tasks_file }}"}]
"""
WANTED = {"allowed_hosts": "10.0.0.1,10.0.0.2", "dont_blame_nrpe": "0"}
FILES = {
    "stock": "port=5666\nallowed_hosts=127.0.0.1,::1\ndont_blame_nrpe=0\n#end\n",
    "missing": "port=5666\n#end\n",
    "commented": "port=5666\n# allowed_hosts=127.0.0.1\n#dont_blame_nrpe=1\n#end\n",
    "spaced": "port=5666\n  allowed_hosts = x\ndont_blame_nrpe\t= 1\n#end\n",
    "two": "allowed_hosts=x\nport=5666\nallowed_hosts=10.0.0.1,10.0.0.2\ndont_blame_nrpe=0\ndont_blame_nrpe=0\n#end\n",
    "three": "allowed_hosts=10.0.0.1,10.0.0.2\nallowed_hosts = y\nport=5666\n#allowed_hosts=z\nallowed_hosts=z\n#end\n",
    "unended": "port=5666\n#end\nallowed_hosts=x",
    "empty": "",
    "latin": "port=5666\n# J\xfcrgen\nallowed_hosts=x\n#end\n",
    "fine": "port=5666\n#end\nallowed_hosts=10.0.0.1,10.0.0.2\ndont_blame_nrpe=0\n",
}
RECAP = re.compile(r"^(\S+)\s+: .*changed=(\d+)", re.MULTILINE)


def play(folder: Path, *options: str) -> dict[str, bool]:
    """Which files a run changed, or would have."""
    (folder / "play.yml").write_text(PLAY)
    (folder / "ansible.cfg").touch()
    (folder / "hosts").write_text("".join(f"{name} nagios_agent_config={folder}/{name}.cfg\n" for name in FILES))
    values = {
        "tasks_file": str(ROOT / "roles/nagios_agent/tasks/access.yml"),
        "nagios_agent_allowed_hosts": WANTED["allowed_hosts"].split(","), "ansible_python_interpreter": sys.executable,
    }  # fmt: skip
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", folder / "hosts", folder / "play.yml",
         "-e", json.dumps(values), *options],
        env={**os.environ, "ANSIBLE_CONFIG": str(folder / "ansible.cfg")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    changed = {name: count != "0" for name, count in RECAP.findall(done.stdout)}
    assert set(changed) == set(FILES), done.stdout
    restarted = {name for name in FILES if f'ok: [{name}] => {{\n    "msg": "restarted"' in done.stdout}
    assert restarted == {name for name, was in changed.items() if was}, done.stdout
    return changed


def test_one_line_says_who_may_ask_whatever_was_there(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / f"{name}.cfg").write_text(text, encoding="latin-1")
    expected = {name: name != "fine" for name in FILES}

    assert play(tmp_path, "--check") == expected
    assert {name: (tmp_path / f"{name}.cfg").read_text(encoding="latin-1") for name in FILES} == FILES

    assert play(tmp_path) == expected
    for name, before in FILES.items():
        lines = (tmp_path / f"{name}.cfg").read_text(encoding="latin-1").splitlines()
        for key, value in WANTED.items():
            assert [line for line in lines if re.match(rf"\s*{key}\s*=", line)] == [f"{key}={value}"], (name, lines)
        kept = [line for line in before.splitlines() if not re.match(r"\s*(allowed_hosts|dont_blame_nrpe)\s*=", line)]
        assert [line for line in lines if line.partition("=")[0] not in WANTED] == kept, name

    assert not any(play(tmp_path).values()), "another run changes nothing"
    assert not any(play(tmp_path, "--check").values())
