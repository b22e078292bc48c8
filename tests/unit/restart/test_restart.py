# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One restart against a pretended systemd: what is refused, what is done once, what happens when it dies half-way."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.selfheal.cluster.plugins.action import node_evidence as evidence_plugin
from ansible_collections.selfheal.cluster.plugins.action import node_restart as action_plugin
from ansible_collections.selfheal.cluster.plugins.action.node_restart import aged
from ansible_collections.selfheal.cluster.plugins.module_utils import _restart
from ansible_collections.selfheal.cluster.plugins.module_utils import _restart_checks as checks
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_state import verdict
from ansible_collections.selfheal.cluster.plugins.module_utils._restart_spec import ARGUMENTS
from ansible_collections.selfheal.cluster.plugins.modules.node_restart import perform
from ansible_collections.selfheal.cluster.plugins.plugin_utils._urgent import FIRST


class Systemd:
    """Knows one unit; a restart takes ``steps`` looks."""

    def __init__(self, steps: int = 1, hangs: bool = False, fails: bool = False) -> None:
        self.invocation, self.state = 1, "active"
        self.steps, self.hangs, self.fails = steps, hangs, fails
        self.looks = -1
        self.calls: list[list[str]] = []

    def __call__(self, argv: list[str]) -> str:
        self.calls.append(argv)
        if argv[:2] == ["systemctl", "restart"]:
            self.state, self.looks = "deactivating", 0
        elif argv[:2] == ["systemctl", "kill"]:
            self.hangs = False
        elif argv[:2] == ["systemctl", "show"]:
            self._look()
            return (
                f"LoadState=loaded\nActiveState={self.state}\nMainPID={100 + self.invocation}\n"
                f"InvocationID=inv{self.invocation}\nResult=exit-code\nJob=\n"
            )
        return ""

    def _look(self) -> None:
        if self.looks < 0 or self.hangs:
            return
        self.looks += 1
        if self.looks > self.steps:
            self.invocation += 1
            self.state, self.looks = ("failed" if self.fails else "active"), -1

    def did(self, *words: str) -> int:
        return sum(1 for call in self.calls if call[: len(words)] == list(words))


def params(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    values = {name: spec.get("default") for name, spec in ARGUMENTS.items()}
    values.update(
        service="ei.service", incident="i1", epoch=5, state_dir=str(tmp_path), timeout=3.0, stop_timeout=0.0,
        witnesses=[{"balancer": "lb1", "out": True, "age_seconds": 1.0}],
    )  # fmt: skip
    values.update(changes)
    return values


@pytest.fixture(autouse=True)
def _healthy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "disk", lambda root: None)
    monkeypatch.setattr(_restart, "POLL", 0.0)


def once(tmp_path: Path, systemd: Systemd, check: bool = False, **changes: Any) -> dict[str, Any]:
    return perform(_restart.Restart(params(tmp_path, **changes), systemd), check)


def test_a_restart_is_one_command_and_another_invocation(tmp_path: Path) -> None:
    systemd = Systemd()
    result = once(tmp_path, systemd)
    assert result["restarted"]
    assert result["changed"]
    assert systemd.did("systemctl", "restart", "--no-block") == 1
    assert result["before"]["pid"] != result["after"]["pid"]
    assert set(result["phases"]) == {"preflight_seconds", "restart_seconds", "answer_seconds"}


def test_check_mode_refuses_like_the_act_and_restarts_nothing(tmp_path: Path) -> None:
    systemd = Systemd()
    result = once(tmp_path, systemd, check=True)
    assert result["changed"]
    assert not result["restarted"]
    assert systemd.did("systemctl", "restart") == 0
    assert once(tmp_path, systemd, check=True, witnesses=[])["reason"] == "not_out_of_traffic"


@pytest.mark.parametrize(("told", "reason"), [("m1", None), ("", None), ("m2", "wrong_machine")])
def test_only_the_machine_that_was_drained_is_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, reason: str | None
) -> None:
    monkeypatch.setattr(checks, "machine_id", lambda _forbidden, _root: "m1")
    systemd = Systemd()
    for kind in ("reboot", "service"):
        result = once(tmp_path, systemd, check=kind == "reboot", kind=kind, machine_id=told)
        assert (result.get("reason"), result["restarted"]) == (reason, reason is None and kind == "service")
    assert systemd.did("systemctl", "restart") == (0 if reason else 1)


