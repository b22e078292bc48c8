# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is going on: the journal beside the holds that the machines show."""

from __future__ import annotations

from ansible_collections.selfheal.cluster.plugins.module_utils._survey_status import status, text
from tests.unit.survey.farm import farm

HOLD = {"resource": "haproxy:be_ei/ei1", "incident": "I-7", "phase": "restart", "expired": False}


def test_a_quiet_farm() -> None:
    view = status(farm())
    assert view["holds"] == [] and view["blind"] == {}
    assert text(view).splitlines() == [
        "Journal on monitor: heals are allowed", "no open incident", "no heal under way", "no lease",
        "no hold",
    ]  # fmt: skip


def test_heals_that_run_and_incidents_that_ended_lately() -> None:
    observed = farm()
    rows = [{"incident": f"I-{n}", "state": "closed", "closed_at": float(n)} for n in range(8)]
    running = {"incident": "I-9", "node": "ei1", "unit": None, "phase": "verify", "phase_seconds": 2.5}
    observed["seen"]["monitor"]["journal"].update(incidents=[*rows, {"incident": "I-9"}], running=[running])
    view = status(observed)
    assert view["running"] == [running]
    assert [row["incident"] for row in view["ended"]] == ["I-7", "I-6", "I-5", "I-4", "I-3"]
    assert "heal under way: incident I-9, node ei1, phase verify, phase_seconds 2.5" in text(view)


def test_holds_of_balancers_and_of_pairs() -> None:
    observed = farm()
    observed["seen"]["extlb2"]["balancer"]["servers"][0]["hold"] = HOLD
    observed["seen"]["extlb1"]["keepalived"]["instances"][0]["hold"] = {**HOLD, "resource": "keepalived:VI_ext"}
    found = status(observed)["holds"]
    assert [(hold["host"], hold["resource"]) for hold in found] == [
        ("extlb2", "haproxy:be_ei/ei1"),
        ("extlb1", "keepalived:VI_ext"),
    ]


def test_a_machine_that_was_not_seen_and_a_paused_journal() -> None:
    observed = farm()
    observed["seen"]["extlb2"] = {"reachable": False, "error": "No route to host\x1b[2J"}
    observed["seen"]["monitor"]["journal"].update(paused=True, incidents=[{"incident": "I-7", "node": "ei1"}])
    said = text(status(observed))
    assert "PAUSED" in said and "incident I-7, node ei1" in said
    assert "extlb2 was not seen: No route to host\\x1b[2J" in said


def test_no_journal() -> None:
    observed = farm()
    observed["seen"]["monitor"].update(journal=None, journal_error="no such file", journal_reason="no_journal")
    assert "none (no such file)" in text(status(observed))
