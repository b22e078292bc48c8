# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Tables for a terminal. Colour only supports what the words say, and is off when the output is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ansible_collections.selfheal.cluster.plugins.module_utils import _felt as felt
from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_again
from ansible_collections.selfheal.cluster.plugins.module_utils import _survey_text as words
from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from selfheal_cluster import basis
from selfheal_cluster.view import incident_id, phase_words

Part = Text | Table
Row = Mapping[str, Any]

WOULD = 300  # characters of what would have been done
LAST_WIDTH = 10  # characters that are left at least to the last column of a table, where others are not folded
PLAIN_WIDTH = 160  # of a pipe, where no terminal says how wide it is
STYLE = {
    "ok": "green", "healed": "green", "suspect": "yellow", "undone": "yellow", "refused": "yellow",
    "faulty": "red", "failed": "red", "left_out": "red", "unknown": "magenta",
    "blocks": "red", "weakens": "yellow", "note": "dim",
}  # fmt: skip


def console(stderr: bool = False) -> Console:
    """A console that is wide when it is piped, so that no line is cut for a program that reads it."""
    found = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not found.is_terminal:
        found = Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=PLAIN_WIDTH)
    return found


def say(out: Console, text: str | Text, style: str = "") -> None:
    """One line. It is wrapped at the words of a terminal, and never where a program reads it."""
    out.print(Text(text, style=style) if isinstance(text, str) else text, soft_wrap=not out.is_terminal)


def cell(value: object, limit: int = 0) -> Text:
    """A cell of a table: text from outside is made safe, and known words get their colour."""
    text = clean("" if value is None else value, limit)
    return Text(text, style=STYLE.get(text, ""))


def heading(text: str, style: str = "bold") -> Text:
    """A line that is no row of a table."""
    return Text(text, style=style)


def drawn(heads: Sequence[str], rows: Sequence[Sequence[object]], width: int = 0) -> Table:
    """Rows without lines that would not survive copying.

    With the ``width`` of the terminal in characters only the last column is folded, if that leaves it enough.
    """
    found = Table(box=None, pad_edge=False, show_header=any(heads), header_style="underline")
    cells = [[cell(value) for value in row] for row in rows]
    needed = [max(len(head), *(row[place].cell_len for row in cells), 0) for place, head in enumerate(heads)]
    firm = sum(needed[:-1]) + 2 * len(needed[:-1]) <= width - LAST_WIDTH
    for place, head in enumerate(heads):
        found.add_column(head, overflow="fold", no_wrap=firm and place < len(heads) - 1)
    for row in cells:
        found.add_row(*row)
    return found


def rows_or_none(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]], width: int = 0) -> Iterator[Part]:
    """A title and its rows, or one line that says there is nothing."""
    yield heading(title if rows else f"{title}: none", "bold" if rows else "")
    if rows:
        yield drawn(heads, rows, width)


def put(out: Console, parts: Iterable[Part]) -> None:
    """Print what was drawn."""
    for part in parts:
        if isinstance(part, Text):
            say(out, part)
        else:
            out.print(part)


