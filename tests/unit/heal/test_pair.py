# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A heal in a pair, step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from jinja2 import Environment

from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_pair as pair

from .farm import LOST, OK, acting, failed, instance, pair_heal, play, refused

ROOT = Path(__file__).resolve().parents[3]
MEMBERS: dict[str, dict[str, Any]] = {"lb1": {"answer": {}}, "lb2": {"answer": {}}}


def drained(**changes: Any) -> dict[str, Any]:
    state = play(pair_heal(**changes), "shift", {"lb2": OK})
    return play(state, "drain", {"lb2": OK, "lb1": OK})


def verified(**changes: Any) -> dict[str, Any]:
    state = play(drained(**changes), "restart", {"lb1": {**OK, "restarted": True}})
    return play(state, "verify", {"lb1": OK}, members=MEMBERS)


def test_an_ill_active_node_is_not_touched_by_the_shift() -> None:
    state = pair_heal()
    assert state["role"] == "active"
    assert acting(state) == {"shift": ["lb2"]}


def test_an_ill_active_node_that_does_not_answer_is_recognised_by_its_peer() -> None:
    state = pair_heal({"lb1": LOST, "lb2": instance("BACKUP", False)})
    assert state["role"] == "active"


def test_an_ill_standby_is_healed_without_moving_the_address() -> None:
    state = pair_heal({"lb1": instance("BACKUP", False), "lb2": instance("MASTER", True)})
    assert state["role"] == "standby"
    assert acting(state) == {"shift": ["lb1"]}
    assert acting(play(state, "shift", {"lb1": refused("no_track_file")})) == {"release": ["monitor"]}


def test_an_interrupted_move_is_recognised_by_its_own_hold() -> None:
    hold = {"incident": "i1", "epoch": 6}
    seen = {"lb1": instance("BACKUP", False), "lb2": instance("MASTER", True, hold=hold)}
    assert pair_heal(seen)["role"] == "active"
    foreign = {"lb1": instance("BACKUP", False), "lb2": instance("MASTER", True, hold={"incident": "other"})}
    assert pair_heal(foreign)["role"] == "standby"


@pytest.mark.parametrize(
    ("answer", "undone"),
    [
        (refused("not_backup"), []),
        (refused("stale_epoch"), []),
        (refused("not_moved"), ["lb2"]),
        (LOST, ["lb2"]),
        (failed("timed out"), ["lb2"]),
    ],
)
def test_an_address_that_did_not_move_for_sure_is_given_back(answer: dict[str, Any], undone: list[str]) -> None:
    state = play(pair_heal(), "shift", {"lb2": answer})
    assert acting(state) == ({"undo": undone} if undone else {"release": ["monitor"]})


def test_both_nodes_are_asked_but_a_silent_ill_one_does_not_stop_the_heal() -> None:
    state = play(pair_heal(), "shift", {"lb2": OK})
    assert acting(state) == {"drain": ["lb2", "lb1"], "evidence": ["lb1"]}
    assert acting(play(state, "drain", {"lb2": OK, "lb1": LOST})) == {"restart": ["lb1"]}


@pytest.mark.parametrize(
    "answers",
    [
        {"lb2": refused("not_well"), "lb1": OK},
        {"lb2": OK, "lb1": refused("not_well")},
        {"lb2": LOST, "lb1": refused("not_well")},
    ],
)
def test_two_holders_or_no_proof_go_back_before_anything_is_restarted(answers: dict[str, Any]) -> None:
    state = play(play(pair_heal(), "shift", {"lb2": OK}), "drain", answers)
    assert acting(state) == {"undo": ["lb2"]}


