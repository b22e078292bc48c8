# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Between the fast parser and the slow one: the answer of each in the shape of the other."""

from __future__ import annotations

from ansible_collections.selfheal.cluster.plugins.module_utils._perfdata import Metric, Perfdata
from tests.bench import reference

Plain = tuple[dict[str, dict[str, object]], list[str]]


def plain(found: Perfdata) -> Plain:
    """The fast parser's answer in the shape of the slow one's."""
    metrics: dict[str, dict[str, object]] = {
        label: {
            "label": metric.label,
            "value": metric.value,
            "unit": metric.unit,
            "raw_unit": metric.raw_unit,
            "warn": metric.warn,
            "crit": metric.crit,
            "min": metric.min,
            "max": metric.max,
        }
        for label, metric in found.metrics.items()
    }
    return metrics, found.broken


def read_slowly(text: str) -> Perfdata:
    """The slow parser's answer as gauges take it, so that they can judge by its numbers."""
    metrics, broken = reference.read(text)
    # The slow parser says what it holds by key, not by type.
    return Perfdata({label: _metric(**metric) for label, metric in metrics.items()}, broken)  # type: ignore[arg-type]


def _metric(
    *, label: str, value: float | None, unit: str, raw_unit: str, warn: str, crit: str, min: object, max: object
) -> Metric:
    base = unit if unit in ("B", "s") else ""
    least, greatest = ("" if limit is None else f"{limit!r}{base}" for limit in (min, max))
    return Metric(label, value, unit, raw_unit, f";{warn};{crit};{least};{greatest}")
