# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What lb_member decides, and that it acts on all servers of a member or on none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._haproxy import Haproxy
from ansible_collections.selfheal.cluster.plugins.module_utils._haproxy_member import Member, Wish, decide, matching
from ansible_collections.selfheal.cluster.plugins.module_utils._haproxy_state import held_lines
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Hold, Holds
from ansible_collections.selfheal.cluster.plugins.modules.lb_member import _counted

Server = dict[str, Any]


def server(name: str, backend: str = "be_ei", **changes: Any) -> Server:
    number = int(name[-1])
    return {
        "backend": backend,
        "server": name,
        "address": f"10.0.0.{20 + number}",
        "port": 8280,
        "operational": "running",
        "admin": "ready",
        "admin_flags": [],
        "weight": 1,
        "sessions": 0,
        "queue": 0,
        "check": "L7OK",
        "checked": True,
        "backup": False,
        "hold": None,
        **changes,
    }


def wish(**changes: Any) -> Wish:
    given: dict[str, Any] = {
        "addresses": ("10.0.0.21",),
        "port": 8280,
        "state": "maint",
        "incident": "i1",
        "epoch": 7,
        "phase": "shift",
        "deadline_seconds": 60.0,
        "min_up": 2,
    }
    return Wish(**{**given, **changes})


def hold(incident: str = "i1", epoch: int = 7) -> dict[str, Hold]:
    return {"haproxy:be_ei/ei1": Hold("haproxy:be_ei/ei1", incident, epoch, "shift", "", "b", 0.0, 0.0)}


DOWN: Server = {"operational": "stopped", "check": "L4CON"}
MAINT: Server = {"admin": "maint", "admin_flags": ["fmaint"], "operational": "stopped"}
DRAIN: Server = {"admin": "drain", "admin_flags": ["fdrain"]}
CONFIG: Server = {"admin": "maint", "admin_flags": ["fmaint", "cmaint"], "operational": "stopped"}


@pytest.mark.parametrize(
    ("one", "two", "three", "changes", "reason"),
    [
        ({}, {}, {}, {}, ""),
        ({}, DOWN, {}, {}, "below_minimum"),
        ({}, MAINT, {}, {}, "below_minimum"),
        ({}, DRAIN, {}, {}, "below_minimum"),
        ({}, {"weight": 0}, {}, {}, "below_minimum"),
        ({}, {"hold": {"incident": "i2"}}, {}, {}, "below_minimum"),
        ({}, {"backup": True}, {}, {}, "below_minimum"),
        ({}, DOWN, {}, {"min_up": 1}, ""),
        ({}, DOWN, DOWN, {"min_up": 1}, "below_minimum"),
        ({}, DOWN, DOWN, {"min_up": 0}, "below_minimum"),  # the last one that serves, never
        ({}, DOWN, DOWN, {"min_up": -1}, ""),
        (DOWN, DOWN, {}, {}, ""),  # it serves nobody: it may always leave
        (DOWN, DOWN, DOWN, {}, ""),
        ({"weight": 0}, DOWN, DOWN, {}, ""),
        (MAINT, {}, {}, {}, "human_hold"),
        (DRAIN, {}, {}, {}, "human_hold"),
        (MAINT, {}, {}, {"state": "ready"}, "human_hold"),
        (MAINT, {}, {}, {"state": "drain"}, "human_hold"),
        ({"admin": "maint", "admin_flags": ["rmaint"]}, {}, {}, {}, "human_hold"),
        (CONFIG, {}, {}, {}, "config_disabled"),
        (CONFIG, {}, {}, {"state": "ready"}, "config_disabled"),
        ({"admin_flags": ["cmaint"]}, {}, {}, {}, ""),  # enabled by a human since
        ({}, {}, {}, {"state": "drain"}, ""),
        ({}, DOWN, {}, {"state": "drain"}, "below_minimum"),
        ({}, DOWN, DOWN, {"state": "ready"}, ""),
        ({}, {}, {}, {"port": 81}, "no_such_member"),
        ({}, {}, {}, {"addresses": ("10.0.0.9",)}, "no_such_member"),
        ({}, {}, {}, {"backend": "be_two"}, "no_such_member"),
    ],
)
def test_who_may_leave(one: Server, two: Server, three: Server, changes: dict[str, Any], reason: str) -> None:
    servers = [server("ei1", **one), server("ei2", **two), server("ei3", **three)]
    if not reason:
        assert [chosen["server"] for chosen in decide(servers, {}, wish(**changes))] == ["ei1"]
        return
    with pytest.raises(SelfhealError) as caught:
        decide(servers, {}, wish(**changes))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("held", "changes", "reason"),
    [
        (hold(), {}, ""),
        (hold(), {"state": "ready"}, ""),
        (hold("i0", 3), {}, ""),  # a younger heal follows the owner of an older hold
        (hold("i0", 9), {}, "human_hold"),
        (hold("i0", 7), {}, "human_hold"),
        (hold("unknown", 0), {"epoch": 10**12}, "human_hold"),
    ],
)
def test_whose_hold_it_is(held: dict[str, Hold], changes: dict[str, Any], reason: str) -> None:
    servers = [server("ei1", **MAINT), server("ei2"), server("ei3")]
    if not reason:
        assert decide(servers, held, wish(**changes))
        return
    with pytest.raises(SelfhealError) as caught:
        decide(servers, held, wish(**changes))
    assert caught.value.reason == reason