@pytest.mark.parametrize("peer", [LOST, failed(), {}])
def test_a_peer_that_is_not_heard_does_not_give_the_ill_node_its_clients_back(peer: dict[str, Any]) -> None:
    """It has proven that it has the address; without its word nothing is restarted either."""
    state = play(play(pair_heal(), "shift", {"lb2": OK}), "drain", {"lb2": peer, "lb1": OK})
    assert state["outcome"] == "left_out"
    assert acting(state) == {"release": ["monitor"]}, "the hold on lb2 stays"
    assert "lb2" in " ".join(state["problems"])


def test_a_standby_whose_peer_is_not_heard_is_left_as_it_was() -> None:
    state = pair_heal({"lb1": instance("BACKUP", False), "lb2": instance("MASTER", True)})
    state = play(play(state, "shift", {"lb1": OK}), "drain", {"lb2": LOST, "lb1": OK})
    assert acting(state) == {"undo": ["lb1"]}


def test_a_node_too_ill_to_answer_does_not_get_its_clients_back() -> None:
    state = play(play(pair_heal(), "shift", {"lb2": OK}), "drain", {"lb2": OK, "lb1": failed("timed out")})
    assert acting(state) == {"restart": ["lb1"]}


def test_a_peer_that_fails_after_it_took_the_address_is_undone() -> None:
    assert acting(play(pair_heal(), "shift", {"lb2": refused("no_answer")})) == {"undo": ["lb2"]}


@pytest.mark.parametrize(
    "answers",
    [
        {"lb1": LOST, "lb2": OK},
        {"lb1": failed(), "lb2": OK},
        {"lb1": OK, "lb2": refused("not_well")},
        {"lb1": OK, "lb2": failed()},
    ],
)
def test_what_was_not_watched_to_its_end_is_not_called_healed(answers: dict[str, Any]) -> None:
    state = play(play(verified(), "readmit", {"lb2": OK}), "soak", answers, home={"lb1": OK})
    assert state["outcome"] == "left_out"
    assert acting(state) == {"release": ["monitor"]}, "nobody saw it ill again"


def test_the_peer_is_the_witness_of_the_restart() -> None:
    assert [item["balancer"] for item in drained()["witnesses"]] == ["lb2"]


def test_redundancy_is_restored_when_the_node_is_proven_as_standby() -> None:
    state = verified()
    assert state["restored_at"] is not None
    assert acting(state) == {"readmit": ["lb2"]}
    assert state["goes_home"]


@pytest.mark.parametrize("answer", [LOST, refused("not_well"), {}])
def test_a_node_that_is_no_proven_standby_does_not_get_the_address_back(answer: dict[str, Any]) -> None:
    state = play(drained(), "restart", {"lb1": {**OK, "restarted": True}})
    state = play(state, "verify", {"lb1": answer}, members=MEMBERS)
    assert state["outcome"] == "left_out"
    assert acting(state) == {"release": ["monitor"]}


def test_the_hold_is_parked_when_the_address_stays() -> None:
    state = verified(policy={"home": "never"})
    assert state["parked"]
    assert not state["goes_home"]
    state = play(state, "readmit", {"lb2": OK})
    assert any("parked" in text for text in state["problems"])


def test_the_other_node_keeps_an_address_that_was_not_at_home() -> None:
    state = verified(policy={"preferred": "lb2", "home": "never"})
    assert not state["parked"]
    assert not state["goes_home"]


def server(admin: str, hold: Any = None) -> dict[str, Any]:
    row = {"backend": "be", "server": "ei3", "address": "10.0.0.23", "port": 8280, "admin": admin, "hold": hold}
    return {"answer": {"balancer": {"servers": [row]}}}


def test_owed_holds_are_paid_before_the_address_may_come() -> None:
    state = play(drained(), "restart", {"lb1": {**OK, "restarted": True}})
    members = {"lb1": server("ready"), "lb2": server("maint", {"incident": "x", "epoch": 3})}
    state = play(state, "verify", {"lb1": OK}, members=members)
    assert acting(state) == {"pay": ["lb1"]}
    assert acting(play(state, "pay", {"lb1": OK})) == {"readmit": ["lb2"]}
    assert play(state, "pay", {"lb1": refused("no_such_member")})["outcome"] == "left_out"


