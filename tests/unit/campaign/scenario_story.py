# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A record of a scenario made by hand, for the tests of its verdict and of its figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lab.judge.farm import Farm
from lab.judge.records import Answer, BalancerSeen, MachineSeen, Mark, ProbeSeen, Sample, ServerSeen
from tests.campaign.scenario_model import Scenario, cast
from tests.campaign.scenario_record import Record
from tests.campaign.scenario_verdict import failures
from tests.campaign.scenarios import load

MEMBERS, PAIR = ("ei1", "ei2", "ei3"), ("extlb1", "extlb2")
FARM = Farm(
    addresses=dict.fromkeys((*MEMBERS, *PAIR), "10.213.77.1"),
    layers={"ei": MEMBERS, "extlb": PAIR},
    kinds={"ei": "pool", "extlb": "pair"},
    balancers={"ei": PAIR},
    units={"ei": "ei.service", "extlb": "haproxy.service"},
    minimum={"ei": 2},
    home={"extlb": "now"},
    preferred={"extlb": "extlb1"},
)
BEGIN, END = 1000, 1200
SCENARIOS = {one.name: cast(one, 1, FARM.layers, FARM.kinds, "extlb1") for one in load()}


@dataclass
class Story:
    """A record in the making. `out` is who was out on the balancers, how and when; the rest is as the record has it."""

    scenario: Scenario
    out: list[tuple[str, str, float, float]] = field(default_factory=list)
    started: list[tuple[str, float]] = field(default_factory=list)  # starts of the node's own service
    probes: list[ProbeSeen] = field(default_factory=list)
    holders: list[tuple[float, str]] = field(default_factory=lambda: [(0.0, "extlb1")])
    silent: list[tuple[str, float, float]] = field(default_factory=list)  # a balancer that does not answer
    stopped: list[str] = field(default_factory=list)  # nodes of the pair whose units do not run at the end
    journal: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {key: [] for key in ("incidents", "attempts", "phases", "decisions", "alerts")}
    )
    played: dict[int, float] | None = None
    harm: list[str] = field(default_factory=list)
    timed_out: bool = False
    problems: list[str] = field(default_factory=list)
    answered: bool = True

    def ill(self, node: str, at: float = 1010.0, service: str = "memory") -> None:
        self.probes += [
            ProbeSeen(at, node, service, "critical", False, at),
            ProbeSeen(at + 3, node, service, "critical", True, at + 3),
            ProbeSeen(END - 20, node, service, "ok", True, END - 20),
        ]

    def calls(self, node: str, at: float = 1030.0, over: float | None = None) -> None:
        self.probes.append(ProbeSeen(at, "monitor", f"selfheal: {node}", "critical", True, at))
        if over is not None:
            self.probes.append(ProbeSeen(over, "monitor", f"selfheal: {node}", "ok", True, over))

    def incident(self, node: str, outcome: str, opened: float = 1014.0, closed: float | None = 1050.0) -> None:
        self.journal["incidents"].append(
            {
                "incident": f"{node}-{opened:.0f}",
                "node": node,
                "state": "open" if closed is None else "closed",
                "opened_at": opened,
                "closed_at": closed,
                "outcome": outcome,
            }
        )

    def attempt(self, node: str, outcome: str, at: float = 1015.0, ended: float | None = 1050.0, of: float = 1014.0,
                readmit: float | None = 1035.0) -> None:  # fmt: skip
        incident = f"{node}-{of:.0f}"
        self.journal["attempts"].append(
            {"incident": incident, "node": node, "at": at, "ended_at": ended, "outcome": outcome}
        )
        if readmit is not None:
            self.journal["phases"].append({"incident": incident, "attempt": 1, "phase": "readmit", "at": readmit})

    def refused(self, node: str, *reasons: str, at: float = 1015.0) -> None:
        self.journal["decisions"].append({"node": node, "at": at, "admitted": False, "reasons": list(reasons)})

    def alert(self, node: str, outcome: str, reason: str = "", at: float = 1011.0) -> None:
        self.journal["alerts"].append({"host": node, "at": at, "incident": None, "outcome": outcome, "reason": reason})

    def healed(self, node: str, begin: float = 1014.0) -> None:
        """All that belongs to a heal of a member as it must be."""
        self.ill(node, begin - 4)
        self.incident(node, "healed", begin, begin + 36)
        self.attempt(node, "healed", begin + 1, begin + 36, begin, begin + 21)
        self.out.append((node, "MAINT", begin + 3, begin + 22))
        self.started.append((node, begin + 8))

    def healed_balancer(self, node: str) -> None:
        """The same of a balancer, but for where the address was meanwhile."""
        self.ill(node, service="http")
        self.incident(node, "healed")
        self.attempt(node, "healed")
        self.started.append((node, 1024.0))

    def samples(self) -> list[Sample]:
        found: list[Sample] = [*self.probes]
        for node in (*MEMBERS, *PAIR):
            units = {"ei.service": 500.0} if node in MEMBERS else {"haproxy.service": 500.0, "keepalived.service": 1.0}
            name = "ei.service" if node in MEMBERS else "haproxy.service"
            has = [(at, holder == node) for at, holder in self.holders] if node in PAIR else [(0.0, False)]
            found.append(MachineSeen(BEGIN - 2, node, 1.0, dict(units), has[0][1]))
            for at in sorted([*(at for at, _ in has[1:]), *(at for who, at in self.started if who == node)]):
                if (node, at) in self.started:
                    units[name] = at
                address = [held for when, held in has if when <= at][-1]
                found.append(MachineSeen(at + 0.1, node, 1.0, dict(units), address))
            if node in self.stopped:
                found.append(MachineSeen(END - 1, node, 1.0, {}, False))
        for at in range(BEGIN - 2, END + 1):
            for balancer in PAIR:
                servers = {
                    node: ServerSeen(
                        next((how for who, how, a, b in self.out if who == node and a <= at < b), "UP"), 0, 0
                    )
                    for node in MEMBERS
                }
                quiet = any(who == balancer and a <= at < b for who, a, b in self.silent)
                found.append(BalancerSeen(float(at), balancer, None if quiet else servers))
        return sorted(found, key=lambda sample: sample.at)

    def record(self) -> Record:
        answers = []
        for tick in range(BEGIN * 2, END * 2):
            at = tick / 2
            holder = [who for when, who in self.holders if when <= at][-1]
            answers.append(
                Answer(at, at + 0.01, new=True, balancer=holder, member="ei3", error="" if self.answered else "connect")
            )
        steps = {number: BEGIN + step.at for number, step in enumerate(self.scenario.steps)}
        marks = [
            Mark(steps[number], "injected", step.target, step.fault, {"kind": "illness"})
            for number, step in enumerate(self.scenario.steps)
            if step.do == "break"
        ]
        played = steps if self.played is None else self.played
        return Record(BEGIN, END, played, marks, answers, self.samples(), self.harm, self.journal, self.timed_out,
                      self.problems)  # fmt: skip

    def verdict(self) -> list[str]:
        return failures(self.scenario, self.record(), FARM)
