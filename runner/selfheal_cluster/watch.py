# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""``selfheal status --watch``: redrawn on a terminal, and a line per change anywhere else. Ends with Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from selfheal_cluster import show, status
from selfheal_cluster.errors import CliError

View = Mapping[str, Any]


def watch(out: Console, read: Callable[[], View], every: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Look, show, wait ``every`` seconds, again. The first look may fail; later ones tell why and go on."""
    with ended_by_a_signal():
        if out.is_terminal and not out.is_dumb_terminal:
            redraw(out, read, every, sleep)
        else:
            tell(out, read, every, sleep)


@contextlib.contextmanager
def ended_by_a_signal() -> Iterator[None]:
    """Ctrl-C is the way to end it, and a kill gives the terminal back just the same."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def looks(read: Callable[[], View], every: float, sleep: Callable[[float], None]) -> Iterator[View]:
    """One view after the other, without end."""
    view = read()
    while True:
        yield view
        sleep(every)
        try:
            view = read()
        except CliError as error:
            journal = {**view["journal"], "present": False, "asked": False, "error": error.message}
            view = {**view, "journal": journal}


def redraw(out: Console, read: Callable[[], View], every: float, sleep: Callable[[float], None]) -> None:
    """The whole picture, in place; the last one stays on the terminal."""
    last: View | None = None
    try:
        with out.status("reading the journal"):
            steps = looks(read, every, sleep)
            last = next(steps)
        with Live(drawn(last), console=out, screen=True, auto_refresh=False) as live:
            for last in steps:
                live.update(drawn(last), refresh=True)
    finally:
        if last is not None:
            show.put(out, status.parts(last))


def drawn(view: View) -> Group:
    """One picture; ``show.put`` prints the same."""
    head = Text(f"{show.when(view.get('at'))[11:]}  every change as it comes; Ctrl-C ends it", style="dim")
    return Group(head, *(part for part in status.parts(view)))


def tell(out: Console, read: Callable[[], View], every: float, sleep: Callable[[float], None]) -> None:
    """A line per change with its time: for a pipe, a log, or a terminal that cannot move its cursor."""
    before: View | None = None
    for view in looks(read, every, sleep):
        for line in status.changes(before, view):
            show.say(out, f"{time.strftime('%H:%M:%S')} {line}")
        out.file.flush()
        before = view
