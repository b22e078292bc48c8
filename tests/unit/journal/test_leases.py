# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Leases after the decision: extension, expiry, the words that stop a heal, outcomes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_lease import SPEC, answer
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_plan_owner import dead_runs, whoami
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import (
    acknowledge,
    extend,
    release,
    set_flag,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_words import SPEC as WORDS
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_words import say
from tests.unit.journal.helpers import NOW, new, question, reasons


def test_each_phase_extends_to_its_deadline_and_a_margin(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        result = extend(journal, heal["incident"], heal["epoch"], "restart", 60, NOW + 10)
        assert result == {
            "held": True,
            "stop": "",
            "epoch": heal["epoch"],
            "deadline": NOW + 100,
            "node": "ei1",
            "attempt": 1,
        }
        assert {item["expires_at"] for item in journal.rows("SELECT expires_at FROM leases")} == {NOW + 100}
        assert journal.rows("SELECT phase, phase_at FROM attempts") == [{"phase": "restart", "phase_at": NOW + 10}]


def test_no_phase_makes_the_lease_shorter(tmp_path: Path) -> None:
    """Hanging requests ran out for a minute while the phase asked for 5 s: its leases must not be free meanwhile."""
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        first = extend(journal, heal["incident"], heal["epoch"], "evidence", 5, NOW + 1)
        assert first["deadline"] == heal["expires_at"] > NOW + 61
        assert {item["expires_at"] for item in journal.rows("SELECT expires_at FROM leases")} == {heal["expires_at"]}
        second = extend(journal, heal["incident"], heal["epoch"], "restart", 60, NOW + 61)
        assert (second["held"], second["deadline"]) == (True, NOW + 151)


def test_a_run_that_slept_past_its_lease_is_told_so(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        with pytest.raises(SelfhealError) as lost:
            extend(journal, heal["incident"], heal["epoch"], "restart", 60, heal["expires_at"])
        assert lost.value.reason == "lease_lost"


def test_an_older_epoch_is_told_that_it_lost(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        for epoch in (heal["epoch"] - 1, heal["epoch"] + 1):
            with pytest.raises(SelfhealError) as lost:
                extend(journal, heal["incident"], epoch, "restart", 60, NOW + 1)
            assert lost.value.reason == "lease_lost"


@pytest.mark.parametrize("phase", ["shift", "restart"])
@pytest.mark.parametrize(("flag", "word"), [("paused", "pause"), ("abort:I", "abort")])
def test_pause_and_abort_stop_a_heal_that_has_not_restarted(tmp_path: Path, phase: str, flag: str, word: str) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide({**question(), "incident": "I"}, NOW)
        set_flag(journal, flag, True, "anna", NOW)
        result = extend(journal, "I", heal["epoch"], phase, 60, NOW + 1)
        assert (result["held"], result["stop"]) == (True, word)
        assert extend(journal, "I", heal["epoch"], "readmit", 60, NOW + 1)["stop"] == ""


def test_a_storm_that_was_refused_since_stops_a_heal(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        assert extend(journal, heal["incident"], heal["epoch"], "restart", 60, NOW + 1)["stop"] == ""
        other = journal.decide(question("ei2", ill={"ei1": "resource", "ei2": "resource"}), NOW + 2)
        assert "storm" in reasons(other)
        assert extend(journal, heal["incident"], heal["epoch"], "restart", 60, NOW + 3)["stop"] == "storm"
        assert extend(journal, heal["incident"], heal["epoch"], "restart", 60, NOW + 63)["stop"] == ""


@pytest.mark.parametrize(("others", "word"), [
    ({"extlb1": "resource"}, ""), ({"extlb1": "resource", "extlb2": "resource"}, "storm"),
])  # fmt: skip
def test_a_storm_of_other_layers_that_was_refused_since_stops_a_heal(
    tmp_path: Path, others: dict[str, str], word: str
) -> None:
    """The farm's own mark: three nodes at once, whatever their layers. One of another layer is no storm."""
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        for place, node in enumerate(others):
            later = journal.decide(question(node, ill={"ei1": "resource", **others}), NOW + 2 + place)
            assert ("storm" in reasons(later)) is bool(word)
        assert extend(journal, heal["incident"], heal["epoch"], "restart", 60, NOW + 9)["stop"] == word


def test_one_heal_after_the_other_is_no_storm(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        first = journal.decide(question("ei1"), NOW)
        release(journal, first["incident"], first["epoch"], "healed", {}, NOW + 10)
        second = journal.decide(question("ei2"), NOW + 11)
        assert extend(journal, second["incident"], second["epoch"], "restart", 60, NOW + 12)["stop"] == ""


@pytest.mark.parametrize("outcome", ["healed", "undone", "refused"])
def test_a_settled_outcome_closes_the_incident(tmp_path: Path, outcome: str) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        release(journal, heal["incident"], heal["epoch"], outcome, {"traffic_safe_at": NOW + 1}, NOW + 9)
        assert journal.rows("SELECT * FROM leases") == []
        assert journal.rows("SELECT state, outcome FROM incidents") == [{"state": "closed", "outcome": outcome}]


@pytest.mark.parametrize("outcome", ["left_out", "failed", "ambiguous"])
def test_an_unsettled_outcome_keeps_incident_and_slot(tmp_path: Path, outcome: str) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        release(journal, heal["incident"], heal["epoch"], outcome, None, NOW + 9)
        assert [item["resource"] for item in journal.rows("SELECT resource FROM leases")] == ["slot:ei:0"]
        assert journal.rows("SELECT state, outcome FROM incidents") == [{"state": "open", "outcome": outcome}]


def test_an_outcome_is_written_once_and_also_when_late(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        release(journal, heal["incident"], heal["epoch"], "healed", {}, heal["expires_at"] + 5)
        with pytest.raises(SelfhealError) as twice:
            release(journal, heal["incident"], heal["epoch"], "failed", {}, NOW + 9)
        assert twice.value.reason == "lease_lost"


def test_acknowledging_frees_what_an_unknown_end_blocks(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        with pytest.raises(SelfhealError):
            acknowledge(journal, heal["incident"], "anna", NOW + 1)
        release(journal, heal["incident"], heal["epoch"], "ambiguous", {}, NOW + 2)
        assert reasons(journal.decide(question(), NOW + 3)) == ["ambiguous_outcome"]
        assert acknowledge(journal, heal["incident"], "anna", NOW + 4)
        assert not acknowledge(journal, heal["incident"], "anna", NOW + 5)
        assert journal.decide(question(), NOW + 6)["admitted"]


def words(path: Path, **said: Any) -> dict[str, Any]:
    return {**{name: spec.get("default") for name, spec in WORDS.items()}, "path": str(path), **said}


def test_words_of_a_person_are_idempotent_and_foreseen_in_check_mode(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    assert say(words(path), NOW, True) == (True, ["created"])
    assert not path.exists()
    assert say(words(path), NOW, False) == (True, ["created", "initialised"])
    assert say(words(path), NOW, False) == (False, [])
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert say(words(path, paused=True), NOW, True)[1] == ["paused"]
    assert say(words(path, paused=True), NOW, False)[1] == ["paused"]
    assert say(words(path, paused=True), NOW, False)[1] == []
    with pytest.raises(SelfhealError):
        say(words(path, abort="nobody"), NOW, False)


def test_a_pinned_policy_refuses_another_one_and_names_the_difference(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        request = question()
        say(words(tmp_path / "journal.db", policies=request["policies"]), NOW, False)
        assert journal.decide(request, NOW)["admitted"]
        other = question("ei2", policy={"ei": {"service": "other.service"}})
        result = journal.decide(other, NOW + 200)
        assert "policy_changed" in reasons(result)
        assert any("service" in item["detail"] for item in result["refusals"])


def test_pins_of_layers_that_are_gone_go_where_all_are_given(tmp_path: Path) -> None:
    """A layer that has left the inventory would be watched for ever, and each of its nodes be missing in Nagios."""
    path = tmp_path / "journal.db"
    with new(tmp_path) as journal:
        policies = question()["policies"]
        say(words(path, policies=policies), NOW, False)
        pinned = "SELECT layer FROM policies WHERE pinned = 1 ORDER BY layer"
        only = {"ei": policies["ei"]}
        assert say(words(path, policies=only), NOW, False)[1] == []
        assert [row["layer"] for row in journal.rows(pinned)] == ["ei", "extlb"]
        said = ["policy of layer extlb not pinned any more"]
        assert say(words(path, policies=only, policies_whole=True), NOW, True)[1] == said
        assert [row["layer"] for row in journal.rows(pinned)] == ["ei", "extlb"], "check mode"
        assert say(words(path, policies=only, policies_whole=True), NOW, False)[1] == said
        assert [row["layer"] for row in journal.rows(pinned)] == ["ei"]
        assert say(words(path, policies=only, policies_whole=True), NOW, False)[1] == []
        say(words(path, policies_whole=True), NOW, False)
        assert journal.rows(pinned) == []


def parameters(tmp_path: Path, heal: dict[str, Any], **changes: Any) -> dict[str, Any]:
    found = {name: spec.get("default") for name, spec in SPEC.items()}
    found.update(incident=heal["incident"], epoch=heal["epoch"], journal=str(tmp_path / "journal.db"), downtime=True)
    found.update(command_file=str(tmp_path / "nagios.cmd"), phase="evidence", **changes)
    return found


def test_nagios_is_told_about_our_downtime_and_its_end(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
    pipe = str(tmp_path / "nagios.cmd")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert answer(parameters(tmp_path, heal), NOW + 1, True)["held"]
        assert os.read(reader, 9) == b"", "check mode wrote to Nagios"
        begun = answer(parameters(tmp_path, heal), NOW + 1, False)
        assert begun["nagios"] == {"written": True, "message": ""}
        told = os.read(reader, 9999).decode()
        assert "SCHEDULE_HOST_SVC_DOWNTIME;ei1;" in told
        assert f"selfheal:{heal['incident']}" in told
        answer(parameters(tmp_path, heal, state="released", outcome="healed"), NOW + 9, False)
        assert "DEL_DOWNTIME_BY_START_TIME_COMMENT" in os.read(reader, 9999).decode()
    finally:
        os.close(reader)


def test_a_nagios_that_cannot_be_told_never_fails_a_heal(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
    result = answer(parameters(tmp_path, heal), NOW + 1, False)
    assert result["held"]
    assert not result["nagios"]["written"]
    assert "nagios.cmd" in result["nagios"]["message"]


def test_only_a_process_that_is_really_gone_is_dead() -> None:
    me = whoami(os.getpid())
    alive = {"incident": "a", "epoch": 1, "owner": me}
    reused = {"incident": "b", "epoch": 2, "owner": {**me, "started": (me["started"] or 0) - 1}}
    child = os.fork()
    if child == 0:
        os._exit(0)
    zombie = {"incident": "c", "epoch": 3, "owner": whoami(child)}
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert dead_runs([alive, reused, zombie], me) == [{"incident": "b", "epoch": 2}, {"incident": "c", "epoch": 3}]
    os.waitpid(child, 0)
    assert {"incident": "c", "epoch": 3} in dead_runs([zombie], me)
    rebooted = {"incident": "d", "epoch": 4, "owner": {**me, "boot_id": "before"}}
    assert dead_runs([rebooted], me) == [{"incident": "d", "epoch": 4}]


@pytest.mark.parametrize(
    ("said", "dead"), [(None, False), (PermissionError(), False), (OSError(), False), (ProcessLookupError(), True)]
)
def test_a_process_that_proc_hides_is_dead_only_if_the_kernel_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: OSError | None, dead: bool
) -> None:
    """Mounted with hidepid=2, /proc shows nothing of a run that another user has begun."""
    me = whoami(os.getpid())
    holders = [{"incident": "a", "epoch": 1, "owner": {**me, "pid": 4711}}]
    asked: list[tuple[int, int]] = []

    def kill(pid: int, signal: int) -> None:
        asked.append((pid, signal))
        if said:
            raise said

    monkeypatch.setattr(os, "kill", kill)
    assert bool(dead_runs(holders, me, str(tmp_path))) is dead
    assert asked == [(4711, 0)], "it is only asked, never sent a signal"


def test_a_living_process_that_proc_hides_keeps_its_leases(tmp_path: Path) -> None:
    me = whoami(os.getpid())
    assert dead_runs([{"incident": "a", "epoch": 1, "owner": me}], me, str(tmp_path)) == []


@pytest.mark.parametrize(
    "other",
    [{"machine_id": "other"}, {"pid_namespace": "pid:[1]"}, {"started": None}, {"pid": None}, {"boot_id": ""}],
    ids=lambda other: next(iter(other)),
)
def test_what_cannot_be_proven_is_not_dead(other: dict[str, Any]) -> None:
    me = whoami(os.getpid())
    gone = {**me, "pid": 2**22 + 5, **other}
    assert dead_runs([{"incident": "a", "epoch": 1, "owner": gone}], me) == []
