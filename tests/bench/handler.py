# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How long Nagios' event handler takes, as a ratio to ``python3 -c pass`` plus the two fsyncs that nobody can spare.

All sides are measured in turns in one run, by the wall clock, with the same Python, environment and folder, and in
another order each round, so that a busy machine or disk slows all alike. The fsyncs of the base are those of any
durable hand-over: write a file of the same size, fsync, rename, fsync the folder; they are done by the bench itself,
which has started already. Packages may hook themselves into every start of a Python by ``.pth`` files, which would
flatter the handler; so the Python of the base is the system's own in a virtual environment with nothing in it. Shown
beside: this machine's Python with what hangs in it, and ``-IS``, the least that there is. Each event that the handler
wrote is read and compared.
``python -m tests.bench.handler``; exit code 1 when the bar is broken or an event is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HANDLER = ROOT / "roles" / "healer" / "files" / "selfheal-event"
PYTHON = "/usr/bin/python3"
BAR = 1.2
"""Issue 4: at most 1.2 times ``python3 -c pass`` plus two fsyncs."""
ROUNDS = 300
WARM_UP = 10
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
EXPECTED = {"v": 1, "host": "ei1", "service": "memory", "state": "CRITICAL", "type": "HARD", "attempt": 3}
Side = Callable[[Path, int], None]


def process(*command: str) -> None:
    """Start a process and wait for its good end; the cheapest way there is, so that it blurs little."""
    pid = os.posix_spawn(command[0], command, ENVIRONMENT)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise RuntimeError(f"{command} ended with status {status}")


def two_fsyncs(spool: Path, number: int) -> None:
    """What every durable hand-over of a small file costs."""
    temporary, final = spool / f".base-{number}", spool / f"base-{number}"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    os.write(handle, b"x" * 132)
    os.fsync(handle)
    os.close(handle)
    folder = os.open(spool, os.O_RDONLY | os.O_DIRECTORY)
    temporary.rename(final)
    os.fsync(folder)
    os.close(folder)


def sides(clean: Path) -> dict[str, Side]:
    """What is measured, by name; ``clean`` is the Python of an empty virtual environment."""

    def started(*command: str) -> Side:
        def side(spool: Path, number: int) -> None:
            process(*command)
            two_fsyncs(spool, number)

        return side

    def handler(spool: Path, number: int) -> None:
        words = "--host ei1 --service memory --state CRITICAL --type HARD --attempt 3 --event-id"
        process(PYTHON, "-IS", str(HANDLER), *words.split(), str(number), "--spool", str(spool))

    return {
        "base": started(str(clean), "-c", "pass"),
        "handler": handler,
        "machine": started(PYTHON, "-c", "pass"),
        "bare": started(PYTHON, "-IS", "-c", "pass"),
        "fsyncs": two_fsyncs,
    }


def right(spool: Path, number: int) -> bool:
    """Whether the handler left exactly the event that it was told, and nothing else lies there."""
    (path,) = spool.iterdir()
    event = json.loads(path.read_text())
    at = event.pop("at")
    return bool(event == {**EXPECTED, "event_id": number} and abs(at - time.time()) < 10)


def measure(clean: Path, spool: Path, rounds: int) -> tuple[dict[str, list[float]], int]:
    """Seconds by side, all sides in each round and each round beginning with another; and the wrong events."""
    measured = sides(clean)
    times: dict[str, list[float]] = {name: [] for name in measured}
    names, wrong = list(measured), 0
    for number in range(WARM_UP + rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter()
            measured[name](spool, number)
            seconds = time.perf_counter() - start
            if name == "handler":
                wrong += not right(spool, number)
            for path in spool.iterdir():
                path.unlink()
            if number >= WARM_UP:
                times[name].append(seconds)
    return times, wrong


def report(rounds: int = ROUNDS) -> dict[str, Any]:
    """The row of the report; the spool is on the disk of the checkout, since a tmpfs would make fsync free."""
    parent = ROOT / "build" / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="handler-", dir=parent))
    try:
        (place / "spool").mkdir()
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(place / "venv")], check=True)
        times, wrong = measure(place / "venv" / "bin" / "python3", place / "spool", rounds)
    finally:
        shutil.rmtree(place)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["handler"] / medians["base"]
    return {
        "name": "event handler: an alert to disk",
        "bar": BAR,
        "ratio": round(ratio, 3),
        "ratios": {name: round(medians["handler"] / value, 3) for name, value in medians.items()},
        "passed": ratio <= BAR and wrong == 0,
        "rounds": rounds,
        "wrong_events": wrong,
        "median_seconds": {name: round(value, 5) for name, value in medians.items()},
        "p95_seconds": {name: round(statistics.quantiles(values, n=20)[18], 5) for name, values in times.items()},
        "seconds": {name: [round(value, 5) for value in values] for name, values in times.items()},
        "python": platform.python_version(),
    }


def table(result: dict[str, Any]) -> str:
    """The row for people."""
    median, p95 = result["median_seconds"], result["p95_seconds"]
    lines = [
        f"Nagios' event handler, {result['rounds']} calls of each side in turns; wall clock",
        "",
        f"{'what':<44}{'ms p50':>9}{'ms p95':>9}{'ratio':>8}",
    ]
    for name, what in (
        ("base", "python3 -c pass, plus two fsyncs"),
        ("handler", "selfheal-event: an alert to disk"),
        ("machine", "  base with this machine's site-packages"),
        ("bare", "  base with -IS"),
        ("fsyncs", "  of it the two fsyncs"),
    ):
        ratio = median[name] / median["base"]
        lines.append(f"{what:<44}{median[name] * 1e3:>9.2f}{p95[name] * 1e3:>9.2f}{ratio:>8.2f}")
        if name == "handler":
            lines.append(f"{'  bar':<44}{'':>18}{result['bar']:>8.2f}")
    lines += [f"{'wrong events':<44}{result['wrong_events']:>9}", "", "held" if result["passed"] else "BROKEN"]
    return "\n".join(lines)


def main() -> int:
    """This row alone, printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    result = report(parser.parse_args().rounds)
    print(table(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