def test_an_older_epoch_is_refused_after_a_younger_one_acted(tmp_path: Path) -> None:
    systemd = Systemd()
    once(tmp_path, systemd, epoch=9, incident="young")
    result = once(tmp_path, systemd, epoch=8, incident="old")
    assert result["reason"] == "stale_epoch"
    assert not result["restarted"]
    assert systemd.did("systemctl", "restart") == 1


def test_the_same_incident_never_restarts_twice(tmp_path: Path) -> None:
    """Invariant 11: an interrupted heal is rolled forward from what the node shows."""
    systemd = Systemd()
    once(tmp_path, systemd)
    result = once(tmp_path, systemd, epoch=6, witnesses=[])
    assert result["restarted"]
    assert not result["changed"]
    assert systemd.did("systemctl", "restart") == 1


def test_a_record_without_its_restart_does_not_count(tmp_path: Path) -> None:
    """The process died between the record and the command: the invocation is still the old one."""
    systemd = Systemd()
    restart = _restart.Restart(params(tmp_path), systemd)
    restart._remember(restart.show())
    assert not restart.done_before(restart.show())
    assert once(tmp_path, systemd)["changed"]


def test_another_incident_restarts_again(tmp_path: Path) -> None:
    systemd = Systemd()
    once(tmp_path, systemd)
    once(tmp_path, systemd, incident="i2", epoch=7)
    assert systemd.did("systemctl", "restart") == 2


def test_an_unreadable_record_counts_as_none(tmp_path: Path) -> None:
    systemd = Systemd()
    restart = _restart.Restart(params(tmp_path), systemd)
    Path(restart.record_path()).parent.mkdir(parents=True)
    Path(restart.record_path()).write_text("{", encoding="ascii")
    assert restart.record() == {}


def test_a_service_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    systemd = Systemd(hangs=True)
    assert once(tmp_path, systemd)["restarted"]
    assert systemd.did("systemctl", "kill", "--signal=KILL") == 1


def test_a_service_that_stops_by_itself_is_not_killed(tmp_path: Path) -> None:
    systemd = Systemd(steps=3)
    once(tmp_path, systemd, stop_timeout=60.0)
    assert systemd.did("systemctl", "kill") == 0


def test_a_failed_start_says_that_it_was_restarted(tmp_path: Path) -> None:
    result = once(tmp_path, Systemd(fails=True))
    assert result["failed"]
    assert result["restarted"]
    assert result["reason"] == "start_failed"


def test_a_start_that_never_ends_is_given_up(tmp_path: Path) -> None:
    result = once(tmp_path, Systemd(steps=10**9), timeout=0.05, stop_timeout=60.0)
    assert result["reason"] == "start_timeout"
    assert result["restarted"]


def test_a_service_that_does_not_answer_is_not_called_restarted_well(tmp_path: Path) -> None:
    result = once(tmp_path, Systemd(), health_port=1, timeout=0.05, stop_timeout=60.0)
    assert result["failed"]
    assert result["restarted"]
    assert result["reason"] == "no_answer"


def test_a_failed_unit_is_reset_so_that_its_start_limit_cannot_say_no(tmp_path: Path) -> None:
    systemd = Systemd()
    systemd.state = "failed"
    once(tmp_path, systemd)
    assert systemd.did("systemctl", "reset-failed") == 1


def test_a_reboot_is_one_command_and_proven_by_the_boot_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd = Systemd()
    result = once(tmp_path, systemd, kind="reboot")
    assert result["rebooting"]
    assert systemd.did("systemctl", "reboot") == 1
    record = next((tmp_path / "restarts").iterdir())
    content = json.loads(record.read_text(encoding="ascii"))
    record.write_text(json.dumps({**content, "boot_id": "the boot before"}), encoding="ascii")
    assert once(tmp_path, systemd, kind="reboot", witnesses=[])["restarted"]
    assert systemd.did("systemctl", "reboot") == 1


ASK_AGAIN = {"failed": True, "reason": "connections_open", "restarted": False, "msg": "open", "half_open_at": 77.5}


def test_a_node_that_asks_how_old_the_word_is_gets_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    action = plugin(monkeypatch, [ASK_AGAIN, {"changed": True, "restarted": True}], sent)
    witnesses = [{"balancer": "lb1", "out": True, "at": 100.0, "since": 98.0, "ends": [], "asked_seconds": None}]
    monkeypatch.setattr(action_plugin.time, "time", iter([101.0, 104.0]).__next__)
    assert action._ask(params(Path("/x"), witnesses=witnesses), None)["restarted"]
    assert [(one.get("heard_uptime"), one["witnesses"][0]["asked_seconds"]) for one in sent] == [
        (None, 3.0),
        (77.5, 6.0),
    ]


