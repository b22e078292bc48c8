# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A heal that begins at once looks again while Nagios' data are older than what Nagios has told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _gauges_told as told
from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_healer as healer
from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_ring as ring
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.modules import gauge_info
from tests.unit.gauges.farm import NOW

ILL = {"host": "a", "service": "web", "state": "CRITICAL", "type": "HARD", "at": NOW - 0.5}


def seen(status: str = "ok", state_type: str = "hard", age: float | None = 1.0, **nagios: Any) -> dict[str, Any]:
    return {
        "nagios": {"fresh": True, "queried_at": NOW, "age_seconds": age, **nagios},
        "services": {"a": [{"service": "web", "status": status, "state_type": state_type}], "b": []},
        "hosts": {"a": {"status": "up"}}, "verdicts": {},
    }  # fmt: skip


CASES: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("data from before the alert", {}, seen(), True),
    ("data of the same second that show it", {}, seen("critical"), False),
    ("they show the state before it was hard", {}, seen("critical", "soft"), True),
    ("a soft one told late: it is hard already", {"type": "SOFT"}, seen("critical"), False),
    ("data from after the alert: it has recovered", {}, seen(age=0.4), False),
    ("an alert about a node of another layer", {"host": "c"}, seen(), False),
    ("a service that our user does not see", {"service": "other"}, seen(), False),
    ("a host that is down, not shown yet", {"service": None, "state": "DOWN"}, seen(), True),
    ("a host that is up again", {"service": None, "state": "UP"}, seen(), False),
    ("a host that Nagios does not show", {"service": None, "state": "DOWN", "host": "b"}, seen(), False),
    ("a recovery, not shown yet", {"state": "OK"}, seen("critical"), True),
    ("a soft recovery, which is hard in the data", {"state": "OK", "type": "SOFT"}, seen(), False),
    ("data that are not to be believed", {}, seen(fresh=False), False),
    ("data without an age", {}, seen(age=None), False),
]


@pytest.mark.parametrize(("alert", "data", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_data_are_behind(alert: dict[str, Any], data: dict[str, Any], expected: bool) -> None:
    assert told.behind([{**ILL, **alert}], data) == expected


class Looks:
    """A Nagios that writes the illness at a time; looking costs something."""

    def __init__(self, written: float, cost: float = 0.0, **nagios: Any) -> None:
        self.now, self.written, self.cost, self.nagios = 0.0, written, cost, nagios
        self.at: list[float] = []

    def look(self) -> dict[str, Any]:
        self.at.append(round(self.now, 3))
        self.now += self.cost
        return seen("critical" if self.now >= self.written else "ok", **self.nagios)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def found(self, alerts: list[dict[str, Any]], interval: float | None = 1.0) -> str:
        answer = told.look_again(self.look, alerts, lambda: self.now, self.sleep, interval)
        return str(answer["services"]["a"][0]["status"])


@pytest.mark.parametrize(("looks", "interval", "alerts", "status", "at"), [
    (Looks(0.5), 1.0, [ILL], "critical", [0.0, 0.2, 0.4, 0.6]),
    (Looks(60), 1.0, [], "ok", [0.0]),
    (Looks(60, cost=0.6), 1.0, [ILL], "ok", [0.0, 1.8]),
    (Looks(1.1), 2.0, [ILL], "critical", [0.0, 1.0, 2.0]),
    (Looks(60), 10.0, [ILL], "ok", [0.0]),
    # Taken for Nagios' default of 10 s, 3 of 20 runs that an alert began were refused where it writes each second.
    (Looks(0.5, status_update_interval=10.0), None, [ILL], "critical", [0.0, 0.2, 0.4, 0.6]),
], ids=["soon", "no alert", "a dear look", "not before Nagios writes", "Nagios writes too late",
        "nobody knows when Nagios writes"])  # fmt: skip
def test_it_looks_again_until_they_are_not_and_not_for_ever(
    looks: Looks, interval: float | None, alerts: list[dict[str, Any]], status: str, at: list[float]
) -> None:
    assert looks.found(alerts, interval) == status
    assert looks.at == at


def test_it_gives_up_in_time() -> None:
    looks = Looks(60)
    assert looks.found([ILL]) == "ok", "the last one counts, and the plan says what it is worth"
    assert told.LATE_SECONDS - 1 < looks.now <= told.LATE_SECONDS


def journal(folder: Path) -> str:
    path = str(folder / "journal.db")
    Journal.create(path, NOW - 3600)

    def alert(
        at: float, host: str, service: str | None, state: str, kind: str, event_id: int = 7, attempt: int = 1
    ) -> dict[str, Any]:
        return {"id": f"{int(at * 1e9):020d}-1.event", "at": at, "host": host, "service": service, "state": state,
                "type": kind, "attempt": attempt, "event_id": event_id}  # fmt: skip

    with Journal(path) as kept:
        healer.take_in(kept, [
            alert(NOW - 60, "b", "web", "CRITICAL", "HARD"),
            alert(NOW - 2, "a", "web", "CRITICAL", "SOFT"),
            alert(NOW - 3, "a", "web", "CRITICAL", "HARD", attempt=2),  # handlers may run out of order
            alert(NOW - 3.5, "a", None, "DOWN", "HARD"),
            alert(NOW - 1, "a", "disk", "CRITICAL", "HARD", event_id=0),  # injected by hand
            alert(NOW + 60, "a", "cpu", "CRITICAL", "HARD"),
        ], NOW)  # fmt: skip
    return path


def test_the_newest_alert_of_each_service_counts_and_none_of_long_ago(tmp_path: Path) -> None:
    layers = [{"layer": "ei", "nodes": ["a"], "gauges": None}]
    found = ring.past(journal(tmp_path), layers, NOW).alerts
    assert {(row["host"], row["service"], row["type"], NOW - row["at"]) for row in found} == {
        ("a", None, "HARD", 3.5), ("a", "web", "HARD", 3.0),
    }  # fmt: skip
    assert list(ring.past(str(tmp_path / "nowhere.db"), layers, NOW).alerts) == []


@pytest.mark.parametrize(("with_journal", "looks"), [(True, 2), (False, 1)])
def test_the_module_looks_again_where_it_knows_of_alerts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_journal: bool, looks: int
) -> None:
    answers = [seen(age=30.0), seen("critical", age=30.0)]
    asked: list[Any] = []

    def look(*_args: Any, **_named: Any) -> dict[str, Any]:
        asked.append(1)
        return answers[min(len(asked), 2) - 1]

    monkeypatch.setattr(gauge_info, "look", look)
    path = journal(tmp_path) if with_journal else None
    answers = [{**each, "hosts": {"a": {"status": "down"}}} for each in answers]
    params = {"layers": [{"layer": "ei", "nodes": ["a"], "gauges": None}], "expected_services": None, "history": [],
              "reading_age_seconds": 150.0, "since": None, "journal": path}  # fmt: skip
    client: Any = None
    gauge_info.judged(client, params, lambda: NOW, lambda _seconds: None)
    assert len(asked) == looks