def test_every_backend_with_the_member_is_meant_and_guarded() -> None:
    servers = [server("ei1"), server("ei2"), server("ei3"), server("ei1", "be_two"), server("ei2", "be_two")]
    assert len(matching(servers, wish())) == 2
    with pytest.raises(SelfhealError) as caught:
        decide(servers, {}, wish())
    assert caught.value.reason == "below_minimum"
    assert "be_two/ei1" in caught.value.message
    assert len(decide(servers, {}, wish(min_up=1))) == 2


def test_a_backend_that_disables_the_member_does_not_stop_the_others() -> None:
    servers = [server("ei1"), server("ei2"), server("ei3"), server("ei1", "be_two", **CONFIG)]
    assert [chosen["backend"] for chosen in decide(servers, {}, wish())] == ["be_ei"]


class Fake(Haproxy):
    """A HAProxy in memory that obeys, or refuses at one command."""

    def __init__(self, servers: list[Server], refuse: Callable[[str], bool] = lambda _line: False) -> None:
        super().__init__("/nowhere")
        self.state = servers
        self.refuse = refuse
        self.lines: list[str] = []

    def servers(self) -> list[Server]:
        return [dict(entry) for entry in self.state]

    def ask(self, command: str) -> str:
        if command.startswith("show servers state"):
            return "1\n# be_name srv_name srv_op_state srv_admin_state\n"
        self.lines.append(command)
        if self.refuse(command):
            return "Permission denied\n"
        for part in command.split(";"):
            words = part.split()
            name, key, value = words[2], words[3], words[4]
            entry = next(one for one in self.state if f"{one['backend']}/{one['server']}" == name)
            if key == "state":
                flags = {"ready": [], "drain": ["fdrain"], "maint": ["fmaint"]}[value]
                entry.update(admin=value, admin_flags=flags)
                entry["operational"] = "stopped" if value == "maint" else "running"
            else:
                entry["operational"] = "stopped"
        return "\n"


def member(fake: Fake, tmp_path: Path) -> Member:
    return Member(fake, Holds(str(tmp_path / "state")), sleep=lambda _seconds: None)


def two_backends() -> list[Server]:
    names = ("ei1", "ei2", "ei3")
    return [server(name) for name in names] + [server(name, "be_two") for name in names]


def test_the_hold_is_on_disk_before_haproxy_hears_of_it(tmp_path: Path) -> None:
    seen: list[list[str]] = []
    holds = Holds(str(tmp_path / "state"))

    def watch(_line: str) -> bool:
        seen.append([found.resource for found in holds.all()])
        return False

    member(Fake(two_backends(), watch), tmp_path).apply(wish())
    assert seen[0] == ["haproxy:be_ei/ei1", "haproxy:be_two/ei1"]


def test_the_hold_goes_after_ready_is_verified(tmp_path: Path) -> None:
    seen: list[int] = []
    holds = Holds(str(tmp_path / "state"))

    def watch(line: str) -> bool:
        if "state ready" in line:
            seen.append(len(holds.all()))
        return False

    acting = member(Fake(two_backends(), watch), tmp_path)
    acting.apply(wish())
    result = acting.apply(wish(state="ready", phase="readmit"))
    assert seen == [2, 2]
    assert holds.all() == []
    assert result["changed"]
    assert [after["admin"] for after in result["after"]] == ["ready", "ready"]


def test_a_refusal_in_the_second_backend_undoes_the_first(tmp_path: Path) -> None:
    fake = Fake(two_backends(), lambda line: "be_two/ei1" in line)
    with pytest.raises(SelfhealError) as caught:
        member(fake, tmp_path).apply(wish())
    assert caught.value.reason == "socket"
    assert [entry["admin"] for entry in fake.state] == ["ready"] * 6
    assert Holds(str(tmp_path / "state")).all() == []


def test_a_command_that_changes_nothing_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(two_backends())
    monkeypatch.setattr(
        fake, "ask", lambda command: "1\n# be_name srv_name srv_op_state srv_admin_state\n" * ("show" in command)
    )
    monkeypatch.setattr("ansible_collections.selfheal.cluster.plugins.module_utils._haproxy_member._SETTLE", 0.0)
    with pytest.raises(SelfhealError) as caught:
        member(fake, tmp_path).apply(wish())
    assert caught.value.reason == "not_verified"
    assert Holds(str(tmp_path / "state")).all() == []