@pytest.mark.parametrize("name", ["node_restart", "node_evidence"])
def test_what_acts_on_the_ill_node_goes_before_what_made_it_ill(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    action = plugin(monkeypatch, [])
    shell = action._connection._shell
    ran: list[str] = []

    def execute(**_named: Any) -> dict[str, Any]:
        ran.append(shell.build_module_command("", "", "/m.py"))
        return {"restarted": True}

    if name == "node_evidence":
        action = object.__new__(evidence_plugin.ActionModule)
        action._connection = SimpleNamespace(_shell=shell)
        action._task = SimpleNamespace(args={})
        monkeypatch.setattr(ActionBase, "run", lambda *_given: {})
    monkeypatch.setattr(action, "_execute_module", execute, raising=False)
    action.run(None, {}) if name == "node_evidence" else action._ask(params(Path("/x")), None)
    assert ran == [FIRST]
    assert shell.build_module_command("", "", "/m.py") == ""


def test_a_node_that_refuses_for_it_again_is_not_asked_a_third_time(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    answer = plugin(monkeypatch, [ASK_AGAIN, ASK_AGAIN], sent)._ask(params(Path("/x")), None)
    assert (verdict(answer), len(sent)) == ("refused", 2)


LOST = AnsibleConnectionFailure("broken pipe")
MUTE = {"failed": True, "reason": "not_restartable", "restarted": False, "msg": "systemctl show did not end in 20 s"}


def plugin(monkeypatch: pytest.MonkeyPatch, answers: list[Any], sent: list[dict[str, Any]] | None = None) -> Any:
    """The action plugin on a connection that answers so; the arguments of each call go to ``sent``."""

    def execute(*, module_args: dict[str, Any], **_named: Any) -> dict[str, Any]:
        answer = answers.pop(0)
        (sent if sent is not None else []).append(module_args)
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    monkeypatch.setattr(action_plugin, "PAUSE", 0.0)
    monkeypatch.setattr(action_plugin, "BOOT_POLL", 0.0)
    action = object.__new__(action_plugin.ActionModule)
    shell = SimpleNamespace(build_module_command=lambda *_given: "")
    action._connection = SimpleNamespace(reset=lambda: None, _shell=shell)
    monkeypatch.setattr(action, "_execute_module", execute, raising=False)
    return action


@pytest.mark.parametrize(
    ("answers", "becomes"),
    [
        pytest.param([MUTE], "refused", id="nothing was done"),
        pytest.param([LOST, MUTE], "failed", id="the lost call may have restarted it"),
        pytest.param([LOST, LOST, {**MUTE, "reason": "witness_stale"}], "failed", id="whatever it refuses for"),
        pytest.param([LOST, {"changed": False, "restarted": True}], "ok", id="the lost call did"),
        pytest.param([ASK_AGAIN, LOST, MUTE], "failed", id="the second call, which was lost, may have"),
        pytest.param([LOST, {**MUTE, "reason": "no_answer", "restarted": True}], "refused", id="and it is mute"),
    ],
)
def test_after_a_lost_connection_no_refusal_proves_that_nothing_was_restarted(
    monkeypatch: pytest.MonkeyPatch, answers: list[Any], becomes: str
) -> None:
    last = answers[-1]
    answer = plugin(monkeypatch, list(answers))._ask(params(Path("/x")), None)
    assert verdict(answer) == becomes
    assert last.get("msg", "") in answer.get("msg", "")
    assert bool(answer.get("restarted")) is bool(last.get("restarted"))


def test_a_machine_that_came_back_with_another_boot_id_was_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    action = plugin(monkeypatch, [MUTE])
    said = {"rc": 0, "stdout": "new\n"}
    monkeypatch.setattr(action, "_low_level_execute_command", lambda *_given, **_named: said, raising=False)
    begun = {"rebooting": True, "restarted": True, "boot_id_before": "old", "half_open": ["10.0.0.11:40"]}
    after = action._after_reboot(params(Path("/x")), begun, None)
    assert (after["failed"], after["restarted"], after["boot_id_after"]) == (True, True, "new")
    assert after["half_open"] == ["10.0.0.11:40"], "the boot has taken them, and the journal keeps them"


def test_witnesses_carry_their_age_by_the_clock_of_the_controller() -> None:
    arguments = params(Path("/x"), witnesses=[{"balancer": "lb1", "out": True, "at": 100.0, "age_seconds": None}])
    sent = aged(arguments, 107.0)
    assert sent["witnesses"] == [{"balancer": "lb1", "out": True, "age_seconds": 7.0}]


@pytest.mark.parametrize(("now", "age"), [(99.5, 0.0), (90.0, -10.0)], ids=["corrected a little", "set back"])
def test_a_word_from_the_future_is_not_made_young(now: float, age: float) -> None:
    """The controller's clock was set back in the heal: how old the word is nobody knows, and the node refuses it."""
    arguments = params(Path("/x"), witnesses=[{"balancer": "lb1", "out": True, "at": 100.0, "age_seconds": None}])
    sent = aged(arguments, now)["witnesses"]
    assert sent[0]["age_seconds"] == age
    if age < 0:
        with pytest.raises(SelfhealError, match="old"):
            checks.witnesses(sent, 30)


def test_the_controllers_own_machine_is_always_forbidden() -> None:
    own = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    assert own in aged(params(Path("/x")), 1.0)["forbidden_machine_ids"]


def test_an_attempt_that_ended_does_not_count_for_the_next_one_of_its_incident(tmp_path: Path) -> None:
    """Left out, and the command typed again: that is an attempt of its own, and it restarts."""
    systemd = Systemd()
    once(tmp_path, systemd)
    assert once(tmp_path, systemd, epoch=6, since_epoch=6)["changed"]
    assert systemd.did("systemctl", "restart") == 2
    assert not once(tmp_path, systemd, epoch=8, since_epoch=6)["changed"]  # this one rolls the second forward
    assert systemd.did("systemctl", "restart") == 2


def test_a_restart_that_is_under_way_is_waited_for(tmp_path: Path) -> None:
    systemd = Systemd(steps=10**9)
    assert once(tmp_path, systemd, timeout=0.05, stop_timeout=60.0)["reason"] == "start_timeout"
    systemd.steps = systemd.looks + 3
    result = once(tmp_path, systemd, epoch=6, witnesses=[])
    assert result["restarted"]
    assert not result["changed"]
    assert systemd.did("systemctl", "restart") == 1


def test_a_command_without_an_answer_counts_as_given(tmp_path: Path) -> None:
    """systemd may have taken the job: to give the node its clients back now would send them into the restart."""

    class Mute(Systemd):
        def __call__(self, argv: list[str]) -> str:
            said = super().__call__(argv)
            if argv[:2] == ["systemctl", "restart"]:
                raise _restart.Unanswered("not_restartable", "did not end in 30 s")
            return said

    result = once(tmp_path, Mute())
    assert result["restarted"]
    assert result["changed"]
    lost = once(tmp_path / "b", Mute(steps=10**9), timeout=0.05, stop_timeout=60.0)
    assert lost["failed"]
    assert lost["restarted"]


def test_systemd_saying_no_is_a_refusal_before_anything_was_done(tmp_path: Path) -> None:
    class No(Systemd):
        def __call__(self, argv: list[str]) -> str:
            if argv[:2] == ["systemctl", "restart"]:
                raise SelfhealError("not_restartable", "Unit is masked.")
            return super().__call__(argv)

    result = once(tmp_path, No())
    assert result["reason"] == "not_restartable"
    assert not result["restarted"]


def test_of_two_calls_of_one_attempt_the_second_restarts_nothing(tmp_path: Path) -> None:
    """A lost connection leaves the first call at work; the second has passed its preflights by then."""
    systemd = Systemd()
    first, second = (_restart.Restart(params(tmp_path), systemd) for _ in range(2))
    before = second.preflight()
    assert first.act(first.preflight())
    assert not second.act(before)
    assert systemd.did("systemctl", "restart") == 1


def test_a_machine_without_a_unit_can_be_rebooted_and_only_that(tmp_path: Path) -> None:
    systemd = Systemd()
    assert once(tmp_path, systemd, service="")["reason"] == "not_restartable"
    assert once(tmp_path, systemd, service="", kind="reboot")["rebooting"]
    assert systemd.did("systemctl", "show") == 0


@pytest.mark.parametrize("said", ["Failed to restart ei.service: Connection timed out", "Connection reset by peer"])
def test_a_bus_that_gives_up_is_no_refusal(said: str) -> None:
    """systemctl ends before our own limit does (25 s), and systemd may have the job all the same."""
    with pytest.raises(_restart.Unanswered):
        _restart.run(["sh", "-c", f"echo '{said}' >&2; exit 1"])
    with pytest.raises(SelfhealError) as error:
        _restart.run(["sh", "-c", "echo 'Unit ei.service is masked.' >&2; exit 1"])
    assert not isinstance(error.value, _restart.Unanswered)
