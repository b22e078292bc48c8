# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Does the service of this machine answer? One question for restart, proof of a standby and survey alike."""

from __future__ import annotations

import socket
from typing import Any, Dict, Tuple

ASKED: Tuple[str, ...] = ("http", "https", "tcp")  # what can be asked here
SCHEMES = (*ASKED, "none")  # none: nothing is asked, HAProxy's own check alone decides
SCHEME = "http"
ADDRESS = "127.0.0.1"
TIMEOUT = 2.0


def where(scheme: str, address: str, port: int, path: str = "/") -> str:
    """What is asked, for a person."""
    host = f"[{address}]" if ":" in address else address
    return f"{scheme}://{host}:{port}" + (path if scheme != "tcp" else "")


def ask(scheme: str, address: str, port: int, path: str = "/", timeout: float = TIMEOUT) -> Dict[str, Any]:
    """``ok`` if it answers: with 2xx or 3xx, as for HAProxy's own check, or for ``tcp`` if it accepts a connection."""
    import http.client  # costs 20 ms, which the guard must not pay on its way to HAProxy

    try:
        return _accepts(address, port, timeout) if scheme == "tcp" else _http(scheme, address, port, path, timeout)
    except (OSError, ValueError, http.client.HTTPException) as exc:
        return {"ok": False, "detail": f"{exc.__class__.__name__}: {exc}"}


def _accepts(address: str, port: int, timeout: float) -> Dict[str, Any]:
    with socket.create_connection((address, port), timeout=timeout) as link:
        # Where nobody listens on a port of the range for clients, a connection can meet itself.
        ok = link.getsockname() != link.getpeername()
    return {"ok": ok, "detail": "accepts connections" if ok else "nobody listens"}


def _http(scheme: str, address: str, port: int, path: str, timeout: float) -> Dict[str, Any]:
    import http.client

    if scheme == "https":
        import ssl

        # Its name is an address here, which no certificate has: what is asked is whether it answers, not who it is.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        link: http.client.HTTPConnection = http.client.HTTPSConnection(address, port, timeout=timeout, context=context)
    else:
        link = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        link.request("GET", path if path.startswith("/") else f"/{path}")
        status = link.getresponse().status
    finally:
        link.close()
    return {"ok": 200 <= status < 400, "detail": f"HTTP {status}"}