def test_nothing_is_owed_for_what_is_held_on_both_or_was_held_by_a_human() -> None:
    hold = {"incident": "x", "epoch": 3}
    assert pair.owed(server("maint", hold), server("maint", hold)) == []
    assert pair.owed(server("ready"), server("maint")) == []
    assert pair.owed(None, None) == []


def test_home_is_a_figure_of_its_own() -> None:
    state = play(verified(), "readmit", {"lb2": OK})
    state = play(state, "soak", {"lb1": OK, "lb2": OK}, home={"lb1": {"reached_at": 1234.5}})
    assert state["outcome"] == "healed"
    assert state["home_at"] == 1234.5


def test_an_address_that_does_not_come_home_is_told() -> None:
    state = play(verified(), "readmit", {"lb2": OK})
    state = play(state, "soak", {"lb1": OK, "lb2": OK}, home={"lb1": refused("not_well")})
    assert state["outcome"] == "healed"
    assert any("home" in text for text in state["problems"])


def test_ill_again_in_the_soak_draws_the_address_away_again() -> None:
    state = play(verified(), "readmit", {"lb2": OK})
    state = play(state, "soak", {"lb1": refused("not_well"), "lb2": OK}, home={})
    assert acting(state) == {"again": ["lb2"]}
    assert play(state, "again", {"lb2": LOST})["outcome"] == "left_out"


def test_a_node_that_nagios_reads_as_ill_as_before_keeps_the_address_and_is_not_called_healed() -> None:
    said = {"monitor": {"verdict": "faulty", "still_ill": True, "reasons": ["memory: 97 %"]}}
    state = {**play(verified(), "readmit", {"lb2": OK}), "levels": [{"gauge": "memory", "service": "mem"}]}
    state = play(state, "soak", {"lb1": OK, "lb2": OK}, home={"lb1": OK}, illness=said)
    assert state["outcome"] == "undone"
    assert acting(state) == {"release": ["monitor"]}
    assert "lb1 serves, but is still ill: memory: 97 %" in state["problems"]


@pytest.mark.parametrize("twin", [LOST, {}, failed()])
def test_a_twin_that_does_not_say_whom_it_holds_out_is_not_taken_to_hold_nobody(twin: dict[str, Any]) -> None:
    state = play(drained(), "restart", {"lb1": {**OK, "restarted": True}})
    state = play(state, "verify", {"lb1": OK}, members={"lb1": server("ready"), "lb2": twin})
    assert state["outcome"] == "left_out"
    assert any("lb2" in text for text in state["problems"])


SKIPPED = {"lb1": {"skipped": True}, "lb2": {"skipped": True}}


def test_a_pair_that_is_no_balancer_owes_nothing() -> None:
    state = play(drained(), "restart", {"lb1": {**OK, "restarted": True}})
    state["balancing"] = []
    assert acting(play(state, "verify", {"lb1": OK}, members=SKIPPED)) == {"readmit": ["lb2"]}


@pytest.mark.parametrize("members", [SKIPPED, {}, {**MEMBERS, "lb1": {"skipped": True}}])
def test_a_balancer_that_was_not_asked_for_its_members_is_not_proven(members: dict[str, Any]) -> None:
    state = play(drained(), "restart", {"lb1": {**OK, "restarted": True}})
    state = play(state, "verify", {"lb1": OK}, members=members)
    assert state["outcome"] == "left_out"
    assert acting(state) == {"release": ["monitor"]}


def test_a_twin_that_balances_nothing_holds_nobody_out() -> None:
    state = play(drained(), "restart", {"lb1": {**OK, "restarted": True}})
    state["balancing"] = ["lb1"]
    members = {"lb1": {"answer": {}}, "lb2": {"skipped": True}}
    assert acting(play(state, "verify", {"lb1": OK}, members=members)) == {"readmit": ["lb2"]}


