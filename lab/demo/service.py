# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The healer on the lab's monitor as the viewer of the demo follows it. It is only watched: nothing here heals."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lab.demo.stage import DemoError
from lab.machines import Lab, LabError, wait_until
from lab.runs import RESULTS, runs_from

READY_SECONDS = 60
HEAL_SECONDS = 240
LOOK_SECONDS = 1.0


class Service:
    """The running healer: its words on the screen, and how its heals end."""

    def __init__(self, lab: Lab, say: Callable[[str], None]) -> None:
        self.lab = lab
        self.say = say
        self.process: subprocess.Popen[str] | None = None
        self.pump: threading.Thread | None = None

    def start(self) -> None:
        """Wait for the healer, then show every change that it tells of, as it comes."""
        if not wait_until(self.runs_now, READY_SECONDS, 1.0):
            raise DemoError(
                f"the healer did not start within {READY_SECONDS} s: see `journalctl -u selfheal` on monitor"
            )
        self.process = subprocess.Popen(
            self.lab.console("monitor", ["sh", "-c", "cd / && exec selfheal status --watch"]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", start_new_session=True,
        )  # fmt: skip
        self.pump = threading.Thread(target=self._show, args=(self.process,), daemon=True)
        self.pump.start()

    def runs_now(self) -> bool:
        """Whether the service is active."""
        with contextlib.suppress(LabError, subprocess.TimeoutExpired):
            return self.lab.exec("monitor", ["systemctl", "is-active", "-q", "selfheal"], check=False).returncode == 0
        return False

    def _show(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.say(f"   | {line.rstrip()}")

    def results(self, since: float) -> list[dict[str, Any]]:
        """What the runs that moved since then say of themselves; nothing while the monitor does not answer."""
        with contextlib.suppress(LabError, subprocess.TimeoutExpired):
            argv = ["sh", "-c", RESULTS, "sh", f"{since:.0f}"]
            return runs_from(self.lab.exec("monitor", argv, check=False).stdout)
        return []

    def healed(self, node: str, since: float) -> dict[str, Any]:
        """Wait until a heal of the node that began since then has come to its end; what it says, or nothing."""
        found: dict[str, Any] = {}

        def over() -> bool:
            found.update(ended(node, since, self.results(since)))
            return bool(found)

        wait_until(over, HEAL_SECONDS, LOOK_SECONDS)
        return found

    def stop(self) -> None:
        """End the watching; the healer goes on."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.pump is not None:
            self.pump.join(timeout=5)
        self.process = None


def ended(node: str, since: float, every: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The newest heal of the node that acted, began since then and is over. Refused runs are no heals.

    ``since`` and the times of a run are seconds since the epoch, on the clock that host and machines share.
    """
    mine = [
        one
        for one in every
        if one.get("node") == node
        and float(one.get("started_at") or 0) >= since
        and one.get("ended_at")
        and one.get("status") not in ("refused", "acting")
    ]
    return dict(max(mine, key=lambda one: float(one["started_at"]))) if mine else {}
