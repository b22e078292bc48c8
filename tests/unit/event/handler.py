# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Runs selfheal-event as Nagios does, and as Nagios never would: with parts of ``os`` exchanged."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

HANDLER = Path(__file__).resolve().parents[3] / "roles" / "healer" / "files" / "selfheal-event"
PYTHON = "/usr/bin/python3"
COMMAND = [PYTHON, "-IS", str(HANDLER)]
GOOD = {
    "--host": "ei1",
    "--service": "memory",
    "--state": "CRITICAL",
    "--type": "HARD",
    "--attempt": "3",
    "--event-id": "17",
}
Word = str | bytes


def arguments(changes: dict[str, Word | None] | None = None) -> list[Word]:
    """The arguments of a good call; ``None`` leaves an option out."""
    given: dict[str, Word | None] = {**GOOD, **(changes or {})}
    return [word for option, value in given.items() if value is not None for word in (option, value)]


def run(spool: Path | None, *words: Word, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """The handler's own end. ``spool`` None: the option is not given."""
    into: list[Word] = [] if spool is None else ["--spool", str(spool)]
    command = more.pop("command", COMMAND)
    return subprocess.run([*command, *into, *words], capture_output=True, check=False, timeout=30, **more)


def patched(spool: Path, patch: str, *words: Word) -> subprocess.CompletedProcess[bytes]:
    """The handler after these lines of Python ran in its process; ``os`` and ``sys`` are there."""
    driver = (
        f"import os, sys\n{patch}\nsource = open({str(HANDLER)!r}, encoding='utf-8').read()\n"
        "exec(compile(source, 'selfheal-event', 'exec'), {'__name__': '__main__'})\n"
    )
    return run(spool, *(words or arguments()), command=[PYTHON, "-IS", "-c", driver])


def left_in(spool: Path) -> list[str]:
    """Every name in the folder, hidden ones too."""
    return sorted(each.name for each in spool.iterdir())


def only_event(spool: Path) -> dict[str, Any]:
    """The one event that is there, and nothing else is."""
    names = left_in(spool)
    assert len(names) == 1 and names[0].endswith(".event"), names
    body = (spool / names[0]).read_text(encoding="ascii")
    assert body.endswith("\n") and len(body.splitlines()) == 1, body
    found: dict[str, Any] = json.loads(body)
    return found


def complaint(done: subprocess.CompletedProcess[bytes]) -> str:
    """What a refused call said: exit code 1, and one plain line, fit for a log."""
    assert (done.returncode, done.stdout) == (1, b""), (done.returncode, done.stdout, done.stderr)
    text = done.stderr.decode("ascii")
    assert text.startswith("selfheal-event: ") and text.endswith("\n"), text
    assert text[:-1].isprintable() and len(text) < 300, text
    return text
