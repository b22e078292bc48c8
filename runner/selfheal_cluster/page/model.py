# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the page of an incident says, out of what the journal gave. Pure.

Anything in the data may be absent or of a strange type: it is then left out.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ansible_collections.selfheal.cluster.plugins.module_utils._heal_again import words
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_reasons import REASONS
from selfheal_cluster.page.data import Row, number, part, rows, texts
from selfheal_cluster.page.drawing import bar, span
from selfheal_cluster.page.duty import duties, verdict
from selfheal_cluster.page.felt import counted
from selfheal_cluster.page.judge import figures_of
from selfheal_cluster.page.style import STYLE
from selfheal_cluster.view import phase_words

WORST = ("faulty", "suspect", "unknown", "ok")
MOMENTS = (("traffic_safe_at", "traffic safe"), ("restored_at", "redundancy restored"), ("home_at", "address home"))
# Columns of a balancer's member; what else is a number there is a counter, and is shown under its own name.
MEMBER = ("state", "admin", "check", "weight", "sessions", "queue")
NO_COUNTER = {*MEMBER, "port", "weight"}


def when(value: Any) -> str:
    """A time with its zone, because the page may be read elsewhere."""
    at = number(value)
    if at is None or not 0 <= at < 2e11:
        return "-"
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at))


def between(begin: Any, end: Any) -> str:
    """The time between two moments, for a person."""
    first, last = number(begin), number(end)
    return span(last - first) if first is not None and last is not None else "-"


