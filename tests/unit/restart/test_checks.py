# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Invariant 8, second half: the restart proves its own right, and that it can succeed."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _restart_checks as checks
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError


def reason_of(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(SelfhealError) as caught:
        call(*arguments, **named)
    return caught.value.reason


def witness(out: bool = True, age: float | None = 1.0) -> dict[str, Any]:
    content: dict[str, Any] = {"balancer": "lb1", "out": out}
    return content if age is None else {**content, "age_seconds": age}


def test_fresh_witnesses_pass() -> None:
    checks.witnesses([witness(), witness(age=29.0)], 30.0, 0.5)


@pytest.mark.parametrize(
    ("given", "elapsed", "reason"),
    [
        ([], 0.0, "not_out_of_traffic"),
        ([witness(out=False)], 0.0, "not_out_of_traffic"),
        ([witness(), witness(out=False)], 0.0, "not_out_of_traffic"),
        ([{"balancer": "lb1", "out": "yes", "age_seconds": 1}], 0.0, "not_out_of_traffic"),
        ([witness(age=31.0)], 0.0, "witness_stale"),
        ([witness(age=None)], 0.0, "witness_stale"),
        ([witness(age=-5.0)], 0.0, "witness_stale"),
        ([witness(age=20.0)], 15.0, "witness_stale"),
    ],
)
def test_no_restart_without_every_witness(given: list[dict[str, Any]], elapsed: float, reason: str) -> None:
    assert reason_of(checks.witnesses, given, 30.0, elapsed) == reason


def machine(tmp_path: Path, text: str) -> str:
    (tmp_path / "etc").mkdir(exist_ok=True)
    (tmp_path / "etc/machine-id").write_text(text, encoding="ascii")
    return str(tmp_path)


def test_our_own_machine_is_known_by_its_id_whatever_its_name(tmp_path: Path) -> None:
    root = machine(tmp_path, "abc\n")
    assert checks.machine_id(["other"], root) == "abc"
    assert reason_of(checks.machine_id, ["other", "abc "], root) == "own_host"
    assert checks.machine_id(["", "x"], machine(tmp_path, "")) == ""


@pytest.mark.parametrize(("own", "told"), [("abc", "abc"), ("abc", " ABC\n"), ("", "abc"), ("abc", ""), ("", "")])
def test_a_machine_id_that_nobody_has_proves_nothing_and_refuses_nothing(own: str, told: str) -> None:
    checks.same_machine(own, told)


def test_another_machine_than_the_one_that_is_out_of_traffic_is_left_alone() -> None:
    assert reason_of(checks.same_machine, "abc", "abd") == "wrong_machine"


HEAD = "  sl  local_address rem_address   st\n"


def kernel(address: str) -> str:
    """An address as the kernel prints it: its 32 bits as a number of this machine."""
    return f"{struct.unpack('=I', socket.inet_aton(address))[0]:08X}"


MAPPED_WORD = b"\0\0\xff\xff"
HERE, THERE, PREFIX = (
    kernel("10.213.77.21"),
    kernel("10.213.77.11"),
    "0" * 16 + f"{struct.unpack('=I', MAPPED_WORD)[0]:08X}",
)
OURS = f"   0: {HERE}:2058 {THERE}:C3D2 01 00000000:00000000\n"
MAPPED = f"   0: {PREFIX}{HERE}:2058 {PREFIX}{THERE}:C3D3 01 0\n"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (OURS, ["10.213.77.11:50130"]),
        (MAPPED, ["10.213.77.11:50131"]),
        (OURS.replace(" 01 ", " 06 "), []),
        (OURS.replace(":2058", ":2059"), []),
        (OURS.replace(THERE, kernel("10.213.77.12")), []),
        ("nonsense\n", []),
    ],
)
def test_connections_of_balancers_are_found_in_both_tables(line: str, found: list[str]) -> None:
    assert checks.open_connections([HEAD + line], 8280, ["10.213.77.11"]) == found


def test_a_balancer_known_by_name_only_is_refused_before_anything_is_touched() -> None:
    assert reason_of(checks.open_connections, [HEAD], 8280, ["extlb1"]) == "not_restartable"


