# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The survey by real Ansible, on the farms that a user has on the first day: empty, wrong, out of reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent

# Nothing listens there, and the connection is refused at once.
REFUSED = "{ansible_host: 127.0.0.1, ansible_port: 1}"
POOL = """
all:
  children:
    ei:
      hosts: {ei1: %(host)s, ei2: %(host)s}
      vars:
        {selfheal_strategy: lb_detach, selfheal_balancers: lb, selfheal_service: ei.service, selfheal_port: %(port)s}
    lb:
      hosts: {lb1: %(host)s}
    monitor:
      hosts: {mon: %(host)s}
"""


def survey(tmp_path: Path, inventory: str, *words: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "hosts.yml"
    path.write_text(inventory, encoding="utf-8")
    config = tmp_path / "ansible.cfg"
    config.write_text("[defaults]\ntimeout = 5\nhost_key_checking = True\n", encoding="utf-8")
    env = {**os.environ, "ANSIBLE_CONFIG": str(config), "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [BIN / "selfheal", "survey", "-i", path, *words]
    return subprocess.run(command, env=env, cwd=tmp_path, text=True, capture_output=True, check=False)


def picture(tmp_path: Path, inventory: str) -> dict[str, Any]:
    done = survey(tmp_path, inventory, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def said(found: dict[str, Any]) -> list[str]:
    return [f"{one['weight']} {one['where']}: {one['what']}" for one in found["missing"]]


def test_an_inventory_without_layers(tmp_path: Path) -> None:
    found = picture(tmp_path, "all: {children: {web: {hosts: {a: %s}}}}" % REFUSED)
    sentence = "no group is a layer: none of them sets selfheal_strategy (groups here: web)"
    assert f"blocks inventory: {sentence}" in said(found)
    assert any(line.startswith("blocks inventory: no monitor") for line in said(found))


def test_an_empty_inventory_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    done = survey(tmp_path, "")
    assert done.returncode in (0, 1)
    assert "no inventory" in done.stderr or "no group is a layer" in done.stdout


def test_nothing_reachable(tmp_path: Path) -> None:
    found = picture(tmp_path, POOL % {"host": REFUSED, "port": 8280})
    assert {node["node"]: (node["reachable"], node["verdict"]) for node in found["nodes"]} == {
        "ei1": (False, "unknown"), "ei2": (False, "unknown"),
    }  # fmt: skip
    lines = "\n".join(said(found))
    for words in ("weakens ei1: not reachable for a heal", "blocks lb1: its HAProxy could not be asked",
                  "blocks mon: the journal there could not be asked", "refused"):  # fmt: skip
        assert words in lines
    assert {place["state"] for node in found["nodes"] for place in node["rotation"]} == {"not known"}


def test_a_policy_that_is_wrong(tmp_path: Path) -> None:
    found = picture(tmp_path, POOL % {"host": REFUSED, "port": "eighty"})
    lines = [line for line in said(found) if line.startswith("blocks ei: its policy is not valid")]
    assert len(lines) == 1 and "selfheal_port" in lines[0]


def test_a_variable_that_cannot_be_rendered(tmp_path: Path) -> None:
    found = picture(tmp_path, POOL % {"host": REFUSED, "port": '"{{ no_such_variable }}"'})
    assert any("selfheal_port cannot be rendered" in line and "no_such_variable" in line for line in said(found))


@pytest.mark.parametrize("words", [(), ("--check",)])
def test_on_this_machine_it_reads_and_changes_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    """The playbook itself, in check mode too, on hosts that are all this machine."""
    here = "{ansible_connection: local, ansible_python_interpreter: %s}" % sys.executable
    path = tmp_path / "hosts.yml"
    path.write_text(POOL % {"host": here, "port": 8280}, encoding="utf-8")
    env = {**os.environ, "SELFHEAL_RESULT_FILE": str(tmp_path / "result.json"), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [BIN / "ansible-playbook", "selfheal.cluster.survey", "-i", path, *words],
        env=env, cwd=tmp_path, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout and "changed=1" not in done.stdout
    assert "The farm as a heal would see it" in done.stdout
    found = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["survey"]
    lines = "\n".join(said(found))
    assert "these have the same machine-id" in lines
    assert "never healed" in lines
    assert "blocks lb1: its socket /run/haproxy/admin.sock gives no admin rights" in lines
