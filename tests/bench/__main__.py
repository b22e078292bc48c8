# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""``python -m tests.bench``: every row, one after the other, each measured side by side in itself.

Writes all figures to ``build/bench/report.json`` and the tables for people to ``build/bench/table.txt``; a row that
was not asked for is not in them. Exit code 1 when a bar is broken.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import handler, run

ROOT = Path(__file__).resolve().parents[2]
Row = tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], str]]
ROWS: dict[str, Row] = {
    "judge": (run.report, run.table),
    "handler": (handler.report, handler.table),
}
"""For each row the measurement, whose result has name, bar, ratio and passed, and the table for people."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all when none is named")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench")
    options = parser.parse_args()
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}")
    results, tables = {}, []
    for name in options.rows or ROWS:
        measure, table = ROWS[name]
        results[name] = measure()
        tables.append(table(results[name]))
        print(tables[-1], end="\n\n", flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    passed = all(result["passed"] for result in results.values())
    (options.output / "report.json").write_text(json.dumps({"passed": passed, "rows": results}, indent=2) + "\n")
    (options.output / "table.txt").write_text("\n\n".join(tables) + "\n")
    print(f"report: {options.output / 'report.json'}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
