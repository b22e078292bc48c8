# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Between two plays of a heal: gather what the hosts answered, decide who acts next, say it. Controller only."""

from __future__ import annotations

import os
import time
from typing import Any

from ansible import constants as C
from ansible.plugins.action import ActionBase

from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_flow as flow
from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_report as report
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.plugin_utils import _module_cache

RESULT_FILE = "SELFHEAL_RESULT_FILE"
# Plays with more than one task: what they registered besides.
ALSO = {"drain": ("dropped",), "restart": ("daemon",), "verify": ("members",), "pay": ("unpark",), "soak": ("home",)}
EXTENDS = ("verify", "readmit", "soak")  # steps whose play extends the lease on the journal's host
SPEC = {"step": {"type": "list", "elements": "str", "required": True, "choices": list(flow.STEPS)}}


class ActionModule(ActionBase):
    """A shell around ``_heal_flow.advance``: every decision is made there."""

    _supports_check_mode = True
    _supports_diff = False
    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        _unused, arguments = self.validate_argument_spec(argument_spec=SPEC)
        variables = task_vars or {}
        state = dict(variables["selfheal_heal"])
        for step in arguments["step"]:
            before = state
            try:
                state = flow.advance(before, step, _seen(before, step, variables), time.time())
            except SelfhealError as exc:
                result.update(failed=True, msg=exc.message, reason=exc.reason)
                return result
            for line in report.lines(before, state, step):
                self._display.display(line)
        self._write(state)
        if state["status"] not in ("planning", "acting"):
            _module_cache.keep(C.DEFAULT_LOCAL_TMP)  # the next heal need not pack its modules again
        message = report.exit_message(state)
        if message:  # the end of the run; the whole state would bury the line that says why
            return {**result, "changed": False, "failed": True, "msg": message, "outcome": state["outcome"]}
        return {**result, **state, "changed": False}

    def _write(self, state: dict[str, Any]) -> None:
        """The state for the command line and the judge; a heal never fails because of it."""
        path = os.environ.get(RESULT_FILE, "")
        if not path:
            return
        try:
            report.write(path, report.result(state))
        except OSError as exc:
            self._display.warning(f"{RESULT_FILE} cannot be written: {exc}")


def _seen(state: dict[str, Any], step: str, variables: dict[str, Any]) -> dict[str, Any]:
    """What the hosts of the last play answered, as plain data, by the name under which ``_heal_flow`` reads it."""
    hostvars = variables["hostvars"]
    keeper = state.get("journal_host", "")
    # Before the restart localhost asks the journal's host itself; later that host extends the lease in the play.
    at_home = variables.get("selfheal_lease") or {} if step == "drain" else {}
    extended = _registered(hostvars, keeper, "journal_host_lease") if step in EXTENDS else {}
    seen: dict[str, Any] = {"lease": {keeper: at_home or extended}}
    if step == "plan":
        seen["plan"] = {"localhost": variables.get("selfheal_plan") or {}}
        seen["members"] = {host: {"address": address} for host, address in state["addresses"].items()}
        seen["nagios"] = {keeper: _part(_registered(hostvars, keeper, "selfheal_seen"), "nagios")}
        pairs = state["watched"]["pairs"]
        seen["keepalived"] = {host: _part(_registered(hostvars, host, "selfheal_seen"), "keepalived") for host in pairs}
        serving = state["watched"]["balancers"]
        seen["balancers"] = {host: _part(_registered(hostvars, host, "selfheal_seen"), "balancer") for host in serving}
    elif step == "release":
        seen["release"] = {keeper: variables.get("selfheal_release") or {}}
    else:
        for name in (step, *ALSO.get(step, ())):
            full = f"{state['strategy']}_{name}"
            seen[name] = {host: _registered(hostvars, host, full) for host in state["hosts"].get(step, [])}
        if step == "soak":
            seen["illness"] = {keeper: _registered(hostvars, keeper, "journal_host_look")}
    return seen


def _registered(hostvars: Any, host: str, name: str) -> dict[str, Any]:
    return dict(hostvars[host][name]) if host in hostvars and name in hostvars[host] else {}


def _part(observed: dict[str, Any], name: str) -> dict[str, Any]:
    """One witness's answer; a host that was not reached answers for all of its parts."""
    part = (observed.get("seen") or {}).get(name)
    return dict(part) if part else observed
