# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A second lab beside the first, in a network namespace of its own, so that two workers can use machines at once.

Both labs have the same addresses, as `lab/README.md` says of more labs at once; the worker that has entered the
namespace, and every process that it starts, sees the second one only.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "shtwo"
CLONE_NEWNET = 0x40000000  # linux/sched.h; os.setns() is newer than Debian 12's Python
_left: list[int] = []  # handle of the namespace that was left, for the way back


def _enter(handle: int) -> None:
    """Put this thread, and what it starts from now on, into a network namespace (setns(2))."""
    if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


def _open(namespace: str) -> int:
    return os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)


def _run(*command: str, check: bool = True) -> None:
    environment = {**os.environ, "LAB_NAME": NAME}
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=900, check=False)
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def inside() -> bool:
    """Whether this worker has the second lab."""
    return bool(_left)


def enter() -> None:
    """Make the namespace and go into it; what a killed run left of it is removed first."""
    # The namespace reaches no index and no mirror, so what comes from there is fetched before.
    _run("/usr/bin/python3", "-m", "lab.base", "ensure")
    _run(sys.executable, "-m", "lab.wheelhouse")
    _run("lab/down")
    _run("ip", "netns", "del", NAME, check=False)
    _run("ip", "netns", "add", NAME)
    _left.append(_open("/proc/thread-self/ns/net"))
    inner = _open(f"/run/netns/{NAME}")
    _enter(inner)
    os.close(inner)
    os.environ["LAB_NAME"] = NAME  # last: half a way in must not leave tests with the other lab's addresses
    _run("ip", "link", "set", "lo", "up")


def leave() -> None:
    """Back to the host's network, without the namespace."""
    home = _left.pop()
    _enter(home)
    os.close(home)
    del os.environ["LAB_NAME"]
    _run("ip", "netns", "del", NAME)
