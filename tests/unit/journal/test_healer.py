# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the healer writes into the journal, and what dispatching reads of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal, _journal_healer
from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_healer as healer
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges import evaluate
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import (
    release,
    set_flag,
)
from tests.unit.dispatch.farm import verdict
from tests.unit.journal.helpers import NOW, UNIT, alert, new, opened, question

# -- alerts ------------------------------------------------------------------------------------------


def test_the_same_alert_twice_is_one(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        assert healer.take_in(journal, [alert(), alert("2.event")], NOW) == 2
        assert healer.take_in(journal, [alert(), alert("2.event"), alert("3.event")], NOW + 1) == 1
        rows = journal.rows("SELECT * FROM alerts ORDER BY id")
        assert [item["id"] for item in rows] == ["1.event", "2.event", "3.event"]
        assert (rows[0]["at"], rows[0]["read_at"], rows[0]["outcome"]) == (NOW - 2, NOW, "")
        incident = opened(journal)
        healer.attach(journal, ["1.event"], incident, "opened")
        healer.take_in(journal, [alert()], NOW + 2)  # its file could not be removed
        assert [item["id"] for item in healer.world(journal, NOW)["alerts"]] == ["2.event", "3.event"]


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ({"at": "now"}, "no time"), ({"at": math.nan}, "no time"), ({"at": True}, "no time"), ({"host": ""}, "no host"),
        ({"host": 7}, "no host"), ({"service": 7}, "no name"), ({"reason": "half a file"}, "half a file"),
    ],
)  # fmt: skip
def test_an_alert_that_cannot_be_read_is_kept_as_bad(tmp_path: Path, broken: dict[str, Any], why: str) -> None:
    with new(tmp_path) as journal:
        assert healer.take_in(journal, [alert(**broken), alert("2.event")], NOW) == 2
        row = journal.rows("SELECT * FROM alerts WHERE id = '1.event'")[0]
        assert row["outcome"] == "bad"
        assert why in row["reason"]
        assert [item["id"] for item in healer.world(journal, NOW)["alerts"]] == ["2.event"]


