# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Proof that keepalived does not run on this machine. That it does not answer is none: it may be hung, or elsewhere.

Proven is: no process of it lives in this network, and systemd does not call its unit running or about to run. Whatever
cannot be read speaks against the proof.
"""

from __future__ import annotations

import os
import subprocess

UNIT = "keepalived.service"
PROGRAM = "keepalived"
SYSTEMD = "/run/systemd/system"
OVER = ("inactive", "failed")
_GONE = ("Z", "X")  # nothing of it runs any more


def why_not_stopped(proc: str = "/proc", systemd: str = SYSTEMD) -> str:
    """Empty when it is proven that keepalived does not run here; else what speaks against it."""
    try:
        found = living(proc)
    except OSError as exc:
        return f"The processes of this machine cannot be listed: {exc}."
    if found:
        return f"A process of keepalived lives (pid {', '.join(map(str, found))}), but not the one of its pid file."
    return _unit(systemd)


def living(proc: str = "/proc") -> list[int]:
    """Processes of keepalived in this network namespace; one whose namespace cannot be read counts as well.

    On the host of containers the keepalived of each of them is visible, and none of those is ours.
    """
    home = _network(proc, "self")
    pids = sorted(int(name) for name in os.listdir(proc) if name.isdigit())
    return [pid for pid in pids if _is_keepalived(proc, pid) and (not home or _network(proc, str(pid)) in ("", home))]


def _network(proc: str, pid: str) -> str:
    try:
        return os.readlink(f"{proc}/{pid}/ns/net")
    except OSError:
        return ""


def _is_keepalived(proc: str, pid: int) -> bool:
    """By its program, which a process cannot rename as it can its name; or by its name."""
    try:
        program = os.readlink(f"{proc}/{pid}/exe")
    except OSError:
        program = ""  # of the kernel, a zombie, or gone
    if os.path.basename(program.replace(" (deleted)", "")) == PROGRAM:
        return True
    try:
        with open(f"{proc}/{pid}/status", encoding="utf-8", errors="replace") as handle:
            told = dict(line.split(":", 1) for line in handle.read().splitlines() if ":" in line)
    except OSError:
        return False  # gone meanwhile
    return told.get("Name", "").strip() == PROGRAM and told.get("State", "").strip()[:1] not in _GONE


def _unit(systemd: str) -> str:
    if not os.path.isdir(systemd):
        return ""  # another init: the processes have said it all
    try:
        done = subprocess.run(
            ["systemctl", "show", "--property=ActiveState", "--value", "--", UNIT],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        return f"systemd does not tell the state of {UNIT}: {exc}."
    state = done.stdout.strip()
    return "" if state in OVER else f"systemd calls {UNIT} {state or 'nothing'}."
