# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What clients felt, by the counters of a real HAProxy, beside what the clients themselves counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _felt as felt
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_state import new_state
from tests.integration.haproxy.harness import REPO, Balancer, Load, wait_for
from tests.unit.heal.farm import plan_of

pytestmark = pytest.mark.network


def reading(balancer: Balancer, answer: dict[str, Any], phase: str) -> felt.Reading:
    """What a heal of ei1 keeps of this answer."""
    found = felt.reading(answer["balancer"], ("127.0.0.1", balancer.members[0].port), phase, 0.0)
    assert found is not None, answer
    return found


def told(first: felt.Reading, last: felt.Reading) -> dict[str, Any]:
    found = felt.felt(["lb"], {"lb": first}, {"lb": last})
    assert found is not None
    return found


def test_the_counters_say_what_clients_counted(balancer: Balancer) -> None:
    with Load(balancer.port) as load:
        load.more(20)  # what was before the heal is none of its business
    before_answers, before_ei1 = load.sent, load.answers["ei1"]
    first = reading(balancer, balancer.module("lb_member_info"), "confirm")
    with Load(balancer.port) as load:
        load.more(100)
        shift = balancer.act("maint", drain_timeout=10)
        load.more(100)
        balancer.act("drain", phase="verify", wait_up_timeout=10)
        balancer.act("ready", phase="readmit")
        load.more(100)
    assert load.failures == []
    assert before_answers and before_ei1
    found = told(first, reading(balancer, balancer.module("lb_member_info"), "soak"))
    assert found["gaps"] == []
    assert found["total"] == {name: load.sent if name == "stot" else 0 for name in felt.COUNTERS}
    assert found["node"] == {name: load.answers["ei1"] if name == "stot" else 0 for name in felt.COUNTERS}
    used = {one["backend"]: one["counters"]["stot"] for one in found["backends"]}
    assert used == {"be_ei": load.sent, "be_two": 0}, "checks of HAProxy are no requests"
    # The answer to each act has a reading too: a heal that ends early is counted up to there.
    part = told(first, reading(balancer, shift, "shift"))["total"]["stot"]
    assert 100 <= part < load.sent


def test_failures_are_counted_wherever_they_were(balancer: Balancer) -> None:
    """A member that is killed under load: what the clients saw is in the counters, at the twin as well."""
    first = reading(balancer, balancer.module("lb_member_info"), "confirm")
    with Load(balancer.port, clients=8) as load:
        load.more(100)
        balancer.members[1].stop()  # a twin of the ill one
        wait_for(lambda: load.failures)
        load.more(50)
        for member in balancer.members:
            member.stop()
        load.more(16)
    found = told(first, reading(balancer, balancer.module("lb_member_info"), "soak"))
    total, answered = found["total"], [text for text in load.failures if text.startswith("HTTP 5")]
    assert total["stot"] == load.sent
    assert total["hrsp_5xx"] == len(answered) > 0
    # On a kept connection HAProxy gives no answer where a member breaks off without any, so that the client asks again;
    # it counts that nowhere (http_wait_for_response: not the first request of its connection).
    assert total["econ"] + total["eresp"] >= len(answered)
    assert total["econ"] > found["node"]["econ"], "some were at the twin, or found no server at all"
    assert found["node"]["hrsp_5xx"] == 0, "HAProxy answered these, not ei1"


@pytest.mark.parametrize("how", ["restart", "reload", "clear"])
def test_counters_that_began_anew_are_never_taken_for_a_difference(balancer: Balancer, how: str) -> None:
    with Load(balancer.port) as load:
        load.more(50)
    first = reading(balancer, balancer.module("lb_member_info"), "confirm")
    if how == "restart":
        balancer.stop()
        balancer.start()
    elif how == "reload":
        pid = balancer.pid()
        balancer.reload()
        wait_for(lambda: balancer.answers() and balancer.pid() != pid)
    else:
        balancer.ask("clear counters all")
    with Load(balancer.port) as load:
        load.more(10)
    found = told(first, reading(balancer, balancer.module("lb_member_info"), "soak"))
    assert found["total"] is None
    assert [one["reason"] for one in found["gaps"]] == ["went_back" if how == "clear" else "restarted"]


