# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Lines for the command pipe: what they say, and that no text can make another command of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_commands as commands
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

NOW = 1_700_000_000.9


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            commands.schedule_host_svc_downtime("ei1", 100.5, 160.2, "ei1-7", now=NOW),
            "SCHEDULE_HOST_SVC_DOWNTIME;ei1;100;160;1;0;60;selfheal;selfheal:ei1-7",
        ),
        (
            commands.schedule_host_downtime("ei1", 100, 160, "ei1-7", now=NOW),
            "SCHEDULE_HOST_DOWNTIME;ei1;100;160;1;0;60;selfheal;selfheal:ei1-7",
        ),
        (commands.delete_downtime("ei1-7", now=NOW), "DEL_DOWNTIME_BY_START_TIME_COMMENT;;selfheal:ei1-7"),
        (commands.add_host_comment("ei1", "healed", now=NOW), "ADD_HOST_COMMENT;ei1;1;selfheal;healed"),
        (commands.add_svc_comment("ei1", "disk /", "ok", now=NOW), "ADD_SVC_COMMENT;ei1;disk /;1;selfheal;ok"),
        (
            commands.process_service_check_result("m", "selfheal: ei1", "critical", "left out", "n=1;2;3", now=NOW),
            "PROCESS_SERVICE_CHECK_RESULT;m;selfheal: ei1;2;left out | n=1;2;3",
        ),
        (
            commands.schedule_forced_host_svc_checks("ei1", 100.5, now=NOW),
            "SCHEDULE_FORCED_HOST_SVC_CHECKS;ei1;100",
        ),
    ],
)
def test_line(line: str, text: str) -> None:
    assert line == f"[1700000000] {text}\n"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("two\nlines\r\nhere", "two lines here"),
        ("a;b;c", "a:b:c"),
        ("x | y=1", "x / y=1"),
        (r"C:\n\temp", "C:/n/temp"),
        ("$(reboot) `id` $HOSTNAME$", "(reboot) 'id'  HOSTNAME"),
        ("\x1b[31mred\x07", "[31mred"),
        ("  caf\xe9 ", "caf\xe9"),
        ("", ""),
    ],
)
def test_texts_are_made_harmless(text: str, clean: str) -> None:
    assert commands.clean_text(text) == clean


@pytest.mark.parametrize("name", ["", " ", "a;b", "a\nb", "a\x00b", "a\x7f"])
@pytest.mark.parametrize(
    "build",
    [
        lambda name: commands.add_host_comment(name, "x"),
        lambda name: commands.add_svc_comment("h", name, "x"),
        lambda name: commands.process_service_check_result("h", name, "ok", "x"),
        lambda name: commands.schedule_host_downtime(name, 1, 2, "i-1"),
        commands.delete_downtime,
    ],
)
def test_names_that_could_be_more_than_a_name_are_refused(build: Callable[[str], str], name: str) -> None:
    with pytest.raises(SelfhealError) as caught:
        build(name)
    assert caught.value.reason == "invalid_name"


@pytest.mark.parametrize("incident", ["*", "a b", "-x", "selfheal:x", "."])
def test_the_end_of_a_downtime_needs_a_real_incident(incident: str) -> None:
    with pytest.raises(SelfhealError):
        commands.delete_downtime(incident)


@pytest.mark.parametrize(("start", "end"), [(10, 10), (10, 9), (10.1, 10.9)])
def test_a_downtime_has_a_length(start: float, end: float) -> None:
    with pytest.raises(SelfhealError):
        commands.schedule_host_downtime("h", start, end, "i-1")


@given(st.text(), st.text())
def test_whatever_is_said_it_is_one_line_with_the_same_fields(text: str, perf_data: str) -> None:
    line = commands.process_service_check_result("h", "s", "ok", text, perf_data, now=NOW)
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert len(line.encode()) <= commands.MAX_WRITE
    command, host, service, status, output = line[len("[1700000000] ") : -1].split(";", 4)
    assert (command, host, service, status) == ("PROCESS_SERVICE_CHECK_RESULT", "h", "s", "0")
    assert ";" not in output.partition(" | ")[0]
    assert not set("\\$`\0\r") & set(output)


def test_long_texts_are_cut_between_characters() -> None:
    line = commands.add_host_comment("h", "\U0001f600" * 5000, now=NOW)
    assert len(line.encode()) <= commands.MAX_WRITE
    assert line.endswith("\n")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "nagios.cmd"
    os.mkfifo(path)
    return path


def test_write_gives_whole_lines(pipe: Path) -> None:
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    lines = [commands.add_host_comment(f"h{number}", "x" * 500, now=NOW) for number in range(40)]
    commands.write(str(pipe), lines)
    assert os.read(reader, 1 << 20).decode() == "".join(lines)
    os.close(reader)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "not_running"),
        (lambda path: path.unlink(), "no_pipe"),
        (lambda path: (path.unlink(), path.write_text("")), "no_pipe"),
    ],
    ids=["nobody reads", "not there", "a plain file"],
)
def test_write_says_why_it_cannot(pipe: Path, make: Callable[[Path], Any], reason: str) -> None:
    make(pipe)
    with pytest.raises(SelfhealError) as caught:
        commands.write(str(pipe), [commands.delete_downtime("i-1")])
    assert caught.value.reason == reason
    assert not pipe.is_file() or pipe.read_text() == ""


def test_write_does_not_wait_for_ever_on_a_nagios_that_hangs(pipe: Path) -> None:
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    lines = [commands.add_host_comment("h", "x" * 2000, now=NOW)] * 100
    with pytest.raises(SelfhealError) as caught:
        commands.write(str(pipe), lines, timeout=0.05)
    assert caught.value.reason == "not_running"
    os.close(reader)


@pytest.mark.parametrize("line", ["no end", "two\nlines\n", "x" * 5000 + "\n"])
def test_write_refuses_what_is_no_line(pipe: Path, line: str) -> None:
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(SelfhealError):
        commands.write(str(pipe), [line])
    os.close(reader)
