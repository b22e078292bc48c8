# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The demo's report: one HTML page that opens offline and reads the same without colour. Pure but for one reader.

Text from outside is escaped by ``esc`` and nothing else puts text into the page.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.demo.charts import after, chart
from lab.judge.report import after_safe
from selfheal_cluster.page.drawing import bar, clock, esc, span
from selfheal_cluster.page.style import STYLE


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], numbers: Sequence[int] = ()) -> str:
    """A table; the columns in ``numbers`` are set to the right."""
    sides = ["n" if index in numbers else "" for index in range(len(heads))]

    def row(tag: str, cells: Sequence[object]) -> str:
        inside = "".join(
            f'<{tag} class="{side}">{esc(cell)}</{tag}>' if side else f"<{tag}>{esc(cell)}</{tag}>"
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{inside}</tr>"

    body = "".join(row("td", cells) for cells in rows)
    head = f"<thead>{row('th', heads)}</thead>" if any(heads) else ""
    return f'<div class="wide"><table>{head}<tbody>{body}</tbody></table></div>'


def page(acts: Sequence[Mapping[str, Any]], judged: Mapping[str, Any], counts: Sequence[Sequence[float]] = ()) -> str:
    """The whole page out of the acts of the demo, the judge's report, and its answers per second."""
    healed = sum(bool(act["healed"]) for act in acts)
    harm = harms(judged)
    totals = judged.get("totals") or {}
    verdict = f"{healed} of {len(acts)} illnesses healed and verified. Harm found by the judge: {len(harm) or 'none'}."
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>selfheal: demo, {esc(verdict)}</title><style>{STYLE}</style></head><body>",
        "<h1>selfheal: what was ill, what was done, what clients felt</h1>",
        f'<p class="note">From {esc(day(judged.get("begin")))} to {esc(clock(judged.get("end")))}.</p>',
        f'<p class="verdict"><strong>{esc(verdict)}</strong> {esc(total_line(totals))}</p>',
        "<h2>Incidents</h2>", incidents(acts, judged),
        '<p class="note">Times come from the judge, which shares nothing with what heals. Traffic safe: no new request '
        "reaches the ill node any more. Redundancy restored: it serves again, or is proven as standby.</p>",
    ]  # fmt: skip
    if harm:
        parts.append(table(("when", "harm"), [(clock(item.get("at")), item.get("what")) for item in harm]))
    if counts:
        parts += ["<h2>What clients felt, second by second</h2>", chart(counts, marks_of(judged))]
    for number, act in enumerate(acts, 1):
        parts += heal(number, act)
    parts += ["<h2>All requests</h2>", figures(totals), "</body></html>"]
    return "\n".join(parts) + "\n"


