# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whom the survey asks what, out of inventories that are right, wrong and empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._heal_target import NOBODY
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_scope import scope

POOL = {"selfheal_strategy": "lb_detach", "selfheal_balancers": "lb", "selfheal_service": "ei.service",
        "selfheal_port": 8280}  # fmt: skip
PAIR = {"selfheal_strategy": "keepalived_failover", "selfheal_vip": "10.0.0.9", "selfheal_instance": "VI_1",
        "selfheal_service": "haproxy.service", "selfheal_config_test": [["haproxy", "-c"]]}  # fmt: skip


def resolve(names: Sequence[str]) -> dict[str, list[str]]:
    return {name: {"ei2": ["10.0.0.2"]}.get(name, []) for name in names}


def inventory() -> tuple[dict[str, list[str]], dict[str, dict[str, Any]]]:
    groups = {"ei": ["ei1", "ei2"], "lb": ["lb1", "lb2"], "monitor": ["mon"], "ungrouped": []}
    groups["all"] = [host for hosts in list(groups.values()) for host in hosts]
    hostvars: dict[str, dict[str, Any]] = {"ei1": {**POOL, "ansible_host": "10.0.0.1"}, "ei2": dict(POOL)}
    hostvars.update(lb1=dict(PAIR), lb2={**PAIR, "selfheal_socket": "/run/x.sock"})
    hostvars["mon"] = {"selfheal_nagios_url": "http://mon/cgi", "selfheal_nagios_user": "reader"}
    return groups, hostvars


def test_an_inventory_in_order() -> None:
    found = scope(*inventory(), resolve)
    assert found["problems"] == []
    assert {layer["layer"]: layer["nodes"] for layer in found["layers"]} == {"ei": ["ei1", "ei2"], "lb": ["lb1", "lb2"]}
    health = {"scheme": "http", "address": "127.0.0.1", "port": 8280, "path": "/"}
    assert found["targets"]["ei1"] == {"service": "ei.service", "port": 8280, "config_test": [], "health": health}
    assert "health" not in found["targets"]["lb1"], "no port, no question"
    assert found["targets"]["lb2"]["socket"] == "/run/x.sock"
    assert found["targets"]["lb1"]["track_file"] == "/var/lib/selfheal/keepalived/VI_1"
    assert found["targets"]["mon"]["journal"] == "/var/lib/selfheal/journal.db"
    assert found["run"] == {"all": "ei1,ei2,lb1,lb2,mon", "traffic": "lb1,lb2", "journal": "mon"}
    assert found["asks"]["lb2"]["balancer"] == {"socket": "/run/x.sock"}
    assert found["asks"]["lb1"]["keepalived"]["vip"] == "10.0.0.9"
    assert found["asks"]["mon"]["nagios"]["layers"][0]["nodes"] == ["ei1", "ei2"]
    assert found["asks"]["mon"]["nagios"]["journal"] == "/var/lib/selfheal/journal.db", "as a heal would judge"
    assert found["asks"]["ei1"] == {}
    assert (found["addresses"]["ei1"], found["addresses"]["ei2"]) == ("10.0.0.1", "10.0.0.2")
    assert set(found["unresolved"]) == {"lb1", "lb2", "mon"}
    assert "set selfheal_address of lb1" in found["unresolved"]["lb1"]


def test_each_layer_is_asked_for_with_its_own_age_of_readings() -> None:
    groups, hostvars = inventory()
    for node in groups["ei"]:
        hostvars[node]["selfheal_limits"] = {"reading_age_seconds": 750}
    asked = scope(groups, hostvars, resolve)["asks"]["mon"]["nagios"]
    assert {layer["layer"]: layer["reading_age_seconds"] for layer in asked["layers"]} == {"ei": 750, "lb": 150}


def test_the_survey_asks_what_a_heal_will_ask() -> None:
    groups, hostvars = inventory()
    for node in groups["ei"]:
        hostvars[node].update(selfheal_health_scheme="https", selfheal_health_path="/up")
    for node in groups["lb"]:
        hostvars[node].update(selfheal_port=80, selfheal_health_scheme="tcp", selfheal_health_address="10.0.0.5")
    hostvars["ei2"]["selfheal_health_address"] = "10.0.0.2"
    found = scope(groups, hostvars, resolve)
    assert found["problems"] == []
    assert found["targets"]["ei2"]["health"] == {"scheme": "https", "address": "10.0.0.2", "port": 8280, "path": "/up"}
    assert found["targets"]["ei1"]["health"]["address"] == "127.0.0.1"
    assert found["targets"]["lb1"]["health"]["scheme"] == "tcp"
    pair = found["asks"]["lb1"]["keepalived"]
    assert (pair["service_scheme"], pair["service_address"]) == ("tcp", "10.0.0.5")
    for node in groups["ei"]:
        hostvars[node].update(selfheal_health_scheme="none")
    assert "health" not in scope(groups, hostvars, resolve)["targets"]["ei1"]


def test_an_empty_inventory() -> None:
    found = scope({"all": [], "ungrouped": []}, {}, resolve)
    assert found["layers"] == [] and found["problems"] == []
    assert set(found["run"].values()) == {NOBODY}, "an empty list would mean every host"


def test_a_bad_layer_is_told_and_the_others_are_still_asked() -> None:
    groups, hostvars = inventory()
    for node in groups["ei"]:
        hostvars[node]["selfheal_port"] = "eighty"
    found = scope(groups, hostvars, resolve)
    broken, good = found["layers"]
    assert "selfheal_port" in broken["problem"] and broken["kind"] == "pool" and broken["nodes"] == ["ei1", "ei2"]
    assert good["problem"] == ""
    assert found["pairs"] == ["lb1", "lb2"]


def test_a_node_in_two_layers_is_told_and_the_rest_is_still_surveyed() -> None:
    groups, hostvars = inventory()
    groups["other"] = ["ei2", "x"]
    groups["all"].append("x")
    hostvars["x"] = dict(POOL)
    found = scope(groups, hostvars, resolve)
    assert found["problems"], "the contradiction is a finding"
    named = [node for layer in found["layers"] for node in layer["nodes"]]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("name", ["!ei1", "ei*", "a,b"])
def test_a_name_that_reads_as_a_pattern_is_left_out_and_told(name: str) -> None:
    groups, hostvars = inventory()
    groups["ei"].append(name)
    groups["all"].append(name)
    hostvars[name] = dict(POOL)
    found = scope(groups, hostvars, resolve)
    assert name not in found["asked"]
    assert any(name == problem["where"] for problem in found["problems"])


def test_two_journal_hosts_are_a_problem() -> None:
    groups, hostvars = inventory()
    hostvars["ei1"]["selfheal_journal_host"] = "mon"
    hostvars["lb1"]["selfheal_journal_host"] = "lb1"
    problems = scope(groups, hostvars, resolve)["problems"]
    assert any("selfheal_journal_host differs" in problem["what"] for problem in problems)
