# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The child that reads Nagios: its transport, and what it hands on."""

from __future__ import annotations

import http.server
import io
import json
import threading
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from selfheal_cluster.healer import reader
from tests.integration.nagios_fixture import PASSWORD, USER, RealNagios, host_object, service_object, wait_for


class FakeSite(http.server.BaseHTTPRequestHandler):
    """Answers with the header it got, or sends elsewhere."""

    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            return
        body = (self.headers.get("Authorization") or "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        return


@pytest.fixture
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeSite)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_the_password_goes_to_nagios_and_to_no_redirect(site: str) -> None:
    said = reader.open_url(site + "/cgi", url_username="a", url_password="b:c", timeout=5).read()
    assert said == b"Basic YTpiOmM="
    assert reader.open_url(site + "/cgi", timeout=5).read() == b""
    with pytest.raises(urllib.error.HTTPError) as caught:
        reader.open_url(site + "/away", url_username="a", url_password="b", timeout=5)
    assert caught.value.code == 302


def test_a_password_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SelfhealError, match="password of Nagios cannot be read"):
        reader.client({"url": "http://127.0.0.1/", "user": "x", "password_file": str(tmp_path / "none")}, None)


def test_a_killed_nagios_is_not_believed_for_long_and_a_healthy_one_always() -> None:
    objects = host_object("ei1") + service_object("ei1", "web")
    with RealNagios(objects, config="status_update_interval=10\n") as nagios:
        path = nagios.folder / "nagios.cfg"
        (nagios.folder / "password").write_text(PASSWORD + "\n")
        given = {"url": nagios.url, "user": USER, "password_file": str(nagios.folder / "password"),
                 "config_file": str(path)}  # fmt: skip

        def freshness() -> dict[str, Any]:
            return reader.client(given, reader.writes_every(given)).services().freshness

        assert freshness()["status_update_interval"] == 10.0
        path.write_text(path.read_text().replace("status_update_interval=10", "status_update_interval=1"))
        assert reader.writes_every(given) is None, "the file says what will be"
        ages, end = [], time.monotonic() + 13.0  # Nagios was not reloaded: it still writes every ten seconds
        while time.monotonic() < end:
            seen = freshness()
            assert seen["fresh"], seen
            ages.append(seen["age_seconds"])
            time.sleep(0.25)
        assert max(ages) > 5.0, "nothing was proven: by the file's word this would have been no trial"
        nagios.reload()
        wait_for(lambda: freshness()["status_update_interval"] == 1.0, what="the new interval")
        wait_for(lambda: freshness()["fresh"], what="Nagios after its reload")
        nagios.kill()
        killed_at = time.monotonic()
        stale = wait_for(lambda: (seen := freshness())["reason"] == "stale" and seen, 15.0, "frozen data to be stale")
        assert time.monotonic() - killed_at < 8.0, stale
        del given["config_file"]
        assert freshness()["fresh"], "without it nothing is known, and Nagios' default is taken"


def test_what_the_healer_keeps_of_a_verdict_is_little() -> None:
    whole = {
        "node": "ei1", "verdict": "faulty", "kind": "resource", "layer_load": False,
        "reasons": ["x" * 1000] * 50, "readings": [{"gauge": "memory", "service": "m", "label": "l", "value": 1.0,
        "unit": "%", "state": "ok", "state_type": "hard", "at": 5.0, "age_seconds": 1.0, "verdict": "faulty"}],
    }  # fmt: skip
    kept = reader.slim(whole)
    assert kept["readings"] == [{"gauge": "memory", "service": "m", "at": 5.0, "verdict": "faulty"}]
    assert (len(kept["reasons"]), len(kept["reasons"][0])) == (10, 300)
    assert "unseen" not in kept
    assert reader.slim({**whole, "unseen": "Nagios shows 4 of 5 nodes"})["unseen"], "or runs are begun for nothing"


def test_the_answer_begins_with_nagios_and_has_a_line_per_node(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    Journal.create(path, time.time())
    layer = {
        "layer": "ei",
        "nodes": ["ei2", "ei1"],
        "gauges": [{"name": "web", "service": "web", "read": "state", "kind": "service"}],
    }
    question = {
        "nagios": {"url": "http://127.0.0.1:9/nagios4/cgi-bin"}, "layers": [layer],
        "journal": path, "since": {}, "timeout": 30,
    }  # fmt: skip
    sink = io.StringIO()
    assert reader.main(io.StringIO(json.dumps(question)), sink) == 0
    lines = [json.loads(line) for line in sink.getvalue().splitlines()]
    assert (lines[0]["nagios"]["fresh"], lines[0]["nagios"]["reason"]) == (False, "unreachable")
    assert lines[0]["writes_every"] is None, "its configuration is not known"
    assert [(line["node"], line["verdict"]) for line in lines[1:]] == [("ei1", "unknown"), ("ei2", "unknown")]
    with Journal(path) as journal:
        assert journal.rows("SELECT 1 FROM readings") == [], "what cannot be believed is no reading"


def test_a_broken_question_is_told_as_an_error(tmp_path: Path) -> None:
    question = {"nagios": {}, "layers": [], "journal": str(tmp_path / "none.db"),
                "since": {}, "timeout": 30}  # fmt: skip
    sink = io.StringIO()
    assert reader.main(io.StringIO(json.dumps(question)), sink) == 1
    assert json.loads(sink.getvalue())["error"]["reason"] == "no_journal"


@pytest.fixture(autouse=True)
def no_alarm() -> Iterator[None]:
    """The child sets an alarm for the day on which its parent is dead; this process must not get it."""
    import signal

    yield
    signal.alarm(0)


def test_what_an_alert_is_judged_by_is_kept() -> None:
    """Only time completes the CPU's gauge, and the healer knows so by what it keeps of a reading."""
    from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch import dispatch
    from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_default import DEFAULT_GAUGES

    found = {}
    for service, gauge in (("memory", "memory"), ("load", "cpu")):
        reading = {"gauge": gauge, "service": service, "label": "x", "value": 1.0, "at": 990.0, "verdict": "ok"}
        whole = {"node": "ei1", "verdict": "ok", "kind": None, "layer_load": False, "reasons": [],
                 "readings": [reading]}  # fmt: skip
        alert = {"id": "a", "at": 999.0, "host": "ei1", "service": service, "state": "CRITICAL", "type": "HARD",
                 "attempt": 2}  # fmt: skip
        policy = {"layer": "ei", "nodes": ["ei1"], "kind": "pool", "mode": "act", "gauges": DEFAULT_GAUGES,
                  "limits": {}}  # fmt: skip
        world = {"policies": {"ei": policy}, "alerts": [alert], "fresh": True, "read_at": 998.0,
                 "verdicts": {"ei1": reader.slim(whole)}, "units": {}}  # fmt: skip
        found[service] = [act["act"] for act in dispatch(world, 1000.0)]
    assert found == {"memory": ["open"], "load": ["wait"]}
