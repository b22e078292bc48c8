# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whether Nagios is heard, so that heals may begin. Pure: one answer out of its readings and its command pipe.

A Nagios that has just died shows it in either first: its pipe has no reader at once, its data look young for a while.
"""

from __future__ import annotations

from dataclasses import dataclass

from selfheal_cluster.healer.reading import Reading

NOTHING = "nothing is healed until it is heard again"
HEARD = "heard again, heals can begin again"
# Times of data are whole seconds, and a tick that waits for systemd finds the pipe dead later than it says.
NEWER_SECONDS = 2.0


@dataclass(frozen=True)
class Deaf:
    """The pipe takes no commands: since when, and what was said then."""

    since: float
    problem: str


def silence(reading: Reading | None, deaf: Deaf | None) -> tuple[str, str] | None:
    """What is in trouble and the line about it; two empty texts while Nagios is heard; None while nobody knows.

    A pipe without a reader stops heals until Nagios' data are newer than that: then only the pipe is broken.
    """
    if reading is not None and not reading.fresh:
        if reading.reason == "no_journal":
            return "readings", f"{reading.reason}: {_short(reading.problem)}; nothing is healed until they can be kept"
        return "nagios", f"{reading.reason}: {_short(reading.problem)}; {NOTHING}"
    if deaf is not None and not _newer(reading, deaf.since):
        return "nagios", f"{_short(deaf.problem)}; {NOTHING}"
    return None if reading is None else ("", "")


def _newer(reading: Reading | None, since: float) -> bool:
    """Has Nagios written data after this time?"""
    return reading is not None and reading.written_at is not None and reading.written_at > since + NEWER_SECONDS


def _short(problem: str) -> str:
    return problem.rstrip(". ")
