# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A simulated farm around real processes: a fake Nagios on HTTP and a pipe, a fake systemd, a fake run, one ill node.

Time is real here. Spool, journal, healer, its children, signals and the memory limit are the real ones.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import initialise
from selfheal_cluster.healer.books import Books
from tests.integration.nagios_fixture import wait_for
from tests.unit.nagios.answers import HOST, SERVICE, answer
from tests.unit.planner import farm as planner

ROOT = Path(__file__).parents[3]
NODE = "ei1"
HANDLER = ROOT / "roles/healer/files/selfheal-event"
MEMORY_BYTES = 160 * 1024 * 1024  # healer and reader have half of it; they reach the rest only by leaking
PATIENCE_SECONDS = 200.0  # for everything that takes a second here, and far longer where others want the CPU as well
SUDO = '#!/bin/sh\nshift\nexec "$@"\n'
SYSTEMCTL = """#!/bin/sh
# fake systemd: a unit is a process, known by a file with its number; an ended one is collected at once
[ -z "{outside}" ] || echo $$ >"{outside}/cgroup.procs"  # a run is none of the healer's memory
cd "{folder}/units" || exit 1
alive() {{
  read -r pid <"$1" && read -r stat <"/proc/$pid/stat" || return 1
  case $stat in *") Z "*) return 1 ;; esac
}} 2>/dev/null
for word in "$@"; do unit=$word; done
case " $* " in
*" start "*)
  [ -e "$unit" ] && alive "$unit" && exit 0
  echo "$unit" >>"{folder}/starts"
  name=${{unit#*@}}
  exec </dev/null 2>>"{folder}/run.log"
  setsid "{python}" -m tests.unit.healer.process_run "${{name%.service}}" "{config}" >&2 &
  echo $! >".$unit" && mv ".$unit" "$unit" ;;
*)
  comma= ; printf '['
  for unit in *.service; do
    [ -e "$unit" ] && alive "$unit" || continue
    printf '%s{{"unit": "%s", "active": "active"}}' "$comma" "$unit"; comma=,
  done
  echo ']' ;;
esac
"""


def heal_policies() -> dict[str, Any]:
    """The layers of the planner's farm, with a gauge that Nagios here has a service for, and no block periods."""
    found = planner.policies()
    for policy in found.values():
        policy["limits"].update({"block_node_seconds": 0, "block_layer_seconds": 0})
    found["ei"]["gauges"] = [{"name": "memory", "service": "memory", "read": "state", "kind": "resource"}]
    return found


