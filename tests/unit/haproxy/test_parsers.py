# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""HAProxy's answers, as recorded from 2.6.12, into data; everything else is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _haproxy
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("mask", "word", "flags"),
    [
        (0x00, "ready", []),
        (0x01, "maint", ["fmaint"]),
        (0x02, "maint", ["imaint"]),
        (0x04, "ready", ["cmaint"]),  # disabled in the configuration, enabled by a human since
        (0x05, "maint", ["fmaint", "cmaint"]),
        (0x08, "drain", ["fdrain"]),
        (0x10, "drain", ["idrain"]),
        (0x18, "drain", ["fdrain", "idrain"]),
        (0x20, "maint", ["rmaint"]),
        (0x40, "maint", ["hmaint"]),
        (0x09, "maint", ["fmaint", "fdrain"]),
        (0x0C, "drain", ["cmaint", "fdrain"]),
        (0x7F, "maint", ["fmaint", "imaint", "cmaint", "fdrain", "idrain", "rmaint", "hmaint"]),
    ],
)
def test_the_admin_mask(mask: int, word: str, flags: list[str]) -> None:
    assert _haproxy.admin_word(mask) == word
    assert _haproxy.admin_flags(mask) == flags


def servers() -> dict[str, dict[str, object]]:
    merged = _haproxy.merge_servers(
        _haproxy.parse_servers_state(recorded("servers_state.txt")), _haproxy.parse_stat(recorded("stat.csv"))
    )
    return {f"{server['backend']}/{server['server']}": server for server in merged}


def test_info() -> None:
    info = _haproxy.parse_info(recorded("info.txt"))
    assert (info["Pid"], info["Uptime_sec"], info["Version"]) == ("13588", "1", "2.6.12-1+deb12u4")


def test_a_server_that_serves() -> None:
    assert servers()["be_ei/ei1"] == {
        "backend": "be_ei",
        "server": "ei1",
        "address": "127.0.0.1",
        "port": 18281,
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
    }


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("be_ei/ei3", "admin_flags", ["fmaint", "cmaint"]),
        ("be_ei/ei3", "operational", "stopped"),
        ("be_ei/ei4", "checked", False),
        ("be_ei/ei4", "check", ""),
        ("be_two/ei1", "check", "L7OK"),  # recorded while a check ran: "* L7OK"
        ("be_two/b1", "backup", True),
        ("be_two/t1", "checked", False),
    ],
)
def test_what_differs_between_servers(name: str, key: str, value: object) -> None:
    assert servers()[name][key] == value


