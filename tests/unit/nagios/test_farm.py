# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the roles write into Nagios: thresholds out of gauges, hosts and checks out of the inventory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges import DEFAULT_GAUGES
from ansible_collections.selfheal.cluster.plugins.module_utils._health import ASKED
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_farm import farm, partitions
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_thresholds import PROBES, thresholds

GROUPS = {"all": ["m", "lb1", "lb2", "ei1"], "monitor": ["m"], "lb": ["lb1", "lb2"], "ei": ["ei1"], "dc1": ["ei1", "m"]}
PAIR = {"selfheal_strategy": "keepalived_failover", "selfheal_port": 80}
POOL = {"selfheal_strategy": "lb_detach", "selfheal_balancers": "lb", "selfheal_port": 8280}


def hostvars(**changes: Any) -> dict[str, dict[str, Any]]:
    return {
        "m": {"ansible_host": "10.0.0.1"},
        "lb1": dict(PAIR),
        "lb2": dict(PAIR),
        "ei1": {**POOL, "ansible_host": "10.0.0.21", "selfheal_health_path": "/health", **changes},
    }


def gauge(**keys: Any) -> list[dict[str, Any]]:
    return [{"name": "mine", "kind": "resource", **keys}]


def test_every_probe_has_marks_in_the_default_gauges() -> None:
    marks = thresholds()
    assert set(marks) == set(PROBES)
    assert all(0 < mark["warning"] < mark["critical"] for mark in marks.values())


def test_default_marks_are_those_of_the_default_gauges() -> None:
    memory = next(each for each in DEFAULT_GAUGES if each["name"] == "memory")
    assert thresholds()["memory"] == {"warning": memory["clear_at"] * 100, "critical": memory["raise_at"] * 100}


@pytest.mark.parametrize(
    ("own", "probe", "marks"),
    [
        (gauge(service="memory", label="mem_used", per="max", raise_at=0.7, clear_at=0.5), "memory", (50, 70)),
        (gauge(service="mem*", label="mem_*", per="max", raise_at=0.7, clear_at=0.5), "memory", (50, 70)),
        (
            gauge(
                service="memory", label="mem_available", per="mem_total", direction="low", raise_at=0.1, clear_at=0.3
            ),
            "memory",
            (70, 90),
        ),
        (
            gauge(
                service=["load", "cpu"],
                label="load1",
                raise_at=9,
                clear_at=5,
                alternatives=[{"label": "cpu_idle", "unit": "ratio", "invert": True, "raise_at": 0.9, "clear_at": 0.6}],
            ),
            "cpu",
            (60, 90),
        ),
        (gauge(service="ping", label="rta", unit="s", raise_at=2, clear_at=1), "ping_time", (1, 2)),
        # what cannot be translated leaves the default marks
        (gauge(service="memory", label="mem_used", raise_at=9e9, clear_at=8e9), "memory", None),
        (gauge(service="cpu", label="load1", raise_at=0.7, clear_at=0.5), "cpu", None),
        (gauge(service="swap", label="swap", raise_at=0.7, clear_at=0.5), "memory", None),
        (gauge(service="http", read="state"), "http_time", None),
    ],
)
def test_marks_of_a_layers_own_gauges(own: list[dict[str, Any]], probe: str, marks: tuple[float, float] | None) -> None:
    wanted = thresholds()[probe] if marks is None else {"warning": marks[0], "critical": marks[1]}
    assert thresholds(own)[probe] == pytest.approx(wanted)


def test_a_wrong_gauge_is_named() -> None:
    with pytest.raises(SelfhealError, match="raise_at"):
        thresholds(gauge(service="memory", label="x", clear_at=1))


def test_the_farm() -> None:
    found = farm(hostvars(), GROUPS, GROUPS["all"])
    assert found["layers"] == {"ei": ["ei1"], "lb": ["lb1", "lb2"]}
    hosts = {host["name"]: host for host in found["hosts"]}
    assert [host["name"] for host in found["hosts"]] == GROUPS["all"]
    assert hosts["ei1"] == {
        "name": "ei1", "address": "10.0.0.21", "layer": "ei", "criticality": "normal", "parents": [], "port": 8280,
        "path": "/health", "scheme": "http", "guarded": False, "pair": False,
        "partitions": [{"path": "/", "command": "check_disk_root"}], "thresholds": thresholds(),
        "kubernetes": {}, "urls": [], "machine": True,
    }  # fmt: skip
    assert [host["name"] for host in found["hosts"] if host["pair"]] == ["lb1", "lb2"]
    assert (hosts["lb1"]["address"], hosts["lb1"]["guarded"], hosts["lb1"]["path"]) == ("lb1", True, "/")
    assert (hosts["m"]["layer"], hosts["m"]["port"], hosts["m"]["guarded"]) == ("", None, False)


