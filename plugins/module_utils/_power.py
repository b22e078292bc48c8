# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Take a machine's power away and give it back, by a fence agent of one's own power switch, BMC or hypervisor.

Agents are programs of the package ``fence-agents``; what they take is the FenceAgentAPI of ClusterLabs: options as
lines ``key=value`` on standard input, ``status`` answers with 0 (on) or 2 (off), every other act with 0 when it was
done. So a password is never in an argument or in the environment. An act is believed only when ``status`` says so: an
agent whose ``on`` fails after ``off`` may end with 0 all the same.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any, Optional

from ._errors import SelfhealError

ON, OFF = 0, 2
#: So many looks in a row have to say that it is off: one may be of a switch in between.
OFF_LOOKS = 2
#: Options whose values may be told. All others are cut out of what an agent says: each has its own names for secrets.
SHOWN = frozenset({
    "ip", "ipaddr", "ipport", "plug", "port", "username", "login", "lanplus", "cipher", "method", "privlvl", "ssl",
    "ssl_insecure", "timeout", "power_timeout", "login_timeout", "shell_timeout", "power_wait", "retry_on",
})  # fmt: skip
#: What two machines cannot have in common.
PLACE = ("ip", "ipaddr", "ipport", "plug", "port")
_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_PAUSE = 0.5
#: One call of an agent: a session over the network, and what the agent itself waits for.
_LEAST_SECONDS, _MOST_SECONDS = 5.0, 20.0
_LOOKS_PER_ACT = 8
_MOST_BYTES = 65536


class PowerError(SelfhealError):
    """Power is not as it has to be; ``touched``: the machine may have lost it."""

    def __init__(self, message: str, touched: bool) -> None:
        super().__init__("power", message)
        self.touched = touched


def read_options(path: str, uid: int) -> dict[str, str]:
    """The agent's options out of a file that nobody else can read or write; it has secrets."""
    try:
        with open(path, "rb") as handle:
            found = os.fstat(handle.fileno())
            raw = handle.read(_MOST_BYTES)
    except OSError as exc:
        raise PowerError(
            f"{path} with the options of the fence agent cannot be read ({exc.strerror}): make it, with lines like "
            "ip=10.0.0.9 and password=..., readable for the healer's user alone.", False,
        ) from None  # fmt: skip
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, uid) or stat.S_IMODE(found.st_mode) & 0o027:
        raise PowerError(
            f"{path} has secrets: it has to be a file of root or of the healer's user, which others can neither read "
            "nor write (mode 0600, or 0640 of root and the healer's group).", False,
        )  # fmt: skip
    return parse_options(path, raw.decode("utf-8", "replace"))


def parse_options(path: str, text: str) -> dict[str, str]:
    """Lines ``key=value``; empty ones and those that begin with ``#`` count for nothing."""
    options: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals or not _OPTION.match(key) or key in options:
            raise PowerError(f"{path}: line {number} is no key=value, or has a key that was there before.", False)
        if key in ("action", "option", "delay", "verbose", "debug"):
            raise PowerError(f"{path}: line {number} says what to do, or when; that is said by the heal alone.", False)
        options[key] = value
    return options


def check_place(path: str, options: Mapping[str, str], uid: int) -> None:
    """Raise where another file of the folder names the same outlet: one of the two would switch the wrong machine."""
    mine = {key: options.get(key) for key in PLACE}
    for name in sorted(os.listdir(os.path.dirname(path))):
        other = os.path.join(os.path.dirname(path), name)
        if other == path or name.startswith(".") or not os.path.isfile(other):
            continue
        if {key: read_options(other, uid).get(key) for key in PLACE} == mine:
            raise PowerError(f"{path} and {other} name the same outlet: one would switch the wrong machine.", False)


def check_program(path: str) -> None:
    """Raise unless only root can change what is run."""
    try:
        found = os.stat(path)
    except OSError as exc:
        raise PowerError(
            f"the fence agent {path} is not there ({exc.strerror}): install its package (fence-agents).", False
        ) from None
    if not stat.S_ISREG(found.st_mode) or not found.st_mode & 0o111 or found.st_mode & 0o022 or found.st_uid != 0:
        raise PowerError(f"the fence agent {path} has to be a program that only root can change.", False)


