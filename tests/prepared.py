# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whether a healer's prepared run waits, by the kernel's word: nothing of ours says so while nothing is ill."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

CONNECTED = "03"  # SS_CONNECTED in the table's column St


def waits(healer: int) -> bool:
    """Whether this process holds a connection that came in over the socket for prepared runs."""
    held = set()
    for entry in os.scandir(f"/proc/{healer}/fd"):
        with contextlib.suppress(OSError):
            held.add(str(Path(entry.path).readlink()))
    for line in Path(f"/proc/{healer}/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        ours = len(words) == 8 and words[7].endswith("/.ready") and words[5] == CONNECTED
        if ours and f"socket:[{words[6]}]" in held:
            return True
    return False
