# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The spool: alerts that Nagios' event handler left on disk (invariant 12).

A file is removed only after the journal has its alert, so that an alert may be seen twice and is never lost.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SUFFIX = ".event"
BAD = "bad"
MAX_BYTES = 16384
MAX_NAME = 255
MAX_FILES = 500  # of one tick, so that a flood cannot keep the loop from its other duties
BAD_KEPT = 200
MAX_UNREAD = 200  # of one tick; the next ones come at the next tick
AGAIN_SECONDS = 2.0  # how soon a file that could not be read or removed is tried again, behind all others
TEXTS = {"host": True, "service": False, "state": True, "type": True}


@dataclass
class Batch:
    """What one look into the spool gave: alerts, files that are none with the reason, and files that stay.

    What cannot be read (rights, a disk that fails) may well be an alert, so it is left where it is.
    """

    alerts: list[dict[str, Any]] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    more: bool = False


def parse(name: str, data: bytes, read_at: float) -> dict[str, Any]:
    """The alert in a file; raises ValueError with the reason. Names are data: whatever they hold is kept."""
    try:
        content = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"it is no JSON in UTF-8: {str(exc)[:100]}") from exc
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    if content.get("v") != 1:
        raise ValueError(f"its version is {str(content.get('v'))[:20]!r}, this healer knows 1: upgrade the healer")
    alert: dict[str, Any] = {"id": name, "read_at": read_at}
    for key, needed in TEXTS.items():
        value = content.get(key)
        if value in (None, "", "$") and not needed:
            value = None  # the macro of a service that an alert of a host does not have
        elif not isinstance(value, str) or not value or len(value) > MAX_NAME:
            raise ValueError(f"{key} is {str(value)[:60]!r}, no text of 1 to {MAX_NAME} characters")
        elif any(letter < " " or "\x7f" <= letter <= "\x9f" or "\ud800" <= letter <= "\udfff" for letter in value):
            raise ValueError(f"{key} holds characters that no name has")  # what the event handler refuses, and no more
        alert[key] = value
    for key in ("attempt", "event_id"):
        value = content.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
            raise ValueError(f"{key} is {str(value)[:60]!r}, no whole number")
        alert[key] = value
    at = content.get("at")
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not 0 < at < 1e11:
        raise ValueError(f"at is {str(at)[:60]!r}, no seconds since the epoch")
    # An alert of the future would never be answered by a newer reading.
    alert["at"] = min(float(at), read_at)
    return alert


class Spool:
    """The folder of the spool."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._left: dict[str, tuple[float, str]] = {}  # files that stay: since when, and why

    def names(self) -> list[str]:
        """The alerts that wait, oldest first by their name."""
        with os.scandir(self.folder) as entries:
            return sorted(entry.name for entry in entries if _is_event(entry.name))

    def read(self, now: float) -> Batch:
        """Everything that waits, up to a limit; nothing is changed on disk. What cannot be read keeps nobody behind."""
        names = self.names()
        there = set(names)
        self._left = {name: left for name, left in self._left.items() if name in there}
        batch = Batch(unread={name: why for name, (at, why) in self._left.items() if 0 <= now - at < AGAIN_SECONDS})
        names = [name for name in names if name not in self._left]
        names += [name for name in self._left if name not in batch.unread]  # once more, behind all new ones
        batch.more, most = len(names) > MAX_FILES, len(batch.unread) + MAX_UNREAD
        for name in names[:MAX_FILES]:
            if len(batch.unread) >= most:
                batch.more = True
                break
            self._left.pop(name, None)
            try:
                data = _content(self.folder / name)
                if data is not None:
                    batch.alerts.append(parse(name, data, now))
            except (ValueError, ArithmeticError) as exc:
                batch.bad[name] = str(exc)
            except OSError as exc:
                where = batch.bad if exc.errno in (errno.ELOOP, errno.ENXIO) else batch.unread  # a link, a socket
                where[name] = f"it cannot be read: {exc.strerror}"
                if where is batch.unread:
                    self._left[name] = (now, where[name])  # at the end of the queue
        return batch

    def remove(self, name: str, now: float) -> str:
        """Forget a file whose alert is in the journal; why it stays, or ''."""
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as exc:
            return self._stays(name, f"it cannot be removed: {exc.strerror}", now)
        return ""

    def set_aside(self, name: str, now: float) -> str:
        """Keep a bad file for a human, out of the way; only so many, since they may come without end. Why it stays."""
        aside = self.folder / BAD
        try:
            aside.mkdir(mode=0o750, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                (self.folder / name).rename(aside / name)
        except OSError as exc:
            return self._stays(name, f"it is no alert and cannot be moved to bad/: {exc.strerror}", now)
        with contextlib.suppress(OSError):
            for old in sorted(aside.iterdir())[:-BAD_KEPT]:
                with contextlib.suppress(OSError):  # a folder, or somebody else's file
                    old.unlink()
        return ""

    def _stays(self, name: str, why: str, now: float) -> str:
        self._left.pop(name, None)
        self._left[name] = (now, why)
        return why


def oldest(names: list[str], now: float) -> float:
    """How many seconds the oldest file waits, by the time in its name; 0 when nothing waits."""
    for name in names:
        digits = name.partition("-")[0]
        if digits.isdigit() and len(digits) <= 20:
            return max(0.0, now - int(digits) / 1e9)
    return 0.0


def _is_event(name: str) -> bool:
    # selfheal-event writes digits; a name that is no ASCII could not even be kept in the journal.
    return name.endswith(SUFFIX) and not name.startswith(".") and name.isascii()


def _content(path: Path) -> bytes | None:
    """The bytes of a plain file; None when it is gone. A link or a pipe is never opened."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no plain file")
        if status.st_size > MAX_BYTES:
            raise ValueError(f"it has {status.st_size} bytes, an alert has at most {MAX_BYTES}")
        return os.read(handle, MAX_BYTES)
    finally:
        os.close(handle)
