# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A scenario as data: read from YAML, checked key by key, and given a seed. `docs/scenarios.md` is the long form."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

MUST, MAY, MUST_NOT = "must", "may", "must_not"
WORDS = (MUST, MAY, MUST_NOT)
#: Names for the two nodes of the pair, by who has the address when the scenario begins.
ACTIVE, STANDBY = "active", "standby"
#: What can be done, and to what: a node, or one of these on the monitor.
ON_NODES = ("break", "mend", "maintenance", "ready", "downtime")
ON_MONITOR: Mapping[str, tuple[str, ...]] = {
    "restart": ("nagios", "healer"),
    "kill": ("healer",),
    "oom": ("healer",),
    "reboot": ("monitor",),
}
#: Numbers that a step may give, with their bounds: of a downtime, or of a fault (lab/faults.py).
NUMBERS: Mapping[str, tuple[float, float]] = {"seconds": (1.0, 3600.0), "burn_ms": (1.0, 100.0)}
NUMBERS_OF: Mapping[str, tuple[str, ...]] = {
    "downtime": ("seconds",),
    "load_peak": ("seconds", "burn_ms"),
    "operator_restart": ("seconds",),
}
PHASES = ("confirm", "shift", "evidence", "restart", "verify", "readmit", "soak")
JITTER_SECONDS = 2.0
NO_LIMIT = 999


class ScenarioError(Exception):
    """A scenario file that cannot be played; the sentence names the file and the place."""


@dataclass(frozen=True)
class Step:
    """One thing that is done to the farm, at a time or once the heal of a node has come to a phase."""

    do: str
    target: str
    fault: str = ""
    at: float = 0.0
    heal_of: str = ""
    phase: str = ""
    seconds: float = 120.0
    options: Mapping[str, float] = field(default_factory=dict)  # what the file gives of its fault

    @property
    def text(self) -> str:
        """For people."""
        when = f"{self.at:g} s after {self.phase} of {self.heal_of}" if self.heal_of else f"at {self.at:g} s"
        return f"{self.do} {self.fault + ' on ' if self.fault else ''}{self.target} {when}"


@dataclass(frozen=True)
class Outcome:
    """What an outcome's word demands, if the scenario does not say otherwise."""

    restarts: tuple[int, int]
    human: str
    held: str
    serves: bool
    acts: bool


#: healed: closed by a verified heal. recovered: well by itself, closed without a heal. relieved: healed by room on its
#: disk, without a restart. held_human_called: out of traffic under a hold, and a human knows. human_called: left where
#: it was, and a human knows. nothing: no heal began.
OUTCOMES: Mapping[str, Outcome] = {
    "healed": Outcome((1, 1), MUST_NOT, MUST, True, True),
    "recovered": Outcome((0, 0), MAY, MAY, True, True),
    "relieved": Outcome((0, 0), MUST_NOT, MUST, True, True),
    "held_human_called": Outcome((0, 1), MUST, MUST, False, True),
    "human_called": Outcome((0, 0), MUST, MUST_NOT, False, False),
    "nothing": Outcome((0, 0), MUST_NOT, MUST_NOT, True, False),
}


@dataclass(frozen=True)
class Expected:
    """How one node must end."""

    outcomes: tuple[str, ...]
    restarts: tuple[int, int]
    human: str
    held: str
    out: str = MAY
    seen: str = MUST
    reasons: tuple[str, ...] = ()
    untimed: str = ""

    @property
    def serves(self) -> bool:
        return all(OUTCOMES[word].serves for word in self.outcomes)


@dataclass(frozen=True)
class Scenario:
    name: str
    what: str
    steps: tuple[Step, ...]
    nodes: Mapping[str, Expected]
    address: str = MAY
    one_after_other: tuple[str, ...] = ()
    within_seconds: float = 180.0
    watch_seconds: float = 0.0
    short: bool = False
    roles: Mapping[str, str] = field(default_factory=dict)  # what the names of the file became, for the report

    def last_at(self) -> float:
        return max((step.at for step in self.steps if not step.heal_of), default=0.0)


def read_all(folder: Path, nodes: Iterable[str], faults: Iterable[str], reasons: Iterable[str]) -> list[Scenario]:
    """Every scenario of a folder, by file name; raises with all that is wrong in all of them."""
    found, wrong = [], []
    for path in sorted(folder.glob("*.yml")):
        try:
            found.append(read(path, nodes, faults, reasons))
        except ScenarioError as error:
            wrong.append(str(error))
    if wrong:
        raise ScenarioError("\n".join(wrong))
    if not found:
        raise ScenarioError(f"{folder} has no scenario (*.yml)")
    return found


def read(path: Path, nodes: Iterable[str], faults: Iterable[str], reasons: Iterable[str]) -> Scenario:
    """One scenario; its name is the name of its file."""
    from .scenario_check import check

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path.name}: cannot be read: {' '.join(str(error).split())}") from error
    problems, scenario = check(value, path.stem, tuple(nodes), tuple(faults), tuple(reasons))
    if problems or scenario is None:
        raise ScenarioError("\n".join(f"{path.name}: {problem}" for problem in problems))
    return scenario


def cast(scenario: Scenario, seed: int, layers: Mapping[str, tuple[str, ...]], kinds: Mapping[str, str],
         active: str) -> Scenario:  # fmt: skip
    """The same scenario for one seed: nodes of a pool change places, times move a little, the pair gets its names.

    Seed 1 plays the names as they are written. Steps of the same time stay at the same time.
    """
    dice = random.Random(f"{scenario.name} {seed}")
    roles: dict[str, str] = {}
    for layer, members in layers.items():
        if kinds.get(layer) == "pair":
            if active in members:
                roles[ACTIVE] = active
                roles[STANDBY] = next(node for node in members if node != active)
            roles.update({node: node for node in members})
            continue
        places = list(members)
        if seed != 1:
            dice.shuffle(places)
        roles.update(dict(zip(members, places, strict=True)))
    times = sorted({step.at for step in scenario.steps})
    # Neighbours may not change their order: a human thaws after the freeze, whatever the dice say.
    moved, last = {}, 0.0
    for at in times:
        last = moved[at] = max(last, at + dice.uniform(0, JITTER_SECONDS))

    def name(node: str) -> str:
        return roles.get(node, node)

    steps = tuple(
        replace(step, target=name(step.target), heal_of=name(step.heal_of), at=round(moved[step.at], 2))
        for step in scenario.steps
    )
    used = {node for step in scenario.steps for node in (step.target, step.heal_of)} | set(scenario.nodes)
    return replace(
        scenario,
        steps=steps,
        nodes={name(node): expected for node, expected in scenario.nodes.items()},
        one_after_other=tuple(name(node) for node in scenario.one_after_other),
        roles={node: name(node) for node in sorted(used) if node in roles},
    )
