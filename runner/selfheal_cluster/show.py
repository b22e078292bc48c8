# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Tables for a terminal. Colour only supports what the words say, and is off when the output is no terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ansible_collections.selfheal.cluster.plugins.module_utils import _survey_text as words
from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean

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


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table without lines that would not survive copying."""
    found = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold", expand=False)
    for head in heads:
        found.add_column(head, overflow="fold")
    for row in rows:
        found.add_row(*(cell(value) for value in row))
    return found


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
        out.print(table(words.layer_title(layer), ("node", "verdict", "traffic", "service", "a heal"), rows))
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


def status(out: Console, view: Mapping[str, Any]) -> None:
    """What is going on: open incidents, leases, holds, and whether heals are paused."""
    journal = view["journal"]
    if not journal["present"]:
        say(out, words.journal_line(journal), "yellow")
    else:
        state = "heals are PAUSED" if journal.get("paused") else "heals are allowed"
        out.print(Text(f"Journal on {clean(journal['host'])}: {state}"))
        _rows(out, "Open incidents", ("incident", "node", "layer", "since", "illness", "last outcome"), [
            (incident_id(one), one.get("node"), one.get("layer"), when(one.get("opened_at")), one.get("reason"),
             one.get("outcome") or "under way")
            for one in journal["incidents"]
        ])  # fmt: skip
        _rows(out, "Leases", ("resource", "incident", "epoch", "mode", "runs out"), [
            (one.get("resource"), one.get("incident"), one.get("epoch"), one.get("mode"), when(one.get("expires_at")))
            for one in journal["leases"]
        ])  # fmt: skip
    _rows(out, "Holds", ("on", "resource", "incident", "phase", "left"), [
        (hold["host"], hold.get("resource"), hold.get("incident"), hold.get("phase"), left(hold))
        for hold in view["holds"]
    ])  # fmt: skip
    for host, error in sorted(view["blind"].items()):
        say(out, f"{clean(host)} was not seen: {clean(error, 200)}", "yellow")


def left(hold: Mapping[str, Any]) -> str:
    """How long a hold still counts."""
    if hold.get("expired"):
        return "run out: a human has to look"
    seconds = hold.get("remaining_seconds")
    return f"{seconds:.0f} s" if isinstance(seconds, (int, float)) else "not known"


def _rows(out: Console, title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table, or one line that says there is nothing."""
    if rows:
        out.print(table(title, heads, rows))
    else:
        out.print(Text(f"{title}: none"))


def incident_id(row: Mapping[str, Any]) -> str:
    """The id of an incident."""
    return str(row.get("incident") or "")


def incidents(journal: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All incidents of the journal, the newest first."""
    rows = [dict(row) for row in journal.get("incidents") or []]
    return sorted(rows, key=lambda row: row.get("opened_at") or 0, reverse=True)


def history(out: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """The incidents as a table."""
    heads = ("incident", "node", "layer", "opened", "outcome", "illness")
    _rows(out, "Incidents", heads, [
        (incident_id(row), row.get("node"), row.get("layer"), when(row.get("opened_at")),
         row.get("outcome") or row.get("state"), row.get("reason"))
        for row in rows
    ])  # fmt: skip


def one_incident(journal: Mapping[str, Any], incident: str) -> dict[str, Any] | None:
    """Everything of one incident: itself, its attempts, its phases and its decisions."""
    found = next((row for row in incidents(journal) if incident_id(row) == incident), None)
    if found is None:
        return None
    parts = {
        key: [row for row in journal.get(key) or [] if str(row.get("incident")) == incident]
        for key in ("attempts", "phases", "decisions", "leases")
    }
    return {"incident": found, **{key: rows for key, rows in parts.items() if rows}}


def incident(out: Console, view: Mapping[str, Any]) -> None:
    """One incident as a human reads it: what it was, what was decided, what was done."""
    head = view["incident"]
    out.print(table(f"Incident {clean(incident_id(head))}", ("", ""), list(flat(head))))
    for key, heads in (
        ("decisions", ("at", "admitted", "summary")),
        ("attempts", ("at", "attempt", "rung", "phase", "outcome")),
        ("phases", ("at", "attempt", "phase", "seconds")),
    ):
        rows = [tuple(readable(row, name) for name in heads) for row in view.get(key, ())]
        if rows:
            out.print()
            out.print(table(key, heads, rows))


def readable(row: Mapping[str, Any], name: str) -> str:
    """A value of a row for a human."""
    value = row.get(name)
    if name == "at":
        return when(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.2f}"
    return "" if value is None else str(value)


def flat(row: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested data as name and value, so that nothing of a record is hidden."""
    found: list[tuple[str, str]] = []
    for key in sorted(row):
        value = row[key]
        if isinstance(value, Mapping):
            found += flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            found.append((f"{prefix}{key}", ", ".join(str(item) for item in value)))
        elif key.endswith("_at") or key == "at":
            found.append((f"{prefix}{key}", when(value)))
        else:
            found.append((f"{prefix}{key}", "" if value is None else str(value)))
    return found


def nearest(word: str, known: Sequence[str]) -> str:
    """The nearest known word, as a hint."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]}?" if near else ""
