# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""selfheal-event: which arguments become which event, and which are refused in which words."""

from __future__ import annotations

import importlib.util
import json
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.event.handler import GOOD, HANDLER, PYTHON, Word, arguments, complaint, left_in, only_event, run

EXPECTED = {
    "v": 1,
    "host": "ei1",
    "service": "memory",
    "state": "CRITICAL",
    "type": "HARD",
    "attempt": 3,
    "event_id": 17,
}
Changes = dict[str, Word | None]


def handler() -> Any:
    """The handler as a module, for its pure functions; loading writes no byte code beside it."""
    loader = SourceFileLoader("selfheal_event", str(HANDLER))
    spec = importlib.util.spec_from_loader("selfheal_event", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(HANDLER.read_text(encoding="utf-8"), str(HANDLER), "exec"), module.__dict__)
    return module


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        pytest.param({}, {}, id="service"),
        pytest.param({"--service": None, "--state": "DOWN"}, {"service": None, "state": "DOWN"}, id="host"),
        pytest.param({"--service": "$"}, {"service": None}, id="unknown macro is no service"),
        pytest.param({"--service": ""}, {"service": None}, id="empty service is no service"),
        pytest.param({"--service": "$USER1$"}, {"service": "$USER1$"}, id="macro kept as data"),
        pytest.param({"--service": "$(touch X)`touch X`;touch X"}, {"service": "$(touch X)`touch X`;touch X"}, id="sh"),
        pytest.param({"--service": "../../etc/passwd"}, {"service": "../../etc/passwd"}, id="path"),
        pytest.param(
            {"--host": "--service", "--service": "--help"}, {"host": "--service", "service": "--help"}, id="--"
        ),
        pytest.param({"--host": "-h", "--service": "--"}, {"host": "-h", "service": "--"}, id="dashes"),
        pytest.param({"--service": 'a"b\\c\\'}, {"service": 'a"b\\c\\'}, id="quotes and backslashes"),
        pytest.param({"--service": '","host":"ei2'}, {"service": '","host":"ei2'}, id="tries to leave the string"),
        pytest.param({"--service": "\\u0000\\n"}, {"service": "\\u0000\\n"}, id="looks like an escape"),
        pytest.param({"--service": "{{ 1 + 1 }}%s%d"}, {"service": "{{ 1 + 1 }}%s%d"}, id="templates"),
        pytest.param({"--service": "  two  words "}, {"service": "  two  words "}, id="blanks"),
        pytest.param({"--service": "Speicher größer 漢"}, {"service": "Speicher größer 漢"}, id="unicode"),
        pytest.param({"--service": "😀\U0010ffff\uffff"}, {"service": "😀\U0010ffff\uffff"}, id="beyond four digits"),
        pytest.param(
            {"--service": "a\u2028b\u2029c\u202ed"}, {"service": "a\u2028b\u2029c\u202ed"}, id="line separators"
        ),
        pytest.param(
            {"--host": "h" * 255, "--service": "ü" * 255}, {"host": "h" * 255, "service": "ü" * 255}, id="255"
        ),
        pytest.param({"--attempt": "0", "--event-id": "0"}, {"attempt": 0, "event_id": 0}, id="zero"),
        pytest.param({"--attempt": "007"}, {"attempt": 7}, id="leading zeros"),
        pytest.param({"--event-id": "9" * 18}, {"event_id": 10**18 - 1}, id="18 digits"),
        *[
            pytest.param({"--state": word}, {"state": word}, id=word)
            for word in ("OK", "WARNING", "UNKNOWN", "UP", "DOWN", "UNREACHABLE")
        ],
        pytest.param({"--type": "SOFT", "--attempt": "1"}, {"type": "SOFT", "attempt": 1}, id="SOFT"),
    ],
)
def test_arguments_become_an_event(spool: Path, changes: Changes, fields: dict[str, Any]) -> None:
    done = run(spool, *arguments(changes))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    found = only_event(spool)
    assert isinstance(found.pop("at"), float)
    assert found == {**EXPECTED, **fields}
    assert list(found) == list(EXPECTED)


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "de_DE.ISO-8859-1", "nonsense"])
def test_no_locale_changes_a_name(spool: Path, locale: str) -> None:
    done = run(spool, *arguments({"--service": "größe 漢"}), env={"LC_ALL": locale, "PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0, done.stderr
    assert only_event(spool)["service"] == "größe 漢"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param([], "--host is missing or empty", id="nothing"),
        *[
            pytest.param(arguments({option: None}), f"{option} is missing or empty", id=f"no {option}")
            for option in GOOD
            if option != "--service"
        ],
        *[
            pytest.param(arguments({option: value}), f"{option} is missing or empty", id=f"{option} {value!r}")
            for option in GOOD
            if option != "--service"
            for value in ("", "$")
        ],
        *[
            pytest.param([*arguments(), option, "x"], f"{option} is given twice", id=f"{option} twice")
            for option in GOOD
        ],
        pytest.param(["--spool", "/x", *arguments(), "--spool", "/x"], "--spool is given twice", id="--spool twice"),
        *[
            pytest.param([*arguments(), word, "x"], f"unknown argument {word!r}", id=f"unknown {word!r}")
            for word in ("--hosts", "--hos", "--HOST", "--host=ei1", "host", "-v", "", "--", "--output", "--perfdata")
        ],
        pytest.param([*arguments(), "--ho\nst\x1b[2J", "x"], r"unknown argument '--ho\nst\x1b[2J'", id="log injection"),
        pytest.param([*arguments(), "x" * 100_000, "x"], "unknown argument 'xxxx", id="very long option"),
        pytest.param([*arguments({"--host": None}), "--host"], "--host has no value", id="no value"),
        *[
            pytest.param(
                arguments({option: value}), f"{option} {shown} has control characters", id=f"{option} {value!r}"
            )
            for option in ("--host", "--service")
            for value, shown in (
                ("a\nb", r"'a\nb'"),
                ("a\tb", r"'a\tb'"),
                ("\x01", r"'\x01'"),
                ("a\x1b[31mb", r"'a\x1b[31mb'"),
                ("a\x7f", r"'a\x7f'"),
                ("a\x85b", r"'a\x85b'"),
                ("a\x9bb", r"'a\x9bb'"),
            )
        ],
        *[
            pytest.param(arguments({option: "ü" * 256}), f"{option} '\\xfc", id=f"{option} 256")
            for option in ("--host", "--service")
        ],
        pytest.param(arguments({"--service": "x" * 100_000}), "is longer than 255 characters", id="100,000"),
        *[
            pytest.param(arguments({"--host": raw}), "is not UTF-8: name it in UTF-8", id=f"bytes {raw!r}")
            for raw in (b"gr\xf6\xdfe", b"\xed\xa0\x80", b"\xed\xb3\xa9", b"\xc0\x80", b"\xff", b"a\xe2\x82")
        ],
        *[
            pytest.param(arguments({"--state": value}), f"--state {value!r} is none of OK", id=f"state {value!r}")
            for value in ("critical", "BAD", "PENDING", "2", "CRITICAL ", "CRITICAL;touch X", "OKWARNING", "O")
        ],
        *[
            pytest.param(arguments({"--type": value}), f"--type {value!r} is none of SOFT, HARD", id=f"type {value!r}")
            for value in ("hard", "1", "SOFT|HARD", "SOFT, HARD")
        ],
        *[
            pytest.param(arguments({option: value}), f"{option} {value!a} is not a number", id=f"{option} {value!r}")
            for option in ("--attempt", "--event-id")
            for value in ("-1", "+1", "1.0", "1e3", "1_000", " 1", "0x10", "three", "٣", "²", "1,", "1" * 19)
        ],
    ],
)
def test_arguments_are_refused(spool: Path, words: list[Word], said: str) -> None:
    given_spool = None if "--spool" in words else spool
    assert said in complaint(run(given_spool, *words))
    assert left_in(spool) == []


