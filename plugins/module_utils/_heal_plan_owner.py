# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Who asks for a heal, and whether whoever asked before is dead. For the controller.

A lease of another machine ends by expiry only. The machine on which ``ansible-playbook`` was killed can do better:
it knows its own processes. What still runs of a killed play on targets is stopped by the epoch (invariant 8).
"""

from __future__ import annotations

import getpass
import os
import socket
from typing import Any, Dict, List, Mapping, Optional, Tuple


def whoami(pid: int, proc: str = "/proc") -> Dict[str, Any]:
    """The process that owns the heal. Without /proc nothing can be proven later, and expiry remains."""
    state = _state(pid, proc)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return {
        "user": user,
        "host": socket.gethostname(),
        "machine_id": _read("/etc/machine-id"),
        "boot_id": _read(proc + "/sys/kernel/random/boot_id"),
        "pid_namespace": _namespace(proc),
        "pid": pid,
        "started": state[1] if state else None,
    }


def dead_runs(holders: List[Mapping[str, Any]], me: Mapping[str, Any], proc: str = "/proc") -> List[Dict[str, Any]]:
    """Leases of this machine whose process is gone, as incident and epoch."""
    found = []
    for lease in holders:
        item = {"incident": lease.get("incident"), "epoch": lease.get("epoch")}
        if item not in found and _dead(lease.get("owner") or {}, me, proc):
            found.append(item)
    return found


def _dead(owner: Mapping[str, Any], me: Mapping[str, Any], proc: str) -> bool:
    if not me.get("machine_id") or owner.get("machine_id") != me["machine_id"]:
        return False
    if not owner.get("boot_id") or not me.get("boot_id"):
        return False
    if owner["boot_id"] != me["boot_id"]:
        return True  # the machine has been started again since
    # In another container of the same machine the same number is another process.
    if not owner.get("pid_namespace") or owner.get("pid_namespace") != me.get("pid_namespace"):
        return False
    if not owner.get("pid") or owner.get("started") is None:
        return False
    state = _state(int(owner["pid"]), proc)
    if state is None:
        return _gone(int(owner["pid"]))
    return state[1] != owner["started"] or state[0] in ("Z", "X")


def _gone(pid: int) -> bool:
    """Whether the kernel knows no such process. /proc does not say: with hidepid it hides those of other users."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False  # it is there and not ours, or nothing is known
    return False


def _state(pid: int, proc: str) -> Optional[Tuple[str, int]]:
    """State letter and start time in ticks since boot; the start time tells a reused number from the old process."""
    text = _read("%s/%d/stat" % (proc, pid))
    fields = text.rpartition(")")[2].split()
    try:
        return fields[0], int(fields[19])
    except (IndexError, ValueError):
        return None


def _namespace(proc: str) -> str:
    try:
        return os.readlink(proc + "/self/ns/pid")
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read().strip()
    except OSError:
        return ""
