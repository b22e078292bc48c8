# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The guard: what it puts back, what it lifts and when, and what it tells Nagios."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _guard, _holds
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._guard_pair import PairGuard, thawed, verdict
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Holds
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived import Keepalived

REPO = Path(__file__).resolve().parents[3]


@pytest.fixture
def holds(tmp_path: Path) -> Holds:
    found = Holds(str(tmp_path / "state"))
    (found.root / "keepalived").mkdir(parents=True)
    return found


@pytest.fixture
def heartbeat(tmp_path: Path) -> Path:
    path = tmp_path / "guard.json"
    path.write_text(json.dumps({"at": _holds.uptime_clock(), "boot_id": _holds.boot_id()}))
    return path


def seen(**changes: Any) -> dict[str, Any]:
    return {
        "instance": "VI_ext",
        "state": "BACKUP",
        "address_present": False,
        "adverts_received": 100,
        "offset": 0,
        "hold": None,
        **changes,
    }


@pytest.mark.parametrize(
    ("state", "address", "green", "heard", "word"),
    [
        ("BACKUP", False, True, True, "standby"),
        ("BACKUP", False, True, False, ""),
        ("BACKUP", False, False, True, ""),
        ("MASTER", True, True, False, "alone"),
        ("MASTER", True, False, False, ""),
        ("MASTER", False, True, False, ""),
        ("FAULT", False, True, True, ""),
        ("INIT", False, True, True, ""),
        ("UNKNOWN", True, True, True, ""),
    ],
)
def test_what_speaks_for_lifting(state: str, address: bool, green: bool, heard: bool, word: str) -> None:
    assert verdict(seen(state=state, address_present=address), green, heard) == word


MASTER = {"state": "MASTER", "address_present": True}


@pytest.mark.parametrize(
    ("late", "before", "now", "slept"),
    [
        (20.0, seen(**MASTER), seen(**MASTER, adverts_received=130), True),
        (20.0, seen(**MASTER), seen(adverts_received=130), True),
        (0.5, seen(**MASTER), seen(**MASTER, adverts_received=130), False),  # no jump
        (20.0, seen(**MASTER), seen(**MASTER), False),  # slow, but nobody took over
        (20.0, seen(), seen(adverts_received=130), False),  # it was the standby
        (20.0, None, seen(**MASTER, adverts_received=130), False),
        (20.0, seen(**MASTER), seen(**MASTER, adverts_received=130, offset=5), False),
        (20.0, seen(**MASTER), seen(**MASTER, adverts_received=130, hold={"incident": "i1"}), False),
    ],
)
def test_a_thaw_is_told_from_a_slow_machine(
    late: float, before: dict[str, Any] | None, now: dict[str, Any], slept: bool
) -> None:
    assert thawed(late, before, now) is slept


class Silent(Keepalived):
    """A keepalived that is not there."""

    def instances(self) -> list[dict[str, Any]]:
        raise SelfhealError("not_running", "keepalived does not run on this machine.")


def pair_guard(holds: Holds) -> PairGuard:
    config = {"boot_seconds": 300, "quiet_seconds": 10}
    return PairGuard({"instance": "VI_ext", "vip": "10.0.0.100"}, config, holds, lambda _line: None, Silent())


def offset(holds: Holds) -> str:
    path = holds.root / "keepalived" / "VI_ext"
    return path.read_text() if path.exists() else ""


def test_a_boot_hold_is_soft_and_yields_to_every_heal(holds: Holds) -> None:
    pair_guard(holds).before_start()
    found = holds.read("keepalived:VI_ext")
    assert found is not None
    assert (found.incident, found.epoch, found.phase) == ("boot", 0, "boot")
    assert offset(holds) == "-253\n"
    assert found.owned_by("i1", 1)
    assert not (holds.epochs / "keepalived_VI_ext.json").exists(), "guards never issue an epoch"


def test_no_boot_hold_where_an_incident_has_an_offset(holds: Holds) -> None:
    holds.put("keepalived:VI_ext", "i1", 7, "shift", "", 60)
    (holds.root / "keepalived" / "VI_ext").write_text("104\n")
    pair_guard(holds).before_start()
    assert offset(holds) == "104\n"
    assert holds.read("keepalived:VI_ext").incident == "i1"  # type: ignore[union-attr]  # it is there


def test_a_parked_offset_does_not_take_the_address_at_a_boot(holds: Holds) -> None:
    holds.put("keepalived:VI_ext", "i1", 7, "parked", "", 60)
    (holds.root / "keepalived" / "VI_ext").write_text("104\n")
    pair_guard(holds).before_start()
    assert int(offset(holds)) < 0
    assert holds.read("keepalived:VI_ext").incident == "boot"  # type: ignore[union-attr]  # it is there


def test_no_boot_hold_where_a_human_has_an_offset(holds: Holds) -> None:
    (holds.root / "keepalived" / "VI_ext").write_text("-20\n")
    pair_guard(holds).before_start()
    assert offset(holds) == "-20\n"
    assert holds.read("keepalived:VI_ext") is None


def test_no_boot_hold_over_one_that_cannot_be_read(holds: Holds) -> None:
    pair_guard(holds).before_start()
    (holds.holds / "keepalived_VI_ext.json").write_text("{")
    (holds.root / "keepalived" / "VI_ext").write_text("7\n")
    pair_guard(holds).before_start()
    assert offset(holds) == "7\n"


class Played(PairGuard):
    """A pair guard that sees what the test shows it."""

    shown: dict[str, Any]
    is_green = True

    def green(self) -> bool:
        return self.is_green


