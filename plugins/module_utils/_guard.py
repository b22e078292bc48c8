# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The guard: keeps holds and epochs true on this machine when nobody else is there.

Role ``guard`` installs this file, with the few that it imports, next to a launcher. Its commands:

``prepare``  before HAProxy starts: nothing stays in the server-state file without a hold
``restore``  after HAProxy started or reloaded: every held member is in maintenance again
``boot``     before keepalived starts: a pair's node that starts by itself takes no address unverified
``run``      the resident service: the same two, watched, and the life of the boot hold
``release``  before the guard is removed: no boot hold stays behind without it
``check``    for Nagios: are all holds owned, and does the guard run
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, Optional

from ._errors import SelfhealError
from ._guard_pair import PairGuard
from ._haproxy import Haproxy, resource
from ._haproxy_state import prune, remember
from ._holds import STATE_DIR, Hold, Holds, boot_id, uptime_clock, write_atomic

CONFIG = "/etc/selfheal/guard.json"
HEARTBEAT = "/run/selfheal/guard.json"
_STALE_SECONDS = 30.0

Say = Callable[[str], None]


def say(line: str) -> None:
    """One line for the journal."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


# -- HAProxy -----------------------------------------------------------------------------------------------


def put_back(haproxy: Haproxy, holds: Holds, tell: Say = say) -> list[str]:
    """Every held member into maintenance; returns those that were not. Under the lock."""
    back = []
    for server in haproxy.servers():
        name = resource(server)
        hold = holds.read(name)
        if hold is None or server["admin"] != "ready":
            continue
        haproxy.set_state(server["backend"], server["server"], "maint")
        back.append(name)
        tell(f"put back: {name} is out of traffic again for incident {hold.incident} (phase {hold.phase})")
    missing = [name for name in back if name in _ready(haproxy)]
    if missing:
        raise SelfhealError("not_verified", f"HAProxy took the command, but {', '.join(missing)} still serves.")
    return back


def _ready(haproxy: Haproxy) -> set[str]:
    return {resource(server) for server in haproxy.servers() if server["admin"] == "ready"}


def restore(
    haproxy: Haproxy, holds: Holds, reload: bool = False, seconds: float = 3.0, settle: float = 1.5
) -> list[str]:
    """Put holds back as soon as HAProxy answers; after a reload, as soon as its new worker does.

    ``systemctl reload`` only tells the master, so the old worker may still answer for a while: holds are looked
    after again and again until another worker answers. A young worker may be the new one already, or an old one
    that started just before the reload: it is watched for ``settle`` seconds before it is believed.
    """
    begin = time.monotonic()
    end = begin + seconds
    done: list[str] = []
    first = 0
    while True:
        try:
            with holds.lock():
                info = haproxy.info()
                done += put_back(haproxy, holds)
            first = first or info["pid"]
            young = info["uptime_seconds"] <= settle + 1
            if not reload or info["pid"] != first or (young and time.monotonic() >= begin + settle):
                return done
        except SelfhealError as exc:
            if time.monotonic() >= end:
                raise
            if exc.reason != "socket":
                say(f"not yet: {exc.message}")
        if time.monotonic() >= end:
            return done
        time.sleep(0.02)


class BalancerGuard:
    """The net below ``restore``: notices by itself when HAProxy became another process."""

    def __init__(self, haproxy: Haproxy, holds: Holds, tell: Say = say) -> None:
        self.haproxy = haproxy
        self.holds = holds
        self.tell = tell
        self.pid = 0
        self.silent = False

    def look(self) -> None:
        """One look; cheap while nothing happens."""
        try:
            info = self.haproxy.info()
            if info["pid"] == self.pid:
                return
            with self.holds.lock():
                put_back(self.haproxy, self.holds, self.tell)
                remember(self.holds, self.haproxy.ask("show servers state"))
            self.tell(f"HAProxy {info['version']} runs as pid {info['pid']}; holds are in force")
            self.pid, self.silent = info["pid"], False
        except SelfhealError as exc:
            self.pid = 0
            if not self.silent:
                self.tell(f"HAProxy: {exc.message}")
            self.silent = True


# -- the resident service ------------------------------------------------------------------------------------


def start_again(holds: Holds, tell: Say = say) -> None:
    """Holds of an earlier boot get their time again: their owner may be on its way."""
    with holds.lock():
        for hold in holds.all():
            if hold.boot_id and hold.boot_id != boot_id():
                holds.start_again(hold)
                tell(f"kept over the boot: {hold.resource} of incident {hold.incident} (phase {hold.phase})")


def pairs_of(config: dict[str, Any], holds: Holds) -> list[PairGuard]:
    """The instances to look after; their folder is made before keepalived looks for it."""
    if config.get("instances"):
        (holds.root / "keepalived").mkdir(mode=0o755, parents=True, exist_ok=True)
    return [PairGuard(entry, config, holds, say) for entry in config.get("instances", [])]


def run(config: dict[str, Any], holds: Holds, rounds: int = -1) -> None:
    """Look after everything once a second, for ever."""
    start_again(holds)
    balancer = BalancerGuard(Haproxy(config["socket"], 2.0), holds) if config.get("socket") else None
    pairs = pairs_of(config, holds)
    pause = float(config.get("poll_seconds", 1.0))
    told: set[str] = set()
    last = time.monotonic()
    while rounds:
        rounds -= 1
        now = time.monotonic()
        if balancer:
            balancer.look()
        for pair in pairs:
            pair.look(now - last - pause)
        last = now
        told = _tell_expired(holds, told)
        _heartbeat()
        time.sleep(pause)


def _tell_expired(holds: Holds, told: set[str]) -> set[str]:
    """One line in the journal when a hold loses its owner; the alarm itself is Nagios' check."""
    lost = expired(holds)
    for hold in lost:
        if hold.resource not in told:
            say(f"ALARM: {advice(hold)}")
    return {hold.resource for hold in lost}


