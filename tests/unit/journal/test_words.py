# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What people say to the journal: what changes, what is written down, what is refused, and that twice is once."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_inject, _journal_said
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import extend, release, set_flag
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_read import overview
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_said import said
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_words import SPEC, say
from tests.unit.journal.helpers import NOW, new, question, reasons


def params(folder: Path, **asked: Any) -> dict[str, Any]:
    defaults = {key: option.get("default") for key, option in SPEC.items()}
    fixed = {"path": str(folder / "journal.db"), "initialised": False, "by": "anna@desk", "spool": str(folder)}
    return {**defaults, **fixed, **asked}


def heal(journal: Journal, **case: Any) -> dict[str, Any]:
    found = journal.decide(question(**case), NOW)
    assert found["admitted"], found["summary"]
    return found


def open_without_a_heal(journal: Journal, incident: str = "ei2-20260101-000000-abcd") -> str:
    journal.db.execute(
        "INSERT INTO incidents VALUES (?, 'ei2', 'ei', 'open', ?, NULL, 'resource', '[]', NULL, 0)", (incident, NOW)
    )
    return incident


TABLE = [
    ("paused", True, "paused", "pause"),
    ("approve", "I", "incident I approved", "approve"),
    ("abort", "I", "incident I aborted", "abort"),
    ("take", "I", "incident I taken over", "take"),
    ("acknowledge", "I", "incident I acknowledged", "acknowledge"),
]


@pytest.mark.parametrize(("word", "value", "text", "noted"), TABLE)
def test_each_word_changes_once_and_is_written_down_once(
    tmp_path: Path, word: str, value: Any, text: str, noted: str
) -> None:
    with new(tmp_path) as journal:
        incident = open_without_a_heal(journal)
    asked = params(tmp_path, reason="we look", **{word: incident if value == "I" else value})
    expected = text.replace("incident I", "incident " + incident)
    before = dump(tmp_path)
    assert say(asked, NOW, True) == (False, [expected])
    assert dump(tmp_path) == before, "check mode wrote something"
    assert say(asked, NOW, False) == (False, [expected])
    assert say(asked, NOW + 1, True) == (False, []), "said twice"
    assert say(asked, NOW + 1, False) == (False, [])
    with Journal(str(tmp_path / "journal.db")) as journal:
        words = said(journal)
        assert len(words) == 1
        assert words[0] == {
            "at": NOW, "by": "anna@desk", "word": noted, "incident": incident if value == "I" else "",
            "reason": "we look", "text": expected,
        }  # fmt: skip


def dump(folder: Path) -> list[str]:
    with Journal(str(folder / "journal.db")) as journal:
        return list(journal.db.iterdump())


@pytest.mark.parametrize("word", ["approve", "abort", "take", "acknowledge"])
@pytest.mark.parametrize(
    ("meant", "says"),
    [
        ("ei2", "did you mean ei2-20260101-000000-abcd?"),
        ("ei2-2026", "did you mean ei2-20260101-000000-abcd?"),
        ("ei2-20260101-000000-abcf", "did you mean ei2-20260101-000000-abcd?"),
        ("zzz\x1b[2J", "see them with: selfheal history"),
        ("", "see them with: selfheal history"),
    ],
)
def test_an_unknown_incident_is_refused_with_the_near_one(tmp_path: Path, word: str, meant: str, says: str) -> None:
    with new(tmp_path) as journal:
        open_without_a_heal(journal)
    before = dump(tmp_path)
    with pytest.raises(SelfhealError) as refused:
        say(params(tmp_path, **{word: meant}), NOW, False)
    assert refused.value.reason == "unknown_incident"
    assert says in refused.value.message and "\x1b" not in refused.value.message
    assert dump(tmp_path) == before


@pytest.mark.parametrize("word", ["approve", "abort", "take"])
def test_a_closed_incident_takes_no_word(tmp_path: Path, word: str) -> None:
    with new(tmp_path) as journal:
        incident = open_without_a_heal(journal)
        journal.db.execute("UPDATE incidents SET state = 'closed'")
    with pytest.raises(SelfhealError, match="closed already"):
        say(params(tmp_path, **{word: incident}), NOW, False)


def test_no_journal_is_made_by_a_word(tmp_path: Path) -> None:
    for word in ({"paused": True}, {"abort": "x"}, {"inject": {"node": "ei1"}}):
        with pytest.raises(SelfhealError) as refused:
            say(params(tmp_path, **word), NOW, False)
        assert refused.value.reason == "no_journal"
    assert list(tmp_path.iterdir()) == []


