# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Disturbances that are no illness: the command is typed all the while, and every time it has to refuse."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from lab import faults

from .driver import Driver, say

#: Disturbance: the node that it is done to, and how long the command is typed. Long enough for Nagios to call it hard.
CALM = {
    "load_peak": ("ei1", 45.0),
    "cpu_burst": ("ei2", 20.0),
    "operator_restart": ("ei3", 30.0),
    "nrpe_down": ("ei1", 60.0),
    "check_wrong": ("ei2", 45.0),
}
#: Why the command may refuse then. A refusal for another reason would leave a node alone by luck.
REASONS = {
    "load_peak": {"not_ill", "layer_load"},
    "cpu_burst": {"not_ill", "suspect_only"},
    "operator_restart": {"not_ill", "suspect_only", "downtime"},
    "nrpe_down": {"not_ill", "suspect_only", "unknown_reading"},
    "check_wrong": {"not_ill", "suspect_only", "unknown_reading"},
}
#: So long after a heal a gauge may wait for better readings (`settle_seconds`); that would be the reason then.
SETTLED_SECONDS = 90.0
REFUSED = re.compile(r"refused (\w+)")


@dataclass
class Calm:
    """What the command said during one disturbance."""

    name: str
    node: str
    codes: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    acted: bool = False

    @property
    def ok(self) -> bool:
        refused = bool(self.codes) and not self.acted and all(code == 2 for code in self.codes)
        return refused and bool(self.reasons) and set(self.reasons) <= REASONS[self.name]


def calm(driver: Driver, names: Sequence[str], found: list[Calm]) -> None:
    """Each disturbance, with the command typed for the node and for whoever is most urgent, in turn."""
    if names:
        say(f"waiting {SETTLED_SECONDS:.0f} s, so that the last heal is no reason any more")
        time.sleep(SETTLED_SECONDS)
    for name in names:
        node, seconds = CALM[name]
        seen = Calm(name, node)
        faults.break_node(driver.lab, node, name)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            run = driver.command(node if len(seen.codes) % 2 == 0 else "", drill=False)
            text = run.log.read_text(encoding="utf-8")
            seen.codes.append(run.code)
            seen.reasons += [word for word in REFUSED.findall(text) if word not in seen.reasons]
            seen.acted = seen.acted or "PLAY [Shift]" in text
        faults.mend_node(driver.lab, node)
        driver.wait_whole()
        found.append(seen)
        say(f"{name} on {node}: {'nothing done' if seen.ok else 'NOT left alone'}, {json.dumps(seen.reasons)}")


def calm_row(names: Sequence[str], found: Sequence[Calm]) -> tuple[str, str, str, bool]:
    """What, bar, measured, met."""
    good = [one for one in found if one.ok]
    told = "; ".join(
        f"{one.name}: {', '.join(one.reasons) or 'no reason'} in {len(one.codes)} commands{'' if one.ok else ': NOT'}"
        for one in found
    )
    return ("disturbances that are no illness", f"no heal in {len(names)}", told, len(good) == len(names))
