# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Plays one scenario on a lab whose healer runs on the monitor. It breaks and watches; it never asks for a heal."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import faults
from lab.judge.records import read_answers, read_samples
from lab.judge.report import gather
from lab.machines import Lab, LabError, wait_until

from .driver import CampaignError, Driver, say, write_json
from .scenario_figures import heals, unmeasured
from .scenario_model import ACTIVE, PHASES, Scenario, Step, cast
from .scenario_monitor import Hands, Monitor
from .scenario_record import BEFORE_SECONDS, Record
from .scenario_verdict import CLOSED, failures

LOOK_SECONDS = 0.5
JOURNAL_SECONDS = 8.0  # each look costs the monitor some seconds of CPU
PHASE_SECONDS = 120.0  # how long a step waits for its moment
LINGER_SECONDS = 10.0  # a heal too many would begin in this time
QUIET_SECONDS = 240.0
REBOOT_SECONDS = 120.0


def reached(
    scenario: Scenario, incidents: Sequence[Mapping[str, Any]], called: Collection[str], since: float
) -> list[str]:
    """The nodes that have not come to an end that they may have, by the journal and by who was called. Pure."""
    missing = []
    for node, expected in scenario.nodes.items():
        mine = [
            row
            for row in incidents
            if row.get("node") == node and float(row.get("opened_at") or 0) >= since - BEFORE_SECONDS
        ]
        ends = {row.get("outcome") for row in mine if row.get("state") == "closed"}
        open_ones = any(row.get("state") == "open" for row in mine)
        there = False
        for word in expected.outcomes:
            if word in CLOSED:
                there = there or (not open_ones and bool(ends & set(CLOSED[word])))
            else:
                there = there or word == "nothing" or node in called
        if not there:
            missing.append(node)
    return missing


