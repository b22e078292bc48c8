# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The parts of the campaign and what each must show. `make prove` runs all of it, `make test` a slice."""

from __future__ import annotations

import random
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lab.judge.figures import percentile

from .calm import CALM, Calm, calm, calm_row
from .driver import Driver, say

#: Plays of the heal in which a run is killed, in order; each stands for a phase.
KILL_PLAYS = ("Observe", "Confirm", "Shift", "Drain and take evidence", "Restart", "Verify", "Readmit", "Soak")
#: The same for a heal of the balancer that holds the address.
PAIR_KILL_PLAYS = ("Shift", "Drain and take evidence", "Restart", "Verify", "Readmit", "Soak")
#: Real faults among the heals by lb_detach.
FAULTS = ("memory", "memory", "memory", "cpu", "cpu", "hung", "hung", "errors", "errors", "killed", "killed", "memory")
PARTS = ("detach", "slow", "moves", "kills", "calm")
MARGIN_SECONDS = 5.0
GAP_SECONDS = 0.1


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    faults: Sequence[str] = FAULTS
    drills: int = 18
    bare: int = 30
    moves: int = 10
    kills: Sequence[str] = KILL_PLAYS
    pair_kills: Sequence[str] = PAIR_KILL_PLAYS
    calm: Sequence[str] = tuple(CALM)
    slow_starts: int = 3
    requests: int = 100_000

    def only(self, parts: Container[str]) -> Size:
        """The same without the parts that are not named; the bar of requests belongs to the heals by detach."""
        size = self
        if "detach" not in parts:
            size = replace(size, faults=(), drills=0, bare=0, requests=0)
        if "slow" not in parts:
            size = replace(size, slow_starts=0)
        if "moves" not in parts:
            size = replace(size, moves=0)
        if "calm" not in parts:
            size = replace(size, calm=())
        return size if "kills" in parts else replace(size, kills=(), pair_kills=())


SLICE = Size(
    faults=("memory",),
    drills=4,
    bare=2,
    moves=2,
    kills=("Readmit",),
    pair_kills=(),
    calm=(),
    slow_starts=0,
    requests=0,
)


@dataclass
class Row:
    """One bar of the issue and what was measured against it."""

    what: str
    bar: str
    measured: str
    ok: bool
    timing: bool = False  # depends on how busy this machine is


@dataclass
class Killed:
    """What was left behind by a run that was killed, and what the command did about it."""

    play: str
    killed: bool
    left: dict[str, Any]
    code: int
    tries: int
    whole: bool
    serving: bool

    @property
    def ok(self) -> bool:
        return self.killed and self.code == 0 and self.whole and self.serving


@dataclass
class Facts:
    """What the campaign itself knows beside the judge's record."""

    codes: dict[str, int] = field(default_factory=dict)
    bare_seconds: list[float] = field(default_factory=list)
    slow_bare_seconds: list[float] = field(default_factory=list)
    slow_since: float | None = None
    rounds_seconds: float = 0.0
    killed: list[Killed] = field(default_factory=list)
    calm: list[Calm] = field(default_factory=list)


def detach(driver: Driver, size: Size, facts: Facts, dice: random.Random) -> None:
    """Heals of the pool, real and drills in a seeded order, with bare restarts of the same nodes between them."""
    nodes = driver.farm.layers["ei"]
    plan = [*size.faults, *["drill"] * size.drills]
    dice.shuffle(plan)
    bare_every = len(plan) / size.bare if size.bare else float("inf")
    bare_done = 0
    for index, cause in enumerate(plan):
        node = nodes[index % len(nodes)]
        run = driver.drill(node) if cause == "drill" else driver.ill(node, cause)
        facts.codes[f"{index + 1} {cause} {node}"] = run.code
        say(
            f"heal {index + 1}/{len(plan)} of {node} ({cause}): "
            f"{'well' if run.ok else f'exit {run.code}, see {run.log}'}, {run.end - run.begin:.1f} s"
        )
        while bare_done < size.bare and (bare_done + 1) * bare_every <= index + 1:
            facts.bare_seconds.append(driver.bare(node))
            bare_done += 1


