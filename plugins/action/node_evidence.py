# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The controller's half of ``node_evidence``: it goes before what makes the node ill."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.selfheal.cluster.plugins.plugin_utils._urgent import urgent


class ActionModule(ActionBase):
    """The module's own answer."""

    _supports_check_mode = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        with urgent(self._connection):
            answer = self._execute_module(module_args=self._task.args, task_vars=task_vars)
        return {**result, **answer}
