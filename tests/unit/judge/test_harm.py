# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One test for each harm, and one for what looks like it and is none."""

from __future__ import annotations

import pytest

from lab.judge.harm import harm
from lab.judge.records import BalancerSeen, Mark, ProbeSeen, Sample, ServerSeen
from tests.unit.judge.test_figures import FARM, looks, machine

ILL = Mark(10, "injected", "ei1", "memory", {"kind": "illness"})
MENDED = Mark(30, "mended", "ei1")


def what(marks: list[Mark], samples: list[Sample], end: float = 60) -> list[str]:
    return [text for _, text in harm(FARM, marks, sorted(samples, key=lambda sample: sample.at), end)]


@pytest.mark.parametrize(
    ("name", "marks", "restarted", "expected"),
    [
        ("ill: its restart is the cure", [ILL], ("ei1", 20), 0),
        ("healthy: harm", [ILL], ("ei2", 20), 1),
        ("nobody ill: harm", [], ("ei1", 20), 1),
        ("before it was ill: harm", [ILL], ("ei1", 5), 1),
        ("long after it was mended: harm", [ILL, MENDED], ("ei1", 50), 1),
        ("an operator's", [Mark(15, "operator", "ei2")], ("ei2", 20), 0),
        ("a drill", [Mark(15, "drill", "ei2")], ("ei2", 20), 0),
    ],
)
def test_a_healthy_node_restarted(name: str, marks: list[Mark], restarted: tuple[str, float], expected: int) -> None:
    node, at = restarted
    samples: list[Sample] = [*looks(0, 59), machine(1, node, ei=0.5), machine(at + 0.1, node, ei=at)]
    found = what(marks, samples)
    assert len(found) == expected, name
    assert all(text == f"{node}, a healthy node, was restarted" for text in found)


@pytest.mark.parametrize(
    ("name", "marks", "statuses", "expected"),
    [
        ("one out is allowed", [], {"ei1": "MAINT"}, 0),
        ("the ill one down and a healthy one taken out", [ILL], {"ei1": "DOWN", "ei2": "MAINT"}, 1),
        (
            "two ill nodes are nobody's harm",
            [ILL, Mark(10, "injected", "ei2", "killed", {"kind": "illness"})],
            {"ei1": "DOWN", "ei2": "DOWN"},
            0,
        ),
        ("all out", [ILL], {"ei1": "DOWN", "ei2": "MAINT", "ei3": "MAINT"}, 1),
    ],
)
def test_a_layer_below_its_minimum(name: str, marks: list[Mark], statuses: dict[str, str], expected: int) -> None:
    samples = [*looks(0, 20), *looks(20, 25, **statuses), *looks(25, 59)]
    found = what(marks, samples)
    assert len(found) == 2 * expected, name  # once on each balancer, however long it lasted
    assert all("of at least 2 members" in text for text in found)


def test_a_member_that_one_balancer_does_not_know_is_not_out_there() -> None:
    samples: list[Sample] = [
        BalancerSeen(at, "extlb1", {"ei1": ServerSeen("MAINT"), "ei3": ServerSeen("UP")}) for at in (20, 21)
    ]
    assert what([ILL], [*looks(0, 20), *samples, *looks(22, 59)]) == []


@pytest.mark.parametrize(
    ("name", "last", "probe", "expected"),
    [
        ("in again", {}, None, 0),
        ("left out, nothing said", {"ei1": "MAINT"}, None, 1),
        ("left out, Nagios shows it as critical", {"ei1": "MAINT"}, ("ei1", "http", "critical"), 0),
        (
            "left out, a human is called by a passive service",
            {"ei1": "MAINT"},
            ("monitor", "selfheal: ei1", "critical"),
            0,
        ),
        ("left out, another node is critical", {"ei1": "MAINT"}, ("ei2", "http", "critical"), 1),
        ("left out, Nagios says ok", {"ei1": "MAINT"}, ("ei1", "http", "ok"), 1),
    ],
)
def test_a_node_left_out_with_nobody_called(
    name: str, last: dict[str, str], probe: tuple[str, str, str] | None, expected: int
) -> None:
    samples = [*looks(0, 20), *looks(20, 60, **last)]
    if probe is not None:
        host, service, status = probe
        samples.append(ProbeSeen(50, host, service, status, True, 50))
    found = what([ILL], samples)
    assert found == ["ei1 was left out and nobody was called"] * expected, name


def test_a_node_just_taken_out_at_the_end_is_not_left_out() -> None:
    assert what([ILL], [*looks(0, 58), *looks(58, 60, ei1="DRAIN")]) == []


@pytest.mark.parametrize(
    ("name", "mark", "expected"),
    [
        ("its operator put it there", Mark(20, "operator", "ei1", "maintenance"), 0),
        ("its operator put another one there", Mark(20, "operator", "ei2", "maintenance"), 1),
        ("its operator only restarted it", Mark(20, "operator", "ei1", "restart"), 1),
        ("it went out long after that", Mark(5, "operator", "ei1", "maintenance"), 1),
    ],
)
def test_a_node_in_its_operators_maintenance_is_not_left_out(name: str, mark: Mark, expected: int) -> None:
    samples = [*looks(0, 20), *looks(20, 60, ei1="MAINT")]
    assert what([mark], samples) == ["ei1 was left out and nobody was called"] * expected, name
