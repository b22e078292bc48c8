# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The client against a real Nagios: everything that makes its word worth nothing, and everything odd that is fine."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.nagios.conftest import OBJECTS, client
from tests.integration.nagios_fixture import PASSWORD, USER, RealNagios, wait_for


def seen(nagios: RealNagios, host: str, service: str) -> dict[str, Any]:
    """The service, as soon as Nagios shows a result of it."""

    def look() -> Any:
        items = client(nagios).services(host=host).items
        return next((item for item in items if item["service"] == service and item["checked"]), None)

    found: dict[str, Any] = wait_for(look, what=f"a result of {host} {service}")
    return found


def test_alive(nagios: RealNagios) -> None:
    snapshot = client(nagios).services(expected=3)
    assert snapshot.freshness["fresh"], snapshot.freshness
    assert {(item["host"], item["service"], item["status"]) for item in snapshot.items} == {
        ("web1", "memory", "pending"),
        ("web1", "disk /", "pending"),
        ("db1", "memory", "pending"),
    }


def test_stopped(nagios: RealNagios) -> None:
    nagios.stop()
    freshness = client(nagios).services().freshness
    assert (freshness["fresh"], freshness["reason"]) == (False, "empty")
    assert "not running" in freshness["message"]


def test_killed(nagios: RealNagios) -> None:
    nagios.passive("web1", "memory", 0, "fine")
    seen(nagios, "web1", "memory")
    nagios.kill()
    stale = wait_for(
        lambda: next((s for s in [client(nagios).services()] if s.freshness["reason"] == "stale"), None), 20, "stale"
    )
    assert stale.freshness["fresh"] is False
    assert stale.freshness["age_seconds"] > 5
    assert len(stale.items) == 3  # it goes on answering as if nothing had happened


def test_no_rights_look_empty(nagios: RealNagios) -> None:
    nagios.users["nobody"] = "x"
    freshness = client(nagios, "nobody", "x").services().freshness
    assert (freshness["fresh"], freshness["reason"]) == (False, "no_services")
    assert "authorized_for_all_services" in freshness["message"]


def test_some_rights_look_smaller(nagios: RealNagios) -> None:
    limited = client(nagios, "limited", "limited")
    assert {item["host"] for item in limited.services().items} == {"web1"}
    assert limited.services().freshness["fresh"] is True  # nobody can tell, unless they know how many there must be
    assert limited.services(expected=3).freshness["reason"] == "no_services"


def test_wrong_password(nagios: RealNagios) -> None:
    freshness = client(nagios, USER, PASSWORD + "x").services().freshness
    assert (freshness["fresh"], freshness["reason"]) == (False, "unauthorized")
    assert PASSWORD not in freshness["message"]


@pytest.mark.parametrize("size", [0, 1, 500, 2000])
def test_half_an_answer(nagios: RealNagios, size: int) -> None:
    nagios.truncate = size
    freshness = client(nagios).services().freshness
    assert (freshness["fresh"], freshness["reason"] in ("invalid", "empty")) == (False, True)


def test_nobody_listens() -> None:
    with RealNagios(OBJECTS) as gone:
        url_client = client(gone)
    assert url_client.services().freshness["reason"] == "unreachable"


def test_reload_is_never_taken_for_an_empty_farm(nagios: RealNagios) -> None:
    for _ in range(5):
        nagios.reload()
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            snapshot = client(nagios).services(expected=3)
            assert len(snapshot.items) == 3 or not snapshot.freshness["fresh"]
    back = wait_for(lambda: client(nagios).services(expected=3).freshness["fresh"], what="Nagios after the reload")
    assert back


@pytest.mark.parametrize(
    ("text", "output", "perf_data"),
    [
        ("bell \a tab \v end | x=1", "bell \a tab \v end", "x=1"),
        (r"path C:\apps\vol and \a | x=1", "path C:appsvol and a", "x=1"),  # passive results lose them
        ("caf\xe9 \u20ac \U0001f600 | gr\xf6\xdfe=1%;2;3", "caf\xe9 \u20ac \U0001f600", "gr\xf6\xdfe=1%;2;3"),
        ("\x1b[31mred\x1b[0m <script> & 'quotes' \"double\" | a=1", None, "a=1"),
        ("a;b;c|x=1;touch /tmp/x;5", "a:b:c", "x=1;touch /tmp/x;5"),
        ("{{ lookup('pipe', 'id') }} $HOSTNAME$ `id` | x=1", None, "x=1"),
    ],
    ids=["control characters", "backslashes", "non-ASCII", "terminal and HTML", "semicolons", "templates and macros"],
)
def test_odd_text_comes_through(nagios: RealNagios, text: str, output: str | None, perf_data: str) -> None:
    nagios.passive("web1", "disk /", 2, text)
    record = seen(nagios, "web1", "disk /")
    assert record["status"] == "critical"
    assert record["perf_data"] == perf_data
    assert output is None or record["output"] == output
    assert record["unreadable"] is False
    assert client(nagios).services(expected=3).freshness["fresh"]


def test_text_that_nagios_blanks_is_marked(nagios: RealNagios) -> None:
    nagios.passive("web1", "memory", 0, "caf\udce9 | x=1")  # Latin-1
    record = seen(nagios, "web1", "memory")
    assert (record["status"], record["output"], record["unreadable"]) == ("ok", "", True)


def test_hosts_parents_and_objects(nagios: RealNagios) -> None:
    hosts = {item["host"]: item for item in client(nagios).hosts(expected=2).items}
    assert (hosts["db1"]["parents"], hosts["db1"]["status"]) == (["web1"], "pending")
    objects = {item["host"]: item for item in client(nagios).objects_hosts().items}
    assert (objects["web1"]["address"], objects["web1"]["custom_variables"]["SITE"]) == ("10.0.0.1", "dc1")
    groups = {item["hostgroup"]: item["members"] for item in client(nagios).hostgroups().items}
    assert groups == {"web": ["web1"], "farm": ["db1", "web1"]}


def test_filters(nagios: RealNagios) -> None:
    asked = client(nagios)
    assert len(asked.services(hostgroup="web").items) == 2
    assert [item["host"] for item in asked.services(service="disk /").items] == ["web1"]
    assert [item["host"] for item in asked.hosts(hostgroup="web").items] == ["web1"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of nobody whom the system trusts, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def test_tls_is_verified_by_default(certificate: tuple[Path, Path]) -> None:
    with RealNagios(OBJECTS, tls=certificate) as nagios:
        refused = client(nagios).services().freshness
        assert (refused["fresh"], refused["reason"]) == (False, "unreachable")
        assert nagios.requests == []  # nobody got the password
        assert client(nagios, ca_path=str(certificate[0])).services().freshness["fresh"]
        assert client(nagios, validate_certs=False).services().freshness["fresh"]
