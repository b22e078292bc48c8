# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The handler in a real Nagios, wired by the very lines of docs/events.md."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.nagios_fixture import RealNagios, host_object, service_object, wait_for
from tests.unit.event.handler import HANDLER

DOCS = Path(__file__).resolve().parents[3] / "docs" / "events.md"
INSTALLED = "/usr/local/lib/selfheal/selfheal-event"
COMMAND = f"/usr/bin/python3 -IS {INSTALLED}"
NAMES = "illegal_object_name_chars=`~!$%^&*|'\"<>?,()=\n"
"""As role nagios_server writes it, and Debian too."""
ODD = (
    "disk /",
    "two  words",
    "back\\",
    "\\back\\n\\",
    "--spool",
    "--help",
    "-rf",
    "größe 漢",
    "hash #1",
    "{{ 7 - 7 }}",
    "[a-z]{x}/../..",
    "a: b",
    "@:+-_.",
)
"""Names of services that Nagios takes, and that a shell, an option parser or a template would like to eat."""
OBJECTS = (
    host_object("ei1")
    + host_object("ei2")
    + service_object("ei1", "memory")
    + service_object("ei1", "slow", max_check_attempts="3")
    + service_object("ei1", "selfheal: ei2", event_handler_enabled="0")
    + "".join(service_object("ei2", f"{name} ;") for name in ODD)  # or a backslash at the end joins two lines
)
HOSTILE = (
    "CRITICAL|x=1;touch {file};5",
    "CRITICAL|x=1;touch {file};5;`touch {file}`;$(touch {file})",
    "$(touch {file})`touch {file}`;touch {file}",
    "' ;touch {file}; '|'a b'=1;';touch {file};'",
    '" ;touch {file}; "|"a"=1;";touch {file};"',
    "text \\",
    "text \\|x=1\\",
    "text' --host ei2 --state OK '|x=1",
    "\\n\\n--host ei2\\n|x=1;2\\nmore;touch {file}",
    "$HOSTNAME$ $USER1$ $SERVICEDESC$|x=$HOSTNAME$",
    "x" * 4000 + "|y=1;touch {file}",
    "ünïcödé 漢 \x1b[31m\x07|x=1",
)


