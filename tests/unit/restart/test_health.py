# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How a service is asked on its own node: real sockets, so that every scheme is tried as it is."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from ansible_collections.selfheal.cluster.plugins.module_utils import _keepalived_view as view
from ansible_collections.selfheal.cluster.plugins.module_utils._health import ask, where
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Holds
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived import Keepalived
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_target import health
from ansible_collections.selfheal.cluster.plugins.modules.heal_observe import read_keepalived
from tests.unit.restart.test_restart import Systemd, once

REPO = Path(__file__).parents[3]
OWN = "127.0.0.9"  # a second address of every Linux machine, on which a service may listen alone
# Made for this test, for a name that is nobody's; nothing trusts it.
PEM = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgms8lqSuEhYyPnG5i
qf+4gc+jz0vRcibv5GGvhJhSYPahRANCAARNlw77igL8X0eH0eWcTQ+AQ3UerQqN
0+wytP/9veeWK3KoGZPUTANcvr3aK35apXCOQJSy5eBYRUcqtyV3Eh0l
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBjzCCATWgAwIBAgIUNcYNPIiA+5tn+1/IgRhUM+ZYdKIwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRZWxzZXdoZXJlLmV4YW1wbGUwIBcNMjYxMTI5MDkyNTI2WhgP
MjEyNjExMDUwOTI1MjZaMBwxGjAYBgNVBAMMEWVsc2V3aGVyZS5leGFtcGxlMFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAETZcO+4oC/F9Hh9HlnE0PgEN1Hq0KjdPs
MrT//b3nlityqBmT1EwDXL692it+WqVwjkCUsuXgWEVHKrcldxIdJaNTMFEwHQYD
VR0OBBYEFAKkL39pIeWt3rRUrUyV7ZGcHl0fMB8GA1UdIwQYMBaAFAKkL39pIeWt
3rRUrUyV7ZGcHl0fMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIg
PKwQiGxEVq45qWsAMbEZUZShOdjhS2OirGmV7hXi5EACIQC1kEdIpIF2LPI4jKUy
YePT1thFfwVAQii/nH1nmiOB5w==
-----END CERTIFICATE-----
"""


class Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/health": 200, "/moved": 302, "/ill": 503}.get(self.path, 404)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/ill")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_words: Any) -> None:
        """Nobody reads it."""


def serve(server: HTTPServer) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def plain() -> Iterator[int]:
    """A service that listens on one address only, and not on 127.0.0.1."""
    yield from serve(HTTPServer((OWN, 0), Service))


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[int]:
    pem = tmp_path / "server.pem"
    pem.write_text(PEM, encoding="ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = HTTPServer((OWN, 0), Service)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield from serve(server)


@pytest.mark.parametrize(
    ("scheme", "address", "path", "ok", "words"),
    [
        ("http", OWN, "/health", True, "HTTP 200"),
        ("http", OWN, "health", True, "HTTP 200"),
        ("http", OWN, "/moved", True, "HTTP 302"),  # not followed, as HAProxy has it
        ("http", OWN, "/ill", False, "HTTP 503"),
        ("http", OWN, "/none", False, "HTTP 404"),
        ("http", "127.0.0.1", "/health", False, "refused"),
        ("https", OWN, "/health", False, "SSL"),
        ("tcp", OWN, "/none", True, "accepts"),
        ("tcp", "127.0.0.1", "/none", False, "refused"),
    ],
)
def test_a_question(plain: int, scheme: str, address: str, path: str, ok: bool, words: str) -> None:
    said = ask(scheme, address, plain, path)
    assert said["ok"] is ok
    assert words in said["detail"]


def test_https_asks_whether_it_answers_and_not_who_it_is(secure: int) -> None:
    assert ask("https", OWN, secure, "/health") == {"ok": True, "detail": "HTTP 200"}
    assert not ask("https", OWN, secure, "/ill")["ok"]
    assert not ask("http", OWN, secure, "/health", timeout=0.5)["ok"]


def test_a_connection_that_meets_itself_is_no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    link = socket.socket()
    link.bind(("127.0.0.1", 0))
    link.connect(link.getsockname())
    monkeypatch.setattr(socket, "create_connection", lambda *_words, **_options: link)
    assert not ask("tcp", "127.0.0.1", link.getsockname()[1])["ok"]


def test_what_is_asked_can_be_typed_by_a_person() -> None:
    assert where("http", "127.0.0.1", 80, "/x") == "http://127.0.0.1:80/x"
    assert where("https", "2001:db8::5", 8443, "/") == "https://[2001:db8::5]:8443/"
    assert where("tcp", "10.0.0.5", 1883, "/") == "tcp://10.0.0.5:1883"


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ({"health_address": OWN, "health_path": "/health"}, None),
        ({"health_path": "/health"}, "no_answer"),  # what every restart asked before
        ({"health_address": OWN, "health_path": "/ill"}, "no_answer"),
        ({"health_address": OWN, "health_scheme": "tcp"}, None),
        ({"health_scheme": "tcp"}, "no_answer"),
        ({"health_scheme": "none"}, None),
    ],
)
def test_a_restart_asks_what_the_policy_says(
    tmp_path: Path, plain: int, question: dict[str, Any], reason: str | None
) -> None:
    result = once(tmp_path, Systemd(), health_port=plain, timeout=0.3, stop_timeout=60.0, **question)
    assert result.get("reason") == reason
    assert result["restarted"]
    if reason:
        assert f"://{question.get('health_address', '127.0.0.1')}:{plain}" in result["msg"]


def test_a_restart_asks_over_https(tmp_path: Path, secure: int) -> None:
    asked = {"health_port": secure, "health_address": OWN, "health_scheme": "https", "health_path": "/health"}
    assert "reason" not in once(tmp_path, Systemd(), timeout=1.0, stop_timeout=60.0, **asked)


def test_the_proof_of_a_standby_asks_the_same(tmp_path: Path, plain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "addresses", set)
    monkeypatch.setattr(view, "why_not_stopped", lambda: "")
    monkeypatch.setattr(Keepalived, "pid", lambda _self: None)
    node = view.Node(Keepalived(2.0), Holds(str(tmp_path)))
    asked = {"service_port": plain, "service_path": "/health"}
    assert not node.look(**asked)["service"]["ok"]
    assert node.look(**asked, service_address=OWN)["service"]["ok"]
    assert node.look(service_port=plain, service_address=OWN, service_scheme="tcp")["service"]["ok"]
    seen = read_keepalived({**asked, "service_address": OWN, "service_scheme": "http"})
    assert seen["keepalived"]["service"]["ok"], "the first look at a pair asks it too"


def test_the_survey_asks_the_same(plain: int) -> None:
    asked = {"scheme": "http", "address": OWN, "port": plain, "path": "/health"}
    assert health(asked) == {"asked": f"http://{OWN}:{plain}/health", "ok": True, "detail": "HTTP 200"}
    refused = health({**asked, "address": "127.0.0.1"})
    assert refused is not None
    assert not refused["ok"]
    assert health(None) is None


def questions() -> list[tuple[str, str, dict[str, Any]]]:
    """Every task of the two roles that asks a service: the role, the prefix of its options, and the options."""
    found = []
    for role in ("lb_detach", "keepalived_failover"):
        for path in sorted((REPO / "roles" / role / "tasks").glob("*.yml")):
            for task in yaml.safe_load(path.read_text(encoding="utf-8")):
                own = task.get("selfheal.cluster.node_restart") or task.get("selfheal.cluster.heal_watch") or {}
                options = own.get("args", own)
                found += [(role, name, options) for name in ("health", "service") if f"{name}_port" in options]
    return found


def test_every_question_of_the_roles_is_the_policys() -> None:
    assert len(questions()) == 6
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    state = {"health_scheme": "tcp", "health_addresses": {"n1": OWN}}
    for role, name, options in questions():
        for heal, scheme, address in ((state, "tcp", OWN), ({}, "http", "127.0.0.1"),
                                      (dict.fromkeys(state), "http", "127.0.0.1")):  # fmt: skip
            given = {f"{role}_heal": heal, "inventory_hostname": "n1"}
            assert environment.from_string(options[f"{name}_scheme"]).render(given) == scheme
            assert environment.from_string(options[f"{name}_address"]).render(given) == address
