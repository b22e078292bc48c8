# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Which worker runs what: the files with a test on the lab's machines in two labs, in their order, the rest in two."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.integration import second_lab

ROOT = Path(__file__).resolve().parents[1]


@functools.cache
def on_the_lab(file: str) -> bool:
    """The lab is one: two workers that break its machines at the same time would break each other's tests."""
    return "mark.lab" in (ROOT / file).read_text(encoding="utf-8")


#: What has machines of its own, in the worker that has done its other part first: it puts a healer on the farm and
#: takes it away, or leaves the machines as they are.
SECOND = (
    "tests/integration/cli/",
    "tests/integration/healer/",
    "tests/integration/nagios/",
    "tests/integration/survey/",
    "tests/integration/test_with_the_healer.py",
)

#: Mostly Ansible that works for this machine alone: about as long as all of the rest.
SLOW = ("tests/gates/", "tests/integration/healer/")


def part(file: str, workers: int) -> str:
    """Which files go together, by the number of workers: fewer than three share one lab."""
    if on_the_lab(file):
        return "second lab" if workers > 2 and file.startswith(SECOND) else "lab"
    return "slow" if file.startswith(SLOW) else "rest"


_did_first: list[str] = []  # a worker that has the first lab goes on with it: its machines are there already


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The parts without a lab, and all that they start, leave the CPU to those with one when both want it."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
    if not workers:
        return
    mine = part(item.nodeid.partition("::")[0], workers)
    os.setpriority(os.PRIO_PROCESS, 0, 0 if mine.endswith("lab") else 5)
    if mine == "second lab" and not _did_first and not second_lab.inside():
        second_lab.enter()
    if mine == "lab":
        _did_first.append(mine)


class Parts(LoadScopeScheduling):
    """Not xdist's own groups: they do nothing with pytest 9 (tried with xdist 3.8.0)."""

    def _split_scope(self, nodeid: str) -> str:
        return part(nodeid.partition("::")[0], self.numnodes)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Parts:
    return Parts(config, log)
