# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What keepalived says of itself: its dumps on a signal, read so that only a fresh and whole one counts.

keepalived writes ``/tmp/keepalived.json`` when it gets a signal whose number differs between builds, not in one
piece, into one file for all readers, with passwords in it. So: ask keepalived for the number, lock, unlink,
signal, wait for a file that parses, remove it. No answer within the time limit means that nothing is known.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional

from ._errors import SelfhealError

JSON_DUMP = "/tmp/keepalived.json"  # noqa: S108  # keepalived's choice, not ours
DATA_DUMP = "/tmp/keepalived.data"  # noqa: S108  # as above
PID_FILES = ("/run/keepalived.pid", "/run/keepalived/keepalived.pid")
LOCK = "/run/selfheal-keepalived.lock"
STATES = ("INIT", "BACKUP", "MASTER", "FAULT")
UNKNOWN = "UNKNOWN"
_POLL = 0.005
_LATE_SECONDS = 0.5  # where a process writes no dump at all, a text dump costs this much
_LAST_SECTION = "------< Interfaces >------"


# -- parsers, without I/O ------------------------------------------------------------------------------


def parse_dump(text: str) -> list[dict[str, Any]]:
    """The instances of a JSON dump; ``ValueError`` while keepalived is still writing it."""
    raw = json.loads(text)
    if not isinstance(raw, list):
        raise ValueError("a list of instances was expected")
    found = []
    for entry in raw:
        data = entry.get("data") if isinstance(entry, dict) else None
        if not isinstance(data, dict) or "iname" not in data:
            raise ValueError("an instance without a name")
        data.pop("auth_data", None)
        found.append({"data": data, "stats": entry.get("stats") or {}})
    return found


def parse_running(text: str) -> dict[str, dict[str, Any]]:
    """What only the text dump tells of each instance: sync group, track files with their weight, down timer.

    Its format is not promised to be stable: what is not found is absent, and absent never means allowed.
    """
    found: dict[str, dict[str, Any]] = {}
    current: dict[str, Any] = {}
    path = ""
    tracking = False
    for line in text.splitlines():
        key, _equals, value = (part.strip() for part in line.partition("="))
        if key == "VRRP Instance":
            current = {"sync_group": "", "track_files": {}, "down_timer_adverts": None}
            found[value] = current
        elif line.startswith("------<"):
            current, path, tracking = {}, "", False
        elif key == "Sync group" and current:
            current["sync_group"] = value
        elif key == "Down timer adverts" and current:
            current["down_timer_adverts"] = _number(value)
        elif key == "Track file":
            path, tracking = "", False
        elif key == "File":
            path = value
        elif line.strip().startswith("Tracking instances"):
            tracking = bool(path)
        elif tracking:
            match = re.match(r"\s+(\S+?),\s*weight\s+(-?\d+)", line)
            if match and match.group(1) in found:
                found[match.group(1)]["track_files"][path] = int(match.group(2))
    return found


def state_word(raw: Any) -> str:
    """INIT, BACKUP, MASTER or FAULT; anything else is UNKNOWN."""
    return STATES[raw] if isinstance(raw, int) and 0 <= raw < len(STATES) else UNKNOWN


def vips_of(data: dict[str, Any]) -> list[str]:
    """The bare virtual addresses of an instance, in one order on both nodes of a pair."""
    return sorted(str(vip).split()[0].split("/")[0] for vip in data.get("vips", []) if str(vip).strip())


def comparable(instances: list[dict[str, Any]], running: dict[str, dict[str, Any]]) -> str:
    """One hash over what must be the same on both nodes of a pair."""
    essence = sorted(
        [
            data["iname"],
            data.get("vrid"),
            data.get("version"),
            data.get("adver_int"),
            vips_of(data),
            running.get(data["iname"], {}).get("down_timer_adverts"),
        ]
        for data in (instance["data"] for instance in instances)
    )
    return hashlib.sha256(json.dumps(essence).encode()).hexdigest()


def parse_addresses(text: str) -> set[str]:
    """All addresses in the answer of ``ip -j addr``."""
    return {
        str(entry["local"])
        for link in json.loads(text)
        for entry in link.get("addr_info", [])
        if isinstance(entry, dict) and "local" in entry
    }


def parse_offset(text: str) -> int:
    """The content of a track file as keepalived reads it: what is no number counts as 0."""
    try:
        return int(text.strip() or "0", 10)
    except ValueError:
        return 0


def _number(text: str) -> Optional[int]:
    match = re.match(r"-?\d+", text)
    return int(match.group()) if match else None


# -- reading ---------------------------------------------------------------------------------------------


