# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The judge's report: one JSON file and one table."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import figures
from .farm import Farm, JudgeError
from .harm import harm
from .pairs import not_known
from .records import MARKS, Mark, read_answers, read_marks, read_samples

REPORT = "report.json"


def gather(out: Path, faults: Path) -> list[Mark]:
    """The judge's own marks and the faults that were injected while it watched."""
    own = read_marks(out / MARKS)
    begin = next((mark.at for mark in own if mark.event == "start"), None)
    if begin is None:
        raise JudgeError(f"{out} holds no record of a judge; start one with: python3 -m lab.judge start --out {out}")
    return sorted([*own, *(mark for mark in read_marks(faults) if mark.at >= begin)], key=lambda mark: mark.at)


def build(out: Path, farm: Farm, faults: Path, now: float | None = None) -> dict[str, Any]:
    """Read the record and make the report of it."""
    marks = gather(out, faults)
    answers, samples = read_answers(out), read_samples(out)
    end = max([answers[-1].sent if answers else 0.0, *(mark.at for mark in marks if mark.event == "stop")]) or (
        now or time.time()
    )
    found = figures.incidents(farm, marks, answers, samples, end)
    start = next(mark for mark in marks if mark.event == "start")
    return {
        "begin": start.at,
        "end": round(end, 3),
        "settings": dict(start.detail),
        "totals": dict(figures.totals(answers)),
        "incidents": [incident.figures() for incident in found],
        "harm": [{"at": round(at, 3), "what": text} for at, text in harm(farm, marks, samples, end)],
        "not_known": not_known(farm, samples),
        "marks": [vars(mark) | {"detail": dict(mark.detail)} for mark in marks],
    }


def write(out: Path, report: Mapping[str, Any]) -> Path:
    path = out / REPORT
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
    return path


def seconds(value: float | None) -> str:
    if value is not None and value < 0:
        return "before"  # the balancers' or keepalived's own checks were quicker than the command
    return "-" if value is None else f"{value:.1f} s" if value >= 0.1995 else f"{1000 * value:.0f} ms"


def after_safe(incident: Mapping[str, Any]) -> str:
    """Failures after traffic safe, and apart from them what a move of the address cut."""
    cut = incident.get("cut_by_move") or 0
    return f"{incident['failed_after_safe']}" + (f" (+{cut} cut by move)" if cut else "")


def rows(incidents: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """One line of the table per incident."""
    found = []
    for incident in incidents:
        spans = incident["seconds"]
        found.append(
            [
                incident["node"],
                incident["cause"],
                seconds(spans["injected_to_detected"]),
                seconds(
                    spans["command_to_safe"] if spans["command_to_safe"] is not None else spans["injected_to_safe"]
                ),
                seconds(spans["safe_to_restored"]),
                str(incident["sent"]),
                str(incident["failed"]),
                after_safe(incident),
                str(incident["slow"]),
                str(incident["cut"]),
                seconds(incident["longest_gap"]),
                "; ".join(incident["harm"]) or "none",
            ]
        )
    return found


HEADINGS = (
    "node",
    "cause",
    "detected",
    "traffic safe",
    "restored",
    "sent",
    "failed",
    "after safe",
    "slow",
    "cut",
    "longest gap",
    "harm",
)


def show(report: Mapping[str, Any]) -> None:
    """Print the table; rich is only needed here."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="What clients felt", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("node", "cause", "harm") else "right")
    for row in rows(report["incidents"]):
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console = Console(width=150)
    console.print(table)
    total = report["totals"]
    console.print(
        f"{total['sent']} requests, {total['failed']} failed"
        + (f" {total['errors']}" if total.get("errors") else "")
        + f"; longest gap {seconds(total.get('longest_gap'))}; harm: {len(report['harm']) or 'none'}"
    )
    console.print(
        "traffic safe counts from the command, or from the injection where no command was marked; "
        "restored counts from traffic safe",
        style="dim",
    )
    for text in report["not_known"]:
        console.print(f"not known: {text}", style="dim")
    for item in report["harm"]:
        console.print(f"HARM at {time.strftime('%H:%M:%S', time.localtime(item['at']))}: {item['what']}", style="red")