@pytest.mark.parametrize("service", ["haproxy.service", "haproxy@ext.service", "other.service"])
def test_who_is_asked_for_its_members_hangs_on_no_name_of_a_service(service: str) -> None:
    tasks = yaml.safe_load((ROOT / "roles/keepalived_failover/tasks/verify.yml").read_text(encoding="utf-8"))
    (members,) = [task for task in tasks if task["register"] == "keepalived_failover_members"]
    wanted = jinja2.Environment(autoescape=True).compile_expression(members["when"])
    heal = {"service": service, "balancing": ["lb1"]}
    asked = [host for host in ("lb1", "lb2") if wanted(inventory_hostname=host, keepalived_failover_heal=heal)]
    assert asked == ["lb1"]


def parked(base: int = 100) -> dict[str, Any]:
    """lb1 keeps the address under the parked hold of an earlier heal of lb2, which is at home with priority 150."""
    hold = {"incident": "closed", "epoch": 5, "phase": "parked"}
    return {
        "lb1": instance("MASTER", True, hold=hold, base_priority=base),
        "lb2": instance("BACKUP", False, base_priority=150),
    }


def test_a_parked_hold_of_the_ill_node_is_lifted_before_the_peer_lets_go() -> None:
    changes: dict[str, Any] = {"policy": {"preferred": "lb2", "home": "never"}}
    state = pair_heal(parked(), **changes)
    assert acting(state) == {"shift": ["lb2"]}  # not the ill node
    state = play(play(state, "shift", {"lb2": OK}), "drain", {"lb2": OK, "lb1": OK})
    state = play(state, "restart", {"lb1": {**OK, "restarted": True}})
    proven = {**OK, "answer": instance("BACKUP", False, hold={"incident": "closed", "epoch": 5, "phase": "parked"})}
    state = play(state, "verify", {"lb1": proven}, members=MEMBERS)
    assert acting(state) == {"pay": ["lb1"]}
    assert acting(play(state, "pay", {"lb1": {"skipped": True}}, unpark={"lb1": OK})) == {"readmit": ["lb2"]}
    assert play(state, "pay", {}, unpark={"lb1": LOST})["outcome"] == "left_out"


def test_an_address_is_parked_with_no_more_than_it_needs() -> None:
    """A parked node at the highest priority could never lose the address again."""
    assert pair.park_offset({"base_priority": 150}, {"base_priority": 100}) == 51
    assert pair.park_offset({"base_priority": 100}, {"base_priority": 150}) == 1
    assert pair.park_offset({}, {"base_priority": 100}) == 0


def test_a_parked_hold_is_found_also_if_the_ill_node_could_not_answer_at_first() -> None:
    seen = {"lb1": LOST, "lb2": instance("BACKUP", False, base_priority=150)}
    state = pair_heal(seen, policy={"preferred": "lb2", "home": "never"})
    state = play(play(state, "shift", {"lb2": OK}), "drain", {"lb2": OK, "lb1": LOST})
    state = play(state, "restart", {"lb1": {**OK, "restarted": True}})
    hold = {"incident": "closed", "epoch": 5, "phase": "parked"}
    proven = {**OK, "answer": instance("BACKUP", False, hold=hold, base_priority=100)}
    state = play(state, "verify", {"lb1": proven}, members=MEMBERS)
    assert acting(state) == {"pay": ["lb1"]}
    assert state["park_offset"] == 1


def test_a_pair_whose_node_may_have_been_restarted_does_not_go_back() -> None:
    state = pair_heal(resume={"phase": "restart", "epoch": 6, "since_epoch": 6}, unproven=True)
    state = play(state, "shift", {"lb2": refused("not_moved")})
    assert state["outcome"] == "left_out"
    assert acting(state) == {"release": ["monitor"]}


