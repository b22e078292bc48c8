# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Play the scenarios of tests/scenarios/ on a lab that heals itself; writes build/scenarios/report.json and a table."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._planner_reasons import REASONS
from lab import owner
from lab.faults import FAULTS
from lab.judge.farm import JudgeError
from lab.machines import Lab, LabError

from .campaign import Row as Bar
from .driver import ROOT, CampaignError, say, write_json
from .scenario_figures import bars
from .scenario_model import Scenario, ScenarioError, read_all

FOLDER = ROOT / "tests/scenarios"
OUT = ROOT / "build/scenarios"
#: The farm of the lab; files are checked against it without a lab.
NODES = ("ei1", "ei2", "ei3", "extlb1", "extlb2")
#: Words that the journal writes beside the reasons of the plan: how an alert or an incident ended.
ENDS = ("recovered", "stale")
SEEDS = 3
BROKEN = (CampaignError, JudgeError, LabError, subprocess.SubprocessError, OSError)


def load(folder: Path = FOLDER) -> list[Scenario]:
    """Every scenario, checked."""
    return read_all(folder, NODES, FAULTS, (*REASONS, *ENDS))


def chosen(every: Sequence[Scenario], only: str, short: bool) -> list[Scenario]:
    """The named ones, or those of the short slice, or all; a name that is not there is told with those that are."""
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = [one.name for one in every]
    if unknown := [name for name in names if name not in known]:
        raise ScenarioError(f"no scenario {', '.join(unknown)}; there are: {', '.join(known)}")
    return [one for one in every if (one.name in names if names else one.short or not short)]


def show(played: Sequence[Mapping[str, Any]], found: Sequence[Bar]) -> None:
    """Two tables: the scenarios, and the bars."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console = console if console.is_terminal else Console(width=160)
    table = Table(title="The scenarios", title_justify="left")
    for heading in ("scenario", "seed", "expected", "seconds", "check to safe", "bad to healed", ""):
        table.add_column(heading, overflow="fold")
    for one in played:
        table.add_row(
            one["name"],
            str(one["seed"]),
            "; ".join(f"{node} {' or '.join(words)}" for node, words in one["expected"].items()),
            f"{one['seconds']:.0f}",
            ", ".join(told(row["gauge_to_safe"]) for row in one["heals"]) or "-",
            ", ".join(told(row["bad_to_healed"]) for row in one["heals"]) or "-",
            "\n".join(one["failures"]) or "ok",
            style="red" if one["failures"] else "",
        )
    console.print(table)
    table = Table(title="The bars", title_justify="left")
    for heading in ("what", "bar", "measured", ""):
        table.add_column(heading, overflow="fold")
    for bar in found:
        table.add_row(bar.what, bar.bar, bar.measured, "ok" if bar.ok else "NOT MET", style="" if bar.ok else "red")
    console.print(table)


def told(value: float | None) -> str:
    """Seconds for people."""
    return "never" if value is None else f"{value:.1f} s"


def report(played: Sequence[Mapping[str, Any]], found: Sequence[Bar], seconds: float) -> dict[str, Any]:
    """What is written into report.json."""
    return {
        "ok": bool(found) and all(bar.ok for bar in found),
        "seconds": round(seconds),
        "rows": [asdict(bar) for bar in found],
        "scenarios": list(played),
    }


def lab_up(fast: bool = False, keep: bool = False) -> None:
    environment = {**os.environ, **owner.environment(keep), "LAB_HEALER": "1", **({"LAB_FAST": "1"} if fast else {})}
    subprocess.run(["lab/up"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL, env=environment)


def lab_down() -> None:
    subprocess.run(["lab/down", "farm"], cwd=ROOT, check=False, stdin=subprocess.DEVNULL)


def broken(scenario: Scenario, seed: int, error: Exception) -> dict[str, Any]:
    """The row of a scenario that the player could not bring to its end; the others are played all the same."""
    return {
        "name": scenario.name,
        "seed": seed,
        "expected": {node: list(one.outcomes) for node, one in scenario.nodes.items()},
        "failures": [f"was not played to its end: {error}"],
        "harm": [],
        "seconds": 0.0,
        "heals": [],
        "played": False,
    }


def play_all(lab: Lab, scenarios: Sequence[Scenario], seeds: Sequence[int], out: Path, mine: bool) -> list[Any]:
    """Every scenario with every seed. The report is written after each, so that a long run shows where it is."""
    from .scenario_play import Player

    player = Player(lab, out)
    played: list[dict[str, Any]] = []
    begin = time.monotonic()
    for seed in seeds:
        for one in scenarios:
            try:
                done = player.play(one, seed)
            except BROKEN as error:
                done = broken(one, seed, error)
            played.append(done)
            say(f"{one.name}, seed {seed}: {'well' if not done['failures'] else 'NOT as it must be'}")
            write_json(out / "report.json", report(played, bars(played), time.monotonic() - begin))
            if mine and any(text.startswith(("left behind", "was not played")) for text in done["failures"]):
                say("the farm is not at rest: it is made anew, so that the next scenario shows what it shows")
                lab_down()
                lab_up(fast=True)
    return played


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m tests.campaign.scenarios", description=__doc__)
    top.add_argument("--only", default="", metavar="NAME,...", help="only these scenarios")
    top.add_argument("--short", action="store_true", help="only the short slice, which `make test` runs")
    top.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or 1), help="the first seed")
    top.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds (default: %(default)s)")
    top.add_argument("--list", action="store_true", help="check all files, say what there is, and end")
    top.add_argument("--keep", action="store_true", help="leave the lab up if this started it")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0: all as it must be. 1: something was not. 2: it could not be played."""
    options = parser().parse_args(argv)
    lab = Lab.from_env()
    try:
        scenarios = chosen(load(), options.only, options.short)
    except ScenarioError as error:
        print(f"scenarios: {error}", file=sys.stderr)
        return 2
    if options.seeds < 1 or not scenarios:
        print("scenarios: nothing to play; --seeds needs at least 1", file=sys.stderr)
        return 2
    if options.list:
        for one in scenarios:
            print(f"{one.name:32} {one.what}")
        return 0
    mine = owner.to_make(lab)
    begin = time.monotonic()
    try:
        lab_up(keep=options.keep)
        played = play_all(lab, scenarios, range(options.seed, options.seed + options.seeds), OUT, mine)
    except BROKEN as error:
        print(f"scenarios: {error}", file=sys.stderr)
        return 2
    finally:
        if mine and not options.keep:
            lab_down()
    found = bars(played, whole=not options.only and not options.short)
    made = report(played, found, time.monotonic() - begin)
    write_json(OUT / "report.json", made)
    show(played, found)
    print(f"Report: {OUT / 'report.json'}")
    return 0 if made["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
