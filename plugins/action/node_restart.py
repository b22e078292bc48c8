# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The controller's half of ``node_restart``: age of the witnesses, lost connections, and waiting for a reboot."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.selfheal.cluster.plugins.module_utils._restart_spec import ARGUMENTS
from ansible_collections.selfheal.cluster.plugins.plugin_utils._urgent import urgent

RETRIES = 2  # a connection may break because the node is ill; the module never restarts twice for one incident
PAUSE = 1.0
CLOCK_SECONDS = 1.0  # so far a clock may differ from itself: time.time() is corrected all the time
BOOT_POLL = 0.5
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


class ActionModule(ActionBase):
    """Nothing is decided here: the node itself refuses or acts."""

    _supports_check_mode = True
    _supports_diff = True
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        _unused, arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)
        answer = self._ask(arguments, task_vars)
        if answer.get("rebooting"):
            answer = self._after_reboot(arguments, answer, task_vars)
        return {**result, **answer}

    def _ask(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        for attempt in range(RETRIES + 1):
            try:
                answer = self._call(arguments, task_vars)
                if answer.get("half_open_at") is not None:
                    answer = self._call({**arguments, "heard_uptime": answer["half_open_at"]}, task_vars)
            except AnsibleConnectionFailure:
                if attempt == RETRIES:
                    raise
                time.sleep(PAUSE)
                self._reset()
            else:
                return after_loss(answer) if attempt else answer
        raise AnsibleError("not reached")  # the loop returns or raises

    def _call(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        with urgent(self._connection):
            answer: dict[str, Any] = self._execute_module(
                module_name="selfheal.cluster.node_restart",
                module_args=aged(arguments, time.time()),
                task_vars=task_vars,
            )
        return answer

    def _reset(self) -> None:
        with contextlib.suppress(AnsibleError, AttributeError, OSError):
            self._connection.reset()

    def _after_reboot(
        self, arguments: dict[str, Any], answer: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Another boot id proves the reboot; then the module waits for the service to answer."""
        end = time.monotonic() + arguments["timeout"]
        while time.monotonic() < end:
            time.sleep(BOOT_POLL)
            self._reset()
            with contextlib.suppress(AnsibleError, OSError):
                said = self._low_level_execute_command(BOOT_ID, sudoable=False)
                boot = str(said.get("stdout") or "").strip()
                if said.get("rc") == 0 and boot and boot != answer["boot_id_before"]:
                    after = self._ask(arguments, task_vars)
                    after.update(changed=True, restarted=True)
                    after.update(boot_id_before=answer["boot_id_before"], boot_id_after=boot)
                    after.update(half_open=answer.get("half_open") or [])
                    return after
        return {
            **answer,
            "failed": True,
            "reason": "start_timeout",
            "msg": "the machine did not come back with another boot id",
        }


def after_loss(answer: dict[str, Any]) -> dict[str, Any]:
    """What a call says after one whose connection broke: that one may have given the restart, so no refusal counts.

    Without its reason it is a failure that calls a human, and no proof that nothing was done.
    """
    if not answer.get("failed") or answer.get("restarted"):
        return answer
    kept = {key: value for key, value in answer.items() if key != "reason"}
    said = answer.get("msg") or "failed"
    return {**kept, "msg": f"the connection was lost, so it may have been restarted; asked again, it says: {said}"}


def aged(arguments: dict[str, Any], now: float) -> dict[str, Any]:
    """Witnesses carry their age to the node, so that no clock but the controller's is asked.

    A word from the future is of before a step back of that clock, and nobody knows how old it is: its age stays
    negative, and the node refuses it.
    """
    witnesses = []
    for witness in arguments["witnesses"]:
        fresh = {key: value for key, value in witness.items() if value is not None and key not in ("at", "since")}
        if witness.get("asked_seconds") is None and witness.get("since") is not None:
            fresh["asked_seconds"] = now - float(witness["since"])
        if witness.get("age_seconds") is None and witness.get("at") is not None:
            age = now - float(witness["at"])
            fresh["age_seconds"] = age if age < -CLOCK_SECONDS else max(0.0, age)
        witnesses.append(fresh)
    own = own_machine_id()
    forbidden = [*arguments["forbidden_machine_ids"], *([own] if own else [])]
    return {**arguments, "witnesses": witnesses, "forbidden_machine_ids": forbidden}


def own_machine_id() -> str:
    """The machine of this controller is never restarted by its own heal."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
