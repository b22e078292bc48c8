# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The judge's arithmetic, by small records made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from lab.judge import figures
from lab.judge.farm import Farm
from lab.judge.records import Answer, BalancerSeen, MachineSeen, Mark, ProbeSeen, Sample, ServerSeen
from lab.judge.spans import FOREVER, out_spans, restarts

FARM = Farm(
    addresses={},
    layers={"ei": ("ei1", "ei2", "ei3"), "extlb": ("extlb1", "extlb2")},
    kinds={"ei": "pool", "extlb": "pair"},
    balancers={"ei": ("extlb1", "extlb2")},
    units={"ei": "ei.service", "extlb": "haproxy.service"},
    minimum={"ei": 2, "extlb": 1},
)


def answer(sent: float, took: float = 0.01, **values: Any) -> Answer:
    return Answer(sent, sent + took, **{"balancer": "extlb1", "member": "ei2", **values})


def failed(sent: float, took: float = 0.01, error: str = "status", **values: Any) -> Answer:
    return answer(sent, took, error=error, **{"status": 500 if error == "status" else 0, **values})


def look(at: float, balancer: str = "extlb1", **statuses: str) -> BalancerSeen:
    return BalancerSeen(at, balancer, {name: ServerSeen(statuses.get(name, "UP")) for name in ("ei1", "ei2", "ei3")})


def looks(begin: float, end: float, **statuses: str) -> list[Sample]:
    """Both balancers, twice a second."""
    count = round((end - begin) * 2)
    return [
        look(begin + index / 2, balancer, **statuses) for index in range(count) for balancer in ("extlb1", "extlb2")
    ]


def machine(at: float, node: str, address: bool = False, boot: float = 1.0, **units: float) -> MachineSeen:
    return MachineSeen(at, node, boot, {f"{name}.service": start for name, start in units.items()}, address)


def one(
    marks: Sequence[Mark], answers: Sequence[Answer] = (), samples: Sequence[Sample] = (), end: float = 60
) -> figures.Incident:
    found = figures.incidents(
        FARM, marks, sorted(answers, key=lambda item: item.sent), sorted(samples, key=lambda item: item.at), end
    )
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("status", "out"),
    [
        ("UP", False),
        ("UP 1/3", False),
        ("no check", False),
        ("MAINT", True),
        ("DRAIN", True),
        ("DOWN", True),
        ("DOWN 1/2", True),
        ("NOLB", True),
        ("MAINT (via be_ei/ei1)", True),
    ],
)
def test_a_member_on_its_way_down_still_gets_requests(status: str, out: bool) -> None:
    assert ServerSeen(status).out is out


@pytest.mark.parametrize(
    ("name", "samples", "expected"),
    [
        ("out on one of two is in", [look(1), look(1, "extlb2"), look(2, ei1="MAINT")], []),
        (
            "out on both",
            [look(1), look(1, "extlb2"), look(2, ei1="MAINT"), look(2.1, "extlb2", ei1="DOWN"), look(3)],
            [(2.1, 3)],
        ),
        (
            "a balancer that stopped answering says nothing after a while",
            [look(1), look(1, "extlb2"), look(2, ei1="MAINT"), look(4, ei1="MAINT")],
            [(4, FOREVER)],
        ),
        ("no answer is not out", [look(1), BalancerSeen(2, "extlb1", None)], []),
        ("a balancer of another layer does not count", [look(1), look(2, "intlb1", ei1="MAINT")], []),
    ],
)
def test_out_spans(name: str, samples: list[Sample], expected: list[tuple[float, float]]) -> None:
    assert out_spans("ei1", samples, ("extlb1", "extlb2")) == expected, name


