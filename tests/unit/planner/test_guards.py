# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Take one guard of the planner out after the other: some case must then come out otherwise."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _planner_case
from ansible_collections.selfheal.cluster.plugins.module_utils._planner import REASONS, plan
from tests.unit.planner import cluster
from tests.unit.planner.farm import farm
from tests.unit.planner.test_cases import CASES, load

CODE = Path(_planner_case.__file__).parent
DOCS = Path(__file__).parents[3] / "docs" / "decisions.md"
INPUTS = [*(farm(load(path)) for path in CASES), *cluster.INPUTS]


def sites() -> list[tuple[str, int]]:
    """Every place in the planner that refuses."""
    found = []
    for path in sorted(CODE.glob("_planner*.py")):
        for item in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) and item.func.attr == "refuse":
                found.append((path.name, item.lineno))
    return found


def outcomes() -> list[tuple[bool, tuple[str, ...]]]:
    found = []
    for given in INPUTS:
        result = plan(*given)
        found.append((result["admitted"], tuple(item["detail"] for item in result["refusals"])))
    return found


BASE = outcomes()


def test_there_are_guards() -> None:
    assert len(sites()) > 50


@pytest.mark.parametrize("site", sites(), ids=lambda site: f"{site[0]}:{site[1]}")
def test_a_guard_that_is_taken_out_is_missed(site: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    real = _planner_case.Case.refuse

    def refuse(self: _planner_case.Case, reason: str, detail: str) -> None:
        caller = sys._getframe(1)
        if (Path(caller.f_code.co_filename).name, caller.f_lineno) != site:
            real(self, reason, detail)

    monkeypatch.setattr(_planner_case.Case, "refuse", refuse)
    assert outcomes() != BASE, "no case notices that this refusal is gone"


def test_every_reason_is_explained_to_people() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for reason, sentence in REASONS.items():
        assert f"`{reason}`" in text, reason
        assert sentence.endswith(".")
