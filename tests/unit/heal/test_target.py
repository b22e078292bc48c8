# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Invariant 13, first half: an empty, ambiguous or unknown target is refused, and so is our own host."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.action.heal_target import _state
from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_target as target
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from tests.unit.planner import farm

HOSTS = ["ei1", "ei2", "extlb1", "extlb2", "monitor"]
GROUPS = ["all", "ei", "extlb", "monitor"]


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        ("", "empty_target"),
        ("  ", "empty_target"),
        (None, "empty_target"),
        (["ei1"], "empty_target"),
        ("ei", "ambiguous_target"),
        ("all", "ambiguous_target"),
        ("ei*", "ambiguous_target"),
        ("ei1,ei2", "ambiguous_target"),
        ("ei1:ei2", "ambiguous_target"),
        ("!ei1", "ambiguous_target"),
        ("~ei.", "ambiguous_target"),
        ("ei[1:2]", "ambiguous_target"),
        ("{{ x }}", "ambiguous_target"),
        ("-e", "ambiguous_target"),
        ("ei9", "unknown_node"),
        ("EI1", "unknown_node"),
    ],
)
def test_no_target_that_is_not_exactly_one_node(node: object, reason: str) -> None:
    with pytest.raises(SelfhealError) as caught:
        target.chosen_node({"selfheal_node": node}, HOSTS, GROUPS)
    assert caught.value.reason == reason


def test_a_typo_is_told_what_was_meant() -> None:
    with pytest.raises(SelfhealError, match="did you mean ei1"):
        target.chosen_node({"selfheal_node": "ei11"}, HOSTS, GROUPS)


def test_no_target_at_all_is_not_an_empty_one() -> None:
    assert target.chosen_node({}, HOSTS, GROUPS) is None
    assert target.chosen_node({"selfheal_node": "ei2"}, HOSTS, GROUPS) == "ei2"


def test_a_host_with_the_name_of_its_group_is_a_host() -> None:
    assert target.chosen_node({"selfheal_node": "monitor"}, HOSTS, GROUPS) == "monitor"


@pytest.mark.parametrize(
    "name",
    [
        "selfheal_nod",
        "selfheal_mode",
        "selfheal_limits",
        "selfheal_journal_host",
        "selfheal_heal",
        "heal_now",
        "heal_part",
        "lb_detach_heal",
        "keepalived_failover_heal",
        "node_evidence_user",
        "journal_host_heal",
    ],
)
def test_extra_variables_are_a_closed_list(name: str) -> None:
    with pytest.raises(SelfhealError) as caught:
        target.check_extra({"selfheal_node": "ei1", name: "x"})
    assert caught.value.reason == "unknown_variable"
    assert name in caught.value.message


def test_the_nearest_extra_variable_is_named() -> None:
    with pytest.raises(SelfhealError, match="did you mean selfheal_node"):
        target.check_extra({"selfheal_nod": "ei1"})


def test_other_extra_variables_are_the_users_own_business() -> None:
    target.check_extra({"ansible_user": "root", "color": "green", "selfheal_reason": "drill", "selfheal_incident": "i"})


@pytest.mark.parametrize(
    ("cliargs", "found"),
    [
        ({"tags": ("all",), "skip_tags": (), "subset": None, "start_at_task": None, "step": False}, []),
        ({"tags": ["all"]}, []),
        ({"subset": "ei1"}, ["--limit"]),
        ({"tags": ("shift",)}, ["--tags"]),
        ({"tags": ("all", "never")}, ["--tags"]),
        ({"skip_tags": ["confirm"]}, ["--skip-tags"]),
        ({"start_at_task": "Restart"}, ["--start-at-task"]),
        ({"step": True}, ["--step"]),
        ({"subset": "x", "skip_tags": ["y"]}, ["--limit", "--skip-tags"]),
    ],
)
def test_options_that_can_skip_a_guard_are_found(cliargs: dict[str, object], found: list[str]) -> None:
    assert target.skipping_options(cliargs) == found


def test_nobody_never_means_everybody() -> None:
    assert target.pattern([]) == "!all"
    assert target.pattern(["ei1", "ei2"]) == "ei1,ei2"


@pytest.mark.parametrize("name", ["!x", "a:b", "web[1:3]", "~x", "&x", "a,b", ""])
def test_a_name_that_reads_as_a_pattern_is_refused(name: str) -> None:
    with pytest.raises(SelfhealError):
        target.pattern([name])


def test_only_known_reasons() -> None:
    assert target.checked_reason({}) == ""
    assert target.checked_reason({"selfheal_reason": "drill"}) == "drill"
    with pytest.raises(SelfhealError):
        target.checked_reason({"selfheal_reason": "force"})


@pytest.mark.parametrize("incident", ["../x", "a b", "x" * 65, 7, "{{ x }}"])
def test_an_incident_is_a_harmless_file_name(incident: object) -> None:
    with pytest.raises(SelfhealError):
        target.checked_incident({"selfheal_incident": incident})


def test_own_hosts_by_group_by_connection_and_by_name() -> None:
    groups = {"all": ["ei1", "monitor", "here"], "monitor": ["monitor"]}
    hostvars = {"ei1": {}, "monitor": {}, "here": {"ansible_connection": "local"}}
    own = target.own_hosts(groups, hostvars, "journal")
    assert {"monitor", "here", "journal", "localhost"} <= set(own)
    assert "ei1" not in own


