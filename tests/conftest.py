# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Which worker runs what: every file with a test on the lab's machines in one, in its order, the rest in the other."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[1]


@functools.cache
def on_the_lab(file: str) -> bool:
    """The lab is one: two workers that break its machines at the same time would break each other's tests."""
    return "mark.lab" in (ROOT / file).read_text(encoding="utf-8")


class TwoHalves(LoadScopeScheduling):
    """Not xdist's own groups: they do nothing with pytest 9 (tried with xdist 3.8.0)."""

    def _split_scope(self, nodeid: str) -> str:
        return "lab" if on_the_lab(nodeid.partition("::")[0]) else "rest"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TwoHalves:
    return TwoHalves(config, log)
