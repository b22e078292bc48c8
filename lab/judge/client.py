# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The client: an open loop at a constant rate that never tries twice and writes every answer down.

Open loop: a request is sent when its time has come, whether or not the ones before it were answered.
Kept connections are used last in, first out, and closed by the client before the balancer would.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .records import Answer

CONNECT_SECONDS = 0.25
ANSWER_SECONDS = 10.0
IDLE_SECONDS = 4.0
BODY = b"<order><item>42</item></order>"


@dataclass(frozen=True)
class Mix:
    """Shares of the requests; the rest are quick GETs on kept connections."""

    post: float = 0.10
    slow: float = 0.01
    new: float = 0.30
    slow_seconds: tuple[float, float] = (2.0, 10.0)
    burn_ms: int = 0


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    seconds: float
    new: bool


def requests(seed: int, mix: Mix) -> Iterator[Request]:
    """The same requests for the same seed."""
    dice = random.Random(seed)
    while True:
        method = "POST" if dice.random() < mix.post else "GET"
        slow = dice.random() < mix.slow
        seconds = round(dice.uniform(*mix.slow_seconds), 2) if slow else 0.0
        path = f"/burn?ms={mix.burn_ms}" if mix.burn_ms else "/simple"
        yield Request(method, f"/slow?seconds={seconds}" if slow else path, seconds, dice.random() < mix.new)


class Wire(asyncio.Protocol):
    """One connection with at most one request in flight."""

    def __init__(self, idle: list[Wire]) -> None:
        self.idle = idle
        self.transport: asyncio.Transport | None = None
        self.waiting: asyncio.Future[tuple[int, str, str, str]] | None = None
        self.buffer = b""
        self.keep = True
        self.dead = False
        self.last_used = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.dead = True
        if self in self.idle:
            self.idle.remove(self)
        self._settle(0, "reset" if exc else "closed", "", "")

    def eof_received(self) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if b": " in line)
        if len(body) < int(fields.get(b"content-length", b"0")):
            return
        status = int(self.buffer[9:12])
        if fields.get(b"connection") == b"close" or b"content-length" not in fields:
            self.keep = False
        self.buffer = b""
        self._settle(
            status,
            "" if status == 200 else "status",
            fields.get(b"x-balancer", b"").decode(),
            fields.get(b"x-member", b"").decode(),
        )

    def _settle(self, status: int, error: str, balancer: str, member: str) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result((status, error, balancer, member))

    def end(self) -> None:
        self.dead = True
        if self.transport is not None:
            self.transport.abort()


class Client:
    def __init__(
        self, host: str, port: int, write: Callable[[Answer], None], *, seed: int = 1, mix: Mix | None = None
    ) -> None:
        self.host, self.port, self.write = host, port, write
        self.mix = mix or Mix()
        self.stream = requests(seed, self.mix)
        self.idle: list[Wire] = []
        self.running: set[asyncio.Task[None]] = set()
        self.sent = 0
        self.kept_closed = 0

    async def run(self, rate: float, until: Callable[[], bool], limit: int) -> None:
        """Send `rate` requests per second until told to end, `limit` of them at most, then wait for the rest."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while not until() and self.sent < limit:
            wait = begin + self.sent / rate - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            elif wait < -1:  # this process itself was held up: a burst would be our fault, not the farm's
                begin -= wait
            self.sent += 1
            task = loop.create_task(self.one(next(self.stream)))
            self.running.add(task)
            task.add_done_callback(self.running.discard)
            if self.sent % 50 == 0:
                self.close_idle(loop.time() - IDLE_SECONDS)
        if self.running:
            await asyncio.wait(self.running, timeout=ANSWER_SECONDS + self.mix.slow_seconds[1])
        self.close_idle(loop.time() + 1)

    def close_idle(self, before: float) -> None:
        for wire in [wire for wire in self.idle if wire.last_used < before]:
            self.idle.remove(wire)
            wire.end()

    async def one(self, request: Request) -> None:
        sent = time.time()
        wire, new, error = None, False, ""
        if not request.new and self.idle:
            wire = self.idle.pop()
        else:
            new = True
            wire, error = await self.connect()
        status, balancer, member = 0, "", ""
        if wire is not None:
            status, error, balancer, member = await self.ask(wire, request)
            if error in ("", "status") and wire.keep and not wire.dead and not request.new:
                wire.last_used = asyncio.get_running_loop().time()
                self.idle.append(wire)
            else:
                wire.end()
        self.write(Answer(sent, time.time(), status, error, new, request.method, request.seconds, balancer, member))

    async def connect(self) -> tuple[Wire | None, str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, wire = await loop.create_connection(lambda: Wire(self.idle), self.host, self.port)
        except (OSError, TimeoutError):
            return None, "connect"
        return wire, ""

    async def ask(self, wire: Wire, request: Request) -> tuple[int, str, str, str]:
        assert wire.transport is not None
        wire.waiting = asyncio.get_running_loop().create_future()
        body = BODY if request.method == "POST" else b""
        close = "Connection: close\r\n" if request.new else ""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{request.method} {request.path} HTTP/1.1\r\nHost: lab\r\n{length}{close}\r\n"
        if wire.dead:
            return 0, "closed", "", ""
        wire.transport.write(head.encode() + body)
        try:
            async with asyncio.timeout(ANSWER_SECONDS + request.seconds):
                return await wire.waiting
        except TimeoutError:
            return 0, "timeout", "", ""
