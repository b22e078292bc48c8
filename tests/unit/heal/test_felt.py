# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What clients felt by the balancers' counters: differences, and what has none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _felt as felt
from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_flow as flow
from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_report as report

from .farm import ADDRESSES, LOST, OK, begun, failed, instance, pair_heal, plan_of, play, refused

EI1 = ("10.0.0.21", 8280)


def row(backend: str, server: str, address: str = "", mode: str = "http", **counters: int) -> dict[str, Any]:
    port = 8280 if server else 0
    return {"backend": backend, "server": server, "address": address, "port": port, "mode": mode, "counters": counters}


def be_ei(stot: int, econ: int = 0, own: int = 0, **more: int) -> list[dict[str, Any]]:
    """A backend as a whole, the ill server, and its twin."""
    return [
        row("be_ei", "", stot=stot, econ=econ, **more),
        row("be_ei", "ei1", "10.0.0.21", stot=own, econ=0),
        row("be_ei", "ei2", "10.0.0.22", stot=stot - own, econ=econ),
    ]


def balancer(counters: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    return {"pid": 77, "boot_id": "b", "started_at": 500, "uptime_seconds": 400, "counters": counters, **changes}


def read(counters: list[dict[str, Any]], phase: str = "confirm", at: float = 1000.0, **changes: Any) -> Any:
    return felt.reading(balancer(counters, **changes), EI1, phase, at)


@pytest.mark.parametrize(
    ("seen", "member", "backends", "node"),
    [
        (balancer(be_ei(9, own=4)), EI1, {"be_ei": 9}, {"be_ei/ei1": 4}),
        (balancer([*be_ei(9), row("be_x", "", stot=1)]), EI1, {"be_ei": 9}, {"be_ei/ei1": 0}),  # not its backend
        (
            balancer([*be_ei(9, own=4), row("two", "", stot=5), row("two", "e", "10.0.0.21", stot=2)]),
            EI1,
            {"be_ei": 9, "two": 5},
            {"be_ei/ei1": 4, "two/e": 2},
        ),
        (balancer([*be_ei(9), row("two", "", stot=5)]), None, {"be_ei": 9, "two": 5}, {}),  # of a pair: all of it
        (balancer(be_ei(9)), ("10.0.0.29", 8280), None, None),  # no such member
        (balancer(be_ei(9)), ("10.0.0.21", 81), None, None),
        (balancer(be_ei(9)[1:]), EI1, None, None),  # no word of the backend as a whole
        (balancer([]), None, None, None),
        (balancer(be_ei(9), pid=0), EI1, None, None),
        ({**balancer([]), "counters": None}, EI1, None, None),  # from a module of an earlier version
        (None, EI1, None, None),
        ({}, EI1, None, None),
        ("text", EI1, None, None),
    ],
)
def test_a_reading_has_the_members_backends(seen: Any, member: Any, backends: Any, node: Any) -> None:
    found = felt.reading(seen, member, "confirm", 1000.0)
    if backends is None:
        assert found is None
    else:
        assert found is not None
        assert {name: counts["stot"] for name, counts in found["backends"].items()} == backends
        assert {name: counts["stot"] for name, counts in found["node"].items()} == node


FIRST = read(be_ei(100, econ=3, own=40))


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (read(be_ei(130, econ=3, own=50), uptime_seconds=440), ""),
        (FIRST, ""),
        (None, "no_reading_after"),
        (read(be_ei(130, econ=3, own=50), pid=78), "restarted"),
        (read(be_ei(130, econ=3, own=50), boot_id="c"), "restarted"),  # the same number after a reboot
        (read(be_ei(130, econ=3, own=50), started_at=990), "restarted"),  # the same number in a container
        (read(be_ei(130, econ=3, own=50), started_at=None, uptime_seconds=10), "restarted"),
        (read(be_ei(130, econ=3, own=50), started_at=None, uptime_seconds=440), ""),
        (read(be_ei(5, econ=0, own=0), pid=78), "restarted"),  # and not that its counters went back
        (read(be_ei(5, econ=3, own=0)), "went_back"),
        (read(be_ei(130, econ=2, own=50)), "went_back"),  # one counter of one row is enough
        (read(be_ei(130, econ=3, own=39)), "went_back"),
        (read([*be_ei(130, econ=3, own=50), *be_ei(1)[1:2], row("two", "", stot=1),
               row("two", "ei1", "10.0.0.21", stot=1)]), "changed"),
        (read(be_ei(130, econ=3, own=50, eresp=1)), "changed"),
    ],
)  # fmt: skip
def test_two_readings_that_have_a_difference_and_those_that_have_none(after: Any, why: str) -> None:
    assert felt.why_not(FIRST, after) == why
    assert felt.why_not(None, after) == "no_reading_before"


