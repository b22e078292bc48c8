# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Ask an info module again and again until it is well (or for as long as it stays well)."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.selfheal.cluster.plugins.module_utils._heal_watch import ASKS, QUESTIONS, judge

SPEC = {
    "ask": {"type": "str", "required": True, "choices": list(ASKS)},
    "args": {"type": "dict", "default": {}},
    "question": {"type": "str", "required": True, "choices": sorted(QUESTIONS)},
    "about": {"type": "dict", "default": {}},
    "mode": {"type": "str", "choices": ["until", "while"], "default": "until"},
    "seconds": {"type": "float", "required": True},
    "since": {"type": "float", "default": 0.0},
    "every": {"type": "float", "default": 1.0},
    "patience": {"type": "int", "default": 2},
}


class ActionModule(ActionBase):
    """One task instead of a loop of tasks: each task costs a fork and a line of output."""

    _supports_check_mode = True
    _supports_diff = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        _unused, arguments = self.validate_argument_spec(argument_spec=SPEC)
        end = time.monotonic() + _left(arguments, time.time())
        said: list[str] = []
        broken: list[str] = []  # what the module's failures said since the last answer that could be judged
        asked, silent, last = 0, 0, {}
        asked_at: float | None = None
        while True:
            begin = time.time()
            answer = self._ask(arguments, task_vars)
            asked += 1
            if answer is None:
                silent += 1  # a connection that is lost while watching says nothing about the node
            elif answer.get("failed"):
                last, asked_at = answer, begin
                broken.append(str(answer.get("msg") or "no answer"))  # nor does a module that broke
            else:
                last, asked_at = answer, begin
                said.append(QUESTIONS[arguments["question"]](answer, arguments["about"]))
                broken.clear()
            if judge(arguments["mode"], said, arguments["patience"]):
                break
            left = end - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(arguments["every"], left))
        last.pop("invocation", None)
        outcome = _outcome(arguments, said, broken)
        return {**result, **outcome, "asked": asked, "silent": silent, "asked_at": asked_at, "answer": last}

    def _ask(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = self._execute_module(
                module_name=f"selfheal.cluster.{arguments['ask']}", module_args=arguments["args"], task_vars=task_vars
            )
        except AnsibleConnectionFailure:
            return None
        return answer


def _left(arguments: dict[str, Any], now: float) -> float:
    """How many seconds of the watch are left. There is always time for as many bad answers as end it."""
    seconds, since = float(arguments["seconds"]), float(arguments["since"])
    passed = max(0.0, now - since) if since else 0.0
    return max(seconds - passed, min(seconds, float(arguments["patience"] * arguments["every"])))


def _outcome(arguments: dict[str, Any], said: list[str], broken: list[str]) -> dict[str, Any]:
    """Only an answer that was judged gives a reason, and so counts as proven: a module that broke proves nothing."""
    until = arguments["mode"] == "until"
    over = judge(arguments["mode"], said, arguments["patience"])
    unknown = len(broken) >= (1 if until else arguments["patience"])  # at the end nobody knows any more
    outcome: dict[str, Any] = {"changed": False, "reached_at": time.time()}
    if not said and not broken:
        outcome.update(unreachable=True, msg="not reachable while it was watched")
    elif unknown or not said:
        outcome.update(failed=True, msg=broken[-1])
    elif over != until:
        outcome.update(failed=True, reason="not_well", msg=next((text for text in reversed(said) if text), "no answer"))
    return outcome
