# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""`make prove`: the whole campaign on a lab; writes build/prove/report.json and prints a table."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from lab import owner
from lab.machines import Lab, LabError

from .campaign import PARTS, SLICE, Facts, Row, Size, campaign, rows
from .driver import ROOT, CampaignError, Driver, say, write_json


def show(found: Sequence[Row]) -> None:
    table = Table(title="The campaign", title_justify="left")
    for heading in ("what", "bar", "measured", ""):
        table.add_column(heading, overflow="fold")
    for row in found:
        table.add_row(row.what, row.bar, row.measured, "ok" if row.ok else "NOT MET", style="" if row.ok else "red")
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)


def result(found: Sequence[Row], facts: Facts, seed: int, seconds: float, judged: object) -> dict[str, object]:
    return {
        "seed": seed,
        "seconds": round(seconds),
        "ok": all(row.ok for row in found),
        "rows": [asdict(row) for row in found],
        "facts": asdict(facts),
        "judge": judged,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or 1))
    parser.add_argument("--slice", action="store_true", help="only what `make test` runs")
    parser.add_argument("--parts", default=",".join(PARTS), help="only these of: %(default)s")
    parser.add_argument("--keep", action="store_true", help="leave the lab up if this started it")
    parser.add_argument("--scenarios", action="store_true", help="play the healer's scenarios instead of the campaign")
    options = parser.parse_args(argv)
    if options.scenarios:
        from . import scenarios

        short = ["--short", "--seeds", "1"] if options.slice else []
        return scenarios.main(["--seed", str(options.seed), *short, *(["--keep"] if options.keep else [])])
    lab = Lab.from_env()
    parts = set(options.parts.split(","))
    if not parts <= set(PARTS):
        parser.error(f"--parts: there are {', '.join(PARTS)}")
    size = SLICE if options.slice else Size().only(parts)
    mine = owner.to_make(lab)
    begin = time.monotonic()
    try:
        environment = {**os.environ, **owner.environment(options.keep)}
        subprocess.run(["lab/up"], cwd=ROOT, check=True, stdin=subprocess.DEVNULL, env=environment)
        driver = Driver(lab, ROOT / "build/prove", seed=options.seed)
        say(f"campaign with seed {options.seed}; record in {driver.out}")
        report, facts = campaign(driver, size)
    except (CampaignError, LabError, AssertionError, subprocess.CalledProcessError) as error:
        print(f"campaign: {error}", file=sys.stderr)
        return 2
    finally:
        if mine and not options.keep:
            subprocess.run(["lab/down", "farm"], cwd=ROOT, check=False, stdin=subprocess.DEVNULL)
    found = rows(report, facts, size)
    made = result(found, facts, options.seed, time.monotonic() - begin, report)
    write_json(driver.out / "judge.json", report)
    write_json(driver.out / "report.json", made)
    show(found)
    print(f"Report: {driver.out / 'report.json'}")
    return 0 if made["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
