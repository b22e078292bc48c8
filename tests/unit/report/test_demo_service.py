# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Which run the demo takes for the heal that it waits for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.demo.service import ended
from lab.runs import runs_from


def run(**values: Any) -> dict[str, Any]:
    return {"node": "ei1", "started_at": 110.0, "ended_at": 120.0, "status": "healed", **values}


@pytest.mark.parametrize(
    ("runs", "status"),
    [
        ([run()], "healed"),
        ([run(status="left_out")], "left_out"),
        ([run(status="left_out"), run(started_at=130.0, ended_at=140.0)], "healed"),
        ([run(node="ei2")], None),
        ([run(started_at=99.0)], None),  # a heal of before the illness
        ([run(ended_at=None, status="acting")], None),
        ([run(status="refused")], None),  # nothing was done: the next run may
        ([], None),
    ],
)
def test_the_heal_is_the_newest_one_of_the_node_that_acted_and_is_over(
    runs: list[dict[str, Any]], status: str | None
) -> None:
    assert ended("ei1", 100.0, runs).get("status") == status


def test_a_result_that_is_cut_off_is_left_out() -> None:
    whole = json.dumps(run())
    assert runs_from(f"{whole}\x1e{whole[:20]}\x1e[]\x1e\n{whole}\x1e") == [run(), run()]
