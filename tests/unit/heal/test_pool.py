# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A heal in a pool, step by step, with every answer that a host can give."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_report as report
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_target import NOBODY

from .farm import ADDRESSES, LOST, NOW, OK, acting, begun, failed, flow, plan_of, play, pool_heal, refused

BOTH = {"lb1": OK, "lb2": OK}


def shifted() -> dict[str, Any]:
    return play(pool_heal(), "shift", BOTH)


def drained() -> dict[str, Any]:
    return play(shifted(), "drain", BOTH)


def restarted() -> dict[str, Any]:
    return play(drained(), "restart", {"ei1": {**OK, "restarted": True}})


def readmitted() -> dict[str, Any]:
    return play(play(restarted(), "verify", BOTH), "readmit", BOTH)


def test_shift_asks_every_balancer_and_never_the_node() -> None:
    assert acting(pool_heal()) == {"shift": ["lb1", "lb2"]}


def test_traffic_is_safe_when_all_balancers_say_so() -> None:
    state = shifted()
    assert state["traffic_safe_at"] is not None
    assert acting(state) == {"drain": ["lb1", "lb2"], "evidence": ["ei1"]}
    assert state["run"]["drain_and_evidence"] == "lb1,lb2,ei1,monitor"
    parts = state["parts"]["drain_and_evidence"]
    assert {host: [part["tasks"] for part in own] for host, own in parts.items()} == {
        "lb1": ["drain"], "lb2": ["drain"], "ei1": ["main"], "monitor": ["lease"],
    }  # fmt: skip


def test_what_a_host_does_beside_others_is_its_own_part_and_no_more() -> None:
    assert shifted()["parts"]["drain_and_evidence"]["ei1"] == [{"role": "node_evidence", "tasks": "main", "place": 0}]
    assert drained()["parts"] == {
        "restart_and_store": {
            "ei1": [{"role": "lb_detach", "tasks": "restart", "place": 0}],
            "monitor": [{"role": "node_evidence", "tasks": "store", "place": 0}],
        }
    }


def test_the_host_of_the_journal_extends_the_lease_before_it_balances() -> None:
    """Equal parts of two hosts are one include for Ansible, in the order of the first of them."""
    state = {**play(restarted(), "verify", BOTH), "journal_host": "lb2"}
    parts = play(state, "readmit", BOTH)["parts"]["soak_and_lease"]
    assert [part["tasks"] for part in parts["lb2"]] == ["lease", "soak"]
    assert parts["lb1"][0] not in parts["lb2"]


@pytest.mark.parametrize(("levels", "tasks"), [([], ["lease"]), ([{"gauge": "memory"}], ["lease", "look"])])
def test_nagios_is_read_again_only_for_what_no_balancer_sees(levels: list[Any], tasks: list[str]) -> None:
    state = play({**play(restarted(), "verify", BOTH), "levels": levels}, "readmit", BOTH)
    assert [part["tasks"] for part in state["parts"]["soak_and_lease"]["monitor"]] == tasks


@pytest.mark.parametrize(
    ("answers", "back"),
    [
        ({"lb1": OK, "lb2": refused("below_minimum")}, ["lb1"]),
        ({"lb1": OK, "lb2": LOST}, ["lb1", "lb2"]),
        ({"lb1": OK, "lb2": failed("timed out")}, ["lb1", "lb2"]),
        ({"lb1": OK}, ["lb1", "lb2"]),
        ({"lb1": OK, "lb2": refused("socket")}, ["lb1", "lb2"]),  # it may have failed after the act
    ],
)
def test_all_balancers_or_none(answers: dict[str, Any], back: list[str]) -> None:
    state = play(pool_heal(), "shift", answers)
    assert acting(state) == {"undo": back}
    assert state["traffic_safe_at"] is None


def test_refused_on_all_balancers_has_nothing_to_undo() -> None:
    answers = {"lb1": refused("human_hold"), "lb2": refused("human_hold")}
    state = play(pool_heal(), "shift", answers)
    assert state["outcome"] == "undone"
    assert acting(state) == {"release": ["monitor"]}
    assert any("human_hold" in text for text in state["problems"])


def test_the_node_is_restarted_only_with_a_witness_from_each_balancer() -> None:
    assert acting(drained()) == {"restart": ["ei1"]}
    assert [witness["balancer"] for witness in drained()["witnesses"]] == ["lb1", "lb2"]
    state = play(shifted(), "drain", {"lb1": OK, "lb2": LOST})
    assert acting(state) == {"undo": ["lb1", "lb2"]}


