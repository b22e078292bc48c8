# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is looked at on an ill node before its restart destroys it. Pure.

Invariant 9: complete, or given up in time. The list is in order of worth, because time may run out.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple


class Source(NamedTuple):
    """One file of the evidence, and the command that fills it."""

    name: str
    argv: Tuple[str, ...]


LINES = "400"


def sources(service: str, minutes: int, socket: str) -> List[Source]:
    """Everything worth keeping, the most telling first. ``socket`` is HAProxy's, where there is one."""
    since = f"-{minutes}min"
    return [
        Source("processes", ("ps", "-eo", "pid,ppid,user,stat,pcpu,pmem,rss,etimes,wchan:20,args", "--sort=-pcpu")),
        Source("memory", ("cat", "/proc/meminfo", "/proc/loadavg", "/proc/pressure/cpu", "/proc/pressure/memory",
                          "/proc/pressure/io", "/proc/uptime")),
        Source("service", ("systemctl", "status", "--no-pager", "--full", "--lines=50", "--", service)),
        Source("sockets", ("ss", "-tanpH")),
        Source("disk", ("df", "-PT")),
        Source("inodes", ("df", "-Pi")),
        Source("failed-units", ("systemctl", "list-units", "--failed", "--no-pager", "--plain")),
        Source("service-log", ("journalctl", "--no-pager", "--quiet", "-n", LINES, "--since", since, "-u", service)),
        Source("journal", ("journalctl", "--no-pager", "--quiet", "-n", LINES, "--since", since)),
        Source("kernel", ("journalctl", "--no-pager", "--quiet", "-n", LINES, "-k", "--since", since)),
        Source("service-properties", ("systemctl", "show", "--no-pager", "--", service)),
        Source("addresses", ("ip", "-o", "addr")),
        Source("routes", ("ip", "-o", "route")),
        Source("haproxy", ("sh", "-c", "[ -S \"$1\" ] || exit 0; "
                           "printf 'show info;show stat;show servers state\\n' | timeout 2 socat - \"$1\"",
                           "sh", socket)),
        Source("keepalived", ("sh", "-c", "tail -n +1 /var/lib/selfheal/keepalived/* /var/lib/selfheal/holds/* "
                              "/etc/keepalived/keepalived.conf 2>/dev/null || true")),
    ]  # fmt: skip


def clip(text: str, limit: int) -> str:
    """The beginning and the end of a text that is too long."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def pack(files: Mapping[str, str]) -> str:
    """Files as one short word for the way through Ansible."""
    return base64.b64encode(zlib.compress(json.dumps(dict(files)).encode("utf-8"), 6)).decode("ascii")


MAX_UNPACKED = 16 * 1024 * 1024


def unpack(blob: str) -> Dict[str, str]:
    """Files again; a blob that would fill the disk, or is none, is refused with ValueError."""
    engine = zlib.decompressobj()
    raw = engine.decompress(base64.b64decode(blob, validate=True), MAX_UNPACKED)
    if engine.unconsumed_tail:
        raise ValueError(f"the evidence is larger than {MAX_UNPACKED} bytes")
    if not engine.eof:
        raise ValueError("the evidence is cut off")
    files: Any = json.loads(raw)
    if not isinstance(files, dict):
        raise ValueError("the evidence is no set of files")
    return {str(name): str(text) for name, text in files.items()}


_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def file_name(name: str) -> str:
    """A harmless name inside the folder of its incident."""
    return _UNSAFE.sub("_", name).lstrip(".")[:80] or "unnamed"
