# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whether an answer of Nagios is believed: one line per way in which it was seen to lie."""

from __future__ import annotations

import http.client
import os
import urllib.error
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import (
    NagiosClient,
    configured_status_update_interval,
    running_status_update_interval,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_parse import interval_in_force
from tests.unit.nagios.answers import HOST, NOW_MS, SERVICE, Opener, answer, services

GOOD = services()
NONE = answer("servicelist", {})
URL = "http://monitor/nagios4/cgi-bin/statusjson.cgi"


def client(*answers: bytes | Exception, **options: Any) -> tuple[NagiosClient, Opener]:
    opener = Opener(answers)
    return NagiosClient("http://monitor/nagios4", "u", "p", opener=opener, sleep=lambda _s: None, **options), opener


def error(code: int, headers: dict[str, str] | None = None) -> urllib.error.HTTPError:
    message = Message()
    for key, value in (headers or {}).items():
        message[key] = value
    return urllib.error.HTTPError(URL, code, "no", message, None)


@pytest.mark.parametrize(
    ("answers", "reason", "asked"),
    [
        pytest.param([GOOD], "ok", 1, id="good"),
        pytest.param([b"\n"], "empty", 2, id="stopped: 200 with an empty body"),
        pytest.param([b""], "empty", 2, id="nothing at all"),
        pytest.param([b"\n", GOOD], "ok", 2, id="empty once, during a restart"),
        pytest.param([NONE], "no_services", 2, id="no rights look like no services"),
        pytest.param([NONE, GOOD], "ok", 2, id="Success without services, during a reload"),
        pytest.param([GOOD[:-40]], "invalid", 2, id="half an answer"),
        pytest.param([GOOD[:-40], GOOD], "ok", 2, id="half an answer once"),
        pytest.param([b"<html>It works!</html>"], "invalid", 2, id="some other page"),
        pytest.param([b"[]"], "invalid", 2, id="JSON, but not Nagios"),
        pytest.param([b'{"result": 1}'], "invalid", 2, id="JSON with another result"),
        pytest.param([b'{"result": {"type_code": 0}}'], "invalid", 2, id="no data"),
        pytest.param([answer("hostlist", {})], "invalid", 2, id="another list than asked for"),
        pytest.param([answer("servicelist", {"web1": ["memory"]})], "invalid", 2, id="a list without details"),
        pytest.param([answer("x", {}, code=3, message="no option")], "invalid", 2, id="an option it does not know"),
        pytest.param([answer("x", {}, code=2, message="status.dat")], "not_running", 2, id="status file gone"),
        pytest.param([answer("servicelist", {}, age_ms=31_000)], "stale", 1, id="killed: frozen data"),
        pytest.param([answer("servicelist", {}, age_ms=-31_000)], "stale", 1, id="clock set back"),
        pytest.param([answer("servicelist", {}, age_ms=None)], "stale", 1, id="age unknown"),
        pytest.param([error(401)], "unauthorized", 1, id="wrong password"),
        pytest.param([error(403)], "unauthorized", 1, id="forbidden"),
        pytest.param([error(404)], "unreachable", 1, id="wrong URL"),
        pytest.param([error(302, {"Location": "https://elsewhere/"})], "unreachable", 1, id="redirect"),
        pytest.param([error(500)], "unreachable", 1, id="web server broken"),
        pytest.param([urllib.error.URLError("refused")], "unreachable", 1, id="refused"),
        pytest.param([TimeoutError("timed out")], "unreachable", 1, id="no answer in time"),
        pytest.param([ConnectionResetError("reset")], "unreachable", 1, id="reset"),
        pytest.param([http.client.IncompleteRead(b"{")], "invalid", 2, id="body cut short"),
    ],
)
def test_reason(answers: list[bytes | Exception], reason: str, asked: int) -> None:
    nagios, opener = client(*answers)
    freshness = nagios.services().freshness
    assert (freshness["reason"], freshness["fresh"]) == (reason, reason == "ok")
    assert freshness["message"]
    assert len(opener.calls) == asked


@pytest.mark.parametrize(
    ("age_ms", "interval", "fresh"),
    [
        (29_000, 10, True),
        (31_000, 10, False),
        (4_000, 1, True),
        (6_000, 1, False),
        (0, 1, True),
        (-4_000, 1, True),
        # A CGI that needs long to read a big site finds data that are younger than its question.
        (-20_000, 1, True),
        (-31_000, 1, False),
        (-31_000, 60, True),
        (-181_000, 60, False),
    ],
)
def test_stale_is_three_intervals_but_never_under_five_seconds(age_ms: int, interval: float, fresh: bool) -> None:
    nagios, _ = client(answer("servicelist", {"web1": {"memory": SERVICE}}, age_ms), status_update_interval=interval)
    assert nagios.services().freshness["fresh"] is fresh


def test_stale_data_are_given_but_cannot_be_required() -> None:
    nagios, _ = client(answer("servicelist", {"web1": {"memory": SERVICE}}, 60_000))
    snapshot = nagios.services()
    assert len(snapshot.items) == 1
    with pytest.raises(SelfhealError) as caught:
        snapshot.require()
    assert caught.value.reason == "stale"


@pytest.mark.parametrize(("expected", "fresh"), [(None, True), (0, True), (1, True), (2, False)])
def test_fewer_than_expected_is_not_believed(expected: int | None, fresh: bool) -> None:
    nagios, _ = client(GOOD)
    freshness = nagios.services(expected=expected).freshness
    assert freshness["fresh"] is fresh
    assert fresh or "authorized_for_all_services" in freshness["message"]


def test_one_bulk_query_with_the_options_that_guard_it() -> None:
    nagios, opener = client(GOOD)
    nagios.services(host="web1", hostgroup="web servers", service="disk /")
    ((url, options),) = opener.calls
    assert url.startswith(URL)
    assert parse_qs(urlsplit(url).query) == {
        "query": ["servicelist"],
        "details": ["true"],
        "formatoptions": ["enumerate bitmask"],
        "hostname": ["web1"],
        "hostgroup": ["web servers"],
        "servicedescription": ["disk /"],
    }
    assert options["headers"]["Accept-Language"] == "C-US"
    assert (options["url_username"], options["url_password"], options["force_basic_auth"]) == ("u", "p", True)
    assert options["validate_certs"] is True
    assert options["follow_redirects"] == "none"
    assert options["use_netrc"] is False
    assert options["timeout"] == 10


def test_an_unknown_host_is_a_mistake_and_no_illness() -> None:
    nagios, _ = client(answer("x", {}, code=6, message="The host 'nope' could not be found."))
    with pytest.raises(SelfhealError, match="could not be found") as caught:
        nagios.services(host="nope")
    assert caught.value.reason == "unknown_name"


def test_a_bug_in_the_opener_stays_visible() -> None:
    nagios, _ = client(TypeError("a bug"))
    with pytest.raises(TypeError):
        nagios.services()


def test_hosts_with_their_parents() -> None:
    objects = answer("hostlist", {"web1": {"parent_hosts": ["gw"], "custom_variables": {}}})
    nagios, opener = client(answer("hostlist", {"web1": HOST}), objects)
    (host,) = nagios.hosts().items
    assert (host["status"], host["parents"]) == ("up", ["gw"])
    assert [urlsplit(url).path.rpartition("/")[2] for url, _ in opener.calls] == ["statusjson.cgi", "objectjson.cgi"]


def test_hosts_without_parents_are_not_believed_when_the_second_answer_fails() -> None:
    nagios, _ = client(answer("hostlist", {"web1": HOST}), b"", b"")
    assert nagios.hosts().freshness["reason"] == "empty"


def test_a_host_that_is_not_there() -> None:
    nagios, _ = client(answer("hostlist", {"web1": HOST}))
    with pytest.raises(SelfhealError):
        nagios.hosts(host="web2", parents=False)


def test_no_downtimes_is_a_good_answer() -> None:
    nagios, _ = client(answer("downtimelist", {}))
    snapshot = nagios.downtimes()
    assert (snapshot.items, snapshot.freshness["fresh"]) == ([], True)


@pytest.mark.parametrize(
    ("author", "comment", "ours"),
    [
        ("selfheal", "selfheal:ei1-7", True),
        ("bob", "selfheal:ei1-7", False),
        ("selfheal", "mine", False),
        ("selfheal", "not selfheal:x", False),
    ],
)
def test_our_own_downtimes_are_known_by_author_and_tag(author: str, comment: str, ours: bool) -> None:
    raw = {"downtime_id": 3, "host_name": "web1", "author": author, "comment": comment, "start_time": NOW_MS,
           "end_time": NOW_MS, "is_in_effect": True}  # fmt: skip
    nagios, _ = client(answer("downtimelist", {"3": raw}))
    (downtime,) = nagios.downtimes().items
    assert (downtime["ours"], downtime["service"], downtime["id"]) == (ours, None, 3)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("http://monitor", "http://monitor/cgi-bin/statusjson.cgi"),
        ("http://monitor/nagios4", URL),
        ("http://monitor/nagios4/cgi-bin/", URL),
        ("http://monitor/nagios4/cgi-bin/objectjson.cgi", URL),
        ("https://m:8443/cgi-bin/nagios4?x=1", "https://m:8443/cgi-bin/nagios4/statusjson.cgi"),
    ],
)
def test_url(given: str, asked: str) -> None:
    opener = Opener([GOOD])
    NagiosClient(given, opener=opener).services()
    assert opener.calls[0][0].partition("?")[0] == asked