def test_a_witness_says_which_connections_it_has_and_since_when_it_was_asked() -> None:
    """Since the phase began, never later; a balancer that does not know says nothing, not that there are none."""
    state = play(shifted(), "drain", {"lb1": {**OK, "open_ends": ["10.0.0.11:40"]}, "lb2": OK})
    knows, does_not = state["witnesses"]
    assert (knows["ends"], knows["since"]) == (["10.0.0.11:40"], shifted()["phase_started"])
    assert "ends" not in does_not
    assert "since" not in does_not


def test_half_open_connections_are_kept_with_the_restart() -> None:
    state = play(drained(), "restart", {"ei1": {**OK, "restarted": True, "half_open": ["10.0.0.11:40"]}})
    assert state["restart"]["half_open"] == ["10.0.0.11:40"]


def test_requests_that_outlive_the_drain_are_counted_and_told() -> None:
    state = play(shifted(), "drain", {"lb1": {**OK, "left_sessions": 2}, "lb2": {**OK, "left_sessions": 1}})
    assert state["left_sessions"] == 3
    assert acting(state) == {"restart": ["ei1"]}
    assert any("3 requests" in text for text in state["problems"])


@pytest.mark.parametrize(
    "lease",
    [{"held": True, "stop": "pause"}, {"held": True, "stop": "abort"}, {"held": True, "stop": "storm"},
     {"held": False, "stop": ""}, refused("lease_lost"), LOST, {}],
)  # fmt: skip
def test_pause_abort_storm_and_a_silent_journal_stop_it_before_the_restart(lease: dict[str, Any]) -> None:
    """Invariant 4."""
    state = play(shifted(), "drain", BOTH, lease={"monitor": lease})
    assert acting(state) == {"undo": ["lb1", "lb2"]}
    assert state["run"]["restart_and_store"] == NOBODY
    assert play(state, "undo", BOTH)["outcome"] == "undone"


@pytest.mark.parametrize("reason", ["config_invalid", "disk_full", "stale_epoch", "connections_open", "witness_stale"])
def test_a_restart_that_was_refused_goes_back(reason: str) -> None:
    state = play(drained(), "restart", {"ei1": {**refused(reason), "restarted": False}})
    assert acting(state) == {"undo": ["lb1", "lb2"]}


@pytest.mark.parametrize("answer", [LOST, failed(), {**refused("no_answer"), "restarted": True}, {}])
def test_a_restart_whose_end_is_unknown_or_bad_stays_out_and_calls_a_human(answer: dict[str, Any]) -> None:
    state = play(drained(), "restart", {"ei1": answer})
    assert state["outcome"] == "left_out"
    assert acting(state) == {"release": ["monitor"]}
    assert state["problems"]


RELIEF = {
    "files": 1, "bytes": 4096, "removed": [{"path": "/var/log/ei/ei.log.1", "bytes": 4000, "changed_at": 900.0}],
    "not_named": 0, "skipped": {}, "bound": "",
    "partitions": [{"path": "/var/log/ei", "below": 0.9, "before": 0.97, "after": 0.2}],
}  # fmt: skip
RUNG = {
    "kind": "relief", "service": "ei.service", "partitions": [{"path": "/var/log/ei", "below": 0.9}],
    "relief": [{"path": "/var/log/ei", "pattern": "*.log.*", "older_seconds": 3600}],
}  # fmt: skip


def relieving() -> dict[str, Any]:
    """A heal whose rung is a relief, about to do it."""
    return play(play(pool_heal(restart=RUNG), "shift", BOTH), "drain", BOTH)


def test_a_relief_is_done_where_a_restart_is_and_proven_like_one() -> None:
    state = relieving()
    assert acting(state)["restart"] == ["ei1"]
    assert (state["restart_kind"], state["relief"]) == ("relief", RUNG["relief"])
    assert state["partitions"] == RUNG["partitions"]
    assert pool_heal()["relief"] == pool_heal()["partitions"] == []
    state = play(state, "restart", {"ei1": {**OK, "restarted": False, "relieved": True, "relief": RELIEF}})
    assert acting(state) == {"verify": ["lb1", "lb2"]}
    assert state["said"] == "ei1 was relieved of 1 files (/var/log/ei is 20% full instead of 97%) and answers"
    assert state["detail"]["restart"]["relief"] == RELIEF


@pytest.mark.parametrize("reason", ["still_full", "no_answer", "stale_epoch"])
def test_a_relief_that_did_not_help_stays_out_and_the_journal_has_what_went(reason: str) -> None:
    answer = {**refused(reason), "restarted": False, "relieved": True, "relief": RELIEF}
    state = play(relieving(), "restart", {"ei1": answer})
    assert state["outcome"] == "left_out"
    assert acting(state) == {"release": ["monitor"]}
    assert state["detail"]["restart"]["relief"] == RELIEF


