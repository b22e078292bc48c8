# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""HAProxy's server-state file with nothing in it but the members that are held.

HAProxy forgets runtime maintenance when it starts anew. With two lines in its configuration it reads this file
before it listens, so that a held member gets not one request in between::

    global
        server-state-file /var/lib/selfheal/haproxy.state
    defaults
        load-server-state-from-file global

Without these lines the file is only written, and the guard puts holds back right after the start. A file of all
servers would carry old addresses, weights and verdicts into a new configuration; this one carries maintenance.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ._errors import SelfhealError
from ._haproxy import parse_servers_state
from ._holds import Holds, write_atomic

_FORCED_MAINT = 0x01
_FORCED_DRAIN = 0x08
EMPTY = "1\n"


def path_of(holds: Holds) -> Path:
    """Where the file lives."""
    return holds.root / "haproxy.state"


def held_lines(text: str, held: Iterable[str]) -> str:
    """A state file with the lines of the held servers, each stopped and in forced maintenance."""
    wanted = set(held)
    try:
        rows = parse_servers_state(text)
    except SelfhealError:
        return EMPTY
    header = next(line for line in text.splitlines() if line.startswith("# "))
    names = header[2:].split()
    lines = []
    for row in rows:
        if f"haproxy:{row['be_name']}/{row['srv_name']}" in wanted:
            admin = (int(row["srv_admin_state"]) | _FORCED_MAINT) & ~_FORCED_DRAIN
            changed = {**row, "srv_op_state": "0", "srv_admin_state": str(admin)}
            lines.append(" ".join(changed[name] for name in names if name in changed))
    return "\n".join(["1", header, *lines]) + "\n" if lines else EMPTY


def remember(holds: Holds, live: str) -> None:
    """Write the file out of HAProxy's live answer to ``show servers state``. Call it under the lock."""
    held = [hold.resource for hold in holds.all() if hold.resource.startswith("haproxy:")]
    _write(holds, held_lines(live, held))


def prune(holds: Holds) -> None:
    """Drop members whose hold is gone, before HAProxy reads the file. Call it under the lock."""
    held = [hold.resource for hold in holds.all() if hold.resource.startswith("haproxy:")]
    try:
        text = path_of(holds).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = EMPTY
    _write(holds, held_lines(text, held))


def _write(holds: Holds, text: str) -> None:
    path = path_of(holds)
    try:
        if path.read_text(encoding="utf-8") == text:
            return
    except (OSError, UnicodeDecodeError):
        pass
    write_atomic(path, text)
