# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What clients felt during one heal, by the balancers' own counters. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._felt import LABELS, gap_words, label
from ansible_collections.selfheal.cluster.plugins.module_utils._felt_looks import words as looks
from selfheal_cluster.page.data import Row, number, part, rows, texts
from selfheal_cluster.page.drawing import span


def counted(attempt: Row, node: object) -> dict[str, Any]:
    """One table of a heal; empty for a heal that no balancer counts for, or of an earlier version."""
    felt = part(part(attempt.get("detail")).get("felt"))
    if not felt:
        return {}
    backends: list[tuple[str, Row]] = [
        (f"backend {row.get('backend')}", part(row.get("counters"))) for row in rows(felt.get("backends"))
    ]
    whole = [("in all", part(felt.get("total")))] if len(backends) > 1 else []
    told = [
        (name, counters)
        for name, counters in [*whole, *backends, (f"of these at {node}", part(felt.get("node")))]
        if any(number(counters.get(key)) is not None for key in LABELS)
    ]
    names = [key for key in LABELS if any(number(counters.get(key)) is not None for _name, counters in told)]
    phases = texts(felt.get("phases"))
    begin, end = number(felt.get("begin")), number(felt.get("end"))
    return {
        "number": attempt.get("attempt"),
        "balancers": ", ".join(texts(felt.get("balancers"))),
        "phases": f"from {phases[0]} to {phases[1]}" if len(phases) == 2 else "",
        "lasted": span(end - begin) if begin is not None and end is not None else "-",
        "heads": ["", *(label(key, 0, felt.get("tcp") is True) for key in names)],
        "rows": [(name, *(amount(counters.get(key)) for key in names)) for name, counters in told],
        "remarks": [*(gap_words(gap) for gap in rows(felt.get("gaps"))), *looks(felt.get("looks"), str(node))],
    }


def amount(value: Any) -> str:
    """A count for a person; what a balancer does not count is no 0."""
    found = number(value)
    return f"{found:,.0f}" if found is not None else "-"
