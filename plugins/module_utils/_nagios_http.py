# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One HTTP question to Nagios' CGIs, and every way in which it can fail to be answered.

The opener has the signature of :func:`ansible.module_utils.urls.open_url`, which is the default; whoever needs
another transport (the healer, tests) gives their own.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
from typing import Any, Callable, Optional
from urllib.parse import urlsplit, urlunsplit

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

Opener = Callable[..., Any]

HEADERS = {
    "Accept": "application/json",
    # C-US is no locale: the CGI falls back to C.utf8. A real one makes it blank non-ASCII text or misread decimals.
    "Accept-Language": "C-US",
}
MAX_BYTES = 256 * 1024 * 1024
"""More than eight times what 20,000 services need; a server that sends without end must not fill our memory."""


class NagiosUnavailable(SelfhealError):
    """No usable answer came; ``reason`` is one of the words of a freshness verdict."""


def cgi_folder(url: str) -> str:
    """The folder of the CGIs, from what a user gives: the site, the folder, or one of the CGIs themselves."""
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise SelfhealError("invalid_url", "The URL of Nagios must be like http://monitor/nagios4/cgi-bin.")
    if parts.username is not None or parts.password is not None:
        raise SelfhealError("invalid_url", "Give user and password of Nagios by themselves, not in its URL.")
    path = parts.path.rstrip("/")
    if path.endswith(".cgi"):
        path = path.rpartition("/")[0]
    if "cgi-bin" not in path.split("/"):
        path += "/cgi-bin"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def fetch(opener: Optional[Opener], url: str, **options: Any) -> bytes:
    """The body of the answer, or :class:`NagiosUnavailable` with the reason.

    Redirects are not followed, so that the password goes to no other place than the one that was configured.
    """
    if opener is None:
        from ansible.module_utils.urls import open_url  # costs 50 ms that a caller with its own opener saves

        opener = open_url
    where = url.partition("?")[0]
    try:
        response = opener(url, headers=HEADERS, method="GET", use_netrc=False, follow_redirects="none", **options)
        body = response.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as exc:
        raise _refused(exc, where) from exc
    except (socket.timeout, TimeoutError) as exc:
        raise NagiosUnavailable("unreachable", f"No answer from {where} in time.") from exc
    except (OSError, ssl.SSLError, http.client.HTTPException) as exc:
        raise NagiosUnavailable(_reason(exc), f"No whole answer from {where}: {_text(exc)}") from exc
    except Exception as exc:
        # open_url raises classes of its own for TLS trouble, which exist only with ansible; they say so by name.
        if type(exc).__name__ not in ("SSLValidationError", "ConnectionError", "NoSSLError", "MissingModuleError"):
            raise
        raise NagiosUnavailable("unreachable", f"No trusted connection to {where}: {_text(exc)}") from exc
    if len(body) > MAX_BYTES:
        raise NagiosUnavailable("invalid", f"The answer of {where} is larger than {MAX_BYTES} bytes.")
    return bytes(body)


def _refused(exc: urllib.error.HTTPError, where: str) -> NagiosUnavailable:
    if exc.code in (401, 403):
        return NagiosUnavailable("unauthorized", f"{where} refused the user or password (HTTP {exc.code}); check both.")
    if 300 <= exc.code < 400:
        target = exc.headers.get("Location", "elsewhere") if exc.headers else "elsewhere"
        return NagiosUnavailable("unreachable", f"{where} redirects to {target[:200]!r}; give that URL if it is right.")
    return NagiosUnavailable("unreachable", f"{where} answered HTTP {exc.code}; is this the folder of the CGIs?")


def _reason(exc: BaseException) -> str:
    return "invalid" if isinstance(exc, http.client.IncompleteRead) else "unreachable"


def _text(exc: BaseException) -> str:
    return str(exc)[:300] or type(exc).__name__