class Agent:
    """One machine's power, by one agent. ``run`` takes program, input and time, and gives exit code and words."""

    def __init__(
        self,
        program: str,
        options: Mapping[str, str],
        run: Callable[[str, str, float], tuple[Optional[int], str]],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.program, self.options, self.run, self.clock, self.sleep = program, dict(options), run, clock, sleep
        self.end = float("inf")

    def ask(self, action: str) -> tuple[Optional[int], str]:
        """Exit code and last words of the agent; no code when its time was over."""
        given = "".join(f"{key}={value}\n" for key, value in {**self.options, "action": action}.items())
        left = max(_LEAST_SECONDS, min(self.end - self.clock(), _MOST_SECONDS))
        try:
            code, said = self.run(self.program, given, left)
        except OSError as exc:
            code, said = None, f"cannot be started: {exc.strerror}"
        for key, value in self.options.items():
            if key not in SHOWN and len(value) > 2:
                said = said.replace(value, "***")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return code, (lines[-1][:200] if lines else "")

    def is_on(self) -> bool:
        """Whether the machine has power; an agent that does not know is an error, before anything was done."""
        code, said = self.ask("status")
        if code not in (ON, OFF):
            raise PowerError(
                f"{os.path.basename(self.program)} does not say whether the machine has power "
                f"({_how(code)}{': ' + said if said else ''}).", False,
            )  # fmt: skip
        return code == ON

    def cycle(
        self, seconds: float, right: Callable[[bool], bool], when_off: bool = False, give_back: bool = False
    ) -> dict[str, Any]:
        """Off, seen to be off, on, seen to be on.

        ``right`` raises where nothing may be done. False says that this was given already, and then power is only
        given back where it is missing. With true, right before the first act, it writes down that it is given.
        A machine that is found off is switched on only if ``when_off`` says so: somebody may have switched it off.
        With ``give_back`` nothing is taken: only what this incident has taken before comes back.
        """
        began = self.clock()
        self.end = began + seconds
        was_on, fresh = self.is_on(), right(False)
        if fresh and give_back:
            return {"was_on": was_on, "off": False, "on": False}
        if not was_on and fresh and not when_off:
            raise PowerError(
                "the machine has no power, and somebody may have switched it off: look at it, or allow it by when_off "
                "in selfheal_power.", False,
            )  # fmt: skip
        if fresh and self.clock() - began > seconds / 3:
            raise PowerError("the agent is too slow to be sure that power comes back in time.", False)
        if fresh:
            fresh = right(True)  # another run may have been quicker
        took = was_on and fresh
        # Whatever became of it, power is given back: an act whose answer was lost may have been done all the same.
        lost = self._switch("off", OFF, OFF_LOOKS, began + seconds / 2) if took else ""
        missing = self._switch("on", ON, 1, began + seconds) if took or not was_on else ""
        if lost or missing:
            raise PowerError("; ".join(text for text in (lost, missing) if text) + ".", True)
        return {"was_on": was_on, "off": took, "on": took or not was_on}

    def _switch(self, action: str, wanted: int, looks: int, end: float) -> str:
        """Act, and look until it shows; the act is given again now and then. Empty, or why it is not so."""
        self.end = end
        seen = 0
        while True:
            code, said = self.ask(action)
            told = f"{os.path.basename(self.program)} {action}: {_how(code)}{', ' + said if said else ''}"
            for _number in range(_LOOKS_PER_ACT):
                seen = seen + 1 if self.ask("status")[0] == wanted else 0
                if seen >= looks:
                    return ""
                if self.clock() >= end:
                    return f"the machine is not seen to be {action} ({told})"
                self.sleep(_PAUSE)


def _how(code: Optional[int]) -> str:
    return "no answer in time" if code is None else f"exit code {code}"


def run_agent(program: str, given: str, seconds: float) -> tuple[Optional[int], str]:
    """Run it with nothing but a path in its environment; what outlives its time is ended."""
    with subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}, start_new_session=True,
    ) as child:  # fmt: skip
        try:
            said, _nothing = child.communicate(given.encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, 9)
            try:
                said, _nothing = child.communicate(timeout=2)
            except subprocess.TimeoutExpired:  # somebody of another session holds its output
                said = b""
            return None, said[-_MOST_BYTES:].decode("utf-8", "replace")
    return child.returncode, said[-_MOST_BYTES:].decode("utf-8", "replace")
