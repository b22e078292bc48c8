# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Ask an info module again and again until it is well (or for as long as it stays well)."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ansible_collections.selfheal.cluster.plugins.module_utils._heal_watch import QUESTIONS, judge

SPEC = {
    "ask": {"type": "str", "required": True, "choices": ["lb_member_info", "keepalived_info"]},
    "args": {"type": "dict", "default": {}},
    "question": {"type": "str", "required": True, "choices": sorted(QUESTIONS)},
    "about": {"type": "dict", "default": {}},
    "mode": {"type": "str", "choices": ["until", "while"], "default": "until"},
    "seconds": {"type": "float", "required": True},
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
        end = time.monotonic() + arguments["seconds"]
        said: list[str] = []
        silent, last = 0, {}
        asked_at: float | None = None
        while True:
            begin = time.time()
            answer = self._ask(arguments, task_vars)
            if answer is None:
                silent += 1  # a connection that is lost while watching says nothing about the node
            else:
                last, asked_at = answer, begin
                said.append(self._judged(answer, arguments))
            if judge(arguments["mode"], said, arguments["patience"]):
                break
            left = end - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(arguments["every"], left))
        last.pop("invocation", None)
        return {**result, **_outcome(arguments, said, silent), "asked_at": asked_at, "answer": last}

    def _ask(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = self._execute_module(
                module_name=f"selfheal.cluster.{arguments['ask']}", module_args=arguments["args"], task_vars=task_vars
            )
        except AnsibleConnectionFailure:
            return None
        return answer

    def _judged(self, answer: dict[str, Any], arguments: dict[str, Any]) -> str:
        if answer.get("failed"):
            return str(answer.get("msg") or "no answer")
        return QUESTIONS[arguments["question"]](answer, arguments["about"])


def _outcome(arguments: dict[str, Any], said: list[str], silent: int) -> dict[str, Any]:
    over = judge(arguments["mode"], said, arguments["patience"])
    good = over if arguments["mode"] == "until" else bool(said) and not over
    outcome: dict[str, Any] = {
        "changed": False,
        "asked": len(said) + silent,
        "silent": silent,
        "reached_at": time.time(),
    }
    if not said:
        outcome.update(unreachable=True, msg="not reachable while it was watched")
    elif not good:
        outcome.update(failed=True, reason="not_well", msg=next((text for text in reversed(said) if text), "no answer"))
    return outcome
