# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Tables for the pure parts of the healer."""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heals import healed_since
from selfheal_cluster.healer import config, pace, reading, results, spool, units

EVENT: dict[str, Any] = {
    "v": 1, "at": 100.5, "host": "ei1", "service": "memory", "state": "CRITICAL", "type": "HARD", "attempt": 3,
    "event_id": 17,
}  # fmt: skip


# -- settings ------------------------------------------------------------------------------------

GOOD = {"nagios": {"url": "http://127.0.0.1/nagios4/cgi-bin", "user": "selfheal", "password_file": "/etc/p"}}


def test_settings_have_defaults() -> None:
    found = config.parse(GOOD)
    assert (found.poll_seconds, found.monitor_host, found.journal) == (4.0, "monitor", "/var/lib/selfheal/journal.db")
    assert config.parse({**GOOD, "poll_seconds": 9}).poll_seconds == 9.0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"nagios": None}, "nagios is missing"),
        ({"nagios": {}}, "nagios.url is missing"),
        ({"nagios": {"url": "u", "user": "x"}}, "go together"),
        ({"nagios": {"urll": "u"}}, "did you mean url"),
        ({"nagios": {"url": 7}}, "nagios.url must be text"),
        ({"nagios": {"url": "u", "config_fil": "/x"}}, "did you mean config_file"),
        ({"nagios": {"url": "u", "config_file": 7}}, "nagios.config_file must be text"),
        ({"pol_seconds": 4}, "did you mean poll_seconds"),
        ({"poll_seconds": "4"}, "poll_seconds must be seconds"),
        ({"poll_seconds": True}, "poll_seconds must be seconds"),
        ({"poll_seconds": 0}, "poll_seconds must be seconds"),
        ({"heal_unit": "x.service"}, "heal_unit must be like"),
        ({"heal_unit": "a b@{name}.service"}, "heal_unit must be like"),
        ({"spool": "spool"}, "spool must be an absolute path"),
    ],
)
def test_wrong_settings_name_the_key(more: dict[str, Any], said: str) -> None:
    with pytest.raises(SelfhealError, match=said):
        config.parse({**GOOD, **more})


@pytest.mark.parametrize(("text", "said"), [(None, "cannot be read"), ("{", "is no JSON"), ("[]", "one JSON object")])
def test_a_file_of_settings_that_is_none(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "healer.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SelfhealError, match=said):
        config.load(str(path))


# -- spool ---------------------------------------------------------------------------------------


def test_an_alert_is_read_as_it_was_written() -> None:
    found = spool.parse("a.event", json.dumps(EVENT).encode(), 200.0)
    assert found == {
        "id": "a.event", "at": 100.5, "read_at": 200.0, "host": "ei1", "service": "memory", "state": "CRITICAL",
        "type": "HARD", "attempt": 3, "event_id": 17,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "key", "value"),
    [
        ({"service": "$"}, "service", None),
        ({"service": ""}, "service", None),
        ({"service": None}, "service", None),
        ({"at": 900.0}, "at", 200.0),  # a clock that is ahead must not hide the recovery for ever
        ({"host": "$(reboot); `id`"}, "host", "$(reboot); `id`"),
        ({"service": "{{ lookup('pipe', 'id') }}"}, "service", "{{ lookup('pipe', 'id') }}"),
        ({"service": "Größe ☃"}, "service", "Größe ☃"),
        ({"service": "disk\u00a0/"}, "service", "disk\u00a0/"),  # the handler takes it, so it must not be lost here
        ({"service": "soft\u00adhyphen\u200b"}, "service", "soft\u00adhyphen\u200b"),
    ],
)
def test_odd_alerts_are_alerts(more: dict[str, Any], key: str, value: Any) -> None:
    assert spool.parse("a.event", json.dumps({**EVENT, **more}).encode(), 200.0)[key] == value


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xfe", b"[]", b"{}", b"[" * 100000, b'{"v": 2}',
        *(json.dumps({**EVENT, **more}).encode() for more in (
            {"host": ""}, {"host": None}, {"host": 7}, {"host": "x" * 256}, {"host": "a\nb"}, {"service": "a\x1b[2J"},
            {"service": "a\x7f"}, {"service": "a\x85"}, {"service": "a\ud800"},
            {"state": None}, {"type": 3}, {"attempt": "3"}, {"attempt": True}, {"attempt": -1}, {"event_id": 2**70},
            {"at": "now"}, {"at": -1}, {"at": True}, {"at": 1e12}, {"at": float("nan")}, {"at": float("inf")},
        )),
    ],
)  # fmt: skip
def test_what_is_no_alert_is_told(data: bytes) -> None:
    with pytest.raises(ValueError):
        spool.parse("a.event", data, 200.0)


