# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""From the outbox into Nagios' pipe. What cannot be delivered waits in the journal, also over a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_commands as commands
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

LINES_OF_A_TICK = 50
WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 60.0
PIPE_SECONDS = 0.3  # a Nagios that hangs must not hold up the loop
COMMENTS = ("ADD_HOST_COMMENT", "ADD_SVC_COMMENT")

Write = Callable[[str, Iterable[str]], None]


class Outbox(Protocol):
    """What delivering needs of the journal."""

    def pending(self, limit: int) -> list[dict[str, Any]]: ...

    def delivered(self, ids: Iterable[int], now: float) -> None: ...

    def undelivered(self, ids: Iterable[int], error: str) -> None: ...


def write_pipe(pipe: str, lines: Iterable[str]) -> None:
    """Write to Nagios' pipe, without waiting for one that hangs."""
    commands.write(pipe, lines, PIPE_SECONDS)


def stamped(row: Mapping[str, Any], now: float) -> str:
    """The command with its time: a comment keeps the time of what it tells; a state counts from now."""
    line = str(row["line"]).rstrip("\n")
    at = row["at"] if line.partition(";")[0] in COMMENTS else now
    return f"[{int(at)}] {line}\n"


def unstamped(line: str) -> str:
    """A command of ``_nagios_commands`` without its time, which it gets when it is delivered."""
    return line.partition("] ")[2].rstrip("\n")


class Deliverer:
    """Delivers in the order of the outbox, and lets Nagios rest after a failure."""

    def __init__(self, pipe: str, outbox: Outbox, write: Write = write_pipe) -> None:
        self._pipe = pipe
        self._outbox = outbox
        self._write = write
        self._not_before = float("-inf")
        self._wait = WAIT_SECONDS

    def resting(self, now: float) -> bool:
        """Whether Nagios is left alone for a while because it took nothing."""
        return now < self._not_before

    def rest_no_more(self) -> None:
        """Nagios listens again, or the clock went back and the end of the pause is not near any more."""
        self._not_before = float("-inf")

    def deliver(self, now: float) -> tuple[int, list[str]]:
        """Deliver what waits: how many lines, and sentences about lines that Nagios can never take.

        Raises :class:`SelfhealError` when Nagios does not take them now; they stay in the journal.
        """
        if self.resting(now):
            return 0, []
        rows = self._outbox.pending(LINES_OF_A_TICK)
        done: list[int] = []
        dropped: list[str] = []
        failure: SelfhealError | None = None
        for row in rows:
            try:
                self._write(self._pipe, [stamped(row, now)])
            except SelfhealError as exc:
                if exc.reason != "invalid_value":
                    failure = exc
                    break
                dropped.append(f"{row['key']}: {exc.message}")  # it would stand before all others for ever
            done.append(row["id"])
        if done:
            # Written twice after a crash here: a comment more, which is better than one that is missing.
            self._outbox.delivered(done, now)
            self._wait = WAIT_SECONDS
        if failure is not None:
            self._not_before = now + self._wait
            self._wait = min(self._wait * 2, LONGEST_WAIT_SECONDS)
            self._outbox.undelivered([row["id"] for row in rows if row["id"] not in done], failure.message)
            raise failure
        return len(done), dropped

    def now(self, lines: Iterable[str]) -> None:
        """Write something at once that is worth nothing later, like a heartbeat."""
        self._write(self._pipe, lines)
