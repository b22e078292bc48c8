# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One transaction: plan, attempt, leases, epoch and decision stand or fall together (invariants 1, 7, 14)."""

from __future__ import annotations

import multiprocessing
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import extend, release, set_flag
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_read import overview, replay
from tests.unit.journal.helpers import DESK, NOW, new, question, reasons
from tests.unit.planner import farm
from tests.unit.planner.test_cases import CASES, load


def hold_everywhere(incident: str) -> dict[str, Any]:
    return {"*/ei1": {"admin": "maint", "hold": {"resource": "haproxy:be_ei/ei1", "incident": incident}}}


def test_an_admitted_heal_takes_everything_at_once(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        result = journal.decide(question(), NOW)
        assert (result["admitted"], result["attempt"], result["epoch"], result["decision_id"]) == (True, 1, int(NOW), 1)
        leases = {item["resource"]: item["mode"] for item in journal.rows("SELECT * FROM leases")}
        assert leases == {"node:ei1": "exclusive", "slot:ei:0": "exclusive", "balancer:extlb1": "shared",
                          "balancer:extlb2": "shared"}  # fmt: skip
        attempt = journal.rows("SELECT * FROM attempts")[0]
        assert (attempt["incident"], attempt["outcome"], attempt["decision"]) == (result["incident"], None, 1)


def test_a_refusal_takes_nothing_and_is_written_down(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        result = journal.decide(question(ill={}), NOW)
        assert (result["admitted"], reasons(result), result["decision_id"]) == (False, ["not_ill"], 1)
        for table in ("leases", "attempts", "incidents"):
            assert journal.rows(f"SELECT * FROM {table}") == []


def test_check_mode_decides_the_same_and_stores_nothing(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        looked = journal.decide(question(), NOW, store=False)
        assert looked["admitted"]
        assert (looked["incident"], looked["epoch"]) == (None, None)
        for table in ("leases", "attempts", "incidents", "decisions", "readings", "policies"):
            assert journal.rows(f"SELECT * FROM {table}") == []
        acted = journal.decide(question(), NOW)
        assert looked["summary"] == acted["summary"]


def test_epochs_only_grow_even_when_the_clock_goes_back(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        epochs = []
        for place, now in enumerate((NOW, NOW - 5000, NOW + 10, NOW + 10)):
            result = journal.decide(question(policy={"ei": {"limits": {"max_attempts": 99}}}), now)
            assert result["admitted"], (place, result["summary"])
            epochs.append(result["epoch"])
            release(journal, result["incident"], result["epoch"], "undone", {}, now)
        assert epochs == sorted(set(epochs))
        assert epochs[0] == int(NOW)


@pytest.mark.parametrize(
    ("first", "second", "resource"),
    [
        (question("ei1"), question("ei1"), "node:ei1"),
        (question("ei1"), question("ei2"), "slot:ei:0"),
        (question("extlb1"), question("extlb1"), "node:extlb1"),
        (question("extlb1"), question("extlb2"), "pair:extlb"),
        (question("extlb1"), question("ei1"), "balancer:extlb1"),
        (question("ei1"), question("extlb2"), "balancer:extlb1"),
    ],
    ids=["same node", "two members", "same node of a pair", "both of a pair", "pair then pool", "pool then pair"],
)
def test_the_second_is_told_who_holds_what(tmp_path: Path, first: Any, second: Any, resource: str) -> None:
    with new(tmp_path) as journal:
        assert journal.decide(first, NOW)["admitted"]
        # Another user on another machine, a second later.
        result = journal.decide({**second, "owner": {**DESK, "machine_id": "m2", "user": "bert"}}, NOW + 1)
        assert not result["admitted"]
        assert "lease_taken" in reasons(result)
        told = " ".join(item["detail"] for item in result["refusals"] if item["reason"] == "lease_taken")
        assert resource in told
        assert "anna" in told


def ask(path: str, request: dict[str, Any], start: Any, answers: Any) -> None:
    start.wait()
    with Journal(path) as journal:
        result = journal.decide(request, NOW)
    answers.put((result["admitted"], reasons(result)))


@pytest.mark.parametrize("nodes", [("ei1", "ei1"), ("extlb1", "extlb2"), ("ei1", "ei2")], ids="-".join)
def test_of_two_processes_at_once_exactly_one_is_admitted(tmp_path: Path, nodes: tuple[str, str]) -> None:
    new(tmp_path).close()
    path = str(tmp_path / "journal.db")
    fork = multiprocessing.get_context("fork")
    for _ in range(5):
        start, answers = fork.Barrier(2), fork.Queue()
        processes = [fork.Process(target=ask, args=(path, question(node), start, answers)) for node in nodes]
        for process in processes:
            process.start()
        found = sorted(answers.get(timeout=60) for _ in processes)
        for process in processes:
            process.join(60)
        assert [admitted for admitted, _ in found] == [False, True]
        assert "lease_taken" in found[0][1]
        with Journal(path) as journal:
            mine = journal.rows("SELECT incident, epoch FROM attempts WHERE outcome IS NULL")
            assert len(mine) == 1
            release(journal, mine[0]["incident"], mine[0]["epoch"], "undone", {}, NOW)
            journal.db.execute("DELETE FROM attempts")


def test_a_run_killed_on_this_machine_is_taken_over_under_a_new_epoch(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        first = journal.decide(question(), NOW)
        extend(journal, first["incident"], first["epoch"], "restart", 60, NOW + 1)
        again = question(servers=hold_everywhere(first["incident"]))
        assert reasons(journal.decide(again, NOW + 2)) == ["lease_taken"]
        dead = {"incident": first["incident"], "epoch": first["epoch"]}
        second = journal.decide({**again, "dead": [dead]}, NOW + 3)
        assert (second["admitted"], second["incident"], second["attempt"]) == (True, first["incident"], 2)
        assert second["epoch"] > first["epoch"]
        assert second["resume"]["phase"] == "restart"
        assert [item["outcome"] for item in journal.rows("SELECT outcome FROM attempts ORDER BY attempt")] == [
            "interrupted",
            None,
        ]
        with pytest.raises(SelfhealError) as lost:
            extend(journal, first["incident"], first["epoch"], "verify", 60, NOW + 4)
        assert lost.value.reason == "lease_lost"


def test_nobody_proves_a_run_of_another_machine_dead(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        first = journal.decide(question(), NOW)
        dead = [{"incident": first["incident"], "epoch": first["epoch"]}]
        for owner in ({**DESK, "machine_id": "m2"}, {**DESK, "machine_id": ""}, {}):
            result = journal.decide({**question(owner=owner), "dead": dead}, NOW + 1)
            assert reasons(result) == ["lease_taken"]
        # It ends by expiry.
        later = first["expires_at"] + 1
        seen = question()
        seen["snapshot"]["verdicts"]["ei1"] = farm.verdict("ei1", "resource", later)
        assert journal.decide(seen, later)["admitted"]


def test_a_dead_run_of_another_node_loses_all_its_leases_at_once(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        first = journal.decide(question("extlb1"), NOW)
        dead = [{"incident": first["incident"], "epoch": first["epoch"]}]
        assert journal.decide({**question("ei1"), "dead": dead}, NOW + 1)["admitted"]
        assert journal.rows("SELECT * FROM leases WHERE incident = ?", first["incident"]) == []


def test_a_node_left_out_keeps_its_slot_until_it_serves_again(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        first = journal.decide(question("ei3"), NOW)
        release(journal, first["incident"], first["epoch"], "left_out", {}, NOW + 10)
        assert [item["resource"] for item in journal.rows("SELECT resource FROM leases")] == ["slot:ei:0"]
        held = {"*/ei3": {"admin": "maint", "hold": {"resource": "haproxy:be_ei/ei3", "incident": first["incident"]}}}
        later = NOW + 90000
        assert "lease_taken" in reasons(journal.decide(question("ei1", servers=held), later))
        result = journal.decide(question("ei1"), later)
        assert (result["admitted"], result["closes"]) == (True, [first["incident"]])
        closed = journal.rows("SELECT state, outcome FROM incidents WHERE id = ?", first["incident"])
        assert closed == [{"state": "closed", "outcome": "returned_by_hand"}]


def test_what_a_person_has_taken_is_not_closed_as_returned(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        first = journal.decide(question("ei3"), NOW)
        set_flag(journal, "taken:" + first["incident"], True, "anna", NOW + 5)
        release(journal, first["incident"], first["epoch"], "undone", {}, NOW + 10)
        other = question("extlb1", ill={"extlb1": "resource", "ei3": "service"})
        assert journal.decide(other, NOW + 20)["admitted"]
        found = journal.rows("SELECT state, outcome FROM incidents WHERE id = ?", first["incident"])
        assert found == [{"state": "open", "outcome": "undone"}]
        assert journal.flag("taken:" + first["incident"])


def test_attempts_are_reserved_before_acting_and_success_does_not_reset(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        request = question(policy={"ei": {"limits": {"max_attempts": 2}}})
        for place in range(2):
            result = journal.decide(request, NOW + place)
            release(journal, result["incident"], result["epoch"], "healed", {}, NOW + place)
            request["snapshot"]["verdicts"]["ei1"]["readings"][0]["at"] = NOW + place + 0.5
        assert reasons(journal.decide(request, NOW + 10)) == ["attempts_exhausted"]


def test_a_new_journal_is_in_observe(tmp_path: Path) -> None:
    with new(tmp_path, initialised=False) as journal:
        assert reasons(journal.decide(question(), NOW)) == ["mode_observe"]


def test_pause_is_seen(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        set_flag(journal, "paused", True, "anna", NOW)
        assert reasons(journal.decide(question(), NOW)) == ["paused"]
        set_flag(journal, "paused", False, "anna", NOW)
        assert journal.decide(question(), NOW)["admitted"]


def test_an_incident_of_another_node_or_a_bad_id_is_refused(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        first = journal.decide({**question("ei1"), "incident": "mine-1"}, NOW)
        assert first["incident"] == "mine-1"
        for bad, node in (("mine-1", "extlb1"), ("../etc", "extlb1"), ("other", "ei1")):
            with pytest.raises(SelfhealError) as refused:
                journal.decide({**question(node), "incident": bad}, NOW + 1)
            assert refused.value.reason == "unknown_incident"
        release(journal, "mine-1", first["epoch"], "healed", {}, NOW + 2)
        with pytest.raises(SelfhealError):
            journal.decide({**question("ei1"), "incident": "mine-1"}, NOW + 3)


def test_every_stored_decision_replays_the_same(tmp_path: Path) -> None:
    """Invariant 14, over every case file and a life of heals, in an order that no one chose."""
    with new(tmp_path) as journal:
        cases = [load(path) for path in CASES]
        random.Random(1).shuffle(cases)
        for place, case in enumerate(cases):
            seen, policies, _, _ = farm.farm(case)
            result = journal.decide({"snapshot": seen, "policies": policies, "owner": DESK}, NOW + place * 5)
            if result["admitted"] and place % 3:
                outcome = ("healed", "left_out", "undone", "ambiguous")[place % 4]
                release(journal, result["incident"], result["epoch"], outcome, {}, NOW + place * 5 + 3)
        replays = replay(journal, None, 1000)
        assert len(replays) == len(cases)
        assert [item for item in replays if not item["same"]] == []
        assert {bool(item["admitted"]) for item in overview(journal, NOW, None, 1000, False)["decisions"]} == {
            True,
            False,
        }


def test_a_changed_decision_is_found_by_its_hash(tmp_path: Path) -> None:
    import gzip
    import json

    with new(tmp_path) as journal:
        journal.decide(question(), NOW)
        body = json.loads(gzip.decompress(journal.rows("SELECT body FROM decisions")[0]["body"]))
        body["snapshot"]["verdicts"]["ei1"]["reasons"] = ["nothing"]
        body["plan"]["reasons"] = ["nothing"]
        journal.db.execute("UPDATE decisions SET body = ?", (gzip.compress(json.dumps(body).encode()),))
        found = replay(journal, None, 10)[0]
        assert (found["same"], found["intact"]) == (False, False)


def test_the_index_forbids_what_the_planner_would_let_through(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        first = journal.decide(question("ei1"), NOW)
        row = "INSERT INTO leases VALUES ('node:ei1', ?, 1, 'exclusive', 9e9, 'confirm', '{}')"
        journal.db.execute("INSERT INTO incidents VALUES ('x', 'ei1', 'ei', 'open', 1, NULL, NULL, '[]', NULL, 0)")
        with pytest.raises(sqlite3.IntegrityError):
            journal.db.execute(row, ("x",))
        assert first["admitted"]