def test_the_spool_opens_only_plain_small_files(tmp_path: Path) -> None:
    (tmp_path / "1-1.event").write_text(json.dumps(EVENT))
    (tmp_path / ".2-1.event").write_text("half")
    (tmp_path / "3-1.tmp").write_text("other")
    (tmp_path / "4-1.event").symlink_to("/etc/passwd")
    (tmp_path / "5-1.event").mkdir()
    (tmp_path / "6-1.event").write_bytes(b" " * 20000)
    found = spool.Spool(str(tmp_path)).read(200.0)
    assert [alert["id"] for alert in found.alerts] == ["1-1.event"]
    assert sorted(found.bad) == ["4-1.event", "5-1.event", "6-1.event"]
    for name in found.bad:
        assert spool.Spool(str(tmp_path)).set_aside(name, 200.0) == ""
    assert spool.Spool(str(tmp_path)).names() == ["1-1.event"]


def test_a_flood_is_taken_in_parts_and_oldest_first(tmp_path: Path) -> None:
    for number in range(spool.MAX_FILES + 20):
        (tmp_path / f"{number:06d}-1.event").write_text(json.dumps(EVENT))
    found = spool.Spool(str(tmp_path)).read(200.0)
    assert len(found.alerts) == spool.MAX_FILES
    assert found.alerts[0]["id"] == "000000-1.event"


