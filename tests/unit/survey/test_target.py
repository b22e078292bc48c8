# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a machine says about itself, over files and commands that a test lays out."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _survey_target as target


def says(code: int, out: str = "", err: str = "") -> target.Run:
    return lambda argv: (code, out, err)


@pytest.mark.parametrize(
    ("out", "exists", "active", "restartable"),
    [
        ("LoadState=loaded\nActiveState=active\nSubState=running\n", True, True, True),
        ("LoadState=loaded\nActiveState=reloading\nSubState=reload\n", True, True, True),
        ("LoadState=loaded\nActiveState=failed\nSubState=failed\n", True, False, True),
        ("LoadState=not-found\nActiveState=inactive\nSubState=dead\n", False, False, False),
        ("LoadState=masked\nActiveState=inactive\nSubState=dead\n", True, False, False),
        ("LoadState=loaded\nActiveState=active\nSubState=running\nRefuseManualStop=yes\n", True, True, False),
        ("LoadState=loaded\nActiveState=active\nSubState=running\nRefuseManualStart=yes\n", True, True, False),
    ],
)
def test_a_unit(out: str, exists: bool, active: bool, restartable: bool) -> None:
    state = target.unit_state("ei.service", says(0, out))
    assert (state["exists"], state["active"], state["restartable"]) == (exists, active, restartable)


@pytest.mark.parametrize(
    ("code", "out", "err"), [(1, "", "Failed to connect to bus"), (127, "", "missing"), (0, "", "")]
)
def test_a_machine_without_systemd_is_not_known(code: int, out: str, err: str) -> None:
    assert target.unit_state("ei.service", says(code, out, err))["exists"] is None


def proc_net(folder: Path, table: str, *rows: str) -> None:
    path = folder / "proc" / "net" / table
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("sl local_address rem_address st\n" + "\n".join(rows) + "\n", encoding="ascii")


@pytest.mark.parametrize(
    ("table", "row", "listens"),
    [
        ("tcp", "0: 0100007F:2058 00000000:0000 0A", True),
        ("tcp6", "0: 00000000000000000000000000000000:2058 0:0 0A", True),
        ("tcp", "0: 0100007F:2058 0100007F:1234 01", False),
        ("tcp", "0: 0100007F:1234 0100007F:2058 0A", False),
    ],
)
def test_listening(tmp_path: Path, table: str, row: str, listens: bool) -> None:
    proc_net(tmp_path, table, row)
    assert target.listening(8280, str(tmp_path)) is listens


class Haproxy(threading.Thread):
    """Answers one question on a socket with fixed words, as HAProxy's runtime socket does."""

    def __init__(self, path: Path, answer: bytes) -> None:
        super().__init__(daemon=True)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen(1)
        self.answer = answer
        self.asked = b""

    def run(self) -> None:
        client, _ = self.server.accept()
        self.asked = client.recv(100)
        client.sendall(self.answer)
        client.close()


@pytest.mark.parametrize(
    ("answer", "level"),
    [(b"admin\n\n", "admin"), (b"operator\n", "operator"), (b"Unknown command.\n", None), (b"", None)],
)
def test_the_rights_of_a_socket(tmp_path: Path, answer: bytes, level: str | None) -> None:
    server = Haproxy(tmp_path / "admin.sock", answer)
    server.start()
    found = target.socket_level(str(tmp_path / "admin.sock"))
    server.join(5)
    assert server.asked == b"show cli level\n"
    assert found["level"] == level
    assert bool(found["error"]) is (level is None)


def test_a_socket_that_is_not_there_or_that_nobody_serves(tmp_path: Path) -> None:
    assert target.socket_level(str(tmp_path / "no"))["error"] == "no such socket"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "dead"))
    dead.close()
    assert "refused" in target.socket_level(str(tmp_path / "dead"))["error"]


def test_a_configuration_test_keeps_the_last_lines() -> None:
    found = target.config_tests([["haproxy", "-c"]], says(1, "", "a\nb\nunknown keyword\nFatal errors\n"))
    assert found == [{"argv": ["haproxy", "-c"], "ok": False, "detail": "b | unknown keyword | Fatal errors"}]


def mounts(folder: Path, text: str) -> None:
    (folder / "proc").mkdir(parents=True, exist_ok=True)
    (folder / "proc" / "mounts").write_text(text, encoding="ascii")


@pytest.mark.parametrize(
    ("text", "read_only"),
    [
        ("overlay / overlay rw,relatime 0 0\n", False),
        ("/dev/sda1 / ext4 ro,relatime 0 0\n", True),
        ("rootfs / rootfs rw 0 0\n/dev/sda1 / ext4 ro,errors=remount-ro 0 0\n", True),
        ("/dev/sda1 / ext4 rw,errors=remount-ro 0 0\n/dev/sr0 /mnt iso9660 ro 0 0\n", False),
    ],
)
def test_a_read_only_root(tmp_path: Path, text: str, read_only: bool) -> None:
    mounts(tmp_path, text)
    assert target.root_read_only(str(tmp_path)) is read_only


def test_only_full_partitions_on_devices_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts(tmp_path, "/dev/sda1 /full ext4 rw 0 0\n/dev/sda2 /half ext4 rw 0 0\nproc /proc proc rw 0 0\n")

    def statvfs(path: str) -> os.statvfs_result:
        free = 1 if path == "/full" else 50
        return os.statvfs_result((4096, 4096, 100, free, free, 10, 10, 10, 0, 255))

    monkeypatch.setattr(os, "statvfs", statvfs)
    assert target.full_disks(str(tmp_path)) == [{"mount": "/full", "used_ratio": 0.99}]


@pytest.mark.parametrize("held", [True, False])
def test_a_package_manager_at_work(tmp_path: Path, held: bool) -> None:
    lock = tmp_path / "var" / "lib" / "dpkg" / "lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("", encoding="ascii")
    inode = lock.stat().st_ino if held else lock.stat().st_ino + 1
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "locks").write_text(f"1: POSIX  ADVISORY  WRITE 42 08:01:{inode} 0 EOF\n", encoding="ascii")
    assert target.package_manager_runs(str(tmp_path)) is held


def test_everything_at_once_on_this_machine() -> None:
    calls: list[Sequence[str]] = []

    def run(argv: Sequence[str]) -> tuple[int, str, str]:
        calls.append(argv)
        return 1, "", "no"

    found = target.look({"service": "a.service", "port": 1, "track_file": "/no/such/track", "journal": "/no"}, run)
    assert found["unit"]["exists"] is None
    assert found["track_file"] == {"path": "/no/such/track", "exists": False, "directory": False, "value": ""}
    assert found["journal"]["exists"] is False
    assert found["socket"] is None
    assert all(isinstance(word, str) for argv in calls for word in argv)
