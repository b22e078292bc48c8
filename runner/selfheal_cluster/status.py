# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is going on, for a person: as tables, and as the lines that tell what has changed between two looks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils import _survey_text as words
from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from selfheal_cluster.show import Part, Row, heading, rows_or_none, span, when, would_lines
from selfheal_cluster.view import incident_id, phase_words

SILENT_SECONDS = 60.0  # a heal of which nothing was heard for so long may be dead; most tasks take less
WHY = 160


def parts(view: Row) -> Iterator[Part]:
    """What is going on: heals that run, open incidents, leases, holds, what ended lately, who was not seen."""
    journal = view["journal"]
    if not journal["present"]:
        yield heading(words.journal_line(journal), "yellow")
    else:
        yield heading(f"Journal on {clean(journal['host'])}: {paused_words(journal)}", "")
        running = view.get("running") or []
        yield from rows_or_none("Heals under way", ("node", "phase", "for", "in all", "done", "now at"), [
            (row.get("node"), phase_words(row), span(row.get("phase_seconds")), span(row.get("seconds")),
             done_words(row), doing_words(row))
            for row in running
        ])  # fmt: skip
        for row in running:
            yield heading(f"  {node_of(row)}: {clean(run_words(row), 200)}", "")
            for text in row.get("problems") or ():
                yield heading(f"  {node_of(row)}: ! {clean(text, 300)}", "yellow")
        yield from rows_or_none("Open incidents", ("incident", "node", "layer", "since", "illness", "last outcome"), [
            (incident_id(one), one.get("node"), one.get("layer"), when(one.get("opened_at")), one.get("reason"),
             outcome_words(one, journal.get("taken") or (), running))
            for one in journal["incidents"]
        ])  # fmt: skip
        yield from would_lines(journal["incidents"])
        yield from rows_or_none("Leases", ("resource", "incident", "epoch", "mode", "runs out"), [
            (one.get("resource"), one.get("incident"), one.get("epoch"), one.get("mode"), when(one.get("expires_at")))
            for one in journal["leases"]
        ])  # fmt: skip
    if view["holds"] is not None:
        yield from rows_or_none("Holds", ("on", "resource", "incident", "phase", "left"), [
            (hold["host"], hold.get("resource"), hold.get("incident"), hold.get("phase"), left(hold))
            for hold in view["holds"]
        ])  # fmt: skip
    if view.get("ended"):
        yield from rows_or_none("Ended lately", ("incident", "node", "closed", "open for", "outcome"), [
            (incident_id(one), one.get("node"), when(one.get("closed_at")), open_for(one), one.get("outcome"))
            for one in view["ended"]
        ])  # fmt: skip
    for host, error in sorted(view["blind"].items()):
        yield heading(f"{clean(host)} was not seen: {clean(error, 200)}", "yellow")


def paused_words(journal: Row) -> str:
    """Whether heals are paused; since when, by whom and why, as far as it is known."""
    if not journal.get("paused"):
        return "heals are allowed"
    pause = journal.get("pause") or {}
    since = f" since {when(pause['at'])} by {clean(pause.get('by') or '?')}" if pause.get("at") else ""
    why = f": {clean(pause['reason'], 200)}" if pause.get("reason") else ""
    return f"heals are PAUSED{since}{why}"


def outcome_words(incident: Row, taken: Sequence[str], running: Sequence[Row] = ()) -> str:
    """How the last heal of an open incident ended, and whether a person took over."""
    under_way = any(incident_id(row) == incident_id(incident) for row in running)
    found = str(incident.get("outcome") or ("under way" if under_way else "none yet"))
    return f"taken over by a person ({found})" if incident_id(incident) in taken else found


def left(hold: Row) -> str:
    """How long a hold still counts."""
    if hold.get("expired"):
        return "run out: a human has to look"
    seconds = hold.get("remaining_seconds")
    return f"{seconds:.0f} s" if isinstance(seconds, (int, float)) else "not known"


def open_for(incident: Row) -> str:
    """From opened to closed."""
    begin, end = incident.get("opened_at"), incident.get("closed_at")
    return span(end - begin) if isinstance(begin, (int, float)) and isinstance(end, (int, float)) else ""


def node_of(row: Row) -> str:
    """The node, safe to show."""
    return clean(row.get("node") or "?")