def test_unreadable_files_keep_no_readable_one_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3 * spool.MAX_FILES):
        (tmp_path / f"{number:06d}-1.event").write_text("{}")
    (tmp_path / "999999-1.event").write_text(json.dumps(EVENT))
    real = spool._content

    def content(path: Path) -> bytes | None:
        if path.name.startswith("00"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(spool, "_content", content)
    folder, tries = spool.Spool(str(tmp_path)), 0
    found = folder.read(0.0)
    while not found.alerts:
        tries += 1
        assert tries <= 3 * spool.MAX_FILES / spool.MAX_UNREAD + 1, "it starves"
        assert found.more
        found = folder.read(float(tries))
    assert [alert["id"] for alert in found.alerts] == ["999999-1.event"]
    assert found.unread
    monkeypatch.setattr(spool, "_content", real)
    seen: set[str] = set()
    for at in range(100, 110):
        seen |= set(folder.read(float(at)).bad)
        for name in list(seen):
            folder.remove(name, float(at))
    assert len(seen) == 3 * spool.MAX_FILES, "what can be read again is read"


@pytest.mark.parametrize("call", ["remove", "set_aside"])
def test_a_file_that_cannot_be_moved_is_told_and_waits_for_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    (tmp_path / "000001-1.event").write_text(json.dumps(EVENT))

    def forbidden(*_args: Any, **_more: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", forbidden)
    monkeypatch.setattr(Path, "rename", forbidden)
    folder = spool.Spool(str(tmp_path))
    assert "Permission denied" in getattr(folder, call)("000001-1.event", 10.0)
    assert folder.read(11.0).alerts == []
    assert "000001-1.event" in folder.read(11.0).unread
    assert [alert["id"] for alert in folder.read(20.0).alerts] == ["000001-1.event"]


# -- pace ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cost", "wanted"), [(0.05, 4.0), (0.4, 4.0), (1.0, 10.0), (6.0, 60.0)])
def test_reading_costs_at_most_a_tenth_of_a_core(cost: float, wanted: float) -> None:
    now, begins, at = 0.0, [], pace.Pace()
    while now < 3000.0:
        if now >= pace.due_at(at, 4.0, False):
            begins.append(now)
            at = pace.ended(pace.begun(at, now), cost, now)
        now += 0.5
    assert begins[0] == 0.0
    assert all(abs(late - early - wanted) <= 0.5 for early, late in itertools.pairwise(begins))
    assert cost * (len(begins) - 1) / begins[-1] <= 0.1 + 1e-9


@pytest.mark.parametrize("cost", [0.05, 0.4, 6.0])
def test_alerts_without_end_do_not_make_it_dearer(cost: float) -> None:
    now, count, at = 0.0, 0, pace.Pace()
    while now < 3000.0:
        if now >= pace.due_at(at, 4.0, True):
            count += 1
            at = pace.ended(pace.begun(at, now), cost, now)
        now += 0.5
    assert count * cost <= 0.1 * 3000.0 + max(cost, pace.CREDIT) + cost, "more than the credit is unpaid"


@pytest.mark.parametrize(
    ("verdicts", "seconds"),
    [
        ({}, 4.0),
        ({"a": {"verdict": "ok"}, "b": {"verdict": "unknown"}}, 4.0),
        ({"a": {"verdict": "faulty"}}, 4.0),  # its run is begun; nothing new is waited for
        ({"a": {"verdict": "ok"}, "b": {"verdict": "suspect"}}, pace.DOUBT_SECONDS),
        ({"b": {"verdict": "suspect", "layer_load": True}}, 4.0),
    ],
)
def test_a_doubt_is_looked_at_more_closely_and_never_for_more(verdicts: dict[str, Any], seconds: float) -> None:
    assert pace.wanted_seconds(verdicts, 4.0) == seconds
    assert pace.wanted_seconds(verdicts, 1.0) == 1.0
    dear = pace.ended(pace.begun(pace.Pace(), 100.0), 6.0, 100.0)
    assert pace.due_at(dear, pace.wanted_seconds(verdicts, 4.0), False) == 160.0


def test_an_alert_is_answered_at_once() -> None:
    at = pace.ended(pace.begun(pace.Pace(), 100.0), 6.0, 100.0)
    assert pace.due_at(at, 4.0, False) == 160.0
    assert pace.due_at(at, 4.0, True) == 101.0
    at = pace.ended(pace.begun(at, 101.0), 6.0, 101.0)
    assert pace.due_at(at, 4.0, True) == 160.0, "the second one has to be paid for first"


def test_a_small_site_is_asked_again_until_it_shows_what_the_alert_said() -> None:
    now, begins, at = 100.0, [], pace.Pace()
    while now < 110.0:
        if now >= pace.due_at(at, 4.0, True):
            begins.append(now)
            at = pace.ended(pace.begun(at, now), 0.5, now)
        now += 0.5
    assert begins[:4] == [100.0, 101.0, 102.0, 103.0]
    assert len(begins) <= 6, "the credit has an end"


@pytest.mark.parametrize(
    ("server", "machine", "cost"),
    [(0.5, 9.0, 0.7), (0.0, 9.0, 0.2), (None, None, 2.2), (-1.0, None, 2.2), (None, 9.0, 2.2), (None, 1.1, 1.1),
     (None, 0.0, 0.2)],
)  # fmt: skip
def test_the_cost_is_measured_or_else_taken_high(server: float | None, machine: float | None, cost: float) -> None:
    assert pace.cost_of(0.2, 1.0, server, machine, 2) == pytest.approx(cost)


def test_the_cpu_of_a_unit() -> None:
    assert reading.used_cpu("usage_usec 1500000\nuser_usec 1\n") == 1.5
    assert reading.used_cpu("nothing\n") is None
    assert reading.busy_cpu("cpu  100 20 30 4000 500 6 7 8 0 0\ncpu0 1\n", 100) == 1.71
    assert reading.busy_cpu("intr 1 2 3\n", 100) is None


# -- reading -------------------------------------------------------------------------------------


def test_the_question_and_since() -> None:
    policies = {
        layer: {"layer": layer, "nodes": [node], "gauges": None, "limits": {"reading_age_seconds": age}}
        for layer, node, age in (("km", "km1", 750), ("ei", "ei1", 60))
    }
    asked = reading.question(config.parse(GOOD), policies, {"ei1": 5.0})
    assert asked["layers"] == [
        {"layer": "ei", "nodes": ["ei1"], "gauges": None, "reading_age_seconds": 60},
        {"layer": "km", "nodes": ["km1"], "gauges": None, "reading_age_seconds": 750},
    ]
    assert "reading_age_seconds" not in asked, "each layer has its own"
    attempts: list[dict[str, Any]] = [
        {"node": "ei1", "outcome": "healed", "ended_at": 5.0}, {"node": "ei1", "outcome": "healed", "ended_at": 9.0},
        {"node": "ei2", "outcome": "undone", "ended_at": 7.0}, {"node": "ei3", "outcome": None, "ended_at": None},
    ]  # fmt: skip
    assert healed_since(attempts, 10.0) == {"ei1": 9.0}


def test_a_restart_that_did_not_help_is_as_new_a_begin_as_one_that_did() -> None:
    """What went back before the restart is not: its node is as it was, and so are its readings."""
    rows = [{"node": "ei1", "outcome": "undone", "phase": phase, "ended_at": at}
            for phase, at in (("soak", 7.0), ("evidence", 9.0), ("", 9.5), (None, 9.7))]  # fmt: skip
    assert healed_since(rows, 10.0) == {"ei1": 7.0}


def test_a_heal_of_the_future_hides_none_of_the_past() -> None:
    attempts = [{"node": "ei1", "outcome": "healed", "ended_at": at} for at in (9.0, 7270.0)]
    assert healed_since(attempts, 10.0) == {"ei1": 9.0}
    assert healed_since(attempts[1:], 10.0) == {}
    assert healed_since(attempts, 7000.0) == {"ei1": 7270.0}, "two clocks may differ a little"


# -- units ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", "ei1", "ei1-0", "../x-1", "a b-1", "a;reboot-1", "-x-1", "x" * 70 + "-1", "a-1\n", "a@b-1", "a/b-1"]
)
def test_no_other_name_becomes_a_unit(name: str) -> None:
    with pytest.raises(SelfhealError):
        units.parse_name(name)


def test_a_name_goes_to_and_fro() -> None:
    assert units.parse_name(units.run_name("ei1-20261125-023000-1a2b", 12)) == ("ei1-20261125-023000-1a2b", 12)
    assert units.Units("selfheal-heal@{name}.service").name("ei1-x", 1) == "selfheal-heal@ei1-x-1.service"


def test_the_listing_of_systemd() -> None:
    listed = [
        {"unit": f"selfheal-heal@{word}-1.service", "load": "loaded", "active": word, "sub": "x"}
        for word in ("active", "activating", "deactivating", "failed", "inactive")
    ]
    states_ = units.parse_units(json.dumps(listed)).values()
    assert list(states_) == ["active", "active", "active", "failed", "inactive"]
    assert units.parse_units("[]\n") == {}
    for broken in ("UNIT LOAD", "{}x", '[{"unit": "a"}]', '{"a": 1}'):
        with pytest.raises(SelfhealError, match="systemctl does not answer in JSON"):
            units.parse_units(broken)


@pytest.mark.parametrize(
    ("listed", "age", "state"),
    [
        (None, 1.0, "active"), (None, 9.0, None), ("inactive", 1.0, "active"), ("inactive", 9.0, "inactive"),
        ("failed", 1.0, "failed"), ("active", 9.0, "active"),
    ],
)  # fmt: skip
def test_a_unit_that_was_only_just_asked_for_is_not_gone(listed: str | None, age: float, state: str | None) -> None:
    seen = {"u": listed} if listed else {}
    runs = [{"unit": "u", "started_at": 100.0, "ended_at": None}]
    assert units.with_starting(seen, runs, 100.0 + age).get("u") == state


def test_systemctl_says_no(tmp_path: Path) -> None:
    tool = tmp_path / "systemctl"
    tool.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
    tool.chmod(0o755)
    asked = units.Units("selfheal-heal@{name}.service", [str(tool)], [str(tool)])
    with pytest.raises(SelfhealError, match=r"cannot start .*sudo rule of role healer"):
        asked.start("selfheal-heal@a-1.service")
    with pytest.raises(SelfhealError, match="cannot list the runs"):
        units.Units("selfheal-heal@{name}.service", words=["/nowhere/systemctl"]).listed()


def test_systemctl_gets_words_and_no_shell(tmp_path: Path) -> None:
    tool = tmp_path / "systemctl"
    tool.write_text(f'#!/bin/sh\nfor word in "$@"; do echo "$word" >> {tmp_path}/words; done\necho "[]"\n')
    tool.chmod(0o755)
    asked = units.Units("selfheal-heal@{name}.service", [str(tool)], [str(tool)])
    asked.start("selfheal-heal@a-1.service")
    assert asked.listed() == {}
    assert (tmp_path / "words").read_text().splitlines() == [
        "start", "--no-block", "selfheal-heal@a-1.service",
        "list-units", "--all", "--output=json", "--no-pager", "selfheal-heal@*.service",
    ]  # fmt: skip


def test_a_tool_that_hangs_is_given_up_in_time(tmp_path: Path) -> None:
    tool = tmp_path / "systemctl"
    # Its child inherits the output and stays: whoever reads until the end of that would wait for it.
    tool.write_text("#!/bin/sh\nsetsid sleep 20 &\nsleep 20\n")
    tool.chmod(0o755)
    asked = units.Units("selfheal-heal@{name}.service", [str(tool)], [str(tool)], timeout=0.2)
    before = time.monotonic()
    with pytest.raises(SelfhealError, match="cannot start"):
        asked.start("selfheal-heal@a-1.service")
    assert time.monotonic() - before < 5.0


def test_a_tool_of_roots_that_cannot_be_killed_is_left_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, real = tmp_path / "sudo", os.killpg
    tool.write_text("#!/bin/sh\nexec sleep 20\n")
    tool.chmod(0o755)
    groups: list[int] = []

    def forbidden(group: int, _number: int) -> None:
        groups.append(group)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "killpg", forbidden)
    before = time.monotonic()
    try:
        with pytest.raises(SelfhealError, match="timed out"):
            units.Units("selfheal-heal@{name}.service", [str(tool)], timeout=0.2).start("selfheal-heal@a-1.service")
        assert time.monotonic() - before < 5.0
    finally:
        real(groups[0], 9)