def addresses() -> set[str]:
    """The addresses of this machine now."""
    try:
        done = subprocess.run(["ip", "-j", "addr"], capture_output=True, text=True, timeout=5, check=True)
        return parse_addresses(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as exc:
        raise SelfhealError("unknown_addresses", f"'ip -j addr' does not tell the addresses: {exc}.") from exc


def read_offset(path: str) -> int:
    """The offset that a track file holds; no file is 0."""
    try:
        with open(path, encoding="ascii", errors="replace") as handle:
            return parse_offset(handle.read(64))
    except FileNotFoundError:
        return 0


def file_hashes(paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each file; an empty text for one that cannot be read."""
    found = {}
    for path in paths:
        try:
            with open(path, "rb") as handle:
                found[path] = hashlib.sha256(handle.read()).hexdigest()
        except OSError:
            found[path] = ""
    return found


class Keepalived:
    """The keepalived of this machine."""

    def __init__(
        self,
        timeout: float = 2.0,
        pid_files: Iterable[str] = PID_FILES,
        json_dump: str = JSON_DUMP,
        data_dump: str = DATA_DUMP,
        lock_file: str = LOCK,
    ) -> None:
        self.timeout = timeout
        self.pid_files = tuple(pid_files)
        self.json_dump = json_dump
        self.data_dump = data_dump
        self.lock_file = lock_file
        self._json_signal = 0

    def pid(self) -> Optional[int]:
        """The parent process, when it lives; a stale file with a reused number does not count."""
        for path in self.pid_files:
            try:
                with open(path, encoding="ascii") as handle:
                    pid = int(handle.read().strip())
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as handle:
                    if handle.read().strip() == "keepalived":
                        return pid
            except (OSError, ValueError):
                continue
        return None

    def instances(self) -> list[dict[str, Any]]:
        """A fresh JSON dump; SelfhealError ``no_answer`` when none came in time."""
        return list(self._dump(self.json_dump, self._signal_number(), parse_dump))

    def running(self) -> dict[str, dict[str, Any]]:
        """What the text dump adds; nothing when it does not come, for nothing may rest on it being there."""
        try:
            return dict(self._dump(self.data_dump, signal.SIGUSR1, _parse_whole))
        except SelfhealError:
            return {}

    def _signal_number(self) -> int:
        """Real-time signals have other numbers elsewhere, so keepalived itself is asked."""
        if not self._json_signal:
            try:
                done = subprocess.run(
                    ["keepalived", "--signum=JSON"], capture_output=True, text=True, timeout=5, check=True
                )
                self._json_signal = int(done.stdout.strip())
            except (OSError, subprocess.SubprocessError, ValueError) as exc:
                raise SelfhealError(
                    "no_json", "This keepalived knows no JSON dump; it must be built with --enable-json."
                ) from exc
        return self._json_signal

    def _dump(self, path: str, number: int, parse: Callable[[str], Any]) -> Any:
        end = time.monotonic() + self.timeout
        with self._lock(end):
            pid = self.pid()
            if pid is None:
                raise SelfhealError("not_running", "keepalived does not run on this machine.")
            _remove(path)
            try:
                os.kill(pid, number)
                while time.monotonic() < end:
                    text = _read_own(path)
                    if text:
                        with contextlib.suppress(ValueError):  # not written to its end yet
                            found = parse(text)
                            if number == signal.SIGUSR1:
                                _remove_late(path, 1 + max(1, _children(pid)))
                            return found
                    time.sleep(_POLL)
            except ProcessLookupError as exc:
                raise SelfhealError("not_running", "keepalived ended while it was asked.") from exc
            finally:
                _remove(path)
        raise SelfhealError("no_answer", f"keepalived (pid {pid}) wrote no whole {path} within {self.timeout:g} s.")

    @contextlib.contextmanager
    def _lock(self, end: float) -> Iterator[None]:
        with open(self.lock_file, "a", encoding="ascii") as handle:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end:
                        raise SelfhealError(
                            "no_answer", f"Another reader has kept {self.lock_file} for {self.timeout:g} s."
                        ) from None
                    time.sleep(_POLL)
            yield


def _parse_whole(text: str) -> dict[str, dict[str, Any]]:
    if _LAST_SECTION not in text:
        raise ValueError("not written to its end yet")
    return parse_running(text)


def _remove(path: str) -> int:
    """Take a dump away, and what keepalived's other processes write on the same signal; how many files there were."""
    stem, ending = os.path.splitext(path)
    found = 0
    for name in (path, f"{stem}_parent{ending}", f"{stem}_check{ending}", f"{stem}_bfd{ending}"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
            found += 1
    return found


def _remove_late(path: str, expected: int) -> None:
    """Take away the text dumps of all processes. On SIGUSR1 the parent passes the signal on before it writes its own
    (keepalived's ``propagate_signal``), so its file, with the same passwords, may come after the one that was wanted.
    """
    end = time.monotonic() + _LATE_SECONDS
    found = _remove(path)
    while found < expected and time.monotonic() < end:
        time.sleep(_POLL)
        found += _remove(path)


def _children(pid: int) -> int:
    """How many processes keepalived's parent has: one for VRRP, and others as configured."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as handle:
            return len(handle.read().split())
    except OSError:
        return 0


def _read_own(path: str) -> str:
    """The file, if it is one that keepalived (our own user: root) wrote; /tmp is open to everybody."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return ""
    with os.fdopen(handle, encoding="utf-8", errors="replace") as opened:
        return opened.read() if os.fstat(opened.fileno()).st_uid == os.geteuid() else ""
