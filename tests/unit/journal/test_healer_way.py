# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whole ways from an alert to the end, on a real journal; units and verdicts stand for systemd and Nagios."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_healer as healer
from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch import dispatch
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import (
    acknowledge,
    extend,
    release,
)
from tests.unit.dispatch.farm import verdict
from tests.unit.journal.helpers import NOW, UNIT, alert, new, opened, question
from tests.unit.planner.farm import policies


def world(journal: Journal, now: float, verdicts: dict[str, Any], units: dict[str, str]) -> dict[str, Any]:
    return {**healer.world(journal, now), "policies": policies(), "verdicts": verdicts, "fresh": True,
            "read_at": now - 1, "units": units, "serving": {}}  # fmt: skip


def farm(now: float, **ill: str) -> dict[str, Any]:
    return {
        node: verdict(node, {"memory": [ill.get(node, "ok"), now - 1], "http": ["ok", now - 1]})
        for node in ("ei1", "ei2", "ei3", "extlb1", "extlb2")
    }


def carry_out(journal: Journal, acts: list[dict[str, Any]], units: dict[str, str], now: float) -> None:
    """What the loop does with acts; units stand for systemd."""
    for act in acts:
        if act["act"] == "open":
            incident = healer.open_incident(journal, act["node"], act["layer"], act["kind"], act["reasons"], now)
            healer.attach(journal, act["alerts"], incident, "opened")
        elif act["act"] == "settle_alerts":
            healer.attach(journal, act["ids"], act["incident"], act["outcome"])
        elif act["act"] == "close":
            healer.close_incident(journal, act["incident"], act["outcome"], now)
        elif act["act"] == "ended":
            healer.end_run(journal, act["incident"], act["number"], act["outcome"], now)
        elif act["act"] == "withdraw":
            healer.withdraw(journal, act["incident"])
        elif act["act"] == "start":
            number = healer.begin_run(journal, act["incident"], UNIT, now, act["reason"])
            units[UNIT.replace("{name}", f"{act['incident']}-{number}")] = "active"
        elif act["act"] == "human":
            healer.call(journal, act["incident"], act["reason"], act["text"], now)


def kinds(acts: list[dict[str, Any]]) -> list[str]:
    return [act["act"] for act in acts]


def admitted(journal: Journal, ill: dict[str, Any]) -> tuple[dict[str, str], str, dict[str, Any]]:
    """A heal of ei1 whose run was started and whose plan was admitted: units, incident, and the decision."""
    units: dict[str, str] = {}
    for _ in range(2):
        carry_out(journal, dispatch(world(journal, NOW, ill, units), NOW), units, NOW)
    incident = healer.world(journal, NOW)["incidents"][0]["id"]
    return units, incident, journal.decide({**question(), "incident": incident}, NOW + 2)


