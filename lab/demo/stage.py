# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the demo needs around its illnesses: lab, judge, the command, and words on the terminal."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lab import owner
from lab.machines import Lab, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
SELFHEAL = Path(sys.executable).parent / "selfheal"
LAB_SECONDS = 900  # the base root file system is built in it the first time
JUDGE_SECONDS = 60
HEAL_SECONDS = 300


class DemoError(Exception):
    """Something that ends the demo, with what to do about it."""


@dataclass
class Screen:
    """Plain lines on the terminal; a heading stands out by its shape, not by a colour."""

    started: float = field(default_factory=time.monotonic)
    stream: IO[str] = sys.stdout

    def say(self, line: str = "") -> None:
        """One line, at once."""
        print(line, file=self.stream, flush=True)

    def heading(self, text: str) -> None:
        """A new part of the demo, with the time since the start."""
        seconds = time.monotonic() - self.started
        self.say()
        self.say(f"== {text} {'=' * max(3, 70 - len(text))} {int(seconds // 60)}:{seconds % 60:02.0f}")

    def typed(self, words: Sequence[str]) -> None:
        """A command as a person would type it."""
        self.say(f"$ {' '.join(words)}")


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error."""
    with contextlib.suppress(OSError):
        return "\n".join("    " + line for line in log.read_text(errors="replace").splitlines()[-lines:])
    return ""


def lab_up(out: Path, screen: Screen, *, healer: bool, keep: bool) -> None:
    """Start the lab, or finish one that is there, with or without the healer; its plays pass by as one line each.

    The farm of the first demo is kept, so that the next of the same sources has not to install it again.
    """
    env = {"LAB_FAST": "1", **os.environ, "LAB_HEALER": "1" if healer else "0", **owner.environment(keep)}
    follow(ROOT, "lab/up", out / "lab-up.log", ("the lab", "was", "its"), LAB_SECONDS, last_play, screen, env)


def follow(
    top: Path, program: str, log: Path, what: tuple[str, str, str], seconds: float, step: Callable[[Path], str],
    screen: Screen, env: dict[str, str],
) -> None:  # fmt: skip
    """Run a program of the checkout ``top`` to its end; what its log says it does now passes by as one line each.

    ``what``: for an error, what it brings up, with its verb and its pronoun.
    """
    (name, was, its), begin, shown = what, time.monotonic(), ""
    with log.open("w", encoding="utf-8") as sink:
        process = subprocess.Popen(
            [top / program], cwd=top, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
            start_new_session=True, env=env,
        )  # fmt: skip
    try:
        while process.poll() is None:
            now = step(log)
            if now != shown:
                shown = now
                screen.say(f"   {time.monotonic() - begin:5.0f} s  {now}")
            if time.monotonic() - begin > seconds:
                raise DemoError(f"{name} {was} not up within {seconds} s; {its} log: {log}\n{tail(log)}")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.3)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)
    if process.returncode != 0:
        raise DemoError(f"{name} did not start; {its} log: {log}\n{tail(log)}")


def last_play(log: Path) -> str:
    """The play of Ansible that runs at the moment."""
    with contextlib.suppress(OSError):
        for line in reversed(log.read_text(errors="replace").splitlines()):
            if line.startswith("PLAY [") and not line.startswith("PLAY RECAP"):
                return line[6:].split("]")[0]
    return "building the base root file system (about a minute, the first time only)"


def lab_down(out: Path, part: str = "farm", top: Path = ROOT, seconds: float = 120) -> None:
    """Remove the lab, or with no part named all of it, by the checkout ``top``. A second Ctrl-C must not stop the
    cleaning up, so it runs in a session of its own."""
    with (out / "lab-down.log").open("w", encoding="utf-8") as sink:
        subprocess.run(
            [top / "lab/down", *([part] if part else [])], cwd=top, stdin=subprocess.DEVNULL, stdout=sink,
            stderr=subprocess.STDOUT, start_new_session=True, timeout=seconds, check=False,
        )  # fmt: skip


class Judge:
    """The judge as a process of its own; it shares nothing with what heals."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until clients get answers."""
        with (self.out / "judge.log").open("w", encoding="utf-8") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lab.judge", "start", "--parent", str(os.getpid()), "--out", str(self.out)],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        answers = self.out / "answers.jsonl"
        if not wait_until(
            lambda: self._ended() or (answers.exists() and answers.stat().st_size > 0), JUDGE_SECONDS, 0.5
        ):
            raise DemoError(f"no client got an answer within {JUDGE_SECONDS} s\n{tail(self.out / 'judge.log')}")
        if self._ended():
            raise DemoError(f"the judge ended by itself\n{tail(self.out / 'judge.log')}")

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def mark(self, event: str, node: str) -> None:
        """Tell the judge that something begins or ends now."""
        self._command("mark", "--event", event, "--node", node)

    def _command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "lab.judge", *words[:1], "--out", str(self.out), *words[1:]], cwd=ROOT,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise DemoError(f"judge {words[0]}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def stop(self) -> None:
        """End it and wait until its record is whole."""
        if self.process is None:
            return
        with contextlib.suppress(DemoError):
            self._command("stop")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=30)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def report(self) -> tuple[dict[str, Any], str]:
        """Its report as data, and its table as it prints it."""
        table = self._command("report")
        report: dict[str, Any] = json.loads((self.out / "report.json").read_text(encoding="utf-8"))
        return report, table


def environment(lab: Lab, out: Path) -> dict[str, str]:
    """What the one command needs to know of this lab: how to log in, and where to leave its results."""
    return {**os.environ, "ANSIBLE_CONFIG": str(lab.state / "ansible.cfg"), "XDG_STATE_HOME": str(out / "state")}


def selfheal(lab: Lab, out: Path, screen: Screen, *words: str) -> int:
    """Run the one command as a person would, with its output on the terminal."""
    words = (*words, "-i", "lab/inventory")
    screen.typed(["selfheal", *words])
    done = subprocess.run(
        [SELFHEAL, *words], cwd=ROOT, env=environment(lab, out), stdin=subprocess.DEVNULL,
        timeout=HEAL_SECONDS, check=False,
    )  # fmt: skip
    return done.returncode


def result_of(out: Path, begin: float) -> dict[str, Any]:
    """What the last heal since then wrote for programs."""
    found = [path for path in (out / "state" / "selfheal").glob("heal-*.json") if path.stat().st_mtime >= begin]
    if not found:
        return {}
    with contextlib.suppress(OSError, ValueError):
        result = json.loads(max(found, key=lambda path: path.stat().st_mtime).read_text(encoding="utf-8"))
        return dict(result)
    return {}


@contextlib.contextmanager
def ends_on_sigterm() -> Iterator[None]:
    """Let a SIGTERM end the demo like Ctrl-C does, so that it cleans up."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
