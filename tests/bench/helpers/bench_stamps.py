# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A callback of the bench: one line of JSON for each task that begins or ends, with the time of this machine."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: bench_stamps
type: aggregate
author: selfheal.cluster contributors (@selfheal-cluster)
short_description: Stamps of tasks for the bench
description:
  - Appends to the file that the environment variable C(ANSIBLE_BENCH_STAMPS) names.
options: {}
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible-core ships no types
    """Lines are short, so that appending one is atomic."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "bench_stamps"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        path = os.environ["ANSIBLE_BENCH_STAMPS"]  # a name that every run lets in
        self._sink = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        begun = os.environ.get("SELFHEAL_BEGUN")
        if begun:  # a prepared run, which no wrapper starts: when it had its incident, and knew that it may begin
            with Path(path).with_name("processes").open("a", encoding="ascii") as processes:
                processes.write(f"{int(float(begun) * 1e9)} {os.getpid()}\n")
        self._node = ""

    def _stamp(self, what: str, action: str = "") -> None:
        line = {"at": time.time(), "pid": os.getpid(), "what": what, "action": action, "node": self._node}
        os.write(self._sink, json.dumps(line).encode() + b"\n")

    def v2_playbook_on_play_start(self, play: Any) -> None:
        extra = play.get_variable_manager().extra_vars
        self._node = str(extra.get("selfheal_node") or extra.get("node") or "")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        del is_conditional
        self._stamp("task", task.resolved_action or task.action)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._stamp("result", result.task.resolved_action or result.task.action)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        del ignore_errors
        self._stamp("result", result.task.resolved_action or result.task.action)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        del stats
        self._stamp("end")
