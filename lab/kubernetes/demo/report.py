# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is left of the demo: a table on the terminal, a page that opens offline, and the same for programs. Pure.

Text from outside is escaped by ``esc`` (through ``table`` and ``heal`` of the first demo), and nothing else puts text
into the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table
from rich.text import Text

from lab.demo.page import day, heal, table
from lab.kubernetes.demo.load import Felt
from lab.kubernetes.demo.picture import picture
from lab.kubernetes.demo.timeline import HEADS, NUMBERS, Second, buckets_of, clock, merged, rows_of
from selfheal_cluster.page.drawing import esc, span
from selfheal_cluster.page.style import STYLE


@dataclass
class Step:
    """One step of the demo. ``ok``: nothing while it has not been played to its end."""

    title: str
    ok: bool | None = None
    said: str = ""
    felt: Felt = field(default_factory=lambda: Felt(0, 0, None))

    @property
    def outcome(self) -> str:
        """In words, because a colour may not be seen."""
        return {True: "as it should", False: "NOT as it should", None: "not played"}[self.ok]

    def told(self) -> dict[str, Any]:
        """For programs. ``gap`` is in seconds."""
        return {"title": self.title, "ok": self.ok, "said": self.said, **self.felt._asdict()}


def verdict(steps: Sequence[Step], felt: Felt) -> str:
    """The whole demo in two sentences."""
    well = sum(step.ok is True for step in steps)
    return (
        f"{well} of {len(steps)} steps ended as they should. Clients sent {felt.sent} requests; {felt.failed} failed."
    )


def rows(seconds: Sequence[Second], events: Sequence[tuple[int, float, str]]) -> list[tuple[str, ...]]:
    """The timeline's rows, for terminal and page."""
    return rows_of(merged(buckets_of(seconds, events)))


def terminal(cells: Sequence[tuple[str, ...]]) -> Table:
    """The timeline for the terminal."""
    made = Table(title="Timeline", title_justify="left", show_edge=False, pad_edge=False)
    for place, head in enumerate(HEADS):
        number = place in NUMBERS
        made.add_column(head, justify="right" if number else "left", no_wrap=number)
    for row in cells:
        made.add_row(*(Text(cell) for cell in row))  # as it is: brackets are no mark-up
    return made


def page(
    begin: float,
    steps: Sequence[Step],
    felt: Felt,
    seconds: Sequence[Second],
    events: Sequence[tuple[int, float, str]],
    heals: Sequence[Mapping[str, Any]],
    target: int | None = None,
) -> str:
    """The whole page. ``begin``: seconds since the epoch; ``heals``: acts as ``lab.demo.page.heal`` takes them."""
    said = verdict(steps, felt)
    shown = [
        (number, step.title, step.outcome, step.said, step.felt.sent, step.felt.failed, span(step.felt.gap))
        for number, step in enumerate(steps, 1)
    ]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>selfheal: Kubernetes, {esc(said)}</title><style>{STYLE}</style></head><body>",
        "<h1>selfheal: an integrator on Kubernetes, scaled and healed</h1>",
        f'<p class="note">From {esc(day(begin))}, {len(seconds)} s.</p>',
        f'<p class="verdict"><strong>{esc(said)}</strong></p>',
        "<h2>What was shown</h2>",
        table(("", "step", "outcome", "what came of it", "sent", "failed", "longest gap"), shown, (4, 5, 6)),
        '<p class="note">Longest gap: between two good answers. Requests count by the second in which they began.</p>',
        "<h2>What happened, second by second</h2>", picture(seconds, events, target),
        table(("", "at", "what happened"), [(number, clock(at), text) for number, at, text in events], (0, 1)),
        "<h2>Timeline</h2>", table(HEADS, rows(seconds, events), NUMBERS),
        '<p class="note">Pods: ready of wanted. CPU: the highest in that time, in percent of the request. Times in '
        "which nothing changed are one row.</p>",
    ]  # fmt: skip
    for number, act in enumerate(heals, 1):
        parts += heal(number, act)
    return "\n".join([*parts, "</body></html>"]) + "\n"
