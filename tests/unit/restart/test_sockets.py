# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Invariant 8, second half: which connections of a member still have another end, by the kernels of both machines."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _restart
from ansible_collections.selfheal.cluster.plugins.module_utils import _restart_checks as checks
from ansible_collections.selfheal.cluster.plugins.module_utils import _sockets as sockets
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import uptime_clock
from ansible_collections.selfheal.cluster.plugins.module_utils._restart_spec import ARGUMENTS
from tests.unit.restart.test_checks import kernel

TCP_REPAIR = 19  # linux/tcp.h: a socket in repair mode is closed without a word to its peer

GHOST, IDLE, FRESH = "10.213.77.11:33426", "10.213.77.11:60230", "10.213.77.11:33200"


def said(asked: float | None = 3.0, age: float | None = 1.0, ends: list[str] | None = None) -> dict[str, Any]:
    return {"balancer": "lb1", "out": True, "age_seconds": age, "asked_seconds": asked, "ends": ends}


@pytest.mark.parametrize(
    ("witnesses", "left", "theirs"),
    [
        pytest.param([said(ends=[])], 0, set(), id="it has none"),
        pytest.param([said(ends=[IDLE]), said(ends=[FRESH])], 0, {IDLE, FRESH}, id="what one of them has"),
        pytest.param([said(ends=[]), said(ends=None)], 0, None, id="one balancer does not know"),
        pytest.param([said(ends=[], asked=None)], 0, None, id="nobody knows when they were asked"),
        pytest.param([said(ends=[], age=None)], 0, None, id="nobody knows when they answered"),
        pytest.param([said(ends=[], asked=-0.5)], 0, None, id="the controller's clock was set back"),
        pytest.param([], 0, None, id="nobody was asked"),
        pytest.param([said(ends=["172.17.0.2:41000"])], 0, None, id="its addresses are translated on the way"),
        pytest.param([said(ends=[IDLE])], 1, {IDLE}, id="a request is left, and its connection is known"),
        pytest.param([said(ends=[])], 1, None, id="a request is left without a connection: it is the wrong table"),
    ],
)
def test_whether_the_balancers_can_be_believed_to_know_their_connections(
    witnesses: list[dict[str, Any]], left: int, theirs: set[str] | None
) -> None:
    assert sockets.known(witnesses, ["10.213.77.11", "10.213.77.12"], left) == theirs


@pytest.mark.parametrize(
    ("witnesses", "theirs", "silent", "dead"),
    [
        pytest.param([said()], set(), {GHOST: 60.0}, {GHOST}, id="nobody has it, and it was silent for long"),
        pytest.param([said()], {IDLE}, {GHOST: 60.0, IDLE: 60.0}, {GHOST}, id="an idle one has both its ends"),
        pytest.param([said()], set(), {GHOST: 10.0}, set(), id="no longer silent than the word may be old"),
        pytest.param([said()], set(), {GHOST: 10.1}, {GHOST}, id="just longer"),
        pytest.param([said()], set(), {}, set(), id="it may have received something this very moment"),
        pytest.param([said(), said(asked=70.0)], set(), {GHOST: 60.0}, set(), id="one was asked before that"),
        pytest.param([said(age=70.0)], set(), {GHOST: 60.0}, set(), id="answered before it was asked: the older"),
    ],
)
def test_half_open_is_what_no_balancer_has_and_nobody_can_have_opened_since(
    witnesses: list[dict[str, Any]], theirs: set[str], silent: dict[str, float], dead: set[str]
) -> None:
    assert sockets.half_open([GHOST, IDLE, FRESH], theirs, witnesses, silent, 2.0) == dead


# What ss of Debian 12 printed on a member whose cable had been out; shortened.
SS = """\
0      0          10.213.77.21:8280 10.213.77.11:33426
\t bbr wscale:10,10 rto:204 segs_in:4 send 4550857143bps lastsnd:49368 lastrcv:49372 lastack:49368 delivered:2
0      179        10.213.77.21:8280 10.213.77.11:33068
\t bbr rto:26112 backoff:7 lastsnd:20392 lastack:52616 unacked:1
0      0      [::ffff:10.213.77.21]:8280 [::ffff:10.213.77.11]:60230
\t cubic lastsnd:9 lastrcv:70 lastack:9
0      0      [fe80::21%eth0]:8280 [fe80::11%eth0]:60230
\t cubic lastrcv:1500
0      0      [fe80::21]%eth0:8280 [fe80::12]%eth0:60231
\t cubic lastrcv:1700
0      0         10.213.77.121:8280 10.213.77.11:33426
\t cubic lastrcv:30000
nonsense
\t lastrcv:8000
"""


