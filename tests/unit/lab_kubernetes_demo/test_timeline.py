# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Looks, answers and events become seconds, buckets and rows; nothing is lost, and nothing is made up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.kubernetes.demo.load import Answer
from lab.kubernetes.demo.timeline import (
    HEADS,
    MOST_SECONDS,
    NUMBERS,
    Bucket,
    Event,
    Second,
    buckets_of,
    clock,
    document,
    merged,
    numbered,
    rows_of,
    seconds_of,
)
from lab.kubernetes.demo.watch import Look

BEGIN = 1000.0


def looks(*rows: tuple[float, int, int, int | None]) -> list[Look]:
    return [Look(BEGIN + at, desired, ready, cpu, 200) for at, desired, ready, cpu in rows]


def quiet(count: int, **changes: Any) -> list[Second]:
    row = Second(0, 1, 1, 10, 4, 0)._replace(**changes)
    return [row._replace(at=at) for at in range(count)]


@pytest.mark.parametrize(("seconds", "words"), [(0, "0:00"), (59.9, "0:59"), (60, "1:00"), (754, "12:34")])
def test_a_time_of_the_demo(seconds: float, words: str) -> None:
    assert clock(seconds) == words


def test_a_second_has_the_last_look_before_its_end_and_the_requests_that_began_in_it() -> None:
    answers = [Answer(BEGIN + at, ok, "") for at, ok in ((0.0, True), (0.99, False), (1.0, True), (2.5, True))]
    found = seconds_of(BEGIN, BEGIN + 3, looks((1.2, 2, 1, 240), (0.2, 1, 1, None), (1.9, 2, 2, 230)), answers)
    assert found == [Second(0, 1, 1, None, 2, 1), Second(1, 2, 2, 230, 1, 0), Second(2, 2, 2, 230, 1, 0)]


def test_a_look_that_is_too_old_says_nothing() -> None:
    found = seconds_of(BEGIN, BEGIN + 6, looks((0.0, 1, 1, 5)), [])
    assert [row.ready for row in found] == [1, 1, 1, 1, None, None]


def test_two_looks_at_the_same_time_do_not_break_it() -> None:
    found = seconds_of(BEGIN, BEGIN + 1, [Look(BEGIN), Look(BEGIN, 1, 1)], [])
    assert found == [Second(0, 1, 1, None, 0, 0)]


def test_what_is_outside_the_demo_does_not_count() -> None:
    answers = [Answer(BEGIN - 0.1, True, ""), Answer(BEGIN + 2.1, True, "")]
    assert sum(row.requests for row in seconds_of(BEGIN, BEGIN + 2, [], answers)) == 0
    assert len(seconds_of(BEGIN, BEGIN, [], [])) == 1


def test_a_clock_that_was_set_makes_no_rows_for_a_year() -> None:
    found = seconds_of(BEGIN, BEGIN + 365 * 86400, looks((0.5, 1, 1, 5)), [Answer(BEGIN, True, "")])
    assert len(found) == MOST_SECONDS and found[0] == Second(0, 1, 1, 5, 1, 0)


def test_events_have_numbers_in_order_of_time() -> None:
    found = numbered(BEGIN, [Event(BEGIN + 5, "b"), Event(BEGIN - 1, "a"), Event(BEGIN + 5, "c")])
    assert found == [(1, 0.0, "a"), (2, 5.0, "b"), (3, 5.0, "c")]


def test_a_bucket_sums_requests_takes_the_highest_cpu_and_the_last_pods() -> None:
    rows = [
        Second(0, 1, 1, 10, 4, 0), Second(1, 2, 1, 90, 5, 2), Second(2, 2, 2, None, 6, 1),
        Second(3, None, None, None, 1, 0),
    ]  # fmt: skip
    events = [(1, 0.0, "begin"), (2, 2.0, "on the edge"), (3, 9.0, "after the last second")]
    assert buckets_of(rows, events, 2) == [
        Bucket(0, 2, 2, 1, 90, 9, 2, ("[1] begin",)),
        Bucket(2, 4, 2, 2, None, 7, 1, ("[2] on the edge", "[3] after the last second")),
    ]