@pytest.mark.parametrize(
    ("name", "samples", "expected"),
    [
        ("first look is no restart", [machine(1, "ei1", ei=0.5)], []),
        ("started anew", [machine(1, "ei1", ei=0.5), machine(9, "ei1", ei=8.0)], [8.0]),
        ("stopped and started", [machine(1, "ei1", ei=0.5), machine(5, "ei1"), machine(9, "ei1", ei=8.0)], [8.0]),
        ("a reboot is one restart", [machine(1, "ei1", ei=0.5), machine(9, "ei1", boot=8.0, ei=8.4)], [8.0]),
        (
            "a machine that was out of sight did not reboot",
            [machine(1, "ei1", ei=0.5), machine(2, "ei1", boot=0.0), machine(3, "ei1", ei=0.5)],
            [],
        ),
        ("another machine", [machine(1, "ei2", ei=0.5), machine(9, "ei2", ei=8.0)], []),
        (
            "a configuration test before the service is no start of its own",
            [machine(1.0, "ei1", ei=0.5), machine(3.0, "ei1", ei=2.9), machine(3.2, "ei1", ei=3.04)],
            [3.04],
        ),
        (
            "the oldest process is killed a moment before its children, and nothing has started",
            [machine(400.0, "ei1", ei=0.5), machine(400.1, "ei1", ei=0.6), machine(400.2, "ei1")],
            [],
        ),
        (
            "and what is started after that counts",
            [machine(400.0, "ei1", ei=0.5), machine(400.1, "ei1", ei=0.6), machine(411.0, "ei1", ei=410.9)],
            [410.9],
        ),
    ],
)
def test_restarts(name: str, samples: list[Sample], expected: list[float]) -> None:
    assert restarts("ei1", samples) == expected, name


@pytest.mark.parametrize(
    ("name", "answers", "expected"),
    [
        ("steady", [answer(t / 10) for t in range(100, 201)], 0.1),
        (
            "failures are not successes",
            [
                answer(9.9),
                *(failed(t / 10) for t in range(100, 131)),
                answer(13.0),
                *(answer(t / 10) for t in range(131, 200)),
            ],
            3.1,
        ),
        (
            "from the last success before the window",
            [answer(8.0), answer(12.0), *(answer(t / 10) for t in range(121, 200))],
            4.0,
        ),
        (
            "to the end of the window",
            [*(answer(t / 10) for t in range(95, 150)), *(failed(t / 10) for t in range(150, 210))],
            5.09,
        ),
        ("nothing sent towards the end, nothing felt", [answer(t / 10) for t in range(95, 150)], 0.1),
        ("nothing sent, nothing felt", [answer(3.0)], 0.0),
    ],
)
def test_longest_gap(name: str, answers: list[Answer], expected: float) -> None:
    assert figures.longest_gap(answers, 10, 20) == pytest.approx(expected, abs=0.011), name


@pytest.mark.parametrize(
    ("name", "item", "slow", "cut"),
    [
        ("quick", answer(1, 0.2), False, False),
        ("asked to be long", answer(1, 5.1, seconds=5.0), False, False),
        ("longer than asked", answer(1, 6.2, seconds=5.0), True, False),
        ("failed is not slow", failed(1, 9, "timeout", new=True), False, False),
        ("kept connection reset", failed(1, error="reset"), False, True),
        ("kept connection that never answers", failed(1, 10, "timeout"), False, True),
        ("new connection reset is no cut", failed(1, error="reset", new=True), False, False),
        ("an error answer is no cut", failed(1), False, False),
    ],
)
def test_slow_and_cut(name: str, item: Answer, slow: bool, cut: bool) -> None:
    assert (figures.is_slow(item), figures.is_cut(item)) == (slow, cut), name


def heal_of_ei1() -> tuple[list[Mark], list[Answer], list[Sample]]:
    """Ill at 10, seen at 14, commanded at 16, out at 18, restarted at 20, serves at 25."""
    marks = [Mark(10, "injected", "ei1", "memory", {"kind": "illness"}), Mark(16, "command", "ei1"), Mark(40, "end")]
    answers = [answer(t / 10) for t in range(600)]
    answers += [failed(t, member="ei1") for t in (11, 13, 17)]
    answers += [answer(17.5, 3.0, member="ei1", seconds=3.0), answer(25.0, 0.02, member="ei1")]
    samples = [
        *looks(0, 18),
        *looks(18, 24, ei1="MAINT"),
        *looks(24, 59),
        machine(1, "ei1", ei=0.5),
        machine(20.2, "ei1", ei=20.0),
        ProbeSeen(9.1, "ei1", "memory", "ok", True, 9.0),
        ProbeSeen(12.1, "ei1", "memory", "critical", False, 12.0),
        ProbeSeen(14.1, "ei1", "memory", "critical", True, 14.0),
    ]
    return marks, answers, samples


