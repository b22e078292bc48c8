# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Command line: `python3 -m lab.judge start|mark|stop|report|peak`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.machines import Lab

from . import client, farm, records, report, watch
from .farm import JudgeError

LONGEST_SECONDS = 4 * 3600
MOST_REQUESTS = 2_000_000
HIGHEST_RATE = 500.0
PEAK_BURN_MS = 10
EVENTS = ("drill", "bare", "move", "operator", "command", "end")


def ahead() -> str:
    """Run before the farm, as clients on machines of their own do; gives how it is scheduled from now on.

    The farm shares its CPUs with the judge. One that waits 100 ms for a CPU sends nothing meanwhile, and would write
    down a gap that nobody felt. What it starts is scheduled as everything else.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except OSError:
        return "normal"
    return "realtime"


def orphaned(parent: int) -> bool:
    """Whether the process that wanted this judge is gone; it was killed, and nobody ends what it has started."""
    return parent != 0 and os.getppid() != parent


async def judge(options: argparse.Namespace) -> None:
    """Send, watch and write until told to end or the time is over."""
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    pid_file = out / "judge.pid"
    if pid_file.exists() and Path(f"/proc/{pid_file.read_text().strip() or 0}").exists():
        raise JudgeError(f"a judge already writes to {out} (process {pid_file.read_text().strip()})")
    lab = Lab.from_env()
    known = farm.load(lab.state / "ansible.cfg")
    vip = farm.lab_address(options.vip or known.vip)
    pid_file.write_text(f"{os.getpid()}\n", encoding="ascii")
    answers, samples = records.Writer(out / records.ANSWERS), records.Writer(out / records.SAMPLES)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.call_later(options.seconds, ended.set)

    def put(sample: records.Sample) -> None:
        samples.put(records.sample_row(sample))

    settings = {
        "rate": options.rate,
        "seed": options.seed,
        "vip": vip,
        "mix": vars(client.Mix()),
        "limit": options.requests,
        "scheduling": ahead(),
    }
    records.put_mark(out / records.MARKS, records.Mark(time.time(), "start", detail=settings))
    watchers = [loop.create_task(watch.watch_balancer(known, name, put)) for name in known.all_balancers()]
    watchers.append(loop.create_task(watch.watch_machines(known, lab, put)))
    if not options.no_nagios:
        watchers.append(loop.create_task(watch.watch_nagios(known, lab, put)))
    sender = client.Client(vip, options.port, lambda answer: answers.put(answer.row()), seed=options.seed)
    sending = loop.create_task(sender.run(options.rate, ended.is_set, options.requests))

    async def flush() -> None:
        while True:
            await asyncio.sleep(1)
            answers.flush()
            samples.flush()
            if orphaned(options.parent):
                ended.set()
            for task in watchers:
                if task.done() and not task.cancelled() and task.exception() is not None:
                    raise JudgeError(f"a watcher ended: {task.exception()!r}")

    flushing = loop.create_task(flush())
    try:
        await asyncio.wait([sending, flushing], return_when=asyncio.FIRST_COMPLETED)
        for task in (sending, flushing):
            if task.done() and task.exception() is not None:
                raise task.exception() or JudgeError("unknown")
    finally:
        records.put_mark(
            out / records.MARKS,
            records.Mark(time.time(), "stop", detail={"cpu_seconds": round(time.process_time(), 2)}),
        )
        for task in (*watchers, flushing):
            task.cancel()
        answers.flush()
        samples.flush()
        pid_file.unlink(missing_ok=True)


async def peak(options: argparse.Namespace) -> None:
    """Load on the whole layer: requests that cost CPU, bounded in time."""
    mix = client.Mix(post=0, slow=0, new=0.1, burn_ms=options.burn_ms)
    sender = client.Client(farm.lab_address(options.vip), options.port, lambda _: None, seed=options.seed, mix=mix)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.call_later(options.seconds, ended.set)
    await sender.run(options.rate, ended.is_set, options.requests)


def stop(out: Path, seconds: float = 30) -> None:
    """End a judge and wait until all of its record is written."""
    pid_file = out / "judge.pid"
    if not pid_file.exists():
        return
    try:
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
    except (ProcessLookupError, ValueError):
        pid_file.unlink(missing_ok=True)
        return
    deadline = time.monotonic() + seconds
    while pid_file.exists():
        if time.monotonic() > deadline:
            raise JudgeError(f"the judge of {out} did not end within {seconds:g} s")
        time.sleep(0.05)


def bounded(kind: type[int] | type[float], most: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        value = kind(text)
        if not 0 < value <= most:
            raise argparse.ArgumentTypeError(f"more than 0 and at most {most:g}")
        return value

    return convert


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python3 -m lab.judge", description="Say from outside what clients felt.")
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, out: bool = True) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        if out:
            sub.add_argument("--out", required=True, metavar="DIR", help="folder of the record")
        return sub

    start = command("start", "send requests and watch until stopped")
    start.add_argument("--parent", type=int, default=0, metavar="PID", help="end when this parent process is gone")
    start.add_argument("--no-nagios", action="store_true", help="do not read Nagios")
    peak_ = command("peak", "put load on the whole layer for a while", out=False)
    for sub, rate, seconds, vip in ((start, 100.0, LONGEST_SECONDS, ""), (peak_, 60.0, 30.0, "10.213.77.100")):
        sub.add_argument("--rate", type=bounded(float, HIGHEST_RATE), default=rate, help="requests per second")
        sub.add_argument("--seconds", type=bounded(float, LONGEST_SECONDS), default=seconds, help="end by itself")
        sub.add_argument("--requests", type=bounded(int, MOST_REQUESTS), default=MOST_REQUESTS, help="end after")
        sub.add_argument("--seed", type=int, default=1, help="same seed, same requests")
        sub.add_argument("--vip", default=vip, help="address of the lab to send to (default: of the inventory)")
        sub.add_argument("--port", type=bounded(int, 65535), default=80, help="port to send to")
    peak_.add_argument("--burn-ms", type=bounded(int, 100), default=PEAK_BURN_MS, help="CPU time of a request")
    mark = command("mark", "note that something begins now")
    mark.add_argument("--event", required=True, choices=EVENTS)
    mark.add_argument("--node", default="")
    mark.add_argument("--label", default="")
    command("stop", "end the judge of a folder")
    reporting = command("report", "write report.json and print the table")
    reporting.add_argument("--quiet", action="store_true", help="no table")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    try:
        if options.command == "start":
            asyncio.run(judge(options))
        elif options.command == "peak":
            asyncio.run(peak(options))
        elif options.command == "mark":
            records.put_mark(
                Path(options.out) / records.MARKS, records.Mark(time.time(), options.event, options.node, options.label)
            )
        elif options.command == "stop":
            stop(Path(options.out))
        else:
            out, lab = Path(options.out), Lab.from_env()
            made = report.build(out, farm.load(lab.state / "ansible.cfg"), lab.state / "faults.jsonl")
            path = report.write(out, made)
            if not options.quiet:
                report.show(made)
                print(f"Report: {path}")
    except JudgeError as error:
        print(f"judge: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