def documented(kind: str) -> str:
    """The block of docs/events.md that role healer copies."""
    found = re.search(rf"^```{re.escape(kind)}\n(.*?)^```$", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"docs/events.md has no block {kind}"
    return found[1]


def wired(spool: Path, objects: str = OBJECTS) -> RealNagios:
    """A Nagios with the documented lines; only the handler's place and the spool are those of the test."""
    commands = documented("nagios.objects")
    assert commands.count(COMMAND) == 2
    commands = re.sub(rf"({re.escape(INSTALLED)} .*)", rf"\1 --spool '{spool}'", commands)
    return RealNagios(objects + commands.replace(INSTALLED, str(HANDLER)), config=NAMES + documented("nagios.cfg"))


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


@pytest.fixture
def nagios(spool: Path) -> Iterator[RealNagios]:
    with wired(spool) as running:
        yield running


def events(spool: Path) -> list[dict[str, Any]]:
    """All events in the order of their names, without the time."""
    found = [json.loads(each.read_text()) for each in sorted(spool.glob("*.event"))]
    return [{key: value for key, value in each.items() if key not in ("v", "at")} for each in found]


def settled(spool: Path, count: int) -> list[dict[str, Any]]:
    """The events, once there are so many and a while later still are."""
    wait_for(lambda: len(events(spool)) >= count, what=f"{count} events")
    time.sleep(0.7)
    assert [each.name for each in spool.iterdir() if not each.name.endswith(".event")] == []
    return events(spool)


def host_result(nagios: RealNagios, host: str, state: int, text: str) -> None:
    with nagios.pipe.open("w") as pipe:
        pipe.write(f"[{int(time.time())}] PROCESS_HOST_CHECK_RESULT;{host};{state};{text}\n")


def test_nothing_but_names_and_states_quoted() -> None:
    lines = [line for line in documented("nagios.objects").splitlines() if "command_line" in line]
    macros = {"HOSTNAME", "SERVICEDESC"} | {
        f"{kind}{what}" for kind in ("HOST", "SERVICE") for what in ("STATE", "STATETYPE", "ATTEMPT", "EVENTID")
    }
    assert len(lines) == 2
    for line in lines:
        assert set(re.findall(r"\$(\w+)\$", line)) <= macros
        rest = re.sub(r" --[a-z-]+ '\$[A-Z]+\$'", "", line)
        assert rest.split() == ["command_line", *COMMAND.split()]


def test_one_critical_result_is_one_event(nagios: RealNagios, spool: Path) -> None:
    before = time.time()
    nagios.passive("ei1", "memory", 2, "CRITICAL - 96 % used|used=96%;80;95")
    (event,) = settled(spool, 1)
    identity = event.pop("event_id")
    assert identity > 0
    assert event == {"host": "ei1", "service": "memory", "state": "CRITICAL", "type": "HARD", "attempt": 1}
    (file,) = spool.iterdir()
    assert before <= json.loads(file.read_text())["at"] <= time.time()
    assert file.stat().st_mode & 0o777 == 0o640

    nagios.passive("ei1", "memory", 2, "CRITICAL - still")  # the same state again is no new alert
    nagios.passive("ei1", "memory", 0, "OK")
    both = settled(spool, 2)
    assert [each["state"] for each in both] == ["CRITICAL", "OK"]
    assert both[1]["event_id"] > identity
    assert "non-check helper" not in nagios.log


def test_a_host_that_is_down_is_one_event(nagios: RealNagios, spool: Path, tmp_path: Path) -> None:
    host_result(nagios, "ei2", 1, f"no answer|x=1;touch {tmp_path / 'executed'}")
    (event,) = settled(spool, 1)
    assert event.pop("event_id") > 0
    assert event == {"host": "ei2", "service": None, "state": "DOWN", "type": "HARD", "attempt": 1}
    assert not (tmp_path / "executed").exists()


def test_attempts_of_one_state_have_one_id(nagios: RealNagios, spool: Path) -> None:
    for count in (1, 2, 3):
        nagios.passive("ei1", "slow", 2, "slow")
        settled(spool, count)
    found = events(spool)
    assert [(each["type"], each["attempt"]) for each in found] == [("SOFT", 1), ("SOFT", 2), ("HARD", 3)]
    assert len({each["event_id"] for each in found}) == 1


def test_what_the_healer_tells_nagios_does_not_come_back(nagios: RealNagios, spool: Path) -> None:
    nagios.passive("ei1", "selfheal: ei2", 2, "a human is needed")
    nagios.passive("ei1", "memory", 2, "marks the end")
    assert [each["service"] for each in settled(spool, 1)] == ["memory"]


def test_odd_names_arrive_as_they_are(nagios: RealNagios, spool: Path) -> None:
    for name in ODD:
        nagios.passive("ei2", name, 2, "CRITICAL")
    found = settled(spool, len(ODD))
    assert sorted(each["service"] for each in found) == sorted(ODD)
    assert {(each["host"], each["state"], each["attempt"]) for each in found} == {("ei2", "CRITICAL", 1)}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_results_neither_run_nor_alter_the_event(
    nagios: RealNagios, spool: Path, tmp_path: Path, text: str
) -> None:
    proof = tmp_path / "executed"
    nagios.passive("ei1", "memory", 2, text.replace("{file}", str(proof)))
    (event,) = settled(spool, 1)
    event.pop("event_id")
    assert event == {"host": "ei1", "service": "memory", "state": "CRITICAL", "type": "HARD", "attempt": 1}
    assert not proof.exists()
    assert "non-check helper" not in nagios.log


def test_the_injection_is_real(tmp_path: Path) -> None:
    """With performance data in the command the same result runs: the test above can fail."""
    proof = tmp_path / "executed"
    bad = "define command {\n    command_name  bad\n    command_line  /bin/echo $SERVICEPERFDATA$\n}\n"
    with RealNagios(OBJECTS + bad, config=NAMES + "global_service_event_handler=bad\n") as nagios:
        nagios.passive("ei1", "memory", 2, HOSTILE[0].replace("{file}", str(proof)))
        wait_for(proof.exists, what="the injected command")


def test_a_missing_spool_is_said_in_nagios_log(tmp_path: Path) -> None:
    with wired(tmp_path / "missing") as nagios:
        nagios.passive("ei1", "memory", 2, "CRITICAL")
        wait_for(lambda: "stderr line 01: selfheal-event: the spool " in nagios.log, what="the line in the log")
        assert "role healer makes it" in nagios.log
        assert "exited with return code 1" in nagios.log


def test_a_full_spool_is_said_in_nagios_log_and_leaves_nothing() -> None:
    spool = Path(tempfile.mkdtemp(prefix="she-", dir="/tmp"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(spool)], check=True)
    try:
        with pytest.raises(OSError, match="No space left"), (spool / "fill").open("wb", buffering=0) as fill:
            while True:
                fill.write(b"\0" * 4096)
        with wired(spool) as nagios:
            nagios.passive("ei1", "memory", 2, "CRITICAL")
            wait_for(lambda: "selfheal-event: the spool" in nagios.log, what="the line in the log")
            lines = [line for line in nagios.log.splitlines() if "wproc" in line]
            assert [line for line in lines if "exited with return code 1" in line]
            said = [line for line in lines if "stderr line" in line]
            assert len(said) == 1 and "is full (No space left on device): free space there" in said[0], lines
            assert [each.name for each in spool.iterdir()] == ["fill"]
            (spool / "fill").unlink()
            nagios.passive("ei1", "memory", 0, "OK")
            wait_for(lambda: events(spool), what="the next event")
    finally:
        subprocess.run(["umount", "--lazy", str(spool)], check=True)
        spool.rmdir()
