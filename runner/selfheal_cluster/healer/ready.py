# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A prepared run: the unit of the next heal, begun ahead, which has loaded everything and waits for its incident.

Loading Python, ansible-runner and Ansible is most of the time between an alert and the first task of its heal, and the
same each time. So one unit of the same template, ``selfheal-heal@ready-HEX-1.service``, is begun ahead.
Its process says over a socket that it waits; the healer writes it into the journal as the unit of a run, and names the
run. It lives only as long as the healer holds its connection: a healer that dies or is replaced leaves none behind. It
is used once, and never when its settings, Ansible's, or the code have been written anew since. Without one a heal
starts as ever: it is time that is gained, nothing depends on it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils import _errors
from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch_hint import BAD_STATES
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from selfheal_cluster.healer.ports import Runs
from selfheal_cluster.healer.units import parse_name

NAME = re.compile(r"ready-[0-9a-f]{8}-1")
SOCKET = ".ready"
MAX_WORD = 4096
WAIT_SECONDS = 900.0  # then a new one is begun; the unit's RuntimeMaxSec has this much more
COME_SECONDS = 60.0  # a unit that was begun and does not say in time that it waits has failed
END_SECONDS = 3.0
OPEN_SECONDS = 240.0  # less than ControlPersist of the unit
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 600.0
Seal = tuple[tuple[str, int, int, int], ...]


def folder_of(runs: str, name: str) -> Path:
    """Where a prepared run keeps its files until it has an incident: a hidden name, which no quota counts."""
    return Path(runs) / f".{name}"


