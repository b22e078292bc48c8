# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One task in which every witness is asked at the same time: balancers, pairs and Nagios."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.selfheal.cluster.plugins.plugin_utils import _in_time

SPEC: dict[str, dict[str, Any]] = {
    **{name: {"type": "dict"} for name in ("balancer", "keepalived", "nagios")},
    "seconds": {"type": "float", "default": 0.0},
}


class ActionModule(ActionBase):
    """An empty argument means that this host is not asked for that part."""

    _supports_check_mode = True
    _supports_diff = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        _unused, asked = self.validate_argument_spec(argument_spec=SPEC)
        seconds = asked["seconds"]
        if seconds:  # SSH's own time-out is longer than ours, and then nobody would know whether it was heard
            _in_time.hurry(self._connection, min(seconds - 1, _in_time.GREETING_SECONDS))
        try:
            with _in_time.within(seconds):
                seen = self._seen(asked, task_vars)
        except _in_time.TimeUp:
            return {**result, "changed": False, **_in_time.silence(self, seconds)}
        return {**result, "changed": False, "seen": seen}

    def _seen(self, asked: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        here = {name: asked[name] for name in ("balancer", "keepalived") if asked[name]}
        if here:
            answer = self._execute_module(
                module_name="selfheal.cluster.heal_observe", module_args=here, task_vars=task_vars
            )
            if answer.get("failed"):  # the module itself broke: every part of it is missing
                seen.update({name: {"failed": True, "msg": answer.get("msg", "no answer")} for name in here})
            seen.update(answer.get("seen") or {})
        if asked["nagios"]:
            answer = self._execute_module(
                module_name="selfheal.cluster.gauge_info", module_args=asked["nagios"], task_vars=task_vars
            )
            answer.pop("invocation", None)
            seen["nagios"] = answer
        return seen
