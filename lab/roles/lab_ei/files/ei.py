#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A stand-in for an enterprise integrator: a small HTTP service that can be made ill in exact ways.

GET or POST /simple[/]   an XML document: status OK, code 1
/health                  tries the same work itself; 503 once work has failed for EI_HEALTH_GRACE_SECONDS
/burn?ms=N               costs N milliseconds of CPU; from 50 on in a process of its own, four at once, and 503 while
                         sixteen are there already: a peak of such requests is seen in the load of the machine
/slow?seconds=S          takes S seconds without CPU

Where EI_API_DIR is set, /simple is not built in: the XML files of that folder say what is answered, as API definitions
of the real one do. A file that is not understood keeps the service from starting. With EI_TLS_CERT and EI_TLS_KEY the
same is answered with TLS on EI_TLS_PORT.

SIGTERM ends it: no new connections, running requests get EI_STOP_SECONDS, what is left is cut.
The fault hooks are on a Unix socket of the machine (EI_FAULT_SOCKET), one line per connection:
`memory`, `cpu [N]`, `errors`, `clear`, `state`; the answer is one line of JSON.
One file and the standard library only, because it runs on a bare node.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

DOCUMENT = b'<?xml version="1.0" encoding="UTF-8"?>\n<response><status>OK</status><code>1</code></response>\n'
SYNAPSE = "{http://ws.apache.org/ns/synapse}"
WORK_BYTES = 1 << 20  # what every request needs; the memory fault makes exactly this unavailable
LEAK_CHUNK = 4 << 20
LEAK_RESERVE_RATIO = 0.05
LEAK_RESERVE_BYTES = 16 << 20  # enough for sshd, NRPE and one Python, so that the OOM killer stays away
HEAD_LIMIT = 16 << 10
BODY_LIMIT = 1 << 20
LONGEST_SECONDS = 60.0
BURN_SLICE = 0.005
BURN_APART_SECONDS = 0.05  # as a service of many threads: what costs this much runs beside the loop
BURN_AT_ONCE = 4
BURN_MOST = 16
# Health and quick requests go before it.
BURN_APART = "import os, sys, time\nos.nice(19)\nwhile time.process_time() < float(sys.argv[1]): pass"
BURN_NICE = "5"  # so that a login still gets a third of the CPU and the node can be healed over SSH
REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class WorkError(Exception):
    """The service could not do the work of a request."""


class ConfigError(Exception):
    """What the service was given cannot be served."""


class Api(NamedTuple):
    """What one path answers, and to whom."""

    methods: frozenset[str]
    kind: bytes
    document: bytes


BUILT_IN = Api(frozenset({"GET", "POST"}), b"application/xml", DOCUMENT)
KINDS = {"xml": b"application/xml", "json": b"application/json", "text": b"text/plain"}