def slow_start(driver: Driver, size: Size, facts: Facts, seconds: int = 20) -> None:
    """The same for a service that takes long to start."""
    if not size.slow_starts:
        return
    driver.start_seconds(seconds)
    try:
        facts.slow_since = time.time()
        for index in range(size.slow_starts):
            node = driver.farm.layers["ei"][index % 3]
            facts.slow_bare_seconds.append(driver.bare(node))
            run = driver.drill(node)
            facts.codes[f"slow start {index + 1} {node}"] = run.code
            say(f"heal of {node}, which starts in {seconds} s: {'well' if run.ok else f'see {run.log}'}")
    finally:
        driver.start_seconds(1)
        for node in driver.farm.layers["ei"]:
            driver.bare(node)


def moves(driver: Driver, size: Size, facts: Facts) -> None:
    """Heals of the balancer that holds the address, so that it moves away (and home, if the policy says so)."""
    done = 0
    while done < size.moves:
        node = driver.holder()
        if not node:
            raise AssertionError("nobody answers at the virtual IP")
        driver.mark("move", node, "move")
        run = driver.heal(node, drill=True)
        driver.wait_whole()
        done += 2 if driver.holder() == node else 1
        driver.mark("end", node)
        facts.codes[f"move {done} {node}"] = run.code
        say(f"{done} of {size.moves} moves, from {node}: {'well' if run.ok else f'exit {run.code}, see {run.log}'}")
        if not run.ok:
            return


def kills(driver: Driver, size: Size, facts: Facts, dice: random.Random) -> None:
    """kill -9 of the run in each phase, then the command again."""
    nodes = driver.farm.layers["ei"]
    members = [(play, nodes[index % len(nodes)]) for index, play in enumerate(size.kills)]
    for play, known in [*members, *((play, "") for play in size.pair_kills)]:
        node = known or driver.holder()
        driver.mark("drill", node, f"killed in {play}")
        first = driver.command(node, drill=True, kill_in=play, kill_after=round(dice.uniform(0.05, 0.8), 2))
        answers = driver.answers if known else driver.balances
        left = {"rotation": driver.rotation(), "answers": answers(node)}
        again = driver.heal(node, drill=True)
        whole, serving = driver.wait_whole(60), answers(node)
        driver.mark("end", node)
        facts.killed.append(Killed(play, first.killed_in == play, left, again.code, again.tries, whole, serving))
        say(
            f"kill -9 in {play} of {node}, command again: {'well' if facts.killed[-1].ok else f'see {again.log}'} "
            f"({again.tries} tries)"
        )


def fill(driver: Driver, size: Size) -> None:
    """Keep sending until there are as many requests as the bar asks for."""
    while driver.requests() < size.requests:
        time.sleep(1)  # the judge's client sends meanwhile


def campaign(driver: Driver, size: Size) -> tuple[dict[str, Any], Facts]:
    """All parts under the judge's load; gives the judge's report and the campaign's own facts."""
    dice = random.Random(driver.seed)
    facts = Facts(rounds_seconds=driver.rounds_seconds())
    driver.mend_all()
    if not driver.wait_whole():
        raise AssertionError("the farm is not whole before the campaign begins; see lab/up")
    driver.start_judge()
    try:
        detach(driver, size, facts, dice)
        slow_start(driver, size, facts)
        moves(driver, size, facts)
        kills(driver, size, facts, dice)
        calm(driver, size.calm, facts.calm)
        fill(driver, size)
    finally:
        driver.stop_judge()
        driver.mend_all()
    return driver.verdict(), facts


# What was measured against the bars; pure, so that it can be tested without a lab.

NEVER = float("inf")
REAL = ("memory", "cpu", "hung", "errors", "killed")


def milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms"


