# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The judge's client shares its CPUs with the farm, and must not write down gaps that nobody felt."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ASK = """
import os, subprocess, sys
from lab.judge.__main__ import ahead
said = ahead()
own = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
child = subprocess.run([sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"], capture_output=True,
                       text=True, check=True)
print(said, own == os.SCHED_RR, child.stdout.strip() == str(os.SCHED_OTHER))
"""


RIGHT = {"with the right": [], "without": ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice"]}


@pytest.mark.parametrize("right", RIGHT)
def test_it_runs_before_the_farm_where_it_may_and_what_it_starts_does_not(right: str) -> None:
    """In a process of its own, as the judge is. Without the right it goes on as everybody."""
    done = subprocess.run(
        [*RIGHT[right], sys.executable, "-c", ASK],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT / ".dev")},
    )  # fmt: skip
    expected = "normal False True" if right == "without" else "realtime True True"
    assert done.stdout.strip() == expected, done.stderr


def test_it_ends_with_the_process_that_wanted_it() -> None:
    """A campaign that is killed must not leave clients behind that ask for hours."""
    ask = "import os; from lab.judge.__main__ import orphaned as gone; print(gone(os.getppid()), gone(1), gone(0))"
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]
