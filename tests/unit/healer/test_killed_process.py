# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The healer's process is ended in the middle of a heal and started again: the heal ends well, once.

Ended by SIGKILL, by SIGTERM as ``systemctl restart`` does it, and by the kernel because its memory is at its limit; in
every phase of a heal, and before and after what leaves the process. A sample by SEED (default 1); all of it with

    KILLS=all make test TESTS=tests/unit/healer/test_killed_process.py

The farm around it is simulated (``process_farm`` says what is real); systemd's killing of what a dead healer left
running is not, so a new healer also meets the children of the old one.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._sequences import PHASES
from tests.integration.nagios_fixture import wait_for
from tests.unit.healer.process_farm import NODE, PATIENCE_SECONDS, Farm, memory_limit, oom_kills
from tests.unit.healer.process_healer import CALLS

SEED = int(os.environ.get("SEED") or 1)
ALL = os.environ.get("KILLS") == "all"
WAYS = ("kill", "term", "oom")
SIDES = ("before", "after")
AT_ONCE = 5
SAMPLE = 8
# Between a run that is written down and one that is started: always tried, and the slowest, for the healer waits
# until it is sure that the run never began.
ALWAYS = ("books.begin_run", 1, "after", "kill")
LATER = {
    "units.listed": 3, "reader.begin": 2, "reader.collect": 2, "deliver.deliver": 3, "deliver.now": 2,
}  # fmt: skip
# A pipe has no receipt: dying between its write and the journal's word says it once more, never less.
SAID_AGAIN = ("books.delivered", "deliver.deliver")

Case = tuple[str, Callable[[Farm], int]]  # its name, and what it does: how many more comments than one there may be


def phases(way: str, seed: int) -> Callable[[Farm], int]:
    """One heal, whose healer is ended in each of its phases."""

    def case(farm: Farm) -> int:
        dice = random.Random(f"{seed} {way}")
        for phase in PHASES:
            (farm.folder / f"stop-at-{phase}").touch()
        farm.start()
        farm.fall_ill()
        for phase in PHASES:
            wait_for(lambda at=phase: farm.reached(at), PATIENCE_SECONDS, f"phase {phase}")
            time.sleep(dice.uniform(0.0, 0.4))
            farm.kill(way)
            if dice.random() < 0.5:
                farm.alert()
            late = dice.random() < 0.5  # it comes back when the heal has gone on without it
            if late:
                go_on(farm, phase)
            time.sleep(dice.uniform(0.0, 0.5))
            farm.start()
            if not late:
                go_on(farm, phase)
        return 0

    return case


def go_on(farm: Farm, phase: str) -> None:
    """The heal leaves this phase."""
    (farm.folder / f"stop-at-{phase}").unlink()
    following = PHASES.index(phase) + 1
    if following < len(PHASES):
        wait_for(lambda: farm.reached(PHASES[following]), PATIENCE_SECONDS, f"phase {PHASES[following]}")
    else:
        wait_for(lambda: list((farm.folder / "runs").glob("*/result.json")), PATIENCE_SECONDS, "the end of the run")


def at_call(name: str, nth: int, side: str, way: str) -> Callable[[Farm], int]:
    """One heal, whose healer ends at one of its calls."""

    def case(farm: Farm) -> int:
        farm.start(name, str(nth), side, way, ready=False)
        farm.fall_ill()
        farm.ended(way)
        farm.start()
        return int(name in SAID_AGAIN)

    return case


def grid() -> list[tuple[str, int, str, str]]:
    """Every call at which the healer may end, on both sides, in every way."""
    places = [(name, nth) for name in CALLS for nth in sorted({1, LATER.get(name, 1)})]
    return [(name, nth, side, way) for (name, nth), side, way in itertools.product(places, SIDES, WAYS)]


def sample(seed: int) -> list[tuple[str, int, str, str]]:
    """Some of them: each call at most once, and each way about as often."""
    dice = random.Random(seed)
    points = [point for point in grid() if point[0] != ALWAYS[0]]
    dice.shuffle(points)
    found = [ALWAYS]
    for point in points:
        if point[0] in {one[0] for one in found} or point[3] != WAYS[len(found) % len(WAYS)]:
            continue
        found.append(point)
        if len(found) > SAMPLE:
            break
    return found


