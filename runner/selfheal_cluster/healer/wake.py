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
import signal
import time
from pathlib import Path

NUMBER = signal.SIGIO


class Wake:
    """Word of a folder. Where the kernel gives none (a folder that is missing, a file system without it) it sleeps."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._handle = -1
        self._inode = (0, 0)
        signal.pthread_sigmask(signal.SIG_BLOCK, {NUMBER})  # taken by ``rest`` only, never by a handler

    def rest(self, seconds: float) -> None:
        """Sleep, or less when something has come since the last rest."""
        if not self._watched():
            time.sleep(seconds)
            return
        signal.sigtimedwait({NUMBER}, seconds)

    def _watched(self) -> bool:
        """Watch the folder that is there now: a folder that was made anew is another one."""
        try:
            found = self._folder.stat()
            if self._handle >= 0 and (found.st_dev, found.st_ino) == self._inode:
                return True
            self.close()
            self._handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._inode = (found.st_dev, found.st_ino)
            fcntl.fcntl(self._handle, fcntl.F_NOTIFY, fcntl.DN_CREATE | fcntl.DN_RENAME | fcntl.DN_MULTISHOT)
        except OSError:
            self.close()
            return False
        return True

    def close(self) -> None:
        """No more word."""
        if self._handle >= 0:
            with contextlib.suppress(OSError):
                os.close(self._handle)
            self._handle = -1
