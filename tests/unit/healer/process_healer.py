# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The real healer as a process, over a simulated farm (``process_farm``), which may end itself at one of its calls.

Everything of it is real but the inventory, which never changes here. It ends at a call as told by ``NAME NTH SIDE WAY``
in its arguments: at the NTH call of NAME, ``before`` or ``after`` it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from selfheal_cluster.healer import __main__ as entrance
from selfheal_cluster.healer.books import Books
from selfheal_cluster.healer.config import load
from selfheal_cluster.healer.deliver import Deliverer
from selfheal_cluster.healer.log import Log
from selfheal_cluster.healer.reading import NagiosReader
from selfheal_cluster.healer.spool import Spool
from selfheal_cluster.healer.units import Units
from tests.unit.healer.fake_farm import FakePolicies

# Everything that leaves the process on the way from an alert to the end of its heal.
CALLS: dict[str, tuple[type, str]] = {
    "spool.read": (Spool, "read"),
    "spool.remove": (Spool, "remove"),
    "books.take_in": (Books, "take_in"),
    "books.open_incident": (Books, "open_incident"),
    "books.attach": (Books, "attach"),
    "books.begin_run": (Books, "begin_run"),
    "books.end_run": (Books, "end_run"),
    "books.post": (Books, "post"),
    "books.delivered": (Books, "delivered"),
    "reader.begin": (NagiosReader, "begin"),
    "reader.collect": (NagiosReader, "collect"),
    "units.start": (Units, "start"),
    "units.listed": (Units, "listed"),
    "deliver.deliver": (Deliverer, "deliver"),
    "deliver.now": (Deliverer, "now"),
}


def leak() -> None:
    """Ask for memory without end; in a cgroup with a limit it is the kernel that ends us."""
    held = []
    while True:
        held.append(b"x" * (1 << 20))


def end(way: str) -> None:
    """End as the kernel or systemd would do it."""
    if way == "oom":
        leak()
    os.kill(os.getpid(), signal.SIGTERM if way == "term" else signal.SIGKILL)


def end_at(name: str, nth: int, side: str, way: str) -> None:
    """Stand in one call, of all objects of its class."""
    owner, method = CALLS[name]
    real: Callable[..., Any] = getattr(owner, method)
    count = [0]

    def trapped(self: Any, *args: Any, **named: Any) -> Any:
        count[0] += 1
        mine = count[0] == nth
        if mine and side == "before":
            end(way)
        found = real(self, *args, **named)
        if mine and side == "after":
            end(way)
        return found

    setattr(owner, method, trapped)


def main(arguments: list[str]) -> int:
    """As ``selfheal_cluster.healer``, with another reader of policies."""
    path, *point = arguments
    if point:
        end_at(point[0], int(point[1]), point[2], point[3])
    signal.signal(signal.SIGUSR1, lambda *_args: leak())
    config = load(path)
    with entrance.only_one(config.runs):
        healer = entrance.build(config, Log())
        healer.policies = FakePolicies()
        return entrance.work(healer, once=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
