# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Names of the inventory, resolved on the controller: all at once, and not longer than a heal can wait.

A resolver without a server gives up after ten seconds or more for every single name. Clients wait for this heal, so
a name that was not resolved in time counts as one that does not resolve, and the heal says so.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence

SECONDS = 3.0


def resolve(names: Sequence[str], seconds: float = SECONDS) -> dict[str, list[str]]:
    """All addresses of each name; none for a name that does not resolve, or not within ``seconds``."""
    found: dict[str, list[str]] = {}
    end = time.monotonic() + seconds
    # Daemons: a question that nobody answers must not keep the play from its end.
    asking = [threading.Thread(target=_ask, args=(name, found), daemon=True) for name in names]
    for one in asking:
        one.start()
    for one in asking:
        one.join(max(0.0, end - time.monotonic()))
    return {name: found.get(name, []) for name in names}


def _ask(name: str, found: dict[str, list[str]]) -> None:
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return  # no such name
    found[name] = sorted({str(answer[4][0]) for answer in answers})
