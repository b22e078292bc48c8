# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""`lab/up` ends with a farm that serves; a second run of its playbook changes nothing."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import pytest
import yaml

from lab.machines import Lab, wait_until
from tests.integration.conftest import PAIR, holders
from tests.integration.conftest import VIP as ADDRESS

from .conftest import ROOT, Farm

pytestmark = pytest.mark.lab
POOL = ("ei1", "ei2", "ei3")


def get(url: str) -> tuple[int, str, dict[str, str]]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.headers.items()}


def read_file(lab: Lab, node: str, path: str) -> str:
    return lab.exec(node, ["cat", path]).stdout


@pytest.fixture
def at_home(farm: Farm) -> Iterator[Lab]:
    assert wait_until(lambda: holders() == ["extlb1"], 30, pause=0.2)
    yield farm.lab


def test_the_farm_answers_through_the_preferred_balancer(at_home: Lab) -> None:
    answers = [get(f"http://{ADDRESS}/simple") for _ in range(6)]
    assert {headers["x-balancer"] for _status, _body, headers in answers} == {"extlb1"}
    assert {headers["x-member"] for _status, _body, headers in answers} == set(POOL)
    assert all(status == 200 and "<status>OK</status>" in body for status, body, _headers in answers)


def test_keepalived_says_what_the_addresses_say(at_home: Lab) -> None:
    states: dict[str, dict[str, int]] = {}

    def dumped() -> bool:
        """Ask again when the dump was read half written, or by the guard before us."""
        for node in PAIR:
            at_home.exec(node, ["sh", "-c", "kill -s $(keepalived --signum=JSON) $(cat /run/keepalived.pid)"])
            with suppress(json.JSONDecodeError):
                text = at_home.exec(node, ["cat", "/tmp/keepalived.json"], check=False).stdout
                states[node] = json.loads(text)[0]["data"]
        return [states[node]["state"] for node in PAIR if node in states] == [2, 1]  # MASTER and BACKUP

    assert wait_until(dumped, 10, pause=0.2), states
    assert [states[node]["base_priority"] for node in PAIR] == [250, 200]
    assert read_file(at_home, "extlb1", "/var/lib/selfheal/keepalived/VI_ext").strip() == "0"


def test_both_balancers_have_the_same_configuration_and_see_all_members(at_home: Lab) -> None:
    assert len({read_file(at_home, node, "/etc/haproxy/haproxy.cfg") for node in PAIR}) == 1
    for node in PAIR:
        ask = "echo show servers state be_ei | socat - /run/haproxy/admin.sock"
        state = at_home.exec(node, ["sh", "-c", ask]).stdout
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
        spoil = f"sed 's/priority 200/priority 999/; s/^backend/nonsense/' {path} > {broken[path]}"
        at_home.exec("extlb2", ["sh", "-c", spoil])
        spoilt = [broken.get(word, word) for word in argv]
        assert at_home.exec("extlb2", spoilt, check=False).returncode != 0


def test_the_monitor_belongs_to_the_healer(at_home: Lab) -> None:
    paths = ["/var/lib/selfheal", "/etc/selfheal", "/etc/selfheal/nagios.password", "/var/lib/selfheal/journal.db"]
    shown = at_home.exec("monitor", ["stat", "-c", "%U:%G %a", *paths]).stdout
    assert shown.splitlines() == [
        "selfheal:selfheal 750",
        "root:selfheal 750",
        "root:selfheal 640",
        "selfheal:selfheal 600",
    ]
    assert len(read_file(at_home, "monitor", "/etc/selfheal/nagios.password").strip()) == 24


def test_a_second_run_of_the_playbooks_changes_nothing(farm: Farm) -> None:
    for playbook in ("lab/create.yml", "lab/site.yml"):
        output = farm.playbook(playbook)
        assert "changed=0" in output
        assert not re.findall(r"changed=[1-9]\d*", output), re.findall(r"(?m)^TASK.*\n(?:.*\n)*?changed:.*", output)
