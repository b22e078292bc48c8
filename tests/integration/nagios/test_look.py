# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A real Nagios is asked again about a healed node: it runs the checks when told, and what they bring is judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.nagios.conftest import PASSWORD, USER
from tests.integration.nagios_fixture import RealNagios, host_object, module_answer, service_object
from tests.unit.gauges import farm

CHECK = """#!/bin/sh
echo once >>{folder}/ran
cat {folder}/output
exit "$(cat {folder}/code)"
"""


@pytest.fixture
def checks(tmp_path: Path) -> Iterator[tuple[RealNagios, Path]]:
    """A Nagios whose one check brings what the folder says; left alone it would run it next within the hour."""
    (tmp_path / "check").write_text(CHECK.format(folder=tmp_path))
    (tmp_path / "ran").touch()
    command = f"define command {{\n    command_name  reading\n    command_line  /bin/sh {tmp_path}/check\n}}\n"
    slow = {"check_interval": "3600", "retry_interval": "3600", "max_check_attempts": "2", "active_checks_enabled": "1"}
    service = service_object("web1", "memory", **slow, check_command="reading")
    with RealNagios(command + host_object("web1", "10.0.0.1") + service) as nagios:
        yield nagios, tmp_path


def bring(folder: Path, used: float, code: int) -> None:
    (folder / "output").write_text(f"memory as found | {farm.perfdata({'used': used})}\n")
    (folder / "code").write_text(str(code))


def look(nagios: RealNagios, seconds: float, check: bool = False) -> dict[str, Any]:
    arguments = {
        "url": nagios.url, "user": USER, "password": PASSWORD, "use_proxy": False, "status_update_interval": 1,
        "node": "web1", "readings": [{"gauge": "memory", "service": "memory"}], "seconds": seconds,
        "command_file": str(nagios.pipe), "_ansible_check_mode": check,
    }  # fmt: skip
    return module_answer("heal_look", arguments)


def test_memory_that_is_as_short_as_before(checks: tuple[RealNagios, Path]) -> None:
    nagios, folder = checks
    bring(folder, 0.97, 2)
    said = look(nagios, seconds=12)
    assert (said["verdict"], said["still_ill"], said["problem"]) == ("faulty", True, ""), said
    assert "memory" in said["reasons"][0]
    assert len((folder / "ran").read_text().splitlines()) >= 2


def test_memory_that_the_restart_has_freed_ends_the_look(checks: tuple[RealNagios, Path]) -> None:
    nagios, folder = checks
    bring(folder, 0.30, 0)
    said = look(nagios, seconds=30)
    assert (said["verdict"], said["still_ill"]) == ("ok", False), said
    assert said["looks"] < 10, "it does not go on to its time when all is well"


def test_a_nagios_that_stands_still_says_nothing(checks: tuple[RealNagios, Path]) -> None:
    nagios, folder = checks
    bring(folder, 0.97, 2)
    nagios.kill()
    said = look(nagios, seconds=3)
    assert (said["verdict"], said["still_ill"]) == ("unknown", False), said


def test_check_mode_asks_for_no_check(checks: tuple[RealNagios, Path]) -> None:
    nagios, folder = checks
    bring(folder, 0.97, 2)
    said = look(nagios, seconds=3, check=True)
    assert (said["verdict"], said["still_ill"]) == ("unknown", False), said
    assert (folder / "ran").read_text() == ""
