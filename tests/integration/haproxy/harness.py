# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A real HAProxy under a master process, three small services, and clients that count."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._haproxy import parse_stat

REPO = Path(__file__).resolve().parents[3]

SERVICE = """
import http.server, os, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path.startswith("/slow"):
            time.sleep(float(self.path.split("=")[1]))
        body = sys.argv[2].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()
    def log_message(self, *args):
        pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    def handle_error(self, *args):
        pass  # a check of HAProxy that closes early is no error
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

CONFIG = """
global
  stats socket {folder}/admin.sock mode 600 level admin expose-fd listeners
{state_file}
defaults
{load_state}
  mode http
  timeout connect 1s
  timeout client 20s
  timeout server 20s
  option httpchk GET /health
  default-server check inter 200ms fall 3 rise 2
frontend front
  bind 127.0.0.1:{port}
  default_backend be_ei
backend be_ei
{servers}
backend be_two
{servers}
"""


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for a condition and return it."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Service:
    """One member's own process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.process = subprocess.Popen([sys.executable, "-c", SERVICE, str(self.port), self.name])
        wait_for(self.answers)

    def stop(self) -> None:
        """Stop at once, as a restart does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def answers(self) -> bool:
        """Whether it listens."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Balancer:
    """HAProxy with a master, as the Debian unit runs it."""

    def __init__(self, folder: Path, state_file: bool = False, options: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.port = free_port()
        self.members = [Service(f"ei{number}") for number in (1, 2, 3)]
        self.options = options or {}
        self.state_file = state_file
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, all_up: bool = True) -> None:
        """Start HAProxy, and wait until it sees its members."""
        lines = [f"  server {one.name} 127.0.0.1:{one.port} {self.options.get(one.name, '')}" for one in self.members]
        text = CONFIG.format(
            folder=self.folder,
            port=self.port,
            servers="\n".join(lines),
            state_file=f"  server-state-file {self.state}/haproxy.state" if self.state_file else "",
            load_state="  load-server-state-from-file global" if self.state_file else "",
        )
        (self.folder / "haproxy.cfg").write_text(text)
        self.process = subprocess.Popen(["haproxy", "-W", "-q", "-f", str(self.folder / "haproxy.cfg")])
        wait_for(self.answers)
        if all_up:
            wait_for(lambda: all(row["check_status"] == "L7OK" for row in self.rows()))

    def rows(self) -> list[dict[str, str]]:
        """The rows of all members, as HAProxy's statistics have them."""
        rows = parse_stat(self.ask("show stat"))
        return [row for row in rows if row["svname"] in {one.name for one in self.members}]

    def answers(self) -> bool:
        """Whether the socket answers."""
        try:
            return bool(self.ask("show info"))
        except OSError:
            return False

    def reload(self) -> None:
        """What ``systemctl reload`` does: it returns before the new worker is there."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR2)

    def stop(self) -> None:
        """Stop HAProxy."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def close(self) -> None:
        """End everything that was started here."""
        self.stop()
        for member in self.members:
            member.stop()

    def ask(self, command: str) -> str:
        """What a human types."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            link.connect(str(self.folder / "admin.sock"))
            link.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: link.recv(65536), b"")).decode()

    def sessions(self) -> int:
        """Requests that run on all members now."""
        return sum(int(row["scur"]) for row in self.rows())

    def pid(self) -> int:
        """The worker that answers."""
        return int(next(line for line in self.ask("show info").splitlines() if line.startswith("Pid:")).split()[1])

    def module(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Run one of our modules as Ansible would, and return its result."""
        given = {"socket": str(self.folder / "admin.sock"), "state_dir": str(self.state), **arguments}
        done = subprocess.run(
            [sys.executable, "-m", f"ansible_collections.selfheal.cluster.plugins.modules.{name}"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": given}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": str(REPO / ".dev")},
        )
        assert done.stdout.strip(), done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def servers(self) -> list[dict[str, Any]]:
        """All servers, by lb_member_info."""
        found: list[dict[str, Any]] = self.module("lb_member_info")["balancer"]["servers"]
        return found

    def admin(self, name: str) -> set[str]:
        """The admin words of a member in its backends."""
        return {one["admin"] for one in self.servers() if one["server"] == name}

    def act(self, state: str, name: str = "ei1", **arguments: Any) -> dict[str, Any]:
        """Call lb_member with what every call needs."""
        port = next(one.port for one in self.members if one.name == name)
        given = {"incident": "i1", "epoch": 10, "phase": "shift", "min_up": 2}
        return self.module("lb_member", address="127.0.0.1", port=port, state=state, **{**given, **arguments})

    def guard(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the guard."""
        config = self.folder / "guard.json"
        config.write_text(json.dumps({"socket": str(self.folder / "admin.sock"), "state_dir": str(self.state)}))
        code = (
            "import sys; from ansible_collections.selfheal.cluster.plugins.module_utils._guard import main;"
            " sys.exit(main(sys.argv[1:]))"
        )
        return subprocess.run(
            [sys.executable, "-c", code, *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": str(REPO / ".dev"), "SELFHEAL_GUARD_CONFIG": str(config)},
        )


class Load:
    """Clients without retries, half of them on kept connections; they count answers by member, and failures."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.port = port
        self.answers: dict[str, int] = {}
        self.failures: list[str] = []
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join(30)

    @property
    def sent(self) -> int:
        """Answers and failures so far."""
        with self.lock:
            return sum(self.answers.values()) + len(self.failures)

    def more(self, count: int) -> None:
        """Wait until so many more requests were answered."""
        goal = self.sent + count
        wait_for(lambda: self.sent >= goal, 30)

    def _client(self, number: int) -> None:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        turn = 0
        while not self.ending.is_set():
            turn += 1
            try:
                if number % 2:
                    link.close()
                if turn % 10 == 0:
                    link.request("POST", "/", body=b"x" * 100)
                elif turn % 50 == 7:
                    link.request("GET", "/slow=0.5")
                else:
                    link.request("GET", "/simple")
                answer = link.getresponse()
                text = answer.read().decode()
                with self.lock:
                    if answer.status == 200:
                        self.answers[text] = self.answers.get(text, 0) + 1
                    else:
                        self.failures.append(f"HTTP {answer.status}")
            except (OSError, http.client.HTTPException) as exc:
                with self.lock:
                    self.failures.append(repr(exc))
                link.close()
            time.sleep(0.01)
        link.close()