def harms(judged: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Everything that the judge calls harm."""
    return [item if isinstance(item, Mapping) else {"what": item} for item in judged.get("harm") or []]


def day(value: Any) -> str:
    """A date with its time."""
    if not isinstance(value, (int, float)):
        return "an unknown time"
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))


def total_line(totals: Mapping[str, Any]) -> str:
    """The sum of all requests in one sentence."""
    return (
        f"Clients sent {totals.get('sent', 0)} requests; {totals.get('failed', 0)} failed, "
        f"and the longest time without an answer was {span(totals.get('longest_gap'))}."
    )


def incidents(acts: Sequence[Mapping[str, Any]], judged: Mapping[str, Any]) -> str:
    """One line per illness: what the heal says beside what the judge says.

    Where nobody typed a command, times count from the injection.
    """
    typed = any(act.get("exit_code") is not None for act in acts)
    rows = []
    for act in acts:
        seen: Mapping[str, Any] = next(
            (one for one in judged.get("incidents") or [] if one.get("node") == act["node"]), {}
        )
        spans = seen.get("seconds") or {}
        since = ("command_to_safe", "command_to_restored") if typed else ("injected_to_safe", "injected_to_restored")
        rows.append(
            (
                act["node"], act["title"], "healed, verified" if act["healed"] else "NOT healed",
                span(spans.get("injected_to_detected")), after(spans.get(since[0])),
                after(spans.get(since[1])), seen.get("sent", "-"), seen.get("failed", "-"),
                after_safe(seen) if seen else "-", span(seen.get("longest_gap")),
                "; ".join(map(str, seen.get("harm") or [])) or "none",
            )
        )  # fmt: skip
    origin = "command" if typed else "injection"
    heads = ("node", "illness", "outcome", "seen after", f"traffic safe after {origin}", f"restored after {origin}",
             "sent", "failed", "failed after traffic safe", "longest gap", "harm")  # fmt: skip
    return table(heads, rows, range(3, 10))


def heal(number: int, act: Mapping[str, Any]) -> list[str]:
    """One illness: its phases as a bar and as a table, and what a human has to know."""
    result = act.get("result") or {}
    phases = [phase for phase in result.get("phases") or [] if isinstance(phase, Mapping)]
    parts = [f"<h2>{number}. {esc(act['node'])}: {esc(act['title'])}</h2>"]
    facts = [
        ("outcome", "healed and verified" if act["healed"] else f"not healed ({result.get('status') or 'no result'})"),
        ("incident", result.get("incident") or "-"),
        ("plan", result.get("summary") or "-"),
        ("strategy", result.get("strategy") or "-"),
        ("fault of the lab", act["fault"]),
    ]
    parts.append(table(("", ""), facts))
    if phases:
        begin = min(float(phase["started"]) for phase in phases)
        parts.append(bar(phases, begin))
        rows = [
            (phase["name"], span(phase["started"] - begin), span(phase["ended"] - phase["started"])) for phase in phases
        ]
        parts.append(table(("phase", "begins after", "lasts"), rows, (1, 2)))
    moments = [
        (label, span(float(result[key]) - float(result["started_at"])))
        for key, label in (("traffic_safe_at", "traffic safe"), ("restored_at", "redundancy restored"),
                           ("home_at", "address home"), ("ended_at", "end"))
        if isinstance(result.get(key), (int, float)) and isinstance(result.get("started_at"), (int, float))
    ]  # fmt: skip
    if moments:
        parts.append(table(("by the heal itself", "after it began"), moments, (1,)))
    for title, texts in (
        ("What a human has to know", result.get("problems")),
        ("Why it was refused", refusals(result)),
    ):
        if texts:
            parts.append(f"<h3>{title}</h3><ul>" + "".join(f"<li>{esc(text)}</li>" for text in texts) + "</ul>")
    return parts


def refusals(result: Mapping[str, Any]) -> list[str]:
    """The refusals of a plan as sentences."""
    return [f"{one.get('reason')}: {one.get('detail')}" for one in result.get("refusals") or []]


def per_second(path: Path) -> list[list[float]]:
    """Seconds since the first request, with the requests sent, failed, and the slowest good answer in it."""
    rows: dict[int, list[float]] = {}
    first = None
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                break
            sent, done, _status, error, _new, _method, asked = json.loads(line)[:7]
            first = sent if first is None else first
            row = rows.setdefault(int(sent - first), [0, 0, 0.0])
            row[0] += 1
            row[1] += bool(error)
            row[2] = row[2] if error else max(row[2], done - sent - asked)
    return [[float(second), *rows[second]] for second in sorted(rows) if second >= 0]


def marks_of(judged: Mapping[str, Any]) -> list[tuple[float, str]]:
    """What was done on purpose, in seconds since the judge began."""
    begin = judged.get("begin")
    if not isinstance(begin, (int, float)):
        return []
    names = {"injected": "ill", "command": "heal", "end": "end"}
    return [
        (float(mark["at"]) - begin, f"{mark.get('node')} {names[mark['event']]}")
        for mark in judged.get("marks") or []
        if mark.get("event") in names and isinstance(mark.get("at"), (int, float))
    ]


def figures(totals: Mapping[str, Any]) -> str:
    """The judge's sums as a table."""
    rows: list[tuple[object, object]] = []
    for key in sorted(totals):
        value = totals[key]
        if isinstance(value, Mapping):
            rows += [(f"{key} {inner}", value[inner]) for inner in sorted(value)]
        else:
            rows.append((key.replace("_", " "), value))
    return table(("figure", "value"), rows, (1,))
