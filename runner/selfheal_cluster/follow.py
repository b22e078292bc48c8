# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A heal as it happens: its lines for a human, its phase at the moment, and what its end means."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._run_live import read_result
from selfheal_cluster.errors import USAGE_REASONS, CliError, Exit
from selfheal_cluster.playbook import Run

PREFIX = "selfheal  "
# Inventory names only: what is typed goes into an extra variable, which Ansible would read as a template.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")

NEXT = {
    "no_journal": "start with `selfheal survey`: it says which lines are missing for a journal",
    "mode_observe": "set selfheal_mode: approve in the group variables of its layer to allow heals by hand",
    "not_ill": "to practise on a healthy node: selfheal heal NODE --reason drill",
    "lease_taken": "somebody else heals there: selfheal status",
    "paused": "heals are paused: selfheal status says since when",
    "nagios_stale": "see whether Nagios runs: selfheal survey",
    "blocked_node": "it was healed a short while ago: selfheal history",
    "blocked_layer": "its layer was healed a short while ago: selfheal history",
    "attempts_exhausted": "a human has to look: selfheal history",
    "ambiguous_outcome": "a human has to look how the last heal ended: selfheal history",
}


def check_node(node: str) -> None:
    """Refuse what cannot be the name of one node before anything runs."""
    if not NAME.match(node):
        raise CliError(
            f"{clean(node, 60)!r} is no name of a node: a heal is about exactly one node, by its name in the inventory",
            "see the names with: selfheal survey",
            Exit.USAGE,
        )


class Progress:
    """Prints the lines that the heal says, and keeps the phase that runs at the moment."""

    def __init__(self, say: Callable[[str], None], at_work: Callable[[str], None]) -> None:
        self.say = say
        self.at_work = at_work
        self.started = time.monotonic()

    def line(self, line: str) -> None:
        """One line of Ansible's output; only our own are for the human."""
        if line.startswith(PREFIX):
            self.say(clean_keeping_columns(line[len(PREFIX) :]))

    def tick(self, result_file: Path) -> None:
        """What the heal does right now."""
        state = read_result(result_file)
        node, phase = clean(state.get("node") or ""), clean(state.get("phase") or "confirm")
        seconds = time.monotonic() - self.started
        self.at_work(f"{node + ': ' if node else ''}{phase} ... {seconds:.0f} s")


def clean_keeping_columns(line: str) -> str:
    """A line made safe to show whose leading spaces are kept."""
    return " " * (len(line) - len(line.lstrip(" "))) + clean(line)


def outcome(done: Run) -> Exit:
    """The exit code of a heal, from the result that it wrote, or from how it broke down."""
    status = str(done.result.get("status") or "")
    if status in ("healed", "checked"):
        return Exit.OK
    if status == "refused":
        words = {str(item.get("reason")) for item in done.result.get("refusals") or []}
        return Exit.USAGE if words & USAGE_REASONS else Exit.REFUSED
    if status in ("undone", "left_out", "failed", "acting"):
        return Exit.FAILED
    # No plan was made: the target was refused before, or the playbook could not run at all.
    reason = first_reason(done)
    if reason in USAGE_REASONS:
        return Exit.USAGE
    return Exit.REFUSED if reason else Exit.ERROR


def first_reason(done: Run) -> str:
    """The word for machines of the first failure that has one."""
    return next((str(item["reason"]) for item in done.failures if item.get("reason")), "")


def hint_of(done: Run) -> str:
    """What to do next after a refusal."""
    words = [str(item.get("reason")) for item in done.result.get("refusals") or []] or [first_reason(done)]
    return next((NEXT[word] for word in words if word in NEXT), "")


def broken(done: Run) -> CliError:
    """Why a playbook gave no result, with the next step."""
    text = tail(done.log, 400)
    if "No inventory was parsed" in text or "provided hosts list is empty" in text:
        return CliError(
            "no inventory: Ansible found no host",
            "name one with -i FILE, or set ANSIBLE_INVENTORY, or write `inventory = FILE` into ansible.cfg",
        )
    if done.failures:
        failure = done.failures[0]
        said = clean(failure.get("msg") or "it failed without a word", 400)
        if failure.get("unreachable"):
            host = clean(failure["host"])
            return CliError(f"{host} cannot be reached: {said}", f"try: ansible {host} -m ansible.builtin.ping")
        return CliError(said, f"the whole log: {done.log}")
    errors = [line for line in text.splitlines() if "ERROR" in line] or text.splitlines()[-3:]
    said = clean(" ".join(errors), 400) or "it said nothing"
    return CliError(f"ansible-playbook ended with {done.code}: {said}", f"the whole log: {done.log}")


def tail(log: Path, lines: int) -> str:
    """The last lines of a log."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def without_plan(done: Run, code: Exit) -> CliError:
    """A heal that ended before there was a plan: a target that was refused, or a playbook that could not run."""
    error = broken(done)
    hint = hint_of(done) or error.hint
    return CliError(error.message, hint, code)


class Interrupts:
    """Ctrl-C during a heal. The first one asks it to go back at the next safe point; the second one leaves.

    Neither kills it: a heal that is cut off in the middle would leave its node out of traffic until somebody comes.
    It looks for the word in the journal before it moves traffic and before it restarts.
    """

    def __init__(self, say: Callable[[str], None], ask_to_go_back: Callable[[str], None]) -> None:
        self.say = say
        self.ask_to_go_back = ask_to_go_back
        self.count = 0
        self.asked = False

    def __call__(self, result_file: Path) -> bool:
        self.count += 1
        if self.count > 1:
            return True
        phase = clean(read_result(result_file).get("phase") or "confirm")
        self.say(f"Ctrl-C: the heal is in phase {phase}. It is asked to go back, which it does if it has not restarted")
        self.say(
            "yet; after that it goes on to its end. Press Ctrl-C again to stop watching; it needs nobody to watch."
        )
        self.tick(result_file)
        return False

    def tick(self, result_file: Path) -> None:
        """Hand on the word as soon as the heal has an incident that the journal knows."""
        if not self.count or self.asked:
            return
        incident = str(read_result(result_file).get("incident") or "")
        if NAME.match(incident):
            self.asked = True
            self.ask_to_go_back(incident)
