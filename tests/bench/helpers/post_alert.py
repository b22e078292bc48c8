# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""An event handler of Nagios for ansible-rulebook: one POST to its webhook, and the times of that in a file.

``post_alert.py FILE PORT HOST SERVICE STATE``. It gives up when Nagios would kill it. Sockets only: what it imports
is not part of what is measured, but should not keep the machine busy either.
"""

from __future__ import annotations

import os
import socket
import sys
import time

GIVES_UP_SECONDS = 30.0  # Nagios' own event_handler_timeout


def post(port: int, host: str, service: str, state: str) -> tuple[int, int, str]:
    """When it was sent, when it was answered, and the answer; names are those of the bench, and need no quoting."""
    body = '{"host": "%s", "service": "%s", "state": "%s"}' % (host, service, state)
    head = "POST /alert HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    text = f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
    sent = time.time_ns()
    try:
        with socket.create_connection(("127.0.0.1", port), GIVES_UP_SECONDS) as link:
            link.sendall(text)
            answer = link.recv(64).decode("ascii", "replace").partition("\r\n")[0]
    except OSError as exc:
        answer = f"none: {type(exc).__name__}"
    return sent, time.time_ns(), answer


def main(file: str, port: str, host: str, service: str, state: str) -> int:
    """Post and write down."""
    sent, answered, answer = post(int(port), host, service, state)
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(handle, f"{sent} {answered} {host} {state} {answer}\n".encode())
    os.close(handle)
    return 0 if " 200 " in f"{answer} " else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
