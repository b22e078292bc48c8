# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Our modules on the ill node go before what made it ill.

On a node whose CPU is burnt, Python alone takes seconds to start: measured in the lab, evidence was given up after nine
and the restart took twelve. So it runs at a higher priority there, for the one call. Nothing inherits that: systemd
starts the service, and our modules leave no process behind. Where it is not allowed (no root, a container without
CAP_SYS_NICE) or renice(1) is not there, nothing is said and the module runs as any other.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.executor.interpreter_discovery import discover_interpreter
from ansible.plugins.action import ActionBase

NICENESS = -10
VARIABLE = "ansible_python_interpreter"
FACT = "discovered_interpreter_python"
_PATH = re.compile(r"/[\w./+-]+")


def first(python: str) -> str:
    """Words of a shell that start this Python before everybody else.

    The process renices itself and becomes Python, so that it has the number, the streams and the end that the caller
    sees.
    """
    return f"""/bin/sh -c 'renice -n {NICENESS} -p $$ </dev/null >/dev/null 2>&1; exec {python} "$@"' sh"""


def urgent(action: ActionBase, task_vars: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The variables of the task with such a Python, and what is to be returned besides.

    As Ansible does, the Python of a host that names none is looked for once, and returned as a fact for the tasks that
    follow. An interpreter that is more than a path is somebody's own arrangement and stays as it is.
    """
    given = dict(task_vars or {})
    facts: dict[str, Any] = {}
    python = given.get(VARIABLE) or "auto"
    if str(python).startswith("auto"):
        python = (given.get("ansible_facts") or {}).get(FACT)
        if not python:
            with contextlib.suppress(AnsibleError, OSError):
                python = discover_interpreter(
                    action=action, interpreter_name="python", discovery_mode="auto_silent", task_vars=given
                )
                facts = {"ansible_facts": {FACT: python}}
    if not python or not _PATH.fullmatch(str(python)):
        return given, {}
    return {**given, VARIABLE: first(str(python))}, facts