@pytest.mark.parametrize("reason", ["not_relievable", "disk", "witness_stale"])
def test_a_relief_that_was_refused_goes_back(reason: str) -> None:
    answer = {**refused(reason), "restarted": False, "relieved": False}
    assert acting(play(relieving(), "restart", {"ei1": answer})) == {"undo": ["lb1", "lb2"]}


def test_no_balancer_returns_the_node_before_all_have_seen_it_green() -> None:
    """Invariant 10."""
    assert acting(restarted()) == {"verify": ["lb1", "lb2"]}
    state = play(restarted(), "verify", {"lb1": OK, "lb2": refused("not_up")})
    assert "readmit" not in acting(state)
    assert acting(state) == {"look": ["lb1", "lb2"]}


def test_a_balancer_that_is_lost_while_verifying_does_not_keep_the_node_from_the_other() -> None:
    state = play(restarted(), "verify", {"lb1": OK, "lb2": LOST})
    assert acting(state) == {"readmit": ["lb1"]}
    state = play(play(state, "readmit", {"lb1": OK}), "soak", {"lb1": OK})
    assert state["outcome"] == "left_out"  # one balancer still holds it: a human is told


def servers(**others: str) -> dict[str, Any]:
    rows = [{"backend": "be", "server": "ei1", "address": "10.0.0.21", "port": 8280, "operational": "stopped"}]
    rows += [
        {
            "backend": "be",
            "server": name,
            "address": name,
            "port": 8280,
            "operational": up,
            "admin": "ready",
            "weight": 1,
        }
        for name, up in others.items()
    ]
    return {"balancer": {"servers": rows}}


def test_an_unverified_node_stays_out_while_anybody_serves() -> None:
    state = play(restarted(), "verify", {"lb1": refused("not_up"), "lb2": refused("not_up")})
    looked = play(state, "look", {"lb1": servers(ei2="running", ei3="stopped"), "lb2": servers(ei2="stopped")})
    assert looked["outcome"] == "left_out"


def test_the_exception_of_invariant_10_an_answering_node_when_nobody_serves() -> None:
    state = play(restarted(), "verify", {"lb1": refused("not_up"), "lb2": refused("not_up")})
    looked = play(state, "look", {"lb1": servers(ei2="stopped"), "lb2": servers(ei2="stopped")})
    assert acting(looked) == {"readmit": ["lb1", "lb2"]}
    assert looked["unverified"]
    ended = play(play(looked, "readmit", BOTH), "soak", BOTH)
    assert ended["outcome"] == "left_out"
    assert any("unverified" in text for text in ended["problems"])


@pytest.mark.parametrize("more", [{"resume": {"phase": "verify"}}, {"unproven": True}], ids=["resumed", "given back"])
def test_a_node_that_this_heal_has_not_restarted_does_not_count_as_answering(more: dict[str, Any]) -> None:
    """Nobody has asked it by itself: its own answer is part of the restart."""
    state = pool_heal(phases=["confirm", "shift", "verify", "readmit", "soak"], restart={"kind": "none"}, **more)
    state = play(play(state, "shift", BOTH), "drain", BOTH)
    state = play(state, "verify", {"lb1": refused("not_up"), "lb2": refused("not_up")})
    looked = play(state, "look", {"lb1": servers(ei2="stopped"), "lb2": servers(ei2="stopped")})
    assert (looked["outcome"], looked["unverified"]) == ("left_out", False)


def test_a_node_that_nobody_asked_does_not_count_as_answering() -> None:
    state = play({**restarted(), "health_scheme": "none"}, "verify", {"lb1": refused("not_up"), "lb2": LOST})
    looked = play(state, "look", {"lb1": servers(ei2="stopped")})
    assert (looked["outcome"], looked["unverified"]) == ("left_out", False)


def test_healed_is_said_only_after_the_soak() -> None:
    state = readmitted()
    assert state["outcome"] == ""
    assert acting(state) == {"soak": ["lb1", "lb2"]}
    state = play(state, "soak", BOTH)
    assert state["outcome"] == "healed"
    state = play(state, "release", {"monitor": OK})
    assert state["status"] == "healed"
    assert [phase["name"] for phase in state["phases"]] == [
        "confirm", "shift", "evidence", "restart", "verify", "readmit", "soak",
    ]  # fmt: skip


SHORT = {"verdict": "faulty", "readings": [{"gauge": "memory", "service": "mem", "verdict": "faulty"}]}
AS_ILL = {"verdict": "faulty", "still_ill": True, "reasons": ["memory: 97 %", "more"]}


