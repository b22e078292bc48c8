# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A killed run leaves nothing behind, also what has a session of its own."""

from __future__ import annotations

import subprocess
import sys
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


def test_a_worker_in_its_own_session_is_ended_too() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert worker in descendants(parent.pid)
        kill_run(parent.pid)
        assert parent.wait(10) != 0
    status = Path(f"/proc/{worker}/stat")
    assert not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] in "ZX"