class Farm:
    """One farm in a folder, with one healer at a time."""

    def __init__(self, folder: Path, memory: Path | None = None) -> None:
        self.folder = folder
        self.memory = memory
        self.process: subprocess.Popen[bytes] | None = None
        self.codes: list[int] = []
        self.alerts = 0
        self._told = b""
        for name in ("spool", "runs", "units", "tools", "inventory"):
            (folder / name).mkdir(parents=True)
        self.nagios = FakeNagios(self)
        os.mkfifo(folder / "nagios.cmd")
        self._pipe = os.open(folder / "nagios.cmd", os.O_RDWR | os.O_NONBLOCK)  # as Nagios, there is always a reader
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(self._address)
        self.path = folder / "healer.json"
        self.journal = str(folder / "journal.db")
        self.path.write_text(json.dumps({
            "inventory": str(folder / "inventory"), "journal": self.journal, "spool": str(folder / "spool"),
            "runs": str(folder / "runs"), "command_file": str(folder / "nagios.cmd"), "poll_seconds": 0.5,
            "web_unit": "", "read_timeout_seconds": PATIENCE_SECONDS, "nagios": {"url": self.nagios.url},
            "prepare_run": False,
        }))  # fmt: skip
        for name, text in (("sudo", SUDO), ("systemctl", SYSTEMCTL)):
            tool = folder / "tools" / name
            tool.write_text(text.format(
                folder=folder, python=sys.executable, config=self.path, outside=memory.parent if memory else ""
            ))  # fmt: skip
            tool.chmod(0o755)
        Journal.create(self.journal, time.time())
        with Journal(self.journal) as journal:
            initialise(journal, {}, time.time())
        with contextlib.closing(Books(self.journal)) as books:
            books.keep_policies(heal_policies(), time.time())

    @property
    def _address(self) -> str:
        return "\0selfheal-test-" + str(self.folder)[-80:]

    def __enter__(self) -> Farm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for unit in (self.folder / "units").iterdir():
            pid = int(unit.read_text() or 0)
            if pid and b"process_run" in _command(pid):  # ours, and no number that was given to another one since
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.nagios.close()
        self._notify.close()
        os.close(self._pipe)

    # -- the healer ------------------------------------------------------------------------------

    def start(self, *point: str, ready: bool = True) -> None:
        """The service is started: ready when its first tick is done, as systemd has it."""
        assert self.process is None
        words = [sys.executable, "-m", "tests.unit.healer.process_healer", str(self.path), *point]
        if self.memory is not None:
            words = ["/bin/sh", "-c", f'echo $$ >"{self.memory}/cgroup.procs" && exec "$@"', "sh", *words]
        env = {
            **os.environ, "PATH": f"{self.folder}/tools:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{ROOT}/runner:{ROOT}/.dev", "NOTIFY_SOCKET": self._address.replace("\0", "@"),
        }  # fmt: skip
        self._notify.settimeout(0.0)
        with contextlib.suppress(BlockingIOError):
            while True:  # what the one before has said
                self._notify.recv(200)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(words, cwd=ROOT, env=env, stdout=log, stderr=log)
        if ready:
            self._notify.settimeout(PATIENCE_SECONDS)
            assert b"READY=1" in self._notify.recv(200)

    def kill(self, way: str) -> None:
        """End the healer from outside, and see that it is the way that ends it."""
        assert self.process is not None
        number = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "oom": signal.SIGUSR1}[way]
        self.process.send_signal(number)
        self.ended(way)

    def ended(self, way: str) -> None:
        """It has ended, or does so now, in this way."""
        assert self.process is not None
        code = self.process.wait(PATIENCE_SECONDS)
        self.process = None
        self.codes.append(code)
        assert code == (0 if way == "term" else -signal.SIGKILL), f"{way} ended it with {code}"

    # -- the world -------------------------------------------------------------------------------

    def fall_ill(self) -> None:
        """The node is ill, and Nagios' event handler says so twice."""
        (self.folder / "ill").touch()
        self.alert()
        self.alert()

    def alert(self) -> None:
        """One alert, by the real handler."""
        self.alerts += 1
        words = ["--host", NODE, "--service", "memory", "--state", "CRITICAL", "--type", "HARD", "--attempt", "3"]
        words += ["--event-id", str(self.alerts), "--spool", str(self.folder / "spool")]
        subprocess.run(["/usr/bin/python3", "-IS", HANDLER, *words], check=True, timeout=PATIENCE_SECONDS)

    def reached(self, phase: str) -> bool:
        """Whether the heal is, or was, in this phase."""
        return (self.folder / f"in-{phase}").exists()

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with Journal(self.journal) as journal:
            return journal.rows(sql)

    def settled(self) -> bool:
        """Whether nothing is left to do, and the healer has told Nagios that it is well."""
        if list((self.folder / "spool").glob("*.event")) or self.beats()[-1:] != ["0"]:
            return False
        return not self.rows(
            "SELECT 1 FROM alerts WHERE outcome = '' UNION ALL SELECT 1 FROM runs WHERE ended_at IS NULL"
            " UNION ALL SELECT 1 FROM incidents WHERE state = 'open' UNION ALL SELECT 1 FROM outbox"
            " WHERE delivered_at IS NULL"
        )

    def beats(self) -> list[str]:
        """The states in which the healer was by its own word."""
        return [line.split(";")[3] for line in self.commands() if "_RESULT;monitor;selfheal;" in line]

    def commands(self) -> list[str]:
        """What Nagios was told, all of it."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._told += os.read(self._pipe, 65536)
        return self._told.decode().splitlines()

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> str:
        return "\n".join(self.lines("log") + self.lines("run.log"))


class FakeNagios:
    """Its JSON answers on HTTP: every service is looked at each second, and only the ill node's is bad."""

    def __init__(self, farm: Farm) -> None:
        fake = self
        self._farm = farm

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = fake.body(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_args: None  # type: ignore[method-assign]  # a reader that was killed
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/cgi-bin"

    def body(self, path: str) -> bytes:
        """One answer."""
        query = parse_qs(urlsplit(path).query)["query"][0]
        now = int(time.time()) * 1000
        ill = (self._farm.folder / "ill").exists()
        listed: Any = []
        if query == "servicelist":
            status = {name: "critical" if ill and name == NODE else "ok" for name in planner.NODES}
            times = {"last_check": now, "last_update": now, "last_state_change": now - 9000}
            listed = {
                name: {"memory": {**SERVICE, **times, "host_name": name, "status": word, "state_type": "hard"}}
                for name, word in status.items()
            }
        elif query == "hostlist":
            nodes = [node for policy in heal_policies().values() for node in policy["nodes"]]
            listed = {name: {**HOST, "name": name, "last_check": now, "parent_hosts": []} for name in nodes}
        elif query == "downtimelist":
            listed = {}
        return answer(query, listed, 0, at_ms=now)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def memory_limit(name: str) -> Iterator[Path | None]:
    """A cgroup of our own below the one that we are in, with a limit; None where none can be made."""
    group = next((path for path in _places(name) if _made(path)), None)
    try:
        yield group
    finally:
        if group is not None:
            with contextlib.suppress(OSError, TimeoutError):
                wait_for(lambda: not (group / "cgroup.procs").read_text(), 10.0)
                group.rmdir()


def oom_kills(group: Path) -> int:
    """How many processes the kernel has killed in it for their memory."""
    names = [group / "memory.oom_control", group / "memory.events"]  # cgroup v1 and v2
    text = next(path.read_text() for path in names if path.exists())
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("oom_kill ")))


def _places(name: str) -> Iterator[Path]:
    mine = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _number, controllers, path in mine:
        if "memory" in controllers.split(","):
            yield Path("/sys/fs/cgroup/memory" + path) / name
        elif not controllers:
            yield Path("/sys/fs/cgroup" + path) / name
            yield Path("/sys/fs/cgroup") / name  # a group that has processes cannot limit groups below it, but the root


def _made(group: Path) -> bool:
    try:
        group.mkdir()
    except OSError:
        return False
    for limit in ("memory.limit_in_bytes", "memory.max"):
        with contextlib.suppress(OSError):
            (group / limit).write_text(str(MEMORY_BYTES))
            return True
    group.rmdir()
    return False


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