def test_a_pair_whose_node_was_left_out_before_does_not_get_the_address_back() -> None:
    """Its peer lost the address in the drain; the node that once had it is not proven to serve."""
    state = play(pair_heal(unproven=True), "shift", {"lb2": OK})
    state = play(state, "drain", {"lb2": OK, "lb1": refused("address_here")})
    assert (state["outcome"], acting(state)) == ("left_out", {"release": ["monitor"]})


# -- keepalived itself is dead ---------------------------------------------------------------------------------


STOPPED: dict[str, Any] = {"keepalived": {"running": False, "stopped": True, "instances": [
    {"instance": "VI", "state": "STOPPED", "address_present": True, "adverts_heard": False}]}}  # fmt: skip
RULES = instance("MASTER", True, vips=["10.0.0.100", "10.0.0.101"], base_priority=100)
DAEMON = {"kind": "service", "service": "keepalived.service"}


def killed(leftover: bool = True, **changes: Any) -> dict[str, Any]:
    """lb1 was active and its keepalived was killed; lb2 has the address."""
    changes = {"dead": True, "leftover": leftover, "restart": DAEMON, **changes}
    return pair_heal({"lb1": STOPPED, "lb2": RULES}, **changes)


def dropped(**changes: Any) -> dict[str, Any]:
    state = play(killed(**changes), "shift", {"lb2": OK})
    return play(state, "drain", {"lb2": OK, "lb1": {"skipped": True}}, dropped={"lb1": OK})


def test_the_peer_of_a_dead_keepalived_keeps_the_address_and_the_node_is_not_touched_for_that() -> None:
    state = killed()
    assert state["role"] == "active"
    assert acting(state) == {"shift": ["lb2"]}
    assert state["addresses"] == ["10.0.0.100", "10.0.0.101"]
    assert acting(play(state, "shift", {"lb2": refused("no_track_file")})) == {"release": ["monitor"]}


@pytest.mark.parametrize(
    "own",
    [LOST, failed(), {}, {"keepalived": {"running": False, "instances": []}}, instance("UNKNOWN", False), STOPPED],
)
def test_a_node_whose_keepalived_does_not_answer_can_promise_nothing(own: dict[str, Any]) -> None:
    assert pair_heal({"lb1": own, "lb2": RULES})["role"] == "active"


def test_traffic_is_safe_when_the_leftover_is_off() -> None:
    state = play(killed(), "shift", {"lb2": {**OK, "at": 1001.0}})
    assert state["traffic_safe_at"] is None
    off = {**OK, "at": state["phase_started"] + 0.5}
    state = play(state, "drain", {"lb2": OK, "lb1": {"skipped": True}}, dropped={"lb1": off})
    assert state["traffic_safe_at"] == off["at"]
    assert acting(state) == {"restart": ["lb1"]}
    assert [item["balancer"] for item in state["witnesses"]] == ["lb2"]


@pytest.mark.parametrize("answer", [refused("not_taken_over"), refused("still_running"), failed(), LOST, {}])
def test_a_leftover_that_is_not_off_for_sure_goes_back(answer: dict[str, Any]) -> None:
    state = play(killed(), "shift", {"lb2": OK})
    state = play(state, "drain", {"lb2": OK, "lb1": {"skipped": True}}, dropped={"lb1": answer})
    assert acting(state) == {"undo": ["lb2"]}
    assert any("both nodes have the address" in text for text in state["problems"])


def test_without_a_leftover_nothing_has_to_be_taken_off() -> None:
    state = play(killed(leftover=False), "shift", {"lb2": OK})
    assert state["traffic_safe_at"] is not None
    state = play(state, "drain", {"lb2": OK, "lb1": OK}, dropped={"lb1": {"skipped": True}})
    assert acting(state) == {"restart": ["lb1"]}


