# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The child that reads Nagios: question on standard input, one line of JSON per node on standard output.

A big site's answers need far more memory than the healer may keep, and Python gives little of it back; so they are
read in a process that ends. It also keeps the ring of readings in the journal: history is read from it, and the
new readings are written to it, without a detour through the healer's memory.
"""

from __future__ import annotations

import json
import signal
import ssl
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_healer as store
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_seen import look
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_ring import reach_seconds
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import (
    DEFAULT_STATUS_UPDATE_INTERVAL,
    NagiosClient,
    running_status_update_interval,
)

HTTP_SECONDS = 10.0
REASONS_KEPT = 10
REASON_LENGTH = 300
READING_KEYS = ("gauge", "service", "at", "verdict")  # what dispatching looks at; 20,000 readings stay in memory


def open_url(url: str, **options: Any) -> Any:
    """What the client needs of Ansible's own opener, which costs 50 ms and 15 MB to import."""
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if not options.get("use_proxy", True):
        handlers.append(urllib.request.ProxyHandler({}))
    context = ssl.create_default_context(cafile=options.get("ca_path"))
    if not options.get("validate_certs", True):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    handlers.append(urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, headers=dict(options.get("headers") or {}), method="GET")  # noqa: S310  # cgi_folder admits http and https only
    user = options.get("url_username")
    if user is not None:
        import base64

        word = f"{user}:{options.get('url_password') or ''}".encode()
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(word).decode("ascii"))
    return urllib.request.build_opener(*handlers).open(request, timeout=options.get("timeout") or HTTP_SECONDS)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer, so that the password goes nowhere else."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None


def writes_every(nagios: Mapping[str, str]) -> float | None:
    """In which this Nagios writes its state (seconds); None where its configuration proves nothing.

    Looked up each time: Nagios may have been given another one, or be reloaded only now.
    """
    return running_status_update_interval(nagios["config_file"]) if nagios.get("config_file") else None


def client(nagios: Mapping[str, str], interval: float | None) -> NagiosClient:
    """The client for this Nagios; the password is read each time, so that a new one counts at once."""
    password = None
    if nagios.get("password_file"):
        path = nagios["password_file"]
        try:
            password = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as exc:
            raise SelfhealError("unauthorized", f"the password of Nagios cannot be read from {path}: {exc}") from exc
    return NagiosClient(
        nagios["url"], nagios.get("user"), password, HTTP_SECONDS, ca_path=nagios.get("ca_file"), opener=open_url,
        status_update_interval=interval or DEFAULT_STATUS_UPDATE_INTERVAL,
    )  # fmt: skip


def slim(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """What the healer keeps of a verdict; the whole of it is in the ring."""
    return {
        "node": verdict["node"],
        "verdict": verdict["verdict"],
        "kind": verdict["kind"],
        "layer_load": verdict["layer_load"],
        "reasons": [str(reason)[:REASON_LENGTH] for reason in verdict["reasons"][:REASONS_KEPT]],
        **({"unseen": verdict["unseen"]} if verdict.get("unseen") else {}),
        "readings": [{key: reading.get(key) for key in READING_KEYS} for reading in verdict["readings"]],
    }


def read(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The freshness of Nagios first, then every node's verdict."""
    now = time.time()
    layers = request["layers"]
    reach = reach_seconds(layers)
    with Journal(request["journal"]) as journal:
        history = store.recent_readings(journal, now - reach) if reach else []
        interval = writes_every(request["nagios"])
        begun = time.monotonic()
        seen = look(
            client(request["nagios"], interval),
            layers,
            time.time,
            history=history,
            since=request["since"],
        )
        asked = time.monotonic() - begun
        if seen["nagios"]["fresh"]:  # what cannot be believed proves nothing later either
            store.add_readings(journal, seen["verdicts"], now)
    yield {"nagios": seen["nagios"], "asked_seconds": asked, "read_at": now, "writes_every": interval}
    for _node, verdict in sorted(seen["verdicts"].items()):
        yield slim(verdict)


def main(source: IO[str], sink: IO[str]) -> int:
    """One question, one answer."""
    request = json.load(source)
    # The healer kills a reading that hangs; this is for the day on which the healer is dead.
    signal.alarm(int(request["timeout"]) + 5)
    try:
        for line in read(request):
            sink.write(json.dumps(line, separators=(",", ":")) + "\n")
    except SelfhealError as exc:
        sink.write(json.dumps({"error": {"reason": exc.reason, "message": exc.message}}) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin, sys.stdout))
