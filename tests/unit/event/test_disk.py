# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""selfheal-event on disk: whole and for good, or nothing and a word about why. Needs root, as all of ``make test``."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.event.handler import COMMAND, HANDLER, PYTHON, arguments, complaint, left_in, only_event, patched, run

NOBODY = 65534
LOG_CALLS = """
def logged(name, real):
    def call(*given, **more):
        what = "folder" if isinstance(given[0], int) and os.fstat(given[0]).st_mode & 0o40000 else "file"
        calls.write(name + " " + what + "\\n")
        return real(*given, **more)
    return call
calls = open({log!r}, "w", buffering=1)
for each in ("write", "fsync", "rename", "unlink"):
    setattr(os, each, logged(each, getattr(os, each)))
"""


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that everybody may pass through, with a copy of the handler that everybody may run."""
    place = Path(tempfile.mkdtemp(prefix="she-", dir="/tmp"))
    place.chmod(0o755)
    shutil.copy2(HANDLER, place / "selfheal-event")
    (place / "spool").mkdir(mode=0o755)
    yield place
    (place / "spool").chmod(0o755)
    shutil.rmtree(place)


def test_name_mode_and_time(spool: Path) -> None:
    before = time.time_ns()
    assert run(spool, *arguments()).returncode == 0
    after = time.time_ns()
    (name,) = left_in(spool)
    found = re.fullmatch(r"(\d{20})-(\d+)\.event", name)
    assert found and before <= int(found[1]) <= after
    assert only_event(spool)["at"] == int(found[1]) // 1000 / 1e6
    assert stat.S_IMODE((spool / name).stat().st_mode) == 0o640


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
def test_no_umask_changes_who_may_read_it(spool: Path, umask: int) -> None:
    assert run(spool, *arguments(), umask=umask).returncode == 0
    assert stat.S_IMODE((spool / left_in(spool)[0]).stat().st_mode) == 0o640


def test_the_order_on_disk(spool: Path, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    assert patched(spool, LOG_CALLS.format(log=str(log))).returncode == 0
    assert log.read_text().splitlines() == ["write file", "fsync file", "rename file", "fsync folder"]


def test_a_write_that_takes_a_byte_at_a_time(spool: Path) -> None:
    patch = "real = os.write\nos.write = lambda handle, data: real(handle, data[:1])"
    assert patched(spool, patch).returncode == 0
    assert only_event(spool)["event_id"] == 17


@pytest.mark.parametrize(
    ("call", "file_there"),
    [("write", False), ("fsync", False), ("rename", False), ("fsync folder", True)],
)
def test_killed_in_the_middle(spool: Path, call: str, file_there: bool) -> None:
    die = "os.kill(os.getpid(), 9)"
    patch = {
        "fsync folder": f"real = os.fsync\nos.fsync = lambda n: {die} if os.fstat(n).st_mode & 0o40000 else real(n)"
    }.get(call, f"os.{call} = lambda *given, **more: {die}")
    assert patched(spool, patch).returncode == -signal.SIGKILL
    (name,) = left_in(spool)
    assert name.startswith(".") is not file_there
    assert name.endswith(".event") is file_there
    assert run(spool, *arguments()).returncode == 0  # what lies there is in nobody's way
    assert len(left_in(spool)) == 2


@pytest.mark.parametrize(
    ("errno", "said"),
    [
        (28, "is full (No space left on device): free space there"),
        (122, "is full"),
        (27, "is full"),
        (30, "may not list and write the spool"),
        (5, "takes nothing: Input/output error"),
    ],
)
@pytest.mark.parametrize("call", ["write", "fsync", "rename", "fchmod"])
def test_whatever_fails_leaves_nothing(spool: Path, call: str, errno: int, said: str) -> None:
    text = "os.strerror(%d)" % errno
    patch = f"""
real = os.{call}
def fails(*given, **more):
    os.{call} = real
    raise OSError({errno}, {text})
os.{call} = fails"""
    assert said in complaint(patched(spool, patch))
    assert left_in(spool) == []


def test_a_folder_that_cannot_be_made_durable_takes_its_event_back(spool: Path) -> None:
    patch = """
real = os.fsync
def fails(handle):
    if os.fstat(handle).st_mode & 0o40000:
        raise OSError(5, os.strerror(5))
    real(handle)
