# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""`lab/up` ends with a farm that serves; a second run of its playbook changes nothing."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator

import pytest
import yaml

from lab.machines import Lab, wait_until

from .conftest import ROOT, Farm

pytestmark = pytest.mark.lab
ADDRESS = "10.213.77.100"
PAIR = ("extlb1", "extlb2")
POOL = ("ei1", "ei2", "ei3")


def get(url: str) -> tuple[int, str, dict[str, str]]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.headers.items()}


def holders(lab: Lab) -> list[str]:
    return [node for node in PAIR if f"{ADDRESS}/" in lab.exec(node, ["ip", "-4", "addr", "show", "dev", "eth0"]).stdout]


def read_file(lab: Lab, node: str, path: str) -> str:
    return lab.exec(node, ["cat", path]).stdout


@pytest.fixture
def at_home(farm: Farm) -> Iterator[Lab]:
    assert wait_until(lambda: holders(farm.lab) == ["extlb1"], 30, pause=0.2)
    yield farm.lab


def test_the_farm_answers_through_the_preferred_balancer(at_home: Lab) -> None:
    answers = [get(f"http://{ADDRESS}/simple") for _ in range(6)]
    assert {headers["x-balancer"] for _status, _body, headers in answers} == {"extlb1"}
    assert {headers["x-member"] for _status, _body, headers in answers} == set(POOL)
    assert all(status == 200 and "<status>OK</status>" in body for status, body, _headers in answers)


def test_keepalived_says_what_the_addresses_say(at_home: Lab) -> None:
    dump = "rm -f /tmp/keepalived.json; kill -s $(keepalived --signum=JSON) $(cat /run/keepalived.pid); " \
           "for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s /tmp/keepalived.json ] && break; sleep 0.1; done; cat /tmp/keepalived.json"
    states = {node: json.loads(at_home.exec(node, ["sh", "-c", dump]).stdout)[0]["data"] for node in PAIR}
    assert [states[node]["state"] for node in PAIR] == [2, 1], "MASTER and BACKUP"
    assert [states[node]["base_priority"] for node in PAIR] == [250, 200]
    assert read_file(at_home, "extlb1", "/var/lib/selfheal/keepalived/VI_ext").strip() == "0"


def test_both_balancers_have_the_same_configuration_and_see_all_members(at_home: Lab) -> None:
    assert len({read_file(at_home, node, "/etc/haproxy/haproxy.cfg") for node in PAIR}) == 1
    for node in PAIR:
        state = at_home.exec(node, ["sh", "-c", "echo show servers state be_ei | socat - /run/haproxy/admin.sock"]).stdout
        operational = re.findall(r"^\d+ be_ei \d+ (\S+) \S+ (\d)", state, re.MULTILINE)
        assert operational == [(member, "2") for member in POOL]
        status, body, _headers = get(f"http://{at_home.address(node)}:8404/stats;csv")
        assert status == 200
        assert body.startswith("# pxname,")
        assert get(f"http://{at_home.address(node)}/balancer-health")[0] == 200


def test_the_configuration_tests_of_the_policy_pass_and_fail(at_home: Lab) -> None:
    policy = yaml.safe_load((ROOT / "lab/inventory/group_vars/extlb.yml").read_text())
    broken = {"/etc/haproxy/haproxy.cfg": "/tmp/haproxy.cfg", "/etc/keepalived/keepalived.conf": "/tmp/keepalived.conf"}
    for argv in policy["selfheal_config_test"]:
        at_home.exec("extlb2", argv)
        path = next(word for word in argv if word in broken)
        at_home.exec("extlb2", ["sh", "-c", f"sed 's/^}}/}} }} nonsense {{/; s/^backend/nonsense/' {path} > {broken[path]}"])
        spoilt = [broken.get(word, word) for word in argv]
        assert at_home.exec("extlb2", spoilt, check=False).returncode != 0


def test_the_monitor_belongs_to_the_healer(at_home: Lab) -> None:
    shown = at_home.exec("monitor", ["stat", "-c", "%U:%G %a", "/var/lib/selfheal", "/etc/selfheal/nagios.password"]).stdout
    assert shown.splitlines() == ["selfheal:selfheal 750", "root:selfheal 640"]
    assert len(read_file(at_home, "monitor", "/etc/selfheal/nagios.password").strip()) == 24


def test_a_second_run_of_the_playbooks_changes_nothing(farm: Farm) -> None:
    for playbook in ("lab/create.yml", "lab/site.yml"):
        output = farm.playbook(playbook)
        assert "changed=0" in output
        assert not re.findall(r"changed=[1-9]\d*", output), re.findall(r"(?m)^TASK.*\n(?:.*\n)*?changed:.*", output)
