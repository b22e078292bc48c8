# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the newest decision about an incident rested on, and whom it was told, as short tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_reading import shown
from selfheal_cluster.page.data import Row, number, part, rows, texts

ALERTS = 10  # the newest that are shown
Table = tuple[str, Sequence[str], list[tuple[object, ...]]]


def parts(view: Mapping[str, Any]) -> Iterator[Table]:
    """Title, heads and rows of each table; a table without rows is not shown."""
    from selfheal_cluster.show import when

    told = rows(view.get("decisions"))
    newest = max(told, key=lambda row: (number(row.get("at")) or 0.0, number(row.get("id")) or 0), default={})
    verdict = part(part(newest.get("basis")).get("verdict"))
    judged = f"{verdict.get('verdict') or 'not known'}{f', kind {kind}' if (kind := verdict.get('kind')) else ''}"
    why = texts(verdict.get("reasons")) or (["nothing that was read speaks against it"] if verdict else [])
    yield f"Verdict of the newest decision: {judged}", ("",), [(text,) for text in why]
    yield "What it read", ("verdict", "gauge", "probe", "label", "value", "limit", "age"), readings(verdict)
    if not newest.get("admitted"):
        yield "Why it began no heal", ("reason", "what was seen"), refusals(newest)
    alerts = rows(view.get("alerts"))
    title = "Alerts" if len(alerts) <= ALERTS else f"The last {ALERTS} of {len(alerts)} alerts"
    yield title, ("at", "service", "state", "attempt", "became", "why"), [
        (when(row.get("at")), row.get("service") or "the host", row.get("state"),
         f"{row.get('attempt')} {row.get('type')}", row.get("outcome") or "waits", row.get("reason"))
        for row in alerts[-ALERTS:]
    ]  # fmt: skip
    yield (
        "People who were called",
        ("at", "why", "in words"),
        [(when(row.get("at")), row.get("reason"), row.get("text")) for row in rows(view.get("calls"))],
    )


def readings(verdict: Row) -> list[tuple[object, ...]]:
    """The readings that are not ok, faulty ones first; of a node that is ok, all."""
    found = rows(verdict.get("readings"))
    bad = [row for name in ("faulty", "suspect", "unknown") for row in found if row.get("verdict") == name]
    return [
        (row.get("verdict"), row.get("gauge"), row.get("service") or "the host", row.get("label"),
         amount(row, "value") or row.get("state"), amount(row, "raise_at"), seconds(row.get("age_seconds")))
        for row in bad or found
    ]  # fmt: skip


def refusals(decision: Row) -> list[tuple[object, ...]]:
    """Every reason with what was seen; without the plan the journal still has the reasons."""
    plan = part(part(decision.get("basis")).get("plan"))
    found: list[tuple[object, ...]] = [(row.get("reason"), row.get("detail")) for row in rows(plan.get("refusals"))]
    return found or [(name, "") for name in texts(decision.get("reasons"))]


def amount(row: Row, key: str) -> str:
    """A number of a reading in its unit."""
    value = number(row.get(key))
    return "" if value is None else shown(value, str(row.get("unit") or ""))


def seconds(value: Any) -> str:
    """An age."""
    age = number(value)
    return "" if age is None else f"{age:.0f} s"
