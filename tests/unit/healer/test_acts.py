# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Acts that must not be done twice, on fake books that remember what was asked of them."""

from __future__ import annotations

from typing import Any

import pytest

from selfheal_cluster.healer.acts import Acts
from selfheal_cluster.healer.log import Troubles
from tests.unit.healer.test_parts import GOOD, config

NOW = 1000.0


class FakeBooks:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def post(self, key: str, line: str, now: float) -> None:
        self.asked.append(f"post {key}")

    def close_incident(self, incident: str, outcome: str, now: float) -> bool:
        self.asked.append(f"close {incident}")
        return True


@pytest.mark.parametrize(("resource", "expires", "asked"), [
    ("node:ei1", NOW + 60, []),
    ("node:ei1", NOW - 1, ["post downtime:I1", "close I1"]),
    ("slot:ei:0", NOW + 60, ["post downtime:I1", "close I1"]),
])  # fmt: skip
def test_an_incident_that_cannot_be_closed_yet_tells_nagios_nothing(
    resource: str, expires: float, asked: list[str]
) -> None:
    """A dead run's lease lives for a while, and the downtime would be ended three times at each tick."""
    books = FakeBooks()
    world: dict[str, Any] = {
        "policies": {}, "incidents": [], "attempts": [{"incident": "I1"}],
        "leases": [{"incident": "I1", "resource": resource, "expires_at": expires}],
    }  # fmt: skip
    acts = Acts(config.parse(GOOD), books, None, Troubles(lambda _: None), lambda _: None)
    acts.carry_out([{"act": "close", "incident": "I1", "node": "ei1", "outcome": "recovered"}], world, NOW)
    assert books.asked == asked