def played(folder: Path, name: str, case: Callable[[Farm], int]) -> str:
    """Play one case in a farm of its own; what is wrong, or ''."""
    with memory_limit(f"selfheal-test-{os.getpid()}-{folder.name}") as group:
        if group is None and name.endswith("oom"):
            return f"{name}: no memory limit can be set here"
        with Farm(folder, group) as farm:
            try:
                more = case(farm)
                wait_for(farm.settled, PATIENCE_SECONDS, "everything to be settled")
                killed = len(farm.codes)
                farm.kill("term")
                check(farm, more)
                if group is not None:
                    found, due = oom_kills(group), killed if name.endswith("oom") else 0
                    assert found == due, f"the kernel has killed {found} instead of {due}"
            except (AssertionError, OSError, TimeoutError, subprocess.TimeoutExpired) as exc:
                return f"{name}: {exc}\n{farm.log}\n"
    return ""


def check(farm: Farm, more: int) -> None:
    """The heal has ended well, once; nothing is lost or doubled, and no node is stopped or out of traffic."""
    assert farm.rows("SELECT state, outcome FROM incidents") == [{"state": "closed", "outcome": "healed"}]
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM attempts")] == ["healed"]
    runs = [row["outcome"] for row in farm.rows("SELECT outcome FROM runs ORDER BY number")]
    assert runs in (["healed"], ["gone", "healed"]), runs  # the first of two never began
    assert len(farm.lines("starts")) == 1, farm.lines("starts")
    assert len(farm.lines("restarts")) == 1, "the node was restarted more than once, or never"
    assert not (farm.folder / "held").exists(), "the node is left out of traffic"
    assert not (farm.folder / "ill").exists()
    assert farm.rows("SELECT resource FROM leases") == []
    alerts = [row["outcome"] for row in farm.rows("SELECT outcome FROM alerts")]
    assert len(alerts) == farm.alerts, f"{farm.alerts} alerts, and {len(alerts)} in the journal"
    assert set(alerts) <= {"opened", "known", "recovered", "stale"}, alerts
    told = farm.commands()
    comments = [line for line in told if f"ADD_HOST_COMMENT;{NODE};" in line]
    assert 1 <= len(comments) <= 1 + more, comments
    assert all("healed and verified" in line for line in comments), comments
    states = [line.split(";")[3] for line in told if f";monitor;selfheal: {NODE};" in line]
    assert set(states) == {"0"}, "a human was called"
    assert "bug in" not in farm.log
    assert "Traceback" not in farm.log


def play(folder: Path, cases: Sequence[Case]) -> list[str]:
    """All cases, some at a time; what is wrong with any."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        places = [folder / str(number) for number in range(len(cases))]
        return [found for found in pool.map(played, places, *zip(*cases, strict=True)) if found]


@pytest.fixture(name="limited")
def _limited() -> None:
    with memory_limit(f"selfheal-test-{os.getpid()}-probe") as group:
        if group is None:
            pytest.fail("no memory limit can be set here: it needs root and a memory controller of cgroups")


@pytest.mark.usefixtures("limited")
@pytest.mark.timeout(7200 if ALL else 1200)
def test_the_heal_ends_well_once(tmp_path: Path) -> None:
    seeds = range(SEED, SEED + 5) if ALL else [SEED]
    first, *others = [(" ".join(map(str, point)), at_call(*point)) for point in (grid() if ALL else sample(SEED))]
    cases = [
        first,
        *((f"each phase, seed {seed}, {way}", phases(way, seed)) for seed in seeds for way in WAYS),
        *others,
    ]
    print("\n".join(name for name, _case in cases))
    wrong = play(tmp_path, cases)
    assert not wrong, "\n".join(wrong)


def test_the_sample_has_each_way_and_is_the_same_for_the_same_seed() -> None:
    for seed in range(20):
        points = sample(seed)
        assert len(points) == SAMPLE + 1
        assert points[0] == ALWAYS
        assert {point[3] for point in points} == set(WAYS)
        assert len({point[0] for point in points}) == len(points)
        assert points == sample(seed)
        assert set(points) <= set(grid())
