# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""``gauge_info`` as Ansible runs it, against a real Nagios: healthy, ill, and stopped in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.nagios_fixture import (
    PASSWORD,
    USER,
    RealNagios,
    host_object,
    module_answer,
    service_object,
    wait_for,
)

NODES = ["ei1", "ei2", "ei3"]
HEALTHY = {
    "memory": "mem_total=100kB mem_used=30kB;;;0;100 mem_available=70kB;80;90;0;100",
    "cpu": "cpu_user=20.0% cpu_system=1.0% cpu_idle=79.0%",
    "disk /": "/=10B;;;0;100",
    "ping": "rta=0.369ms;100;500;0 pl=0%;20;60;0;",
    "http": "time=0.006s;;;0;10 size=602B;;;0;",
}


@pytest.fixture
def nagios() -> Iterator[RealNagios]:
    objects = host_object("switch") + "".join(host_object(node, parents="switch") for node in NODES)
    objects += "".join(service_object(node, service) for node in NODES for service in HEALTHY)
    with RealNagios(objects) as running:
        for node in NODES:
            for service, perfdata in HEALTHY.items():
                running.passive(node, service, 0, f"fine|{perfdata}")
        wait_for(lambda: verdicts(running) == dict.fromkeys(NODES, "ok"), seconds=60, what="a healthy layer")
        yield running


def ask(nagios: RealNagios) -> dict[str, Any]:
    arguments = {
        "url": nagios.url,
        "user": USER,
        "password": PASSWORD,
        "status_update_interval": 1,
        "layers": [{"layer": "ei", "nodes": NODES}],
    }
    return module_answer("gauge_info", arguments)


def verdicts(nagios: RealNagios) -> dict[str, str]:
    return {node: verdict["verdict"] for node, verdict in ask(nagios)["verdicts"].items()}


def test_an_ill_node_is_found_with_what_the_verdict_rests_on(nagios: RealNagios) -> None:
    nagios.passive("ei2", "memory", 2, "CRITICAL|mem_total=100kB mem_available=3kB;80;90;0;100")
    nagios.passive("ei3", "http", 2, "CRITICAL - Socket timeout after 10 seconds")
    wait_for(
        lambda: verdicts(nagios) == {"ei1": "ok", "ei2": "faulty", "ei3": "faulty"}, seconds=60, what="two ill nodes"
    )
    before = len(nagios.requests)
    answer = ask(nagios)
    assert len(nagios.requests) - before == 4, "one bulk query for each of services, hosts, downtimes, parents"
    assert [answer["verdicts"][node]["kind"] for node in NODES] == [None, "resource", "service"]
    assert answer["hosts"]["ei1"]["parents"] == ["switch"]
    assert {record["service"] for record in answer["services"]["ei1"]} == set(HEALTHY)
    assert answer["downtimes"] == []
    assert answer["changed"] is False


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_without_nagios_nothing_is_known(nagios: RealNagios, end: str) -> None:
    getattr(nagios, end)()
    wait_for(lambda: verdicts(nagios) == dict.fromkeys(NODES, "unknown"), seconds=60, what="a stale Nagios")
    answer = ask(nagios)
    assert answer["nagios"]["fresh"] is False
    assert answer["nagios"]["message"] in answer["verdicts"]["ei1"]["reasons"][0]
