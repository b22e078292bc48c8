# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Every case is a file: a world, the acts expected in their order, one line for a human. A bug becomes another file."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch import dispatch
from tests.unit.dispatch.farm import NOW, acted, timed, world

CASES = sorted((Path(__file__).parent / "cases").glob("*.yml"))
each = pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


@each
def test_case(path: Path) -> None:
    case = load(path)
    acts = dispatch(world(case), NOW)
    expected = timed(case["expect"])
    assert case["human"].strip()
    assert [act["act"] for act in acts] == [act["act"] for act in expected], acts
    for act, wanted in zip(acts, expected, strict=True):
        assert {key: act[key] for key in wanted} == wanted


@each
def test_dispatch_is_pure_and_json(path: Path) -> None:
    given = world(load(path))
    before = copy.deepcopy(given)
    first = dispatch(given, NOW)
    assert given == before, "dispatch changed its input"
    assert json.loads(json.dumps(first)) == first
    assert dispatch(json.loads(json.dumps(given)), NOW) == first


@each
def test_the_same_moment_again_starts_nothing_more(path: Path) -> None:
    seen = world(load(path))
    acts = dispatch(seen, NOW)
    again = dispatch(acted(seen, acts, NOW), NOW)
    starts = [act["node"] for act in acts if act["act"] == "start"]
    opened = {act["node"] for act in acts if act["act"] == "open"}
    more = [act["node"] for act in again if act["act"] == "start"]
    assert set(more) <= opened
    assert not set(more) & set(starts)
    assert not [act for act in again if act["act"] in ("open", "ended", "close", "settle_alerts")]
    assert not [act for act in again if act["act"] == "human" and act in acts], "a human is called once"
    third = dispatch(acted(acted(seen, acts, NOW), again, NOW), NOW)
    assert not [act for act in third if act["act"] == "start"]


def test_enough_cases_and_half_of_them_start_nothing() -> None:
    starts = [path for path in CASES if any(act["act"] == "start" for act in load(path)["expect"])]
    assert len(CASES) >= 40
    assert len(starts) * 2 <= len(CASES)


def test_every_act_has_a_case() -> None:
    found = {act["act"] for path in CASES for act in load(path)["expect"]}
    assert found == {"open", "settle_alerts", "close", "ended", "start", "human", "wait", "withdraw"}
