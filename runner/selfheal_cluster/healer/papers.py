# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Metrics and the pages of incidents, each written by a process of its own, one at a time.

What is due is read from the journal and from the files, not remembered: after a restart nothing is missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from selfheal_cluster.healer.child import Child, module
from selfheal_cluster.healer.config import Config
from selfheal_cluster.healer.log import Troubles
from selfheal_cluster.healer.units import NAME

METRICS_SECONDS = 30.0
PAGES_SECONDS = 10.0
TIMEOUT_SECONDS = 60.0
PAGES_KEPT = 500


class Changes(Protocol):
    """What is needed of the journal."""

    def changes(self, limit: int) -> dict[str, float]: ...


def due_pages(changed: Mapping[str, float], written: Mapping[str, float], failed: Mapping[str, float]) -> list[str]:
    """Incidents whose page is missing or older than their last change; one that failed waits for its next change."""
    return [
        incident
        for incident, at in sorted(changed.items(), key=lambda item: -item[1])
        if written.get(incident, float("-inf")) < at and failed.get(incident) != at
    ]


class Papers:
    """Writes what people read; it never keeps a heal waiting."""

    def __init__(self, config: Config, books: Changes, troubles: Troubles) -> None:
        self._config = config
        self._books = books
        self._troubles = troubles
        self._child: Child | None = None
        self._writing = ""
        self._changed_at = 0.0
        self._failed: dict[str, float] = {}
        self._metrics_at = self._pages_at = float("-inf")

    def clock_went_back(self) -> None:
        """Everything is due."""
        self._metrics_at = self._pages_at = float("-inf")

    def step(self, now: float) -> None:
        """Collect what was written, or begin what is due."""
        if self._child is not None:
            self._collect()
        elif self._config.metrics_file and now - self._metrics_at >= METRICS_SECONDS:
            self._metrics_at = now
            words = ["--journal", self._config.journal, "--out", self._config.metrics_file]
            self._begin("metrics", "selfheal_cluster.metrics", words)
        elif self._config.pages_dir and now - self._pages_at >= PAGES_SECONDS:
            self._page(now)

    def _page(self, now: float) -> None:
        folder = Path(self._config.pages_dir)
        written = {path.stem: path.stat().st_mtime for path in folder.glob("*.html")}
        for _at, old in sorted((at, name) for name, at in written.items())[:-PAGES_KEPT]:  # room before another one
            (folder / f"{old}.html").unlink(missing_ok=True)
        changed = self._books.changes(50)
        due = due_pages(changed, written, self._failed)
        if not due:
            self._pages_at = now
            if not self._failed:
                self._troubles.end("pages", "can be written again")
            return
        incident = due[0]
        self._changed_at = changed[incident]
        if NAME.fullmatch(f"{incident}-1"):  # a name of ours, and so no path
            out = str(folder / f"{incident}.html")
            words = ["--journal", self._config.journal, "--incident", incident, "--out", out]
            self._begin(incident, "selfheal_cluster.page", words)
        else:
            self._failed[incident] = self._changed_at

    def _begin(self, what: str, name: str, words: list[str]) -> None:
        self._child = Child(module(name, *words), TIMEOUT_SECONDS)
        self._writing = what
        try:
            self._child.begin({})
        except OSError:
            self._child = None
            raise

    def _collect(self) -> None:
        assert self._child is not None
        ended = self._child.ended()
        if ended is None:
            return
        self._child.stop()
        self._child = None
        part = "metrics" if self._writing == "metrics" else "pages"
        if ended.code == 0:
            self._troubles.end(part, "can be written again")
            return
        if part == "pages":
            self._failed[self._writing] = self._changed_at
        last = ended.said.splitlines()[-1] if ended.said else f"code {ended.code}"
        self._troubles.begin(part, f"cannot be written: {last[:300]}")

    def stop(self) -> None:
        """End what is being written; it is written whole or not at all."""
        child, self._child = self._child, None
        if child is not None:
            with contextlib.suppress(OSError):
                child.stop()
