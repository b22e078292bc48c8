# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The demo's clients: bounded, to the lab's own addresses, and what they felt is counted as it was."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lab.kubernetes.demo.load import HEAVY, IDLE, LIGHT, Answer, Felt, Load, Plan, ask, felt, one_client
from lab.machines import LabError

EI = Path(__file__).parents[3] / "lab/roles/lab_ei/files/ei.py"


class Clock:
    """Time that passes only when somebody waits or asks."""

    def __init__(self, request_seconds: float, ends_after: float = 1e9) -> None:
        self.now = 1000.0
        self.request_seconds = request_seconds
        self.ends_at = self.now + ends_after

    def ask(self) -> tuple[int, str]:
        self.now += self.request_seconds
        return 200, "fine"

    def wait(self, seconds: float) -> bool:
        assert seconds >= 0
        self.now += seconds
        return self.now >= self.ends_at


@pytest.mark.parametrize(
    ("plan", "request_seconds", "ends_after", "count", "lasts"),
    [
        (Plan(1, 5.0, 10.0), 0.01, 1e9, 50, 10.0),  # at its rate, and not more than rate x seconds
        (Plan(1, 5.0, 10.0), 0.5, 1e9, 20, 10.0),  # slow answers: fewer requests, not more time
        (Plan(1, 5.0, 10.0), 0.01, 2.0, 10, 2.0),  # it is told to end
        (Plan(1, 0.1, 1.0), 0.01, 1e9, 1, 10.0),  # one at least
    ],
)
def test_a_client_is_bounded_in_count_and_time(
    plan: Plan, request_seconds: float, ends_after: float, count: int, lasts: float
) -> None:
    clock = Clock(request_seconds, ends_after)
    answers = list(one_client(plan, clock.ask, clock.wait, lambda: clock.now))
    assert len(answers) == count
    assert clock.now - 1000.0 == pytest.approx(lasts, abs=0.6)
    assert answers[0] == Answer(1000.0, True, "")


@pytest.mark.parametrize(("status", "body", "why"), [(500, "broken", "500: broken"), (0, "timeout()", "0: timeout()")])
def test_what_is_no_200_has_failed_and_says_why(status: int, body: str, why: str) -> None:
    answers = one_client(Plan(1, 1.0, 1.0), lambda: (status, body), lambda _seconds: True, lambda: 5.0)
    assert list(answers) == [Answer(5.0, False, why)]


@pytest.mark.parametrize(
    ("clients", "rate", "seconds"),
    [(0, 1, 1), (41, 1, 1), (1, 0, 1), (1, 11, 1), (1, 1, 0), (1, 1, 601), (40, 10, 600), (-1, -1, -1)],
)
def test_a_plan_beyond_the_bounds_is_refused(clients: int, rate: float, seconds: float) -> None:
    with pytest.raises(LabError, match="beyond the bounds of a load"):
        Plan(clients, rate, seconds)


def test_the_demos_plans_stay_as_they_were_measured() -> None:
    assert (HEAVY.clients, HEAVY.rate, HEAVY.seconds, HEAVY.most) == (14, 5.0, 240.0, 16_800)
    assert LIGHT.path == IDLE.path == "/simple"
    assert IDLE.clients * IDLE.rate < LIGHT.clients * LIGHT.rate < HEAVY.clients * HEAVY.rate


def test_the_mock_burns_cpu_for_the_heavy_plan_within_its_own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("ei_of_the_demo", EI)
    assert spec and spec.loader
    ei: Any = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, ei)
    spec.loader.exec_module(ei)
    burnt = []

    async def burn(seconds: float) -> None:
        burnt.append(seconds)

    monkeypatch.setattr(ei, "burn", burn)
    status, _kind, _body = asyncio.run(ei.Service("ei", 15).answer("GET", HEAVY.path))
    assert status == 200
    assert burnt and 0.010 <= burnt[0] <= 0.020


@pytest.mark.parametrize(
    ("answers", "wanted", "words"),
    [
        ([], Felt(0, 0, None), "0 of 0 requests failed"),
        ([(1.0, True)], Felt(1, 0, None), "0 of 1 requests failed"),
        ([(3.0, True), (1.0, True), (1.5, False), (1.2, True)], Felt(4, 1, 1.8),
         "1 of 4 requests failed, the longest time between two good answers was 1.80 s"),
        ([(1.0, False), (2.0, False)], Felt(2, 2, None), "2 of 2 requests failed"),
    ],
)  # fmt: skip
def test_what_clients_felt(answers: list[tuple[float, bool]], wanted: Felt, words: str) -> None:
    found = felt(Answer(begun, ok, "") for begun, ok in answers)
    assert found == (wanted.sent, wanted.failed, None if wanted.gap is None else pytest.approx(wanted.gap))
    assert str(found) == words


class Server:
    """A server on this machine that keeps what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.enough = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers["Connection"]))
                body = b"<code>1</code>"
                self.send_response(200 if self.path == "/simple" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                if len(outer.asked) >= 4:
                    outer.enough.set()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self.server.server_address[1])


@pytest.fixture
def served() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join(5)


def test_one_request_closes_its_connection(served: Server) -> None:
    assert ask("127.0.0.1", served.port) == (200, "<code>1</code>")
    assert ask("127.0.0.1", served.port, "/other")[0] == 404
    assert served.asked == [("/simple", "close"), ("/other", "close")]


def test_no_answer_is_zero_and_a_reason() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        status, why = ask("127.0.0.1", nobody.getsockname()[1])
    assert status == 0
    assert "ConnectionRefusedError" in why


def test_clients_work_until_the_block_is_left(served: Server) -> None:
    with Load(Plan(2, 10.0, 30.0), "127.0.0.1", served.port, {"127.0.0.1"}) as load:
        assert served.enough.wait(20)
    count = len(load.answers)
    assert load.felt.sent == count >= 3  # the last one may have been under way when the block was left
    assert load.felt.failed == 0
    assert not [thread for thread in load._threads if thread.is_alive()]


def test_load_goes_to_the_lab_only() -> None:
    with pytest.raises(LabError, match=r"192\.0\.2\.1 is not an address of this lab"):
        Load(LIGHT, "192.0.2.1", 80, ["10.213.77.31"])
