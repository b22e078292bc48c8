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
        for listed in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                children += [int(word) for word in listed.read_text().split()]
        found += children
        queue += children
    return found


def kill_run(pid: int) -> None:
    """SIGKILL for a process and for all that it started.

    Each worker of ansible-playbook has a session of its own since 2.19: when only the process group is killed, the
    workers stay, blocked for ever on a pipe that nobody reads any more.
    """
    below = descendants(pid)
    for each in [pid, *below]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
