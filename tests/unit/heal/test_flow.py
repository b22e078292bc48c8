# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What every heal does: admission, refusal, check mode, the end, and what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_flow as flow
from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_report as report
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_target import NOBODY

from .farm import LOST, NOW, OK, acting, begun, failed, plan_of, play, pool_heal, refused

BOTH = {"lb1": OK, "lb2": OK}


def planned(answer: dict[str, Any]) -> dict[str, Any]:
    return flow.advance(begun(), "plan", {"plan": {"localhost": answer}}, NOW)


@pytest.mark.parametrize("answer", [LOST, failed("no python"), refused("policy"), {}])
def test_without_a_decision_nobody_acts(answer: dict[str, Any]) -> None:
    state = planned(answer)
    assert state["status"] == "refused"
    assert set(state["run"].values()) == {NOBODY}
    assert report.exit_message(state)


def test_a_journal_that_is_not_reached_is_called_by_its_reason() -> None:
    assert planned(LOST)["refusals"][0]["reason"] == "no_journal"


def test_a_refusal_is_told_with_all_its_reasons_and_nobody_acts() -> None:
    refusals = [{"reason": "below_minimum", "detail": "2 of 3"}, {"reason": "paused", "detail": "by a human"}]
    state = planned(plan_of(admitted=False, refusals=refusals))
    assert set(state["run"].values()) == {NOBODY}
    assert "below_minimum" in report.exit_message(state)
    assert "paused" in report.exit_message(state)


def test_check_mode_says_what_would_be_done_and_does_nothing_to_the_end() -> None:
    state = flow.advance(
        begun(), "plan", {"plan": {"localhost": plan_of(check_mode=True, would=["shift: x"])}, "members": {}}, NOW
    )
    assert state["status"] == "checked"
    for step in flow.STEPS[1:]:
        state = flow.advance(state, step, {step: {}}, NOW)
        assert set(state["run"].values()) == {NOBODY}
    assert state["status"] == "checked"
    assert report.exit_message(state) == ""
    assert "would: shift: x" in "\n".join(report.lines(begun(), state, "plan"))


def test_an_unknown_strategy_or_step_is_an_error_not_a_guess() -> None:
    with pytest.raises(SelfhealError):
        flow.advance(begun(), "plan", {"plan": {"localhost": plan_of(strategy="pull_the_plug")}, "members": {}}, NOW)
    with pytest.raises(SelfhealError):
        flow.advance(begun(), "dance", {}, NOW)


def test_a_step_whose_play_had_no_hosts_changes_nothing() -> None:
    state = play(pool_heal(), "shift", {"lb1": OK, "lb2": refused("human_hold")})
    for step in ("drain", "restart", "verify", "look", "pay", "readmit", "soak", "again"):
        assert flow.advance(state, step, {step: {}}, NOW) == state
    assert acting(state) == {"undo": ["lb1"]}


def test_a_step_that_breaks_down_leaves_the_plays_after_it_without_hosts() -> None:
    """Undoing is lost then, but nothing acts on old decisions; the hold's deadline calls a human."""
    state = play(pool_heal(), "shift", BOTH)
    assert state["run"]["restart_and_store"] == NOBODY
    assert state["run"]["readmit_and_lease"] == NOBODY


def test_the_state_that_goes_in_is_not_changed() -> None:
    state = pool_heal()
    before = json.dumps(state, sort_keys=True)
    play(state, "shift", BOTH)
    assert json.dumps(state, sort_keys=True) == before


def test_an_outcome_that_cannot_be_written_is_told_and_stays_the_outcome() -> None:
    state = play(pool_heal(), "shift", {"lb1": refused("human_hold"), "lb2": refused("human_hold")})
    state = play(state, "release", {"monitor": LOST})
    assert state["status"] == "undone"
    assert any("not in the journal" in text for text in state["problems"])


def test_a_heal_without_an_outcome_failed() -> None:
    state = play(pool_heal(), "release", {"monitor": OK})
    assert state["status"] == "failed"
    assert report.exit_message(state)


def test_the_hold_outlives_all_phases() -> None:
    state = pool_heal()
    assert state["hold_seconds"] > sum(state["deadlines"].values())


def test_balancers_that_owe_a_hold_are_named() -> None:
    state = pool_heal(skipped_balancers=["lb3"])
    assert any("lb3" in text for text in state["problems"])


def test_the_result_file_is_whole_and_holds_no_inner_business(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old", encoding="ascii")
    report.write(str(path), report.result(pool_heal()))
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["incident"] == "i1"
    assert "run" not in content
    assert list(tmp_path.iterdir()) == [path]


def test_progress_is_one_line_per_phase() -> None:
    before = pool_heal()
    after = play(before, "shift", BOTH)
    lines = report.lines(before, after, "shift")
    assert len(lines) == 1
    assert "shift" in lines[0]
    assert "ei1 gets no new request" in lines[0]


def test_times_are_those_of_the_targets_if_they_are_plausible() -> None:
    good = play(pool_heal(), "shift", {"lb1": {**OK, "at": NOW + 0.4}, "lb2": {**OK, "at": NOW + 0.2}})
    assert good["traffic_safe_at"] == NOW + 0.4
    wrong = play(pool_heal(), "shift", {"lb1": {**OK, "at": NOW + 9999}, "lb2": OK})
    assert wrong["traffic_safe_at"] < NOW + 9999


def test_every_remote_task_of_the_heal_ignores_an_unreachable_host() -> None:
    """An unreachable host in a delegated task takes localhost out of the play, without rescue or always."""
    root = Path(__file__).resolve().parents[3]
    _check_tasks(root / "playbooks/heal.yml")


@pytest.mark.parametrize("role", ["lb_detach", "keepalived_failover", "node_evidence", "journal_host"])
def test_every_task_of_the_remediation_roles_ignores_an_unreachable_host(role: str) -> None:
    root = Path(__file__).resolve().parents[3]
    files = sorted((root / "roles" / role / "tasks").glob("*.yml"))
    assert files
    for path in files:
        _check_tasks(path)


def test_every_downtime_goes_to_the_pipe_of_the_inventory() -> None:
    root = Path(__file__).resolve().parents[3]
    paths = ("playbooks/heal.yml", "roles/journal_host/tasks/lease.yml")
    both = [(root / path).read_text(encoding="utf-8") for path in paths]
    tasks = [text for each in both for text in each.split("- name:") if " downtime:" in text]
    assert len(tasks) == 2 and all("heal_lease:" in text and "command_file:" in text for text in tasks)


LOCAL = ("selfheal.cluster.heal_step", "selfheal.cluster.heal_target", "ansible.builtin.fail",
         "ansible.builtin.include_role")  # fmt: skip


def _check_tasks(path: Path) -> None:
    import yaml

    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    tasks = [task for item in content for task in item.get("tasks", [item])]
    assert tasks
    for task in tasks:
        if any(name in task for name in LOCAL):
            assert "delegate_to" not in task, task["name"]
            continue
        assert task.get("ignore_unreachable") is True, f"{path}: {task['name']}"
        assert task.get("ignore_errors") is True, f"{path}: {task['name']}"
        assert "register" in task, f"{path}: {task['name']}"
        assert "timeout" in task, f"{path}: {task['name']}"