def done_words(row: Row) -> str:
    """The phases that ended, with their times."""
    return ", ".join(f"{one.get('name')} {span(one.get('seconds'))}" for one in row.get("phases") or ())


def doing_words(row: Row) -> str:
    """What ansible-runner told last."""
    doing = row.get("doing") or {}
    return str(doing.get("task") or doing.get("play") or "")


def run_words(row: Row) -> str:
    """What carries the heal out, and whether it still gives a sign of life."""
    found = f"incident {incident_id(row)}"
    if row.get("attempt"):
        found += f", attempt {row['attempt']}"
    if row.get("unit"):
        found += f", unit {row['unit']}"
    elif row.get("by"):
        found += f", by hand of {row['by']}"
    silent = row.get("silent_seconds")
    if row.get("lease_expired"):
        return found + "; its lease has run out"
    if isinstance(silent, (int, float)) and silent > SILENT_SECONDS:
        found += f"; nothing was heard of it for {silent:.0f} s"
    return found


def changes(before: Row | None, after: Row) -> list[str]:
    """What has changed since the last look, a line each; with no look before it, all that is going on."""
    first = before is None
    old: Row = before or {"journal": {"present": True}, "running": [], "ended": after.get("ended"), "blind": {}}
    was, now = old["journal"], after["journal"]
    if not now["present"]:
        return [words.journal_line(now)] if first or was["present"] or was.get("error") != now.get("error") else []
    lines = [] if was["present"] else ["the journal is read again"]
    if first or bool(was.get("paused")) != bool(now.get("paused")):
        lines.append(paused_words(now))
    if not was["present"]:  # what happened meanwhile is not known: what is there now is told again
        old = {"journal": {}, "running": [], "ended": old.get("ended")}
    return [clean(line, 400) for line in [*lines, *_incidents(old, after), *_heals(old, after)]]


def _incidents(before: Row, after: Row) -> Iterator[str]:
    """Incidents that were opened, got an outcome, wait for a person's word, were taken over, or are closed."""
    was, now = _by_id(before["journal"].get("incidents")), _by_id(after["journal"].get("incidents"))
    ended, ended_before = _by_id(after.get("ended")), _by_id(before.get("ended"))
    taken, taken_before = after["journal"].get("taken") or (), before["journal"].get("taken") or ()
    for name, row in now.items():
        if name not in was:
            yield f"{row.get('node')}: incident {name} is open: {str(row.get('reason'))[:WHY]}"
        if row.get("outcome") and (was.get(name) or {}).get("outcome") != row["outcome"]:
            yield f"{row.get('node')}: incident {name}: {row['outcome']}"
        would = str(row.get("would") or "")
        if would.startswith("would:") and (was.get(name) or {}).get("would") != would:
            yield f"{row.get('node')}: incident {name} waits for a word: {would}"
        if name in taken and name not in taken_before:
            yield f"{row.get('node')}: incident {name} is taken over by a person"
    for name, row in {**was, **ended}.items():
        if name not in now and (name in was or name not in ended_before):
            last = ended.get(name) or {}
            how = f": {last.get('outcome')}, it was open for {open_for(last)}" if last else ""
            yield f"{row.get('node')}: incident {name} is closed{how}"


def _heals(before: Row, after: Row) -> Iterator[str]:
    """Heals that began, came to another phase, or had something to say to a person."""
    was, now = _by_run(before.get("running")), _by_run(after.get("running"))
    for key, row in now.items():
        node, last = row.get("node"), was.get(key)
        if last is None:
            yield f"{node}: a heal is under way: {run_words(row)}"
        if last is None or last.get("phase") != row.get("phase"):
            known = len(last.get("phases") or ()) if last else 0
            fresh = {"phases": (row.get("phases") or [])[known:]}
            yield f"{node}: {phase_words(row)}{f' (after {done_words(fresh)})' if fresh['phases'] else ''}"
        for text in row.get("problems") or ():
            if last is None or text not in (last.get("problems") or ()):
                yield f"{node}: ! {text}"
    for key, row in was.items():
        if key not in now:
            yield f"{row.get('node')}: the heal of incident {incident_id(row)} is over"


def _by_id(rows: Any) -> dict[str, Mapping[str, Any]]:
    return {incident_id(row): row for row in rows or ()}


def _by_run(rows: Any) -> dict[tuple[str, Any], Mapping[str, Any]]:
    return {(incident_id(row), row.get("number") or row.get("attempt")): row for row in rows or ()}