@contextlib.contextmanager
def short(path: Path) -> Any:
    """A name for a socket that fits into 107 bytes, however long the path of its folder is."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def seal(paths: Sequence[str]) -> Seal:
    """What the files are that a prepared run has read; another seal means that it knows an old world."""
    found = []
    for path in paths:
        try:
            status = Path(path).stat()
            found.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append((path, 0, 0, 0))
    return tuple(found)


def nearest(world: Mapping[str, Any]) -> str:
    """A node that may soon be healed, or nothing.

    Nagios has just called it ill, or else its verdict is suspect, which may last for days; its layer acts, and is not
    under load as a whole; and it has no incident, which has had its first heal or waits for somebody.
    """
    verdicts = world.get("verdicts") or {}
    alerted = {str(alert["host"]) for alert in world.get("alerts") or () if alert["state"] in BAD_STATES}
    suspect = {node for node, said in verdicts.items() if said.get("verdict") == "suspect"}
    acting = {
        node
        for policy in (world.get("policies") or {}).values()
        if policy.get("mode") != "observe"
        for node in policy.get("nodes") or ()
    }
    known = {incident["node"] for incident in world.get("incidents") or ()}
    near = [node for node in (alerted | suspect) & (acting - known) if not verdicts.get(node, {}).get("layer_load")]
    return min(near, key=lambda node: (node not in alerted, node), default="")


def code() -> list[str]:
    """What changes when Ansible, its runner, the collection or this package are installed anew."""
    places = [sys.executable]
    for package in ("ansible", "ansible_runner", "selfheal_cluster"):
        found = importlib.util.find_spec(package)  # it is not imported by that
        for folder in (found and found.submodule_search_locations) or ():
            places += [folder, f"{folder}/release.py", f"{folder}/healer"]
    here = Path(_errors.__file__).parents[1]
    return [*places, *(str(here / name) for name in ("action", "lookup", "module_utils", "plugin_utils"))]


class Cold:
    """No prepared run, ever."""

    def step(self, now: float, wanted: bool) -> None:
        """Nothing to do."""

    def unit(self, now: float) -> str:
        """None."""
        del now
        return ""

    def suspect(self, node: str, now: float) -> None:
        """None that could hear it."""
        del node, now

    def give(self, name: str) -> bool:
        """None that could take it."""
        del name
        return False

    def close(self) -> None:
        """Nothing to let go."""


class Ready:
    """At most one prepared run. Nothing of it is remembered: after a restart of the healer there is none."""

    def __init__(self, runs: str, units: Runs, read: Sequence[str], say: Callable[[str], None]) -> None:
        self._runs = runs
        self._units = units
        self._read = list(read)
        self._say = say
        self._listener: socket.socket | None = None
        self._line: socket.socket | None = None
        self._name = ""
        self._seal: Seal = ()
        self._begun_at = self._not_before = float("-inf")
        self._pause = FIRST_PAUSE_SECONDS
        self._told = ""
        self._suspect, self._suspect_at = ("", ""), float("-inf")

    def step(self, now: float, wanted: bool) -> None:
        """Have one while it is ``wanted``; take leave of one that is old, or knows an old world."""
        if not self._begun_at - 1 <= now:  # the clock went back
            self._drop()
            self._not_before = float("-inf")
        if self._line is not None:
            if not self._alive():
                self._failed(f"{self._name} ended while it waited", now)
                return
            if self._up_to_date(now):
                return
            self._pause = FIRST_PAUSE_SECONDS
            self._drop()
        self._answer(now)
        if self._name:
            if self._line is None and now - self._begun_at >= COME_SECONDS:
                self._failed(f"{self._name} did not come up in {COME_SECONDS:.0f} s", now)
            return
        if wanted and now >= self._not_before:
            self._begin(now)

    def unit(self, now: float) -> str:
        """The unit of the one that waits, or nothing. It stays until it is given a run or dropped."""
        if self._line is None and self._name:
            self._answer(now)
        if self._line is None or not self._alive() or not self._up_to_date(now) or now < self._begun_at:
            return ""
        return self._units.name(*parse_name(self._name))

    def suspect(self, node: str, now: float) -> None:
        """Tell it which node may need it soon; the same again only when what it has opened may be closed."""
        line, told = self._line, (self._name, node)
        if line is None or (told == self._suspect and 0 <= now - self._suspect_at < OPEN_SECONDS):
            return
        self._suspect, self._suspect_at = told, now
        with contextlib.suppress(OSError):  # one that does not hear is found by the next step
            line.sendall(json.dumps({"suspect": node}).encode("ascii") + b"\n")

    def give(self, name: str) -> bool:
        """Tell it which run it is; False when it did not hear it, and then nothing was begun."""
        line = self._line
        if line is None:
            return False
        try:
            line.settimeout(1.0)
            line.sendall(json.dumps({"run": name}).encode("ascii") + b"\n")
        except OSError:
            return False
        finally:
            self._drop()
        self._pause = FIRST_PAUSE_SECONDS
        return True

    def close(self) -> None:
        """The end of the healer: the prepared run ends with its connection, and the socket goes.

        Who stopped the healer may look next whether a heal runs, so this waits for it a moment.
        """
        unit = self._units.name(*parse_name(self._name)) if self._name else ""
        self._drop()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
            with contextlib.suppress(OSError):
                (Path(self._runs) / SOCKET).unlink()
        end = time.monotonic() + END_SECONDS
        with contextlib.suppress(SelfhealError):
            while unit and time.monotonic() < end and self._units.listed().get(unit) == "active":
                time.sleep(0.1)

    # -- inside --------------------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        name = f"ready-{secrets.token_hex(4)}-1"
        self._begun_at = now
        try:
            self._listen()
            self._sweep()
            self._seal = seal(self._read)
            self._units.start(self._units.name(*parse_name(name)))
        except SelfhealError as exc:
            self._failed(exc.message, now)
        except OSError as exc:
            self._failed(f"{exc.strerror or exc}", now)
        else:
            self._name = name

    def _listen(self) -> None:
        if self._listener is not None:
            return
        path = Path(self._runs) / SOCKET
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # of a healer that died; only one works here at a time
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            with short(path) as address:
                listener.bind(address)
            path.chmod(0o600)
            listener.listen(4)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        self._listener = listener

    def _sweep(self) -> None:
        """What prepared runs have left that were killed. A folder of one whose unit lives is in use."""
        left = [entry for entry in os.scandir(self._runs) if NAME.fullmatch(entry.name[1:]) and entry.name[0] == "."]
        if not left:
            return
        units = self._units.listed()
        for entry in left:
            if units.get(self._units.name(*parse_name(entry.name[1:])), "inactive") == "active":
                continue
            with contextlib.suppress(OSError):
                if entry.is_symlink():
                    Path(entry.path).unlink()
                else:
                    shutil.rmtree(entry.path)

    def _answer(self, now: float) -> None:
        """Take the call of the one that was begun; nobody else's, and not that of one that was given up."""
        while self._listener is not None:
            try:
                line, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as exc:
                self._failed(f"{exc.strerror or exc}", now)
                return
            line.settimeout(1.0)
            known = _caller(line) == os.geteuid() and _heard(line).get("ready") == self._name
            if self._name and self._line is None and known:
                self._line = line
                if self._told:
                    self._say("prepared run: waits again")
                self._told = ""
            else:
                line.close()

    def _alive(self) -> bool:
        """Whether it still holds its end; it never says a second word."""
        assert self._line is not None
        try:
            self._line.setblocking(False)
            self._line.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _up_to_date(self, now: float) -> bool:
        """Whether it is young, and what it has loaded is what would be loaded now."""
        return now - self._begun_at < WAIT_SECONDS and self._seal == seal(self._read)

    def _failed(self, why: str, now: float) -> None:
        self._drop()
        self._not_before = now + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        if not self._told:
            self._say(f"prepared run: {why}; heals start without one, which takes a second longer")
        self._told = why

    def _drop(self) -> None:
        line, self._line, self._name = self._line, None, ""
        if line is not None:
            line.close()


def _caller(line: socket.socket) -> int:
    """The user at the other end, by the kernel's word (SO_PEERCRED: pid, uid, gid)."""
    found = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", found)[1])


def _heard(line: socket.socket) -> Mapping[str, Any]:
    """One line of JSON, or nothing."""
    try:
        word = json.loads(line.recv(MAX_WORD))
    except (OSError, ValueError):
        return {}
    return word if isinstance(word, dict) else {}
