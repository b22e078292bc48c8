# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the healer's loop and its children hold in memory at their peak, on a farm of 20,000 services.

The loop is the real process, with its real children, journal, spool and inventory; every alert comes by the real event
handler. SIMULATED are Nagios (``fake_nagios``), systemd (``place``) and the heals: each ends by itself after
a moment, with the rows and the file that a real one leaves, and its node is well. So 1,000 incidents go through one
loop that also reads 20,000 services each time. Nothing is known from that about what a run needs; it is none of it.
``python -m tests.bench.memory``; exit code 1 when the bar is broken or the farm was not the one that was meant.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._journal import READINGS_KEPT, Journal
from selfheal_cluster.healer.child import module
from selfheal_cluster.healer.config import load
from selfheal_cluster.healer.reading import question
from tests.bench import farm, place
from tests.bench.fake_nagios import CHECK_SECONDS
from tests.bench.place import ROOT, Place, event_words, wait_for
from tests.bench.processes import Watch

BAR_MB = 60.0
"""Issue 4: at most 60 MB for the loop."""
SERVICES = 20_000
INCIDENTS = 1_000
WAVES = 2
HEAL_SECONDS = 0.3
LIMITS = {"reading_age_seconds": 150}
MB = 1024.0
TROUBLES = ("bug", "act:", "journal:", "readings:", "pages:", "metrics:", "systemd:", "start:", "pipe:")


def inventory(layers: dict[str, list[str]]) -> dict[str, Any]:
    """Pools of the default gauges, all behind one balancer that nobody asks here."""
    policy = {
        "selfheal_strategy": "lb_detach", "selfheal_mode": "act", "selfheal_balancers": "balancers",
        "selfheal_port": 80, "selfheal_service": "web.service", "selfheal_limits": LIMITS,
    }  # fmt: skip
    groups: dict[str, Any] = {
        name: {"hosts": {node: {} for node in nodes}, "vars": policy} for name, nodes in layers.items()
    }
    return {**groups, "balancers": {"hosts": {"lb1": {}}}, "monitor": {"hosts": {"watch": {}}}}


def judge(seen: dict[str, Any]) -> list[str]:
    """What is wrong with the figures; empty when the bar holds and was tried."""
    wrong = []
    if not 0 < seen["loop_mb"] <= BAR_MB:
        wrong.append(f"the loop had {seen['loop_mb']:.1f} MB at its peak, allowed are {BAR_MB:g}")
    if seen["healed"] < INCIDENTS:
        wrong.append(f"only {seen['healed']} of {INCIDENTS} incidents were healed")
    if seen["services"] < SERVICES:
        wrong.append(f"only {seen['services']} of {SERVICES} services were there to read")
    if seen["nodes_read"] < SERVICES // len(farm.SERVICES):
        wrong.append(f"only {seen['nodes_read']} nodes got into the ring of readings")
    if seen["ring"] < READINGS_KEPT:
        wrong.append(f"the ring held only {seen['ring']} of {READINGS_KEPT} entries: the readers had less to read")
    if seen["together_mb"] > seen["unit_may_have_mb"]:
        wrong.append(f"together {seen['together_mb']:.0f} MB, the unit may have {seen['unit_may_have_mb']:.0f}")
    for kind in ("reader", "policies", "metrics", "page"):
        if not seen["children_mb"].get(kind):
            wrong.append(f"no child of kind {kind} was seen")
    return [*wrong, *seen["troubles"]]


