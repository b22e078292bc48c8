# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Group variables become policy, or the sentence says which layer, which variable, and what is allowed."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._policy import (
    check_names,
    differences,
    effective,
    layers,
    policy_hash,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._policy_checks import PolicyError
from tests.unit.planner.farm import GROUPS, HOSTVARS


def inventory() -> tuple[dict[str, Any], dict[str, list[str]]]:
    return copy.deepcopy(HOSTVARS), copy.deepcopy(GROUPS)


def ei(**changes: Any) -> dict[str, Any]:
    hostvars, groups = inventory()
    for node in groups["ei"]:
        hostvars[node].update(changes)
    return effective("ei", hostvars, groups)


def extlb(**changes: Any) -> dict[str, Any]:
    hostvars, groups = inventory()
    for node in groups["extlb"]:
        hostvars[node].update(changes)
    return effective("extlb", hostvars, groups)


def test_defaults_are_filled_in() -> None:
    policy = ei()
    assert policy["limits"]["max_attempts"] == 3
    assert policy["limits"]["block_node_seconds"] == 1800
    assert (policy["kind"], policy["mode"], policy["balancers"]) == ("pool", "act", ["extlb1", "extlb2"])
    assert policy["sockets"] == {"extlb1": "/run/haproxy/admin.sock", "extlb2": "/run/haproxy/admin.sock"}
    assert policy["gauges"], "the default gauges belong to the effective policy"
    hostvars, groups = inventory()
    for node in groups["ei"]:
        del hostvars[node]["selfheal_mode"]
    assert effective("ei", hostvars, groups)["mode"] == "observe"


def test_policy_is_plain_json_and_its_hash_is_stable() -> None:
    policy = ei()
    assert json.loads(json.dumps(policy)) == policy
    turned = json.loads(json.dumps(dict(reversed(list(policy.items())))))
    assert policy_hash(turned) == policy_hash(policy)
    other = ei(selfheal_limits={"max_attempts": 4})
    assert policy_hash(other) != policy_hash(policy)
    assert differences(policy, other) == ["limits"]


def test_unknown_nodes_of_a_group_are_left_out_but_all_must_agree() -> None:
    hostvars, groups = inventory()
    hostvars["ei2"]["selfheal_service"] = "other.service"
    with pytest.raises(PolicyError, match="layer ei: selfheal_service differs between ei1 and ei2"):
        effective("ei", hostvars, groups)


@pytest.mark.parametrize(
    ("given", "unit"),
    [
        ("haproxy", "haproxy.service"),
        ("haproxy.service", "haproxy.service"),
        ("haproxy@ext", "haproxy@ext.service"),
        ("haproxy@ext.service", "haproxy@ext.service"),
        ("wso2.ei", "wso2.ei.service"),
        ("ei.target", "ei.target"),
    ],
)
def test_a_unit_has_one_spelling(given: str, unit: str) -> None:
    assert ei(selfheal_service=given)["service"] == unit
    assert policy_hash(ei(selfheal_service=given)) == policy_hash(ei(selfheal_service=unit))


NAN, INF = float("nan"), float("inf")


def relief(**changes: Any) -> dict[str, Any]:
    """One entry of ``selfheal_relief``; what is None is left out."""
    entry = {"path": "/var/log/ei", "pattern": "*.log.*", "older_seconds": 3600, **changes}
    return {"selfheal_relief": [{key: value for key, value in entry.items() if value is not None}]}


def test_a_relief_says_what_may_be_deleted() -> None:
    assert ei(**relief())["relief"] == [{"path": "/var/log/ei", "pattern": "*.log.*", "older_seconds": 3600}]
    assert ei()["relief"] == extlb()["relief"] == []
    for path in ("/srv/ei", "/opt/ei/logs", "/home/ei/logs", "/usr/local/tomcat/logs", "/var/lib/ei", "/data/ei/old"):
        assert ei(**relief(path=path))["relief"][0]["path"] == path