def of_memory(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "levels": [{"gauge": "memory", "service": "mem"}]}


def test_a_node_that_nagios_reads_as_ill_as_before_serves_and_is_not_called_healed() -> None:
    state = play(of_memory(readmitted()), "soak", BOTH, illness={"monitor": AS_ILL})
    assert state["outcome"] == "undone"
    assert acting(state) == {"release": ["monitor"]}, "no client loses it for that"
    assert state["problems"] == ["ei1 serves, but is still ill: memory: 97 %"]
    assert state["detail"]["read_again"] == {"verdict": "faulty", "reasons": ["memory: 97 %", "more"]}
    said = report.lines(state, play(state, "release", {"monitor": OK}), "release")
    assert "selfheal    Nagios after the heal: faulty: memory: 97 %" in said


def test_one_that_falls_ill_in_front_of_the_balancers_is_taken_out_whatever_nagios_says() -> None:
    answers = {"lb1": refused("not_well"), "lb2": OK}
    state = play(of_memory(readmitted()), "soak", answers, illness={"monitor": AS_ILL})
    assert acting(state) == {"again": ["lb1", "lb2"]}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"verdict": "ok", "still_ill": False, "reasons": []}, "ok"),
        ({"verdict": "suspect", "still_ill": False, "reasons": ["memory: 85 %"]}, "suspect"),
        ({"verdict": "faulty", "still_ill": False, "reasons": ["once"]}, "faulty"),
        (LOST, "unknown"),
        (failed("no memory"), "unknown"),
        (refused("password_file"), "unknown"),
        ({}, "unknown"),
    ],
)
def test_a_nagios_that_proves_nothing_undoes_no_heal(said: dict[str, Any], kept: str) -> None:
    state = play(of_memory(readmitted()), "soak", BOTH, illness={"monitor": said})
    assert state["outcome"] == "healed"
    assert state["detail"]["read_again"]["verdict"] == kept
    assert state["problems"] == []


def test_where_no_level_made_it_ill_the_balancers_word_is_all() -> None:
    state = play(readmitted(), "soak", BOTH, illness={"monitor": AS_ILL})
    assert (state["outcome"], state["read_again"]) == ("healed", None)


@pytest.mark.parametrize(
    ("verdict", "levels"),
    [
        (SHORT, [{"gauge": "memory", "service": "mem"}]),
        ({**SHORT, "readings": SHORT["readings"] * 2}, [{"gauge": "memory", "service": "mem"}]),
        ({"readings": [{"gauge": "memory", "service": "mem", "verdict": "suspect"}]}, []),
        ({"readings": [{"gauge": "cpu", "service": "load", "verdict": "faulty"}]}, []),
        ({"readings": [{"gauge": "http", "service": "http", "verdict": "faulty"}]}, []),
        ({"readings": [{"gauge": "disk", "service": "disk /", "verdict": "faulty"}]},
         [{"gauge": "disk", "service": "disk /"}]),
        ({"readings": []}, []),
        ({}, []),
    ],
)  # fmt: skip
def test_what_is_read_again_is_what_made_it_ill_and_no_balancer_sees(
    verdict: dict[str, Any], levels: list[dict[str, str]]
) -> None:
    seen = {
        "plan": {"localhost": plan_of()},
        "members": ADDRESSES,
        "nagios": {"monitor": {"verdicts": {"ei1": verdict}}},
    }
    assert flow.advance(begun(), "plan", seen, NOW)["levels"] == levels


def test_ill_again_in_the_soak_is_detached_again() -> None:
    state = play(readmitted(), "soak", {"lb1": refused("not_well"), "lb2": OK})
    assert acting(state) == {"again": ["lb1", "lb2"]}
    assert play(state, "again", BOTH)["outcome"] == "left_out"


@pytest.mark.parametrize("answer", [LOST, failed()])
def test_balancers_that_cannot_be_asked_while_soaking_do_not_undo_a_heal(answer: dict[str, Any]) -> None:
    state = play(readmitted(), "soak", {"lb1": answer, "lb2": OK})
    assert acting(state) == {"release": ["monitor"]}, "the member that serves stays where it is"
    assert state["outcome"] == "healed"
    assert any("not watched to the end: lb1" in text for text in state["problems"])


def test_a_way_back_that_failed_is_never_silent() -> None:
    state = play(pool_heal(), "shift", {"lb1": OK, "lb2": LOST})
    state = play(state, "undo", {"lb1": OK, "lb2": LOST})
    assert state["outcome"] == "left_out"
    assert any("lb2" in text for text in state["problems"])


