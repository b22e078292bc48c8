# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Power by a fence agent: what is switched, what is believed, and what is never told (the agents here are fakes)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _power
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._power import Agent, PowerError


class FakeSwitch:
    """A switch in memory; ``stuck`` acts do nothing, ``slow`` looks pass until an act shows."""

    def __init__(
        self, on: bool = True, stuck: tuple[str, ...] = (), slow: int = 0, broken: Any = None,
        lost: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.on, self.stuck, self.slow, self.broken, self.lost = on, stuck, slow, broken, lost
        self.asked: list[str] = []
        self.now = 0.0
        self._waits = 0

    def run(self, program: str, given: str, seconds: float) -> tuple[int | None, str]:
        assert program == "/x/fence_fake" and 5.0 <= seconds <= 20.0 and "password=secret\n" in given
        self.now += 0.1
        action = given.rpartition("action=")[2].strip()
        self.asked.append(action)
        if self.broken is not None:
            return self.broken, "Login failed for root:secret\n"
        if action in self.lost:
            self.on = action == "on"
            raise OSError(12, "no memory")
        if action == "status":
            self._waits -= 1
            shown = self.on if self._waits < 0 else not self.on
            return (0 if shown else 2), ""
        if action not in self.stuck:
            self.on, self._waits = action == "on", self.slow
        return 0, "done"

    def agent(self) -> Agent:
        def sleep(seconds: float) -> None:
            self.now += seconds

        return Agent("/x/fence_fake", {"password": "secret", "ip": "10.0.0.9"}, self.run, lambda: self.now, sleep)


def right(fresh: bool, log: list[bool]) -> Any:
    def look(mark: bool) -> bool:
        log.append(mark)
        return fresh

    return look


@pytest.mark.parametrize(
    ("switch", "fresh", "when_off", "acts", "marks", "why"),
    [
        (FakeSwitch(), True, False, ["off", "on"], [False, True], "off, proven, on, proven"),
        (FakeSwitch(slow=3), True, False, ["off", "on"], [False, True], "looks that are late are waited for"),
        (FakeSwitch(on=False), True, True, ["on"], [False, True], "found off, and allowed"),
        (FakeSwitch(on=False), False, False, ["on"], [False], "it was taken by this incident: only given back"),
        (FakeSwitch(), False, False, [], [False], "given already, and power is there"),
        (FakeSwitch(lost=("off",)), True, False, ["off", "on"], [False, True], "done, although its answer was lost"),
    ],
)
def test_what_is_switched(
    switch: FakeSwitch, fresh: bool, when_off: bool, acts: list[str], marks: list[bool], why: str
) -> None:
    log: list[bool] = []
    done = switch.agent().cycle(60, right(fresh, log), when_off)
    assert [it for it in switch.asked if it != "status"] == acts, why
    assert (switch.on, log) == (True, marks), why
    assert [name for name in ("off", "on") if done[name]] == acts


@pytest.mark.parametrize(
    ("switch", "fresh", "acts"),
    [(FakeSwitch(), True, []), (FakeSwitch(on=False), True, []), (FakeSwitch(on=False), False, ["on"])],
)
def test_what_is_only_given_back(switch: FakeSwitch, fresh: bool, acts: list[str]) -> None:
    """A pause, a storm, attempts that are used up: nothing is taken, but what was taken comes back."""
    log: list[bool] = []
    switch.agent().cycle(60, right(fresh, log), when_off=True, give_back=True)
    assert ([it for it in switch.asked if it != "status"], log) == (acts, [False])


def test_another_run_that_was_quicker_is_seen_at_the_last_moment() -> None:
    switch = FakeSwitch()
    done = switch.agent().cycle(60, lambda mark: not mark)
    assert switch.asked == ["status"] and not done["off"] and not done["on"]


def test_an_agent_that_is_slow_is_not_begun_with() -> None:
    switch = FakeSwitch()

    def slow(mark: bool) -> bool:
        switch.now += 25
        return not mark

    with pytest.raises(PowerError, match="too slow"):
        switch.agent().cycle(60, slow)
    assert switch.asked == ["status"]


def test_off_is_believed_only_when_it_was_seen_twice() -> None:
    switch = FakeSwitch()
    switch.agent().cycle(60, right(True, []))
    assert switch.asked == ["status", "off", "status", "status", "on", "status"]


@pytest.mark.parametrize(
    ("switch", "touched", "words"),
    [
        (FakeSwitch(on=False), False, "somebody may have switched it off"),
        (FakeSwitch(broken=1), False, "does not say whether the machine has power"),
        (FakeSwitch(stuck=("off",)), True, "not seen to be off"),
        (FakeSwitch(stuck=("on",)), True, "not seen to be on"),
    ],
)
def test_what_goes_wrong_tells_whether_the_machine_may_be_without_power(
    switch: FakeSwitch, touched: bool, words: str
) -> None:
    with pytest.raises(PowerError, match=words) as told:
        switch.agent().cycle(20, right(True, []))
    assert told.value.touched is touched
    assert not touched or (switch.asked[-1] == "status" and "on" in switch.asked), "power is given back all the same"
    assert "secret" not in told.value.message


def test_what_an_agent_says_is_told_without_what_may_be_a_secret() -> None:
    agent = Agent("/x/a", {"hexadecimal_kg": "f00d", "ip": "10.0.0.9"}, lambda *_: (1, "kg f00d at 10.0.0.9"))
    assert agent.ask("status") == (1, "kg *** at 10.0.0.9")


def test_nothing_is_switched_where_the_right_is_gone() -> None:
    def gone(mark: bool) -> bool:
        raise SelfhealError("human_hold", "held by somebody else")

    switch = FakeSwitch()
    with pytest.raises(SelfhealError, match="held by somebody else"):
        switch.agent().cycle(5, gone)
    assert switch.asked == ["status"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ip 10.0.0.9", "line 1 is no key=value"),
        ("ip=1\nip=2", "line 2"),
        ("# c\n\naction=off", "line 3 says what to do"),
        ("-o=off", "line 1"),
        ("delay=30", "or when"),
    ],
)
def test_options_that_are_none(text: str, words: str) -> None:
    with pytest.raises(PowerError, match=words):
        _power.parse_options("f", text)