def read_apis(folder: Path) -> dict[str, Api]:
    """The paths that the API definitions of a folder answer; each resource answers with its payloadFactory."""
    from xml.etree import ElementTree  # only where there is such a folder, which no machine of the lab has

    found: dict[str, Api] = {}
    files = sorted(folder.glob("*.xml"))
    if not files:
        raise ConfigError(f"no API definition (*.xml) in {folder}")
    for path in files:
        try:
            api = ElementTree.fromstring(path.read_text(encoding="utf-8"))
            context = api.attrib["context"].rstrip("/")
        except (OSError, ValueError, KeyError, ElementTree.ParseError) as exc:
            raise ConfigError(f"{path}: no API definition: {exc!r}") from exc
        for answered in api.iter(f"{SYNAPSE}resource"):
            factory = answered.find(f".//{SYNAPSE}payloadFactory")
            given = factory.find(f"{SYNAPSE}format") if factory is not None else None
            if factory is None or given is None:
                raise ConfigError(f"{path}: a resource without a payloadFactory and its format")
            kind = factory.get("media-type", "xml")
            text = "".join(ElementTree.tostring(part, "unicode") for part in given) or (given.text or "").strip()
            head = '<?xml version="1.0" encoding="UTF-8"?>\n' if kind == "xml" else ""
            methods = frozenset(answered.get("methods", "GET").split())
            below = answered.get("uri-template", answered.get("url-mapping", "/")).rstrip("/")
            found[context + below] = Api(methods, KINDS.get(kind, KINDS["text"]), f"{head}{text.strip()}\n".encode())
    return found


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def notify(state: str) -> None:
    """Tell systemd, when there is one (sd_notify without the library)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.sendall(state.encode())


def memory_bytes() -> tuple[int, int]:
    """MemTotal and MemAvailable of this machine (lxcfs shows the machine's own)."""
    found = {}
    with Path("/proc/meminfo").open(encoding="ascii") as lines:
        for line in lines:
            name, _, rest = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                found[name] = int(rest.split()[0]) * 1024
    return found["MemTotal"], found["MemAvailable"]


class Faults:
    """What can be made wrong here; all of it ends with the process."""

    def __init__(self) -> None:
        self.errors = False
        self.leak: list[bytearray] = []
        self.leaking: asyncio.Task[None] | None = None
        self.burners: list[subprocess.Popen[bytes]] = []
        self.full = False

    def start_leak(self) -> None:
        if self.leaking is None:
            self.leaking = asyncio.get_running_loop().create_task(self._leak())

    async def _leak(self) -> None:
        """Fill the machine up to the reserve, then let no request get its buffer any more.

        Stays at the reserve: grows when memory comes free, gives a chunk back under pressure,
        because the kernel would otherwise kill the service and so heal it.
        """
        total, _ = memory_bytes()
        reserve = max(int(total * LEAK_RESERVE_RATIO), LEAK_RESERVE_BYTES)
        while True:
            _, available = memory_bytes()
            if available > reserve + LEAK_CHUNK:
                self._limit(None)
                chunk = bytearray(LEAK_CHUNK)
                chunk[:: mmap.PAGESIZE] = b"x" * len(range(0, LEAK_CHUNK, mmap.PAGESIZE))
                self.leak.append(chunk)
                await asyncio.sleep(0.01)
                continue
            if available < reserve // 2 and self.leak:
                self.leak.pop()
            if not self.full:
                log(f"fault memory: leaked {len(self.leak) * LEAK_CHUNK >> 20} MB, requests fail from here")
            self.full = True
            self._limit(WORK_BYTES // 2)
            await asyncio.sleep(0.2)

    @staticmethod
    def _limit(spare: int | None) -> None:
        """Cap the address space at today's size plus spare, or lift the cap."""
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = hard
        if spare is not None:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            soft = pages * mmap.PAGESIZE + spare
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    def start_burners(self, count: int) -> None:
        """Children, so that they are in the service's cgroup and a restart of the service ends them."""
        for _ in range(min(max(count, 1), 32) - len(self.burners)):
            self.burners.append(subprocess.Popen(["nice", "-n", BURN_NICE, sys.executable, "-c", "while True: pass"]))

    def clear(self) -> None:
        self.errors = self.full = False
        if self.leaking is not None:
            self.leaking.cancel()
            self.leaking = None
            self.leak.clear()
            self._limit(None)
        for burner in self.burners:
            burner.kill()
            burner.wait()
        self.burners.clear()

    def state(self) -> dict[str, object]:
        return {
            "errors": self.errors,
            "leaked_bytes": len(self.leak) * LEAK_CHUNK,
            "full": self.full,
            "burners": len(self.burners),
        }


class Service:
    def __init__(self, name: str, health_grace: float, apis: dict[str, Api] | None = None) -> None:
        self.name = name.encode()
        self.apis = {"/simple": BUILT_IN} if apis is None else apis
        self.health_grace = health_grace
        self.faults = Faults()
        self.failing_since: float | None = None
        self.connections: set[Connection] = set()
        self.ending = False
        self.burning = 0
        self.burners = asyncio.Semaphore(BURN_AT_ONCE)

    def work(self) -> mmap.mmap:
        """The work of one request; the caller closes the buffer when the request is answered."""
        try:
            if self.faults.errors:
                raise WorkError("the service is told to fail")
            try:
                buffer = mmap.mmap(-1, WORK_BYTES)
            except (OSError, MemoryError) as exc:
                raise WorkError("no memory for the request") from exc
        except WorkError as exc:
            if self.failing_since is None:
                self.failing_since = time.monotonic()
                log(f"requests fail: {exc}")
            raise
        self.failing_since = None
        return buffer

    def health(self) -> tuple[int, bytes, bytes]:
        try:
            self.work().close()
        except WorkError as exc:
            if self.failing_since is not None and time.monotonic() - self.failing_since >= self.health_grace:
                return 503, b"text/plain", f"unable: {exc}\n".encode()
        return 200, b"text/plain", b"ok\n"

    async def answer(self, method: str, target: str) -> tuple[int, bytes, bytes]:
        parts = urlsplit(target)
        if parts.path == "/health":
            return self.health()
        api = BUILT_IN if parts.path in ("/burn", "/slow") else self.apis.get(parts.path.removesuffix("/"))
        if api is None:
            return 404, b"text/plain", b"no such path\n"
        if method not in api.methods and not (method == "HEAD" and "GET" in api.methods):
            return 405, b"text/plain", " or ".join(sorted(api.methods)).encode() + b"\n"
        try:
            query = parse_qs(parts.query)
            spend = float(query.get("ms", ["0"])[0]) / 1000
            sleep = float(query.get("seconds", ["0"])[0])
        except ValueError:
            return 400, b"text/plain", b"ms and seconds are numbers\n"
        if not (0 <= spend <= LONGEST_SECONDS and 0 <= sleep <= LONGEST_SECONDS):
            return 400, b"text/plain", b"60 seconds at most\n"
        apart = parts.path == "/burn" and spend >= BURN_APART_SECONDS
        if apart and self.burning >= BURN_MOST:
            return 503, b"text/plain", b"busy\n"
        try:
            buffer = self.work()
        except WorkError as exc:
            return 500, b"text/plain", f"{exc}\n".encode()
        try:
            if apart:
                await self.burn_apart(spend)
            elif parts.path == "/burn":
                await burn(spend)
            elif parts.path == "/slow":
                await asyncio.sleep(sleep)
        finally:
            buffer.close()
        return 200, api.kind, api.document

    async def burn_apart(self, seconds: float) -> None:
        """Spend CPU time in a process of its own; a client that goes away ends it."""
        self.burning += 1
        try:
            async with self.burners:
                words = (sys.executable, "-I", "-S", "-c", BURN_APART, str(seconds))
                process = await asyncio.create_subprocess_exec(*words)
                try:
                    await process.wait()
                finally:
                    if process.returncode is None:
                        process.kill()
        finally:
            self.burning -= 1


async def burn(seconds: float) -> None:
    """Spend CPU time in slices, so that other requests get their turn (and no thread is needed)."""
    spent = 0.0
    while spent < seconds:
        begin = time.thread_time()
        while time.thread_time() - begin < min(BURN_SLICE, seconds - spent):
            pass
        spent += time.thread_time() - begin
        await asyncio.sleep(0)


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as little of it as HAProxy, a browser and check_http need."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.buffer = b""
        self.task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.service.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        self.service.connections.discard(self)
        if self.task is not None:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.task is None:
            self.next_request()

    def next_request(self) -> None:
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            if len(self.buffer) > HEAD_LIMIT:
                self.refuse(431, b"head too long\n")
            return
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = fields.get("content-length", "0")
        if len(words) != 3 or not length.isdecimal():
            self.refuse(400, b"not HTTP\n")
        elif "transfer-encoding" in fields:
            self.refuse(411, b"say Content-Length\n")
        elif int(length) > BODY_LIMIT:
            self.refuse(413, b"1 MB at most\n")
        elif len(rest) >= int(length):
            self.buffer = rest[int(length) :]
            wish = fields.get("connection", "").lower()
            close = wish == "close" or (words[2] == "HTTP/1.0" and wish != "keep-alive")
            self.task = asyncio.get_running_loop().create_task(self.serve(words[0], words[1], close))

    def refuse(self, code: int, content: bytes) -> None:
        self.send(code, b"text/plain", content, close=True, body=True)

    async def serve(self, method: str, target: str, close: bool) -> None:
        code, kind, body = await self.service.answer(method, target)
        self.task = None
        self.send(code, kind, body, close=close or self.service.ending, body=method != "HEAD")
        if self.buffer and not close:
            self.next_request()

    def send(self, code: int, kind: bytes, content: bytes, *, close: bool, body: bool) -> None:
        assert self.transport is not None
        head = b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nX-Member: %s\r\n%s\r\n" % (
            code,
            REASONS[code].encode(),
            kind,
            len(content),
            self.service.name,
            b"Connection: close\r\n" if close else b"",
        )
        self.transport.write(head + content if body else head)
        if close:
            self.transport.close()


async def fault_line(service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    words = (await reader.readline()).decode("ascii", "replace").split()
    faults = service.faults
    error = ""
    if words[:1] == ["memory"]:
        faults.start_leak()
    elif words[:1] == ["cpu"]:
        faults.start_burners(int(words[1]) if len(words) > 1 and words[1].isdecimal() else 6)
    elif words == ["errors"]:
        faults.errors = True
    elif words == ["clear"]:
        faults.clear()
        service.failing_since = None
    elif words != ["state"]:
        error = "say memory, cpu [N], errors, clear or state"
    if words and not error and words[0] != "state":
        log(f"fault hook: {' '.join(words)}")
    writer.write(json.dumps({"error": error} if error else faults.state()).encode() + b"\n")
    writer.close()


def tls_context() -> ssl.SSLContext | None:
    """TLS as a server, where a certificate is given."""
    certificate, key = os.environ.get("EI_TLS_CERT", ""), os.environ.get("EI_TLS_KEY", "")
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(f"TLS: {certificate} and {key or 'its key'}: {exc}") from exc
    return context


async def run() -> None:
    folder = os.environ.get("EI_API_DIR", "")
    service = Service(
        os.environ.get("EI_NAME") or socket.gethostname(),
        float(os.environ.get("EI_HEALTH_GRACE_SECONDS", "15")),
        read_apis(Path(folder)) if folder else None,
    )
    tls = tls_context()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    start_seconds = float(os.environ.get("EI_START_SECONDS", "1"))
    log(f"starting, takes {start_seconds:g} s")
    try:
        await asyncio.wait_for(ended.wait(), start_seconds)
        return
    except TimeoutError:
        pass
    address = os.environ.get("EI_ADDRESS", "0.0.0.0")
    ports: list[tuple[int, ssl.SSLContext | None]] = [(int(os.environ.get("EI_PORT", "8280")), None)]
    if tls is not None:
        ports.append((int(os.environ.get("EI_TLS_PORT", "9443")), tls))
    servers = [
        await loop.create_server(lambda: Connection(service), address, port, backlog=512, ssl=context)
        for port, context in ports
    ]
    hooks = None
    fault_socket = os.environ.get("EI_FAULT_SOCKET", "")
    if fault_socket:
        os.umask(0o077)
        hooks = await asyncio.start_unix_server(lambda r, w: fault_line(service, r, w), fault_socket)
    notify("READY=1")
    log("serving")
    await ended.wait()

    notify("STOPPING=1")
    log("ending: no new connections, running requests are finished")
    service.ending = True
    for server in servers:
        server.close()
    service.faults.clear()
    if hooks is not None:
        hooks.close()
    deadline = loop.time() + float(os.environ.get("EI_STOP_SECONDS", "2"))
    while loop.time() < deadline:
        for connection in list(service.connections):
            if connection.task is None and connection.transport is not None:
                connection.transport.close()
        if not service.connections:
            break
        await asyncio.sleep(0.05)
    log(f"ended with {len(service.connections)} requests cut")


if __name__ == "__main__":
    try:
        asyncio.run(run())
    except ConfigError as problem:
        log(f"cannot start: {problem}")
        sys.exit(1)