def waves(layers: dict[str, list[str]], incidents: int, number: int) -> list[list[str]]:
    """Who falls ill together: as many of each layer as needed, never a node twice."""
    turns = [node for row in zip(*layers.values(), strict=True) for node in row]
    chosen, size = turns[:incidents], -(-incidents // number)
    return [chosen[at : at + size] for at in range(0, len(chosen), size)]


class FakeHeals:
    """Ends what the fake systemctl was asked to start, as a heal that went well does; its node is well from then on."""

    def __init__(self, where: Place, ill: Path) -> None:
        self.where = where
        self._ill = ill
        self._sick: set[str] = set()
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failures: list[str] = []

    def __enter__(self) -> FakeHeals:
        self.sick()
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ending.set()
        self._thread.join(30)

    def sick(self, more: list[str] | None = None, fewer: str = "") -> None:
        """Write down who is ill; the fake Nagios reads it at each question."""
        with self._lock:
            self._sick = (self._sick | set(more or ())) - {fewer}
            partial = self._ill.with_suffix(".part")
            partial.write_text(json.dumps(sorted(self._sick)))
            partial.rename(self._ill)

    def _run(self) -> None:
        begun: dict[str, float] = {}
        with Journal(self.where.journal) as journal:
            while not self._ending.is_set():
                now = time.time()
                for path in self.where.state.glob("*.service"):
                    begun.setdefault(path.name, now)
                    if now - begun[path.name] >= HEAL_SECONDS:
                        try:
                            self._end(journal, path.name, begun.pop(path.name), now)
                        except Exception as exc:
                            self.failures.append(f"a simulated heal broke: {type(exc).__name__}: {exc}")
                        path.unlink()
                time.sleep(0.02)

    def _end(self, journal: Journal, unit: str, began: float, now: float) -> None:
        name = unit.partition("@")[2].removesuffix(".service")
        incident, _, number = name.rpartition("-")
        row = journal.rows("SELECT node, layer FROM incidents WHERE id = ?", incident)[0]
        self.sick(fewer=row["node"])
        journal.db.execute("BEGIN IMMEDIATE")
        journal.db.execute(
            "INSERT INTO attempts (incident, attempt, node, layer, epoch, at, ended_at, outcome, phase, phase_at,"
            " rung, reason, owner, decision) VALUES (?, ?, ?, ?, 1, ?, ?, 'healed', 'soak', ?, 'service', '', '{}', 0)",
            (incident, int(number), row["node"], row["layer"], began, now, now),
        )
        journal.db.execute(
            "UPDATE incidents SET state = 'closed', closed_at = ?, outcome = 'healed' WHERE id = ?", (now, incident)
        )
        journal.db.execute("COMMIT")
        folder = self.where.folder / "runs" / name
        folder.mkdir()
        result = {"outcome": "healed", "status": "healed", "node": row["node"], "started_at": began}
        (folder / "result.json").write_text(json.dumps(result))


@contextlib.contextmanager
def fake_nagios(folder: Path, nodes: int, ill: Path) -> Iterator[str]:
    """The fake Nagios as a process of its own; its URL."""
    port = folder / "port"
    words = ["--nodes", str(nodes), "--ill", str(ill), "--port-file", str(port)]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/runner:{ROOT}/.dev"}
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.fake_nagios", *words], env=env, cwd=ROOT)
    try:
        wait_for(port.exists, 120.0, "the fake Nagios")
        yield f"http://127.0.0.1:{port.read_text()}/nagios4/cgi-bin"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def pipe(path: Path) -> Iterator[list[int]]:
    """A reader for Nagios' command pipe, as Nagios is; how many lines came."""
    os.mkfifo(path)
    handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    ending, lines = threading.Event(), [0]

    def drain() -> None:
        while not ending.is_set():
            try:
                lines[0] += os.read(handle, 65536).count(b"\n")
            except BlockingIOError:
                time.sleep(0.05)

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    try:
        yield lines
    finally:
        ending.set()
        thread.join(10)
        os.close(handle)


def play(folder: Path, incidents: int, services: int, progress: bool) -> dict[str, Any]:
    """Everything that is measured."""
    layers = farm.layers(services // len(farm.SERVICES))
    ill = folder / "ill.json"
    nodes = [node for members in layers.values() for node in members]
    with fake_nagios(folder, len(nodes), _nobody(ill)) as url, pipe(folder / "nagios.cmd") as told:
        where = place.make(
            folder / "healer", inventory(layers), url, command_file=str(folder / "nagios.cmd"),
            pages_dir=str(folder / "healer" / "pages"), metrics_file=str(folder / "healer" / "metrics.prom"),
            prepare_run=False,  # it is the next run's, whose memory is no part of this row
        )  # fmt: skip
        tools = place.fake_systemd(where)
        with (
            place.healer(where, Path(sys.executable), tools) as process,
            Watch(process.pid) as watch,
            FakeHeals(where, ill) as heals,
        ):

            def alive(wanted: Callable[[], Any], seconds: float, what: str) -> Any:
                def asked() -> Any:
                    if process.poll() is not None:
                        raise RuntimeError(f"the healer ended: {where.log()[-2000:]}")
                    return wanted()

                try:
                    return wait_for(asked, seconds, what, 0.2)
                except TimeoutError as exc:
                    raise TimeoutError(f"{exc}; the healer said:\n{where.log()[-2000:]}") from exc

            alive(lambda: _nodes_read(where) >= len(nodes), 300.0, "the first reading of all nodes")
            first = watch.loop_peak
            say(progress, f"first reading of {services} services: loop {first / MB:.1f} MB at its peak")
            dear = fill(where)
            say(progress, f"the ring of readings is full: {_ring(where)} entries")
            number = 0
            for group in waves(layers, incidents, WAVES):
                heals.sick(more=group)
                for node in group:
                    number += 1
                    words = event_words(where.spool, node, "http", "CRITICAL", number)
                    subprocess.run(words, check=True, env={"PATH": "/usr/bin:/bin"})
                alive(partial(_reached, where, number), 300.0, f"{number} healed incidents")
                say(progress, f"{number} incidents healed: loop {watch.loop_peak / MB:.1f} MB at its peak")
            newest = _newest(where)
            alive(lambda: _newest(where) > newest, 300.0, "one more reading")
            alive(lambda: any((where.folder / "pages").glob("*.html")), 60.0, "a page")
            alive((where.folder / "metrics.prom").exists, 60.0, "metrics")
            time.sleep(1.0)
            watch.look()
        said = where.log().splitlines()
        bugs = [line for line in said if line.startswith(TROUBLES)]
        return {
            "loop_mb": watch.loop_peak / MB,
            "loop_after_first_reading_mb": first / MB,
            "loop_at_the_end_mb": {name: value / MB for name, value in watch.loop_now.items()},
            "children_mb": {kind: peak / MB for kind, peak in sorted(watch.peaks.items())},
            "children": {kind: len(pids) for kind, pids in sorted(watch.seen.items())},
            "together_mb": watch.together / MB,
            "healed": _healed(where),
            "services": len(nodes) * len(farm.SERVICES),
            "nodes_read": _nodes_read(where),
            "ring": _ring(where),
            "reading_seconds": dear,
            "readings_lost": sum(line.startswith("nagios: ") and "again" not in line for line in said),
            "unit_may_have_mb": allowed(),
            "alerts": where.rows("SELECT count(*) AS n FROM alerts")[0]["n"],
            "lines_to_nagios": told[0],
            "troubles": [*heals.failures, *bugs],
        }


def fill(where: Place) -> dict[str, float]:
    """The ring of readings as it is after a while: by the real reader, which the healer would call only so often.

    What the last one took, in seconds: it had the whole ring to read.
    """
    took = {"wall": 0.0, "cpu": 0.0}
    config = load(str(where.config))
    policies = {row["layer"]: json.loads(row["body"]) for row in where.rows("SELECT layer, body FROM policies")}
    env = {**os.environ, "PYTHONPATH": f"{ROOT}/runner:{ROOT}/.dev"}
    while _ring(where) < READINGS_KEPT:
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            module("selfheal_cluster.healer.reader"), input=json.dumps(question(config, policies, {})), text=True,
            stdout=subprocess.DEVNULL, env=env, check=True, timeout=120,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took["wall"] = time.monotonic() - begun
        took["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        time.sleep(max(0.0, CHECK_SECONDS - took["wall"]))
    return took


def _nobody(ill: Path) -> Path:
    ill.write_text("[]")
    return ill


def _nodes_read(where: Place) -> int:
    return int(where.rows("SELECT count(DISTINCT node) AS n FROM readings")[0]["n"])


def _newest(where: Place) -> float:
    return float(where.rows("SELECT max(at) AS at FROM readings")[0]["at"])


def _ring(where: Place) -> int:
    return int(where.rows("SELECT count(*) AS n FROM readings")[0]["n"])


def _healed(where: Place) -> int:
    sql = "SELECT count(*) AS n FROM incidents JOIN runs ON runs.incident = incidents.id"
    return int(where.rows(sql + " WHERE incidents.outcome = 'healed' AND runs.outcome = 'healed'")[0]["n"])


def _reached(where: Place, goal: int) -> bool:
    return _healed(where) >= goal


def say(progress: bool, line: str) -> None:
    """For somebody who waits."""
    if progress:
        print(line, file=sys.stderr, flush=True)


def bare() -> float:
    """Megabytes of the same Python that does nothing."""
    code = "import re; print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(re.sub(r"\D", "", done.stdout)) / MB


def allowed() -> float:
    """Megabytes that role healer lets the unit have, children included."""
    text = (ROOT / "roles" / "healer" / "defaults" / "main.yml").read_text(encoding="utf-8")
    found = re.search(r"^healer_memory_max: (\d+)M$", text, re.MULTILINE)
    if not found:
        raise ValueError("role healer has no healer_memory_max in M")
    return float(found[1])


def report(incidents: int = INCIDENTS, services: int = SERVICES, progress: bool = False) -> dict[str, Any]:
    """The row of the report."""
    begun = time.monotonic()
    with place.scratch("memory") as folder:
        seen = play(folder, incidents, services, progress)
    wrong = judge(seen)
    base = bare()
    return {
        "name": f"memory of the loop after {seen['healed']} incidents and reading {seen['services']} services",
        "bar": BAR_MB,
        "unit": "MB",
        "ratio": round(seen["loop_mb"] / base, 3),
        "value": round(seen["loop_mb"], 1),
        "bare_python_mb": round(base, 1),
        "passed": not wrong,
        "wrong": wrong,
        "simulated": ["Nagios", "systemd", "heals"],
        "seconds": round(time.monotonic() - begun, 1),
        "python": platform.python_version(),
        "seen": seen,
    }


def table(result: dict[str, Any]) -> str:
    """The row for people."""
    seen = result["seen"]
    lines = [
        f"the healer's memory: {seen['healed']} incidents, {seen['services']} services, {seen['alerts']} alerts; peaks",
        "SIMULATED: Nagios, systemd and the heals. The loop, its children, journal and spool are the real ones.",
        "",
        f"{'what':<44}{'MB':>9}{'bar':>8}",
        f"{'the loop (VmHWM)':<44}{seen['loop_mb']:>9.1f}{result['bar']:>8.0f}",
        f"{'  after the first reading':<44}{seen['loop_after_first_reading_mb']:>9.1f}",
        f"{'  at the end: resident':<44}{seen['loop_at_the_end_mb']['rss']:>9.1f}",
        f"{'  at the end: its share (PSS)':<44}{seen['loop_at_the_end_mb']['pss']:>9.1f}",
        f"{'  a Python that does nothing':<44}{result['bare_python_mb']:>9.1f}",
    ]
    words = {
        "reader": "child that reads Nagios", "policies": "child that renders policies", "metrics": "child for metrics",
        "page": "child for a page", "other": "FAKE sudo and systemctl",
    }  # fmt: skip
    lines += [f"{words[kind]:<44}{peak:>9.1f}" for kind, peak in seen["children_mb"].items()]
    together = (
        f"{'loop and children at one moment (PSS)':<44}{seen['together_mb']:>9.1f}{seen['unit_may_have_mb']:>8.0f}"
    )
    dear = seen["reading_seconds"]
    lines += [
        together,
        "",
        f"one reading of all, the ring full: {dear['wall']:.1f} s, {dear['cpu']:.1f} s of CPU",
        f"readings that took too long and were ended: {seen['readings_lost']}",
    ]
    lines += ["", "held" if result["passed"] else "BROKEN"]
    return "\n".join([*lines, *(f"wrong: {line}" for line in result["wrong"])])


def main() -> int:
    """This row alone, printed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory", description=__doc__)
    parser.add_argument("--incidents", type=int, default=INCIDENTS)
    parser.add_argument("--services", type=int, default=SERVICES)
    options = parser.parse_args()
    result = report(options.incidents, options.services, progress=True)
    print(table(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
