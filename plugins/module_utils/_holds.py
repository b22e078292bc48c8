# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Holds and epochs: small files on the machine that enforces them, written under one lock.

A hold says why traffic is kept away from a resource and by whom; an epoch says how young a heal must be to
change that resource at all (invariant 8). Modules and the resident guard share this file, so it needs nothing
but the standard library.

Time is the boot id and the clock that also counts while the machine sleeps: a wall clock that jumps neither
ends a hold nor makes it everlasting.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from ._errors import SelfhealError

STATE_DIR = "/var/lib/selfheal"
BOOT_ID = "/proc/sys/kernel/random/boot_id"
UNKNOWN = "unknown"
BOOT_INCIDENT = "boot"
_UNSAFE = re.compile(r"[^A-Za-z0-9._@+-]")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")


def boot_id() -> str:
    """The identity of this boot, as the kernel says it."""
    return Path(BOOT_ID).read_text(encoding="ascii").strip()


def uptime_clock() -> float:
    """Seconds on a clock that no one sets and that runs on while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def file_name(resource: str) -> str:
    """The name of a resource's file: one flat, harmless word."""
    if not resource or len(resource) > 200:
        raise SelfhealError("bad_resource", "A resource needs a name of 1 to 200 characters.")
    return _UNSAFE.sub("_", resource) + ".json"


def clean(text: str, limit: int = 200) -> str:
    """Text from outside, cut down to one printable line."""
    return _UNPRINTABLE.sub(" ", text).strip()[:limit]


@dataclass(frozen=True)
class Hold:
    """One hold as it stands on disk."""

    resource: str
    incident: str
    epoch: int
    phase: str
    reason: str
    boot_id: str
    deadline: float
    duration: float
    parked: int = 0  # the offset of a parked hold that this one has replaced, so that a later run can park again

    def remaining(self, now: float, boot: str) -> float:
        """Seconds left. A hold of another boot has none until the guard has started its time again."""
        return max(0.0, self.deadline - now) if self.boot_id == boot else 0.0

    def owned_by(self, incident: str, epoch: int) -> bool:
        """Whether a heal with this incident and epoch may treat the hold as its own.

        A younger epoch was issued by the journal with the lease of this resource, so whoever holds it follows
        the owner of an older hold. The boot hold of the guard has epoch 0 and yields to every heal.
        """
        return self.incident != UNKNOWN and (self.incident == incident or epoch > self.epoch)


def _unreadable(resource: str, why: str) -> Hold:
    """A file that cannot be read is a hold by nobody known: never free, never ours."""
    return Hold(resource, UNKNOWN, 0, UNKNOWN, clean(why), "", 0.0, 0.0)


