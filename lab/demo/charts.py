# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The drawings that only the lab's report has, as SVG with every figure also in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from selfheal_cluster.page.drawing import WIDTH, esc, span

CHART_HEIGHT = 120


def after(value: Any) -> str:
    """Seconds after the command; what was so before it says so instead of showing a minus."""
    if isinstance(value, (int, float)) and value < 0:
        return f"{span(-value)} before it"
    return span(value)


def chart(counts: Sequence[Sequence[float]], marks: Sequence[tuple[float, str]]) -> str:
    """Requests per second as a line, failed ones as solid bars with their number, and when an illness began."""
    end = max(counts[-1][0], 1.0)
    most = max(*(row[1] for row in counts), 1.0)
    floor = CHART_HEIGHT + 30

    def x(second: float) -> float:
        return min(max(second / end, 0.0), 1.0) * (WIDTH - 20) + 10

    def y(value: float) -> float:
        return floor - value / most * CHART_HEIGHT

    line = " ".join(f"{x(row[0]):.1f},{y(row[1]):.1f}" for row in counts)
    failed = [row for row in counts if row[2]]
    bars = "".join(
        f'<rect x="{x(row[0]) - 1:.1f}" y="{y(row[2]):.1f}" width="3" height="{floor - y(row[2]):.1f}" fill="#b5483a">'
        f"<title>{row[2]:.0f} of {row[1]:.0f} failed at second {row[0]:.0f}</title></rect>"
        for row in failed
    )
    notes = "".join(
        f'<line x1="{x(at):.1f}" y1="24" x2="{x(at):.1f}" y2="{floor}" stroke="currentColor" stroke-dasharray="4 3"/>'
        f'<text x="{x(at) + 3:.1f}" y="{12 + 12 * (index % 2)}">{esc(label)}</text>'
        for index, (at, label) in enumerate(mark for mark in marks if not mark[1].endswith(" end"))
    )
    worst = max(counts, key=lambda row: row[2])
    text = f"{sum(row[2] for row in counts):.0f} of {sum(row[1] for row in counts):.0f} requests failed"
    if worst[2]:
        text += f"; most of them, {worst[2]:.0f}, in second {worst[0]:.0f}"
    return (
        f'<div class="wide"><svg viewBox="0 0 {WIDTH} {floor + 20}" role="img" aria-label="{esc(text)}">'
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1"/>{bars}{notes}'
        f'<text x="10" y="{floor + 15}">0 s</text><text x="{WIDTH - 50}" y="{floor + 15}">{end:.0f} s</text>'
        "</svg></div>"
        f'<p class="note">Line: requests per second (up to {most:.0f}). Solid bars: failed ones. {esc(text)}.</p>'
    )
