# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The picture says what the observations say, and no farm, however broken, breaks it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._survey import survey
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_text import text
from tests.unit.survey.farm import farm, planner


def node(picture: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in picture["nodes"] if one["node"] == name)


def test_the_holder_of_the_address_and_the_rotation_are_shown() -> None:
    picture = survey(farm(), planner)
    assert picture["layers"][0]["holders"] == ["extlb1"]
    assert node(picture, "extlb1")["role"] == {"state": "MASTER", "detail": "priority 200", "address": True}
    assert [place["state"] for place in node(picture, "ei2")["rotation"]] == ["in rotation", "in rotation"]
    assert picture["guard"] == {"runs_on": ["extlb1", "extlb2"], "not_on": [], "not_known": []}
    assert picture["counts"] == {
        "ok": 5, "suspect": 0, "faulty": 0, "unknown": 0, "layers": 2, "nodes": 5,
        "would_heal_now": 0, "could_heal": 5, "blocks": 0,
    }  # fmt: skip


HOLD = {"incident": "I-7", "phase": "restart", "remaining_seconds": 30, "expired": False}


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "in rotation"),
        ({"admin": "maint", "hold": HOLD}, "held"),
        ({"admin": "maint", "hold": {**HOLD, "expired": True}}, "held"),
        ({"admin": "drain"}, "held by a human"),
        ({"operational": "stopped", "check": "L4CON"}, "down"),
        ({"weight": 0}, "no weight"),
    ],
)
def test_a_server_of_haproxy_in_one_word(change: dict[str, Any], state: str) -> None:
    observed = farm()
    observed["seen"]["extlb1"]["balancer"]["servers"][0].update(change)
    assert node(survey(observed, planner), "ei1")["rotation"][0]["state"] == state


def test_a_plan_that_fails_is_shown_and_ends_nothing() -> None:
    def broken(name: str, reason: str) -> dict[str, Any]:
        raise KeyError(name)

    picture = survey(farm(), broken)
    assert {one["now"]["refusals"][0]["reason"] for one in picture["nodes"]} == {"no_plan"}


def test_a_layer_with_a_bad_policy_is_refused_with_the_sentence() -> None:
    observed = farm()
    observed["layers"][1]["problem"] = "selfheal_port: not a number"
    assert node(survey(observed, planner), "ei1")["now"] == {
        "admitted": False,
        "refusals": [{"reason": "policy", "detail": "selfheal_port: not a number"}],
    }


def test_an_unreachable_farm_has_a_sentence_for_everything() -> None:
    observed = farm()
    observed["seen"] = {host: {"reachable": False, "error": "No route to host"} for host in observed["seen"]}
    picture = survey(observed, planner)
    assert {one["verdict"] for one in picture["nodes"]} == {"unknown"}
    assert picture["nagios"]["message"] == "No route to host"
    said = text(picture)
    assert "Nagios on monitor: unreachable: No route to host" in said
    assert "Journal on monitor: not known (No route to host)" in said


def test_nothing_at_all_is_a_survey_too() -> None:
    said = text(survey({}, planner))
    assert "no group is a layer" in said
    assert "0 nodes in 0 layers" in said


def test_the_block_of_text() -> None:
    observed = farm()
    observed["seen"]["extlb2"]["balancer"]["servers"].pop(0)
    lines = text(survey(observed, planner)).splitlines()
    assert "extlb: pair, mode act, 10.0.0.100 (VI_ext) is held by extlb1, home is extlb1" in lines
    assert "ei: pool, mode act, behind extlb1, extlb2, port 8280" in lines
    assert any(line.startswith("    ei1     ok") and "extlb2: not mapped" in line for line in lines) or any(
        line.split()[:2] == ["ei1", "ok"] and "extlb2: not mapped" in line for line in lines
    )
    assert "            |     server ei1 10.0.0.21:8280 check inter 1s fall 3 rise 2" in lines


def test_nothing_from_outside_reaches_the_terminal_as_a_command() -> None:
    observed = farm()
    verdict = observed["seen"]["monitor"]["nagios"]["verdicts"]["ei1"]
    verdict.update(verdict="faulty", reasons=["\x1b[2J\x07 owned \u202e txet"])
    said = text(survey(observed, planner))
    assert "\x1b" not in said and "\u202e" not in said and "\x07" not in said
    assert "\\x1b[2J\\x07 owned \\u202e txet" in said


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb", "a b"),
        ("\x1b]0;t\x07", "\\x1b]0;t\\x07"),
        ("\x9b1m", "\\x9b1m"),
        ("Zürich 日本", "Zürich 日本"),
        (None, "None"),
    ],
)
def test_clean(value: object, shown: str) -> None:
    assert clean(value) == shown


def test_clean_cuts() -> None:
    assert clean("abcdefghij", 6) == "abc..."


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a nested value."""
    found = [here] if here else []
    if isinstance(value, dict):
        for key in value:
            found += paths(value[key], (*here, key))
    elif isinstance(value, list):
        for index in range(len(value)):
            found += paths(value[index], (*here, index))
    return found


# What the machines answer may be absent or null anywhere; the rest is made by our own scope out of a checked policy.
HOLES = [path for path in paths(farm()) if path[0] in ("seen", "now", "addresses", "controller_machine_id")]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(HOLES), min_size=1, max_size=6), st.booleans())
def test_holes_in_the_observations_never_break_it(holes: list[tuple[Any, ...]], remove: bool) -> None:
    observed = copy.deepcopy(farm())
    for path in holes:
        place: Any = observed
        try:
            for key in path[:-1]:
                place = place[key]
            if remove:
                del place[path[-1]]
            else:
                place[path[-1]] = None
        except (KeyError, IndexError, TypeError):
            continue
    assert "nodes in" in text(survey(observed, planner))
