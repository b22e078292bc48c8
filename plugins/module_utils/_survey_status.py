# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is going on right now: the journal's open things beside the holds that the machines themselves show. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._survey import journal_view
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_seen import part, rows, sight
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_text import journal_line

ENDED = 5  # incidents that ended lately


def status(observed: Mapping[str, Any]) -> Dict[str, Any]:
    """Open incidents, heals that run, leases and holds, what ended lately, and the machines that could not be seen."""
    answer = part(observed, str(observed.get("journal_host") or ""), "journal")
    closed = [row for row in rows(answer, "incidents") if row.get("state") == "closed"]
    return {
        "at": observed.get("now"),
        "journal": journal_view(observed),
        "running": rows(answer, "running"),
        "ended": sorted(closed, key=lambda row: row.get("closed_at") or 0, reverse=True)[:ENDED],
        "holds": holds(observed),
        "blind": {
            host: str(sight(observed, host).get("error") or "no answer")
            for host in observed.get("seen") or {}
            if sight(observed, host).get("reachable") is False
        },
    }


def holds(observed: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Every hold of ours that a balancer or a member of a pair shows."""
    found: List[Dict[str, Any]] = []
    for host in observed.get("seen") or {}:
        shown = rows(part(observed, host, "balancer"), "servers") + rows(
            part(observed, host, "keepalived"), "instances"
        )
        for row in shown:
            hold = row.get("hold")
            if isinstance(hold, Mapping):
                found.append({**hold, "host": host})
    return sorted(found, key=lambda hold: (str(hold.get("resource")), hold["host"]))


def text(view: Mapping[str, Any]) -> str:
    """The same as a block of text."""
    journal = view["journal"]
    lines: List[str] = []
    if not journal["present"]:
        lines.append(journal_line(journal))
    else:
        lines.append(f"Journal on {journal['host']}: heals are {'PAUSED' if journal.get('paused') else 'allowed'}")
        lines += some("open incident", journal["incidents"], ("incident", "id", "node", "layer", "outcome"))
        lines += some("heal under way", view["running"], ("incident", "node", "unit", "phase", "phase_seconds"))
        lines += some("lease", journal["leases"], ("resource", "incident", "epoch", "mode"))
    lines += some("hold", view["holds"], ("host", "resource", "incident", "phase", "remaining_seconds"))
    lines += [f"{host} was not seen: {error}" for host, error in sorted(view["blind"].items())]
    return "\n".join(clean(line) for line in lines)


def some(what: str, records: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> List[str]:
    """One line per record, or one that says there is none."""
    if not records:
        return [f"no {what}"]
    return [f"{what}: " + ", ".join(f"{key} {row[key]}" for key in keys if row.get(key) is not None) for row in records]
