# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Role keepalived_failover, by real Ansible inside a node whose real keepalived was killed.

There is no systemd inside, so a restart is refused; which of its tasks ask for one is what is looked at.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.integration.keepalived.harness import VIP, Machine, Pair, wait_for

pytestmark = pytest.mark.network
PHASES = ("drain", "restart")
PLAYBOOK = """
- hosts: one
  gather_facts: false
  connection: local
  tasks:
    - ansible.builtin.include_role:
        name: selfheal.cluster.keepalived_failover
        tasks_from: "{{ item }}"
      loop: [drain, restart]
    - ansible.builtin.copy:
        dest: /run/seen.json
        mode: "0600"
        content: >-
          {{ {'dropped': keepalived_failover_dropped, 'drain': keepalived_failover_drain,
              'restart': keepalived_failover_restart, 'daemon': keepalived_failover_daemon} | to_json }}
"""


def play(machine: Machine, **heal: Any) -> dict[str, Any]:
    """Drain and restart on one node; what each task registered."""
    state = {
        "node": "one", "peer": "two", "role": "active", "instance": "VI_ext", "vip": VIP, "addresses": [VIP],
        "service": "haproxy.service", "restart_service": "", "restart_kind": "service", "dead": True, "leftover": True,
        "port": None, "health_path": "/", "incident": "i1", "epoch": 10, "config_test": [], "forbidden_machine_ids": [],
        "witnesses": [{"balancer": "two", "out": True, "age_seconds": 0.1}],
        "limits": {"witness_age_seconds": 30, "restart_seconds": 2}, **heal,
    }  # fmt: skip
    (machine.run_dir / "play.yml").write_text(PLAYBOOK)
    variables = {"keepalived_failover_heal": state, "ansible_python_interpreter": "/usr/bin/python3"}
    (machine.run_dir / "state.json").write_text(json.dumps(variables))
    machine.run("mount", "-t", "tmpfs", "none", "/var/lib")  # the role keeps holds and epochs where they belong
    environment = ("HOME=/run", "ANSIBLE_COLLECTIONS_PATH=/mnt/.dev", "ANSIBLE_LOCAL_TEMP=/run/ansible")
    words = ("-m", "ansible", "playbook", "-i", "one,", "-e", "@/run/state.json", "/run/play.yml")
    done = subprocess.run(
        machine.enter("env", *environment, "ANSIBLE_REMOTE_TEMP=/run/remote", machine.python(), *words),
        capture_output=True, text=True, timeout=120, check=False, cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads((machine.run_dir / "seen.json").read_text())
    return found


def asked(seen: dict[str, Any]) -> list[str]:
    """Which of the two restart tasks were done; each was refused before it did anything."""
    done = [name for name in ("restart", "daemon") if not seen[name].get("skipped")]
    assert [seen[name]["reason"] for name in done] == ["not_restartable"] * len(done), seen
    assert not any(seen[name]["restarted"] for name in done)
    return done


def test_the_leftover_is_taken_off_and_keepalived_alone_is_started(pair: Pair) -> None:
    pair.start()
    pair.one.kill()
    wait_for(pair.two.has_vip)
    seen = play(pair.one)
    assert seen["dropped"]["changed"], seen["dropped"]
    assert not pair.one.has_vip() and pair.two.has_vip()
    assert seen["drain"]["skipped"], "the release is the node's own word"
    assert asked(seen) == ["daemon"]


def test_a_leftover_that_nobody_took_over_stays(pair: Pair) -> None:
    pair.one.start()
    wait_for(pair.one.has_vip)
    pair.one.kill()
    seen = play(pair.one)
    assert seen["dropped"]["reason"] == "not_taken_over", seen["dropped"]
    assert pair.one.has_vip()


@pytest.mark.parametrize("dead", [True, False])
def test_a_service_that_was_not_restarted_ends_it(pair: Pair, dead: bool) -> None:
    seen = play(pair.one, leftover=False, restart_service="haproxy.service", dead=dead)
    assert seen["dropped"]["skipped"]
    assert not seen["drain"].get("skipped"), "the node is asked itself"
    assert asked(seen) == ["restart"], "not one step further"
