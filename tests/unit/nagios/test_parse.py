# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the fields of Nagios' records become."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_parse as parse
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from tests.unit.nagios.answers import HOST, NOW_MS, SERVICE, services


def service(**changes: Any) -> dict[str, Any]:
    (record,) = parse.services(parse.decode(services(**changes))["data"])
    return record


def test_the_whole_record() -> None:
    assert service() == {
        "host": "web1",
        "service": "memory",
        "status": "critical",
        "state_type": "soft",
        "attempt": 2,
        "max_attempts": 3,
        "last_check": NOW_MS / 1000 - 3,
        "execution_time": 0.12,
        "last_state_change": NOW_MS / 1000 - 9,
        "last_hard_state_change": None,
        "next_check": NOW_MS / 1000 + 7,
        "output": "CRITICAL: 4% available",
        "long_output": "",
        "perf_data": "mem_available=10kB",
        "checked": True,
        "unreadable": False,
        "acknowledged": False,
        "flapping": False,
        "downtime_depth": 0,
        "handler_enabled": True,
        "checks_enabled": True,
    }


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(0.12, 0.12), (3, 3.0), (None, 0.0), ("3", 0.0), (True, 0.0), (-1, 0.0), (1e9, 0.0), (float("nan"), 0.0)],
)
def test_how_long_a_check_took_is_only_believed_where_it_can_be(said: Any, seconds: float) -> None:
    assert service(execution_time=said)["execution_time"] == seconds


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ({"status": "ok"}, "ok"),
        ({"status": "warning"}, "warning"),
        ({"status": "unknown"}, "unknown"),
        ({"status": 2}, "ok"),
        ({"status": 16}, "critical"),
        ({"status": "pending", "has_been_checked": False}, "pending"),
        ({"status": "ok", "has_been_checked": False}, "pending"),
        ({"status": 2, "has_been_checked": False}, "pending"),
        ({"status": "ok", "has_been_checked": None}, "pending"),
        ({"status": "pending", "has_been_checked": True}, "unknown"),
        ({"status": "splendid"}, "unknown"),
        ({"status": 3}, "unknown"),
        ({"status": None}, "unknown"),
        ({"status": True}, "unknown"),
    ],
)
def test_pending_and_nonsense_are_never_ok(raw: dict[str, Any], status: str) -> None:
    assert service(**raw)["status"] == status


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ({"status": "down"}, "down"),
        ({"status": 8}, "unreachable"),
        ({"has_been_checked": False}, "pending"),
        ({"status": "perhaps"}, "unreachable"),
    ],
)
def test_hosts(raw: dict[str, Any], status: str) -> None:
    (record,) = parse.hosts({"hostlist": {"web1": {**HOST, **raw}}})
    assert record["status"] == status


@pytest.mark.parametrize(
    ("raw", "unreadable"),
    [
        ({}, False),
        ({"plugin_output": "", "perf_data": ""}, True),
        ({"plugin_output": "", "has_been_checked": False}, False),
    ],
)
def test_text_that_nagios_could_not_convert(raw: dict[str, Any], unreadable: bool) -> None:
    assert service(**raw)["unreadable"] is unreadable


def test_a_name_that_nagios_could_not_convert() -> None:
    (record,) = parse.services({"servicelist": {"web1": {"(null)": SERVICE}}})
    assert record["unreadable"] is True


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        (rb"a\ab\vc", "a\ab\vc"),
        (rb"C:\\apps\\vol", r"C:\apps\vol"),
        (rb"C:\\apps \a \\\\a \\\v", "C:\\apps \a \\\\a \\\v"),
        (rb"quote \" \a", 'quote " \a'),
        (rb"\u00e9 \a", "\xe9 \a"),
    ],
)
def test_broken_escapes_do_not_cost_the_answer(printed: bytes, text: str) -> None:
    body = services(plugin_output="PRINTED").replace(b"PRINTED", printed)
    (record,) = parse.services(parse.decode(body)["data"])
    assert record["output"] == text


def test_bytes_that_are_no_utf8_do_not_cost_the_answer() -> None:
    body = services(plugin_output="PRINTED").replace(b"PRINTED", b"caf\xe9")
    (record,) = parse.services(parse.decode(body)["data"])
    assert record["output"] == "caf\ufffd"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0, None), (1000, 1.0), (1500, 1.5), (-1, None), (None, None), ("1000", None), (True, None)],
)
def test_times(value: Any, seconds: float | None) -> None:
    assert parse.seconds(value) == seconds


def test_old_versions_cannot_spell() -> None:
    raw = {key: value for key, value in SERVICE.items() if key != "max_attempts"}
    (record,) = parse.services({"servicelist": {"web1": {"memory": {**raw, "max_attemps": 4}}}})
    assert record["max_attempts"] == 4


def test_paging_leaves_empty_hosts() -> None:
    assert parse.services({"servicelist": {"web1": {}, "web2": {"memory": SERVICE}}})[0]["host"] == "web2"


def test_objects() -> None:
    raw = {"address": "10.0.0.1", "parent_hosts": ["gw", 3], "custom_variables": {"A": "b", "N": None}, "alias": None}
    (record,) = parse.objects_hosts({"hostlist": {"web1": raw}})
    assert record == {
        "host": "web1", "address": "10.0.0.1", "alias": "", "display_name": "", "notes": "", "parents": ["gw"],
        "services": [], "custom_variables": {"A": "b", "N": ""},
    }  # fmt: skip


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(sorted(SERVICE)), json_values))
@example({"current_attempt": float("inf")})
@example({"current_attempt": float("nan")})
def test_no_record_makes_it_stumble_and_unchecked_is_pending(raw: dict[str, Any]) -> None:
    (record,) = parse.services({"servicelist": {"web1": {"memory": raw}}})
    assert record["status"] in ("ok", "warning", "critical", "unknown", "pending")
    assert record["status"] == "pending" or raw["has_been_checked"] is True


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_body_raises_anything_but_our_own_error(body: bytes) -> None:
    with contextlib.suppress(SelfhealError):
        parse.decode(body)
