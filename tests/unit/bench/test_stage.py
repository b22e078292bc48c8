# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the rows are played on: fakes do what they stand for, and the playbook is ours up to the decision."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.selfheal.cluster.plugins.module_utils import _gauges, _nagios_parse
from selfheal_cluster.healer.units import parse_units
from tests.bench import place, stage
from tests.bench.fake_nagios import CHECK_SECONDS, Farm
from tests.bench.place import ROOT, Place

REAL = (ROOT / "playbooks" / "heal.yml").read_text(encoding="utf-8")
NOW = 1_795_560_000.0


def test_the_playbook_of_the_bench_decides_as_ours_and_changes_by_its_hands_alone() -> None:
    plays, real = yaml.safe_load(stage.playbook(REAL, ["hands"])), yaml.safe_load(REAL)
    *before, hands, end = plays
    assert before == real[: len(before)]
    used = [key for play in before for task in play["tasks"] for key in task if "." in key]
    assert used.count("selfheal.cluster.heal_plan") == 1
    assert hands["tasks"][0]["ansible.builtin.command"]["argv"] == ["hands"]
    assert all(task["when"] == "selfheal_heal.status == 'acting'" for task in hands["tasks"])
    assert end["tasks"] == real[-1]["tasks"][-len(end["tasks"]) :]
    assert "selfheal.cluster.heal_lease" in end["tasks"][0]


def test_what_the_unit_of_a_heal_runs() -> None:
    assert place.run_words(place.UNIT.read_text(encoding="utf-8")) == ["-m", "selfheal_cluster.healer.run_heal"]
    with pytest.raises(ValueError, match="no ExecStart"):
        place.run_words("[Service]\nExecStart=/bin/true\n")


def test_the_wrapper_takes_only_the_limit_away(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_text('#!/bin/sh\nprintf "%s\\n" "$ANSIBLE_CALLBACKS_ENABLED" "$@"\n')
    wrapper = tmp_path / "ansible-playbook"
    text = stage.WRAPPER.replace("@FOLDER@", str(tmp_path)).replace("@HELPERS@", "h").replace("@REAL@", str(real))
    wrapper.write_text(text)
    for script in (real, wrapper):
        script.chmod(0o755)
    words = ["-i", "a b", "--limit", "all", "-e", "@x y", "*", "selfheal.cluster.heal"]
    done = subprocess.run([str(wrapper), *words], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["bench_stamps", "-i", "a b", "-e", "@x y", "*", "selfheal.cluster.heal"]
    at, pid = (tmp_path / "processes").read_text().split()
    assert len(at) == 19
    assert int(pid) > 0


def made(tmp_path: Path) -> Place:
    return place.make(tmp_path / "place", {}, "http://127.0.0.1:9/")


def systemctl(tools: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(tools / "sudo"), "-n", str(tools / "systemctl"), *words], capture_output=True, text=True, check=False
    )  # fmt: skip


def test_the_fake_systemd_hands_over_and_lists(tmp_path: Path) -> None:
    where = made(tmp_path)
    tools = place.fake_systemd(where)
    unit = "selfheal-heal@ei1-20261128-1-1.service"
    listing = ("list-units", "--all", "--output=json", "--no-pager", "selfheal-heal@*.service")
    assert parse_units(systemctl(tools, *listing).stdout) == {}
    assert systemctl(tools, "start", "--no-block", unit).returncode == 0
    assert (where.state / unit).read_text().strip() == str(os.getpid())
    assert parse_units(systemctl(tools, *listing).stdout) == {unit: "active"}
    (where.state / unit).write_text("999999999\n")
    assert parse_units(systemctl(tools, *listing).stdout) == {}
    assert "does not know" in systemctl(tools, "mask", unit).stderr


def test_the_fake_systemd_starts_what_the_unit_says(tmp_path: Path) -> None:
    where = made(tmp_path)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/ran\n')
    python.chmod(0o755)
    tools = place.fake_systemd(where, python)
    systemctl(tools, "start", "--no-block", "selfheal-heal@ei1-1-2.service")
    ran = place.wait_for(lambda: (tmp_path / "ran").exists() and (tmp_path / "ran").read_text(), 10.0, "the run")
    assert ran.split() == ["-m", "selfheal_cluster.healer.run_heal", "--config", str(where.config), "ei1-1-2"]


def verdicts(farm: Farm, now: float) -> dict[str, Any]:
    answers = {
        name: _nagios_parse.decode(farm.answer(cgi, query, now))["data"]
        for name, cgi, query in (
            ("services", "statusjson.cgi", "servicelist"),
            ("hosts", "statusjson.cgi", "hostlist"),
            ("downtimes", "statusjson.cgi", "downtimelist"),
            ("configured", "objectjson.cgi", "hostlist"),
        )
    }
    assert _nagios_parse.downtimes(answers["downtimes"], "a", "b") == []
    assert len(_nagios_parse.hosts(answers["hosts"])) == len(_nagios_parse.objects_hosts(answers["configured"])) == 40
    records = _nagios_parse.services(answers["services"])
    assert all(now - CHECK_SECONDS <= record["last_check"] <= now for record in records)
    gauges = _gauges.validate_gauges(_gauges.DEFAULT_GAUGES)
    hosts = {host["host"]: host for host in _nagios_parse.hosts(answers["hosts"])}
    by_node: dict[str, Any] = {}
    for record in records:
        by_node.setdefault(record["host"], []).append(record)
    return _gauges.evaluate(gauges, by_node, now, nodes=farm.nodes, hosts=hosts, reading_age_seconds=150)


def test_in_the_fake_nagios_exactly_those_are_ill_that_should_be() -> None:
    farm = Farm(40, 1, NOW)

    def faulty(now: float) -> list[str]:
        found = verdicts(farm, now)
        assert len(found) == 40
        return sorted(node for node, verdict in found.items() if verdict["verdict"] == "faulty")

    assert faulty(NOW) == []
    farm.fall(["node00003", "node00021"], NOW + 10)
    assert faulty(NOW + 11) == ["node00003", "node00021"]
    farm.fall(["node00021"], NOW + 20)
    assert faulty(NOW + 21) == ["node00021"]
    web = json.loads(farm.services(NOW + 21))["node00003"]["http"]
    assert (web["status"], web["last_check"]) == ("ok", int((NOW + 20) * 1000)), (
        "it was looked at again when it got well"
    )
