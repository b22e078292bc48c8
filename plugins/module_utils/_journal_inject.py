# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""An event by hand: the same file in the spool that Nagios' event handler would write."""

from __future__ import annotations

import difflib
import json
import os
import time
from typing import Any, Dict, List, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

HOST_STATES = ("UP", "DOWN", "UNREACHABLE")
SERVICE_STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
NAME_LENGTH = 255
SPEC: Dict[str, Any] = {
    "node": {"type": "str", "required": True},
    "service": {"type": "str"},
    "state": {"type": "str", "choices": [*SERVICE_STATES, *HOST_STATES]},
    "known": {"type": "list", "elements": "str", "default": []},
}


def event(asked: Mapping[str, Any], now: float) -> Dict[str, Any]:
    """The event, checked. Without a service it is about the host. Its id is 0: Nagios begins with 1."""
    node, service = asked["node"], asked.get("service") or None
    for name in (node, service or ""):
        if len(name) > NAME_LENGTH or clean(name) != name:
            raise SelfhealError("bad_event", "the name %r is too long or has control characters" % clean(name, 80))
    known: List[str] = list(asked.get("known") or [])
    if not node or (known and node not in known):
        near = difflib.get_close_matches(node, known, n=1, cutoff=0.4)
        hint = "did you mean %s?" % near[0] if near else "known are %s" % ", ".join(sorted(known))
        raise SelfhealError("unknown_node", "%r is no node of any layer; %s" % (clean(node, 80), hint))
    state = asked.get("state") or ("CRITICAL" if service else "DOWN")
    return {"v": 1, "at": round(now, 6), "host": node, "service": service, "state": state, "type": "HARD",
            "attempt": 1, "event_id": 0}  # fmt: skip


def drop(spool: str, content: Mapping[str, Any]) -> str:
    """Write the event whole or not at all; on the disk when this returns. Gives the name of its file."""
    name = "%020d-%d.event" % (time.time_ns(), os.getpid())
    aside, path = os.path.join(spool, "." + name + ".tmp"), os.path.join(spool, name)
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(content, stream, separators=(",", ":"))
            stream.write("\n")
            stream.flush()
            os.fchmod(stream.fileno(), 0o640)
            os.fsync(stream.fileno())
        os.rename(aside, path)
        folder = os.open(spool, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as exc:
        if os.path.exists(aside):
            os.unlink(aside)
        raise SelfhealError(
            "no_spool", "the event cannot be written into %s (%s): is the healer installed here, by role healer?"
            % (spool, exc.strerror),
        ) from exc  # fmt: skip
    return name