@pytest.mark.parametrize(
    "given", ["", "monitor", "ftp://monitor/", "http://", "http://u:p@monitor/", "http://[::1", "file:///etc"]
)
def test_bad_url(given: str) -> None:
    with pytest.raises(SelfhealError) as caught:
        NagiosClient(given)
    assert caught.value.reason == "invalid_url"


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("status_update_interval=1\n", 1.0),
        ("x=1\nstatus_update_interval=15\nstatus_update_interval=5\n", 5.0),
        ("# nothing\n", 10.0),
        ("status_update_interval=often\n", None),
        (" status_update_interval = 2 \n#status_update_interval=7\n", 2.0),
    ],
)
def test_interval_out_of_the_configuration(tmp_path: Any, text: str, interval: float | None) -> None:
    path = tmp_path / "nagios.cfg"
    path.write_text(text)
    assert configured_status_update_interval(str(path)) == interval
    assert configured_status_update_interval(str(tmp_path / "none")) is None


@pytest.mark.parametrize(
    ("text", "loaded_at", "interval"),
    [
        pytest.param("status_update_interval=1\n", 100.5, 1.0, id="read after it was written"),
        pytest.param("status_update_interval=1\n", 99.5, None, id="written since, and not read yet"),
        pytest.param("status_update_interval=1\n", 100.0, None, id="in doubt not read yet"),
        pytest.param("status_update_interval=1\n", None, None, id="nobody knows when it was read"),
        pytest.param("status_update_interval=1\nstatus_update_interval=15\n", 101.0, 15.0, id="the last one counts"),
        pytest.param("  status_update_interval = 3 \n", 101.0, 3.0, id="blanks as Nagios takes them"),
        pytest.param("#status_update_interval=1\n", 101.0, None, id="only a comment"),
        pytest.param("status_update_interval=1\ninclude_file=/x.cfg\n", 101.0, None, id="another file may say else"),
        pytest.param("include_dir=/x\nstatus_update_interval=1\n", 101.0, None, id="other files may say else"),
        *(
            pytest.param(f"status_update_interval={bad}\n", 101.0, None, id=f"no interval: {bad}")
            for bad in ("often", "", "0", "-1", "nan", "inf", "7200")
        ),
    ],
)
def test_the_interval_in_force_is_believed_only_when_it_is_proven(
    text: str, loaded_at: float | None, interval: float | None
) -> None:
    assert interval_in_force(text, 100.0, loaded_at) == interval


def test_the_interval_of_the_nagios_that_runs(tmp_path: Any) -> None:
    path, cache = tmp_path / "nagios.cfg", tmp_path / "objects.cache"
    path.write_text("status_update_interval=1\nobject_cache_file=objects.cache\n")
    written_at = path.stat().st_ctime
    assert running_status_update_interval(str(path)) is None, "Nagios has never read it"
    cache.touch()
    os.utime(cache, (written_at + 5, written_at + 5))
    assert running_status_update_interval(str(path)) == 1.0
    path.write_text(path.read_text().replace("=1", "=10"))
    os.utime(path, (1, 1))  # as a copy that brings its old time along
    os.utime(cache, (written_at, written_at))
    assert running_status_update_interval(str(path)) is None, "changed since"
    path.write_text("status_update_interval=1\n")
    assert running_status_update_interval(str(path)) is None, "no cache is named"
    assert running_status_update_interval(str(tmp_path / "none")) is None
