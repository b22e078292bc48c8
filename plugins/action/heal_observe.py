# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One task in which every witness is asked at the same time: balancers, pairs and Nagios."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

SPEC = {name: {"type": "dict"} for name in ("balancer", "keepalived", "nagios")}


class ActionModule(ActionBase):
    """An empty argument means that this host is not asked for that part."""

    _supports_check_mode = True
    _supports_diff = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        _unused, asked = self.validate_argument_spec(argument_spec=SPEC)
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
        return {**result, "changed": False, "seen": seen}
