# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A killed run leaves nothing behind, also what has a session of its own."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.processes import descendants, gone, kill_run

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
    end = time.monotonic() + 10
    while not gone(worker):
        assert time.monotonic() < end, "the worker is still there"
        time.sleep(0.01)


MANY = """
import subprocess
print("up", flush=True)
while True:
    subprocess.Popen(["sh", "-c", "true & wait"]).wait()
"""


def test_children_that_end_while_they_are_looked_for_are_no_error() -> None:
    with subprocess.Popen([sys.executable, "-c", MANY], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        try:
            seen = {pid for _ in range(2000) for pid in descendants(parent.pid)}
        finally:
            kill_run(parent.pid)
    assert seen, "none was ever there: the case shows nothing"


def test_of_a_process_that_is_gone_there_are_no_children() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    assert descendants(ended.pid) == []
    kill_run(ended.pid)