def play(guard: Played, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[float, dict[str, Any]]]) -> None:
    for at, state in steps:
        monkeypatch.setattr(time, "monotonic", lambda at=at: at)
        monkeypatch.setattr(guard.node, "instance", lambda *_a, state=state: state)
        guard.look(0.0)


def played(holds: Holds) -> Played:
    config = {"boot_seconds": 300, "quiet_seconds": 10}
    guard = Played({"instance": "VI_ext"}, config, holds, lambda _line: None, Silent())
    guard.before_start()
    return guard


def adverts(start: int, seconds: range) -> list[tuple[float, dict[str, Any]]]:
    return [(1000.0 + at, seen(adverts_received=start + 10 * at)) for at in seconds]


def test_the_boot_hold_is_lifted_after_a_quiet_time_of_adverts(holds: Holds, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = played(holds)
    play(guard, monkeypatch, adverts(100, range(10)))
    assert offset(holds) == "-253\n"
    play(guard, monkeypatch, adverts(100, range(10, 12)))
    assert offset(holds) == "0\n"
    assert holds.read("keepalived:VI_ext") is None


def test_a_second_without_adverts_starts_the_quiet_time_again(holds: Holds, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = played(holds)
    play(guard, monkeypatch, adverts(100, range(8)))
    play(guard, monkeypatch, [(1008.0, seen(adverts_received=170))])
    play(guard, monkeypatch, adverts(100, range(9, 18)))
    assert offset(holds) == "-253\n"


def test_a_node_whose_service_is_not_green_stays_held(holds: Holds, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = played(holds)
    guard.is_green = False
    play(guard, monkeypatch, adverts(100, range(40)))
    assert offset(holds) == "-253\n"


def test_a_node_that_serves_alone_is_lifted_sooner(holds: Holds, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = played(holds)
    play(guard, monkeypatch, [(1000.0 + at, seen(**MASTER)) for at in range(5)])
    assert offset(holds) == "0\n"


def test_a_heal_that_took_the_boot_hold_over_keeps_it(holds: Holds, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = played(holds)
    play(guard, monkeypatch, adverts(100, range(5)))
    holds.put("keepalived:VI_ext", "i1", 7, "verify", "", 60)
    play(guard, monkeypatch, adverts(100, range(5, 30)))
    guard.lift("the guard is being removed")
    assert offset(holds) == "-253\n"
    assert holds.read("keepalived:VI_ext").incident == "i1"  # type: ignore[union-attr]  # it is there


def test_the_check_is_green_while_every_hold_has_an_owner(holds: Holds, heartbeat: Path) -> None:
    holds.put("haproxy:be_ei/ei1", "i1", 7, "shift", "memory", 60)
    code, line = _guard.check(holds, str(heartbeat))
    assert code == 0
    assert line == "SELFHEAL HOLDS OK - 1 held, each with an owner | holds=1;;;0 expired=0;;0;0"


def test_the_check_is_green_before_the_first_hold(tmp_path: Path, heartbeat: Path) -> None:
    assert _guard.check(Holds(str(tmp_path / "none")), str(heartbeat))[0] == 0


def test_the_check_names_a_hold_without_an_owner_and_what_to_do(holds: Holds, heartbeat: Path) -> None:
    holds.put("haproxy:be_ei/ei1", "i1", 7, "restart", "a|b", 0)
    code, line = _guard.check(holds, str(heartbeat))
    assert code == 2
    for word in ("haproxy:be_ei/ei1", "i1", "restart", "selfheal show i1", "expired=1"):
        assert word in line
    assert line.count("|") == 1
    assert "\n" not in line


def test_the_check_alarms_for_a_hold_that_cannot_be_read(holds: Holds, heartbeat: Path) -> None:
    holds.put("haproxy:be_ei/ei1", "i1", 7, "shift", "", 60)
    (holds.holds / "haproxy_be_ei_ei1.json").write_text("")
    assert _guard.check(holds, str(heartbeat))[0] == 2


@pytest.mark.parametrize("content", ["", "{}", '{"at": 0, "boot_id": "another"}', None])
def test_the_check_alarms_when_the_guard_is_not_there(holds: Holds, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "beat"
    if content is not None:
        path.write_text(content)
    code, line = _guard.check(holds, str(path))
    assert code == 2
    assert "selfheal-guard" in line


def test_a_guard_that_stopped_a_while_ago_is_noticed(holds: Holds, tmp_path: Path) -> None:
    path = tmp_path / "beat"
    path.write_text(json.dumps({"at": _holds.uptime_clock() - 31, "boot_id": _holds.boot_id()}))
    assert _guard.check(holds, str(path))[0] == 2


def test_the_installed_files_are_all_that_the_guard_needs(tmp_path: Path) -> None:
    import yaml

    package = tmp_path / "selfheal"
    package.mkdir()
    names = yaml.safe_load((REPO / "roles/guard/vars/main.yml").read_text())["__guard_modules"]
    for name in names:
        (package / name).write_text((REPO / "plugins/module_utils" / name).read_text())
    (package / "guard.py").write_text((REPO / "roles/guard/files/guard.py").read_text())
    done = subprocess.run(
        [sys.executable, "-IS", str(package / "guard.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "usage" in done.stderr


def test_no_configuration_is_a_sentence_and_not_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SELFHEAL_GUARD_CONFIG", str(tmp_path / "none"))
    assert _guard.main(["restore"]) == 1