def counters(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What the recorded farm has counted, with some fields of some rows changed."""
    stats = _haproxy.parse_stat(recorded("stat.csv"))
    for row in stats:
        row.update(changes.get(f"{row['pxname']}__{row['svname']}", {}))
    merged = _haproxy.merge_counters(_haproxy.parse_servers_state(recorded("servers_state.txt")), stats)
    assert len({(row["backend"], row["server"]) for row in merged}) == len(merged)
    return {f"{row['backend']}/{row['server']}": row for row in merged}


def test_counters_of_servers_and_of_whole_backends_but_not_of_frontends() -> None:
    found = counters(be_ei__ei1={"stot": "1204", "econ": "1", "wredis": "1"}, be_ei__BACKEND={"hrsp_5xx": "3"})
    assert sorted(found) == sorted([*servers(), "be_ei/", "be_two/"])
    assert found["be_ei/ei1"] == {
        "backend": "be_ei", "server": "ei1", "address": "127.0.0.1", "port": 18281, "mode": "http",
        "counters": {"stot": 1204, "econ": 1, "eresp": 0, "hrsp_5xx": 0, "cli_abrt": 0, "srv_abrt": 0, "wretr": 0,
                     "wredis": 1},
    }  # fmt: skip
    assert found["be_ei/"]["server"] == "" and found["be_ei/"]["counters"]["hrsp_5xx"] == 3


def test_a_counter_that_a_row_does_not_have_is_left_out_and_not_0() -> None:
    found = counters(be_ei__ei1={"hrsp_5xx": "", "econ": "-1", "eresp": "x", "wretr": None})  # None: a short line
    assert sorted(found["be_ei/ei1"]["counters"]) == ["cli_abrt", "srv_abrt", "stot", "wredis"]


def test_backends() -> None:
    assert _haproxy.merge_backends(_haproxy.parse_stat(recorded("stat.csv"))) == [
        {"name": "be_ei", "queue": 0, "sessions": 0},
        {"name": "be_two", "queue": 0, "sessions": 0},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "Permission denied\n",
        "Unknown command: 'show', but maybe one of the following ones is a better match:\n",
        "Can't find backend.\n",
        "2\n# be_id be_name\n",
        "1\n",
    ],
)
def test_an_answer_that_is_none_is_an_error(text: str) -> None:
    for parse in (_haproxy.parse_info, _haproxy.parse_servers_state, _haproxy.parse_stat):
        with pytest.raises(SelfhealError) as caught:
            parse(text)
        assert caught.value.reason == "socket"


def test_half_a_line_of_servers_is_an_error() -> None:
    text = "\n".join([*recorded("servers_state.txt").splitlines()[:2], "3 be_ei 1 ei1 127.0.0.1"])
    with pytest.raises(SelfhealError):
        _haproxy.parse_servers_state(text)


def test_a_field_more_or_less_in_another_version_is_no_matter() -> None:
    lines = recorded("servers_state.txt").splitlines()
    newer = [lines[0], lines[1] + " srv_new", *[line + " 9" for line in lines[2:] if line]]
    assert _haproxy.parse_servers_state("\n".join(newer))[0]["srv_new"] == "9"


@pytest.mark.parametrize(
    ("changes", "serves"),
    [
        ({}, True),
        ({"operational": "stopped"}, False),
        ({"operational": "starting"}, False),
        ({"operational": "stopping"}, False),
        ({"admin": "drain"}, False),
        ({"admin": "maint"}, False),
        ({"weight": 0}, False),
        ({"hold": {"incident": "i1"}}, False),
    ],
)
def test_who_serves(changes: dict[str, object], serves: bool) -> None:
    assert _haproxy.serves({**servers()["be_ei/ei1"], **changes}) is serves


@pytest.mark.parametrize(
    ("changes", "proven"),
    [
        ({}, True),
        ({"check": "L4OK"}, True),
        ({"check": "L6OK"}, True),
        ({"check": "L7OKC"}, False),
        ({"check": "L4CON"}, False),
        ({"check": ""}, False),
        ({"operational": "stopped"}, False),
    ],
)
def test_who_is_proven(changes: dict[str, object], proven: bool) -> None:
    assert _haproxy.passed({**servers()["be_ei/ei1"], **changes}) is proven


class Scripted(_haproxy.Haproxy):
    """A client whose answers are written down."""

    def __init__(self, answer: str) -> None:
        super().__init__("/nowhere")
        self.answer = answer
        self.asked: list[str] = []

    def ask(self, command: str) -> str:
        self.asked.append(command)
        return self.answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("\n", ""),
        ("\n\n", ""),
        ("No such server.\n\n", "no_such_member"),
        ("No such backend.\n\n", "no_such_member"),
        ("Permission denied\n\n", "socket"),
        ("'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n", "socket"),
        ("something new\n", "socket"),
    ],
)
def test_only_silence_is_success(answer: str, reason: str) -> None:
    client = Scripted(answer)
    if not reason:
        client.set_state("be_ei", "ei1", "maint")
    else:
        with pytest.raises(SelfhealError) as caught:
            client.set_state("be_ei", "ei1", "maint")
        assert caught.value.reason == reason
    assert client.asked == ["set server be_ei/ei1 state maint"]


def test_a_state_that_haproxy_does_not_know_is_never_sent() -> None:
    client = Scripted("\n")
    with pytest.raises(SelfhealError):
        client.set_state("be_ei", "ei1", "ready; shutdown frontend f")
    assert client.asked == []


def test_no_socket_is_an_error_with_advice(tmp_path: Path) -> None:
    with pytest.raises(SelfhealError) as caught:
        _haproxy.Haproxy(str(tmp_path / "none.sock")).info()
    assert caught.value.reason == "socket"
    assert "stats socket" in caught.value.message
