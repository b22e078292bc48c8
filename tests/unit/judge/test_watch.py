# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How the judge sees an offset of keepalived: by keepalived's own configuration and the file that it follows."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from lab.judge.farm import JudgeError, farm_from
from lab.judge.records import MachineSeen, ProbeSeen, sample_from_row, sample_row
from lab.judge.watch import Machine, parse_services, parse_track, started
from lab.machines import Lab

TEMPLATE = Path(__file__).resolve().parents[3] / "lab/roles/lab_balancer/templates/keepalived.conf.j2"


def test_the_track_file_of_the_labs_own_configuration_is_found() -> None:
    text = TEMPLATE.read_text(encoding="utf-8").replace("{{ selfheal_instance }}", "VI_ext")
    assert parse_track(text) == ("/var/lib/selfheal/keepalived/VI_ext", 1)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("no track file", "vrrp_instance VI { priority 200 }", None),
        ("the weight is 1 if none is said", 'track_file a {\n file "/x/y"\n}', ("/x/y", 1)),
        ("a weight", "track_file a {\n file /x/y\n weight -2\n}", ("/x/y", -2)),
        ("the old word", 'vrrp_track_file a {\n file "/x/y"\n}', ("/x/y", 1)),
        ("commented out", '#track_file a {\n# file "/x/y"\n#}', None),
        ("only followed, in an instance", "vrrp_instance VI {\n track_file {\n  a\n }\n}", None),
    ],
)
def test_the_file_that_keepalived_follows(name: str, text: str, expected: tuple[str, int] | None) -> None:
    assert parse_track(text) == expected, name


@pytest.mark.parametrize(
    ("name", "content", "weight", "expected"),
    [
        ("lowered", "-199\n", 1, -199),
        ("weighted", "5\n", 2, 10),
        ("nothing", "0\n", 1, 0),
        ("empty is 0 for keepalived", "", 1, 0),
        ("so is what is no number", "much\n", 1, 0),
        ("and no file", None, 1, 0),
    ],
)
def test_the_offset_is_read_from_the_root_of_the_machine(
    tmp_path: Path, name: str, content: str | None, weight: int, expected: int
) -> None:
    path = tmp_path / "VI_ext"
    if content is not None:
        path.write_text(content, encoding="ascii")
    machine = Machine(Lab(), "extlb1", (), "10.213.77.100")
    machine.pid, machine.track = os.getpid(), (str(path), weight)
    assert machine.look().offset == expected, name


@pytest.mark.parametrize(
    ("name", "track"), [("follows no track file", None), ("cannot be read", ("/proc/self/mem/x", 1))]
)
def test_what_cannot_be_seen_is_no_offset_of_0(name: str, track: tuple[str, int] | None) -> None:
    machine = Machine(Lab(), "extlb1", (), "10.213.77.100")
    machine.pid, machine.track = os.getpid(), track
    assert machine.look().offset is None, name


@pytest.mark.parametrize("offset", [None, 0, -254, 54])
def test_an_offset_survives_the_record(offset: int | None) -> None:
    seen = MachineSeen(1.0, "extlb1", 0.5, {"keepalived.service": 0.6}, True, offset)
    assert sample_from_row(sample_row(seen)) == seen


def test_a_record_from_before_offsets_is_read() -> None:
    row: dict[str, Any] = {"m": "extlb1", "at": 1.0, "boot": 0.5, "units": {}, "address": False}
    assert sample_from_row(row) == MachineSeen(1.0, "extlb1", 0.5, {}, False, None)


def test_units_and_home_policy_come_from_the_inventory() -> None:
    pair = {"selfheal_strategy": "keepalived_failover", "selfheal_service": "haproxy.service"}
    pool = {"selfheal_strategy": "lb_detach", "selfheal_service": "ei"}
    home = {"selfheal_home": "never", "selfheal_preferred": "a1"}
    listing = {
        "_meta": {"hostvars": {"a1": {**pair, **home}, "a2": {**pair, **home}, "b1": pair, "b2": pair, "c1": pool}},
        "a": {"hosts": ["a1", "a2"]},
        "b": {"hosts": ["b1", "b2"]},
        "c": {"hosts": ["c1"]},
    }
    farm = farm_from(listing)
    assert farm.unit_names("a") == ("haproxy.service", "keepalived.service")
    assert farm.unit_names("c") == ("ei.service",)
    assert [farm.stays_away(layer, node) for layer, node in (("a", "a1"), ("a", "a2"), ("b", "b1"))] == [
        True,
        False,
        False,
    ]


def test_two_virtual_ips_are_refused_aloud() -> None:
    pair = {"selfheal_strategy": "keepalived_failover", "selfheal_service": "haproxy.service"}
    first, second = {**pair, "selfheal_vip": "10.213.77.100"}, {**pair, "selfheal_vip": "10.213.77.101"}
    listing = {
        "_meta": {"hostvars": {"a1": first, "a2": first, "b1": second, "b2": second}},
        "a": {"hosts": ["a1", "a2"]},
        "b": {"hosts": ["b1", "b2"]},
    }
    with pytest.raises(JudgeError, match="pairs a, b"):
        farm_from(listing)


class Off(Lab):
    """A lab whose machines do not run."""

    def pid(self, node: str) -> int | None:
        return None


def test_a_machine_that_is_off_keeps_nothing_of_its_last_boot(tmp_path: Path) -> None:
    machine = Machine(Off(), "extlb1", ("keepalived.service",), "10.213.77.100")
    machine.groups, machine.track = {"keepalived.service": tmp_path}, ("/x", 1)
    (tmp_path / "cgroup.procs").write_text(f"{os.getpid()}\n", encoding="ascii")
    machine.find()
    seen = machine.look()
    assert (seen.boot, seen.units, seen.address, seen.offset) == (0.0, {}, False, None)


def test_a_start_has_the_time_of_the_clock_and_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that is stamped too early falls into the incident before, which then has two."""
    before = time.time()
    with subprocess.Popen(["sleep", "60"]) as process:
        after = time.time()
        try:
            at = started(process.pid)
            assert before - 0.03 <= at <= after + 0.03, "in ticks of a hundredth of a second, and rounded"
            monkeypatch.setattr(time, "time", lambda: after + 3600)
            assert started(process.pid) == at
        finally:
            process.kill()


def test_a_result_of_nagios_says_how_long_its_check_took() -> None:
    """As Nagios Core 4.4.6 says it: begin in milliseconds and whole seconds, duration in seconds."""
    facts = {"status": "critical", "state_type": "hard", "last_check": 1795979716000, "execution_time": 3.08}
    (seen,) = parse_services({"data": {"servicelist": {"ei1": {"cpu": facts}}}}, 1795979721.5)
    assert seen == ProbeSeen(1795979721.5, "ei1", "cpu", "critical", True, 1795979716.0, 3.08)
    assert sample_from_row(sample_row(seen)) == seen
