# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How fast the healed faults were healed, by the judge's record and the journal. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_default import DEFAULT_GAUGES
from lab.judge.farm import Farm
from lab.judge.figures import Incident, count, pair_times, percentile, pool_times
from lab.judge.records import ProbeSeen

from .campaign import Row as Bar
from .scenario_model import Scenario
from .scenario_record import BAD, Record, restarted

NEVER = float("inf")
NOTHING = "nothing: no heal has this figure"
SAFE_P50, SAFE_P95, HEALED_WORST, HEALED_MEDIAN = 4.0, 8.0, 60.0, 30.0


def for_seconds(service: str) -> float:
    """How long a reading of this check has to last before its gauge is complete."""
    plain = service.lower().replace("_", " ").replace("-", " ")
    return max(
        (
            float(gauge.get("for_seconds") or 0.0)
            for gauge in DEFAULT_GAUGES
            if any(fnmatch.fnmatchcase(plain, name) for name in gauge.get("service") or ())
        ),
        default=0.0,
    )


def completing(probes: Iterable[ProbeSeen], since: float) -> float | None:
    """When the first result was there that completes a gauge: critical, hard, and critical for as long as it asks.

    A check that measures for some seconds has its result that much after its begin; Nagios says how much. Before that
    there is nothing that anybody could know.
    Nagios' marks come from the gauges' (interfaces.md), so its hard critical is the gauge's count.
    """
    first: dict[str, float] = {}
    found: list[float] = []
    for probe in sorted(probes, key=lambda probe: probe.last_check):
        if probe.last_check <= since:
            continue
        if probe.status != "critical":
            first.pop(probe.service, None)
            continue
        begin = first.setdefault(probe.service, probe.last_check)
        if probe.hard and probe.last_check + probe.took - begin >= for_seconds(probe.service):
            found.append(probe.last_check + probe.took)
    return min(found, default=None)


def heals(scenario: Scenario, record: Record, farm: Farm, seed: int) -> list[dict[str, Any]]:
    """One row for each node that this scenario has healed after an illness, with its seconds."""
    found = []
    for node, expected in scenario.nodes.items():
        ill = [
            mark
            for mark in record.marks
            if mark.node == node
            and mark.event == "injected"
            and mark.detail.get("kind", "illness") == "illness"
            and mark.at >= record.begin - 1
        ]
        closed = [float(row["closed_at"]) for row in record.rows("incidents", node) if row.get("outcome") == "healed"]
        if not ill or not closed:
            continue
        injected = ill[0].at
        layer = farm.layer_of(node)
        seen = Incident(node, layer, ill[0].label, injected, record.end, injected)
        again = restarted(node, record, farm)
        # Everything from the record's begin on: what balancers and machines showed before is their state then.
        if farm.kinds.get(layer, "pool") == "pair":
            pair_times(seen, record.answers, record.samples, again)
        else:
            pool_times(seen, farm, record.answers, record.samples, again)
        count(seen, record.answers)
        complete = completing(record.probes(node), injected)
        bad = min((probe.last_check + probe.took for probe in record.probes(node) if probe.status in BAD), default=None)
        safe = None
        if seen.traffic_safe is not None and complete is not None:
            safe = max(0.0, seen.traffic_safe - complete)  # a balancer's own check may be quicker than the gauge
        found.append(
            {
                "scenario": scenario.name,
                "seed": seed,
                "node": node,
                "cause": ill[0].label,
                "untimed": expected.untimed,
                "restarts": len(again),
                "gauge_to_safe": rounded(safe),
                "bad_to_healed": rounded(None if bad is None else min(closed) - bad),
                "injected_to_bad": rounded(None if bad is None else bad - injected),
                "safe_to_restored": rounded(seen.seconds(seen.traffic_safe, seen.redundancy_restored)),
                "failed_after_safe": seen.failed_after_safe,
                "failed": seen.failed,
            }
        )
    return found


def unmeasured(scenario: Scenario, record: Record, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Heals that have no row of figures, because a mark or a closing is missing: a bar would not see them. Pure."""
    measured = {row["node"] for row in rows}
    return [
        f"{node}: has no figures of a heal: the mark of the illness, or the incident closed as healed, is missing"
        for node, expected in scenario.nodes.items()
        if node not in measured
        and (
            set(expected.outcomes) <= {"healed", "relieved"}
            or any(row.get("outcome") == "healed" for row in record.rows("incidents", node))
        )
    ]


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def spread(values: Sequence[float | None]) -> list[float]:
    """In order; a heal without the figure counts as never."""
    return sorted(NEVER if value is None else value for value in values)


def bars(played: Sequence[Mapping[str, Any]], whole: bool = False) -> list[Bar]:
    """The bars of the issue; `played` is what `scenarios.py` writes of each scenario.

    In a `whole` run every bar is there: a figure that nothing gave is a bar that was missed, not one less.
    """
    good = [one for one in played if not one["failures"]]
    every = [row for one in played for row in one["heals"]]
    timed = [row for row in every if not row["untimed"]]
    left = len(every) - len(timed)
    beside = f"; {left} not counted, each with its reason" if left else ""
    found = [
        Bar(
            "scenarios",
            "outcome as in the table",
            f"{len(good)} of {len(played)}",
            bool(played) and len(good) == len(played),
        ),
        Bar(
            "harm",
            "0",
            str(sum(len(one["harm"]) for one in played)),
            not any(one["harm"] for one in played),
        ),
    ]
    safe = spread([row["gauge_to_safe"] for row in timed])
    if safe or whole:
        p50, p95 = (percentile(safe, 50), percentile(safe, 95)) if safe else (NEVER, NEVER)
        found.append(
            Bar(
                "check result completing the gauge to traffic safe",
                f"p50 {SAFE_P50:g} s, p95 {SAFE_P95:g} s",
                f"p50 {p50:.1f} s, p95 {p95:.1f} s of {len(safe)} healed faults{beside}" if safe else NOTHING + beside,
                p50 <= SAFE_P50 and p95 <= SAFE_P95,
                timing=True,
            )
        )
    ended = spread([row["bad_to_healed"] for row in timed if row["restarts"]])
    if ended or whole:
        worst, median = (ended[-1], percentile(ended, 50)) if ended else (NEVER, NEVER)
        found.append(
            Bar(
                "first bad reading to healed, by a restart",
                f"worst under {HEALED_WORST:g} s, median under {HEALED_MEDIAN:g} s",
                f"worst {worst:.1f} s, median {median:.1f} s of {len(ended)}{beside}" if ended else NOTHING + beside,
                worst < HEALED_WORST and median < HEALED_MEDIAN,
                timing=True,
            )
        )
    return found