def test_a_bucket_of_which_nothing_is_known_says_so() -> None:
    (found,) = buckets_of(quiet(2, desired=None, ready=None, utilization=None, requests=0), [])
    assert rows_of([found]) == [("0:00", "0:02", "-", "-", "-", "-", "")]


@pytest.mark.parametrize(
    ("change", "count"),
    [
        ({}, 1),  # nothing happens: one row
        ({"ready": 2}, 3),
        ({"desired": 2}, 3),
        ({"failures": 1}, 3),
        ({"requests": 0}, 3),  # load goes off and on
        ({"requests": 9}, 1),
        ({"utilization": 99}, 1),
    ],
)
def test_neighbours_are_one_row_unless_something_changes(change: dict[str, int], count: int) -> None:
    rows = quiet(15)
    rows[5:10] = [row._replace(**change) for row in rows[5:10]]
    found = merged(buckets_of(rows, []))
    assert len(found) == count
    assert (found[0].begin, found[-1].end) == (0, 15)
    assert max(it.utilization or 0 for it in found) == max(row.utilization or 0 for row in rows)


def test_an_event_has_a_row_of_its_own() -> None:
    found = merged(buckets_of(quiet(25), [(1, 12.0, "pod killed")]))
    assert [(it.begin, it.end, it.events) for it in found] == [
        (0, 10, ()), (10, 15, ("[1] pod killed",)), (15, 25, ()),
    ]  # fmt: skip


@given(
    st.lists(
        st.builds(Second, st.just(0), st.none() | st.integers(0, 2), st.integers(0, 2), st.none() | st.integers(0, 250),
                  st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=40,
    ),
    st.lists(st.floats(0, 60), max_size=4), st.integers(1, 7),
)  # fmt: skip
def test_no_request_failure_event_or_second_is_lost(rows: list[Second], at: list[float], width: int) -> None:
    rows = [row._replace(at=place) for place, row in enumerate(rows)]
    events = [(number, moment, "x") for number, moment in enumerate(sorted(at), 1)]
    for found in (buckets_of(rows, events, width), merged(buckets_of(rows, events, width))):
        assert sum(it.requests for it in found) == sum(row.requests for row in rows)
        assert sum(it.failures for it in found) == sum(row.failures for row in rows)
        assert [name for it in found for name in it.events] == [f"[{number}] x" for number, _at, _x in events]
        assert [it.begin for it in found] == [0, *(it.end for it in found[:-1])]
        assert found[-1].end == len(rows)


def test_rows_are_under_their_heads() -> None:
    found = rows_of([Bucket(60, 65, 4, 3, 231, 540, 2, ("[1] a", "[2] b")), Bucket(65, 70, 4, 4, None, 5, 0, ())])
    assert found == [
        ("1:00", "1:05", "3 of 4", "231 %", "108.0", "2", "[1] a\n[2] b"),
        ("1:05", "1:10", "4 of 4", "-", "1.0", "0", ""),
    ]
    assert {len(row) for row in found} == {len(HEADS)}
    assert max(NUMBERS) < len(HEADS)


def test_the_same_for_programs() -> None:
    data = document(1.23456, 3.0, quiet(1), [(1, 0.12345, "a")], [{"title": "t", "ok": True}], [{"node": "kw2"}])
    assert json.loads(json.dumps(data)) == {
        "begin": 1.235, "end": 3.0, "steps": [{"title": "t", "ok": True}], "heals": [{"node": "kw2"}],
        "events": [{"number": 1, "at": 0.123, "text": "a"}],
        "seconds": [{"at": 0, "desired": 1, "ready": 1, "utilization": 10, "requests": 4, "failures": 0}],
    }  # fmt: skip
