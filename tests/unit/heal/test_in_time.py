# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How long a node that may be too ill to answer is waited for, and when it counts as reached."""

from __future__ import annotations

import signal
import time
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleConnectionFailure

from ansible_collections.selfheal.cluster.plugins.module_utils._snapshot import by_ssh, reached
from ansible_collections.selfheal.cluster.plugins.plugin_utils import _in_time


def fake_action(answer: BaseException | None, transport: str = "ssh") -> Any:
    """A fake of an action plugin: its connection keeps options, and a command ends as it is told."""
    options: dict[str, Any] = {"timeout": 10, "ssh_args": "-o ControlMaster=auto -o ControlPersist=60s"}

    def execute(_command: str, sudoable: bool) -> dict[str, Any]:
        assert not sudoable, "the greeting needs no rights"
        if answer is not None:
            raise answer
        return {"rc": 0}

    connection = SimpleNamespace(transport=transport, options=options, get_option=options.get,
                                 set_option=options.__setitem__)  # fmt: skip
    return SimpleNamespace(_connection=connection, _low_level_execute_command=execute)


@pytest.mark.parametrize(
    ("answer", "transport", "unreachable", "ssh"),
    [
        pytest.param(None, "ssh", False, True, id="a slow node greets, and its restart may cure it"),
        pytest.param(_in_time.TimeUp(), "ssh", False, True, id="still logging in: it was greeted"),
        pytest.param(AnsibleConnectionFailure("banner exchange"), "ssh", True, False, id="no greeting: out of reach"),
        pytest.param(None, "local", True, False, id="nobody knows of another way than SSH"),
    ],
)
def test_silence_is_reach_only_if_ssh_greets(
    answer: BaseException | None, transport: str, unreachable: bool, ssh: bool
) -> None:
    action = fake_action(answer, transport)
    result = _in_time.silence(action, 6.0)
    assert bool(result.get("unreachable")) is unreachable
    assert by_ssh(result) is ssh and not reached(result)
    assert "6 s" in result["msg"]


def test_the_greeting_is_asked_for_on_a_connection_of_its_own() -> None:
    """A kept one would wait behind the question that was not answered."""
    action = fake_action(None)
    _in_time.silence(action, 6.0)
    assert action._connection.options["ssh_args"].startswith("-o ControlMaster=no -o ControlPath=none -o ControlM")
    assert action._connection.options["timeout"] == _in_time.AGAIN_SECONDS


@pytest.mark.parametrize(
    ("told", "seconds", "used"),
    [(10, 4, 4), (2, 4, 2), (0, 4, 4), (10, 0.2, 1)],
    ids=["ours is shorter", "the user's is shorter", "the user set none", "ssh takes whole seconds"],
)
def test_ssh_gives_up_no_later_than_it_was_told(told: int, seconds: float, used: int) -> None:
    action = fake_action(None)
    action._connection.options["timeout"] = told
    _in_time.hurry(action._connection, seconds)
    assert action._connection.options["timeout"] == used


def test_the_time_out_of_the_task_goes_on_behind_it() -> None:
    """Ansible's own alarm was set before ours, and has to ring at its own time after ours is over."""
    rung: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    try:
        begun = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, 0.4)
        with pytest.raises(_in_time.TimeUp), _in_time.within(0.05):
            time.sleep(5)
        assert not rung
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0, "still to come"
        while not rung and time.monotonic() < begun + 10:
            time.sleep(0.01)
        assert rung and rung[0] >= begun + 0.39
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_without_a_limit_nothing_rings() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with _in_time.within(0):
        assert signal.getsignal(signal.SIGALRM) is before


@pytest.mark.parametrize(
    ("result", "ssh"),
    [
        (None, None),
        ({"skipped": True}, None),
        ({"failed": True, "timedout": {"period": 10}}, None),
        ({"unreachable": True}, False),
        ({"failed": True, "msg": "no python"}, True),
        ({"changed": False}, True),
    ],
    ids=["not asked", "skipped", "cut off by the task's time-out", "unreachable", "its module failed", "answered"],
)
def test_what_is_known_of_ssh(result: dict[str, Any] | None, ssh: bool | None) -> None:
    assert by_ssh(result) is ssh
