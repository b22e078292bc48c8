# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""HAProxy tells addresses, an inventory may tell names: what is certain is used, the rest is told and never guessed."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.action import heal_plan, heal_target
from ansible_collections.selfheal.cluster.plugins.module_utils._addresses import known
from ansible_collections.selfheal.cluster.plugins.module_utils._planner import plan
from ansible_collections.selfheal.cluster.plugins.module_utils._snapshot import build
from ansible_collections.selfheal.cluster.plugins.plugin_utils import _resolve
from tests.unit.planner import farm
from tests.unit.planner.test_snapshot import results

NAMES = {"ei1.lan": ["10.0.0.21"], "two.lan": ["10.0.0.9", "10.0.0.8", "10.0.0.9"], "six.lan": ["2001:db8::5"]}


class Resolver:
    def __init__(self) -> None:
        self.asked: list[Sequence[str]] = []

    def __call__(self, names: Sequence[str]) -> Mapping[str, Sequence[str]]:
        self.asked.append(list(names))
        return {name: NAMES.get(name, []) for name in names}


@pytest.mark.parametrize(
    ("variables", "address", "doubt"),
    [
        ({"ansible_host": "10.0.0.21"}, "10.0.0.21", ""),
        ({"ansible_host": "ei1.lan"}, "10.0.0.21", ""),
        ({"ansible_ssh_host": "ei1.lan"}, "10.0.0.21", ""),
        ({"ansible_host": "jump.lan", "selfheal_address": "10.0.0.21"}, "10.0.0.21", ""),
        ({"ansible_host": "10.9.9.9", "selfheal_address": "ei1.lan"}, "10.0.0.21", ""),
        ({"ansible_host": "six.lan"}, "2001:db8::5", ""),
        ({"ansible_host": "2001:0DB8:0::5"}, "2001:db8::5", ""),  # as HAProxy prints it
        ({"ansible_host": "two.lan"}, "two.lan", "two.lan stands for 10.0.0.8, 10.0.0.9; set selfheal_address of ei1"),
        ({"ansible_host": "nowhere.lan"}, "nowhere.lan", "cannot resolve nowhere.lan; set selfheal_address of ei1"),
        ({}, "ei1", "cannot resolve ei1; set selfheal_address of ei1"),
        ({"ansible_host": None}, "ei1", "cannot resolve ei1"),
    ],
)
def test_the_address_of_a_node(variables: dict[str, Any], address: str, doubt: str) -> None:
    addresses, doubts = known({"ei1": variables}, ["ei1"], Resolver())
    assert addresses == {"ei1": address}
    assert (doubt in doubts["ei1"]) if doubt else doubts == {}


def test_all_names_are_asked_for_at_once_and_addresses_not_at_all() -> None:
    ask = Resolver()
    known({"a": {"ansible_host": "ei1.lan"}, "b": {"ansible_host": "10.0.0.1"}, "c": {}}, ["a", "b", "c"], ask)
    known({"b": {"ansible_host": "10.0.0.1"}}, ["b"], ask)
    assert ask.asked == [["c", "ei1.lan"]]


def test_an_inventory_of_names_gives_a_plan() -> None:
    given = results()
    hostvars = {node: {"ansible_host": f"{node}.lan"} for node in farm.ADDRESSES}
    found = {f"{node}.lan": [address] for node, address in farm.ADDRESSES.items()}
    given["addresses"], given["unresolved"] = known(hostvars, hostvars, lambda names: found)
    assert plan(build(**given), given["policies"], farm.history(), farm.NOW)["admitted"]
    given["addresses"], given["unresolved"] = known(hostvars, hostvars, lambda names: {})
    refused = plan(build(**given), given["policies"], farm.history(), farm.NOW)["refusals"]
    assert "not_in_backend" in {item["reason"] for item in refused}
    assert any("set selfheal_address of ei1" in item["detail"] for item in refused)


def test_the_first_task_resolves_and_the_plan_takes_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = Resolver()
    monkeypatch.setattr(heal_target, "resolve", ask)
    monkeypatch.setattr(heal_plan, "resolve", ask)
    hostvars = {name: dict(own) for name, own in farm.HOSTVARS.items()}
    hostvars["ei1"]["ansible_host"] = "ei1.lan"
    state = heal_target._state({"selfheal_node": "ei1"}, farm.GROUPS, hostvars, 0.0)
    assert state["addresses"]["ei1"] == "10.0.0.21"
    assert set(state["unresolved"]) == {"ei2", "ei3", "extlb1", "extlb2"}
    assert heal_plan._known({"selfheal_heal": state}, hostvars, farm.policies()) == (
        state["addresses"], state["unresolved"],
    )  # fmt: skip
    assert len(ask.asked) == 1
    assert heal_plan._known({}, hostvars, farm.policies())[0]["ei1"] == "10.0.0.21"


def test_a_resolver_that_is_silent_costs_a_heal_little(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(name: str, *_rest: Any, **_more: Any) -> list[Any]:
        if name == "slow.lan":
            time.sleep(5)
        if name == "no.lan":
            raise socket.gaierror(-2, "Name or service not known")
        return [(2, 1, 6, "", ("10.0.0.7", 0)), (2, 1, 6, "", ("10.0.0.7", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    begun = time.monotonic()
    found = _resolve.resolve(["slow.lan", "no.lan", "good.lan"], seconds=0.2)
    assert found == {"slow.lan": [], "no.lan": [], "good.lan": ["10.0.0.7"]}
    assert time.monotonic() - begun < 2
