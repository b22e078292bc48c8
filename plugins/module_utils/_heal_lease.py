# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What ``heal_lease`` does: the journal first, then Nagios, which never stops a heal."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils import _felt_looks
from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_commands as commands
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import OUTCOMES, extend, release
from ansible_collections.selfheal.cluster.plugins.module_utils._sequences import PHASES

SPEC: Dict[str, Any] = {
    "incident": {"type": "str", "required": True},
    "epoch": {"type": "int", "required": True},
    "phase": {"type": "str", "choices": list(PHASES), "default": "soak"},
    "state": {"type": "str", "choices": ["extended", "released"], "default": "extended"},
    "deadline_seconds": {"type": "float", "default": 60},
    "outcome": {"type": "str", "choices": list(OUTCOMES)},
    "detail": {"type": "dict"},
    "looked_at": {"type": "list", "elements": "str", "default": []},
    "downtime": {"type": "bool", "default": False},
    "downtime_seconds": {"type": "float", "default": 900},
    "command_file": {"type": "path", "default": commands.PIPE},
    "journal": {"type": "path", "default": "/var/lib/selfheal/journal.db"},
}


def answer(params: Mapping[str, Any], now: float, check_mode: bool) -> Dict[str, Any]:
    incident, epoch = params["incident"], params["epoch"]
    with Journal(params["journal"]) as journal:
        if params["state"] == "released":
            looks = _felt_looks.of(journal, incident, params["looked_at"], now)
            detail = _felt_looks.kept(params["detail"], looks)
            result = release(journal, incident, epoch, params["outcome"], detail, now, not check_mode)
            result["looks"] = looks
        else:
            result = extend(journal, incident, epoch, params["phase"], params["deadline_seconds"], now, not check_mode)
    result["changed"] = not check_mode and not result["stop"]
    if params["downtime"] and not check_mode and not result["stop"]:
        result["nagios"] = _tell(params, result["node"], now)
    return result


def _tell(params: Mapping[str, Any], node: str, now: float) -> Dict[str, Any]:
    lines: List[str]
    try:
        if params["state"] == "released":
            # The checks after our downtime decide whether the node is ill; they need not wait for their turn.
            lines = [
                commands.delete_downtime(params["incident"], now),
                commands.schedule_forced_host_svc_checks(node, now, now),
            ]
        else:
            end = now + params["downtime_seconds"]
            lines = [
                commands.schedule_host_downtime(node, now, end, params["incident"], now),
                commands.schedule_host_svc_downtime(node, now, end, params["incident"], now),
            ]
        commands.write(params["command_file"], lines)
    except SelfhealError as exc:
        return {"written": False, "message": exc.message}
    return {"written": True, "message": ""}