def test_an_incident_of_a_pool() -> None:
    incident = one(*heal_of_ei1())
    assert incident.first_alert == 12.0
    assert incident.detected == 14.0
    assert incident.traffic_safe == 18.0
    assert incident.drained == pytest.approx(20.5)
    assert incident.restarted == 20.0
    assert incident.redundancy_restored == pytest.approx(25.02)
    assert incident.failed == 3
    assert incident.failed_after_safe == 0
    assert incident.harm == []
    assert incident.figures()["seconds"] == {
        "injected_to_detected": 4.0,
        "injected_to_safe": 8.0,
        "injected_to_restored": 15.02,
        "command_to_safe": 2.0,
        "safe_to_restored": 7.02,
        "command_to_restored": 9.02,
        "drain": 2.5,
    }


def test_failed_after_traffic_safe_counts_by_the_time_of_sending() -> None:
    marks, answers, samples = heal_of_ei1()
    late = failed(17.9, 5.0, "timeout", new=True)  # sent before it was safe, failed after
    assert one(marks, [*answers, late], samples).failed_after_safe == 0
    assert one(marks, [*answers, late, failed(18.1)], samples).failed_after_safe == 1


@pytest.mark.parametrize(
    ("name", "item", "first", "second"),
    [
        ("a long request that the next incident cuts off", failed(25, 10, "closed", seconds=10.0), 0, 1),
        ("one that was never answered", failed(25, 10, "timeout"), 1, 0),
        ("a long one that the next incident left without an answer", failed(25, 18, "timeout", seconds=8.0), 0, 1),
        ("one that could not connect just before", failed(29.9, 0.25, "connect"), 1, 0),
        ("an error answer within the first", failed(25), 1, 0),
    ],
)
def test_a_failure_belongs_to_the_incident_in_which_it_went_wrong(
    name: str, item: Answer, first: int, second: int
) -> None:
    marks = [Mark(10, "drill", "ei1"), Mark(30, "bare", "ei2")]
    found = figures.incidents(FARM, marks, [item], [], 60)
    assert [incident.failed for incident in found] == [first, second], name


def test_a_node_that_never_went_out_is_never_safe() -> None:
    marks, answers, _ = heal_of_ei1()
    incident = one(marks, answers, looks(0, 59))
    assert (incident.traffic_safe, incident.redundancy_restored, incident.failed_after_safe) == (None, None, 0)


def test_an_answer_between_safe_and_restart_is_not_restored() -> None:
    marks, answers, samples = heal_of_ei1()
    incident = one(marks, [*answers, answer(18.4, member="ei1")], samples)
    assert incident.redundancy_restored == pytest.approx(25.02)


def test_windows_end_where_the_next_cause_begins() -> None:
    marks = [Mark(10, "injected", "ei1", "memory", {"kind": "illness"}), Mark(30, "drill", "ei2", "a drill")]
    found = figures.incidents(FARM, marks, [failed(20), failed(31), failed(32)], [], 60)
    assert [(item.cause, item.end, item.failed) for item in found] == [("memory", 30, 1), ("a drill", 60, 2)]


def test_a_disturbance_is_no_incident() -> None:
    marks = [Mark(10, "injected", "ei1", "nrpe_down", {"kind": "disturbance"})]
    assert figures.incidents(FARM, marks, [], [], 60) == []


