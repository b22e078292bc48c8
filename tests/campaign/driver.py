# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the campaign does to a lab: heal by the one command, restart without detaching, kill a run, wait.

It types what a user would type and marks for the judge when; what it meant is read from the judge's record.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import faults
from lab.judge import farm as judged
from lab.judge import records, report
from lab.machines import Lab, LabError, wait_until
from tests.processes import kill_run

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
HEAL_SECONDS = 240
DETECT_SECONDS = 150
AGAIN_SECONDS = 240  # the lease of a run that was killed has to expire first
NOT_YET = ("not_ill", "suspect_only", "unknown_reading", "lease_taken", "blocked_node", "blocked_layer", "ambiguous")


class CampaignError(Exception):
    """The campaign cannot go on."""


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


@dataclass
class Run:
    """One `ansible-playbook selfheal.cluster.heal`."""

    node: str
    begin: float
    end: float
    code: int
    log: Path
    tries: int = 1
    killed_in: str = ""

    @property
    def ok(self) -> bool:
        return self.code == 0


@dataclass
class Driver:
    lab: Lab
    out: Path
    rate: float = 100.0
    seed: int = 1
    inventory: str = ""  # instead of the lab's
    runs: list[Run] = field(default_factory=list)
    judge: subprocess.Popen[bytes] | None = None
    farm: judged.Farm = field(init=False)

    def __post_init__(self) -> None:
        self.farm = judged.load(self.lab.state / "ansible.cfg")

    # The judge

    def start_judge(self) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        for name in (records.ANSWERS, records.SAMPLES, records.MARKS):
            (self.out / name).unlink(missing_ok=True)
        with (self.out / "judge.log").open("wb") as log:
            self.judge = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "lab.judge",
                    "start",
                    "--parent",
                    str(os.getpid()),
                    "--out",
                    str(self.out),
                    "--rate",
                    str(self.rate),
                    "--seed",
                    str(self.seed),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        path = self.out / records.ANSWERS
        if not wait_until(lambda: path.exists() and path.stat().st_size > 0, 30):
            raise CampaignError(f"the judge does not start; see {self.out / 'judge.log'}")

    def stop_judge(self) -> None:
        if self.judge is not None:
            self.judge.terminate()
            self.judge.wait(timeout=60)
            self.judge = None

    def mark(self, event: str, node: str = "", label: str = "", **detail: Any) -> float:
        now = time.time()
        records.put_mark(self.out / records.MARKS, records.Mark(now, event, node, label, detail))
        return now

    def verdict(self) -> dict[str, Any]:
        """The judge's report of all that was recorded."""
        made = report.build(self.out, self.farm, faults.log_path(self.lab))
        report.write(self.out, made)
        return made

    def requests(self) -> int:
        """How many requests were recorded so far."""
        with (self.out / records.ANSWERS).open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))

    def probes(self) -> list[records.ProbeSeen]:
        """Nagios' results that the judge has seen so far."""
        found = []
        for row in records.lines(self.out / records.SAMPLES):
            if "p" in row:
                sample = records.sample_from_row(row)
                assert isinstance(sample, records.ProbeSeen)
                found.append(sample)
        return found

    # The farm

    def answers(self, node: str, path: str = "/health", port: int = 8280) -> bool:
        """Whether the node itself answers, asked from the host."""
        url = f"http://{judged.lab_address(self.farm.addresses[node])}:{port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def balances(self, node: str) -> bool:
        """Whether a balancer answers by itself, asked from the host at its own address."""
        return self.answers(node, path="/simple", port=80)

    def rotation(self) -> dict[str, dict[str, bool]]:
        """By balancer that answers: which members are in."""
        from lab.judge.watch import STATS_PORT, parse_stats

        members = {node for pool in self.farm.pools() for node in self.farm.layers[pool]}
        found: dict[str, dict[str, bool]] = {}
        for name in self.farm.all_balancers():
            url = f"http://{judged.lab_address(self.farm.addresses[name])}:{STATS_PORT}/stats;csv"
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    seen = parse_stats(answer.read().decode(), members)
            except (OSError, ValueError):
                continue
            found[name] = {node: not server.out for node, server in seen.items()}
        return found

    def whole(self) -> bool:
        """Every member in on every balancer, every balancer answering."""
        seen = self.rotation()
        return len(seen) == len(self.farm.all_balancers()) and all(all(members.values()) for members in seen.values())

    def wait_whole(self, seconds: float = 60) -> bool:
        return wait_until(self.whole, seconds, pause=0.25)

    def holder(self) -> str:
        """The balancer that has the virtual IP, by its own answer."""
        try:
            with urllib.request.urlopen(f"http://{self.farm.vip}/simple", timeout=2) as answer:
                return str(answer.headers.get("X-Balancer", ""))
        except OSError:
            return ""

    def mend_all(self) -> None:
        for nodes in self.farm.layers.values():
            for node in nodes:
                faults.mend_node(self.lab, node)

    # Acts

    def ansible(self, *arguments: str) -> list[str]:
        return [str(BIN / "ansible-playbook"), "selfheal.cluster.heal", *arguments]

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ANSIBLE_CONFIG": str(self.lab.state / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "PYTHONUNBUFFERED": "1",
            "PATH": f"{BIN}:{os.environ['PATH']}",
            **({"ANSIBLE_INVENTORY": self.inventory} if self.inventory else {}),
        }

    def command(self, node: str, *, drill: bool, kill_in: str = "", kill_after: float = 0.0) -> Run:
        """Type the one command; with `kill_in`, kill -9 all of it once that play has begun.

        Without a node it is the command that heals the most urgent one.
        """
        log = self.out / "heals" / f"{len(self.runs) + 1:03d}-{node or 'most-urgent'}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        reason = ["-e", "selfheal_reason=drill"] if drill else []
        target = ["-e", f"selfheal_node={node}"] if node else []
        begin = self.mark("command", node)
        killed = threading.Event()
        timers = []
        with (
            log.open("w", encoding="utf-8") as file,
            subprocess.Popen(
                self.ansible(*target, *reason),
                cwd=ROOT,
                env=self.environment(),
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):

            def kill(why: Callable[[], None] = killed.set) -> None:
                why()
                kill_run(process.pid)

            limit = threading.Timer(HEAL_SECONDS, kill, [lambda: None])
            timers.append(limit)
            limit.start()
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                if kill_in and line.startswith(f"PLAY [{kill_in}]"):
                    timer = threading.Timer(kill_after, kill)
                    timers.append(timer)
                    timer.start()
            process.wait()
        for timer in timers:
            timer.cancel()
        run = Run(node, begin, time.time(), process.returncode, log, killed_in=kill_in if killed.is_set() else "")
        self.runs.append(run)
        return run

    def heal(self, node: str, *, drill: bool = False, seconds: float = HEAL_SECONDS) -> Run:
        """Type the command until it is admitted: what is refused as not yet ill, or as leased, is typed again."""
        deadline = time.monotonic() + seconds
        tries = 0
        while True:
            tries += 1
            run = self.command(node, drill=drill)
            run.tries = tries
            refused = run.code != 0 and any(f"refused {reason}" in run.log.read_text() for reason in NOT_YET)
            if not refused or time.monotonic() > deadline:
                return run
            time.sleep(1)  # each try is a decision in the journal: not faster than a person would

    def detected(self, node: str, since: float, seconds: float = DETECT_SECONDS) -> bool:
        """Wait until Nagios has called something of the node critical, hard."""

        def seen() -> bool:
            return any(
                probe.host == node and probe.status == "critical" and probe.hard and probe.last_check > since
                for probe in self.probes()
            )

        return wait_until(seen, seconds, pause=1)

    def ill(self, node: str, fault: str) -> Run:
        """Break a node, wait for Nagios, heal it."""
        begin = time.time()
        faults.break_node(self.lab, node, fault)
        seen = self.detected(node, begin)
        if not seen:
            say(f"  {node}: Nagios did not see {fault} within {DETECT_SECONDS} s")
        run = self.heal(node, seconds=HEAL_SECONDS if seen else 0)
        self.settle(node)
        return run

    def drill(self, node: str) -> Run:
        """Heal a healthy node."""
        self.mark("drill", node, "drill")
        run = self.heal(node, drill=True)
        self.settle(node)
        return run

    def settle(self, node: str) -> None:
        """The end of an incident's window; whatever is still wrong is mended outside of it."""
        whole = self.wait_whole(30)
        self.mark("end", node)
        if not whole:
            say(f"  {node}: the farm was not whole 30 s after the heal")
        faults.mend_node(self.lab, node)
        self.wait_whole()

    def bare(self, node: str) -> float:
        """The same restart without detaching; gives the seconds until the node answers again."""
        self.mark("bare", node, "bare")
        begin = time.monotonic()
        self.lab.exec(node, ["systemctl", "restart", "--no-block", self.farm.units[self.farm.layer_of(node)]])
        # It answers until it stops: first wait for that, so that the old one is not taken for the new.
        wait_until(lambda: not self.answers(node), 10, pause=0.02)
        if not wait_until(lambda: self.answers(node), 120, pause=0.02):
            raise CampaignError(f"{node} does not answer after a bare restart")
        seconds = time.monotonic() - begin
        self.wait_whole()
        self.mark("end", node)
        return seconds

    def start_seconds(self, seconds: int) -> None:
        """Set how long the pool's service takes to start, from its next start on."""
        for node in self.farm.layers["ei"]:
            self.lab.exec(node, ["sed", "-i", f"s/^EI_START_SECONDS=.*/EI_START_SECONDS={seconds}/", "/etc/default/ei"])

    def rounds_seconds(self) -> float:
        """A round of checks, by the configuration: rise x inter."""
        text = self.lab.exec(self.farm.all_balancers()[0], ["cat", "/etc/haproxy/haproxy.cfg"]).stdout
        words = next(line.split() for line in text.splitlines() if "default-server" in line)
        inter = words[words.index("inter") + 1]
        seconds = float(inter.removesuffix("ms")) / 1000 if inter.endswith("ms") else float(inter.removesuffix("s"))
        return seconds * int(words[words.index("rise") + 1])


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


__all__ = ["BIN", "ROOT", "CampaignError", "Driver", "LabError", "Run", "say", "write_json"]
