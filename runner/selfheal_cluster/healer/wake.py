# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Rest until something comes into the spool. The kernel tells by a signal (dnotify, fcntl(2) F_NOTIFY).

It is only a way to be woken sooner: whoever rests looks at the folder afterwards, and again after a short while even
if no word came, so that nothing depends on it. inotify would need ctypes; this needs the standard library alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
from pathlib import Path
from types import FrameType

NUMBER = signal.SIGIO


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """The word itself comes through the pipe. Without any handler this signal ends a process."""


class Wake:
    """Word of a folder, for the main thread. Where the kernel gives none (the folder is missing, or on a file system
    that cannot) it only sleeps. Any other signal that has a handler ends a rest as well.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._handle = -1
        self._inode = (0, 0)
        self._told, self._tell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(NUMBER, _nothing)
        self._before = signal.set_wakeup_fd(self._tell, warn_on_full_buffer=False)

    def rest(self, seconds: float) -> None:
        """Sleep, or less when something has come since the last rest."""
        self._watch()
        if select.select([self._told], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._told, 4096)

    def _watch(self) -> None:
        """Watch the folder that is there now: a folder that was made anew is another one."""
        try:
            found = self._folder.stat()
            if self._handle >= 0 and (found.st_dev, found.st_ino) == self._inode:
                return
            self._leave()
            self._handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._inode = (found.st_dev, found.st_ino)
            fcntl.fcntl(self._handle, fcntl.F_NOTIFY, fcntl.DN_CREATE | fcntl.DN_RENAME | fcntl.DN_MULTISHOT)
        except OSError:
            self._leave()

    def _leave(self) -> None:
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                os.close(self._handle)
            self._handle = -1

    def close(self) -> None:
        """No more word. One that is under way still must not end the process."""
        self._leave()
        signal.set_wakeup_fd(self._before)
        signal.signal(NUMBER, signal.SIG_IGN)
        for each in (self._told, self._tell):
            os.close(each)
