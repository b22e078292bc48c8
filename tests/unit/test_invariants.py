# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The table of docs/invariants.md names what is really there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = re.findall(r"^\| (\d+) \|.*$", (ROOT / "docs" / "invariants.md").read_text(), re.MULTILINE)
LINES = [line for line in (ROOT / "docs" / "invariants.md").read_text().splitlines() if re.match(r"\| \d+ \|", line)]


def test_every_invariant_has_its_row() -> None:
    assert [int(row) for row in ROWS] == list(range(1, 15))


@pytest.mark.parametrize("line", LINES, ids=[line.split("|")[1].strip() for line in LINES])
def test_what_a_row_names_is_there(line: str) -> None:
    _, _, _, kept, tests, _, _ = line.split("|")
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", tests):
        assert re.search(rf"^def {name}\b", sources, re.MULTILINE), f"no test {name}"
    for case in re.findall(r"`((?:refuse|resume|pool|pair)-[\w-]+)`", tests):
        assert (ROOT / "tests/unit/planner/cases" / f"{case}.yml").is_file(), f"no case {case}"
    for place in re.findall(r"`([\w/]+)(?:\.\w+)?`", kept):
        found = [*(ROOT / "plugins").rglob(f"{place}.py"), *ROOT.glob(place)]
        assert found, f"no file {place}"