def test_only_keepalived_is_started_when_only_keepalived_is_dead() -> None:
    state = dropped()
    assert state["restart_service"] == ""
    after = {"phases": {"restart_seconds": 0.2}, "restarted": True}
    state = play(state, "restart", {"lb1": {"skipped": True}}, daemon={"lb1": {**OK, **after}})
    assert acting(state) == {"verify": ["lb1", "lb2"]}
    assert state["restart"]["phases"] == {"restart_seconds": 0.2}
    assert "keepalived" in state["said"]


@pytest.mark.parametrize(
    ("answer", "ends"),
    [
        (refused("config_invalid"), {"undo": ["lb2"]}),
        ({**refused("start_failed"), "restarted": True}, {"release": ["monitor"]}),
        (LOST, {"release": ["monitor"]}),
        ({}, {"release": ["monitor"]}),
    ],
)
def test_a_keepalived_that_was_not_started(answer: dict[str, Any], ends: dict[str, list[str]]) -> None:
    state = play(dropped(), "restart", {"lb1": {"skipped": True}}, daemon={"lb1": answer})
    assert acting(state) == ends


BOTH = {"kind": "service", "service": "haproxy.service"}


@pytest.mark.parametrize(
    ("service", "daemon", "ends"),
    [
        (OK, OK, {"verify": ["lb1", "lb2"]}),
        (refused("disk_full"), {"skipped": True}, {"undo": ["lb2"]}),
        (LOST, {"skipped": True}, {"release": ["monitor"]}),
        (OK, refused("witness_stale"), {"release": ["monitor"]}),  # the service was restarted: no way back
        (OK, {"skipped": True}, {"release": ["monitor"]}),
    ],
)
def test_service_and_keepalived_are_both_started(
    service: dict[str, Any], daemon: dict[str, Any], ends: dict[str, list[str]]
) -> None:
    state = dropped(restart=BOTH)
    assert state["restart_service"] == "haproxy.service"
    assert acting(play(state, "restart", {"lb1": service}, daemon={"lb1": daemon})) == ends


UNDO = Path(__file__).resolve().parents[3] / "roles/keepalived_failover/tasks/undo.yml"


def way_back(state: dict[str, Any]) -> tuple[str, str, str]:
    """State, phase and offset that the role asks for on its way back."""
    wish = yaml.safe_load(UNDO.read_text())[0]["selfheal.cluster.keepalived_hold"]
    given = {"keepalived_failover_heal": state}
    state_word, phase, offset = (
        Environment(autoescape=True).from_string(str(wish[key])).render(given) for key in ("state", "phase", "offset")
    )
    return state_word, phase, offset


@pytest.mark.parametrize(
    ("lease", "daemon"),
    [
        ({"held": True, "stop": ""}, refused("package_manager")),
        ({"held": True, "stop": "pause"}, {}),
    ],
)
@pytest.mark.parametrize(
    ("hold", "offset", "back"),
    [
        ({"incident": "closed", "phase": "parked"}, 51, ("present", "parked", "51")),
        # A run that died has replaced the parked hold by its own, with an offset of its own.
        ({"incident": "i1", "phase": "shift", "parked": 51}, 155, ("present", "parked", "51")),
        ({"incident": "i1", "phase": "shift"}, 155, ("absent", "undo", "0")),
    ],
)
def test_an_address_that_was_parked_is_parked_again_on_the_way_back(
    lease: dict[str, Any], daemon: dict[str, Any], hold: dict[str, Any], offset: int, back: tuple[str, str, str]
) -> None:
    """Else it goes home as soon as the dead keepalived starts, to a node that nobody has proven."""
    held = {"epoch": 5, **hold}
    seen = {"lb1": STOPPED, "lb2": instance("MASTER", True, hold=held, offset=offset, base_priority=100)}
    state = pair_heal(seen, dead=True, restart=DAEMON, policy={"home": "never"})
    state = play(state, "shift", {"lb2": OK})
    state = play(state, "drain", {"lb2": OK, "lb1": OK}, lease={"monitor": lease})
    if daemon:
        state = play(state, "restart", {"lb1": {"skipped": True}}, daemon={"lb1": daemon})
    assert acting(state) == {"undo": ["lb2"]}
    assert way_back(state) == back