def due(step: Step, runs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a heal of the step's node is at its phase or past it, and still going on. Pure."""
    return any(
        run.get("node") == step.heal_of
        and not run.get("outcome")
        and run.get("phase") in PHASES
        and PHASES.index(str(run["phase"])) >= PHASES.index(step.phase)
        for run in runs
    )


@dataclass
class Player:
    """One lab, many scenarios; each has a judge and a folder of its own."""

    lab: Lab
    out: Path
    rate: float = 100.0
    monitor: Monitor = field(init=False)

    def __post_init__(self) -> None:
        self.monitor = Monitor(self.lab)

    def play(self, written: Scenario, seed: int) -> dict[str, Any]:
        """Play it once; gives what is written into the report."""
        driver = Driver(self.lab, self.out / f"{written.name}-{seed}", rate=self.rate, seed=seed)
        hands = Hands(driver)
        if restless := self.restless(driver):
            return self.told(written, seed, [f"was not played, the farm is not at rest: {restless}"])
        active = driver.holder()
        scenario = cast(written, seed, driver.farm.layers, driver.farm.kinds, active)
        names = {name for step in scenario.steps for name in (step.target, step.heal_of)}
        if ACTIVE in names or not active:
            return self.told(written, seed, ["was not played: nobody answers at the virtual IP"])
        say(f"{scenario.name}, seed {seed}: {scenario.what}")
        driver.start_judge()
        try:
            time.sleep(3)  # the judge sees Nagios once a second: what was there before is in its record
            record = self.watch(scenario, driver, hands)
        finally:
            driver.stop_judge()
        rows = heals(scenario, record, driver.farm, seed)
        wrong = failures(scenario, record, driver.farm) + unmeasured(scenario, record, rows)
        write_json(driver.out / "journal.json", dict(record.journal))
        write_json(driver.out / "played.json", {"begin": record.begin, "end": record.end, "steps": dict(record.played)})
        hands.clean(scenario)
        if restless := self.restless(driver):
            wrong.append(f"left behind, {QUIET_SECONDS:g} s after everything was mended: {restless}")
        for text in wrong:
            say(f"  NOT: {text}")
        return self.told(scenario, seed, wrong, record, rows)

    def told(
        self,
        scenario: Scenario,
        seed: int,
        wrong: Sequence[str],
        record: Record | None = None,
        rows: Sequence[Mapping[str, Any]] = (),
    ) -> dict[str, Any]:
        return {
            "name": scenario.name,
            "seed": seed,
            "what": scenario.what,
            "roles": dict(scenario.roles),
            "steps": [step.text for step in scenario.steps],
            "expected": {node: list(one.outcomes) for node, one in scenario.nodes.items()},
            "failures": list(wrong),
            "harm": list(record.harm) if record else [],
            "seconds": round(record.end - record.begin, 1) if record else 0.0,
            "heals": list(rows),
            "played": record is not None,
        }

    def watch(self, scenario: Scenario, driver: Driver, hands: Hands) -> Record:
        """Do the steps at their times, wait for the end, and gather the record."""
        begin = time.time()
        limit = begin + scenario.within_seconds
        played: dict[int, float] = {}
        problems: list[str] = []
        for number, step in enumerate(scenario.steps):
            if not self.moment(step, begin, limit):
                continue
            played[number] = time.time()
            try:
                self.do(step, hands)
            except LabError as error:
                problems.append(f"steps[{number}] could not be done: {error}")
                del played[number]
        last = max(played.values(), default=begin)
        over = self.wait_end(scenario, driver, begin, last + scenario.watch_seconds, limit)
        time.sleep(LINGER_SECONDS)
        end = time.time()
        driver.mark("end")
        journal = self.monitor.journal(begin)
        if journal is None:
            problems.append("the journal could not be read on the monitor: selfheal history --json")
        driver.stop_judge()
        marks = gather(driver.out, faults.log_path(self.lab))
        harm = [str(item["what"]) for item in driver.verdict()["harm"]]
        answers, samples = read_answers(driver.out), read_samples(driver.out)
        return Record(begin, end, played, marks, answers, samples, harm, journal or {}, not over, tuple(problems))

    def moment(self, step: Step, begin: float, limit: float) -> bool:
        """Wait for a step's time; false when the heal that it waits for never came to its phase."""
        if not step.heal_of:
            time.sleep(max(0.0, begin + step.at - time.time()))
            return True
        seconds = max(0.0, min(PHASE_SECONDS, limit - time.time()))
        if not wait_until(lambda: due(step, self.monitor.runs(begin)), seconds, pause=0.2):
            return False
        time.sleep(step.at)
        return True

    def do(self, step: Step, hands: Hands) -> None:
        say(f"  {step.text}")
        hands.do(step)
        if step.do == "reboot" and not wait_until(self.monitor.healer, REBOOT_SECONDS, pause=1):
            raise LabError(f"the healer does not run {REBOOT_SECONDS:g} s after the monitor's reboot")

    def wait_end(self, scenario: Scenario, driver: Driver, begin: float, after: float, limit: float) -> bool:
        """Wait until balancers and journal say that it is over; false when the time was over first.

        What is cheap is asked first. The journal is only asked when all of that looks like the end.
        """
        asked = 0.0
        while time.time() < limit:
            if time.time() >= after and time.time() >= asked + JOURNAL_SECONDS and self.looks_over(
                scenario, driver, begin
            ):  # fmt: skip
                incidents = self.monitor.incidents()
                asked = time.time()
                if incidents is not None and not reached(scenario, incidents, self.called(driver, begin), begin):
                    return True
            time.sleep(LOOK_SECONDS)
        return False

    def looks_over(self, scenario: Scenario, driver: Driver, begin: float) -> bool:
        """No run is alive, whoever must be healed has had one, and whoever must serve is in on every balancer."""
        live = self.monitor.live()
        if live is None or live:
            return False
        ran = {run.get("node") for run in self.monitor.runs(begin)}
        seen = driver.rotation()
        for node, expected in scenario.nodes.items():
            if set(expected.outcomes) <= {"healed", "relieved"} and node not in ran:
                return False
            pool = driver.farm.kinds.get(driver.farm.layer_of(node), "pool") == "pool"
            if pool and expected.serves and not (seen and all(members.get(node) for members in seen.values())):
                return False
        return True

    def called(self, driver: Driver, since: float) -> set[str]:
        """For which nodes Nagios pages a human, by the judge's record so far."""
        return {
            probe.service.removeprefix("selfheal: ")
            for probe in driver.probes()
            if probe.service.startswith("selfheal: ") and probe.status == "critical" and probe.last_check >= since
        }

    def restless(self, driver: Driver, seconds: float = QUIET_SECONDS) -> str:
        """Wait for a farm at rest; why it is not, else nothing."""
        why = "nobody looked"

        def rests() -> bool:
            nonlocal why
            why = self.unrest(driver)
            return not why

        return "" if wait_until(rests, seconds, pause=2) else why

    def unrest(self, driver: Driver) -> str:
        """The first thing that is not as it is on a farm at rest."""
        if not self.monitor.healer():
            return "the healer does not run on the monitor (selfheal.service)"
        if self.monitor.live():
            return "a heal goes on"
        if not driver.whole():
            return "not every member is in on every balancer"
        for layer, home in driver.farm.preferred.items():
            if driver.farm.home.get(layer) == "now" and driver.holder() != home:
                return f"the address is not at home on {home}"
        if bad := self.monitor.critical():
            return f"Nagios shows critical: {', '.join(bad[:4])}"
        incidents = self.monitor.incidents()
        if incidents is None:
            return "the journal cannot be read on the monitor"
        still = [str(row.get("incident")) for row in incidents if row.get("state") == "open"]
        return f"incident {', '.join(still)} is open" if still else ""


__all__ = ["CampaignError", "Player", "due", "reached"]
