# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What roles and playbooks make of the policy's variables, by Ansible's own templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[3]
CA = "/etc/ssl/monitor-ca.pem"


def trusted(value: Any) -> Any:
    """The same, as if Ansible had read it from its file."""
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def render(value: Any, **variables: Any) -> Any:
    return Templar(loader=DataLoader(), variables=trusted(variables)).template(trusted(value))


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("policy", "unit"),
    [
        ({}, "haproxy.service"),
        ({"selfheal_service": "ei"}, "haproxy.service"),
        ({"selfheal_service": "haproxyctl.service"}, "haproxy.service"),
        ({"selfheal_service": "haproxy"}, "haproxy.service"),
        ({"selfheal_service": "haproxy.service"}, "haproxy.service"),
        ({"selfheal_service": "haproxy@ext"}, "haproxy@ext.service"),
        ({"selfheal_service": "haproxy@ext.service"}, "haproxy@ext.service"),
        ({"guard_haproxy_service": "lb"}, "lb.service"),
        ({"guard_haproxy_service": "lb.service", "selfheal_service": "haproxy"}, "lb.service"),
    ],
)
def test_the_guard_watches_the_unit_of_haproxy(policy: dict[str, str], unit: str) -> None:
    role = {**read("roles/guard/defaults/main.yml"), **read("roles/guard/vars/main.yml"), **policy}
    files = render("{{ __guard_files | map(attribute='dest') | list }}", **role)
    assert f"/etc/systemd/system/{unit}.d/selfheal.conf" in files, files


def test_evidence_asks_haproxy_where_the_policy_says() -> None:
    role = read("roles/node_evidence/defaults/main.yml")
    assert render("{{ node_evidence_socket }}", **role) == "/run/haproxy/admin.sock"
    assert render("{{ node_evidence_socket }}", **role, selfheal_socket="/run/lb.sock") == "/run/lb.sock"
    (task,) = [task for task in read("roles/node_evidence/tasks/main.yml") if "selfheal.cluster.node_evidence" in task]
    assert task["selfheal.cluster.node_evidence"]["socket"] == "{{ node_evidence_socket }}"


def question(playbook: str) -> dict[str, Any]:
    """The task of a playbook that asks Nagios, with its variables."""
    tasks = [task for play in read(playbook) for task in play.get("tasks", [])]
    (found,) = [task for task in tasks if "nagios" in task.get("selfheal.cluster.heal_observe", {})]
    return dict(found)


@pytest.mark.parametrize("playbook", ["playbooks/heal.yml", "playbooks/survey.yml"])
@pytest.mark.parametrize(("policy", "path"), [({}, None), ({"selfheal_nagios_ca_file": ""}, None),
                                              ({"selfheal_nagios_ca_file": CA}, CA)])  # fmt: skip
def test_nagios_is_asked_with_the_authority_of_the_policy(playbook: str, policy: Any, path: str | None) -> None:
    task = question(playbook)
    asked = {"monitor": {"balancer": {}, "keepalived": {}, "nagios": {"layers": []}}}
    farm = {
        "inventory_hostname": "monitor", "heal_now": {"ask": asked, "node": "ei1"},
        "survey_scope": {"asks": asked, "monitor": "monitor"}, "selfheal_nagios_url": "https://monitor/nagios4/cgi-bin",
        "selfheal_nagios_user": "u", "selfheal_nagios_password_file": "/p",
    }  # fmt: skip
    sent = render(task["selfheal.cluster.heal_observe"]["nagios"], **task["vars"], **farm, **policy)
    wanted = {"layers": [], "url": "https://monitor/nagios4/cgi-bin", "user": "u", "password_file": "/p"}
    assert sent == (wanted if path is None else {**wanted, "ca_path": path})


def test_the_healer_takes_the_same_authority_unless_it_has_its_own() -> None:
    role = read("roles/healer/defaults/main.yml")
    assert render(role["healer_nagios_ca_file"]) == ""
    assert render(role["healer_nagios_ca_file"], selfheal_nagios_ca_file=CA) == CA


@pytest.mark.parametrize("role", ["lb_detach", "keepalived_failover"])
@pytest.mark.parametrize(
    ("limits", "seconds"), [({"restart_seconds": 60, "stop_seconds": 45}, 45), ({"restart_seconds": 60}, 10)]
)
def test_a_service_has_as_long_to_stop_as_the_policy_says(role: str, limits: dict[str, int], seconds: int) -> None:
    (task,) = [
        task for task in read(f"roles/{role}/tasks/restart.yml") if task["name"] == "Restart the service of the node"
    ]
    assert (
        render(task["selfheal.cluster.node_restart"]["stop_timeout"], **{f"{role}_heal": {"limits": limits}}) == seconds
    )


def entrances(playbook: str) -> list[tuple[str, str]]:
    """Roles of a playbook with their entrances, in the order in which they run."""
    tasks = [task for play in read(playbook) for task in play.get("tasks", [])]
    asked = [task["ansible.builtin.include_role"] for task in tasks if "ansible.builtin.include_role" in task]
    return [(role["name"].rpartition(".")[2], role.get("tasks_from", "main")) for role in asked]


@pytest.mark.parametrize(
    ("playbook", "role"), [("playbooks/healer.yml", "healer"), ("playbooks/site.yml", "nagios_server")]
)
def test_what_may_be_refused_is_looked_at_before_anything_changes(playbook: str, role: str) -> None:
    assert entrances(playbook)[0] == (role, "preflight")


@pytest.mark.parametrize(
    ("lines", "foreign"),
    [
        ([], []),
        (["missing     /usr/share/doc/nagios4-common/README"], []),
        (["??5?????? c /etc/nagios4/objects/contacts.cfg"], []),
        (["??5?????? c /etc/nagios4/nagios.cfg"], ["/etc/nagios4/nagios.cfg"]),
        (["missing   c /etc/nagios4/objects/localhost.cfg", "??5?????? c /etc/nagios4/resource.cfg"],
         ["/etc/nagios4/objects/localhost.cfg"]),
        (["??5?????? c /etc/nagios4/cgi.cfg", "??5?????? c /etc/apache2/conf-available/nagios4-cgi.conf"],
         ["/etc/apache2/conf-available/nagios4-cgi.conf", "/etc/nagios4/cgi.cfg"]),
    ],
)  # fmt: skip
def test_which_files_of_a_nagios_would_be_lost(lines: list[str], foreign: list[str]) -> None:
    """``dpkg --verify`` names what is not as its package brought it; objects that the role reads stay in use."""
    (task,) = [
        task
        for task in read("roles/nagios_server/tasks/preflight.yml")
        if "__nagios_server_foreign" in task.get("vars", {})
    ]
    role = {**read("roles/nagios_server/defaults/main.yml"), "__nagios_server_changed": {"stdout_lines": lines}}
    assert render(task["vars"]["__nagios_server_foreign"], **role) == foreign
