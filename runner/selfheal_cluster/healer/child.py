# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A child process with a question and an answer in memory, which never makes the healer wait."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

END_SECONDS = 5.0  # a process that was killed and does not end (a disk that hangs) is left to itself after this
MAX_ANSWER = 256 * 1024 * 1024
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH")


@dataclass
class Ended:
    """A child that has ended: how, what it said on standard error, and what it cost."""

    code: int
    said: str
    cpu_seconds: float
    timed_out: bool


class Child:
    """One child at a time. Question and answer are files in memory, so no pipe can fill up."""

    def __init__(
        self,
        words: Sequence[str],
        timeout: float,
        more_env: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._more_env = dict(more_env or {})
        self._words = list(words)
        self._timeout = timeout
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._files: list[int] = []
        self._until = 0.0
        self._timed_out = False

    @property
    def running(self) -> bool:
        """Whether it was begun and its end was not collected yet."""
        return self._process is not None

    def begin(self, question: Any) -> None:
        """Start it; whatever goes wrong is an OSError."""
        self._files = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("question", "answer", "errors")]
        try:
            with os.fdopen(os.dup(self._files[0]), "w", encoding="utf-8") as sink:
                json.dump(question, sink)
            os.lseek(self._files[0], 0, os.SEEK_SET)
            env = {name: os.environ[name] for name in INHERITED if name in os.environ}
            env.update(self._more_env)
            self._process = subprocess.Popen(
                self._words, stdin=self._files[0], stdout=self._files[1], stderr=self._files[2],
                start_new_session=True, env=env,
            )  # fmt: skip
        except BaseException:
            self._close()
            raise
        self._until = self._clock() + self._timeout
        self._timed_out = False

    def ended(self) -> Ended | None:
        """How it ended, or None while it works. One that takes too long is killed here."""
        process = self._process
        if process is None:
            return None
        if self._clock() >= self._until and not self._timed_out:
            self._timed_out = True
            self._kill(process)
        bury()
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid == 0 and self._timed_out and self._clock() >= self._until + END_SECONDS:
            _left.append(process)
            self._process = None
            return Ended(-signal.SIGKILL, "it was killed and does not end", 0.0, True)
        if pid == 0:
            return None
        process.returncode = os.waitstatus_to_exitcode(status)
        self._process = None
        said = os.pread(self._files[2], 65536, 0).decode("utf-8", "replace")
        return Ended(process.returncode, said.strip()[-600:], usage.ru_utime + usage.ru_stime, self._timed_out)

    def ready(self) -> bool:
        """Whether it has ended, or has to be ended; nothing is collected."""
        if self._process is None:
            return False
        if self._clock() >= self._until:
            return True
        found = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found is not None

    def answer(self) -> Iterator[Any]:
        """The lines of its answer, one at a time; the memory is given back at the end."""
        try:
            if os.fstat(self._files[1]).st_size > MAX_ANSWER:
                raise ValueError(f"the answer is larger than {MAX_ANSWER} bytes")
            os.lseek(self._files[1], 0, os.SEEK_SET)
            with io.TextIOWrapper(io.FileIO(os.dup(self._files[1])), encoding="utf-8") as lines:
                for line in lines:
                    yield json.loads(line)
        finally:
            self._close()

    def stop(self) -> None:
        """End it without asking; it only reads, and a ring that lacks a reading is no harm."""
        process, self._process = self._process, None
        if process is not None:
            self._kill(process)
            leave(process)
        self._close()

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _close(self) -> None:
        files, self._files = self._files, []
        for each in files:
            os.close(each)


_left: list[subprocess.Popen[bytes]] = []


def leave(process: subprocess.Popen[bytes], seconds: float = 1.0) -> None:
    """Wait for the end of a process that was killed, but not for ever; it is buried when it ends."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        _left.append(process)


def bury() -> None:
    """Collect processes that were left to themselves and have ended since."""
    _left[:] = [process for process in _left if process.poll() is None]


def module(name: str, *arguments: str) -> list[str]:
    """The words that run a module of ours with our own Python."""
    return [sys.executable, "-m", name, *arguments]
