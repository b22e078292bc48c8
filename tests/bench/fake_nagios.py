# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A FAKE Nagios for a big farm: the JSON CGIs over HTTP, out of memory. A real one of 20,000 services needs a site.

The services are those of ``farm.answer``. Each is checked every five seconds; the web service of a node that stands
in the file of the ill is critical, and was looked at again when the node came into that file or left it.
``python -m tests.bench.fake_nagios --nodes N --ill FILE --port-file FILE``
"""

from __future__ import annotations

import argparse
import http.server
import json
import re
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.bench import farm

CHECK_SECONDS = 5
WEB = "http"  # the service that falls ill
CHECK, WEB_CHECK, CHANGE = "@check@", "@web-check@", "@change@"
SINCE = 3600.0  # how long everything was as it is when nobody fell ill


class Farm:
    """The state of every node as text, with gaps for the times."""

    def __init__(self, nodes: int, seed: int, now: float) -> None:
        listed = json.loads(farm.answer(nodes, seed, ill_share=0.0))["data"]["servicelist"]
        self.started = now - 86400.0
        self.nodes = list(listed)
        self.texts = {
            node: tuple(json.dumps(_gaps(services, ill)) for ill in (False, True)) for node, services in listed.items()
        }
        self.ill: dict[str, float] = {}  # since when
        self.well: dict[str, float] = {}

    def fall(self, names: list[str], now: float) -> None:
        """Exactly these are ill from now on."""
        for node in set(names) - set(self.ill):
            self.ill[node] = now
        for node in set(self.ill) - set(names):
            del self.ill[node]
            self.well[node] = now

    def services(self, now: float) -> str:
        """The list of all services with details."""
        parts = []
        for place, node in enumerate(self.nodes):
            since = self.ill.get(node, self.well.get(node, now - SINCE))
            checked = now - (now - place) % CHECK_SECONDS
            text = self.texts[node][node in self.ill]
            for gap, at in ((CHECK, checked), (WEB_CHECK, max(checked, since)), (CHANGE, since)):
                text = text.replace(f'"{gap}"', str(int(at * 1000)))
            parts.append(f"{json.dumps(node)}: {text}")
        return "{" + ", ".join(parts) + "}"

    def hosts(self, now: float) -> str:
        """The state of all hosts."""
        checked = int((now - 5) * 1000)
        host = {
            "status": "up", "plugin_output": "PING OK", "has_been_checked": True, "state_type": "hard",
            "current_attempt": 1, "max_attempts": 3, "last_check": checked, "last_state_change": checked - 10**8,
            "last_hard_state_change": checked - 10**8, "problem_has_been_acknowledged": False, "is_flapping": False,
            "scheduled_downtime_depth": 0, "event_handler_enabled": True, "checks_enabled": True,
        }  # fmt: skip
        return json.dumps(dict.fromkeys(self.nodes, host))

    def configured(self) -> str:
        """The hosts as configured."""
        return json.dumps({node: {"name": node, "address": node, "parent_hosts": []} for node in self.nodes})

    def answer(self, cgi: str, query: str, now: float) -> bytes:
        """A whole body."""
        known = {
            ("statusjson.cgi", "servicelist"): lambda: self.services(now),
            ("statusjson.cgi", "hostlist"): lambda: self.hosts(now),
            ("statusjson.cgi", "downtimelist"): lambda: "{}",
            ("objectjson.cgi", "hostlist"): self.configured,
        }
        data = known[cgi, query]()
        result = {
            "query_time": int(now * 1000), "cgi": cgi, "user": "selfheal", "query": query, "query_status": "released",
            "program_start": int(self.started * 1000), "last_data_update": int(now) * 1000, "type_code": 0,
            "type_text": "Success", "message": "",
        }  # fmt: skip
        head = json.dumps({"format_version": 0, "result": result})[:-1]
        return f'{head}, "data": {{"selectors": {{}}, "{query}": {data}}}}}'.encode()


def _gaps(services: dict[str, dict[str, Any]], ill: bool) -> dict[str, dict[str, Any]]:
    """The services of one node with gaps for times; the web service as it is when the node is ill or well."""
    found = {}
    for name, service in services.items():
        record = {**service, "last_check": CHECK, "last_update": CHECK}
        # A node that is short of CPU is no part of this: it would be ill without being asked.
        record["perf_data"] = re.sub(r"cpu_user=[0-9.]+%", "cpu_user=12.5%", service["perf_data"])
        if name == WEB:
            status = "critical" if ill else "ok"
            record.update(
                last_check=WEB_CHECK, last_state_change=CHANGE, last_hard_state_change=CHANGE, status=status,
                last_hard_state=status, current_attempt=3 if ill else 1, plugin_output=f"HTTP {status.upper()}",
            )  # fmt: skip
        found[name] = record
    return found


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as Apache with the CGIs does."""

    farm: Farm
    ill: Path
    lock = threading.Lock()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        with self.lock:
            now = time.time()
            self.farm.fall(json.loads(self.ill.read_text()), now)
            query = parse_qs(parts.query).get("query", [""])[0]
            try:
                body = self.farm.answer(parts.path.rpartition("/")[2], query, now)
            except KeyError:
                self.send_error(404)
                return
        self.send_response(200)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Silence."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fake_nagios", description=__doc__)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ill", type=Path, required=True, help="file with a JSON list of nodes")
    parser.add_argument("--port-file", type=Path, required=True)
    options = parser.parse_args()
    Handler.farm, Handler.ill = Farm(options.nodes, options.seed, time.time()), options.ill
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    partial = options.port_file.with_suffix(".part")
    partial.write_text(str(server.server_address[1]))
    partial.rename(options.port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