def test_a_real_connection_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert checks.connections(port, ["127.0.0.1"], 1) == []
            with pytest.raises(SelfhealError, match=r"1 connections .* \(from 127\.0\.0\.1:\d+; there, ss -tnp"):
                checks.connections(port, ["127.0.0.1"], 0)
            assert reason_of(checks.connections, port, ["127.0.0.1"], 0) == "connections_open"
            assert checks.connections(port, [], 0) == []


@pytest.mark.parametrize(("patience", "refused"), [(0.0, True), (0.15, True), (1.0, False)])
def test_idle_connections_get_time_to_close(monkeypatch: pytest.MonkeyPatch, patience: float, refused: bool) -> None:
    now = [0.0]
    open_now = iter([[f"10.213.77.11:{each}" for each in range(count)] for count in (4, 2, 1, 0, 0)])
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(checks, "open_connections", lambda *_arguments: next(open_now))
    if refused:
        assert reason_of(checks.connections, 8280, ["10.213.77.11"], 0, "/", patience) == "connections_open"
    else:
        assert checks.connections(8280, ["10.213.77.11"], 0, "/", patience) == []


def test_the_address_of_a_pair_must_be_gone() -> None:
    checks.address_absent("10.0.0.100", ["10.0.0.11"])
    assert reason_of(checks.address_absent, "10.0.0.100", ["10.0.0.11", "10.0.0.100"]) == "not_out_of_traffic"


def test_addresses_out_of_ip() -> None:
    text = "1: lo    inet 127.0.0.1/8 scope host lo\n2: eth0    inet6 fe80::1/64 scope link\n3: x link/none\n"
    assert checks.local_addresses(text) == ["127.0.0.1", "fe80::1"]


class Stat:
    def __init__(self, **changes: int) -> None:
        self.f_flag, self.f_blocks, self.f_bavail, self.f_bfree, self.f_frsize = 0, 1000, 500, 500, 1 << 20
        self.f_files, self.f_ffree = 100, 50
        self.__dict__.update(changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"f_flag": 1}, "read_only_root"),
        ({"f_bavail": 0, "f_bfree": 0}, "disk_full"),
        ({"f_ffree": 0}, "disk_full"),
    ],
)
def test_full_and_read_only_disks_are_not_for_a_restart(
    changes: dict[str, int], reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: Stat(**changes))
    assert reason_of(checks.disk, str(tmp_path)) == reason
    monkeypatch.setattr(os, "statvfs", lambda path: Stat())
    checks.disk(str(tmp_path))


HOLD_LOCK = "import fcntl,sys;f=open(sys.argv[1],'r+');fcntl.lockf(f,fcntl.LOCK_EX);print('held',flush=True);input()"


def test_a_running_package_manager_is_seen_and_not_disturbed(tmp_path: Path) -> None:
    lock = tmp_path / checks.PACKAGE_LOCKS[0]
    lock.parent.mkdir(parents=True)
    lock.write_text("", encoding="ascii")
    checks.package_manager(str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert reason_of(checks.package_manager, str(tmp_path)) == "package_manager"
        other.communicate("\n")
    checks.package_manager(str(tmp_path))
    with lock.open("r+", encoding="ascii") as stream:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody kept it


@pytest.mark.parametrize("argv", [["false"], ["/no/such/test"], ["sh", "-c", "echo line 7: bad; exit 1"]])
def test_a_configuration_that_its_own_test_refuses_is_never_activated(argv: list[str]) -> None:
    assert reason_of(checks.configuration, [["true"], argv]) == "config_invalid"


def test_a_good_configuration_passes() -> None:
    checks.configuration([["true"], ["sh", "-c", "exit 0"]])
    checks.configuration([])


@pytest.mark.parametrize(
    "shown",
    [{"LoadState": "not-found"}, {"LoadState": "masked"}, {}, {"LoadState": "loaded", "RefuseManualStop": "yes"}],
)
def test_what_systemd_cannot_restart_is_not_restartable(shown: dict[str, str]) -> None:
    assert reason_of(checks.unit, shown, "x.service") == "not_restartable"
    checks.unit({"LoadState": "loaded", "RefuseManualStop": "no"}, "x.service")
