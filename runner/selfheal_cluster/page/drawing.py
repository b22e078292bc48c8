# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What every page of ours is drawn with: text that stays text, times, and the phases on one line. Pure.

The demo's report of the lab uses it too.
"""

from __future__ import annotations

import html
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean

WIDTH = 960
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
        key = f"p{index}-{zlib.crc32(f'{name} {begin}'.encode('utf-8', 'replace'))}"
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
