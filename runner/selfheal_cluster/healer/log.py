# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One line per event, and each trouble once: when it begins, and when it is over."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import TextIO

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean

LINE_LIMIT = 600
CAUSE = {"pipe": "nagios"}  # a Nagios that is down neither answers nor reads its pipe: that is one line, not two


class Log:
    """Lines to standard output, which systemd keeps with their time."""

    def __init__(self, sink: TextIO | None = None) -> None:
        self._sink = sink

    def say(self, text: str) -> None:
        """One event. A log that cannot be written is no reason to let a heal wait."""
        sink = self._sink or sys.stdout
        try:
            sink.write(clean(text, LINE_LIMIT) + "\n")
            sink.flush()
        except (OSError, ValueError):
            return


class Troubles:
    """What is wrong now, by part. A line at the begin and at the end; a trouble that explains others tells of all."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._over: dict[str, str] = {}
        self.now: dict[str, str] = {}

    def begin(self, part: str, text: str, again: bool = False) -> None:
        """Something is wrong; its text may change, the line is written once, or with ``again`` once per text."""
        told = self._over.pop(part, None) is not None or self._explained(part)
        if not told and (part not in self.now or (again and self.now[part] != text)):
            self._say(f"{CAUSE.get(part, part)}: {text}")
        self.now[part] = text

    def end(self, part: str, text: str) -> None:
        """It is well again. A cause waits with its line for what it explains, until ``settle``."""
        if self.now.pop(part, None) is None or self._explained(part):
            return
        if self._of(part):
            self._over[part] = text
            return
        cause = CAUSE.get(part, part)
        self._say(f"{cause}: {self._over.pop(cause, text)}")

    def settle(self) -> None:
        """At the end of a tick: causes that are over although something that they explained is not."""
        for cause, text in self._over.items():
            self._say(f"{cause}: {text}; but: {'; '.join(self._of(cause))}")
        self._over.clear()

    def _explained(self, part: str) -> bool:
        return part in CAUSE and CAUSE[part] in self.now

    def _of(self, cause: str) -> list[str]:
        return [text for part, text in sorted(self.now.items()) if CAUSE.get(part) == cause]


def where(exc: BaseException) -> str:
    """The innermost lines of ours that an exception came through."""
    frames = list(traceback.extract_tb(exc.__traceback__))[-3:]
    return " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
