# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Every line of ``cases.yml``: a layer in, verdicts out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges import evaluate
from tests.unit.gauges import farm

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases.yml").read_text())
KEYS = {"why", "a", "b", "c", "only", "gauges", "hosts", "history", "history_of", "since", "expect", "others"}
KEYS |= {"verdicts", "says", "load", "twins"}


def judged(case: dict[str, Any]) -> dict[str, dict[str, Any]]:
    nodes = case.get("only", ["a", "b", "c"])
    hosts = case.get("hosts")
    return evaluate(
        case.get("gauges"),
        farm.layer({node: case.get(node, {}) for node in nodes}),
        farm.NOW,
        [
            *farm.earlier(case.get("history_of", "a"), case.get("history", [])),
            *(reading for node, own in case.get("twins", {}).items() for reading in farm.earlier(node, own)),
        ],
        nodes=nodes,
        hosts=hosts and {name: farm.host(name, words) for name, words in hosts.items()},
        since={"a": farm.NOW - case["since"]} if "since" in case else None,
    )


def test_there_are_enough_cases_and_no_typing_errors() -> None:
    assert len(CASES) >= 60
    assert len({case["why"] for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.keys() <= KEYS, case["why"]


@pytest.mark.parametrize("case", CASES, ids=[case["why"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    verdicts = judged(case)
    expected = {node: case.get("others", ["ok", None]) for node in verdicts}
    expected.update(case.get("verdicts", {}))
    expected["a"] = case["expect"]
    assert {node: [verdict["verdict"], verdict["kind"]] for node, verdict in verdicts.items()} == expected
    assert sorted(node for node, verdict in verdicts.items() if verdict["layer_load"]) == case.get("load", [])
    for node, verdict in verdicts.items():
        assert verdict["verdict"] == "ok" or verdict["reasons"], f"{node} is judged without a reason"
    if "says" in case:
        assert any(case["says"] in reason for reason in verdicts["a"]["reasons"]), verdicts["a"]["reasons"]
