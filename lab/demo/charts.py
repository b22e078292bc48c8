# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The drawings of the report, as SVG with every figure also in words. Pure."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean

WIDTH = 960
CHART_HEIGHT = 120
# Phases differ by pattern and name; the colour only helps.
PATTERNS = {
    "confirm": ("#9aa5b1", "M0 6 H6"), "shift": ("#3b6ea5", "M0 0 L6 6"), "evidence": ("#b08900", "M3 0 V6"),
    "restart": ("#b5483a", "M0 0 L6 6 M6 0 L0 6"), "verify": ("#5d7f3f", "M0 3 H6 M3 0 V6"),
    "readmit": ("#2f7f7a", "M6 0 L0 6"), "soak": ("#7a5c9e", "M0 3 H6"), "undo": ("#555555", "M0 0 H6 V6 H0 Z"),
}  # fmt: skip


def esc(value: object, limit: int = 400) -> str:
    """Text for the page: nothing in it is markup, and nothing in it is invisible."""
    return html.escape(clean(value, limit), quote=True)


def span(value: Any) -> str:
    """Seconds for a human; a dash where nothing was measured."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return "-"
    return f"{value * 1000:.0f} ms" if abs(value) < 1 else f"{value:.1f} s"


def after(value: Any) -> str:
    """Seconds after the command; what was so before it says so instead of showing a minus."""
    if isinstance(value, (int, float)) and value < 0:
        return f"{span(-value)} before it"
    return span(value)


def clock(value: Any) -> str:
    """A time of the day."""
    return time.strftime("%H:%M:%S", time.localtime(value)) if isinstance(value, (int, float)) else "-"


def bar(phases: Sequence[Mapping[str, Any]], begin: float) -> str:
    """The phases on one line of time. Each has a pattern and its name; a thin one has its name below."""
    end = max(float(phase["ended"]) for phase in phases)
    scale = WIDTH / max(end - begin, 0.001)
    defs, boxes = [], []
    for index, phase in enumerate(phases):
        name = str(phase["name"])
        colour, path = PATTERNS.get(name, ("#777777", "M0 0 H6"))
        left, width = (phase["started"] - begin) * scale, max((phase["ended"] - phase["started"]) * scale, 1.0)
        key = f"p{index}-{abs(hash((name, begin))) % 10**8}"
        defs.append(
            f'<pattern id="{key}" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" '
            f'fill="{colour}" fill-opacity=".25"/><path d="{path}" stroke="{colour}" fill="none"/></pattern>'
        )
        said = f"{esc(name)} {span(phase['ended'] - phase['started'])}"
        boxes.append(
            f'<rect x="{left:.1f}" y="4" width="{width:.1f}" height="26" fill="url(#{key})" stroke="{colour}">'
            f"<title>{said}</title></rect>"
        )
        if width > 7 * len(name):
            boxes.append(f'<text x="{left + 4:.1f}" y="45">{said if width > 110 else esc(name)}</text>')
    text = ", ".join(f"{phase['name']} {span(phase['ended'] - phase['started'])}" for phase in phases)
    return (
        f'<div class="wide"><svg viewBox="0 0 {WIDTH} 52" role="img" aria-label="{esc(text, 1000)}">'
        f"<defs>{''.join(defs)}</defs>{''.join(boxes)}</svg></div>"
    )


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
