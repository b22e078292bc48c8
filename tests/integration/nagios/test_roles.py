# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The roles nagios_server and nagios_agent on the machines of the lab."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import NagiosClient
from tests.integration.nagios_fixture import wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import Lab

pytestmark = pytest.mark.lab
URL = "http://10.213.77.10/nagios4/cgi-bin"
PLAYBOOK = """
- hosts: ei1,monitor
  gather_facts: false
  roles: [selfheal.cluster.nagios_agent]
- hosts: monitor
  gather_facts: false
  roles: [selfheal.cluster.nagios_server]
"""

LOOK = """
- hosts: monitor
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: selfheal.cluster.nagios_server
        tasks_from: preflight
"""


def changes(text: str) -> dict[str, int]:
    """Changed tasks per host, out of the recap."""
    return {host: int(count) for host, count in re.findall(r"^(\S+)\s+: .*changed=(\d+)", text, re.MULTILINE)}


@pytest.fixture
def playbook(tmp_path: Path) -> str:
    path = tmp_path / "roles.yml"
    path.write_text(PLAYBOOK)
    return str(path)


def test_check_mode_would_change_nothing(lab: Lab, playbook: str) -> None:
    """That another run changes nothing is seen in tests/integration/lab/test_farm.py, on all machines."""
    done = lab.playbook(playbook, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert changes(done.stdout) == {"ei1": 0, "monitor": 0}, done.stdout


def test_a_refused_configuration_leaves_the_old_one_running(lab: Lab, playbook: str) -> None:
    look = "md5sum /etc/nagios4/nagios.cfg /etc/nagios4/selfheal.cfg; systemctl show -p MainPID nagios4.service"
    before = lab.on("monitor", look).stdout
    periods = json.dumps({"nagios_server_check_periods": {"low": "never", "normal": "24x7", "high": "24x7"}})
    done = lab.playbook(playbook, "-e", periods)
    assert done.returncode != 0
    assert "Failed to locate check_period" in done.stdout
    assert lab.on("monitor", look).stdout == before


def test_a_nagios_of_ones_own_is_not_replaced(lab: Lab, tmp_path: Path) -> None:
    """As where this role never was: what it wrote here itself differs from the packages as anybody's files do."""
    path = tmp_path / "look.yml"
    path.write_text(LOOK)
    lab.on("monitor", "mv /etc/nagios4/selfheal.cfg /etc/nagios4/selfheal.kept")
    try:
        interrupted = lab.playbook(str(path))
        lab.on("monitor", "mv /etc/nagios4/selfheal-before /etc/nagios4/kept-before")
        refused = lab.playbook(str(path))
        wanted = lab.playbook(str(path), "-e", '{"nagios_server_replace": true}')
    finally:
        lab.on("monitor", "cd /etc/nagios4 && mv selfheal.kept selfheal.cfg && mv kept-before selfheal-before")
    assert interrupted.returncode == 0, interrupted.stdout
    said = " ".join(refused.stdout.split())
    assert refused.returncode != 0
    assert "/etc/nagios4/nagios.cfg" in said and "set nagios_server_replace to true" in said, said
    assert wanted.returncode == 0, wanted.stdout


def test_nobody_reads_without_a_password(lab: Lab) -> None:
    for path in ("statusjson.cgi?query=servicelist", "cmd.cgi", "../"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{URL}/{path}", timeout=10)
        assert caught.value.code == 401


def test_every_node_is_watched(lab: Lab) -> None:
    password = lab.on("monitor", "cat /etc/selfheal/nagios.password").stdout.strip()
    client = NagiosClient(URL, "selfheal", password, status_update_interval=1, use_proxy=False)
    services = client.services().require()
    for node in ("extlb1", "extlb2", "ei1", "ei2", "ei3"):
        wanted = {"memory", "cpu", "disk /", "ping", "http"}
        assert wanted <= {item["service"] for item in services if item["host"] == node}
        assert any(item["service"] == f"selfheal: {node}" for item in services if item["host"] == "monitor")
    assert {item["hostgroup"] for item in client.hostgroups().require()} >= {"ei", "extlb"}

    def all_checked() -> bool:
        return all(item["checked"] for item in client.services().items if not item["service"].startswith("selfheal:"))

    assert wait_for(all_checked, 60, "a first result of every check")


def test_the_healers_user_may_write_commands_and_read_the_password(lab: Lab) -> None:
    done = lab.on(
        "monitor",
        "runuser -u selfheal -- sh -c 'test -r /etc/selfheal/nagios.password && test -w /var/lib/nagios4/rw/nagios.cmd'"
        " && ! runuser -u www-data -- test -w /var/lib/nagios4/rw/nagios.cmd",
    )
    assert done.returncode == 0, done.stdout


def test_the_agent_answers_the_monitor_only_and_takes_no_arguments(lab: Lab) -> None:
    check = "/usr/lib/nagios/plugins/check_nrpe -t 5 -H 10.213.77.21"
    assert "memory" in lab.on("monitor", f"{check} -c check_memory").stdout
    for node, arguments in (("ei2", "-c check_memory"), ("monitor", "-c check_memory -a 1")):
        done = lab.on(node, f"{check} {arguments}")
        assert done.returncode != 0, done.stdout
        assert "available" not in done.stdout
