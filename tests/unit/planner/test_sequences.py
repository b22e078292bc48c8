# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Sequences are data: no phase without a deadline, no change without an undoing."""

from __future__ import annotations

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._sequences import (
    MARGIN_SECONDS,
    PHASES,
    RETURN_ONLY,
    SHIFT_ONLY,
    STEPS,
    deadlines,
    steps,
    undoings,
)
from tests.unit.planner import farm


@pytest.mark.parametrize("strategy", sorted(STEPS))
def test_every_phase_has_steps_in_order(strategy: str) -> None:
    places = [PHASES.index(step.phase) for step in STEPS[strategy]]
    assert places == sorted(places)
    assert set(places) == set(range(len(PHASES)))


@pytest.mark.parametrize("strategy", sorted(STEPS))
def test_what_is_taken_away_is_given_back_in_reverse(strategy: str) -> None:
    undo = undoings(strategy, ("confirm", "shift"))
    assert undo[-1] == "release_leases"
    assert len(undo) == 3
    assert all(step.undo for step in steps(strategy, ("shift",)) if step.name in ("detach", "move", "downtime"))


@pytest.mark.parametrize("strategy", sorted(STEPS))
def test_nothing_but_the_restart_phase_restarts(strategy: str) -> None:
    for phases in (SHIFT_ONLY, RETURN_ONLY):
        assert "restart" not in {step.name for step in steps(strategy, phases)}
    assert [step.phase for step in STEPS[strategy] if step.name == "restart"] == ["restart"]


def test_deadlines_come_from_the_limits() -> None:
    limits = farm.policies()["ei"]["limits"]
    found = deadlines({**limits, "restart_seconds": 90.5, "drain_seconds": 15})
    assert list(found) == list(PHASES)
    assert found["restart"] == 91
    assert found["shift"] == 35
    assert all(isinstance(value, int) for value in found.values())


@pytest.mark.parametrize("changes", [{"drain_seconds": 60}, {"drain_seconds": 0, "evidence_seconds": 60}])
def test_requests_run_out_and_evidence_is_taken_in_one_phase(changes: dict[str, int]) -> None:
    found = deadlines({**farm.policies()["ei"]["limits"], **changes})["evidence"]
    assert found + MARGIN_SECONDS > 60 + 40, "the lease outlives the time-outs of its tasks"
