# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What processes hold in memory, out of /proc, looked at many times a second."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from pathlib import Path

from tests.processes import descendants

PAUSE_SECONDS = 0.05
KINDS = (
    ("reader", "selfheal_cluster.healer.reader"),
    ("policies", "selfheal_cluster.healer.policies"),
    ("metrics", "selfheal_cluster.metrics"),
    ("page", "selfheal_cluster.page"),
)


def numbers(text: str) -> dict[str, int]:
    """``Name: 123 kB`` lines as kilobytes by name."""
    return {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}


def kind_of(cmdline: str, loop: str) -> str:
    """What a child of the loop is; '' for a copy of the loop itself, between its fork and its exec."""
    if not cmdline or cmdline == loop:
        return ""
    return next((kind for kind, module in KINDS if module in cmdline), "other")


class Watch:
    """Looks at a process and all below it until it is stopped."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.loop_peak = 0  # VmHWM: what the kernel itself remembers, so nothing is missed between two looks
        self.loop_now = {"rss": 0, "pss": 0}
        self.peaks: dict[str, int] = {}  # VmHWM of the biggest child of each kind
        self.seen: dict[str, set[int]] = {}
        self.together = 0  # PSS of all of them at one moment
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ending.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._ending.is_set():
            self.look()
            time.sleep(PAUSE_SECONDS)

    def look(self) -> None:
        """Once; a process that ends meanwhile is left out."""
        with contextlib.suppress(OSError, KeyError):
            loop = cmdline(self.pid)
            self.loop_peak = max(self.loop_peak, status(self.pid)["VmHWM"])
            own = rollup(self.pid)
            self.loop_now = {"rss": own["Rss"], "pss": own["Pss"]}
            together = own["Pss"]
            for pid in descendants(self.pid):
                with contextlib.suppress(OSError, KeyError):
                    kind = kind_of(cmdline(pid), loop)
                    if kind:
                        self.peaks[kind] = max(self.peaks.get(kind, 0), status(pid)["VmHWM"])
                        self.seen.setdefault(kind, set()).add(pid)
                        together += rollup(pid)["Pss"] if kind != "other" else 0
            self.together = max(self.together, together)


def cmdline(pid: int) -> str:
    """The words of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()


def status(pid: int) -> dict[str, int]:
    """VmHWM and the like; empty for a process that has ended."""
    return numbers(Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))


def rollup(pid: int) -> dict[str, int]:
    """Rss and Pss: in Pss a page that several processes share counts by its share."""
    return numbers(Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8"))
