# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Every case is a file: an input, the expected plan, one line for a person. A bug becomes another file."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.selfheal.cluster.plugins.module_utils._planner import REASONS, plan
from tests.unit.planner import cluster
from tests.unit.planner.farm import farm

CASES = sorted((Path(__file__).parent / "cases").glob("*.yml"))


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = load(path)
    result = plan(*farm(case))
    expected = case["expect"]
    assert case["human"].strip()
    assert sorted({item["reason"] for item in result["refusals"]}) == sorted(expected.get("refusals", []))
    assert result["admitted"] is not bool(expected.get("refusals"))
    for key, value in expected.items():
        if key != "refusals":
            assert result[key] == value, key
    assert result["summary"] == case["says"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_plan_is_pure_and_json(path: Path) -> None:
    given = farm(load(path))
    before = copy.deepcopy(given)
    first = plan(*given)
    assert given == before, "the planner changed its input"
    assert json.loads(json.dumps(first)) == first
    seen, policies, past = json.loads(json.dumps(given[:3]))
    assert plan(seen, policies, past, given[3]) == first


def test_enough_cases_and_half_of_them_refuse() -> None:
    refusals = [path for path in CASES if load(path)["expect"].get("refusals")]
    assert len(CASES) >= 60
    assert len(refusals) * 2 >= len(CASES)


def test_every_reason_of_the_planner_has_a_case() -> None:
    seen = {reason for path in CASES for reason in load(path)["expect"].get("refusals", [])}
    seen |= {reason for _given, reason, _words in cluster.REFUSED}
    # no_journal is said by whoever finds no journal: tests/unit/journal
    assert set(REASONS) - seen == {"no_journal"}