def test_differences_are_summed_over_the_balancers_and_the_ill_one_is_told_alone() -> None:
    """A failure on a healthy twin counts too, and so does one that no server was there for."""
    before = {"lb1": read(be_ei(100, econ=3, own=40)), "lb2": read(be_ei(10, own=1), at=1000.5)}
    after = {
        "lb1": read(be_ei(1100, econ=4, own=45), "soak", 1040.0),
        "lb2": read(be_ei(213, econ=1, own=3), "soak", 1041.5),
    }
    assert felt.felt(["lb1", "lb2"], before, after) == {
        "balancers": ["lb1", "lb2"], "begin": 1000.0, "end": 1041.5, "phases": ["confirm", "soak"], "tcp": False,
        "total": {"stot": 1203, "econ": 2},
        "backends": [{"backend": "be_ei", "counters": {"stot": 1203, "econ": 2}}],
        "node": {"stot": 7, "econ": 0}, "gaps": [],
    }  # fmt: skip


def test_a_server_in_two_backends_is_summed_and_each_backend_told() -> None:
    def both(stot: int, other: int) -> list[dict[str, Any]]:
        return [*be_ei(stot, own=stot), row("two", "", stot=other), row("two", "e", "10.0.0.21", stot=other, econ=0)]

    told = felt.felt(["lb1"], {"lb1": read(both(1, 2))}, {"lb1": read(both(11, 22), "soak")})
    assert told is not None
    assert told["total"]["stot"] == 30 and told["node"]["stot"] == 30
    assert [(one["backend"], one["counters"]["stot"]) for one in told["backends"]] == [("be_ei", 10), ("two", 20)]
    assert "of these in two: 20 requests" in felt.words(told, "ei1")


ENDS = [
    (FIRST, read(be_ei(130, econ=3, own=50), "soak"), [], 30),
    (None, read(be_ei(130, econ=3, own=50), "soak"), [("no_reading_before", None)], None),
    (FIRST, None, [("no_reading_after", None)], None),
    (FIRST, read(be_ei(130, econ=3, own=50), "soak", pid=78), [("restarted", None)], None),
    (FIRST, read(be_ei(1, econ=3, own=50), "soak"), [("went_back", None)], None),
    (FIRST, read(be_ei(130, econ=3, own=50), "verify"), [("ended", "verify")], 30),
]


@pytest.mark.parametrize(("before", "after", "gaps", "more"), ENDS)
def test_a_balancer_that_has_no_difference_is_named_and_the_others_are_counted(
    before: Any, after: Any, gaps: list[Any], more: int | None
) -> None:
    first, last = {"lb1": FIRST}, {"lb1": read(be_ei(200, econ=3, own=40), "soak")}
    first.update({"lb2": before} if before else {})
    last.update({"lb2": after} if after else {})
    told = felt.felt(["lb1", "lb2"], first, last)
    assert told is not None
    assert told["total"] == {"stot": 100 + (more or 0), "econ": 0}
    assert told["balancers"] == (["lb1"] if more is None else ["lb1", "lb2"])
    assert [(one["reason"], one.get("phase")) for one in told["gaps"]] == gaps
    assert all(one["balancer"] == "lb2" for one in told["gaps"])