def test_the_soft_hold_of_a_standby_ends_though_the_address_is_parked_on_its_peer() -> None:
    held = {"incident": "closed", "epoch": 5, "phase": "parked"}
    state = pair_heal({"lb1": instance("BACKUP", False), "lb2": instance("MASTER", True, hold=held, offset=51)})
    assert acting(state) == {"shift": ["lb1"]}
    assert way_back(state)[0] == "absent"


def test_a_reboot_starts_both_by_itself() -> None:
    state = dropped(restart={"kind": "reboot", "service": "haproxy.service"})
    state = play(state, "restart", {"lb1": OK}, daemon={"lb1": {"skipped": True}})
    assert acting(state) == {"verify": ["lb1", "lb2"]}


@pytest.mark.parametrize(
    ("hold", "lifted"),
    [
        ({"incident": "boot", "epoch": 0, "phase": "boot"}, True),  # the guard's, at the start of keepalived
        ({"incident": "i1", "epoch": 6, "phase": "shift"}, True),  # of an earlier attempt of this incident
        ({"incident": "other", "epoch": 6, "phase": "shift"}, False),
        (None, False),
    ],
)
def test_a_hold_of_the_started_node_ends_before_the_peer_lets_go(hold: Any, lifted: bool) -> None:
    state = play(dropped(), "restart", {"lb1": {"skipped": True}}, daemon={"lb1": OK})
    proven = {**OK, "answer": instance("BACKUP", False, hold=hold, base_priority=150)}
    state = play(state, "verify", {"lb1": proven}, members=MEMBERS)
    assert acting(state) == ({"pay": ["lb1"]} if lifted else {"readmit": ["lb2"]})
    if lifted:
        state = play(state, "pay", {"lb1": {"skipped": True}}, unpark={"lb1": OK})
    assert acting(state) == {"readmit": ["lb2"]}
    assert state["goes_home"]


def test_a_frozen_node_that_lost_its_address_is_kept_away_from_it_and_a_human_is_called() -> None:
    changes: dict[str, Any] = {"restart": {"kind": "none"}, "phases": ["confirm", "shift", "evidence"]}
    state = pair_heal({"lb1": LOST, "lb2": RULES}, **changes)
    assert acting(state) == {"shift": ["lb2"]}
    state = play(play(state, "shift", {"lb2": OK}), "drain", {"lb2": OK, "lb1": LOST})
    assert state["outcome"] == "left_out"
    assert acting(state) == {"release": ["monitor"]}, "the hold on lb2 stays"


def test_a_node_out_of_reach_is_asked_nothing_more_when_only_its_traffic_is_dealt_with() -> None:
    """Each further question would only cost its time-out, and a human is waiting to be called."""
    changes: dict[str, Any] = {"restart": {"kind": "none"}, "phases": ["confirm", "shift", "evidence"]}
    state = play(pair_heal({"lb1": LOST, "lb2": RULES}, **changes), "shift", {"lb2": OK})
    assert acting(state) == {"drain": ["lb2"]}
    state = play(state, "drain", {"lb2": OK})
    assert state["outcome"] == "left_out"
    assert "cannot be reached" in " ".join(state["problems"]) and "lb2" in " ".join(state["problems"])
    assert acting(state) == {"release": ["monitor"]}, "the hold on lb2 stays"


@pytest.mark.parametrize("first", [LOST, failed("no answer in 6 s, although its SSH greets")])
def test_a_node_that_is_to_be_restarted_is_asked_again(first: dict[str, Any]) -> None:
    state = play(pair_heal({"lb1": first, "lb2": RULES}), "shift", {"lb2": OK})
    assert acting(state) == {"drain": ["lb2", "lb1"], "evidence": ["lb1"]}