def test_the_journal_host_is_named_or_the_only_monitor() -> None:
    hostvars: dict[str, dict[str, str]] = {"a": {}, "m": {}, "n": {}}
    assert target.journal_host({"all": ["a", "m"], "monitor": ["m"]}, hostvars) == "m"
    named = {"a": {"selfheal_journal_host": "a"}, "m": {}}
    assert target.journal_host({"all": ["a", "m"], "monitor": ["m"]}, named) == "a"
    for groups in (
        {"all": ["a"], "monitor": []},
        {"all": ["a", "m", "n"], "monitor": ["m", "n"]},
    ):
        with pytest.raises(SelfhealError) as caught:
            target.journal_host(groups, hostvars)
        assert caught.value.reason == "no_journal"


POOL = {"kind": "pool", "nodes": ["ei1", "ei2"], "balancers": ["lb1", "lb2"]}
PAIR = {"kind": "pair", "nodes": ["lb1", "lb2"], "balancers": []}


def test_a_pool_asks_its_balancers_and_their_addresses_but_not_the_ill_node() -> None:
    assert target.watched([POOL], [POOL, PAIR]) == {"balancers": ["lb1", "lb2"], "pairs": ["lb1", "lb2"]}
    assert target.watched([POOL], [POOL]) == {"balancers": ["lb1", "lb2"], "pairs": []}


def test_who_balances_is_said_by_the_pools_not_by_the_name_of_a_service() -> None:
    other = {"kind": "pool", "nodes": ["km1"], "balancers": ["lb3", "lb2"]}
    assert target.balancing([POOL, PAIR, other]) == ["lb1", "lb2", "lb3"]
    assert target.balancing([PAIR]) == []


def test_a_pair_is_asked_for_its_address_and_its_members() -> None:
    assert target.watched([PAIR], [POOL, PAIR]) == {"balancers": ["lb1", "lb2"], "pairs": ["lb1", "lb2"]}


def asked_of_nagios(extra: dict[str, str]) -> dict[str, Any]:
    groups = {**farm.GROUPS, "ungrouped": []}
    hostvars: dict[str, dict[str, Any]] = {name: dict(own) for name, own in farm.HOSTVARS.items()}
    for node in farm.NODES:
        hostvars[node]["selfheal_limits"] = {"reading_age_seconds": 750}
    asked = _state(extra, groups, hostvars, 0.0)["ask"]["monitor"]["nagios"]
    assert isinstance(asked, dict)
    return asked


def test_each_layer_is_judged_with_its_own_age_of_readings() -> None:
    asked = asked_of_nagios({"selfheal_node": "ei1"})
    assert {layer["layer"]: layer["reading_age_seconds"] for layer in asked["layers"]} == {"ei": 750, "extlb": 150}


def test_a_heal_is_judged_with_the_ring_and_a_drill_is_not() -> None:
    """A drill is about a well node: what was read or healed before speaks neither for nor against it."""
    assert asked_of_nagios({"selfheal_node": "ei1"})["journal"] == "/var/lib/selfheal/journal.db"
    assert asked_of_nagios({})["journal"] == "/var/lib/selfheal/journal.db"
    assert "journal" not in asked_of_nagios({"selfheal_node": "ei1", "selfheal_reason": "drill"})


def layer_of(layer: str, kind: str, objects: dict[str, str], namespace: str = "") -> dict[str, Any]:
    return {
        "layer": layer, "kind": kind, "nodes": list(objects), "objects": objects, "namespace": namespace,
        "kubeconfig": "/k", "context": "",
    }  # fmt: skip


def test_what_the_cluster_is_asked_about() -> None:
    layers = [layer_of("apps", "workload", {"shop": "ei"}, "a"), layer_of("more", "workload", {"other": "ei"}, "b"),
              layer_of("workers", "machine", {"kw1": "ei"})]  # fmt: skip
    asked = target.of_cluster(layers)
    assert [(it["host"], it["namespace"]) for it in asked["workloads"]] == [("shop", "a"), ("other", "b")]
    assert asked["nodes"] == [{"host": "kw1", "name": "ei"}]


def test_whose_clients_a_heal_of_a_machine_is_felt_by() -> None:
    shop, workers = layer_of("apps", "workload", {"shop": "ei"}, "a"), layer_of("workers", "machine", {"kw1": "kw1"})
    far = {**layer_of("far", "workload", {"other": "ei"}, "b"), "context": "elsewhere"}
    farm = {**layer_of("ei", "pool", {"ei1": "ei1"}), "kubeconfig": ""}
    every = [shop, far, workers, farm]
    assert target.looked_at([workers], every) == ["shop"], "all of its cluster, and no other"
    assert target.looked_at(every, every) == ["shop"]
    assert target.looked_at([shop], every) == target.looked_at([farm], every) == []


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (layer_of("old", "machine", {"kw1": "kw2"}), layer_of("new", "machine", {"kw2": "kw2"})),
        (layer_of("old", "workload", {"kw1": "ei"}, "a"), layer_of("new", "workload", {"kw2": "ei"}, "a")),
    ],
)
def test_hosts_of_two_layers_are_never_one_thing_of_the_cluster(one: dict[str, Any], two: dict[str, Any]) -> None:
    with pytest.raises(SelfhealError, match="selfheal_object of kw1 and of kw2") as refused:
        target.of_cluster([one, two])
    assert refused.value.reason == "policy"