def test_no_balancer_to_count_by_and_none_that_can_be_counted_are_not_the_same() -> None:
    assert felt.felt(["lb1"], {}, {}) is None
    assert felt.felt([], {}, {}) is None
    told = felt.felt(["lb1"], {"lb1": FIRST}, {"lb1": read(be_ei(9), "soak", pid=78)})
    assert told is not None
    assert told["total"] is None and told["node"] is None and told["backends"] == [] and told["balancers"] == []
    assert felt.words(told, "ei1") == [
        "clients, by the balancers' counters: unknown",
        "lb1 is not counted: it was restarted or reloaded, and its counters with it",
    ]


WORDS = [
    ({"stot": 1204, "econ": 0, "eresp": 2, "hrsp_5xx": 0}, False,
     "1,204 requests, 0 failed connections, 2 failed responses, 0 5xx"),
    ({"stot": 1, "econ": 1, "eresp": 1, "hrsp_5xx": 1, "wretr": 1, "wredis": 2}, False,
     "1 request, 1 failed connection, 1 failed response, 1 5xx, 1 connection retry, 2 redispatches"),
    ({"stot": 2, "econ": 0, "eresp": 0, "hrsp_5xx": 0, "cli_abrt": 3, "srv_abrt": 0}, False,
     "2 requests, 0 failed connections, 0 failed responses, 0 5xx, 3 aborted by clients"),
    ({"stot": 2, "econ": 0, "eresp": 0}, True, "2 sessions, 0 failed connections, 0 failed responses"),
]  # fmt: skip


@pytest.mark.parametrize(("counters", "tcp", "said"), WORDS)
def test_counters_in_words(counters: dict[str, int], tcp: bool, said: str) -> None:
    assert felt.amounts(counters, tcp) == said


def test_a_backend_in_mode_tcp_counts_sessions_and_no_5xx() -> None:
    def rows(stot: int) -> list[dict[str, Any]]:
        return [row("be", "", mode="tcp", stot=stot), row("be", "e", "10.0.0.21", mode="tcp", stot=stot)]

    told = felt.felt(["lb1"], {"lb1": read(rows(1))}, {"lb1": read(rows(4), "soak", 1009.0)})
    assert felt.words(told, "ei1") == [
        "clients, by the balancers' counters: 3 sessions (from confirm to soak, 9.0 s)",
        "of these at ei1: 3 sessions",
    ]


STRANGE: list[Any] = [None, 5, "text", [], {}, [None], [5], {"a": 1}, float("nan"), True, -1]


@pytest.mark.parametrize("strange", STRANGE, ids=repr)
def test_what_is_strange_is_not_counted_and_breaks_nothing(strange: Any) -> None:
    """It is read on the way of a heal: whatever a balancer says, the heal goes on."""
    felt.words(strange, "ei1")
    for key in ("pid", "boot_id", "started_at", "uptime_seconds", "counters", "at"):
        changed = felt.reading({**balancer(be_ei(100, econ=3, own=40)), key: strange}, EI1, "soak", 1000.0)
        felt.felt(["lb1"], {"lb1": FIRST}, {"lb1": changed} if changed else {})
        mute = {**balancer(be_ei(100, econ=3, own=40)), "started_at": None, key: strange}
        young = felt.reading(mute, EI1, "soak", 1000.0)
        felt.felt(["lb1"], {"lb1": FIRST}, {"lb1": young} if young else {})
    for key in ("backend", "server", "address", "port", "mode", "counters"):
        rows = [{**one, key: strange} for one in be_ei(100, econ=3, own=40)]
        changed = read(rows, "soak")
        felt.felt(["lb1"], {"lb1": FIRST}, {"lb1": changed} if changed else {})
    told = felt.felt(["lb1"], {"lb1": FIRST}, {"lb1": read(be_ei(130, econ=3, own=50), "soak")})
    assert told is not None
    for key in told:
        felt.words({**told, key: strange}, "ei1")
    for name in felt.LABELS:
        felt.words({**told, "total": {name: strange}}, "ei1")
    answers: list[Any] = [strange, {"balancer": strange}, {"answer": strange}, {"answer": {"balancer": strange}}]
    for answer in answers:
        state = healing(be_ei(10), be_ei(10))
        felt.note(state, {"shift": {"lb1": answer}}, 1001.0)


