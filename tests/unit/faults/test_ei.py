# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The mock integrator's own logic: what is answered when, without a network."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).parents[3] / "lab/roles/lab_ei/files/ei.py"


@pytest.fixture(scope="module")
def ei() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lab_ei_program", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class Wire(asyncio.Transport):
    """What the service writes."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.data += bytes(data)

    def close(self) -> None:
        self.closed = True


def talk(ei: ModuleType, *pieces: bytes, service: Any = None) -> Wire:
    """Send pieces on one connection and give what came back."""

    async def run() -> Wire:
        wire = Wire()
        connection = ei.Connection(service or ei.Service("ei1", 15))
        connection.connection_made(wire)
        for piece in pieces:
            connection.data_received(piece)
            while connection.task is not None:
                await connection.task
        return wire

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("pieces", "line", "closed"),
    [
        ([b"GET /simple HTTP/1.1\r\nHost: x\r\n\r\n"], b"200 OK", False),
        ([b"GET /simple/ HTTP/1.1\r\n\r\n"], b"200 OK", False),
        ([b"POST /simple HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"], b"200 OK", False),
        ([b"POST /simple HTTP/1.1\r\nContent-Length: 3\r\n\r\n", b"ab", b"c"], b"200 OK", False),
        ([b"GET /sim", b"ple HTTP/1.1\r\n\r\n"], b"200 OK", False),
        ([b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"], b"200 OK", True),
        ([b"GET /health HTTP/1.0\r\n\r\n"], b"200 OK", True),
        ([b"GET /nothing HTTP/1.1\r\n\r\n"], b"404 ", False),
        ([b"PUT /simple HTTP/1.1\r\n\r\n"], b"405 ", False),
        ([b"GET /burn?ms=-1 HTTP/1.1\r\n\r\n"], b"400 ", False),
        ([b"GET /slow?seconds=61 HTTP/1.1\r\n\r\n"], b"400 ", False),
        ([b"GET /burn?ms=nan HTTP/1.1\r\n\r\n"], b"400 ", False),
        ([b"nonsense\r\n\r\n"], b"400 ", True),
        ([b"POST /simple HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"], b"411 ", True),
        ([b"POST /simple HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"], b"413 ", True),
        ([b"x" * 20000], b"431 ", True),
    ],
)
def test_answers(ei: ModuleType, pieces: list[bytes], line: bytes, closed: bool) -> None:
    wire = talk(ei, *pieces)
    assert wire.data.startswith(b"HTTP/1.1 " + line)
    assert wire.closed is closed


def test_the_document_says_ok_and_one_and_who_answered(ei: ModuleType) -> None:
    wire = talk(ei, b"GET /simple HTTP/1.1\r\n\r\n")
    assert b"<status>OK</status><code>1</code>" in wire.data
    assert b"X-Member: ei1\r\n" in wire.data


def test_two_requests_in_one_piece_are_answered_in_turn(ei: ModuleType) -> None:
    wire = talk(ei, b"GET /health HTTP/1.1\r\n\r\nGET /nothing HTTP/1.1\r\n\r\n")
    assert wire.data.index(b"200 OK") < wire.data.index(b"404 Not Found")


def test_an_ill_service_says_so_at_health_only_after_its_grace(ei: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(ei.time, "monotonic", lambda: now)
    service = ei.Service("ei1", 15)
    service.faults.errors = True
    assert talk(ei, b"GET /simple HTTP/1.1\r\n\r\n", service=service).data.startswith(b"HTTP/1.1 500")
    now = 114.9
    assert service.health()[0] == 200
    now = 115.0
    assert service.health()[0] == 503
    service.faults.errors = False
    assert service.health()[0] == 200
    service.faults.errors = True
    assert service.health()[0] == 200  # the grace begins anew


def test_a_request_without_memory_is_answered_500(ei: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*arguments: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(ei.mmap, "mmap", no_memory)
    wire = talk(ei, b"GET /simple HTTP/1.1\r\n\r\n")
    assert wire.data.startswith(b"HTTP/1.1 500")
    assert b"no memory for the request" in wire.data


def test_what_costs_much_burns_in_a_process_of_its_own(
    ei: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mark = tmp_path / "burnt"
    monkeypatch.setattr(ei, "BURN_APART", f"import sys; open({str(mark)!r}, 'w').write(sys.argv[1])")
    assert b"200 OK" in talk(ei, b"GET /burn?ms=10 HTTP/1.1\r\n\r\n").data
    assert not mark.exists()
    assert b"200 OK" in talk(ei, b"GET /burn?ms=60 HTTP/1.1\r\n\r\n").data
    assert mark.read_text() == "0.06"


def test_more_of_them_than_it_takes_are_turned_away_at_once_and_others_are_answered(ei: ModuleType) -> None:
    service = ei.Service("ei1", 15)
    service.burning = ei.BURN_MOST
    assert b"503 " in talk(ei, b"GET /burn?ms=60 HTTP/1.1\r\n\r\n", service=service).data
    assert b"200 OK" in talk(ei, b"GET /health HTTP/1.1\r\n\r\n", service=service).data
    service.burning = 0
    assert b"200 OK" in talk(ei, b"GET /burn?ms=60 HTTP/1.1\r\n\r\n", service=service).data
    assert service.burning == 0


def test_four_burn_at_once_and_one_whose_client_went_away_ends(ei: ModuleType) -> None:
    async def run() -> tuple[int, int]:
        service = ei.Service("ei1", 15)
        tasks = [asyncio.create_task(service.answer("GET", "/burn?ms=60000")) for _ in range(ei.BURN_AT_ONCE + 2)]
        while not service.burners.locked():
            await asyncio.sleep(0.01)
        there = service.burning
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return there, service.burning

    assert asyncio.run(run()) == (6, 0)


API = """<api xmlns="http://ws.apache.org/ns/synapse" name="A" context="{context}">
  <resource methods="{methods}" uri-template="{below}"><inSequence><payloadFactory media-type="{kind}">
    <format>{format}</format></payloadFactory><respond/></inSequence></resource></api>"""
ROLE_API = FILE.parents[4] / "roles/ei_kubernetes/files"


def api(**changes: str) -> str:
    given = {"context": "/simple", "methods": "GET", "below": "/", "kind": "xml", "format": '<a xmlns="">1</a>'}
    return API.format(**{**given, **changes})


@pytest.mark.parametrize(
    ("definition", "request_line", "line", "content"),
    [
        (api(), b"GET /simple", b"200 OK", b"<a>1</a>"),
        (api(), b"GET /simple/", b"200 OK", b"<a>1</a>"),
        (api(), b"POST /simple", b"405 ", b"GET\n"),
        (api(methods="GET PUT"), b"PUT /simple", b"200 OK", b"<a>1</a>"),
        (api(context="/orders", below="/open"), b"GET /orders/open", b"200 OK", b"<a>1</a>"),
        (api(context="/orders"), b"GET /simple", b"404 ", b""),
        (api(kind="json", format='{"code": 1}'), b"GET /simple", b"200 OK", b'application/json\r\n'),
    ],
)  # fmt: skip
def test_api_definitions_say_what_is_answered(
    ei: ModuleType, tmp_path: Path, definition: str, request_line: bytes, line: bytes, content: bytes
) -> None:
    (tmp_path / "api.xml").write_text(definition)
    service = ei.Service("ei1", 15, ei.read_apis(tmp_path))
    wire = talk(ei, request_line + b" HTTP/1.1\r\nContent-Length: 0\r\n\r\n", service=service)
    assert wire.data.startswith(b"HTTP/1.1 " + line)
    assert content in wire.data


def test_the_definition_of_the_role_answers_what_is_built_in(ei: ModuleType) -> None:
    assert ei.read_apis(ROLE_API)["/simple"].document == ei.DOCUMENT


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("api.xml", "<api"),
        ("api.xml", "<api/>"),
        ("api.xml", '<api xmlns="http://ws.apache.org/ns/synapse" context="/a"><resource/></api>'),
        ("other.txt", "nothing"),
    ],
)
def test_a_definition_that_is_not_understood_keeps_the_service_from_starting(
    ei: ModuleType, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ei.ConfigError, match=str(tmp_path)):
        ei.read_apis(tmp_path)


def test_a_certificate_that_cannot_be_read_keeps_the_service_from_starting(
    ei: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ei.tls_context() is None
    monkeypatch.setenv("EI_TLS_CERT", "/nonexistent.crt")
    with pytest.raises(ei.ConfigError, match="nonexistent"):
        ei.tls_context()
