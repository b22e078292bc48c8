# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Wrong gauges are refused with the place and the reason; the default set is right."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges import (
    DEFAULT_GAUGES,
    KINDS,
    validate_gauges,
)

GOOD: dict[str, Any] = {
    "name": "memory",
    "service": "memory",
    "label": "mem_used",
    "per": "max",
    "raise_at": 0.9,
    "clear_at": 0.8,
    "kind": "resource",
}
STATE = {"name": "http", "service": "http", "read": "state", "kind": "service"}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name != key}


# what is wrong with the second gauge of a list -> where the message points, and a part of it
WRONG = [
    ("not a dictionary", "memory", "[1]", "dictionary"),
    ("no name", without("name"), "[1].name", "text"),
    ("an empty name", {**GOOD, "name": " "}, "[1].name", "text"),
    ("no service", without("service"), "[1].service", "text"),
    ("a number among the services", {**GOOD, "service": ["a", 5]}, "[1].service[1]", "text"),
    ("no label", without("label"), "[1].label", "text"),
    ("no kind", without("kind"), "[1].kind", "connectivity"),
    ("a kind that does not exist", {**GOOD, "kind": "disk"}, "[1].kind", "storage"),
    ("a misspelt key", {**GOOD, "raise": 1}, "[1].raise", "known are"),
    ("no raise_at", without("raise_at"), "[1].raise_at", "number"),
    ("no clear_at", without("clear_at"), "[1].clear_at", "number"),
    ("NaN", {**GOOD, "raise_at": float("nan")}, "[1].raise_at", "finite"),
    ("infinity", {**GOOD, "raise_at": float("inf")}, "[1].raise_at", "finite"),
    ("minus infinity", {**GOOD, "clear_at": float("-inf")}, "[1].clear_at", "finite"),
    ("a boolean for a number", {**GOOD, "raise_at": True}, "[1].raise_at", "bool"),
    ("text for a number", {**GOOD, "raise_at": "0.9"}, "[1].raise_at", "str"),
    ("clear above raise", {**GOOD, "clear_at": 0.95}, "[1].clear_at", "above"),
    ("clear below raise of a low gauge", {**GOOD, "direction": "low"}, "[1].clear_at", "below"),
    ("a direction that does not exist", {**GOOD, "direction": "up"}, "[1].direction", "high"),
    ("percent for a ratio", {**GOOD, "per": None, "unit": "ratio", "raise_at": 90}, "[1].raise_at", "0.9"),
    ("a unit that is not normalised", {**GOOD, "per": None, "unit": "ms"}, "[1].unit", "ratio"),
    ("a unit beside per", {**GOOD, "unit": "B"}, "[1].unit", "always"),
    ("invert without a ratio", {**GOOD, "per": None, "invert": True}, "[1].invert", "ratio"),
    ("text for a flag", {**GOOD, "invert": "yes"}, "[1].invert", "true or false"),
    ("negative seconds", {**GOOD, "for_seconds": -1}, "[1].for_seconds", "at least"),
    ("seconds that are NaN", {**GOOD, "for_seconds": float("nan")}, "[1].for_seconds", "finite"),
    ("a count that is a number", {**GOOD, "count": 2}, "[1].count", "raise: 2"),
    ("a count of none", {**GOOD, "count": {"raise": 0, "of": 3}}, "[1].count.raise", "whole"),
    ("more than there are", {**GOOD, "count": {"raise": 4, "of": 3}}, "[1].count.raise", "more than"),
    ("a boolean count", {**GOOD, "count": {"raise": True, "of": 3}}, "[1].count.raise", "whole"),
    ("half a count", {**GOOD, "count": {"raise": 1.5, "of": 3}}, "[1].count.raise", "whole"),
    ("both ways of waiting", {**GOOD, "count": {"raise": 1, "of": 1}, "for_seconds": 5}, "[1].count", "both"),
    ("an age of nothing", {**GOOD, "max_age_seconds": 0}, "[1].max_age_seconds", "at least"),
    ("alternatives that are no list", {**GOOD, "alternatives": {}}, "[1].alternatives", "list"),
    ("an alternative that is no dictionary", {**GOOD, "alternatives": ["x"]}, "[1].alternatives[0]", "dictionary"),
    (
        "a key of a gauge in an alternative",
        {**GOOD, "alternatives": [{"label": "x", "kind": "service"}]},
        "[1].alternatives[0].kind",
        "known are",
    ),
    (
        "an alternative with its marks the wrong way round",
        {**GOOD, "alternatives": [{"label": "x"}, {"label": "x", "raise_at": 0.5}]},
        "[1].alternatives[1].clear_at",
        "above",
    ),
    ("a label in a state gauge", {**STATE, "label": "time"}, "[1].label", "no meaning"),
    ("marks in a state gauge", {**STATE, "raise_at": 1}, "[1].raise_at", "no meaning"),
    ("a service in a host gauge", {**STATE, "read": "host"}, "[1].service", "no meaning"),
    ("something else to read", {**STATE, "read": "output"}, "[1].read", "state"),
]


@pytest.mark.parametrize(("gauge", "where", "says"), [wrong[1:] for wrong in WRONG], ids=[wrong[0] for wrong in WRONG])
def test_wrong_gauge(gauge: Any, where: str, says: str) -> None:
    with pytest.raises(SelfhealError) as caught:
        validate_gauges([{**GOOD, "name": "first"}, gauge])
    assert caught.value.reason == "gauge"
    assert caught.value.message.startswith(f"selfheal_gauges{where} ")
    assert says in caught.value.message


def test_the_same_name_twice_points_at_both() -> None:
    with pytest.raises(SelfhealError, match=r"selfheal_gauges\[1\]\.name .*selfheal_gauges\[0\]"):
        validate_gauges([GOOD, GOOD])


@pytest.mark.parametrize("thing", [None, "memory", 5, {"name": "memory"}])
def test_no_list(thing: Any) -> None:
    with pytest.raises(SelfhealError, match="must be a list"):
        validate_gauges(thing)


def test_the_place_can_be_named() -> None:
    with pytest.raises(SelfhealError, match=r"^gauges of layer ei\[0\] must"):
        validate_gauges([5], "gauges of layer ei")


def test_the_default_set_is_valid_and_of_all_kinds() -> None:
    gauges = validate_gauges(DEFAULT_GAUGES)
    assert {gauge.kind for gauge in gauges} == set(KINDS)
    assert not any(gauge.required for gauge in gauges)


def test_what_is_validated_is_taken_as_it_is() -> None:
    gauges = validate_gauges(DEFAULT_GAUGES)
    assert validate_gauges(gauges) == gauges


@pytest.mark.parametrize(
    "service",
    [
        "memory", "Memory", "cpu", "CPU Load", "load", "Current Load", "disk /", "disk /var/lib/ei", "Disk Space",
        "Root Partition", "/", "/var", "ping", "PING", "http", "HTTP", "https", "http 8280", "check_load", "check-http",
        "keepalived", "check_keepalived", "vrrp",
    ],
)  # fmt: skip
def test_stock_names_are_read(service: str) -> None:
    assert any(
        gauge.services.match(service.lower().replace("check_", "").replace("check-", ""))
        for gauge in validate_gauges(DEFAULT_GAUGES)
        if gauge.services is not None
    )


@pytest.mark.parametrize(
    "service", ["memcached", "ssh", "http certificate", "https cert", "cpu temperature", "swap", "vrrpd log"]
)
def test_what_only_sounds_alike_is_left_alone(service: str) -> None:
    assert not any(
        gauge.services.match(service) for gauge in validate_gauges(DEFAULT_GAUGES) if gauge.services is not None
    )