def table(out: Console, title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A title and its rows."""
    put(out, (heading(title), drawn(heads, rows, out.width)))


def when(value: Any) -> str:
    """A time for a human, in local time."""
    if not isinstance(value, (int, float)):
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value))


def survey(out: Console, picture: Mapping[str, Any]) -> None:
    """The farm as a heal would see it."""
    for layer in picture["layers"]:
        nodes = [node for node in picture["nodes"] if node["layer"] == layer["layer"]]
        rows = [
            (node["node"], node["verdict"], words.traffic(node), words.service(node), words.heal_words(node))
            for node in nodes
        ]
        table(out, words.layer_title(layer), ("node", "verdict", "traffic", "service", "a heal"), rows)
        if layer["problem"]:
            say(out, "  policy not valid: " + clean(layer["problem"]), "red")
        for node in nodes:
            for line in words.why_lines(node, words.blind(picture)):
                say(out, "  " + line)
        out.print()
    for line in (words.nagios_line(picture["nagios"]), words.journal_line(picture["journal"])):
        say(out, line)
    say(out, words.guard_line(picture["guard"]))
    out.print()
    findings(out, picture["missing"])
    say(out, words.last_line(picture["counts"]))


def findings(out: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """What is missing, with the lines to copy; those are never wrapped."""
    if not found:
        out.print(Text("Nothing is missing: a heal is possible on every layer.", style="green"))
        return
    out.print(Text("What is missing for a heal to be possible", style="bold"))
    for one in found:
        head = Text("  ")
        head.append(one["weight"], style=STYLE[one["weight"]])
        head.append(f"  {clean(one['where'])}: {clean(one['what'], 400)}")
        say(out, head)
        if one["lines"]:
            out.print(Text(f"      {clean(one['file'])}:"))
            for line in one["lines"]:
                out.print(Text("        | " + words.clean_line(line)), soft_wrap=True)
    out.print()


def history(out: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """The incidents as a table."""
    heads = ("incident", "node", "layer", "opened", "outcome", "illness")
    put(out, rows_or_none("Incidents", heads, [
        (incident_id(row), row.get("node"), row.get("layer"), when(row.get("opened_at")),
         row.get("outcome") or row.get("state"), row.get("reason"))
        for row in rows
    ], out.width))  # fmt: skip
    put(out, would_lines(rows))


def would_lines(rows: Sequence[Row]) -> Iterator[Part]:
    """What would have been done, a line per incident below their table: as a column it would leave no room at all."""
    for row in rows:
        if row.get("would"):
            yield heading(f"  {clean(incident_id(row))}: {clean(row['would'], WOULD)}", "")


def incident(out: Console, view: Mapping[str, Any]) -> None:
    """One incident as a human reads it: what it was, what was decided, what was done."""
    head = view["incident"]
    labels = (("node", "node"), ("layer", "layer"), ("reason", "illness"), ("state", "state"), ("outcome", "outcome"))
    facts = [(label, head.get(key)) for key, label in labels if head.get(key)]
    facts += [("taken over", "by a person: nothing more is started for it")] if head.get("taken") else []
    facts += [(label, when(head.get(key))) for key, label in (("opened_at", "opened"), ("closed_at", "closed"))]
    table(out, f"Incident {clean(incident_id(head))}", ("", ""), facts)
    if head.get("would"):
        say(out, "  " + clean(head["would"], WOULD))
    decided = [(when(row.get("at")), "yes" if row.get("admitted") else "no", row.get("summary"))
               for row in view.get("decisions", ())]  # fmt: skip
    _part(out, "Decisions", ("at", "admitted", "summary"), decided)
    said = [(when(row.get("at")), row.get("word"), row.get("by"), row.get("reason")) for row in view.get("words", ())]
    for title, heads, rows in basis.parts(view):
        _part(out, title, heads, rows)
    _part(out, "What people said", ("at", "word", "by", "why"), said)
    running = view.get("running") or []
    for attempt in view.get("attempts", ()):
        title = f"Attempt {attempt.get('attempt')}: {attempt.get('outcome') or 'under way'}"
        now = next((row for row in running if row.get("attempt") == attempt.get("attempt")), None)
        if now is not None and not attempt.get("outcome"):
            under_way(out, title, now)
            continue
        _part(out, title, ("phase", "begins after", "lasts"), phases_of(attempt, view.get("phases", ())))
        detail = attempt.get("detail") or {}
        read = [again] if (again := _heal_again.words(detail.get("read_again"))) else []
        for line in moments_of(attempt) + read + felt.words(detail.get("felt"), str(head.get("node"))):
            say(out, "  " + clean(line, 300))
    for row in running:
        if not row.get("attempt"):
            under_way(out, "A run without a decision yet", row)
    kept = view.get("evidence") or []
    if kept:
        say(out, f"Evidence: {len(kept)} files below {clean(kept[0].get('folder'))} on the host of the journal")


def under_way(out: Console, title: str, row: Row) -> None:
    """A heal that runs: the phases that ended, the one now and how long it has been in it, and what it is doing."""
    from selfheal_cluster import status

    phases = [(one.get("name"), span(one.get("seconds")), "") for one in row.get("phases") or ()]
    phases.append((phase_words(row), span(row.get("phase_seconds")), "now: " + status.doing_words(row)))
    _part(out, title, ("phase", "lasts", ""), phases)
    say(out, f"  {clean(status.run_words(row), 200)}; it began {span(row.get('seconds'))} ago")
    for text in row.get("problems") or ():
        say(out, "  ! " + clean(text, 300))


def phases_of(attempt: Mapping[str, Any], written: Sequence[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """The phases of an attempt: as the heal told them at its end, else as the journal saw them begin."""
    begin = attempt.get("at") or 0
    told = (attempt.get("detail") or {}).get("phases") or []
    if told:
        begin = told[0]["started"]
        return [(one["name"], span(one["started"] - begin), span(one["ended"] - one["started"])) for one in told]
    mine = [row for row in written if row.get("attempt") == attempt.get("attempt")]
    return [(row.get("phase"), span(row["at"] - begin), span(row.get("seconds"))) for row in mine]


def moments_of(attempt: Mapping[str, Any]) -> list[str]:
    """The moments that count, and what a human has to know."""
    detail = attempt.get("detail") or {}
    told = detail.get("phases") or []
    begin = told[0]["started"] if told else attempt.get("at") or 0
    labels = (("traffic_safe_at", "traffic safe"), ("restored_at", "redundancy restored"), ("home_at", "address home"))
    lines = [f"{label} after {span(detail[key] - begin)}" for key, label in labels if detail.get(key)]
    return lines + [str(problem) for problem in detail.get("problems") or []]


def span(value: Any) -> str:
    """Seconds for a human."""
    return f"{value:.1f} s" if isinstance(value, (int, float)) else ""


def _part(out: Console, title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table with a line of air above it, where there is something to show."""
    if rows:
        out.print()
        table(out, title, heads, rows)


def nearest(word: str, known: Sequence[str]) -> str:
    """The nearest known word, as a hint."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]}?" if near else ""
