# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Make room on a full partition of this machine: delete old files where the policy says so, and nothing else.

A folder is opened component by component and never through a symbolic link; whoever swaps one meanwhile makes the
deletion miss, not hit. A file goes only if it is what was seen when the folder was read: a regular file with one name,
on the partition, matched by its own name, old, and open in no process (by /proc and by the kernel's own count). Names
are data: they come back escaped.
"""

from __future__ import annotations

import errno
import fcntl
import heapq
import os
import signal
import stat
import time
from fnmatch import fnmatchcase
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import uptime_clock

MAX_FILES = 10_000
MAX_DEPTH = 32
TOLD_FILES = 200  # how many files a result, and so the journal, names; the others are counted
TOLD_BYTES = 32 * 1024
OPEN_SECONDS = 1.0  # how old the knowledge of open files may get while files are deleted
ROOM_SECONDS = 3.0  # some file systems give room back a moment later
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
SWAPPED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
Place = Tuple[int, int]  # device and inode


class Found(NamedTuple):
    """A file that may go, as it was when its folder was read. The oldest one is the smallest."""

    changed_ns: int
    path: str
    number: int  # of the path of the policy
    folders: Tuple[str, ...]  # from there on
    name: str
    file: Place
    size: int
    room: int


def shown(text: str) -> str:
    """A name for people and journals: one line, whatever bytes it has."""
    return "".join(
        char if char.isprintable() else char.encode("utf-8", "surrogateescape").decode("latin-1").encode(
            "unicode_escape").decode("ascii")
        for char in text
    )  # fmt: skip


def open_folder(path: str, root: str = "/") -> int:
    """A descriptor of this folder, with no symbolic link on the way."""
    here = os.open(root, FOLDER)
    try:
        for name in path.strip("/").split("/"):
            if name:
                inner = os.open(name, FOLDER, dir_fd=here)
                os.close(here)
                here = inner
    except OSError as exc:
        os.close(here)
        raise SelfhealError(
            "not_relievable",
            f"{shown(path)} cannot be opened without following a link ({exc.strerror}): name its real path",
        ) from exc
    return here


def place(seen: os.stat_result) -> Place:
    return seen.st_dev, seen.st_ino


def open_files(proc: str = "/proc") -> Tuple[Set[Place], bool]:
    """Every file that a process of this machine has open, and whether all processes could be looked at."""
    found: Set[Place] = set()
    complete = True
    for process in os.listdir(proc):
        if not process.isdigit():
            continue
        folder = os.path.join(proc, process, "fd")
        try:
            names = os.listdir(folder)
        except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
            continue
        except OSError:
            complete = False
            continue
        for name in names:
            try:
                found.add(place(os.stat(os.path.join(folder, name))))
            except PermissionError:
                complete = False
            except OSError:  # closed meanwhile, or on a file system that does not answer, which is not ours
                continue
    return found, complete


def alone(descriptor: int) -> Optional[bool]:
    """Whether this descriptor is the only one of its file, by the kernel's own count; None if that cannot be told.

    A lease for writing is given only then. It sees what /proc does not: mappings, and processes that hide.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as exc:
        return False if exc.errno == errno.EAGAIN else None
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def use(partition: int) -> float:
    """How much of a partition is in use, as df counts it: never less than Nagios' check_disk says."""
    seen = os.fstatvfs(partition)
    taken = seen.f_blocks - seen.f_bfree
    return taken / (taken + seen.f_bavail) if taken + seen.f_bavail else 0.0


class Relief:
    """One relief: look, clear, and prove that it was enough.

    ``end`` is when it has to be over, by ``uptime_clock``. ``right`` is asked before each deletion and raises if
    another heal has taken over.
    """

    def __init__(
        self,
        wanted: Sequence[Mapping[str, Any]],
        partitions: Sequence[Mapping[str, Any]],
        end: float,
        right: Callable[[], None] = lambda: None,
        root: str = "/",
        proc: str = "/proc",
    ) -> None:
        self.wanted, self.partitions = wanted, partitions
        self.end, self.right, self.root, self.proc = end, right, root, proc
        self.folders: List[int] = []
        self.mounts: List[int] = []
        self.found: List[Found] = []
        self.opened: Set[Place] = set()
        self.complete = False  # whether every process showed its open files
        self.opened_at = 0.0
        self.removed: List[Found] = []
        self.skipped: Dict[str, int] = {}
        self.matched = 0
        self.bound = ""
        self.before: List[float] = []

    def close(self) -> None:
        """Give the descriptors back."""
        for descriptor in (*self.folders, *self.mounts):
            os.close(descriptor)
        self.folders, self.mounts = [], []

    # -- looking: changes nothing ----------------------------------------------------------------------

    def look(self) -> None:
        """Find what may go. Refuses where the machine is not as the plan took it to be."""
        if not self.wanted or not self.partitions:
            raise SelfhealError("not_relievable", "the plan names no path to clear, or no partition")
        for item in self.partitions:
            self.mounts.append(open_folder(item["path"], self.root))
        self.before = [use(mount) for mount in self.mounts]
        devices = {os.fstat(mount).st_dev for mount in self.mounts}
        for item in self.wanted:
            folder = open_folder(item["path"], self.root)
            self.folders.append(folder)
            if os.fstat(folder).st_dev not in devices:
                raise SelfhealError(
                    "not_relievable", "{} is not on the full partition {}".format(
                        shown(item["path"]), ", ".join(shown(one["path"]) for one in self.partitions)),
                )  # fmt: skip
        self._look_for_open_files()
        self.found = heapq.nsmallest(MAX_FILES, self._all())
        if not self.bound and self.matched > len(self.found):
            self.bound = "files"

    def _look_for_open_files(self) -> None:
        self.opened, self.complete = open_files(self.proc)
        self.opened_at = uptime_clock()

    def _all(self) -> Iterator[Found]:
        known: Set[Place] = set()
        for number, item in enumerate(self.wanted):
            oldest = time.time() - item["older_seconds"]
            for one in self._below(number, item["pattern"], int(oldest * 1e9)):
                if one.file not in known:  # a path of the policy may lie below another one
                    known.add(one.file)
                    self.matched += 1
                    yield one

    def _below(self, number: int, pattern: str, newest_ns: int) -> Iterator[Found]:
        device = os.fstat(self.folders[number]).st_dev
        waiting: List[Tuple[str, ...]] = [()]
        while waiting:
            folders = waiting.pop()
            try:
                here = self._open_below(number, folders)
            except OSError:  # gone, or swapped for a link, since its own folder was read
                self._skip("changed")
                continue
            try:
                with os.scandir(here) as entries:
                    for entry in entries:
                        if uptime_clock() >= self.end:
                            self.bound = "time"
                            return
                        try:
                            seen = entry.stat(follow_symlinks=False)
                        except OSError:
                            self._skip("changed")
                            continue
                        if stat.S_ISDIR(seen.st_mode):
                            if seen.st_dev == device and len(folders) < MAX_DEPTH:
                                waiting.append((*folders, entry.name))
                            else:
                                self._skip("other_file_system" if seen.st_dev != device else "too_deep")
                        elif fnmatchcase(entry.name, pattern) and self._may_go(seen, device, newest_ns):
                            path = "/".join((self.wanted[number]["path"], *folders, entry.name))
                            yield Found(
                                seen.st_mtime_ns, path, number, folders, entry.name, place(seen),
                                seen.st_size, seen.st_blocks * 512,
                            )  # fmt: skip
            finally:
                os.close(here)

    def _open_below(self, number: int, folders: Sequence[str]) -> int:
        here = os.dup(self.folders[number])
        for name in folders:
            try:
                inner = os.open(name, FOLDER, dir_fd=here)
            finally:
                os.close(here)
            here = inner
        return here

    def _may_go(self, seen: os.stat_result, device: int, newest_ns: int) -> bool:
        why = (
            "no_file" if not stat.S_ISREG(seen.st_mode)
            else "hard_link" if seen.st_nlink != 1
            else "other_file_system" if seen.st_dev != device
            else "young" if seen.st_mtime_ns >= newest_ns
            else "open" if place(seen) in self.opened
            else ""
        )  # fmt: skip
        if why:
            self._skip(why)
        return not why

    def _skip(self, why: str) -> None:
        self.skipped[why] = self.skipped.get(why, 0) + 1

    # -- clearing --------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Delete what was found, the oldest first, for as long as there is time and right."""
        # Who opens a file in the moment of its lease makes the kernel send this, and it would end the process.
        before = signal.signal(signal.SIGIO, signal.SIG_IGN)
        try:
            for one in self.found:
                if uptime_clock() >= self.end:
                    self.bound = "time"
                    return
                self.right()
                if uptime_clock() - self.opened_at > OPEN_SECONDS:
                    self._look_for_open_files()
                try:
                    why = "open" if one.file in self.opened else self._remove(one)
                except OSError as exc:
                    why = "changed" if exc.errno in SWAPPED else "error"
                if why:
                    self._skip(why)
                else:
                    self.removed.append(one)
        finally:
            signal.signal(signal.SIGIO, before)

    def _remove(self, one: Found) -> str:
        """Delete this file if it is still the one that was found; else why not. Nothing but a file is ever opened."""
        here = self._open_below(one.number, one.folders)
        try:
            seen = os.stat(one.name, dir_fd=here, follow_symlinks=False)
            if place(seen) != one.file or not stat.S_ISREG(seen.st_mode):
                return "changed"
            descriptor = os.open(one.name, FILE, dir_fd=here)
            try:
                seen = os.fstat(descriptor)
                if place(seen) != one.file or seen.st_nlink != 1 or seen.st_mtime_ns != one.changed_ns:
                    return "changed"
                mine = alone(descriptor)
                if mine is False:
                    return "open"
                if mine is None and not self.complete:
                    return "unseen"
                os.unlink(one.name, dir_fd=here)
                return ""
            finally:
                os.close(descriptor)
        finally:
            os.close(here)

    # -- proving ---------------------------------------------------------------------------------------

    def prove(self) -> None:
        """Success is room on every partition, not a number of deleted files."""
        patience = uptime_clock() + ROOM_SECONDS
        tight = self.tight()
        while tight and uptime_clock() < patience:
            time.sleep(0.1)
            tight = self.tight()
        if not tight:
            return
        told = ", ".join(
            "{} is {:.1f} % full, below {:.1f} % is wanted".format(shown(item["path"]), now * 100, item["below"] * 100)
            for item, now in tight
        )
        raise SelfhealError("still_full", f"{len(self.removed)} files were deleted and {told}")

    def tight(self) -> List[Tuple[Mapping[str, Any], float]]:
        """The partitions that have too little room now, each with its use."""
        return [(item, now) for item, now in zip(self.partitions, self._use()) if not now < float(item["below"])]

    def _use(self) -> List[float]:
        return [use(mount) for mount in self.mounts]

    def told(self, would: bool = False) -> Dict[str, Any]:
        """The result: what went (in check mode: what would go), and what it did to the partitions."""
        gone = self.found if would else self.removed
        listed: List[Dict[str, Any]] = []
        room = TOLD_BYTES
        for one in gone[:TOLD_FILES]:
            name = shown(one.path)
            room -= len(name.encode("utf-8"))
            if room < 0:
                break
            listed.append({"path": name, "bytes": one.size, "changed_at": round(one.changed_ns / 1e9, 3)})
        return {
            "files": len(gone),
            "bytes": sum(one.room for one in gone),
            "removed": listed,
            "not_named": len(gone) - len(listed),
            "skipped": dict(sorted(self.skipped.items())),
            "bound": self.bound,
            "partitions": [
                {
                    "path": shown(item["path"]),
                    "below": item["below"],
                    "before": round(before, 4),
                    "after": round(after, 4),
                }
                for item, before, after in zip(self.partitions, self.before, self._use())
            ],
        }
