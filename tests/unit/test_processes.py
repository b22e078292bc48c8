# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A killed run leaves nothing behind, also what has a session of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.processes import descendants, kill_run

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


def gone(pid: int) -> bool:
    """Whether the process ended; one that nobody waited for yet still has its entry."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_worker_in_its_own_session_is_ended_too() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert worker in descendants(parent.pid)
        kill_run(parent.pid)
        assert parent.wait(10) != 0
    end = time.monotonic() + 10
    while not gone(worker):
        assert time.monotonic() < end, "the worker is still there"
        time.sleep(0.01)