def test_an_act_tells_what_was_counted_in_the_members_backends(balancer: Balancer) -> None:
    assert "balancer" not in balancer.act("maint", _ansible_check_mode=True)
    done = balancer.act("maint")
    assert {row["backend"] for row in done["balancer"]["counters"]} == {"be_ei", "be_two"}
    assert done["balancer"]["pid"] == balancer.pid() and done["balancer"]["boot_id"]
    assert "servers" not in done["balancer"]


# The plays of a heal that only read, with the steps between them; what acts would write holds on this machine.
PLAYS = """
- hosts: lb1
  gather_facts: false
  tasks:
    - selfheal.cluster.heal_observe: {balancer: {socket: "{{ selfheal_socket }}"}}
      register: selfheal_seen
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        selfheal_heal: "{{ lookup('ansible.builtin.file', 'state.json') | from_json }}"
        selfheal_plan: "{{ lookup('ansible.builtin.file', 'plan.json') | from_json }}"
    - selfheal.cluster.heal_step: {step: plan}
      register: selfheal_heal
    - ansible.builtin.set_fact:
        selfheal_heal: "{{ selfheal_heal | combine(soaking, recursive=true) }}"
      vars:
        soaking: {phase: soak, hosts: {soak: [lb1]}, done: {shift: [lb1], readmit: [lb1]}}
- hosts: lb1
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: selfheal.cluster.lb_detach, tasks_from: soak, rolespec_validate: false}
      vars:
        lb_detach_heal: "{{ hostvars['localhost'].selfheal_heal }}"
- hosts: localhost
  gather_facts: false
  tasks:
    - selfheal.cluster.heal_step: {step: soak}
      register: selfheal_heal
    - ansible.builtin.copy: {content: "{{ selfheal_heal.detail | to_json }}", dest: detail.json, mode: "0600"}
"""


def test_through_the_plays_of_a_heal(balancer: Balancer, tmp_path: Path) -> None:
    """From the module on the balancer through host variables and steps into what the journal is given."""
    plan = plan_of(balancers=["lb1"])
    plan["policy"] = {**plan["policy"], "port": balancer.members[0].port}
    plan["policy"]["limits"] = {**plan["policy"]["limits"], "soak_seconds": 1}
    state = new_state(0.0, "ei1", "", "") | {
        "journal_host": "monitor", "watched": {"balancers": ["lb1"], "pairs": []}, "addresses": {"ei1": "127.0.0.1"},
    }  # fmt: skip
    for name, content in {"state.json": json.dumps(state), "plan.json": json.dumps(plan), "play.yml": PLAYS}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    host = f"lb1 ansible_connection=local ansible_python_interpreter={sys.executable}"
    (tmp_path / "inventory").write_text(f"{host} selfheal_socket={balancer.folder}/admin.sock\n", encoding="utf-8")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "SELFHEAL_"))}
    with Load(balancer.port) as load:
        load.more(20)
        before = load.sent
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventory", "play.yml"],
            env={**clean, "ANSIBLE_COLLECTIONS_PATH": str(REPO / ".dev"), "ANSIBLE_NOCOLOR": "1"},
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        meanwhile = load.sent - before
    assert done.returncode == 0, done.stdout + done.stderr
    detail = json.loads((tmp_path / "detail.json").read_text(encoding="utf-8"))
    assert detail["felt"]["balancers"] == ["lb1"] and detail["felt"]["gaps"] == [], detail
    assert 0 < detail["felt"]["total"]["stot"] <= meanwhile + 10  # a few are under way at either end
    assert detail["felt"]["total"]["hrsp_5xx"] == 0 and load.failures == []
    assert 0 < detail["felt"]["node"]["stot"] < detail["felt"]["total"]["stot"]
    assert detail["felt"]["phases"] == ["confirm", "soak"]
