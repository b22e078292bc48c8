# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What of a Nagios may become an inventory: a table of friendly and hostile objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_inventory import Farm, build

CONNECTION = {"ansible_host", "ansible_user", "ansible_port"}


def host(name: str = "web1", address: str = "10.0.0.1", **custom: str) -> dict[str, Any]:
    return {
        "host": name, "address": address, "alias": "Web one", "display_name": name, "notes": "", "parents": [],
        "services": [], "custom_variables": custom,
    }  # fmt: skip


def group(name: str, *members: str) -> dict[str, Any]:
    return {"hostgroup": name, "alias": name, "members": list(members)}


def test_a_friendly_farm() -> None:
    farm = build([host(ANSIBLE_USER="ops", ANSIBLE_PORT="2222", SITE="dc1")], [group("web", "web1")])
    assert farm.warnings == []
    assert farm.groups == {"web": ["web1"]}
    assert farm.hosts["web1"] == {
        "ansible_host": "10.0.0.1", "ansible_user": "ops", "ansible_port": 2222, "nagios_address": "10.0.0.1",
        "nagios_alias": "Web one", "nagios_display_name": "web1", "nagios_notes": "", "nagios_parents": [],
        "nagios_hostgroups": ["web"],
        "nagios_custom_variables": {"ANSIBLE_USER": "ops", "ANSIBLE_PORT": "2222", "SITE": "dc1"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("record", "refused"),
    [
        (host(address="-oProxyCommand=touch /x"), "ansible_host"),
        (host(address="10.0.0.1 -o x"), "ansible_host"),
        (host(address="{{ lookup('pipe','id') }}"), "ansible_host"),
        (host(address=""), "ansible_host"),
        (host(address="a\nb"), "ansible_host"),
        (host(address="10.0.0.1\n"), "ansible_host"),
        (host(ANSIBLE_USER="root -o x"), "ansible_user"),
        (host(ANSIBLE_USER="-l"), "ansible_user"),
        (host(ANSIBLE_USER="{{ x }}"), "ansible_user"),
        (host(ANSIBLE_USER="ops\n"), "ansible_user"),
        (host(ANSIBLE_PORT="0"), "ansible_port"),
        (host(ANSIBLE_PORT="65536"), "ansible_port"),
        (host(ANSIBLE_PORT="22 -o x"), "ansible_port"),
        (host(ANSIBLE_PORT=""), "ansible_port"),
    ],
)
def test_a_value_that_does_not_look_right_is_left_out_and_named(record: dict[str, Any], refused: str) -> None:
    farm = build([record], [])
    assert refused not in farm.hosts["web1"]
    assert len(farm.warnings) == 1
    assert refused in farm.warnings[0]


@pytest.mark.parametrize("address", ["10.0.0.1", "web1.example.com", "fe80::1%eth0", "2001:db8::1"])
def test_addresses(address: str) -> None:
    assert build([host(address=address)], []).hosts["web1"]["ansible_host"] == address


@pytest.mark.parametrize(
    "name",
    [
        "ANSIBLE_SSH_COMMON_ARGS",
        "ANSIBLE_CONNECTION",
        "ANSIBLE_BECOME_EXE",
        "ANSIBLE_PYTHON_INTERPRETER",
        "SELFHEAL_MODE",
    ],
)
def test_no_other_custom_variable_becomes_a_variable(name: str) -> None:
    variables = build([host(**{name: "-o ProxyCommand=id"})], []).hosts["web1"]
    assert {key for key in variables if not key.startswith("nagios_")} <= CONNECTION
    assert variables["nagios_custom_variables"] == {name: "-o ProxyCommand=id"}


@pytest.mark.parametrize("name", ["-x", "a b", "web1,web2", "a;b", "x\n", "(null)", "web[1:9]", "", "!web"])
def test_names_of_hosts(name: str) -> None:
    farm = build([host(name)], [group("web", name)])
    assert (farm.hosts, farm.groups, len(farm.warnings)) == ({}, {}, 1)


@pytest.mark.parametrize("name", ["all", "ungrouped", "a b", "1st", "x:y", "{{ x }}", "web1"])
def test_names_of_groups(name: str) -> None:
    farm = build([host()], [group(name, "web1")])
    assert (farm.groups, len(farm.warnings)) == ({}, 1)


def test_only_some_hostgroups() -> None:
    hosts, groups = (
        [host("web1"), host("db1")],
        [group("web", "web1"), group("db", "db1"), group("linux", "web1", "db1")],
    )
    farm = build(hosts, groups, ["web"])
    assert (sorted(farm.hosts), farm.groups) == (["web1"], {"web": ["web1"], "linux": ["web1"]})
    with pytest.raises(SelfhealError, match="nope"):
        build(hosts, groups, ["nope"])


def test_the_cache_is_plain_data_and_comes_back_the_same() -> None:
    farm = build([host(ANSIBLE_USER="ops")], [group("web", "web1")])
    assert Farm.from_cache(json.loads(json.dumps(farm.to_cache()))) == farm


def test_a_cache_that_somebody_changed_brings_nothing_in() -> None:
    data = build([host(ANSIBLE_USER="ops")], [group("web", "web1")]).to_cache()
    data["hosts"]["web1"].update(ansible_ssh_common_args="-o x", ansible_user="-l", ansible_port=True)
    data["hosts"]["-x"] = {}
    data["groups"].update({"all": ["web1"], "new": ["web1", "-x"]})
    farm = Farm.from_cache(data)
    assert {key for key in farm.hosts["web1"] if not key.startswith("nagios_")} == {"ansible_host"}
    assert list(farm.hosts) == ["web1"]
    assert farm.groups == {"web": ["web1"], "new": ["web1"]}


@pytest.mark.parametrize("data", [{}, {"hosts": 1, "groups": {}, "warnings": []}, {"hosts": {"a": 1}, "groups": {}}])
def test_a_broken_cache_says_so(data: Any) -> None:
    with pytest.raises(SelfhealError, match="cache"):
        Farm.from_cache(data)