def test_silence_is_read_from_ss_and_zero_where_it_says_nothing() -> None:
    assert sockets.silence(SS) == {
        "10.213.77.11:33426": 30.0,
        "10.213.77.11:33068": 0.0,
        "10.213.77.11:60230": 0.07,
        "fe80::11:60230": 1.5,
        "fe80::12:60231": 1.7,
    }
    assert sockets.silence("") == {}


TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B4DD50A:C3D2 154DD50A:2058 01 00000000:00000000 00:00000000 00000000   107        0 4711 1 0 20 4 30 10 -1
   1: 0B4DD50A:C3D3 154DD50A:2058 04 00000000:00000000 00:00000000 00000000     0        0 0 1 0
   2: 0B4DD50A:C3D4 154DD50A:2058 06 00000000:00000000 03:00000F4A 00000000     0        0 0 3 0
   3: 0B4DD50A:C3D5 154DD50A:2058 05 00000000:00000000 00:00000000 00000000   107        0 4712 1 0
   4: 0B4DD50A:C3D6 164DD50A:2058 01 00000000:00000000 00:00000000 00000000   107        0 4713 1 0
   5: 0B4DD50A:C3D7 154DD50A:2059 01 00000000:00000000 00:00000000 00000000   107        0 4714 1 0
   6: 0B4DD50A:C3D8