# -- through a whole heal ----------------------------------------------------------------------------------------


def healing(*readings: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """A pool's heal that was admitted on these readings."""
    balancers = {f"lb{number}": {"balancer": balancer(rows)} for number, rows in enumerate(readings, 1)}
    seen = {"plan": {"localhost": plan_of(**changes)}, "members": ADDRESSES, "balancers": balancers}
    return flow.advance(begun(), "plan", seen, 1000.0)


def acted(rows: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    """What ``lb_member`` answers."""
    return {**OK, "balancer": balancer(rows, **changes)}


def watched(rows: list[dict[str, Any]], result: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """What a watch answers: the last answer of its info module is inside."""
    return {**(result or OK), "answer": {"balancer": balancer(rows, **changes)}}


def to_soak(state: dict[str, Any]) -> dict[str, Any]:
    both = {"lb1": acted(be_ei(20, own=6)), "lb2": acted(be_ei(5))}
    state = play(play(state, "shift", both), "drain", both)
    state = play(state, "restart", {"ei1": {**OK, "restarted": True}})
    return play(play(state, "verify", both), "readmit", both)


def test_a_healed_pool_tells_it_in_the_journals_detail() -> None:
    state = to_soak(healing(be_ei(10, own=4), be_ei(5)))
    state = play(state, "soak", {"lb1": watched(be_ei(40, econ=1, own=9)), "lb2": watched(be_ei(6))})
    assert state["outcome"] == "healed"
    told = state["detail"]["felt"]
    assert told["total"] == {"stot": 31, "econ": 1} and told["node"] == {"stot": 5, "econ": 0}
    assert told["phases"] == ["confirm", "soak"] and told["gaps"] == []
    assert json.loads(json.dumps(told)) == told, "the journal keeps it as JSON"
    assert report.result(state)["felt"] == told
    ended = play(state, "release", {"monitor": OK})
    assert ended["detail"]["felt"] == told
    said = report.lines(state, ended, "release")
    assert any("31 requests, 1 failed connection" in line for line in said)


def test_a_time_of_a_clock_that_is_wrong_is_not_taken_for_the_end() -> None:
    state = to_soak(healing(be_ei(10), be_ei(5)))
    state = play(state, "soak", {"lb1": watched(be_ei(40), at=5.0), "lb2": watched(be_ei(6), at=9e9)})
    assert 1000.0 <= state["felt"]["begin"] <= state["felt"]["end"] <= 1010.0


@pytest.mark.parametrize(
    ("last", "gaps", "stot"),
    [
        (watched(be_ei(8), pid=78), [("lb2", "restarted")], 30),
        (LOST, [("lb2", "ended")], 30),
        ({}, [("lb2", "ended")], 30),
        (watched(be_ei(8), refused("not_well")), [], 33),  # the watch that ended in an illness counts as well
    ],
)
def test_a_balancer_that_is_lost_or_restarted_meanwhile_is_said(last: Any, gaps: list[Any], stot: int) -> None:
    state = to_soak(healing(be_ei(10), be_ei(5)))
    state = play(state, "soak", {"lb1": watched(be_ei(40)), "lb2": last})
    assert [(one["balancer"], one["reason"]) for one in state["felt"]["gaps"]] == gaps
    assert state["felt"]["total"]["stot"] == stot
    assert all(one.get("phase", "readmit") == "readmit" for one in state["felt"]["gaps"])


def test_a_balancer_that_was_proven_down_before_is_said() -> None:
    state = healing(be_ei(10), balancers=["lb1"], skipped_balancers=["lb2"])
    state = play(state, "shift", {"lb1": acted(be_ei(20))})
    assert [one["balancer"] for one in state["felt"]["gaps"]] == ["lb2"]
    assert state["felt"]["gaps"][0]["reason"] == "no_reading_before"


@pytest.mark.parametrize("answer", [LOST, failed(), {}])
def test_a_heal_that_ends_earlier_tells_what_was_counted_up_to_there(answer: Any) -> None:
    state = healing(be_ei(10), be_ei(5))
    both = {"lb1": acted(be_ei(20)), "lb2": acted(be_ei(7))}
    state = play(play(state, "shift", both), "drain", both)
    state = play(state, "restart", {"ei1": answer})
    assert state["outcome"] == "left_out"
    assert state["detail"]["felt"]["total"]["stot"] == 12
    assert state["detail"]["felt"]["phases"] == ["confirm", "evidence"]


def test_the_way_back_is_counted_too() -> None:
    state = play(healing(be_ei(10), be_ei(5)), "shift", {"lb1": acted(be_ei(20)), "lb2": LOST})
    state = play(state, "undo", {"lb1": acted(be_ei(21)), "lb2": acted(be_ei(9))})
    assert state["outcome"] == "undone"
    assert state["detail"]["felt"]["total"]["stot"] == 15
    assert state["detail"]["felt"]["phases"] == ["confirm", "undo"]


def test_a_refused_heal_and_one_without_counters_tell_nothing() -> None:
    assert healing(be_ei(10), be_ei(5), admitted=False)["felt"] is None
    old = healing()
    old = play(to_soak(old), "soak", {"lb1": watched(be_ei(40)), "lb2": watched(be_ei(9))})
    assert old["outcome"] == "healed" and old["detail"]["felt"] is None


def test_of_a_pair_the_restarted_node_is_unknown_and_its_twin_is_counted() -> None:
    fronts = [row("be_ei", "", stot=100, econ=1), row("be_web", "", stot=7, econ=0)]
    later = [row("be_ei", "", stot=160, econ=1), row("be_web", "", stot=9, econ=0)]
    pair = pair_heal()
    seen = {"lb1": {"balancer": balancer(fronts)}, "lb2": {"balancer": balancer(fronts)}}
    felt.begin(pair, seen, ["lb1", "lb2"], 1000.0)
    state = play(play(pair, "shift", {"lb2": OK}), "drain", {"lb2": OK, "lb1": OK})
    state = play(state, "restart", {"lb1": {**OK, "restarted": True}})
    members = {"lb1": watched(fronts, pid=78), "lb2": watched(later)}
    state = play(state, "verify", {"lb1": OK}, members=members)
    assert [(one["balancer"], one["reason"]) for one in state["felt"]["gaps"]] == [("lb1", "restarted")]
    assert state["felt"]["total"] == {"stot": 62, "econ": 0} and state["felt"]["node"] is None
    assert [one["backend"] for one in state["felt"]["backends"]] == ["be_ei", "be_web"]


def test_a_pair_takes_its_readings_from_the_plan() -> None:
    seen = {"lb1": instance("MASTER", True), "lb2": instance("BACKUP", False)}
    policy = {**plan_of()["policy"], "kind": "pair", "service": "haproxy.service"}
    plan = plan_of(node="lb1", layer="extlb", strategy="keepalived_failover", peer="lb2", balancers=[], policy=policy)
    state = {**begun(), "node": "lb1"}
    both = {host: {"balancer": balancer(be_ei(3))} for host in ("lb1", "lb2")}
    answers = {"plan": {"localhost": plan}, "members": ADDRESSES, "keepalived": seen, "balancers": both}
    state = flow.advance(state, "plan", answers, 1000.0)
    assert sorted(state["counted"]["before"]) == ["lb1", "lb2"]
    assert state["counted"]["before"]["lb1"]["backends"] == {"be_ei": {"stot": 3, "econ": 0}}