def test_an_older_epoch_changes_nothing(tmp_path: Path) -> None:
    fake = Fake(two_backends())
    acting = member(fake, tmp_path)
    acting.apply(wish(epoch=9))
    before = list(fake.lines)
    for state in ("ready", "drain", "maint"):
        with pytest.raises(SelfhealError) as caught:
            acting.apply(wish(state=state, epoch=8))
        assert caught.value.reason == "stale_epoch"
    assert fake.lines == before


def test_the_same_wish_twice_changes_once(tmp_path: Path) -> None:
    fake = Fake(two_backends())
    acting = member(fake, tmp_path)
    assert acting.apply(wish())["changed"]
    commands = len(fake.lines)
    assert not acting.apply(wish())["changed"]
    assert len(fake.lines) == commands


def test_check_mode_predicts_what_happens_and_touches_nothing(tmp_path: Path) -> None:
    fake = Fake(two_backends())
    acting = member(fake, tmp_path)
    _before, predicted = acting.preview(wish())
    assert fake.lines == []
    assert not (tmp_path / "state").exists()
    after = acting.apply(wish())["after"]
    for guess, real in zip(predicted, after, strict=True):
        assert (guess["admin"], guess["admin_flags"]) == (real["admin"], real["admin_flags"])
        assert guess["hold"]["incident"] == real["hold"]["incident"]


def test_check_mode_refuses_just_as_the_act_would(tmp_path: Path) -> None:
    servers = two_backends()
    servers[1].update(DOWN)
    with pytest.raises(SelfhealError) as caught:
        member(Fake(servers), tmp_path).preview(wish())
    assert caught.value.reason == "below_minimum"


def test_leaving_maintenance_needs_new_checks(tmp_path: Path) -> None:
    fake = Fake(two_backends())
    acting = member(fake, tmp_path)
    acting.apply(wish())
    fake.lines.clear()
    with pytest.raises(SelfhealError) as caught:
        acting.apply(wish(state="drain", wait_up_timeout=0.01))
    assert caught.value.reason == "not_up"
    assert fake.lines[0] == "set server be_ei/ei1 state drain; set server be_ei/ei1 health down"
    assert fake.state[0]["admin"] == "drain"
    assert Holds(str(tmp_path / "state")).read("haproxy:be_ei/ei1") is not None


def test_ready_out_of_maintenance_is_proven_first_when_asked(tmp_path: Path) -> None:
    fake = Fake(two_backends())
    acting = member(fake, tmp_path)
    acting.apply(wish())
    with pytest.raises(SelfhealError) as caught:
        acting.apply(wish(state="ready", wait_up_timeout=0.01))
    assert caught.value.reason == "not_up"
    assert all("state ready" not in line for line in fake.lines)


def test_a_member_that_haproxy_does_not_check_cannot_be_proven(tmp_path: Path) -> None:
    servers = [{**entry, "checked": False, "check": ""} for entry in two_backends()]
    with pytest.raises(SelfhealError) as caught:
        member(Fake(servers), tmp_path).apply(wish(state="drain", wait_up_timeout=5))
    assert caught.value.reason == "no_check"


def test_requests_that_stay_are_counted(tmp_path: Path) -> None:
    servers = two_backends()
    servers[0].update(sessions=3, queue=1)
    result = member(Fake(servers), tmp_path).apply(wish(drain_timeout=0.01))
    assert result["left_sessions"] == 4
    assert result["drain_seconds"] >= 0.01


def test_the_state_file_has_the_held_members_only() -> None:
    text = (Path(__file__).parent / "recorded" / "servers_state.txt").read_text()
    lines = held_lines(text, ["haproxy:be_ei/ei2", "haproxy:be_gone/ei9"]).splitlines()
    assert lines[:2] == text.splitlines()[:2]
    names = lines[1][2:].split()
    (row,) = [dict(zip(names, line.split(), strict=True)) for line in lines[2:]]
    assert (row["be_name"], row["srv_name"]) == ("be_ei", "ei2")
    assert (row["srv_op_state"], row["srv_admin_state"]) == ("0", "1")


@pytest.mark.parametrize("text", ["", "garbage", "1\n"])
def test_without_holds_or_with_a_broken_file_the_state_file_is_empty(text: str) -> None:
    assert held_lines(text, ["haproxy:be_ei/ei2"]) == "1\n"


def test_counters_that_cannot_be_read_do_not_make_an_act_a_failure(tmp_path: Path) -> None:
    assert _counted(Haproxy(str(tmp_path / "none.sock")), {"be_ei"}, wish()) == {}