"""
for pattern, address in (("0B4DD50A", "10.213.77.11"), ("154DD50A", "10.213.77.21"), ("164DD50A", "10.213.77.22")):
    TCP = TCP.replace(pattern, kernel(address))


def balancer(tmp_path: Path, comm: str = "haproxy\n", tcp: str | None = TCP) -> str:
    net = tmp_path / "proc/196/net"
    net.mkdir(parents=True)
    (net.parent / "comm").write_text(comm, encoding="ascii")
    if tcp is not None:
        (net / "tcp").write_text(tcp, encoding="ascii")
    return str(tmp_path)


def test_a_balancer_has_the_ends_that_a_process_still_has_open(tmp_path: Path) -> None:
    """Not the one that only its kernel still wants to close. Of all members, because one may have two addresses."""
    found = sockets.held(196, 8280, balancer(tmp_path))
    assert found == ["10.213.77.11:50130", "10.213.77.11:50133", "10.213.77.11:50134"]


@pytest.mark.parametrize(
    ("pid", "comm", "tcp"),
    [
        pytest.param(196, "nginx\n", TCP, id="the number is another process here"),
        pytest.param(197, "haproxy\n", TCP, id="no such process: it is in a container"),
        pytest.param(196, "haproxy\n", None, id="no table"),
        pytest.param(196, "haproxy\n", "head\n 0: 0B4DD50A:C3D2 154DD50A:xyz 01\n", id="a table nobody understands"),
    ],
)
def test_what_cannot_be_known_is_not_said(tmp_path: Path, pid: int, comm: str, tcp: str | None) -> None:
    assert sockets.held(pid, 8280, balancer(tmp_path, comm, tcp)) is None


def test_a_table_that_is_there_and_cannot_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    root = balancer(tmp_path)
    (tmp_path / "proc/196/net/tcp6").mkdir()
    assert sockets.held(196, 8280, root) is None


@pytest.fixture(name="connection")
def both_ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, socket.socket]]:
    """The port of a member with one connection, and its other end. Nothing is waited for."""
    monkeypatch.setattr(sockets, "MARGIN_SECONDS", 0.1)
    monkeypatch.setattr(_restart, "IDLE_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        other = socket.create_connection(server.getsockname())
        mine, _address = server.accept()
        with mine, other:
            yield server.getsockname()[1], other


@pytest.fixture(name="ghost")
def half_a_connection(connection: tuple[int, socket.socket]) -> tuple[int, str]:
    """The port, and the name of an end that was lost without a word and is silent since; as root."""
    port, other = connection
    end = f"127.0.0.1:{other.getsockname()[1]}"
    other.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    other.close()
    time.sleep(0.5)  # that is the silence
    return port, end


def restart(tmp_path: Path, port: int, **changes: Any) -> _restart.Restart:
    given = {name: spec.get("default") for name, spec in ARGUMENTS.items()}
    witness = {"balancer": "lb1", "out": True, "age_seconds": 0.1, "asked_seconds": 0.2, "ends": []}
    given.update(service="ei.service", incident="1", epoch=5, state_dir=str(tmp_path), port=port)
    given.update({"peers": ["127.0.0.1"], "witnesses": [witness], **changes})
    return _restart.Restart(given)


def test_a_real_half_open_connection_is_told_apart_with_a_second_call(tmp_path: Path, ghost: tuple[int, str]) -> None:
    """A real socket whose peer is gone without a word, the real /proc/net/tcp and the real ss."""
    port, end = ghost
    first = restart(tmp_path, port)
    with pytest.raises(SelfhealError, match=end) as caught:
        first.prove_right()
    assert caught.value.reason == "connections_open"
    assert first.half_open_at is not None
    second = restart(tmp_path, port, heard_uptime=first.half_open_at)
    second.prove_right()
    assert second.half_open == [end]


def test_a_call_that_was_long_on_its_way_does_not_make_the_balancers_word_young(
    tmp_path: Path, ghost: tuple[int, str]
) -> None:
    """What was opened after the balancers were asked is silent for as long as the call was under way, and counts."""
    port, _end = ghost
    late = restart(tmp_path, port, heard_uptime=uptime_clock() - 30)
    with pytest.raises(SelfhealError, match="still open"):
        late.prove_right()
    assert late.half_open_at is None


class SlowSs:
    """ss that takes its time on a node whose CPU is burnt, or is not there."""

    def __init__(self, clock: list[float], seconds: float, text: str) -> None:
        self.clock, self.seconds, self.text = clock, seconds, text

    def __call__(self, argv: list[str]) -> str:
        assert argv[:2] == ["ss", "-tinH"]
        if not self.text:
            raise SelfhealError("not_restartable", "ss could not be run")
        self.clock[0] += self.seconds
        return self.text


@pytest.mark.parametrize(
    ("seconds", "silent", "text", "dead"),
    [
        pytest.param(0.0, 30, True, [GHOST], id="silent for longer than the word is old"),
        pytest.param(25.0, 30, True, None, id="opened since; it was silent while ss took its time"),
        pytest.param(0.0, 30, False, None, id="no ss"),
    ],
)
def test_the_words_age_counts_until_the_silence_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, silent: int, text: bool, dead: list[str] | None
) -> None:
    clock = [100.0]
    monkeypatch.setattr(_restart, "uptime_clock", lambda: clock[0])
    monkeypatch.setattr(_restart, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(checks, "open_connections", lambda *_given: [GHOST])
    said_by_ss = f"0 0 10.213.77.21:8280 {GHOST}\n\t lastrcv:{silent * 1000}\n" if text else ""
    again = restart(tmp_path, 8280, heard_uptime=99.0, peers=["10.213.77.11"])
    again.run = SlowSs(clock, seconds, said_by_ss)
    if dead is None:
        with pytest.raises(SelfhealError, match="still open"):
            again.prove_right()
    else:
        again.prove_right()
        assert again.half_open == dead


def test_idle_connections_beside_a_ghost_are_waited_for_by_the_second_call_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "open_connections", lambda *_given: [GHOST, IDLE])
    monkeypatch.setattr(checks.time, "sleep", lambda _seconds: pytest.fail("it was waited"))
    witness = {"balancer": "lb1", "out": True, "age_seconds": 0.1, "asked_seconds": 0.2, "ends": [IDLE]}
    first = restart(tmp_path, 8280, peers=["10.213.77.11"], witnesses=[witness])
    first.run = SlowSs([0.0], 0.0, f"0 0 10.213.77.21:8280 {GHOST}\n\t lastrcv:60000\n")
    with pytest.raises(SelfhealError, match=GHOST):
        first.prove_right()
    assert first.half_open_at is not None


def test_where_balancers_name_each_connection_ss_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "open_connections", lambda *_given: [IDLE])
    monkeypatch.setattr(_restart, "IDLE_SECONDS", 0.0)
    witness = {"balancer": "lb1", "out": True, "age_seconds": 0.1, "asked_seconds": 0.2, "ends": [IDLE]}
    idle = restart(tmp_path, 8280, peers=["10.213.77.11"], witnesses=[witness])
    idle.run = lambda argv: pytest.fail(f"{argv}")
    with pytest.raises(SelfhealError, match="still open"):
        idle.prove_right()


@pytest.mark.parametrize("heard", [1e12, -1.0], ids=["of another boot", "nonsense"])
def test_an_uptime_that_cannot_be_is_none(tmp_path: Path, ghost: tuple[int, str], heard: float) -> None:
    port, _end = ghost
    again = restart(tmp_path, port, heard_uptime=heard)
    with pytest.raises(SelfhealError):
        again.prove_right()
    assert again.half_open == []


def test_a_connection_that_talks_is_no_ghost(tmp_path: Path, connection: tuple[int, socket.socket]) -> None:
    """No balancer names it, as none would that was asked before it was opened: it still refuses the restart."""
    port, _other = connection
    fresh = restart(tmp_path, port, heard_uptime=uptime_clock())
    with pytest.raises(SelfhealError, match="still open"):
        fresh.prove_right()
    assert fresh.half_open_at is None