# -- results -------------------------------------------------------------------------------------


def test_results_of_runs(tmp_path: Path) -> None:
    folder = tmp_path / "ei1-x-1"
    folder.mkdir()
    assert results.read_result(str(tmp_path), "ei1-x", 1) == {}
    (folder / "result.json").write_text('{"status": "acting", "phase": "drain", "outcome": "", "node": "ei1"}')
    assert results.read_result(str(tmp_path), "ei1-x", 1)["phase"] == "drain"
    assert results.outcome_of({"outcome": ""}) == results.outcome_of({}) == results.outcome_of({"outcome": "ok"}) == ""
    assert results.outcome_of({"outcome": "left_out"}) == "left_out"
    (folder / "result.json").write_text("[1")
    assert results.read_result(str(tmp_path), "ei1-x", 1) == {}


def test_old_runs_go_and_nothing_else(tmp_path: Path) -> None:
    for number in range(1, 8):
        (tmp_path / f"ei1-x-{number}" / "artifacts").mkdir(parents=True)
        os.utime(tmp_path / f"ei1-x-{number}", (number, number))
    (tmp_path / "notes").mkdir()
    assert results.prune(str(tmp_path), ["ei1-x-1"], kept=3) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ei1-x-1", "ei1-x-5", "ei1-x-6", "ei1-x-7", "notes"]