def test_the_last_word_without_a_value_is_refused(spool: Path) -> None:
    assert "--spool has no value" in complaint(run(None, *arguments(), "--spool"))
    assert left_in(spool) == []


def test_a_forgotten_value_swallows_no_option_silently(spool: Path) -> None:
    words = ["--host", "--service", "memory", "--state", "OK", "--type", "HARD", "--attempt", "1", "--event-id", "1"]
    assert "unknown argument 'memory'" in complaint(run(spool, *words))
    assert left_in(spool) == []


@pytest.mark.parametrize("words", [["--help"], ["--host", "ei1", "--help"], ["--help", "--nonsense"]])
def test_help(spool: Path, words: list[Word]) -> None:
    done = run(None, *words)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert text.startswith("usage: selfheal-event --host HOST")
    assert all(option in text for option in (*GOOD, "--spool"))
    assert "/var/spool/selfheal" in text
    assert left_in(spool) == []


def test_it_imports_what_it_names_and_nothing_else(spool: Path) -> None:
    def modules(*command: str) -> set[str]:
        done = run(None, *command, command=[PYTHON, "-IS", "-X", "importtime"])
        assert done.returncode == 0, done.stderr
        return {line.rsplit("|", 1)[-1].strip() for line in done.stderr.decode().splitlines()}

    ours = modules(str(HANDLER), *[str(word) for word in arguments()], "--spool", str(spool))
    assert only_event(spool)
    assert ours == modules("-c", "import os, sys, time")
    assert not ours & {"argparse", "json", "re", "site", "typing", "pathlib", "contextlib", "errno"}


def test_nothing_of_the_caller_is_imported(spool: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("os", "time", "stat", "sitecustomize", "usercustomize", "posixpath"):
        (trap / f"{name}.py").write_text(f"open({str(trap / 'sprung')!r}, 'w')\n")
    environment = {"PYTHONPATH": str(trap), "PYTHONHOME": str(trap), "PYTHONSTARTUP": str(trap / "os.py")}
    done = run(spool, *arguments(), cwd=trap, env=environment)
    assert done.returncode == 0, done.stderr
    assert only_event(spool)["host"] == "ei1"
    assert not (trap / "sprung").exists()


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=255))
def test_every_name_comes_back_as_it_was(text: str) -> None:
    module = handler()
    line = module.event({**GOOD, "--host": "-" + text[:254], "--service": "-" + text[:254]}, 1_795_560_603_123_456_789)
    assert line.isascii() and line[:-1].isprintable()
    assert json.loads(line) == {
        **EXPECTED,
        "at": 1795560603.123456,
        "host": "-" + text[:254],
        "service": "-" + text[:254],
    }


@pytest.mark.parametrize(
    ("now_ns", "at"),
    [
        (1_795_560_603_123_456_789, "1795560603.123456"),
        (1_795_560_603_000_001_999, "1795560603.000001"),
        (5, "0.000000"),
    ],
)
def test_the_time_is_written_exactly(now_ns: int, at: str) -> None:
    assert handler().event(GOOD, now_ns).startswith(f'{{"v":1,"at":{at},"host":"ei1",')
