# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""``python -m tests.bench``: every row, one after the other, each measured side by side in itself.

Writes all figures to ``build/bench/report.json`` and the tables for people to ``build/bench/table.txt``, after each
row; a row that was not asked for is not in them. Exit code 1 when a bar is broken or a row could not be measured, 2 for
a name that is no row. ``docs/bench.md`` describes the rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.bench import burst, handler, memory, run, start

ROOT = Path(__file__).resolve().parents[2]
Row = tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], str]]
ROWS: dict[str, Row] = {
    "judge": (run.report, run.table),
    "handler": (handler.report, handler.table),
    "memory": (memory.report, memory.table),
    "start": (start.report, start.table),
    "burst": (burst.report, burst.table),
}
"""For each row the measurement, whose result has name, bar, ratio and passed, and the table for people."""


def chosen(words: Iterable[str], known: Iterable[str]) -> list[str]:
    """The rows that were asked for, also as ``one,two``; all when none was named. ValueError names what is no row."""
    names = [name for word in words for name in word.split(",") if name]
    every = list(known)
    unknown = [name for name in names if name not in every]
    if unknown:
        raise ValueError(f"no such row: {', '.join(unknown)}; there are {', '.join(every)}")
    return list(dict.fromkeys(names)) or every


def measured(name: str, row: Row) -> tuple[dict[str, Any], str]:
    """One row with its table. What breaks while it is measured must not take the other rows with it."""
    try:
        result = row[0]()
        return result, row[1](result)
    except Exception as exc:
        traceback.print_exc()
        error = f"{type(exc).__name__}: {exc}"
        return {"name": name, "passed": False, "error": error}, f"row {name} could not be measured: {error}\n\nBROKEN"


def write(folder: Path, results: Mapping[str, Mapping[str, Any]], tables: Iterable[str]) -> bool:
    """What is known so far; whether all of it passed."""
    folder.mkdir(parents=True, exist_ok=True)
    passed = all(result["passed"] for result in results.values())
    (folder / "report.json").write_text(json.dumps({"passed": passed, "rows": results}, indent=2) + "\n")
    (folder / "table.txt").write_text("\n\n".join(tables) + "\n")
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all when none is named")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench")
    options = parser.parse_args()
    try:
        names = chosen(options.rows, ROWS)
    except ValueError as exc:
        parser.error(str(exc))
    results, tables = {}, []
    passed = True
    for name in names:
        results[name], table = measured(name, ROWS[name])
        tables.append(table)
        print(table, end="\n\n", flush=True)
        passed = write(options.output, results, tables)
    print(f"report: {options.output / 'report.json'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