def test_options_keep_what_their_values_have() -> None:
    assert _power.parse_options("f", "password= a=b # c \nip=1\n") == {"password": " a=b # c", "ip": "1"}


@pytest.mark.parametrize(("mode", "well"), [(0o600, True), (0o640, True), (0o644, False), (0o660, False)])
def test_a_file_that_others_can_read_or_write_is_refused(tmp_path: Path, mode: int, well: bool) -> None:
    path = tmp_path / "kw1"
    path.write_text("ip=10.0.0.9\n")
    path.chmod(mode)
    if well:
        assert _power.read_options(str(path), os.geteuid()) == {"ip": "10.0.0.9"}
        return
    with pytest.raises(PowerError, match="has secrets"):
        _power.read_options(str(path), os.geteuid())


def test_two_files_that_name_one_outlet_are_refused(tmp_path: Path) -> None:
    for name, plug in (("kw1", "1"), ("kw2", "2"), ("kw3", "1")):
        (tmp_path / name).write_text(f"ip=10.0.0.9\nplug={plug}\npassword={name}\n")
        (tmp_path / name).chmod(0o600)
    me = os.geteuid()
    _power.check_place(str(tmp_path / "kw2"), _power.read_options(str(tmp_path / "kw2"), me), me)
    with pytest.raises(PowerError, match="kw3 name the same outlet"):
        _power.check_place(str(tmp_path / "kw1"), _power.read_options(str(tmp_path / "kw1"), me), me)


def test_no_file_and_no_agent_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PowerError, match="make it, with lines like"):
        _power.read_options(str(tmp_path / "none"), 0)
    with pytest.raises(PowerError, match="install its package"):
        _power.check_program(str(tmp_path / "none"))
    (tmp_path / "agent").write_text("#!/bin/sh\n")
    (tmp_path / "agent").chmod(0o777)
    with pytest.raises(PowerError, match="only root can change"):
        _power.check_program(str(tmp_path / "agent"))


def agent_file(folder: Path, body: str) -> str:
    path = folder / "fence_fake"
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_an_agent_is_run_with_its_options_on_standard_input_and_nothing_else(tmp_path: Path) -> None:
    os.environ["SELFHEAL_TEST"] = "x"
    try:
        program = agent_file(tmp_path, "print(sys.argv[1:], sorted(os.environ), repr(sys.stdin.read())); sys.exit(2)")
        code, said = _power.run_agent(program, "password=p\naction=status\n", 20)
    finally:
        del os.environ["SELFHEAL_TEST"]
    assert (code, said.strip()) == (2, "[] ['LC_ALL', 'PATH'] 'password=p\\naction=status\\n'")


def test_an_agent_that_hangs_is_ended_with_all_that_it_began(tmp_path: Path) -> None:
    program = agent_file(tmp_path, "print('began', flush=True)\nif os.fork() == 0: time.sleep(60)\ntime.sleep(60)")
    assert _power.run_agent(program, "action=off\n", 1.0) == (None, "began\n")