@pytest.mark.parametrize(
    "path",
    [
        "/", "/var", "/etc", "/home", "/usr", "/tmp", "/data", "/var/log", "/var/lib", "/var/spool", "/var/run",
        "/usr/local", "/usr/local/bin", "/usr/local/lib/x", "/usr/share/x", "/home/ei", "/root/logs", "/etc/ei",
        "/boot/efi", "/proc/1", "/sys/x", "/dev/shm", "/lib/x", "/var/lib/selfheal", "/var/lib/selfheal/evidence",
        "/var/spool/selfheal", "/var/lib/dpkg/info", "/var/log/journal/x", "/var/log/ei/", "/var//log/ei",
        "//var/log/ei", "/var/log/./ei", "/var/log/ei/..", "/var/log/../../etc", "var/log/ei", "", "/var/log/e\ni",
        "/var/log/\x00", "/var/log/\ud800", 5, ["/var/log/ei"],
    ],
    ids=repr,
)  # fmt: skip
def test_a_relief_never_touches_a_folder_of_the_system(path: Any) -> None:
    with pytest.raises(PolicyError, match=r"layer ei: selfheal_relief\[0\]\.path is .*no folder of the system"):
        ei(**relief(path=path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"selfheal_mode": "acts"}, ["selfheal_mode", "'acts'", "observe, approve, act"]),
        ({"selfheal_mode": True}, ["selfheal_mode", "True"]),
        ({"selfheal_strategy": "detach"}, ["selfheal_strategy", "lb_detach"]),
        ({"selfheal_kind": "pair"}, ["selfheal_kind is pair", "heals a pool"]),
        ({"selfheal_port": "8280"}, ["selfheal_port", "'8280'", "from 1 to 65535"]),
        ({"selfheal_port": True}, ["selfheal_port", "True"]),
        ({"selfheal_port": 0}, ["selfheal_port"]),
        ({"selfheal_port": 80.5}, ["selfheal_port"]),
        ({"selfheal_port": None}, ["selfheal_port is missing"]),
        ({"selfheal_balancers": ""}, ["selfheal_balancers is missing"]),
        ({"selfheal_balancers": "extlbs"}, ["extlbs", "Did you mean extlb?"]),
        ({"selfheal_balancers": "ei"}, ["balance itself"]),
        ({"selfheal_balancers": ["extlb"]}, ["selfheal_balancers"]),
        ({"selfheal_service": "ei.service; reboot"}, ["selfheal_service", "systemd unit"]),
        ({"selfheal_service": "-x"}, ["selfheal_service"]),
        ({"selfheal_health_path": "health"}, ["selfheal_health_path", "begins with /"]),
        ({"selfheal_health_path": "/a b"}, ["selfheal_health_path"]),
        ({"selfheal_health_scheme": "ftp"}, ["selfheal_health_scheme", "http, https, tcp, none"]),
        ({"selfheal_health_address": "ei1.lan"}, ["selfheal_health_address", "'ei1.lan'", "an IP address"]),
        ({"selfheal_vip": "10.0.0.0/24"}, ["selfheal_vip", "IP address"]),
        ({"selfheal_home": "later"}, ["selfheal_home", "now, never"]),
        ({"selfheal_home": "window"}, ["selfheal_home", "window is not built yet: take now or never"]),
        ({"selfheal_reboot": "yes"}, ["selfheal_reboot", "true, false"]),
        ({"selfheal_reboot": 1}, ["selfheal_reboot"]),
        ({"selfheal_criticality": "top"}, ["selfheal_criticality", "low, normal, high"]),
        ({"selfheal_preferred": "ei9"}, ["selfheal_preferred", "ei9", "ei1, ei2, ei3"]),
        ({"selfheal_config_test": ["haproxy -c"]}, ["selfheal_config_test[0]", "list of words"]),
        ({"selfheal_config_test": [["haproxy", 1]]}, ["selfheal_config_test[0]"]),
        ({"selfheal_config_test": "haproxy -c"}, ["selfheal_config_test"]),
        ({"selfheal_config_files": ["etc/x"]}, ["selfheal_config_files[0]", "absolute path"]),
        ({"selfheal_relief": "/var/log/ei"}, ["selfheal_relief", "a list of what may be deleted"]),
        ({"selfheal_relief": ["/var/log/ei"]}, ["selfheal_relief[0]", "older_seconds: 3600"]),
        (relief(pattern=None), ["selfheal_relief[0].pattern is missing"]),
        (relief(path=None), ["selfheal_relief[0].path is missing"]),
        (relief(patern="*"), ["selfheal_relief[0]", "patern", "Did you mean pattern?"]),
        (relief(pattern="old/*.log"), ["selfheal_relief[0].pattern", "without '/'"]),
        (relief(pattern=".."), ["selfheal_relief[0].pattern"]),
        (relief(pattern=""), ["selfheal_relief[0].pattern"]),
        (relief(pattern="*\n"), ["selfheal_relief[0].pattern"]),
        (relief(pattern=1), ["selfheal_relief[0].pattern"]),
        (relief(older_seconds=59), ["selfheal_relief[0].older_seconds", "60 or more"]),
        (relief(older_seconds="3600"), ["selfheal_relief[0].older_seconds", "a number"]),
        (relief(older_seconds=True), ["selfheal_relief[0].older_seconds"]),
        (relief(older_seconds=NAN), ["selfheal_relief[0].older_seconds", "nan"]),
        ({"selfheal_limits": []}, ["selfheal_limits", "dictionary"]),
        ({"selfheal_limits": {"max_atempts": 3}}, ["max_atempts", "Did you mean max_attempts?"]),
        ({"selfheal_limits": {"max_attempts": True}}, ["selfheal_limits.max_attempts", "True", "a whole number"]),
        ({"selfheal_limits": {"max_attempts": 1.5}}, ["max_attempts", "a whole number"]),
        ({"selfheal_limits": {"max_attempts": 0}}, ["max_attempts", "1 or more"]),
        ({"selfheal_limits": {"drain_seconds": NAN}}, ["drain_seconds", "nan"]),
        ({"selfheal_limits": {"restart_seconds": INF}}, ["restart_seconds", "inf"]),
        ({"selfheal_limits": {"stop_seconds": 0}}, ["stop_seconds", "from 1 to 3600"]),
        ({"selfheal_limits": {"stop_seconds": 60}}, ["stop_seconds is 60", "less than restart_seconds (60)"]),
        ({"selfheal_limits": {"block_node_seconds": -1}}, ["block_node_seconds", "0 or more"]),
        ({"selfheal_limits": {"block_node_seconds": "1800"}}, ["block_node_seconds", "a number"]),
        ({"selfheal_limits": {"storm_layer": 1}}, ["storm_layer"]),
        ({"selfheal_limits": {"max_unavailable": 3}}, ["max_unavailable is 3 of 3 nodes"]),
        ({"selfheal_gauges": "memory"}, ["selfheal_gauges"]),
        ({"selfheal_gauges": [{"name": "memory", "wrong": 1}]}, ["selfheal_gauges"]),
        ({"selfheal_limit": {}}, ["selfheal_limit.", "Did you mean selfheal_limits?"]),
        ({"selfheal_ballancers": "extlb"}, ["selfheal_ballancers", "Did you mean selfheal_balancers?"]),
        ({"selfheal_domain": "rack 1"}, ["selfheal_domain"]),
    ],
    ids=lambda value: "-".join(str(item)[:40] for item in value.items()) if isinstance(value, dict) else "",
)
def test_a_bad_pool_policy_names_layer_variable_and_what_is_allowed(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(PolicyError) as refused:
        ei(**changes)
    assert refused.value.reason == "policy"
    assert "layer ei" in refused.value.message
    for word in words:
        assert word in refused.value.message


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"selfheal_vip": None}, "selfheal_vip is missing"),
        ({"selfheal_instance": ""}, "selfheal_instance is missing"),
        ({"selfheal_instance": "../x"}, "selfheal_instance"),
        ({"selfheal_preferred": "ei1"}, "no node of the layer"),
        ({"selfheal_health_scheme": "none"}, "allowed for a pair: http, https, tcp"),
        ({"selfheal_health_address": "10.0.0.100"}, "is the virtual IP, where the other node may answer"),
        ({"selfheal_limits": {"max_unavailable": 2}}, "of a pair is 1"),
        ({"selfheal_strategy": "lb_detach"}, "layer extlb"),
        (relief(), "selfheal_relief is for the members of a pool"),
    ],
    ids=str,
)
def test_a_bad_pair_policy(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(PolicyError, match="layer extlb") as refused:
        extlb(**changes)
    assert word in refused.value.message


def test_the_address_of_the_question_may_differ_from_node_to_node() -> None:
    hostvars, groups = inventory()
    hostvars["extlb1"]["selfheal_health_address"] = "10.0.0.11"
    policy = effective("extlb", hostvars, groups)
    assert policy["health_addresses"] == {"extlb1": "10.0.0.11", "extlb2": "127.0.0.1"}
    assert policy["health_scheme"] == "http"
    assert ei(selfheal_health_scheme="none")["health_scheme"] == "none"
    assert layers(groups, hostvars)["extlb"] == ["extlb1", "extlb2"]


def test_a_pair_has_two_nodes() -> None:
    hostvars, groups = inventory()
    groups["extlb"].append("extlb3")
    hostvars["extlb3"] = dict(hostvars["extlb1"])
    with pytest.raises(PolicyError, match="a pair has two nodes, this group has 3"):
        effective("extlb", hostvars, groups)


def test_the_value_itself_goes_with_the_error_so_that_its_line_can_be_shown() -> None:
    with pytest.raises(PolicyError) as refused:
        ei(selfheal_mode="acts")
    assert refused.value.obj == "acts"
    limits = {"max_attempts": True}
    with pytest.raises(PolicyError) as refused:
        ei(selfheal_limits=limits)
    assert refused.value.obj == limits


def test_layers_are_the_widest_groups_of_one_policy() -> None:
    hostvars, groups = inventory()
    groups.update(gateway=["extlb1", "extlb2", "ei1", "ei2", "ei3"], rack1=["ei1", "ei2"], ungrouped=[])
    assert layers(groups, hostvars) == {"ei": ["ei1", "ei2", "ei3"], "extlb": ["extlb1", "extlb2"]}


def test_a_node_in_two_layers_is_an_error() -> None:
    hostvars, groups = inventory()
    groups["km"] = ["ei3", "km1"]
    groups["all"].append("km1")
    hostvars["km1"] = dict(hostvars["ei1"])
    with pytest.raises(PolicyError, match=r"node ei3 is in two layers"):
        layers(groups, hostvars)


def test_a_node_whose_policy_differs_from_all_of_its_groups_is_an_error() -> None:
    hostvars, groups = inventory()
    hostvars["ei2"]["selfheal_mode"] = "observe"
    with pytest.raises(PolicyError, match=r"in group ei, selfheal_mode differs between ei"):
        layers(groups, hostvars)


def test_the_name_of_a_layer_can_be_given() -> None:
    hostvars, groups = inventory()
    groups["twin"] = list(groups["ei"])
    with pytest.raises(PolicyError, match="two layers"):
        layers(groups, hostvars)
    for node in groups["ei"]:
        hostvars[node]["selfheal_layer"] = "ei"
    assert sorted(layers(groups, hostvars)) == ["ei", "extlb"]


def test_names_of_other_roles_are_nobodys_business_but_ours_are() -> None:
    check_names(
        "ei", {"nagios_agent_port": 1, "selfheal_seen_balancer": {}, "selfheal_run_scope": {}, "selfheal_mode": 1}
    )
    with pytest.raises(PolicyError, match="unknown variable selfheal_speed"):
        check_names("ei", {"selfheal_speed": 1})
    with pytest.raises(PolicyError, match="Did you mean selfheal_node"):
        check_names("ei", {"selfheal_nod": 1})