def test_forty_alerts_one_heal(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        units: dict[str, str] = {}
        healer.take_in(journal, [alert(f"{place}.event", at=NOW - 3) for place in range(40)], NOW)
        seen = []
        for step in range(3):
            acts = dispatch(world(journal, NOW + step, farm(NOW, ei1="faulty"), units), NOW + step)
            carry_out(journal, acts, units, NOW + step)
            seen.append(kinds(acts))
        assert seen == [["open"], ["start"], []]
        incident = healer.world(journal, NOW)["incidents"][0]["id"]
        heal = journal.decide({**question(), "incident": incident}, NOW + 3)
        assert heal["admitted"]
        healer.take_in(journal, [alert("late.event", at=NOW + 4)], NOW + 5)
        acts = dispatch(world(journal, NOW + 5, farm(NOW, ei1="faulty"), units), NOW + 5)
        assert [(act["act"], act.get("outcome")) for act in acts] == [("settle_alerts", "known")]
        carry_out(journal, acts, units, NOW + 5)
        release(journal, incident, heal["epoch"], "healed", {}, NOW + 30)
        units.clear()
        # Nagios still shows the reading from before the heal: no second heal of the same illness.
        acts = dispatch(world(journal, NOW + 40, farm(NOW, ei1="faulty"), units), NOW + 40)
        assert kinds(acts) == ["ended"]
        carry_out(journal, acts, units, NOW + 40)
        assert dispatch(world(journal, NOW + 50, farm(NOW + 49), units), NOW + 50) == []
        assert len(journal.rows("SELECT 1 FROM runs")) == 1
        assert {item["outcome"] for item in journal.rows("SELECT outcome FROM alerts")} == {"opened", "known"}


def test_a_healer_that_was_killed_goes_on(tmp_path: Path) -> None:
    """The unit is gone in the middle of a heal, its lease lives on: one successor, at once, under the same incident."""
    with new(tmp_path) as journal:
        ill = farm(NOW, ei1="faulty")
        units, incident, heal = admitted(journal, ill)
        extend(journal, incident, heal["epoch"], "shift", 60, NOW + 5)
        units.clear()
    with Journal(str(tmp_path / "journal.db")) as journal:
        acts = dispatch(world(journal, NOW + 20, farm(NOW + 19), units), NOW + 20)
        assert [(act["act"], act.get("reason")) for act in acts] == [("ended", None), ("start", "resume")]
        carry_out(journal, acts, units, NOW + 20)
        dead = [{"incident": incident, "epoch": heal["epoch"]}]
        again = journal.decide({**question(), "incident": incident, "dead": dead}, NOW + 22)
        assert (again["admitted"], again["incident"], again["attempt"]) == (True, incident, 2)
        assert dispatch(world(journal, NOW + 23, farm(NOW + 19), units), NOW + 23) == []


def test_a_refusal_is_remembered(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        units: dict[str, str] = {}
        ill = farm(NOW, ei1="faulty")
        for _ in range(2):
            carry_out(journal, dispatch(world(journal, NOW, ill, units), NOW), units, NOW)
        incident = healer.world(journal, NOW)["incidents"][0]["id"]
        refused = {**question(policy={"ei": {"mode": "observe"}}), "incident": incident}
        for place in range(3):
            assert not journal.decide(refused, NOW + 2 + place)["admitted"]
        decision = healer.world(journal, NOW)["decisions"]["ei1"]
        assert decision["reasons"] == ["mode_observe"]
        assert (decision["same"], decision["admitted"], decision["incident"]) == (3, False, incident)
        assert (decision["verdict"], decision["kind"]) == ("faulty", "resource")
        units.clear()
        acts = dispatch(world(journal, NOW + 20, ill, units), NOW + 20)
        assert [(act["act"], act.get("reason"), act.get("until")) for act in acts] == [
            ("ended", None, None), ("wait", "mode_observe", NOW + 304),
        ]  # fmt: skip


def test_a_person_settles_a_left_out_incident(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        ill = farm(NOW, ei1="faulty")
        units, incident, heal = admitted(journal, ill)
        release(journal, incident, heal["epoch"], "left_out", {}, NOW + 60)
        units.clear()
        later = farm(NOW + 69, ei1="faulty")
        acts = dispatch(world(journal, NOW + 70, later, units), NOW + 70)
        assert kinds(acts) == ["ended", "human", "wait"]
        carry_out(journal, acts, units, NOW + 70)
        assert kinds(dispatch(world(journal, NOW + 71, later, units), NOW + 71)) == ["wait"]
        acts = dispatch(world(journal, NOW + 80, farm(NOW + 79), units), NOW + 80)
        assert [act.get("reason") for act in acts] == ["give_back"]
        acknowledge(journal, incident, "anna", NOW + 90)
        assert dispatch(world(journal, NOW + 91, farm(NOW + 90), units), NOW + 91) == []


def test_the_world_is_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends while the world is read is seen whole or not at all."""
    with new(tmp_path) as journal, Journal(journal.path) as run:
        incident = opened(journal)
        heal = journal.decide({**question(), "incident": incident}, NOW + 1)
        real = Journal.history

        def meanwhile(self: Journal, now: float, given: Any = None) -> dict[str, Any]:
            found = real(self, now, given)
            release(run, incident, heal["epoch"], "healed", {}, NOW + 30)
            return found

        monkeypatch.setattr(Journal, "history", meanwhile)
        seen = healer.world(journal, NOW + 31)
        assert [item["id"] for item in seen["incidents"]] == [incident]
        assert [item["outcome"] for item in seen["attempts"]] == [None]
        monkeypatch.undo()
        assert healer.world(journal, NOW + 31)["incidents"] == []
        assert not journal.db.in_transaction