def rows(report: Mapping[str, Any], facts: Facts, size: Size) -> list[Row]:
    """Every bar of the issue that the campaign can show."""
    every = report["incidents"]
    quick = [one for one in every if facts.slow_since is None or one["begin"] < facts.slow_since]
    heals = [one for one in quick if one["cause"] in (*REAL, "drill")]
    real = [one for one in heals if one["cause"] != "drill"]
    drills = [one for one in heals if one["cause"] == "drill"]
    bare = [one for one in quick if one["cause"] == "bare"]
    moved = [one for one in every if one["cause"] == "move"]
    wrong = [name for name, code in facts.codes.items() if code != 0 and not name.startswith("move")]
    found = [
        Row(
            "heals by lb_detach that ended well",
            f"{len(size.faults) + size.drills}, {len(size.faults)} real",
            f"{len(heals) - len(wrong)}, {len(real)} real" + (f"; not: {', '.join(wrong)}" if wrong else ""),
            not wrong and len(heals) == len(size.faults) + size.drills,
        )
    ]
    # What clients felt counts for slow services too; the figures of speed are those of the quick ones.
    felt = [one for one in every if one["cause"] in (*REAL, "drill")]
    found.append(after_safe_row("failed after traffic safe", sum(one["failed_after_safe"] for one in felt), felt))
    own_drills = [one for one in felt if one["cause"] == "drill"]
    own = sum(one["failed"] for one in own_drills)
    found.append(
        Row(
            "failed by detach and return themselves (drills)",
            "0",
            f"{own} of {sum(one['sent'] for one in own_drills)} in {len(own_drills)} heals",
            own == 0,
        )
    )
    if size.requests:
        found.append(
            Row(
                "requests",
                f"at least {size.requests}",
                str(report["totals"]["sent"]),
                report["totals"]["sent"] >= size.requests,
            )
        )
    if bare:
        lost = sum(one["failed"] for one in bare)
        # In a slice of a few restarts luck may have it that none is hit; the bar is for the whole.
        found.append(
            Row(
                "failed by the same restarts without detaching",
                "more than 0",
                f"{lost} in {len(bare)} restarts",
                lost > 0 or len(bare) < 10,
            )
        )
    found += restart_rows([*own_drills, *moved])
    found += move_rows(moved, size, facts)
    found += safe_rows(heals, moved, size)
    found += restored_rows(every, drills, facts, size)
    if size.kills or size.pair_kills:
        planned = len(size.kills) + len(size.pair_kills)
        good = sum(one.ok for one in facts.killed)
        found.append(
            Row(
                "kill -9 of the run in each phase, then the command again",
                f"{planned} of {planned} end well",
                f"{good} of {len(facts.killed)}" + "".join(f"; {one.play}: not" for one in facts.killed if not one.ok),
                good == planned,
            )
        )
    if size.calm:
        found.append(Row(*calm_row(size.calm, facts.calm)))
    found.append(Row("harm", "none", "; ".join(item["what"] for item in report["harm"]) or "none", not report["harm"]))
    return found


def after_safe_row(what: str, failed: int, heals: Sequence[Mapping[str, Any]]) -> Row:
    """None may fail after traffic safe, and each heal has to come to it."""
    unsafe = [one["node"] for one in heals if one["traffic_safe"] is None]
    return Row(
        what,
        "0",
        f"{failed} of {sum(one['sent'] for one in heals)} requests in {len(heals)} heals"
        + (f"; never safe: {', '.join(unsafe)}" if unsafe else ""),
        failed == 0 and not unsafe,
    )


def restart_rows(healthy: Sequence[Mapping[str, Any]]) -> list[Row]:
    """A heal of a node that nobody broke restarts it once; a second restart is the heal's own doing."""
    if not healthy:
        return []
    wrong = [f"{one['node']} {one['restarts']} times" for one in healthy if one["restarts"] != 1]
    return [
        Row(
            "restarts by a heal of a node that nobody broke",
            "1 each",
            f"1 each in {len(healthy) - len(wrong)} of {len(healthy)}" + "".join(f"; {text}" for text in wrong),
            not wrong,
        )
    ]


