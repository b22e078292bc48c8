# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""FAKE hands: stands for all that a heal changes. It takes a while, and then the node's services are well in Nagios.

``fake_hands.py FILE PIPE SECONDS NODE SERVICE...``: a line in FILE when it begins and one when it ends.
"""

from __future__ import annotations

import os
import sys
import time


def note(path: str, word: str, node: str) -> None:
    """One line with the time."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, b"%d %s %s\n" % (time.time_ns(), word.encode(), node.encode()))
    os.close(handle)


def main(file: str, pipe: str, seconds: str, node: str, *services: str) -> None:
    """Begin, wait, heal, end."""
    note(file, "begin", node)
    time.sleep(float(seconds))
    lines = [f"[{int(time.time())}] PROCESS_SERVICE_CHECK_RESULT;{node};{name};0;fine\n" for name in services]
    handle = os.open(pipe, os.O_WRONLY)
    os.write(handle, "".join(lines).encode())
    os.close(handle)
    note(file, "end", node)


if __name__ == "__main__":
    main(*sys.argv[1:])
