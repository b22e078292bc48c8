# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""All that is known of a scenario that was played, and what it shows of a node. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.judge.farm import Farm
from lab.judge.records import Answer, BalancerSeen, MachineSeen, Mark, ProbeSeen, Sample
from lab.judge.spans import restarts

Row = Mapping[str, Any]
HELD = ("MAINT", "DRAIN")
BAD = ("warning", "critical")
BEFORE_SECONDS = 1.0
KEEPALIVED = "keepalived.service"
ONE_GO_SECONDS = 5.0  # the two services of a balancer that are restarted this close are one restart of the node


@dataclass(frozen=True)
class Record:
    """All that is known of one scenario that was played."""

    begin: float
    end: float
    played: Mapping[int, float]  # number of the step: when it was done
    marks: Sequence[Mark]
    answers: Sequence[Answer]
    samples: Sequence[Sample]
    harm: Sequence[str]
    journal: Mapping[str, Sequence[Row]]
    timed_out: bool = False
    problems: Sequence[str] = field(default_factory=tuple)

    def rows(self, kind: str, node: str) -> list[Row]:
        """What the journal has of a node from this scenario on: incidents, attempts, phases, decisions, alerts."""
        time_of = {"incidents": "opened_at"}.get(kind, "at")
        mine = {str(row.get("incident") or row.get("id")) for row in self.journal.get("incidents", ())
                if row.get("node") == node}  # fmt: skip
        return [
            row
            for row in self.journal.get(kind, ())
            if float(row.get(time_of) or 0) >= self.begin - BEFORE_SECONDS
            and (row.get("node", row.get("host")) == node or ("node" not in row and row.get("incident") in mine))
        ]

    def probes(self, host: str) -> Iterator[ProbeSeen]:
        for sample in self.samples:
            if isinstance(sample, ProbeSeen) and sample.host == host and sample.last_check >= self.begin:
                yield sample


def restarted(node: str, record: Record, farm: Farm) -> list[float]:
    """When its service (of a pair: or keepalived, or both in one go; or the whole machine) was started anew."""
    layer = farm.layer_of(node)
    unit = farm.units.get(layer, "")
    units = [unit if "." in unit else f"{unit}.service"] if unit else []
    pair = farm.kinds.get(layer) == "pair"
    found: list[float] = []
    for at in sorted(restarts(node, record.samples, [*units, KEEPALIVED] if pair else units)):
        if record.begin <= at <= record.end and not (pair and found and at - found[-1] < ONE_GO_SECONDS):
            found.append(at)
    return found


def _calls(node: str, record: Record, until: float = float("inf")) -> list[bool]:
    name = f"selfheal: {node}"
    return [
        sample.status == "critical"
        for sample in record.samples
        if isinstance(sample, ProbeSeen)
        and sample.service == name
        and sample.last_check >= record.begin
        and sample.at <= until
    ]


def called(node: str, record: Record) -> bool:
    """Whether its passive service in Nagios, which pages people, was critical."""
    return any(_calls(node, record))


def calling(node: str, record: Record, at: float = float("inf")) -> bool:
    """Whether it is critical at this moment, else at the end."""
    calls = _calls(node, record, at)
    return bool(calls) and calls[-1]


def held(node: str, record: Record) -> list[BalancerSeen]:
    """The looks at which a balancer had the member in maintenance or draining."""
    return [
        sample
        for sample in record.samples
        if isinstance(sample, BalancerSeen)
        and sample.at >= record.begin
        and sample.servers
        and node in sample.servers
        and sample.servers[node].status.startswith(HELD)
    ]


def last_looks(record: Record) -> dict[str, BalancerSeen]:
    """The last look at each balancer."""
    return {sample.balancer: sample for sample in record.samples if isinstance(sample, BalancerSeen)}


def serves(node: str, record: Record, farm: Farm) -> bool:
    """At the end: a member is in on all balancers; a balancer answers and its units run."""
    layer = farm.layer_of(node)
    looks = last_looks(record)
    if farm.kinds.get(layer, "pool") == "pool":
        seen = [looks.get(name) for name in farm.balancers.get(layer, ())]
        return bool(seen) and all(
            look is not None and look.servers and node in look.servers and not look.servers[node].out for look in seen
        )
    machines = [sample for sample in record.samples if isinstance(sample, MachineSeen) and sample.node == node]
    look = looks.get(node)
    return bool(machines and len(machines[-1].units) >= 2 and look is not None and look.servers)


def held_at_end(node: str, record: Record, farm: Farm) -> bool:
    """At the end: a member in maintenance wherever a balancer answers; a node of a pair without the address."""
    layer = farm.layer_of(node)
    if farm.kinds.get(layer, "pool") == "pool":
        seen = [look for look in last_looks(record).values() if look.servers and node in look.servers]
        return bool(seen) and all((look.servers or {})[node].status.startswith(HELD) for look in seen)
    machines = [sample for sample in record.samples if isinstance(sample, MachineSeen) and sample.node == node]
    return bool(machines) and not machines[-1].address


def reasons(node: str, record: Record) -> set[str]:
    """The words of the journal on a node: refusals of its decisions, ends of its incidents, and of its alerts the end
    and why nothing is done about them (`word: sentence`).
    """
    found = {str(word) for row in record.rows("decisions", node) for word in row.get("reasons") or ()}
    for kind in ("incidents", "alerts"):
        found |= {str(row["outcome"]) for row in record.rows(kind, node) if row.get("outcome")}
    return found | {str(row["reason"]).partition(":")[0] for row in record.rows("alerts", node) if row.get("reason")}
