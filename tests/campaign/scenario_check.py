# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is wrong with a scenario file, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .scenario_model import (
    ACTIVE,
    MAY,
    NO_LIMIT,
    NUMBERS,
    NUMBERS_OF,
    ON_MONITOR,
    ON_NODES,
    OUTCOMES,
    PHASES,
    STANDBY,
    WORDS,
    Expected,
    Scenario,
    Step,
)

KEYS = ("name", "what", "short", "steps", "within_seconds", "watch_seconds", "expect")
EXPECT = ("nodes", "address", "one_after_other", "harm")
NODE = ("outcome", "restarts", "human", "held", "out", "seen", "reasons", "untimed")
STEP = ("at", "after", "node", *NUMBERS, *ON_NODES, *ON_MONITOR)


class Checker:
    """Collects what is wrong, so that all of it is told at once."""

    def __init__(self, nodes: Sequence[str], faults: Sequence[str], reasons: Sequence[str]) -> None:
        self.nodes = (*nodes, ACTIVE, STANDBY)
        self.faults, self.reasons = faults, reasons
        self.problems: list[str] = []

    def wrong(self, place: str, text: str) -> None:
        self.problems.append(f"{place}: {text}")

    def keys(self, place: str, value: Any, allowed: Sequence[str]) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            self.wrong(place, f"must be a mapping, not {value!r}")
            return {}
        for key in value:
            if key not in allowed:
                self.wrong(place, f"no key {key!r}; there are: {', '.join(allowed)}")
        return value

    def one_of(self, place: str, value: Any, allowed: Sequence[str], what: str) -> str:
        if value not in allowed:
            self.wrong(place, f"no {what} {value!r}; there are: {', '.join(allowed)}")
        return str(value)

    def number(self, place: str, value: Any, least: float = 0.0, most: float = 3600.0) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            self.wrong(place, f"must be a number from {least:g} to {most:g}, not {value!r}")
            return least
        return float(value)

    def several(self, place: str, value: Any, allowed: Sequence[str], what: str) -> tuple[str, ...]:
        """A word or a list of words."""
        words = value if isinstance(value, list) else [value]
        if not words:
            self.wrong(place, f"needs at least one {what}")
        return tuple(self.one_of(place, word, allowed, what) for word in words)

    # The parts of a file

    def step(self, place: str, value: Any) -> Step | None:
        step = self.keys(place, value, STEP)
        deeds = [key for key in (*ON_NODES, *ON_MONITOR) if key in step]
        if len(deeds) != 1:
            told = f"has {' and '.join(deeds)}" if deeds else "has none"
            self.wrong(place, f"needs exactly one of {', '.join((*ON_NODES, *ON_MONITOR))}; it {told}")
            return None
        do = deeds[0]
        fault = ""
        if do == "break":
            fault = self.one_of(f"{place}.break", step[do], self.faults, "fault")
            target = self.one_of(f"{place}.node", step.get("node"), self.nodes, "node")
        elif "node" in step:
            self.wrong(place, f"node belongs to break; write {do}: {step['node']}")
            return None
        else:
            allowed = ON_MONITOR.get(do, self.nodes)
            target = self.one_of(f"{place}.{do}", step[do], allowed, "node" if do in ON_NODES else "part of the farm")
        heal_of = phase = ""
        if "after" in step:
            after = self.keys(f"{place}.after", step["after"], ("node", "phase"))
            heal_of = self.one_of(f"{place}.after.node", after.get("node"), self.nodes, "node")
            phase = self.one_of(f"{place}.after.phase", after.get("phase"), PHASES, "phase")
        elif "at" not in step:
            self.wrong(place, "needs `at`: seconds, or `after`: {node, phase}")
        given = self.numbers(place, step, fault or do)
        at = self.number(f"{place}.at", step.get("at", 0))
        return Step(do, target, fault, at, heal_of, phase, given.get("seconds", 120.0), given if fault else {})

    def numbers(self, place: str, step: Mapping[str, Any], of: str) -> dict[str, float]:
        """What is given of a downtime or of a fault."""
        found = {}
        for key, (least, most) in NUMBERS.items():
            if key not in step:
                continue
            if key not in NUMBERS_OF.get(of, ()):
                whose = [name for name, keys in NUMBERS_OF.items() if key in keys]
                self.wrong(place, f"{key} belongs to {', '.join(whose)}, not to {of}")
            found[key] = self.number(f"{place}.{key}", step[key], least, most)
        return found

    def steps(self, value: Any) -> tuple[Step, ...]:
        if not isinstance(value, list) or not value:
            self.wrong("steps", "must be a list with at least one step")
            return ()
        found = [self.step(f"steps[{place}]", item) for place, item in enumerate(value)]
        last = 0.0
        for place, step in enumerate(found):
            if step is not None and not step.heal_of:
                if step.at < last:
                    self.wrong(f"steps[{place}].at", f"is {step.at:g}, before the {last:g} of a step above it")
                last = max(last, step.at)
        return tuple(step for step in found if step is not None)

    def expected(self, place: str, value: Any) -> Expected | None:
        node = self.keys(place, value, NODE)
        before = len(self.problems)
        outcomes = self.several(f"{place}.outcome", node.get("outcome"), tuple(OUTCOMES), "outcome")
        words = {
            key: self.one_of(f"{place}.{key}", node[key], WORDS, "word")
            for key in ("human", "held", "out", "seen")
            if key in node
        }
        reasons = self.several(f"{place}.reasons", node["reasons"], self.reasons, "reason") if "reasons" in node else ()
        if "nothing" in outcomes and not reasons:
            self.wrong(f"{place}.reasons", "nothing is only right with a reason that is written; name which may be")
        untimed = node.get("untimed", "")
        if not isinstance(untimed, str) or ("untimed" in node and not untimed.strip()):
            self.wrong(f"{place}.untimed", "must say why this heal does not count for the figures of time")
        if len(self.problems) > before:
            return None
        given = [OUTCOMES[word] for word in outcomes]
        # With several outcomes allowed, the defaults of each are allowed.
        widest = (min(one.restarts[0] for one in given), max(one.restarts[1] for one in given))
        restarts = self.restarts(f"{place}.restarts", node["restarts"]) if "restarts" in node else widest
        humans, helds = {one.human for one in given}, {one.held for one in given}
        return Expected(
            outcomes,
            restarts,
            words.get("human", humans.pop() if len(humans) == 1 else MAY),
            words.get("held", helds.pop() if len(helds) == 1 else MAY),
            words.get("out", MAY),
            words.get("seen", "must"),
            reasons,
            str(untimed).strip(),
        )

    def restarts(self, place: str, value: Any) -> tuple[int, int]:
        pair = value if isinstance(value, list) else [value, value]
        whole = all(isinstance(one, int) and not isinstance(one, bool) and 0 <= one <= NO_LIMIT for one in pair)
        if len(pair) != 2 or not whole or pair[0] > pair[1]:
            self.wrong(place, f"must be a number or [least, most], not {value!r}")
            return 0, 0
        return pair[0], pair[1]


