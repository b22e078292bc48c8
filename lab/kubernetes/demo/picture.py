# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The timeline as a picture: three panels over one axis of time, in SVG, every figure also in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lab.kubernetes.demo.timeline import Second, clock
from selfheal_cluster.page.drawing import WIDTH, esc

LEFT, RIGHT = 50, 20
#: Numbers of events stand in so many lines, so that neighbours do not cover each other.
MARK_LINES = 3
TOP = 14 * MARK_LINES + 6
PANEL, GAP = 84, 30
#: Distances between marks of the axis of time, in seconds, and how many marks there may be.
TICKS, MOST_TICKS = (10, 30, 60, 120, 300, 600), 12
Point = tuple[float, float | None]
Place = Callable[[float], float]


class Panel(NamedTuple):
    """One panel, and where it is: ``y`` is its title's line, ``most`` what its upper edge stands for."""

    title: str
    y: float
    most: float

    @property
    def floor(self) -> float:
        """Its lower edge."""
        return self.y + 8 + PANEL

    def height(self, value: float) -> float:
        """Where a value is."""
        return self.floor - min(max(value / self.most, 0.0), 1.0) * PANEL


def pieces(points: Sequence[Point]) -> list[list[tuple[float, float]]]:
    """What can be drawn in one stroke: a hole in what is known stays a hole."""
    found: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if value is None:
            found.append([])
        else:
            found[-1].append((at, value))
    return [piece for piece in found if piece]


def steps(piece: Sequence[tuple[float, float]], x: Place, y: Place) -> str:
    """A path that holds each value until the next one, and the last one for a second."""
    first, value = piece[0]
    words = [f"M{x(first):.1f} {y(value):.1f}"]
    for at, now in piece[1:]:
        if now != value:
            words.append(f"H{x(at):.1f}V{y(now):.1f}")
            value = now
    return "".join(words) + f"H{x(piece[-1][0] + 1):.1f}"


def every(seconds: float) -> int:
    """The distance of the axis' marks for so many seconds."""
    return next((tick for tick in TICKS if seconds / tick <= MOST_TICKS), TICKS[-1])


def _line(panel: Panel, points: Sequence[Point], x: Place, look: str) -> str:
    return "".join(
        f'<path d="{steps(piece, x, panel.height)}" fill="none" stroke="currentColor" {look}/>'
        for piece in pieces(points)
    )


def _frame(panel: Panel, end: float, x: Place) -> str:
    ticks = "".join(
        f'<line x1="{x(at):.1f}" y1="{panel.floor:.0f}" x2="{x(at):.1f}" y2="{panel.floor + 4:.0f}" '
        'stroke="currentColor"/>'
        for at in range(0, int(end) + 1, every(end))
    )
    return (
        f'<text x="{LEFT}" y="{panel.y:.0f}">{esc(panel.title)}</text>'
        f'<text x="4" y="{panel.y + 18:.0f}">{panel.most:.0f}</text><text x="4" y="{panel.floor:.0f}">0</text>'
        f'<line x1="{LEFT}" y1="{panel.floor:.0f}" x2="{WIDTH - RIGHT}" y2="{panel.floor:.0f}" stroke="currentColor"/>'
        f"{ticks}"
    )


def _bar(panel: Panel, row: Second, x: Place) -> str:
    left, top = x(row.at), min(panel.height(row.failures), panel.floor - 8)  # one of many is seen too
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(2.0, x(row.at + 1) - left):.1f}" '
        f'height="{panel.floor - top:.1f}" fill="#b5483a">'
        f"<title>{row.failures} of {row.requests} failed at {clock(row.at)}</title></rect>"
    )


