# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""End a run as a power cut would: at once, and with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Children, their children and so on, as they are now."""
    found: list[int] = []
    queue = [pid]
    while queue:
        parent = queue.pop()
        children: list[int] = []
        with contextlib.suppress(OSError):  # it may end between two looks: then it has no children any more
            for thread in Path(f"/proc/{parent}/task").iterdir():
                with contextlib.suppress(OSError):
                    listed = (thread / "children").read_text(encoding="ascii")
                    children += [int(word) for word in listed.split()]
        found += children
        queue += children
    return found


def gone(pid: int) -> bool:
    """Whether the process ended; one that nobody waited for yet still has its entry."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def kill_run(pid: int) -> None:
    """SIGKILL for a process and for all that it started.

    Each worker of ansible-playbook has a session of its own since 2.19: when only the process group is killed, the
    workers stay, blocked for ever on a pipe that nobody reads any more.
    """
    stopped: list[int] = []
    while True:  # nobody forks while it is stopped, so a round that finds nobody new has found all
        new = [each for each in [pid, *descendants(pid)] if each not in stopped]
        if not new:
            break
        for each in new:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGSTOP)
        stopped += new
    for each in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