def model(data: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the template prints."""
    head = part(data.get("incident"))
    told = sorted(
        rows(data.get("decisions")), key=lambda row: (number(row.get("at")) or 0.0, number(row.get("id")) or 0)
    )
    attempts = sorted(rows(data.get("attempts")), key=lambda row: number(row.get("at")) or 0.0)
    basis = basis_of(told)
    return {
        "style": Markup(STYLE),  # noqa: S704  # a constant
        "id": head.get("incident") or head.get("id") or "-",
        "node": head.get("node") or "-",
        "facts": facts(head, attempts),
        "verdict": verdict(head, attempts),
        "duties": duties(head, told, attempts, rows(data.get("words"))),
        "problems": problems(attempts),
        "readings": readings(basis),
        "read_at": when(basis.get("at")),
        "judgement": judgement(part(basis.get("verdict"))),
        "twins": twins(basis),
        "decisions": decisions(told),
        "attempts": [attempt(row, rows(data.get("phases"))) for row in attempts],
        "running": [under_way(row) for row in rows(data.get("running"))],
        "balancers": balancers(told),
        "pairs": pairs(basis),
        "judge": figures_of(part(data.get("judge"))),
        "felt": [one for row in attempts if (one := counted(row, head.get("node")))],
        "evidence": [(row.get("folder"), row.get("file"), row.get("bytes")) for row in rows(data.get("evidence"))],
        **healer(data),
        "words": [
            (when(row.get("at")), row.get("word"), row.get("by"), row.get("reason"))
            for row in sorted(rows(data.get("words")), key=lambda row: number(row.get("at")) or 0.0)
        ],
    }  # fmt: skip


def healer(data: Mapping[str, Any]) -> dict[str, list[tuple[object, ...]]]:
    """What the healer took in, started, and whom it called; a heal by hand has none of it."""
    return {
        "calls": [(when(row.get("at")), row.get("reason"), row.get("text")) for row in rows(data.get("calls"))],
        "alerts": [
            (when(row.get("at")), row.get("service") or "the host", row.get("state"), row.get("type"),
             row.get("attempt"), row.get("outcome") or "waits", row.get("reason"))
            for row in rows(data.get("alerts"))
        ],
        "runs": [
            (row.get("number"), row.get("unit"), when(row.get("started_at")), when(row.get("ended_at")),
             row.get("outcome"))
            for row in rows(data.get("runs"))
        ],
    }  # fmt: skip


def facts(head: Row, attempts: Sequence[Row]) -> list[tuple[str, object]]:
    """The incident in a few lines."""
    why = "; ".join(texts(head.get("reasons"))) or head.get("reason")
    found = [
        ("node", head.get("node")), ("layer", head.get("layer")), ("kind of illness", head.get("illness")),
        ("what was seen", why), ("state", head.get("state")), ("outcome", head.get("outcome")),
        ("opened", when(head.get("opened_at"))),
        ("closed", when(head.get("closed_at")) if head.get("closed_at") else ""),
        ("open for", between(head.get("opened_at"), head.get("closed_at")) if head.get("closed_at") else ""),
        ("attempts", len(attempts)),
        ("approved by a person", "yes" if head.get("approved") else ""),
    ]  # fmt: skip
    return [(name, value) for name, value in found if value not in (None, "")]


def basis_of(told: Sequence[Row]) -> dict[str, Any]:
    """What the first admitted decision rested on; else what the last refusal did."""
    known = [row for row in told if isinstance(row.get("basis"), Mapping)]
    chosen = next((row for row in known if row.get("admitted")), known[-1] if known else {})
    return {"at": chosen.get("at"), **part(chosen.get("basis"))}


def judgement(seen: Row) -> str:
    """The verdict on the node, with the kind of its illness."""
    return f"{seen.get('verdict') or 'not known'}{f', kind {kind}' if (kind := seen.get('kind')) else ''}"


def readings(basis: Row) -> list[tuple[object, ...]]:
    """The node's readings, the worst first."""
    found = sorted(
        rows(part(basis.get("verdict")).get("readings")),
        key=lambda row: (WORST.index(row["verdict"]) if row.get("verdict") in WORST else 9, str(row.get("gauge"))),
    )
    return [
        (row.get("verdict"), row.get("gauge"), row.get("service") or "the host", row.get("label"), amount(row),
         row.get("state"), when(row.get("at")), span(number(row.get("age_seconds"))))
        for row in found
    ]  # fmt: skip


def amount(row: Row) -> str:
    """A value with its unit; a ratio as percent."""
    value, unit = number(row.get("value")), str(row.get("unit") or "")
    if value is None:
        return "-"
    if unit == "ratio":
        return f"{value * 100:.1f} %"
    return f"{value:.4g} {unit}".rstrip()


def twins(basis: Row) -> list[tuple[object, ...]]:
    """The other nodes of the layer at that moment."""
    return [
        (row.get("node"), row.get("verdict") or "not known", row.get("kind"), "; ".join(texts(row.get("reasons"))))
        for row in rows(basis.get("twins"))
    ]


def decisions(told: Sequence[Row]) -> list[dict[str, Any]]:
    """All decisions; a plan that is the same as the one before is not printed again."""
    found = [decision(row) for row in told]
    for before, one in itertools.pairwise(found):
        one["same"] = bool(one["would"]) and one["would"] == before["would"]
    return found


def decision(row: Row) -> dict[str, Any]:
    """One decision with every reason, and with what each reason means."""
    basis = part(row.get("basis"))
    plan = part(basis.get("plan"))
    refusals = [
        (one.get("reason"), one.get("detail"), REASONS.get(str(one.get("reason")), ""))
        for one in rows(plan.get("refusals"))
    ]
    # Without the plan the journal still has the reasons.
    refusals = refusals or [(name, "", REASONS.get(name, "")) for name in texts(row.get("reasons"))]
    return {
        "at": when(row.get("at")), "admitted": bool(row.get("admitted")), "summary": row.get("summary"),
        "attempt": row.get("attempt"), "mode": basis.get("mode"), "refusals": refusals,
        "notes": texts(plan.get("notes")), "would": texts(plan.get("would")), "same": False,
        "strategy": plan.get("strategy"), "nagios": part(basis.get("nagios")).get("message"),
    }  # fmt: skip


def attempt(row: Row, written: Sequence[Row]) -> dict[str, Any]:
    """One heal: its phases as a bar and as a table, its moments, and who ran it."""
    detail, owner = part(row.get("detail")), part(row.get("owner"))
    phases: list[dict[str, Any]] = [
        {"name": str(one.get("name")), "started": started, "ended": max(ended, started)}
        for one in rows(detail.get("phases"))
        if (started := number(one.get("started"))) is not None and (ended := number(one.get("ended"))) is not None
    ] or journalled(row, written)
    begin = min((float(one["started"]) for one in phases), default=number(row.get("at")) or 0.0)
    return {
        "number": row.get("attempt"), "outcome": row.get("outcome") or "under way", "rung": row.get("rung"),
        "reason": row.get("reason"), "at": when(row.get("at")), "ended": when(row.get("ended_at")),
        "lasted": between(row.get("at"), row.get("ended_at")), "epoch": row.get("epoch"),
        "by": f"{owner.get('user', '?')}@{owner.get('host', '?')}" if owner else "",
        "acknowledged": bool(row.get("acknowledged")), "unverified": bool(detail.get("unverified")),
        "bar": Markup(bar(phases, begin)) if phases else "",  # noqa: S704  # it escapes what it is given
        "phases": [(one["name"], span(one["started"] - begin), span(one["ended"] - one["started"])) for one in phases],
        "moments": [(label, between(begin, detail[key])) for key, label in MOMENTS if number(detail.get(key))],
        "read_again": words(detail.get("read_again")), "problems": texts(detail.get("problems")),
    }  # fmt: skip


def under_way(row: Row) -> dict[str, Any]:
    """A heal that ran when the page was written: its phase then, and those that had ended."""
    phases = [(one.get("name"), span(number(one.get("seconds"))), "ended") for one in rows(row.get("phases"))]
    task = part(row.get("doing")).get("task")
    state = f"now: {task}" if task else "now"
    begun, lasted = number(row.get("started_at")), number(row.get("seconds"))
    return {
        "at": when(begun + lasted) if begun is not None and lasted is not None else "-",
        "by": row.get("unit") or row.get("by") or "not known", "lasted": span(lasted),
        "expired": row.get("lease_expired") is True, "problems": texts(row.get("problems")),
        "phases": [*phases, (phase_words(row), span(number(row.get("phase_seconds"))), state)],
    }  # fmt: skip


def journalled(row: Row, written: Sequence[Row]) -> list[dict[str, Any]]:
    """The phases as the journal saw them begin, for a heal that did not tell its end."""
    found = []
    for one in written:
        at, seconds = number(one.get("at")), number(one.get("seconds"))
        if one.get("attempt") == row.get("attempt") and at is not None:
            found.append({"name": str(one.get("phase")), "started": at, "ended": at + max(seconds or 0.0, 0.0)})
    return sorted(found, key=lambda one: float(one["started"]))


def problems(attempts: Sequence[Row]) -> list[str]:
    """What the heals had to say to a person, each once."""
    found = [text for row in attempts for text in texts(part(row.get("detail")).get("problems"))]
    return list(dict.fromkeys(found))


def balancers(told: Sequence[Row]) -> list[dict[str, Any]]:
    """What the balancers said at the first and at the last decision."""
    known = [row for row in told if rows(part(row.get("basis")).get("balancers"))]
    chosen = known[:1] + (known[-1:] if len(known) > 1 else [])
    found = []
    for row in chosen:
        seen = rows(part(row["basis"]).get("balancers"))
        members = [(one, server) for one in seen for server in rows(one.get("servers"))]
        extra = sorted({
            str(key) for _one, server in members for key, value in server.items()
            if number(value) is not None and key not in NO_COUNTER
        })  # fmt: skip
        found.append({
            "at": when(row.get("at")),
            "silent": [(one.get("balancer"), one.get("error") or "no answer") for one in seen
                       if one.get("reachable") is False],
            "heads": ["balancer", "member", *MEMBER, *(key.replace("_", " ") for key in extra)],
            "members": [
                (one.get("balancer"), server.get("server"), server.get("operational"),
                 *(server.get(key) for key in MEMBER[1:]), *(server.get(key) for key in extra))
                for one, server in members
            ],
        })  # fmt: skip
    return found


def pairs(basis: Row) -> list[tuple[object, ...]]:
    """The two nodes of a pair at that moment."""
    found: list[tuple[object, ...]] = []
    for name, seen in part(basis.get("pair")).items():
        instance, service = part(part(seen).get("instance")), part(part(seen).get("service"))
        present = instance.get("address_present")
        has = "yes" if present is True else "no" if present is False else "not known"
        found.append((name, instance.get("state") or "not known", has,
                      "answers" if service.get("ok") else service.get("detail") or "not known",
                      part(seen).get("members_up")))  # fmt: skip
    return found
