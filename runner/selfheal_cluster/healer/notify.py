# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What systemd hears of the healer: that it is ready, that it still ticks, that it stops (``sd_notify``)."""

from __future__ import annotations

import contextlib
import os
import socket

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"
VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notify:
    """Datagrams to the service manager; nothing where there is none. A message that is lost is no reason to stop."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        for name in VARIABLES:  # not for children: only this process says that it is alive
            os.environ.pop(name, None)
        self._ready = False

    def ticked(self) -> None:
        """One tick is done, whole."""
        self._say(ALIVE if self._ready else f"{READY}\n{ALIVE}")
        self._ready = True

    def stopping(self) -> None:
        """The last tick begins."""
        self._say(STOPPING)

    def _say(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sink:
            sink.setblocking(False)
            sink.sendto(text.encode("ascii"), address)