def _mark(event: tuple[int, float, str], left: float, bottom: float) -> str:
    number, _at, text = event
    top = 12 + 14 * (number % MARK_LINES)
    side = f'x="{left - 2:.1f}" text-anchor="end"' if left > WIDTH - 2 * RIGHT else f'x="{left + 2:.1f}"'
    return (
        f'<line x1="{left:.1f}" y1="{top}" x2="{left:.1f}" y2="{bottom:.0f}" stroke="currentColor" '
        f'stroke-dasharray="1 4"><title>{esc(f"{number}: {text}")}</title></line><text {side} y="{top}">{number}</text>'
    )


def words_of(seconds: Sequence[Second]) -> str:
    """What the picture shows, as a sentence."""
    pods = [row.ready for row in seconds if row.ready is not None]
    cpu = [row.utilization for row in seconds if row.utilization is not None]
    sent, failed = sum(row.requests for row in seconds), sum(row.failures for row in seconds)
    told = [
        f"From {min(pods)} to {max(pods)} pods were ready" if pods else "No pod was seen",
        f"CPU was up to {max(cpu)} % of the request" if cpu else "CPU was not measured",
        f"up to {max((row.requests for row in seconds), default=0)} requests began in one second",
        f"{failed} of {sent} requests failed",
    ]
    worst = max(seconds, key=lambda row: row.failures, default=None)
    if worst is not None and worst.failures:
        told[-1] += f", most of them, {worst.failures}, in the second at {clock(worst.at)}"
    return "; ".join(told) + "."


def panels(seconds: Sequence[Second], target: int | None) -> tuple[Panel, Panel, Panel]:
    """Pods, CPU and requests, one below the other, each as high as its highest value."""
    aim = f"; dashes: the autoscaler's aim of {target} %" if target else ""
    pods = Panel(
        "Pods: thick line ready, dashes wanted", TOP + 12,
        max(1, *(max(row.desired or 0, row.ready or 0) for row in seconds)),
    )  # fmt: skip
    cpu = Panel(
        f"CPU in % of the request{aim}", pods.floor + GAP,
        max(100, target or 0, *(row.utilization or 0 for row in seconds)),
    )  # fmt: skip
    load = Panel(
        "Requests that began in a second: line; solid bars: failed ones", cpu.floor + GAP,
        max(1, *(row.requests for row in seconds)),
    )  # fmt: skip
    return pods, cpu, load


def picture(seconds: Sequence[Second], events: Sequence[tuple[int, float, str]], target: int | None = None) -> str:
    """Pods, CPU and requests with their failures, and each event by its number. ``target``: CPU in percent that is
    aimed at."""
    if not seconds:
        return '<p class="note">Nothing was recorded.</p>'
    end = float(seconds[-1].at + 1)

    def x(at: float) -> float:
        return LEFT + min(max(at / end, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    pods, cpu, load = panels(seconds, target)
    aims: list[Point] = [(0, target), (end - 1, target)] if target else []
    drawn = [
        *(_frame(panel, end, x) for panel in (pods, cpu, load)),
        _line(pods, [(row.at, row.desired) for row in seconds], x, 'stroke-dasharray="5 4"'),
        _line(pods, [(row.at, row.ready) for row in seconds], x, 'stroke-width="2.5"'),
        _line(cpu, [(row.at, row.utilization) for row in seconds], x, 'stroke-width="1.5"'),
        _line(cpu, aims, x, 'stroke-dasharray="5 4"'),
        _line(load, [(row.at, row.requests) for row in seconds], x, 'stroke-width="1"'),
        *(_bar(load, row, x) for row in seconds if row.failures),
        *(_mark(event, x(event[1]), load.floor) for event in events),
        *(
            f'<text x="{x(at):.1f}" y="{load.floor + 18:.0f}" text-anchor="middle">{clock(at)}</text>'
            for at in range(0, int(end) + 1, every(end))
        ),
    ]
    text = words_of(seconds)
    return (
        f'<div class="wide"><svg viewBox="0 0 {WIDTH} {load.floor + 26:.0f}" role="img" aria-label="{esc(text)}">'
        f"{''.join(drawn)}</svg></div>"
        f'<p class="note">{esc(text)} The numbers are those of the events below.</p>'
    )