def test_runs_are_bounded_by_bytes_and_spared_ones_stay(tmp_path: Path) -> None:
    for number in range(1, 7):
        folder = tmp_path / f"ei1-x-{number}" / "artifacts"
        folder.mkdir(parents=True)
        (folder / "stdout").write_bytes(b"x" * 1000)
        os.utime(tmp_path / f"ei1-x-{number}", (number, number))
    assert results.prune(str(tmp_path), ["ei1-x-2"], kept=5, kept_bytes=2500.0) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ei1-x-2", "ei1-x-5", "ei1-x-6"]


@pytest.mark.parametrize("at", ["1" + "0" * 400, "1e400", "NaN", "-1"])
def test_a_time_that_is_none_is_a_bad_file_and_stops_nobody(tmp_path: Path, at: str) -> None:
    text = '{"v":1,"at":%s,"host":"ei1","service":null,"state":"DOWN","type":"HARD","attempt":1,"event_id":1}' % at
    (tmp_path / "00000000000000000001-1.event").write_text(text)
    batch = spool.Spool(str(tmp_path)).read(1000.0)
    assert list(batch.bad) == ["00000000000000000001-1.event"]


def test_a_name_that_cannot_be_kept_is_no_event(tmp_path: Path) -> None:
    (tmp_path / "00000000000000000001-1.event").write_text("{}")
    (tmp_path / os.fsdecode(b"\xff.event")).touch()
    assert spool.Spool(str(tmp_path)).names() == ["00000000000000000001-1.event"]