def _heartbeat() -> None:
    path = Path(HEARTBEAT)
    path.parent.mkdir(mode=0o755, exist_ok=True)
    write_atomic(path, json.dumps({"at": uptime_clock(), "boot_id": boot_id()}) + "\n")


# -- the check for Nagios -------------------------------------------------------------------------------------


def expired(holds: Holds) -> list[Hold]:
    """The holds that nobody extends any more, and those that nobody can read."""
    return [hold for hold in holds.all() if hold.remaining(uptime_clock(), boot_id()) <= 0]


def advice(hold: Hold) -> str:
    """What stands still, and what a human does about it."""
    return (
        f"{hold.resource} is held by incident {hold.incident} (epoch {hold.epoch}, phase {hold.phase}) and has no "
        f"owner any more: {hold.reason or 'no reason given'}. See 'selfheal show {hold.incident}', then heal the node "
        "again, which takes the hold over"
    )


def check(holds: Holds, heartbeat: str = HEARTBEAT) -> tuple[int, str]:
    """Exit code and line of a Nagios plugin; it needs no rights but to read."""
    if not holds.holds.is_dir():
        count, lost = 0, []
    else:
        count, lost = len(holds.all()), expired(holds)
    age = _age(heartbeat)
    perfdata = f"holds={count};;;0 expired={len(lost)};;0;0"
    if lost:
        return 2, f"SELFHEAL HOLDS CRITICAL - {'; '.join(_plain(advice(hold)) for hold in lost)} | {perfdata}"
    if age is None or age > _STALE_SECONDS:
        since = "never ran since this boot" if age is None else f"was last seen {age:.0f} s ago"
        return 2, f"SELFHEAL HOLDS CRITICAL - the guard {since}: systemctl restart selfheal-guard | {perfdata}"
    return 0, f"SELFHEAL HOLDS OK - {count} held, each with an owner | {perfdata}"


def _plain(text: str) -> str:
    """Without what Nagios reads as structure."""
    return text.replace("|", "/").replace("\n", " ")


def _age(heartbeat: str) -> Optional[float]:
    try:
        with open(heartbeat, encoding="ascii") as handle:
            last = json.load(handle)
        return uptime_clock() - float(last["at"]) if last["boot_id"] == boot_id() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


# -- command line ------------------------------------------------------------------------------------------------


def load_config(path: str = CONFIG) -> dict[str, Any]:
    """What role ``guard`` wrote."""
    try:
        with open(path, encoding="utf-8") as handle:
            return dict(json.load(handle))
    except (OSError, ValueError, TypeError) as exc:
        raise SelfhealError("config", f"{path} cannot be read ({exc}): run role guard again.") from exc


def main(argv: Sequence[str]) -> int:
    """Parsed by hand: argparse would cost more than the work."""
    os.umask(0o022)
    command = argv[0] if argv else ""
    try:
        if command == "check":
            code, line = check(Holds(STATE_DIR))
            say(line)
            return code
        if command not in ("run", "prepare", "restore", "boot", "release"):
            sys.stderr.write("usage: guard.py run|prepare|restore [--reload]|boot|release|check\n")
            return 3
        config = load_config(os.environ.get("SELFHEAL_GUARD_CONFIG", CONFIG))
        holds = Holds(config.get("state_dir", STATE_DIR))
        if command == "run":
            run(config, holds)
        elif command == "prepare":
            with holds.lock():
                prune(holds)
        elif command == "restore":
            restore(Haproxy(config["socket"], 2.0), holds, reload="--reload" in argv)
        elif command == "boot":
            start_again(holds)
            for pair in pairs_of(config, holds):
                pair.before_start()
        else:
            for pair in pairs_of(config, holds):
                pair.lift("the guard is being removed")
    except SelfhealError as exc:
        sys.stderr.write(f"{exc.reason}: {exc.message}\n")
        return 1
    return 0