def check(
    value: Any, stem: str, nodes: Sequence[str], faults: Sequence[str], reasons: Sequence[str]
) -> tuple[list[str], Scenario | None]:
    """All problems of one file's value, and the scenario if there are none."""
    at = Checker(nodes, faults, reasons)
    top = at.keys("scenario", value, KEYS)
    if not top:
        return at.problems or ["scenario: is empty"], None
    if top.get("name") != stem:
        at.wrong("name", f"must be the name of the file, {stem!r}, not {top.get('name')!r}")
    if not isinstance(top.get("what"), str) or not top["what"].strip():
        at.wrong("what", "must say in a sentence what happens")
    short = top.get("short", False)
    if not isinstance(short, bool):
        at.wrong("short", f"must be true or false, not {short!r}")
    steps = at.steps(top.get("steps"))
    expect = at.keys("expect", top.get("expect"), EXPECT)
    named = at.keys("expect.nodes", expect.get("nodes", {}), at.nodes) if expect else {}
    if expect and not named:
        at.wrong("expect.nodes", "needs at least one node")
    expected = {str(node): at.expected(f"expect.nodes.{node}", want) for node, want in named.items()}
    if expect.get("harm", 0) != 0:
        at.wrong("expect.harm", "is always 0; no scenario may allow harm")
    address = at.one_of("expect.address", expect.get("address", MAY), WORDS, "word")
    turns: tuple[str, ...] = ()
    if "one_after_other" in expect:
        turns = at.several("expect.one_after_other", expect["one_after_other"], tuple(named) or at.nodes, "node")
        if len(set(turns)) < 2:
            at.wrong("expect.one_after_other", "needs two nodes or more")
    broken = {step.target for step in steps if step.do == "break"}
    for node in sorted(broken - set(named)):
        at.wrong("expect.nodes", f"{node} is broken by a step; say how it must end")
    within = at.number("within_seconds", top.get("within_seconds", 180), 1)
    watch = at.number("watch_seconds", top.get("watch_seconds", 0))
    idle = all(want is not None and set(want.outcomes) == {"nothing"} for want in expected.values())
    if idle and watch < 1:
        at.wrong("watch_seconds", "nothing is done for how long? Say the seconds that are watched after the last step")
    timed = max((step.at for step in steps if not step.heal_of), default=0.0)
    if within <= timed + watch:
        at.wrong("within_seconds", f"is {within:g}, but steps and watching alone take {timed + watch:g}")
    if at.problems:
        return at.problems, None
    wants = {node: want for node, want in expected.items() if want is not None}
    return [], Scenario(stem, top["what"].strip(), steps, wants, address, turns, within, watch, short)
