# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The healer's side of reading Nagios: begin a child, collect its verdicts, and know what that cost."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_asked import layers_of
from selfheal_cluster.healer.child import Child, Ended, module
from selfheal_cluster.healer.config import Config
from selfheal_cluster.healer.pace import cost_of

CPU_FILE = "/sys/fs/cgroup/system.slice/{unit}/cpu.stat"
UNANSWERED_SECONDS = 1.0


@dataclass
class Reading:
    """One reading of Nagios. ``problem`` says why it is none; then nothing of it may be acted on.

    ``written_at``: when Nagios wrote the data that were read, if it says so. ``unseen``: a sentence about a node that
    it does not show, so that its layer is not healed while the others are. ``writes_every``: seconds between two times
    that Nagios writes them, where its configuration proves it.
    """

    read_at: float
    cost: float
    verdicts: dict[str, dict[str, Any]] = field(default_factory=dict)
    fresh: bool = False
    reason: str = ""
    problem: str = ""
    written_at: float | None = None
    unseen: str = ""
    writes_every: float | None = None


def question(config: Config, policies: Mapping[str, Any], since: Mapping[str, float]) -> dict[str, Any]:
    """What the child is asked."""
    return {
        "nagios": dict(config.nagios),
        "layers": layers_of(policy for _layer, policy in sorted(policies.items())),
        "journal": config.journal,
        "since": dict(since),
        "timeout": config.read_timeout_seconds,
    }


def written_at(nagios: Mapping[str, Any]) -> float | None:
    """When Nagios wrote the data of an answer, out of its freshness."""
    asked, age = nagios.get("queried_at"), nagios.get("age_seconds")
    return None if asked is None or age is None else float(asked) - float(age)


def used_cpu(text: str) -> float | None:
    """Seconds of CPU out of a unit's ``cpu.stat``."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "usage_usec" and value.isdigit():
            return int(value) / 1e6
    return None


def busy_cpu(text: str, ticks: int) -> float | None:
    """Seconds of CPU that the machine has used since its boot, out of ``/proc/stat``."""
    words = text.partition("\n")[0].split()
    if len(words) < 9 or words[0] != "cpu":
        return None
    numbers = [int(word) for word in words[1:9]]
    return (sum(numbers) - numbers[3] - numbers[4]) / ticks  # without idle and waiting for disks


class NagiosReader:
    """Reads in a child; ``begin`` and ``collect`` return at once."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._child = Child(module("selfheal_cluster.healer.reader"), config.read_timeout_seconds)
        self._cpu_before: tuple[float | None, float | None] = (None, None)
        self._began = 0.0

    @property
    def running(self) -> bool:
        """Whether a reading is under way."""
        return self._child.running

    def begin(self, policies: Mapping[str, Any], since: Mapping[str, float], now: float) -> None:
        """Start a reading."""
        self._cpu_before = (self._server_cpu(), self._machine_cpu())
        self._began = now
        self._child.begin(question(self._config, policies, since))

    def ready(self) -> bool:
        """Whether ``collect`` would give the reading."""
        return self._child.ready()

    def collect(self) -> Reading | None:
        """The reading, once it has ended; a failed one says why."""
        ended = self._child.ended()
        if ended is None:
            return None
        found = Reading(self._began, 0.0)
        head: dict[str, Any] = {}
        try:
            for line in self._child.answer():
                if not head:
                    head = line
                else:
                    found.verdicts[line["node"]] = line
        except (ValueError, KeyError, TypeError) as exc:
            head = {"error": {"reason": "invalid", "message": f"its answer is broken: {exc}"}}
        found.cost = self._cost(ended, head)
        error = head.get("error") or self._broken(ended, head)
        if error:
            found.verdicts = {}
            found.reason, found.problem = str(error["reason"]), str(error["message"])
            return found
        nagios = head["nagios"]
        found.fresh, found.reason = bool(nagios["fresh"]), str(nagios["reason"])
        found.problem = "" if found.fresh else str(nagios["message"])
        found.written_at = written_at(nagios)
        found.unseen = str(nagios.get("unseen") or "")
        found.writes_every = head.get("writes_every")
        return found

    def _cost(self, ended: Ended, head: Mapping[str, Any]) -> float:
        server, machine = (
            None if before is None or after is None else after - before
            for before, after in zip(self._cpu_before, (self._server_cpu(), self._machine_cpu()), strict=True)
        )
        # Without an answer nobody knows; a Nagios that is away must not keep us away for minutes once it is back.
        asked = float(head.get("asked_seconds") or UNANSWERED_SECONDS)
        if not (head.get("nagios") or {}).get("fresh"):
            asked = min(asked, UNANSWERED_SECONDS)
        return cost_of(ended.cpu_seconds, asked, server, machine, os.cpu_count() or 1)

    def _broken(self, ended: Ended, head: Mapping[str, Any]) -> dict[str, str] | None:
        """Why a child that ended gave no answer."""
        if ended.timed_out:
            seconds = self._config.read_timeout_seconds
            return {"reason": "unreachable", "message": f"no answer within {seconds:.0f} s; the reading was ended"}
        if ended.code != 0 or "nagios" not in head:
            last = ended.said.splitlines()[-1] if ended.said else "without a word"
            return {"reason": "broken", "message": f"the reading ended with code {ended.code}: {last[:300]}"}
        return None

    def _server_cpu(self) -> float | None:
        unit = self._config.web_unit
        if not unit or "/" in unit:
            return None
        try:
            return used_cpu(Path(CPU_FILE.format(unit=unit)).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    @staticmethod
    def _machine_cpu() -> float | None:
        try:
            return busy_cpu(Path("/proc/stat").read_text(encoding="ascii"), os.sysconf("SC_CLK_TCK"))
        except (OSError, ValueError):
            return None

    def stop(self) -> None:
        """End a reading that is under way."""
        self._child.stop()