def move_rows(moved: Sequence[Mapping[str, Any]], size: Size, facts: Facts) -> list[Row]:
    if not size.moves:
        return []
    every = [move for one in moved for move in one["moves"]]
    worst_new = max((move["failed_new"] for move in every), default=0)
    worst_gap = max((move["gap"] for move in every), default=0.0)
    cut = sum(move["cut"] for move in every)
    wrong = [name for name, code in facts.codes.items() if code != 0 and name.startswith("move")]
    # The way home is a move of its own, whose failed new connections are under that bar already.
    beside = sum(
        max(0, one["failed_after_safe"] - sum(move["failed_new"] for move in one["moves"][1:])) for one in moved
    )
    return [
        after_safe_row("failed after traffic safe in heals of a pair, beside the way home", beside, moved),
        Row(
            "moves of the virtual IP",
            f"{size.moves}; at most 1 failed new connection each",
            f"{len(every)} in {len(moved)} heals; {worst_new} failed at most; {cut} established connections cut"
            + (f"; not well: {', '.join(wrong)}" if wrong else ""),
            not wrong and len(every) >= size.moves and worst_new <= 1,
        ),
        # Between two requests that do not fail, a gap is as long as a busy machine lets keepalived wait for its CPU.
        Row(
            "gap of a move",
            f"at most {milliseconds(GAP_SECONDS)}",
            f"{milliseconds(worst_gap)} at most",
            worst_gap <= GAP_SECONDS,
            timing=True,
        ),
    ]


def safe_rows(heals: Sequence[Mapping[str, Any]], moved: Sequence[Mapping[str, Any]], size: Size) -> list[Row]:
    """Command to traffic safe; where the balancer's own check was quicker than the command it is zero.

    A heal without this figure, or a cause that was planned and has no heal, counts as never safe.
    """
    found = []
    groups = {cause: [one for one in heals if one["cause"] == cause] for cause in (*REAL, "drill")}
    planned = {*size.faults, *(["drill"] if size.drills else []), *(["move"] if size.moves else [])}
    for cause, incidents in {**groups, "move": list(moved)}.items():
        taken = [one["seconds"]["command_to_safe"] for one in incidents]
        values = sorted(NEVER if value is None else max(0.0, value) for value in taken)
        if cause in planned and not values:
            values = [NEVER]
        if values:
            p50, p95 = percentile(values, 50), percentile(values, 95)
            found.append(
                Row(
                    f"command to traffic safe: {cause}",
                    "p50 4 s, p95 8 s",
                    f"p50 {p50:.1f} s, p95 {p95:.1f} s of {len(values)}",
                    p50 <= 4 and p95 <= 8,
                    timing=True,
                )
            )
    return found


def restored_rows(
    every: Sequence[Mapping[str, Any]], drills: Sequence[Mapping[str, Any]], facts: Facts, size: Size
) -> list[Row]:
    """Each heal against its own drain, the bare restart of the same run and the configured round of checks."""
    found = []
    slow = [
        one
        for one in every
        if one["cause"] == "drill" and facts.slow_since is not None and one["begin"] >= facts.slow_since
    ]
    for name, incidents, bare, wanted in (
        ("1 s", drills, facts.bare_seconds, size.drills if size.bare else 0),
        ("20 s", slow, facts.slow_bare_seconds, size.slow_starts),
    ):
        if not wanted:
            continue
        if not incidents or not bare:
            found.append(Row(f"redundancy restored, service starts in {name}", f"{wanted} heals", "none", False))
            continue
        typical = percentile(sorted(bare), 50)
        over = []
        for one in incidents:
            took, drain = one["seconds"]["safe_to_restored"], one["seconds"]["drain"] or 0.0
            # Never restored, or given back without a restart: that is no redundancy to be proud of.
            well = took is not None and one["restarted"] is not None
            over.append(took - (typical + drain + facts.rounds_seconds) if well else NEVER)
        over.sort()
        found.append(
            Row(
                f"redundancy restored, service starts in {name}",
                f"bare restart ({typical:.1f} s) + drain + checks ({facts.rounds_seconds:g} s) + 5 s",
                f"+ {percentile(over, 50):.1f} s p50, + {over[-1]:.1f} s at most, of {len(over)}",
                over[-1] <= MARGIN_SECONDS,
                timing=True,
            )
        )
    return found
