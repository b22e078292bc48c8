# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What runs leave behind: how they ended, and their folders."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils import _run_live
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import OUTCOMES
from selfheal_cluster.healer.units import NAME, run_name

RESULT = _run_live.RESULT
KEPT = 200
KEPT_BYTES = 512 * 1024 * 1024


def read_result(runs: str, incident: str, number: int) -> dict[str, Any]:
    """The result of a run, or nothing when it has written none yet."""
    return _run_live.read_result(Path(runs) / run_name(incident, number) / RESULT)


def outcome_of(result: Mapping[str, Any]) -> str:
    """The verified outcome of a run that has ended; empty where it left none, and never guessed."""
    outcome = result.get("outcome")
    return str(outcome) if outcome in OUTCOMES else ""


def prune(runs: str, spared: Iterable[str], kept: int = KEPT, kept_bytes: float | None = KEPT_BYTES) -> int:
    """Keep the newest folders of runs, by number and by bytes; how many were removed. ``spared`` are never removed.

    Without ``kept_bytes`` nobody looks into the folders, which takes long where there are many.
    """
    never = set(spared)
    folders = []
    for entry in os.scandir(runs):
        # Only what a run made: a folder of another name is somebody else's.
        if re.fullmatch(NAME, entry.name) and entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(OSError):
                folders.append((entry.stat(follow_symlinks=False).st_mtime, entry.name))
    removed, used = 0, 0
    for place, (_at, name) in enumerate(sorted(folders, reverse=True)):
        if place < kept:
            if kept_bytes is None:
                continue
            used += size(Path(runs) / name) if used <= kept_bytes else 0
            if used <= kept_bytes:
                continue
        if name not in never:
            shutil.rmtree(Path(runs) / name, ignore_errors=True)
            removed += 1
    return removed


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for at, _folders, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{at}/{name}").st_size
    return total