def test_a_lease_that_is_lost_after_the_restart_does_not_keep_the_node_out() -> None:
    state = play(restarted(), "verify", BOTH, lease={"monitor": LOST})
    assert acting(state) == {"readmit": ["lb1", "lb2"]}


def test_an_illness_that_no_restart_cures_is_shifted_and_handed_over() -> None:
    state = pool_heal(phases=["confirm", "shift", "evidence"], restart={"kind": "none"})
    state = play(play(state, "shift", BOTH), "drain", BOTH)
    assert state["outcome"] == "left_out"


def test_an_interrupted_heal_whose_restart_is_over_is_only_proven() -> None:
    state = pool_heal(
        phases=["confirm", "shift", "verify", "readmit", "soak"], restart={"kind": "none"}, resume={"phase": "verify"}
    )
    state = play(play(state, "shift", BOTH), "drain", BOTH)
    assert acting(state) == {"verify": ["lb1", "lb2"]}


@pytest.mark.parametrize("other", [{}, failed()])
def test_a_heal_that_nobody_could_watch_to_its_end_is_not_called_healed(other: dict[str, Any]) -> None:
    """Invariant 10."""
    state = play(readmitted(), "soak", {"lb1": LOST, "lb2": other})
    assert state["outcome"] == "left_out"
    assert acting(state) == {"release": ["monitor"]}
    assert any("not watched" in text for text in state["problems"])


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ({"at": 1001.5}, 1001.5),
        ({"at": 1002.0, "asked_at": 1001.0}, 1001.0),  # the controller's own clock before the target's
        ({"reached_at": 1003.0, "asked_at": 1001.5}, 1001.5),  # the answer was under way: as old as its question
        ({"at": 5000.0}, 1001.0),  # a clock that is wrong: as old as its phase, never younger
        ({}, 1001.0),
    ],
)
def test_a_witness_is_as_old_as_its_word_not_as_the_step_that_judged_it(said: dict[str, Any], at: float) -> None:
    """Invariant 8: evidence that takes long must not make old words young."""
    state = shifted()
    state["phase_started"] = 1001.0
    state = play(state, "drain", {"lb1": {**OK, **said}, "lb2": OK})
    assert state["witnesses"][0]["at"] == at


@pytest.mark.parametrize(
    ("resume", "since"),
    [
        (None, 7),
        ({"phase": "restart", "epoch": 5, "since_epoch": 3}, 3),
        ({"phase": "verify", "epoch": 5, "since_epoch": None}, 7),
    ],
    ids=["nothing before it", "rolled forward", "restarted anew"],
)
def test_a_restart_counts_from_the_first_attempt_that_this_one_rolls_forward(resume: Any, since: int) -> None:
    assert pool_heal(resume=resume)["since_epoch"] == since


@pytest.mark.parametrize("phase", ["restart", "verify", "readmit", "soak"])
def test_a_node_that_an_interrupted_run_may_have_restarted_is_not_given_back_unverified(phase: str) -> None:
    """Invariant 10: the way back is safe only if nothing was restarted, and that is not known here."""
    state = pool_heal(resume={"phase": phase, "epoch": 5, "since_epoch": 5}, unproven=True)
    lost = play(state, "shift", {"lb1": OK, "lb2": LOST})
    assert lost["outcome"] == "left_out"
    assert acting(lost) == {"release": ["monitor"]}
    assert lost["problems"]
    stopped = play(play(state, "shift", BOTH), "drain", BOTH, lease={"monitor": {"held": True, "stop": "pause"}})
    assert stopped["outcome"] == "left_out"


@pytest.mark.parametrize("resume", [None, {"phase": "shift", "epoch": 5, "since_epoch": 3}])
def test_a_node_that_an_attempt_before_left_out_is_not_given_back_unverified(resume: Any) -> None:
    """Invariant 10. Not this run, nor the one that died before it, has restarted the node; an older one has."""
    state = pool_heal(resume=resume, unproven=True)
    assert play(state, "shift", {"lb1": OK, "lb2": LOST})["outcome"] == "left_out"
    stopped = play(play(state, "shift", BOTH), "drain", BOTH, lease={"monitor": {"held": True, "stop": "pause"}})
    assert (stopped["outcome"], acting(stopped)) == ("left_out", {"release": ["monitor"]})


def test_a_run_that_died_before_its_restart_goes_back_as_ever() -> None:
    state = pool_heal(resume={"phase": "evidence", "epoch": 5, "since_epoch": 5})
    assert acting(play(state, "shift", {"lb1": OK, "lb2": LOST})) == {"undo": ["lb1", "lb2"]}
