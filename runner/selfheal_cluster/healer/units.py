# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Runs as units of systemd: started through sudo, seen by one listing. The unit is the run's lock."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from selfheal_cluster.healer.child import bury, leave

NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})-([1-9][0-9]{0,8})")
TIMEOUT_SECONDS = 10.0
MAX_SAID = 4 * 1024 * 1024
START_GRACE_SECONDS = 5.0  # between the journal's word that a run begins and its unit in the listing
# `activating` is a oneshot that works; `deactivating` has processes still.
ALIVE = ("active", "activating", "reloading", "deactivating", "refreshing", "maintenance")


def run_name(incident: str, number: int) -> str:
    """``INCIDENT-N``: the instance of the unit and the folder of the run. Never a shell word, never a path."""
    name = f"{incident}-{number}"
    if not NAME.fullmatch(name):
        raise SelfhealError("invalid_name", f"{name[:80]!r} is no name of a run")
    return name


def parse_name(name: str) -> tuple[str, int]:
    """Incident and number out of ``INCIDENT-N``."""
    found = NAME.fullmatch(name)
    if not found:
        raise SelfhealError("invalid_name", f"{name[:80]!r} is no name of a run; it is like ei1-20261125-023000-1a2b-1")
    return found.group(1), int(found.group(2))


def parse_units(text: str) -> dict[str, str]:
    """State by unit: active, failed or inactive, out of ``systemctl list-units --output=json``."""
    try:
        listed = json.loads(text or "[]")
        return {str(item["unit"]): _state(str(item["active"])) for item in listed}
    except (ValueError, TypeError, KeyError) as exc:
        raise SelfhealError("no_systemd", f"systemctl does not answer in JSON: {text[:80]!r}") from exc


def _state(active: str) -> str:
    if active in ALIVE:
        return "active"
    return "failed" if active == "failed" else "inactive"


def with_starting(units: Mapping[str, str], runs: Iterable[Mapping[str, Any]], now: float) -> dict[str, str]:
    """The same with runs that have only just begun: their job may still wait in systemd."""
    seen = dict(units)
    for run in runs:
        unit, young = str(run["unit"]), 0 <= now - float(run["started_at"]) < START_GRACE_SECONDS
        if run.get("ended_at") is None and young and seen.get(unit, "inactive") == "inactive":
            seen[unit] = "active"
    return seen


class Units:
    """systemctl, as the healer may use it: it starts with one sudo rule and looks without any."""

    def __init__(
        self,
        pattern: str,
        start_words: Sequence[str] = ("sudo", "-n", "systemctl"),
        words: Sequence[str] = ("systemctl",),
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        self._timeout = timeout
        self._pattern = pattern
        self._start_words = list(start_words)
        self._words = list(words)

    def name(self, incident: str, number: int) -> str:
        """The unit of a run."""
        return self._pattern.replace("{name}", run_name(incident, number))

    def start(self, unit: str) -> None:
        """Begin a run. It does not wait: a run lasts minutes and outlives the healer."""
        self._ask([*self._start_words, "start", "--no-block", unit], f"start {unit}")

    def listed(self) -> dict[str, str]:
        """Every unit of a run that systemd knows, with its state."""
        pattern = self._pattern.replace("{name}", "*")
        return parse_units(self._ask(
            [*self._words, "list-units", "--all", "--output=json", "--no-pager", pattern], "list the runs"
        ))  # fmt: skip

    def _ask(self, words: list[str], what: str) -> str:
        try:
            code, out, errors = run(words, self._timeout)
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise SelfhealError("no_systemd", f"cannot {what}: {exc}") from exc
        if code != 0:
            said = " ".join(errors.split())[:300] or f"exit code {code}"
            hint = "; is the sudo rule of role healer there?" if "sudo" in said else ""
            raise SelfhealError("no_systemd", f"cannot {what}: {said}{hint}")
        return out


def run(words: Sequence[str], timeout: float) -> tuple[int, str, str]:
    """Exit code and what was said, or TimeoutExpired in time.

    ``subprocess.run`` waits without limit after its own time-out: sudo belongs to root and cannot be killed by us, and
    who inherited a pipe keeps it open. So the answers are files, and a process that stays is left to itself.
    """
    bury()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, start_new_session=True
        )  # fmt: skip
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            leave(process)
            raise
        texts = []
        for each in (out, errors):
            each.seek(0)
            texts.append(each.read(MAX_SAID).decode("utf-8", "replace"))
    return code, texts[0], texts[1]
