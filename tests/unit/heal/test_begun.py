# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""When a heal began: its process may have waited for it, and nobody may move it into another time."""

from __future__ import annotations

import pytest

from ansible_collections.selfheal.cluster.plugins.action import heal_target

PROCESS, NOW = 1000.0, 1900.0


@pytest.mark.parametrize(("said", "expected"), [
    (None, PROCESS), ("1895.5", 1895.5), ("999.0", PROCESS), ("1901", NOW), ("soon", PROCESS), ("", PROCESS),
], ids=["its process", "taken over later", "before its process", "in the future", "no number", "nothing"])  # fmt: skip
def test_a_heal_begins_with_its_incident(monkeypatch: pytest.MonkeyPatch, said: str | None, expected: float) -> None:
    monkeypatch.delenv(heal_target.BEGUN, raising=False)
    if said is not None:
        monkeypatch.setenv(heal_target.BEGUN, said)
    assert heal_target._begun(PROCESS, NOW) == expected