def test_an_alert_of_only_an_id_is_no_crash(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        healer.take_in(journal, [{"id": "1.event", "reason": "empty file"}, alert("2.event", attempt=2**80)], NOW)
        rows = journal.rows("SELECT outcome, attempt FROM alerts ORDER BY id")
        assert [(item["outcome"], item["attempt"]) for item in rows] == [("bad", 0), ("", 0)]


def test_what_is_settled_stays_settled(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        healer.take_in(journal, [alert(), alert("2.event")], NOW)
        incident = opened(journal)
        healer.attach(journal, ["1.event", "9.event"], incident, "opened", "memory 97 %")
        healer.attach(journal, ["1.event"], None, "stale")
        healer.explain(journal, ["1.event", "2.event"], "layer_load: all twins are high")
        rows = journal.rows("SELECT id, incident, outcome, reason FROM alerts ORDER BY id")
        assert tuple(rows[0].values()) == ("1.event", incident, "opened", "memory 97 %")
        assert tuple(rows[1].values()) == ("2.event", None, "", "layer_load: all twins are high")
        with pytest.raises(SelfhealError):
            healer.attach(journal, ["2.event"], None, "done")


def test_a_failure_takes_no_alert_in_by_half(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        with pytest.raises(KeyError):
            healer.take_in(journal, [alert(), {"at": NOW}], NOW)
        assert not journal.rows("SELECT 1 FROM alerts")
        assert not journal.db.in_transaction
        assert healer.take_in(journal, [alert()], NOW) == 1


# -- incidents and runs ------------------------------------------------------------------------------


def test_one_incident_of_a_node(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        first = opened(journal)
        assert opened(journal, now=NOW + 5) == first
        assert opened(journal, "ei2") != first
        assert healer.close_incident(journal, first, "recovered", NOW + 6) is True
        assert healer.close_incident(journal, first, "recovered", NOW + 7) is False
        assert opened(journal, now=NOW + 8) != first


def test_the_plan_goes_on_with_the_incident_that_the_healer_opened(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        incident = opened(journal)
        heal = journal.decide({**question(), "incident": incident}, NOW + 1)
        assert (heal["admitted"], heal["incident"], heal["attempt"]) == (True, incident, 1)
        assert healer.close_incident(journal, incident, "recovered", NOW + 2) is False, "its heal runs"
        release(journal, incident, heal["epoch"], "left_out", {}, NOW + 30)
        assert journal.rows("SELECT 1 FROM leases WHERE incident = ?", incident), "it keeps its slot"
        assert healer.close_incident(journal, incident, "recovered", NOW + 40) is True
        assert not journal.rows("SELECT 1 FROM leases")


def test_closing_ends_the_words_about_it(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        incident, other = opened(journal), opened(journal, "ei2")
        for name in (incident, other):
            for word in ("abort:", "taken:"):
                set_flag(journal, word + name, True, "anna", NOW)
        set_flag(journal, "paused", True, "anna", NOW)
        seen = healer.world(journal, NOW)
        assert sorted(seen["taken"]) == sorted(seen["aborts"]) == sorted([incident, other])
        healer.close_incident(journal, incident, "recovered", NOW)
        seen = healer.world(journal, NOW)
        assert (seen["taken"], seen["aborts"], seen["paused"]) == ([other], [other], True)


@pytest.mark.parametrize(("begun", "kept"), [(NOW + 1, False), (NOW - 5, True)], ids=["its own", "by hand before it"])
def test_the_word_to_go_back_ends_with_the_run_of_a_taken_incident(tmp_path: Path, begun: float, kept: bool) -> None:
    """A run that died leaves its lease for a while; a person who took over must not wait for it, nor be refused."""
    with new(tmp_path) as journal:
        incident = opened(journal)
        if kept:
            journal.decide({**question(), "incident": incident}, begun)
        number = healer.begin_run(journal, incident, UNIT, NOW)
        if not kept:
            journal.decide({**question(), "incident": incident}, begun)
        for word in ("abort:", "taken:"):
            set_flag(journal, word + incident, True, "anna", NOW + 2)
        assert journal.rows("SELECT 1 FROM leases WHERE resource = 'node:ei1' AND expires_at > ?", NOW + 3)
        healer.end_run(journal, incident, number, "failed", NOW + 3)
        assert (journal.flag("abort:" + incident), journal.flag("taken:" + incident)) == (kept, True)


def test_never_two_runs_of_one_node(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        incident = opened(journal)
        assert healer.begin_run(journal, incident, UNIT, NOW) == 1
        assert journal.rows("SELECT unit FROM runs")[0]["unit"] == f"selfheal-heal@{incident}-1.service"
        with pytest.raises(SelfhealError, match="has not ended"):
            healer.begin_run(journal, incident, UNIT, NOW + 1)
        assert healer.end_run(journal, incident, 1, "gone", NOW + 2) is True
        assert healer.end_run(journal, incident, 1, "failed", NOW + 3) is False
        assert healer.begin_run(journal, incident, UNIT, NOW + 4) == 2
        healer.close_incident(journal, incident, "recovered", NOW + 5)
        after = opened(journal, now=NOW + 6)
        with pytest.raises(SelfhealError, match=f"run {incident}-2 of node ei1 has not ended"):
            healer.begin_run(journal, after, UNIT, NOW + 7)
        with pytest.raises(SelfhealError, match="no open incident"):
            healer.begin_run(journal, incident, UNIT, NOW + 7)
        assert [item["node"] for item in healer.world(journal, NOW)["runs"]] == ["ei1"], "a closed incident's run"


def test_a_human_is_called_once_for_each_reason(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        incident = opened(journal)
        assert healer.call(journal, incident, "left_out", "look at it", NOW) is True
        assert healer.call(journal, incident, "left_out", "look at it", NOW + 1) is False
        assert healer.call(journal, incident, "mode_approve", "say yes", NOW + 1) is True
        called = healer.world(journal, NOW)["called"]
        assert [item["reason"] for item in called] == ["left_out", "mode_approve"]


# -- readings ----------------------------------------------------------------------------------------


def test_only_what_was_looked_at_again_goes_into_the_ring(tmp_path: Path) -> None:
    one = verdict("ei1", {"memory": ["ok", NOW - 3]})
    one["readings"][0].update(value=40.0, age_seconds=3.0)
    with new(tmp_path) as journal:
        assert healer.add_readings(journal, {"ei1": one, "ei2": verdict("ei2", {})}, NOW) == 2
        one["readings"][0].update(age_seconds=7.0)
        assert healer.add_readings(journal, {"ei1": one, "ei2": verdict("ei2", {})}, NOW + 4) == 0
        one["readings"][0].update(at=NOW + 5, value=60.0, age_seconds=1.0)
        assert healer.add_readings(journal, {"ei1": one}, NOW + 6) == 1
        found = healer.recent_readings(journal, NOW - 1)
        assert [(item["node"], item["gauge"], item["service"], item["value"], item["at"]) for item in found] == [
            ("ei1", "memory", "memory", 40.0, NOW - 3), ("ei1", "memory", "memory", 60.0, NOW + 5),
        ]  # fmt: skip
        assert healer.recent_readings(journal, NOW + 1) == found[1:]


def test_the_ring_feeds_the_gauges(tmp_path: Path) -> None:
    """A gauge that wants a minute of it is faulty only with the ring, and the ring is written by the gauges."""
    gauges = [{"name": "cpu", "service": "cpu", "label": "load", "kind": "resource", "raise_at": 90,
               "clear_at": 80, "for_seconds": 60}]  # fmt: skip

    def service(at: float) -> dict[str, Any]:
        return {"host": "ei1", "service": "cpu", "status": "critical", "state_type": "soft", "last_check": at,
                "perf_data": "load=97", "output": "cpu", "checked": True, "last_state_change": at}  # fmt: skip

    with new(tmp_path) as journal:
        last = ""
        for place in range(8):
            now = NOW + place * 15
            found = evaluate(gauges, [service(now - 1)], now, healer.recent_readings(journal, now - 600))
            healer.add_readings(journal, found, now)
            last = found["ei1"]["verdict"]
            assert place or last != "faulty"
        assert last == "faulty"
        assert evaluate(gauges, [service(now - 1)], now)["ei1"]["verdict"] != "faulty", "the ring made the difference"


def test_the_ring_is_a_ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "READINGS_KEPT", 5)
    with new(tmp_path) as journal:
        for place in range(20):
            healer.add_readings(journal, {"ei1": verdict("ei1", {"memory": ["ok", NOW + place]})}, NOW + place)
        assert journal.rows("SELECT count(*) AS n FROM readings")[0]["n"] == 5


# -- what waits for Nagios ---------------------------------------------------------------------------


def test_the_newest_state_of_a_node_counts_and_every_comment(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        healer.post(journal, "state:ei1", "RESULT ei1 ok", NOW)
        healer.post(journal, "", "COMMENT one", NOW)
        healer.post(journal, "", "COMMENT two", NOW)
        healer.post(journal, "state:ei1", "RESULT ei1 critical", NOW + 1)
        rows = healer.pending(journal, 10)
        assert [item["line"] for item in rows] == ["COMMENT one", "COMMENT two", "RESULT ei1 critical"]
        healer.undelivered(journal, [rows[0]["id"]], "no reader")
        healer.delivered(journal, [rows[2]["id"]], NOW + 2)
        rows = healer.pending(journal, 10)
        assert [(item["line"], item["tries"], item["error"]) for item in rows] == [
            ("COMMENT one", 1, "no reader"), ("COMMENT two", 0, ""),
        ]  # fmt: skip
        assert len(healer.pending(journal, 1)) == 1
        healer.post(journal, "state:ei1", "RESULT ei1 ok", NOW + 3)
        assert len(journal.rows("SELECT 1 FROM outbox WHERE key = 'state:ei1'")) == 2, "what was delivered is history"


def test_quotas_keep_what_is_not_settled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal_healer, "OUTBOX_KEPT", 3)
    with new(tmp_path) as journal:
        incident = opened(journal)
        healer.take_in(journal, [alert(), alert("2.event")], NOW)
        healer.attach(journal, ["1.event"], incident, "opened")
        healer.begin_run(journal, incident, UNIT, NOW)
        healer.call(journal, incident, "left_out", "look", NOW)
        for place in range(5):
            healer.post(journal, "", f"COMMENT {place}", NOW)
        healer.post(journal, "state:ei1", "RESULT", NOW)
        healer.prune(journal, NOW + 91 * 86400)
        assert [item["id"] for item in journal.rows("SELECT id FROM alerts")] == ["2.event"]
        assert len(journal.rows("SELECT 1 FROM runs")) == len(journal.rows("SELECT 1 FROM calls")) == 1
        kept = [item["line"] for item in healer.pending(journal, 10)]
        assert kept == ["COMMENT 2", "COMMENT 3", "COMMENT 4", "RESULT"]
