# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""From an alert to the process of the run, ours and ansible-rulebook's in turns, the same playbook behind both.

A service falls ill in a real Nagios, which calls its event handler: ours writes the alert into the spool, theirs posts
it to the webhook, the only source of ansible-rulebook's own that takes an alert. The clock starts when the alert is on
disk (the kernel's word about the rename; durable a moment later), theirs when the POST is sent, and stops when
``ansible-playbook`` starts: the first thing a wrapper of that name does, or when a prepared run of ours has got its
incident and found in the journal that it may begin. Both are at rest before each alert: ours has its next run prepared,
as on a farm where nothing was ill for half a minute. Beside it: the first task, the decision, and the first task that
may change something. Both services live the whole time; only one has an alert at a time.
``stage`` says what is real and what is fake. ``python -m tests.bench.start``; exit code 1 when the bar is broken.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from typing import Any

from tests.bench import place
from tests.bench.place import wait_for
from tests.bench.stage import DEFAULT, Farm, Stage
from tests.bench.stamps import Run, first_after, percentile
from tests.prepared import waits

ROUNDS = 20
WARM_UP = 1
HEAL_SECONDS = 0.2
PAUSE_SECONDS = 1.0
PATIENCE = 60.0
BAR = 1.0
"""Issue 4: p50 not above ansible-rulebook's."""
SIDES = ("ours", "theirs")
MARKS = ("process", "first_task", "decided", "first_change")


def farm(rounds: int) -> Farm:
    """A layer for each alert, so that no heal waits for another one's slot or block period."""
    layers = {f"layer{place:02d}": [f"n{place:02d}{letter}" for letter in "abc"] for place in range(rounds)}
    return Farm(layers, ("web",), {"evidence_seconds": 0})


def seconds(began: float, run: Run) -> dict[str, float | None]:
    """How long after the alert each mark came."""
    marks = {mark: getattr(run, mark) for mark in MARKS}
    return {mark: None if at is None else at - began for mark, at in marks.items()}


def judge(found: dict[str, list[dict[str, float | None]]], rounds: int) -> list[str]:
    """What is wrong; empty when the bar holds and every alert was answered by a run."""
    wrong = []
    for side in SIDES:
        whole = [item for item in found[side] if None not in item.values()]
        if len(whole) < rounds:
            wrong.append(f"{side}: only {len(whole)} of {rounds} alerts have all their stamps")
        if any(value is not None and value < 0 for item in found[side] for value in item.values()):
            wrong.append(f"{side}: a stamp from before its alert")
    if wrong:
        return wrong
    mine, other = (percentile(column(found[side], "process"), 0.5) for side in SIDES)
    if mine > BAR * other:
        wrong.append(f"the process starts {mine * 1e3:.0f} ms after the alert, ansible-rulebook's {other * 1e3:.0f} ms")
    return wrong


def column(items: list[dict[str, float | None]], mark: str) -> list[float]:
    """The times of one mark."""
    return [value for item in items for value in [item[mark]] if value is not None]


def turn(stage: Stage, side: str, node: str) -> dict[str, float | None]:
    """One alert, to the end of its run and until the side is at rest again."""
    asked = time.time()
    stage.nagios[side].passive(node, "web", 2, "no answer")

    def ended() -> Run | None:
        run = first_after(stage.runs(side), node, asked)
        return run if run is not None and run.ended is not None else None

    run = wait_for(ended, PATIENCE, f"the end of the run for {node} ({side})")
    began = came(stage, node, asked) if side == "ours" else sent(stage, node)
    if side == "ours":
        where = stage.places[side]
        wait_for(lambda: not where.rows("SELECT 1 FROM runs WHERE ended_at IS NULL"), PATIENCE, "the healer at rest")
        wait_for(lambda: not where.rows("SELECT 1 FROM alerts WHERE outcome = ''"), PATIENCE, "no alert to wait")
        wait_for(lambda: waits(stage.healer), PATIENCE, "the next prepared run")
    time.sleep(PAUSE_SECONDS)
    return seconds(began, run)


def came(stage: Stage, node: str, asked: float) -> float:
    """When the alert was on disk: the rename that followed the time written in it."""
    sql = "SELECT at FROM alerts WHERE host = ? AND state = 'CRITICAL' AND at >= ? ORDER BY at"
    written = stage.places["ours"].rows(sql, node, asked - 0.001)[0]["at"]
    times = [int(line) / 1e9 for line in stage.lines("ours", "came") if line.isdigit()]
    return min(at for at in times if at >= written)


def sent(stage: Stage, node: str) -> float:
    """When the alert was sent to the webhook."""
    found = [line.split() for line in stage.lines("theirs", "posts")]
    return min(int(words[0]) / 1e9 for words in found if words[2] == node and words[3] == "CRITICAL")


def report(rounds: int = ROUNDS, progress: bool = False) -> dict[str, Any]:
    """The row of the report."""
    begun = time.monotonic()
    every = farm(WARM_UP + rounds)
    found: dict[str, list[dict[str, float | None]]] = {side: [] for side in SIDES}
    with place.scratch("start") as folder:
        stage = Stage(folder, every, HEAL_SECONDS, wired=True)
        with stage.played(), stage.selfheal() as where, stage.rulebook(DEFAULT):
            for number, nodes in enumerate(every.layers.values()):
                for side in SIDES if number % 2 else reversed(SIDES):
                    taken = turn(stage, side, nodes[0])
                    if progress:
                        print(side, {mark: value and round(value, 3) for mark, value in taken.items()}, file=sys.stderr)
                    if number >= WARM_UP:
                        found[side].append(taken)
            outcomes = {row["outcome"]: row["n"] for row in where.rows(
                "SELECT outcome, count(*) AS n FROM incidents GROUP BY outcome"
            )}  # fmt: skip
    wrong = judge(found, rounds)
    if outcomes != {"healed": WARM_UP + rounds}:
        wrong.append(f"our incidents did not all end healed: {outcomes}")
    figures = {
        side: {
            mark: {name: percentile(values, part) for name, part in (("p50", 0.5), ("p95", 0.95))}
            for mark in MARKS
            for values in [column(found[side], mark)]
            if values
        }
        for side in SIDES
    }
    return {
        "name": "alert on disk to process of the run started, beside ansible-rulebook",
        "bar": BAR,
        "ratio": _ratio(figures, "process"),
        "ratios": {mark: _ratio(figures, mark) for mark in MARKS},
        "passed": not wrong,
        "wrong": wrong,
        "rounds": rounds,
        "fake": ["systemd", "sudo", "the hands of a heal", "the nodes"],
        "outcomes": outcomes,
        "figures": figures,
        "turns": found,
        "took_seconds": round(time.monotonic() - begun, 1),
        "python": platform.python_version(),
    }


def _ratio(figures: dict[str, Any], mark: str) -> float | None:
    mine, other = (figures[side].get(mark, {}).get("p50") for side in SIDES)
    return round(mine / other, 3) if mine and other else None


def table(result: dict[str, Any]) -> str:
    """The row for people."""
    lines = [
        f"from an alert to its run, {result['rounds']} alerts each in turns, the same playbook behind both; wall clock",
        "FAKE: systemd, sudo, the nodes and what a heal changes. Real: Nagios, HAProxy, the healer, the decision.",
        "",
        f"{'ms after the alert':<34}{'ours p50':>10}{'p95':>8}{'rulebook p50':>14}{'p95':>8}{'ratio':>8}{'bar':>6}",
    ]
    words = {
        "process": "process of the run started", "first_task": "  first task of the playbook",
        "decided": "  decision made and judged", "first_change": "  first task that may change",
    }  # fmt: skip
    for mark, what in words.items():
        mine, other = (result["figures"][side].get(mark) for side in SIDES)
        bar = f"{result['bar']:>6.2f}" if mark == "process" else ""
        if mine and other:
            times = [value * 1e3 for side in (mine, other) for value in (side["p50"], side["p95"])]
            row = "{:>10.0f}{:>8.0f}{:>14.0f}{:>8.0f}".format(*times)
            lines.append(f"{what:<34}{row}{result['ratios'][mark]:>8.2f}{bar}")
    lines += ["", "held" if result["passed"] else "BROKEN"]
    return "\n".join([*lines, *(f"wrong: {line}" for line in result["wrong"])])


def main() -> int:
    """This row alone, printed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    result = report(parser.parse_args().rounds, progress=True)
    print(table(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
