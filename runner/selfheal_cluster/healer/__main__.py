# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The resident healer: ``python -m selfheal_cluster.healer``. Logs one line per event to standard output."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch import dispatch
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from selfheal_cluster.healer.books import Books
from selfheal_cluster.healer.config import DEFAULT_PATH, Config, load
from selfheal_cluster.healer.deliver import Deliverer
from selfheal_cluster.healer.log import Log
from selfheal_cluster.healer.loop import Healer
from selfheal_cluster.healer.notify import Notify
from selfheal_cluster.healer.policies import PolicyReader
from selfheal_cluster.healer.ports import Prepared
from selfheal_cluster.healer.reading import NagiosReader
from selfheal_cluster.healer.ready import Cold, Ready, code
from selfheal_cluster.healer.spool import Spool
from selfheal_cluster.healer.units import Units
from selfheal_cluster.healer.wake import Wake

TICK_SECONDS = 1.0
STEP_SECONDS = 0.1  # how soon the end of a reading is noticed, and a new alert where the kernel does not tell
DONE, ERROR, NOT_WELL = 0, 1, 3
LOCK = ".healer.lock"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="selfheal run",
        description="The healer: takes in the alerts of Nagios, starts one heal per incident, and tells Nagios what"
        " came of it. It stays until SIGTERM; heals that run go on without it.",
        epilog="Exit codes: 0 ended as asked, 1 it cannot work (the sentence says why), 2 usage,"
        " 3 with --once: something was wrong in this round. Its log is standard output, one line per event.",
    )
    found.add_argument("--config", default=DEFAULT_PATH, metavar="FILE", help="settings (default: %(default)s)")
    found.add_argument("--once", action="store_true", help="one whole round: take in, read Nagios, act, tell; then end")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The entrance, also of ``selfheal run``."""
    options = parser().parse_args(argv)
    try:
        config = load(options.config)
        with only_one(config.runs):
            if options.once:  # the resident one says it in its heartbeat and waits until the journal is back
                with contextlib.closing(Books(config.journal)) as books:
                    books.world(time.time())
            return work(build(config, Log(), "" if options.once else options.config), options.once)
    except SelfhealError as exc:
        sys.stderr.write(f"selfheal: {exc.message}\n")
        return ERROR


def build(config: Config, log: Log, settings: str = "") -> Healer:
    """A healer with its hands on the real things; with the path of its settings it has the next run wait ready."""
    books, units = Books(config.journal), Units(config.heal_unit)
    ready: Prepared = Cold()
    if settings and config.prepare_run:
        ready = Ready(config.runs, units, [settings, config.ansible_config, *code()], log.say)
    return Healer(
        config, Spool(config.spool), books, NagiosReader(config), PolicyReader(config.inventory, config.ansible_config),
        units, Deliverer(config.command_file, books), dispatch, log.say, ready,
    )  # fmt: skip


@contextlib.contextmanager
def only_one(runs: str) -> Iterator[None]:
    """Two healers would both dispatch; the kernel gives the lock back when one dies."""
    try:
        handle = os.open(Path(runs) / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise SelfhealError("no_runs", f"cannot write to {runs}: {exc.strerror}; role healer makes it") from exc
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise SelfhealError("running", "another healer works here already: see systemctl status selfheal") from None
    finally:
        os.close(handle)


def work(healer: Healer, once: bool) -> int:
    """Tick until SIGTERM, or once."""

    def ask_to_stop(_number: int, _frame: object) -> None:
        healer.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    service, wake = Notify(), Wake(healer.config.spool)
    healer.say(f"healer: started, journal {healer.config.journal}, spool {healer.config.spool}")
    try:
        if once:
            return one_round(healer, wake)
        while not healer.stopping:
            healer.tick(time.time())
            service.ticked()
            rest(healer, wake, TICK_SECONDS)
        service.stopping()
        healer.tick(time.time())  # tell what is left to tell; nothing is taken in or begun any more
    finally:
        wake.close()
        healer.close()
        healer.say("healer: stopped; heals that run go on, alerts wait in the spool")
    return DONE


def one_round(healer: Healer, wake: Wake) -> int:
    """Ticks until the policies and one reading are there and were acted on."""
    end = time.monotonic() + healer.config.read_timeout_seconds + 150.0
    healer.tick(time.time())
    while not healer.stopping and time.monotonic() < end and (healer.busy or healer.last is None):
        before = healer.last
        rest(healer, wake, TICK_SECONDS)
        healer.tick(time.time())
        if not healer.busy and healer.last is before and not healer.watching:
            break  # nothing to read: no policy
    return NOT_WELL if healer.troubles.now else DONE


def rest(healer: Healer, wake: Wake, seconds: float) -> None:
    """Wait for the next tick, or less: an alert or the end of a reading is answered at once."""
    end = time.monotonic() + seconds
    while not healer.stopping and time.monotonic() < end:
        wake.rest(STEP_SECONDS)
        if healer.wanted(time.time()):
            return


if __name__ == "__main__":
    sys.exit(main())