def test_every_way_to_ask_a_service_has_its_command() -> None:
    template = (Path(__file__).parents[3] / "roles/nagios_server/templates/selfheal.cfg.j2").read_text(encoding="utf-8")
    for scheme in ASKED:
        assert farm(hostvars(selfheal_health_scheme=scheme), GROUPS, ["ei1"])["hosts"][0]["scheme"] == scheme
        assert f"command_name  selfheal-{scheme}\n" in template


def test_only_some_nodes() -> None:
    found = farm(hostvars(selfheal_parents=["m"]), GROUPS, ["ei1"])
    assert found["layers"] == {"ei": ["ei1"]}
    assert found["hosts"][0]["parents"] == []
    assert farm(hostvars(selfheal_parents=["m"]), GROUPS, ["ei1", "m"])["hosts"][0]["parents"] == ["m"]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"ansible_host": "10.0.0.1; id"}, "ansible_host"),
        ({"ansible_host": "x\n}"}, "ansible_host"),
        ({"selfheal_criticality": "extreme"}, "selfheal_criticality"),
        ({"selfheal_port": "80; id"}, "selfheal_port"),
        ({"selfheal_port": True}, "selfheal_port"),
        ({"selfheal_port": 70000}, "selfheal_port"),
        ({"selfheal_health_path": "/x' ; id '"}, "selfheal_health_path"),
        ({"selfheal_health_path": "/x!y"}, "selfheal_health_path"),
        ({"selfheal_health_scheme": "tcp!x"}, "selfheal_health_scheme"),
        ({"selfheal_health_path": "/$USER1$"}, "selfheal_health_path"),
        ({"selfheal_parents": ["nobody"]}, "selfheal_parents"),
        ({"selfheal_parents": ["a;b"]}, "name"),
        ({"nagios_agent_partitions": ["var"]}, "nagios_agent_partitions"),
        ({"nagios_agent_partitions": ["/a'b"]}, "nagios_agent_partitions"),
    ],
)
def test_what_nagios_could_take_for_something_else_is_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(SelfhealError, match=word):
        farm(hostvars(**changes), GROUPS, GROUPS["all"])


def test_partitions() -> None:
    assert [each["command"] for each in partitions("n", ["/", "/var/lib/ei", "/mnt/a b"])] == [
        "check_disk_root", "check_disk_var_lib_ei", "check_disk_mnt_a_b",
    ]  # fmt: skip
    with pytest.raises(SelfhealError, match="each once"):
        partitions("n", ["/a/b", "/a_b"])


CLUSTER = {
    "shop": {"selfheal_strategy": "kubernetes_workload", "selfheal_namespace": "ei", "selfheal_object": "ei-deployment",
             "ansible_host": "10.0.0.32", "selfheal_port": 30010, "nagios_server_autoscaler": "ei-hpa",
             "nagios_server_urls": [{"port": 30011, "path": "/simple", "scheme": "https"}]},
    "kw1": {"selfheal_strategy": "kubernetes_node", "ansible_host": "10.0.0.32"},
}  # fmt: skip
CLUSTER_GROUPS = {"all": ["shop", "kw1"], "apps": ["shop"], "workers": ["kw1"]}


def test_workloads_and_nodes_of_a_cluster() -> None:
    shop, worker = farm(CLUSTER, CLUSTER_GROUPS, ["shop", "kw1"])["hosts"]
    assert shop["kubernetes"] == {
        "kind": "workload", "name": "ei-deployment", "namespace": "ei", "autoscaler": "ei-hpa",
    }  # fmt: skip
    assert shop["urls"] == [{"port": 30011, "path": "/simple", "scheme": "https"}]
    assert worker["kubernetes"] == {"kind": "node", "name": "kw1", "namespace": "", "autoscaler": ""}
    assert worker["urls"] == []
    assert (shop["machine"], worker["machine"]) == (False, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"selfheal_object": "a;rm"}, "selfheal_object"),
        ({"selfheal_namespace": ""}, "selfheal_namespace"),
        ({"nagios_server_autoscaler": "a!b"}, "nagios_server_autoscaler"),
        ({"nagios_server_urls": [{"port": "30011"}]}, "nagios_server_urls"),
        ({"nagios_server_urls": [{"port": 1, "path": "/$x"}]}, "nagios_server_urls"),
    ],
)
def test_what_nagios_cannot_take_of_a_cluster(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SelfhealError, match=words):
        farm({**CLUSTER, "shop": {**CLUSTER["shop"], **changes}}, CLUSTER_GROUPS, ["shop"])