os.fsync = fails"""
    assert "takes nothing: Input/output error" in complaint(patched(spool, patch))
    assert left_in(spool) == []


def test_a_file_that_may_not_grow(spool: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))

    text = complaint(run(spool, *arguments(), preexec_fn=limit))
    assert "is full (File too large): free space there" in text and str(spool)[:20] in text
    assert left_in(spool) == []


def test_a_full_disk(spool: Path) -> None:
    script = (
        'mount -t tmpfs -o size=64k none "$1" && { head -c 1000000 /dev/zero > "$1/fill" 2>/dev/null; shift; "$@"; '
        'code=$?; ls -A "$SPOOL"; exit $code; }'
    )
    done = run(
        spool,
        *arguments(),
        command=["unshare", "--mount", "sh", "-c", script, "sh", str(spool), *COMMAND],
        env={**os.environ, "SPOOL": str(spool)},
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == b"fill\n"
    assert b"is full (No space left on device): free space there\n" in done.stderr


def test_no_folder(tmp_path: Path) -> None:
    text = complaint(run(tmp_path / "missing", *arguments()))
    assert "is no folder (No such file or directory): role healer makes it" in text
    assert left_in(tmp_path) == []


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("mine")
    assert "is no folder (Not a directory)" in complaint(run(tmp_path / "spool", *arguments()))
    assert (tmp_path / "spool").read_text() == "mine"


def test_an_empty_or_absurd_folder(tmp_path: Path) -> None:
    assert "the spool '' is no folder" in complaint(run(None, *arguments(), "--spool", "", cwd=tmp_path))
    assert "takes nothing: File name too long" in complaint(run(None, *arguments(), "--spool", "/" + "x" * 5000))
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("mode", "passes"),
    [(0o755, False), (0o733, False), (0o770, False), (0o777, True)],
    ids=["not written", "not listed", "others", "free"],
)
def test_rights_on_the_folder(open_place: Path, mode: int, passes: bool) -> None:
    spool = open_place / "spool"
    spool.chmod(mode)
    done = run(
        spool,
        *arguments(),
        command=[PYTHON, "-IS", str(open_place / "selfheal-event")],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
    )
    if passes:
        assert done.returncode == 0 and only_event(spool)
    else:
        assert f"user {NOBODY} may not list and write the spool" in complaint(done)
        assert left_in(spool) == []


def test_the_folders_group_may_read_it(open_place: Path) -> None:
    """How role healer sets the spool up: the setgid bit gives every event the group of the folder."""
    spool = open_place / "spool"
    os.chown(spool, 0, 12345)
    spool.chmod(0o2770)
    command = [PYTHON, "-IS", str(open_place / "selfheal-event")]
    done = run(spool, *arguments(), command=command, user=NOBODY, group=NOBODY, extra_groups=[12345])
    assert done.returncode == 0, done.stderr
    seen = (spool / left_in(spool)[0]).stat()
    assert (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (NOBODY, 12345, 0o640)


def test_many_at_the_same_time(spool: Path) -> None:
    processes = [
        subprocess.Popen([*COMMAND, *arguments({"--event-id": str(each)}), "--spool", str(spool)]) for each in range(40)
    ]
    assert [each.wait(30) for each in processes] == [0] * 40
    events = [json.loads(each.read_text()) for each in spool.iterdir()]
    assert sorted(each["event_id"] for each in events) == list(range(40))
    assert all(name.endswith(".event") for name in left_in(spool))


def test_the_order_of_names_is_the_order_of_time(spool: Path) -> None:
    for each in range(5):
        assert run(spool, *arguments({"--event-id": str(each)})).returncode == 0
    assert [json.loads((spool / name).read_text())["event_id"] for name in left_in(spool)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("closed", [[2], [0, 1, 2]], ids=["stderr", "all"])
def test_nobody_listens(spool: Path, closed: list[int]) -> None:
    def close() -> None:
        for each in closed:
            os.close(each)

    bad = subprocess.run([*COMMAND, "--nonsense"], preexec_fn=close, check=False, timeout=30)
    assert bad.returncode == 1
    good = subprocess.run([*COMMAND, *arguments(), "--spool", str(spool)], preexec_fn=close, check=False, timeout=30)
    assert good.returncode == 0 and only_event(spool)["host"] == "ei1"