def _parse(resource: str, text: str) -> Hold:
    try:
        raw = json.loads(text)
        hold = Hold(
            resource=str(raw["resource"]),
            incident=str(raw["incident"]),
            epoch=int(raw["epoch"]),
            phase=str(raw["phase"]),
            reason=str(raw.get("reason", "")),
            boot_id=str(raw["boot_id"]),
            deadline=float(raw["deadline"]),
            duration=float(raw["duration"]),
            parked=int(raw.get("parked") or 0),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        return _unreadable(resource, f"unreadable hold file ({exc.__class__.__name__})")
    if resource and hold.resource != resource:
        return _unreadable(resource, f"its file belongs to {hold.resource}")
    return hold


class Holds:
    """The holds and epochs of this machine."""

    def __init__(self, root: str = STATE_DIR) -> None:
        self.root = Path(root)
        self.holds = self.root / "holds"
        self.epochs = self.root / "epochs"

    # -- lock and writing ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def lock(self, timeout: float = 5.0) -> Iterator[None]:
        """The one lock under which holds, epochs and what they stand for change."""
        self._make_folders()
        with open(self.root / "lock", "a", encoding="ascii") as handle:
            end = uptime_clock() + timeout
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as exc:
                    if exc.errno not in (errno.EAGAIN, errno.EACCES):
                        raise
                if uptime_clock() >= end:
                    raise SelfhealError(
                        "locked",
                        f"Another process has held {self.root}/lock for {timeout:g} s. Look for a hanging "
                        "selfheal module or guard on this machine, then run again.",
                    )
                time.sleep(0.02)
            yield

    def _make_folders(self) -> None:
        for folder in (self.root, self.holds, self.epochs):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)

    def _write(self, folder: Path, resource: str, content: dict[str, Any]) -> None:
        write_atomic(folder / file_name(resource), json.dumps(content, sort_keys=True) + "\n")

    # -- holds -----------------------------------------------------------------------------------------

    def read(self, resource: str) -> Optional[Hold]:
        """The hold of a resource, or None when there is none."""
        return self._load(resource, self.holds / file_name(resource))

    def _load(self, resource: str, path: Path) -> Optional[Hold]:
        try:
            return _parse(resource, path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as exc:
            return _unreadable(resource or path.stem, f"unreadable hold file ({exc.__class__.__name__})")

    def all(self) -> list[Hold]:
        """Every hold of this machine, also the unreadable ones, in the order of their files."""
        found = []
        for path in sorted(self.holds.glob("*.json")):
            hold = self._load("", path)
            if hold is not None:
                found.append(hold if hold.resource else _unreadable(path.stem, hold.reason))
        return found

    def put(
        self, resource: str, incident: str, epoch: int, phase: str, reason: str, seconds: float, parked: int = 0
    ) -> Hold:
        """Write a hold. Call it under the lock and before the change that it announces."""
        hold = Hold(
            resource=resource,
            incident=clean(incident, 64),
            epoch=epoch,
            phase=clean(phase, 32),
            reason=clean(reason),
            boot_id=boot_id(),
            deadline=uptime_clock() + seconds,
            duration=float(seconds),
            parked=parked,
        )
        self._make_folders()
        self._write(self.holds, resource, asdict(hold))
        return hold

    def restore(self, resource: str, hold: Optional[Hold]) -> None:
        """Put a hold back as it was (undoing), or take it away when there was none."""
        if hold is None:
            self.remove(resource)
        elif hold.incident != UNKNOWN:
            self._write(self.holds, resource, asdict(hold))

    def remove(self, resource: str) -> None:
        """Take a hold away. Call it under the lock and after the end of the change is verified."""
        path = self.holds / file_name(resource)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            _sync_folder(path.parent)

    def start_again(self, hold: Hold) -> Hold:
        """Give a hold of an earlier boot its full time again, counted from now."""
        young = Hold(**{**asdict(hold), "boot_id": boot_id(), "deadline": uptime_clock() + hold.duration})
        self._write(self.holds, hold.resource, asdict(young))
        return young

    # -- epochs (invariant 8) --------------------------------------------------------------------------

    def seen_epoch(self, resource: str) -> int:
        """The highest epoch that has ever changed this resource here; 0 when none has."""
        path = self.epochs / file_name(resource)
        try:
            return int(json.loads(path.read_text(encoding="utf-8"))["epoch"])
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, TypeError, KeyError) as exc:
            raise SelfhealError(
                "epoch_unreadable",
                f"{path} cannot be read, so the right of this heal cannot be proven. Look at the file; remove "
                "it only when no heal of this resource is running.",
            ) from exc

    def check_epoch(self, resource: str, epoch: int) -> None:
        """Refuse a heal that is older than one which has already acted here. Equal passes."""
        seen = self.seen_epoch(resource)
        if epoch < seen:
            raise SelfhealError(
                "stale_epoch",
                f"Epoch {epoch} is older than {seen}, the highest seen here for {resource}: another heal has "
                "taken over. Let this run end; it may change nothing any more.",
            )

    def raise_epoch(self, resource: str, epoch: int) -> None:
        """Check the epoch and remember it. Call it under the lock, before acting."""
        self.check_epoch(resource, epoch)
        if epoch > self.seen_epoch(resource):
            self._make_folders()
            self._write(self.epochs, resource, {"resource": resource, "epoch": epoch})


def describe(hold: Optional[Hold]) -> Optional[dict[str, Any]]:
    """A hold as the modules return it."""
    if hold is None:
        return None
    left = hold.remaining(uptime_clock(), boot_id())
    return {
        "resource": hold.resource,
        "incident": hold.incident,
        "epoch": hold.epoch,
        "phase": hold.phase,
        "reason": hold.reason,
        "remaining_seconds": round(left, 1),
        "expired": left <= 0,
        **({"parked": hold.parked} if hold.parked else {}),
    }


def write_atomic(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a crash at any moment, meets the old text or the new one."""
    name = ""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as temporary:
            temporary.write(text)
            temporary.flush()
            os.fchmod(temporary.fileno(), mode)
            os.fsync(temporary.fileno())
        os.replace(name, path)
        _sync_folder(path.parent)
    except OSError as exc:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise SelfhealError(
            "disk",
            f"{path} could not be written ({exc.strerror or exc}). Make room or mend the file system, then run again.",
        ) from exc


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
