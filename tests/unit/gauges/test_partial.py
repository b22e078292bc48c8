# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A Nagios that shows a part of the farm, from its raw answers to the plan: what is not seen may be ill."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_asked import layers_of
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_seen import look
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import NagiosClient
from ansible_collections.selfheal.cluster.plugins.module_utils._planner import plan
from ansible_collections.selfheal.cluster.plugins.module_utils._snapshot import build
from tests.unit.nagios.answers import HOST, NOW_MS, SERVICE, answer
from tests.unit.planner import farm
from tests.unit.planner.test_snapshot import results

NOW = NOW_MS / 1000
ALL = ("ei1", "ei2", "ei3", "extlb1", "extlb2")
EI1, BALANCER = {"ei1": "memory"}, {"extlb1": "memory"}


def probe(name: str, ill: bool) -> dict[str, Any]:
    used = 96 if ill else 30
    perf = f"mem_total=100kB mem_available={100 - used}kB" if name == "memory" else f"/={used}B;80;90;0;100"
    return {
        **SERVICE,
        "status": "critical" if ill else "ok",
        "state_type": "hard",
        "current_attempt": 3 if ill else 1,
        "perf_data": perf,
        "last_state_change": NOW_MS - 40_000,
        "last_hard_state_change": NOW_MS - 20_000,
    }


class Site:
    """Nagios' JSON CGIs for a user who may see some nodes.

    ``ill``: the bad probe by node; ``bare``: hosts without services; ``spoil`` makes of a body what arrives.
    """

    def __init__(
        self, shown: Iterable[str], ill: Mapping[str, str], bare: Iterable[str] = (), spoil: Any = None
    ) -> None:
        hosts = {name: {**HOST, "name": name} for name in (*shown, *bare)}
        services = {name: {one: probe(one, ill.get(name) == one) for one in ("memory", "disk /")} for name in shown}
        self.bodies = {
            "servicelist": answer("servicelist", services),
            "hostlist": answer("hostlist", hosts),
            "downtimelist": answer("downtimelist", {}),
        }
        self.spoil = spoil or (lambda body: body)

    def __call__(self, url: str, **_options: Any) -> io.BytesIO:
        return io.BytesIO(self.spoil(self.bodies[parse_qs(urlsplit(url).query)["query"][0]]))


def decided(site: Site, node: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What Nagios is taken for, and the plan for this node."""
    client = NagiosClient("http://127.0.0.1/", opener=site, sleep=lambda _seconds: None)
    given = {**results(), "node": node}
    given["nagios"] = look(client, layers_of(given["policies"].values()), lambda: NOW)
    return given["nagios"]["nagios"], plan(build(**given), given["policies"], farm.history(), NOW)


def without(*names: str) -> tuple[str, ...]:
    return tuple(name for name in ALL if name not in names)


CASES: list[tuple[str, Site, str, str, set[str]]] = [
    # id, what Nagios shows, the target, reason of its freshness, refusals (none: admitted)
    ("all of it", Site(ALL, EI1), "ei1", "ok", set()),
    ("only the ill node", Site(["ei1"], EI1), "ei1", "partial", {"nagios_stale", "unknown_reading"}),
    ("a twin is missing", Site(without("ei2"), EI1), "ei1", "ok", {"nagios_stale"}),
    ("the standby is missing", Site(without("extlb2"), BALANCER), "extlb1", "ok", {"nagios_stale", "suspect_only"}),
    ("one node of another layer is missing", Site(without("extlb2"), EI1), "ei1", "ok", set()),
    ("a member is missing, a balancer is ill", Site(without("ei2"), BALANCER), "extlb1", "ok", set()),
    ("two of another layer are missing", Site(without("extlb1", "extlb2"), EI1), "ei1", "partial",
     {"nagios_stale", "unknown_reading"}),
    ("one of each layer is missing", Site(without("ei3", "extlb2"), EI1), "ei1", "partial",
     {"nagios_stale", "unknown_reading"}),
    ("a storm beside a missing node", Site(without("ei3"), {"ei1": "disk /", "ei2": "disk /", **BALANCER}), "extlb1",
     "ok", {"storm"}),
    ("a host without services", Site(without("ei2"), EI1, ["ei2"]), "ei1", "ok", set()),
    ("half an answer", Site(ALL, EI1, spoil=lambda body: body[: len(body) // 2]), "ei1", "invalid",
     {"nagios_stale", "unknown_reading"}),
    ("no rights at all", Site([], {}), "ei1", "no_services", {"nagios_stale", "unknown_reading"}),
    ("nothing", Site(ALL, EI1, spoil=lambda _body: b"\n"), "ei1", "empty", {"nagios_stale", "unknown_reading"}),
]  # fmt: skip


@pytest.mark.parametrize(("site", "node", "reason", "refused"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_from_the_answers_to_the_plan(site: Site, node: str, reason: str, refused: set[str]) -> None:
    nagios, decision = decided(site, node)
    assert (nagios["reason"], nagios["fresh"]) == (reason, reason == "ok")
    assert {item["reason"] for item in decision["refusals"]} == refused
    assert decision["admitted"] is (not refused)


def test_the_missing_are_named_with_what_to_do() -> None:
    nagios, decision = decided(Site(["ei1"], EI1), "ei1")
    for text in (nagios["message"], decision["refusals"][0]["detail"]):
        assert "Nagios shows 1 of 5 nodes: missing ei2, ei3, extlb1, extlb2. " in text
        assert "authorized_for_all_hosts" in text and "take them out of their layers" in text
    nagios, decision = decided(Site(without("ei2"), EI1), "ei1")
    for text in (nagios["unseen"], decision["refusals"][0]["detail"]):
        assert "Nagios shows 4 of 5 nodes: missing ei2. " in text
    assert "unseen" not in decided(Site(ALL, EI1), "ei1")[0]
