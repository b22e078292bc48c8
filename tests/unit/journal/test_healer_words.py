# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How the words of people bind what the healer begins afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_healer as healer
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import set_flag
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_words import SPEC, say
from tests.unit.journal.helpers import NOW, UNIT, alert, new, opened


def word(journal: Journal, now: float, **words: Any) -> None:
    defaults = {key: spec.get("default") for key, spec in SPEC.items()}
    say({**defaults, "path": journal.path, "by": "anna@desk", **words}, now, False)


@pytest.mark.parametrize(
    ("flag", "why", "stopped"),
    [
        ("paused", "ill", True), ("paused", "ask", True), ("paused", "resume", False), ("paused", "give_back", False),
        *((name, why, True) for name in ("abort:", "taken:") for why in ("ill", "ask", "resume", "give_back")),
    ],
)  # fmt: skip
def test_which_words_stop_which_runs(tmp_path: Path, flag: str, why: str, stopped: bool) -> None:
    with new(tmp_path) as journal:
        incident = opened(journal)
        set_flag(journal, flag if flag == "paused" else flag + incident, True, "anna", NOW)
        if stopped:
            with pytest.raises(SelfhealError, match="a person has said"):
                healer.begin_run(journal, incident, UNIT, NOW, why)
            assert journal.rows("SELECT 1 FROM runs") == []
        else:
            assert healer.begin_run(journal, incident, UNIT, NOW, why) == 1


def test_an_approval_has_its_time_and_is_withdrawn_with_its_questions(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        incident = opened(journal)
        healer.call(journal, incident, "mode_approve", "say yes", NOW)
        healer.call(journal, incident, "left_out", "look", NOW)
        word(journal, NOW + 5, approve=incident)
        found = healer.world(journal, NOW + 6)
        assert (found["incidents"][0]["approved"], found["incidents"][0]["approved_at"]) == (True, NOW + 5)
        assert {item["reason"]: item["at"] for item in found["called"]} == {"mode_approve": NOW, "left_out": NOW}
        assert healer.withdraw(journal, incident) is True
        assert healer.withdraw(journal, incident) is False
        found = healer.world(journal, NOW + 9)
        assert (found["incidents"][0]["approved"], found["incidents"][0]["approved_at"]) == (False, None)
        assert [item["reason"] for item in found["called"]] == ["left_out"]
        word(journal, NOW + 20, approve=incident)  # and may be said again
        assert healer.world(journal, NOW + 21)["incidents"][0]["approved_at"] == NOW + 20


def test_an_approval_under_which_a_run_has_begun_stays(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        incident = opened(journal)
        word(journal, NOW, approve=incident)
        healer.begin_run(journal, incident, UNIT, NOW + 1)
        assert healer.withdraw(journal, incident) is False
        assert healer.world(journal, NOW + 2)["incidents"][0]["approved"] is True


def test_who_takes_over_before_the_plan_was_asked_can_heal_by_hand_afterwards(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        incident = opened(journal)
        healer.begin_run(journal, incident, UNIT, NOW)
        word(journal, NOW + 1, take=incident)
        assert journal.flag("abort:" + incident), "the plan of the run that has begun must see it"
        healer.end_run(journal, incident, 1, "gone", NOW + 2)
        assert not journal.flag("abort:" + incident)
        assert journal.flag("taken:" + incident)


def test_settled_alerts_are_bounded_and_waiting_ones_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healer, "ALERTS_KEPT", 3)
    with new(tmp_path) as journal:
        for place in range(8):
            healer.take_in(journal, [alert(f"{place}.event")], NOW + place)
        healer.attach(journal, [f"{place}.event" for place in range(1, 8)], None, "recovered")
        healer.prune(journal, NOW + 10)
        kept = [item["id"] for item in journal.rows("SELECT id FROM alerts ORDER BY id")]
        assert kept == ["0.event", "5.event", "6.event", "7.event"]