def test_a_word_never_lets_a_new_journal_act(tmp_path: Path) -> None:
    new(tmp_path, initialised=False).close()
    say(params(tmp_path, paused=True), NOW, False)
    say(params(tmp_path, paused=False), NOW, False)
    with Journal(str(tmp_path / "journal.db")) as journal:
        assert journal.meta("initialised_at") is None
        assert reasons(journal.decide(question(), NOW)) == ["mode_observe"]


def test_who_paused_and_why_is_known_and_who_resumed_stays_known(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        say(params(tmp_path, paused=True, reason="the network\x1b[2J is rebuilt"), NOW, False)
        assert overview(journal, NOW, None, 5, False)["pause"] == {
            "at": NOW, "by": "anna@desk", "reason": "the network\\x1b[2J is rebuilt",
        }  # fmt: skip
        assert reasons(journal.decide(question(), NOW)) == ["paused"]
        say(params(tmp_path, paused=False, by="bob@desk"), NOW + 5, False)
        assert overview(journal, NOW, None, 5, False)["pause"] is None
        assert [(item["word"], item["by"]) for item in said(journal)] == [
            ("resume", "bob@desk"), ("pause", "anna@desk"),
        ]  # fmt: skip


def test_an_approval_lets_the_healer_heal(tmp_path: Path) -> None:
    policy = {"ei": {"mode": "approve"}}
    with new(tmp_path) as journal:
        incident = open_without_a_heal(journal, "ei1-20260101-000000-0001")
        journal.db.execute("UPDATE incidents SET node = 'ei1'")
        asked = question(policy=policy)
        asked["snapshot"]["origin"] = "healer"
        assert reasons(journal.decide(asked, NOW)) == ["mode_approve"]
        say(params(tmp_path, approve=incident), NOW, False)
        found = journal.decide(asked, NOW)
        assert found["admitted"] and found["incident"] == incident


def test_a_heal_that_runs_goes_back_when_a_person_takes_over_and_stays_theirs(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        run = heal(journal)
        incident, epoch = run["incident"], run["epoch"]
        changes = say(params(tmp_path, take=incident), NOW + 1, False)[1]
        assert changes == [f"incident {incident} taken over, its heal is asked to go back"]
        assert extend(journal, incident, epoch, "shift", 30, NOW + 2)["stop"] == "abort"
        release(journal, incident, epoch, "undone", {}, NOW + 3)
        view = overview(journal, NOW + 4, incident, 5, False)
        assert view["incidents"][0]["state"] == "open", "the healer would begin a new incident for the same illness"
        assert view["taken"] == [incident] and view["aborts"] == [] and view["leases"] == []
        # The person may still heal it by hand, and that heal is not stopped.
        again = journal.decide(question(), NOW + 5)
        assert again["admitted"] and again["incident"] == incident
        assert extend(journal, incident, again["epoch"], "shift", 30, NOW + 6)["stop"] == ""
        release(journal, incident, again["epoch"], "healed", {}, NOW + 7)
        view = overview(journal, NOW + 8, incident, 5, False)
        assert view["incidents"][0]["state"] == "closed" and view["taken"] == []


def test_a_unit_that_was_started_and_has_not_asked_yet_is_stopped_too(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        incident = open_without_a_heal(journal)
        journal.db.execute(
            "CREATE TABLE IF NOT EXISTS runs (incident, number INT, unit TEXT, started_at, ended_at, outcome TEXT)"
        )
        journal.db.execute(
            "INSERT INTO runs (incident, number, unit, started_at) VALUES (?, 1, 'u', ?)", (incident, NOW)
        )
        say(params(tmp_path, take=incident), NOW, False)
        assert journal.flag("abort:" + incident)


def test_acknowledging_ends_a_take_over_and_is_refused_while_it_is_healed(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        run = heal(journal)
        incident = run["incident"]
        say(params(tmp_path, take=incident), NOW, False)
        for check_mode in (True, False):
            with pytest.raises(SelfhealError) as refused:
                say(params(tmp_path, acknowledge=incident), NOW + 1, check_mode)
            assert refused.value.reason == "lease_taken"
        release(journal, incident, run["epoch"], "left_out", {}, NOW + 2)
        view = overview(journal, NOW + 3, incident, 5, False)
        assert view["taken"] == [incident] and view["aborts"] == [], "the abort outlived the heal that it was for"
        say(params(tmp_path, acknowledge=incident), NOW + 3, False)
        view = overview(journal, NOW + 4, incident, 5, False)
        assert view["taken"] == [] and view["aborts"] == [] and view["leases"] == []
        assert view["incidents"][0]["outcome"] == "acknowledged by anna@desk"
        assert journal.history(NOW + 4)["attempts"][0]["acknowledged"] is True


@pytest.mark.parametrize(
    ("outcome", "told"),
    [("left_out", True), ("failed", True), ("ambiguous", True), ("undone", False), ("healed", False)],
)
def test_acknowledging_says_what_may_still_be_held(tmp_path: Path, outcome: str, told: bool) -> None:
    """The word closes books; whoever says it must not think that it gave a node its traffic back."""
    with new(tmp_path) as journal:
        run = heal(journal)
        release(journal, run["incident"], run["epoch"], outcome, {}, NOW + 2)
        for check_mode in (True, False):
            texts = " ".join(say(params(tmp_path, acknowledge=run["incident"]), NOW + 3, check_mode)[1])
            assert ("may still be held out of traffic" in texts) is told
            assert ("'selfheal: ei1' in Nagios stays critical" in texts) is told


def test_words_have_a_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal_said, "KEPT", 5)
    with new(tmp_path) as journal:
        for place in range(9):
            say(params(tmp_path, paused=place % 2 == 0), NOW + place, False)
        assert [item["at"] - NOW for item in said(journal)] == [8, 7, 6, 5, 4]
        assert journal.meta("last_epoch") == "0", "only words are removed"


def test_a_word_and_its_record_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new(tmp_path).close()

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ansible_collections.selfheal.cluster.plugins.module_utils._journal_words.note", broken)
    before = dump(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        say(params(tmp_path, paused=True), NOW, False)
    assert dump(tmp_path) == before


EVENTS = [
    ({"node": "ei1", "service": "memory"}, {"service": "memory", "state": "CRITICAL"}),
    ({"node": "ei1"}, {"service": None, "state": "DOWN"}),
    ({"node": "ei1", "service": "", "state": "UP"}, {"service": None, "state": "UP"}),
    ({"node": "ei1", "service": "di\u00e4k \"/\" $(x)", "state": "WARNING"}, {"service": "di\u00e4k \"/\" $(x)",
                                                                           "state": "WARNING"}),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "expected"), EVENTS)
def test_an_event_by_hand_is_one_whole_file(tmp_path: Path, asked: dict[str, Any], expected: dict[str, Any]) -> None:
    new(tmp_path).close()
    spool = tmp_path / "spool"
    spool.mkdir()
    wish = params(tmp_path, spool=str(spool), inject={**asked, "known": ["ei1", "ei2"]})
    assert len(say(wish, NOW, True)[1]) == 1
    assert list(spool.iterdir()) == []
    say(wish, NOW, False)
    say(wish, NOW, False)
    files = sorted(spool.iterdir())
    assert len(files) == 2 and all(path.suffix == ".event" and path.name[0].isdigit() for path in files)
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o640, 0o640]
    text = files[0].read_text(encoding="utf-8")
    assert text.endswith("}\n") and text.count("\n") == 1
    fixed = {"v": 1, "at": NOW, "host": "ei1", "type": "HARD", "attempt": 1, "event_id": 0}
    assert json.loads(text) == {**fixed, **expected}
    with Journal(str(tmp_path / "journal.db")) as journal:
        assert [item["word"] for item in said(journal)] == ["inject", "inject"]


@pytest.mark.parametrize(
    ("asked", "reason", "says"),
    [
        ({"node": "ei9"}, "unknown_node", "did you mean ei1?"),
        ({"node": "zzzz"}, "unknown_node", "known are ei1, km1"),
        ({"node": ""}, "unknown_node", "is no node"),
        ({"node": "ei1", "service": "a\nb"}, "bad_event", "control characters"),
        ({"node": "ei1", "service": "x" * 256}, "bad_event", "too long"),
    ],
)
def test_a_bad_event_is_refused(tmp_path: Path, asked: dict[str, Any], reason: str, says: str) -> None:
    new(tmp_path).close()
    with pytest.raises(SelfhealError) as refused:
        say(params(tmp_path, inject={**asked, "known": ["km1", "ei1"]}), NOW, False)
    assert refused.value.reason == reason and says in refused.value.message
    assert list(tmp_path.glob("*.event")) == []


def test_a_missing_spool_says_what_to_do(tmp_path: Path) -> None:
    new(tmp_path).close()
    with pytest.raises(SelfhealError, match="role healer") as refused:
        say(params(tmp_path, spool=str(tmp_path / "no"), inject={"node": "ei1"}), NOW, False)
    assert refused.value.reason == "no_spool"
    with Journal(str(tmp_path / "journal.db")) as journal:
        assert said(journal) == []


def test_a_failed_event_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(SelfhealError, match="No space left"):
        _journal_inject.drop(str(tmp_path), {"v": 1})
    assert list(tmp_path.iterdir()) == []


def test_a_flag_of_an_older_version_is_understood(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        set_flag(journal, "paused", True, "anna", NOW)
        assert overview(journal, NOW, None, 5, False)["pause"] == {"at": NOW, "by": "anna", "reason": ""}
