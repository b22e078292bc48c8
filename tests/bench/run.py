# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How long a whole farm takes to read and judge, as a ratio to ``json.loads`` of the same bytes.

Both sides are measured in turns in one run, in processor time, so that a busy machine slows both alike. Ours is the
parsing of every label of every service, the evaluation of every gauge of every layer, and the verdicts; turning the
answer into records, which any reader of Nagios needs, is shown apart. Before anything is timed, each label is held
against the slow parser, and each verdict against those that come from the slow parser's numbers.
``python -m tests.bench.run``, this row alone; exit code 1 when the bar is broken or an answer differs.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".dev")]

from ansible_collections.selfheal.cluster.plugins.module_utils import _gauges, _nagios_parse  # noqa: E402  path first
from ansible_collections.selfheal.cluster.plugins.module_utils._perfdata import Perfdata, parse  # noqa: E402  path first
from tests.bench import farm, reference  # noqa: E402  path first
from tests.bench.compare import plain, read_slowly  # noqa: E402  path first

BAR = 3.0
"""Issue 3: at most three times ``json.loads``."""
Records = list[dict[str, Any]]
Verdicts = dict[str, dict[str, Any]]


def judge(records: Records, layers: dict[str, list[str]], read: Callable[[str], Perfdata] = parse) -> Verdicts:
    """Layer by layer, as the healer does: every string is parsed, every gauge evaluated."""
    by_node: dict[str, Records] = {}
    for record in records:
        by_node.setdefault(record["host"], []).append(record)
    gauges = _gauges.validate_gauges(_gauges.DEFAULT_GAUGES)
    verdicts: Verdicts = {}
    for nodes in layers.values():
        own = [record for node in nodes for record in by_node[node]]
        parsed = {(record["host"], record["service"]): read(record["perf_data"]) for record in own}
        verdicts.update(_gauges.evaluate(gauges, own, farm.NOW, nodes=nodes, perfdata=parsed))
    return verdicts


def differences(records: Records, layers: dict[str, list[str]]) -> list[str]:
    """Labels and verdicts on which the fast way and the slow one disagree."""
    wrong = []
    for record in records:
        if plain(parse(record["perf_data"])) != reference.read(record["perf_data"]):
            wrong.append(f"{record['host']} {record['service']}: {record['perf_data']}")
    fast_verdicts, slow_verdicts = judge(records, layers), judge(records, layers, read_slowly)
    wrong += [f"{node}: another verdict" for node, verdict in fast_verdicts.items() if verdict != slow_verdicts[node]]
    return wrong


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    start = time.process_time()
    result = work(*arguments)
    return time.process_time() - start, result


def measure(body: bytes, layers: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """Both sides in turns; what one round made is gone before the next begins."""
    times: dict[str, list[float]] = {"json": [], "records": [], "judge": []}
    for _ in range(rounds):
        gc.collect()
        seconds, answer = timed(json.loads, body)
        times["json"].append(seconds)
        seconds, records = timed(_nagios_parse.services, answer["data"])
        times["records"].append(seconds)
        del answer
        seconds, _verdicts = timed(judge, records, layers)
        times["judge"].append(seconds)
        del records, _verdicts
    return times


def report(services: int = 20_000, seed: int = 1, rounds: int = 9) -> dict[str, Any]:
    nodes = services // len(farm.SERVICES)
    layers = farm.layers(nodes)
    body = farm.answer(nodes, seed)
    records = _nagios_parse.services(json.loads(body)["data"])
    strings = [record["perf_data"] for record in records]
    wrong = differences(records, layers)
    parsed = [parse(text) for text in strings]
    verdicts = judge(records, layers)
    labels, broken = sum(len(found.metrics) for found in parsed), sum(len(found.broken) for found in parsed)
    del records, parsed
    times = measure(body, layers, rounds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["judge"] / medians["json"]
    return {
        "name": "20,000 services read and judged",
        "bar": BAR,
        "ratio": round(ratio, 3),
        "ratio_with_records": round((medians["records"] + medians["judge"]) / medians["json"], 3),
        "passed": ratio <= BAR and not wrong and len(set(strings)) == len(strings),
        "seed": seed,
        "rounds": rounds,
        "services": len(strings),
        "different_strings": len(set(strings)),
        "bytes": len(body),
        "labels": labels,
        "broken_tokens": broken,
        "readings": sum(len(verdict["readings"]) for verdict in verdicts.values()),
        "verdicts": dict(Counter(verdict["verdict"] for verdict in verdicts.values())),
        "differences": wrong[:20],
        "median_seconds": {name: round(value, 4) for name, value in medians.items()},
        "seconds": {name: [round(value, 4) for value in values] for name, values in times.items()},
        "python": platform.python_version(),
    }


def table(result: dict[str, Any]) -> str:
    seconds = result["median_seconds"]
    base = seconds["json"]
    lines = [
        f"{result['services']} services, {result['different_strings']} different strings, {result['labels']} labels, "
        f"{result['readings']} readings; medians of {result['rounds']} rounds, processor time",
        "",
        f"{'what':<44}{'seconds':>9}{'ratio':>8}",
        f"{'json.loads of the same bytes':<44}{base:>9.3f}{1.0:>8.2f}",
        f"{'all labels parsed, all gauges evaluated':<44}{seconds['judge']:>9.3f}{result['ratio']:>8.2f}",
        f"{'  bar':<44}{'':>9}{result['bar']:>8.2f}",
        f"{'answer to records, apart':<44}{seconds['records']:>9.3f}{seconds['records'] / base:>8.2f}",
        f"{'differences to the slow parser':<44}{len(result['differences']):>9}",
        "",
        "held" if result["passed"] else "BROKEN",
        *(f"differs: {line}" for line in result["differences"]),
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    result = report(options.services, options.seed, options.rounds)
    print(table(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
