# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the lab's judge counted at the clients during one incident. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from selfheal_cluster.page.data import Row, number, part, rows, texts
from selfheal_cluster.page.drawing import span

FIGURES = (
    ("sent", "requests sent"), ("failed", "failed"), ("failed_after_safe", "failed after traffic safe"),
    ("slow", "slow"), ("cut", "cut connections"), ("longest_gap", "longest gap"),
)  # fmt: skip
SPANS = (
    ("injected_to_detected", "ill until seen"), ("injected_to_safe", "ill until traffic safe"),
    ("safe_to_restored", "traffic safe until redundancy restored"),
)  # fmt: skip


def figures_of(figures: Row) -> list[tuple[str, object]]:
    """What the judge counted at the clients, if there was one."""
    found: list[tuple[str, object]] = [
        (label, span(figures[key]) if key == "longest_gap" else figures[key])
        for key, label in FIGURES
        if number(figures.get(key)) is not None
    ]
    seconds = part(figures.get("seconds"))
    found += [(label, span(seconds[key])) for key, label in SPANS if number(seconds.get(key)) is not None]
    harm = texts(figures.get("harm"))
    return found + ([("harm", "; ".join(harm) or "none")] if figures else [])


def judged(report: Any, view: Mapping[str, Any]) -> dict[str, Any]:
    """The judge's figures of this incident: the same node, and the window that is nearest to its opening."""
    head = part(view.get("incident"))
    opened = number(head.get("opened_at")) or 0.0
    mine = [row for row in rows(part(report).get("incidents")) if row.get("node") == head.get("node")]
    mine = [row for row in mine if (number(row.get("begin")) or 0.0) <= (number(head.get("closed_at")) or 1e15)
            and (number(row.get("end")) or 1e15) >= opened]  # fmt: skip
    mine.sort(key=lambda row: abs((number(row.get("begin")) or 0.0) - opened))
    return dict(mine[0]) if mine else {}