def pair_answers(leave: float, home: float | None = None) -> list[Answer]:
    def who(at: float) -> str:
        return "extlb1" if at < leave or (home is not None and at >= home) else "extlb2"

    return [answer(t / 10, new=True, balancer=who(t / 10)) for t in range(600)]


def pair_samples(standby_at: float, restart: float | None = 22.0) -> list[Sample]:
    def up(at: float, start: float, address: bool) -> MachineSeen:
        return machine(at, "extlb1", address, haproxy=start, keepalived=0.5)

    samples: list[Sample] = [up(1, 0.5, True), *looks(0, 20)]
    if restart is not None:
        samples += [up(restart + 0.1, restart, False)]
    samples += [BalancerSeen(20 + index, "extlb1", None) for index in range(int(standby_at) - 20)]
    return samples + [look(standby_at + index / 2) for index in range(20)]


def test_an_incident_of_a_pair() -> None:
    marks = [Mark(10, "injected", "extlb1", "haproxy_stopped", {"kind": "illness"}), Mark(12, "command", "extlb1")]
    incident = one(marks, pair_answers(15, 40), pair_samples(25.0))
    assert incident.traffic_safe == 15.0
    assert incident.restarted == 22.0
    assert incident.redundancy_restored == 25.0
    assert incident.went_home == 40.0


def test_an_address_that_came_back_at_once_has_not_moved() -> None:
    marks = [Mark(10, "drill", "extlb1")]
    incident = one(marks, pair_answers(15, 15.5), pair_samples(25.0))
    assert incident.traffic_safe is None


def test_a_standby_that_holds_the_address_too_is_not_restored() -> None:
    marks = [Mark(10, "injected", "extlb1", "keepalived_killed", {"kind": "illness"})]
    samples = [machine(1, "extlb1", True, haproxy=0.5, keepalived=0.5), *looks(0, 59)]
    assert one(marks, pair_answers(15), samples).redundancy_restored is None


@pytest.mark.parametrize(("share", "expected"), [(50, 5), (95, 10), (10, 1), (100, 10), (0, 1)])
def test_percentile_is_a_measured_value(share: float, expected: int) -> None:
    assert figures.percentile(list(range(1, 11)), share) == expected


def test_totals() -> None:
    answers = [answer(t / 10, new=t % 10 == 0) for t in range(100)] + [failed(10.0), failed(10.1, error="reset")]
    total = figures.totals(answers)
    assert (total["sent"], total["failed"], total["cut"], total["new_connections"]) == (102, 2, 1, 10)
    assert total["errors"] == {"status 500": 1, "reset": 1}


def test_each_move_is_felt_by_itself() -> None:
    marks = [Mark(10, "move", "extlb1"), Mark(50, "end")]
    answers = pair_answers(20, 40)
    answers += [failed(20.1, error="connect", new=True), failed(20.2, error="reset"), failed(30, error="reset")]
    answers += [failed(18.5, 15, "timeout", new=True, seconds=5.0)]  # in flight: it was connected long before
    answers = [item for item in answers if not 40 < item.sent < 40.35]  # nobody answered then
    incident = one(marks, answers, pair_samples(25.0))
    assert [(move["from"], move["to"], move["failed_new"], move["cut"]) for move in incident.moves] == [
        ("extlb1", "extlb2", 1, 2),
        ("extlb2", "extlb1", 0, 0),
    ]
    assert [move["gap"] for move in incident.moves] == [pytest.approx(0.1, abs=0.02), pytest.approx(0.4, abs=0.02)]
    assert incident.cut == 2


def test_what_a_move_cuts_is_counted_apart_from_what_fails_after_traffic_safe() -> None:
    marks = [Mark(10, "move", "extlb1"), Mark(50, "end")]
    answers = pair_answers(20, 40)
    answers += [failed(40.2, error="reset"), failed(30, error="reset"), failed(40.3, error="connect", new=True)]
    incident = one(marks, answers, pair_samples(25.0))
    assert incident.cut_by_move == 1
    assert incident.failed_after_safe == 2  # one without a move near it, one that was a new connection
    assert incident.failed == 3
