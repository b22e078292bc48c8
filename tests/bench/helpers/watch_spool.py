# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""When an alert came into the spool: the kernel tells of each rename there, and the time of that goes to a file.

``watch_spool.py FOLDER FILE``. The reader may take the file away at once, so nobody can look at it afterwards.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time


def main(folder: str, file: str) -> None:
    """Until it is ended."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGIO})
    sink = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.fcntl(handle, fcntl.F_NOTIFY, fcntl.DN_RENAME | fcntl.DN_MULTISHOT)
    os.write(sink, b"ready\n")
    while True:
        signal.sigwait({signal.SIGIO})
        os.write(sink, b"%d\n" % time.time_ns())


if __name__ == "__main__":
    main(*sys.argv[1:])
