# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a unit runs: one heal through ansible-runner, named by nothing but incident and number."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.selfheal.cluster.plugins.action.heal_plan import origin_of
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import set_flag
from selfheal_cluster.healer import results, run_heal
from selfheal_cluster.healer.books import Books
from selfheal_cluster.healer.config import load
from tests.unit.healer.test_process import ENV, GROUP_VARS, settings


def place(folder: Path) -> tuple[Path, str, Books]:
    """A place with an incident of ei1 and a run of it that has been written down."""
    path = settings(folder, "http://127.0.0.1:9/")
    content = json.loads(path.read_text())
    everyone = {
        "all": {"vars": {"ansible_connection": "local", "selfheal_journal": content["journal"]}},
        "monitor": {"hosts": {"watch": {}}}, "extlb": {"hosts": {"lb1": {}}},
        "ei": {"hosts": {"ei1": {}, "ei2": {}}, "vars": GROUP_VARS},
    }  # fmt: skip
    (folder / "inventory" / "hosts.json").write_text(json.dumps(everyone))
    books = Books(content["journal"])
    incident = books.open_incident("ei1", "ei", "service", ["ill"], time.time())
    number = books.begin_run(incident, "selfheal-heal@{name}.service", time.time())
    return path, f"{incident}-{number}", books


def run(path: Path, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "selfheal_cluster.healer.run_heal", name, "--config", str(path)],
        env={**ENV, "SECRET": "s3cret"}, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def test_the_heal_is_run_in_a_folder_of_its_own_and_its_exit_code_is_given(tmp_path: Path) -> None:
    # Every host is reached locally here, so the real playbook refuses its target as our own host: nothing is touched.
    path, name, books = place(tmp_path)
    done = run(path, name)
    folder = tmp_path / "runs" / name
    assert done.returncode == 2, done.stdout + done.stderr
    assert "ei1 is the controller, the journal or Nagios" in done.stdout
    assert (folder / "artifacts" / "heal" / "rc").read_text() == "2"
    assert not (folder / "artifacts" / "heal" / "stdout").exists()
    assert folder.stat().st_mode & 0o777 == 0o700
    command = json.loads((folder / "artifacts" / "heal" / "command").read_text())
    assert command["command"][-1] == "selfheal.cluster.heal"
    assert command["env"]["SELFHEAL_RESULT_FILE"] == str(folder / "result.json")
    assert command["env"]["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert "SECRET" not in command["env"]
    said = json.loads((folder / "env" / "extravars").read_text())
    assert said == {"selfheal_node": "ei1", "selfheal_incident": name.rpartition("-")[0]}

    again = run(path, name)
    assert (again.returncode, "has been started before" in again.stderr) == (1, True)
    books.end_run(name.rpartition("-")[0], 1, "gone", time.time())
    books.close()
    assert "has ended already" in run(path, name).stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [("../x-1", "no name of a run"), ("ei1-nothing-1", "knows no run 1"), ("{{ ei1 }}-1", "no name of a run")],
)
def test_a_name_that_is_no_run_begins_nothing(
    tmp_path: Path, name: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _name, books = place(tmp_path)
    books.close()
    assert run_heal.main([name, "--config", str(path)]) == 1
    captured = capsys.readouterr().err
    assert said in captured
    assert captured.count("\n") == 1
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_closed_incident_is_not_healed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, name, books = place(tmp_path)
    books.close_incident(name.rpartition("-")[0], "recovered", time.time())
    books.close()
    assert run_heal.main([name, "--config", str(path)]) == 1
    assert "is closed" in capsys.readouterr().err


def test_what_a_person_took_over_before_the_unit_came_up_is_not_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, name, books = place(tmp_path)
    books.close()
    with Journal(json.loads(path.read_text())["journal"]) as journal:
        set_flag(journal, "taken:" + name.rpartition("-")[0], True, "anna", time.time())
    assert run_heal.main([name, "--config", str(path)]) == 1
    assert "has taken over" in capsys.readouterr().err
    assert list((tmp_path / "runs").iterdir()) == []


def test_only_two_hundred_runs_are_kept_and_never_one_that_lives(tmp_path: Path) -> None:
    path, name, books = place(tmp_path)
    books.close()
    runs = tmp_path / "runs"
    for number in range(1, 206):
        (runs / f"old-x-{number}").mkdir()
        os.utime(runs / f"old-x-{number}", (number, number))
    folder = run_heal.make_folder(load(str(path)).runs, name, ["old-x-1"])
    assert folder.is_dir()
    kept = {entry.name for entry in runs.iterdir() if entry.is_dir()}
    assert len(kept) == 202
    assert {"old-x-1", "old-x-205", name} <= kept
    assert "old-x-5" not in kept


def test_bytes_are_counted_after_the_heal_and_never_before_traffic_is_safe(tmp_path: Path) -> None:
    path, name, books = place(tmp_path)
    books.close()
    config = load(str(path))
    big = tmp_path / "runs" / "old-x-1"
    big.mkdir()
    with (big / "events").open("wb") as sparse:
        sparse.truncate(results.KEPT_BYTES + 1)
    run_heal.make_folder(config.runs, name, [])
    assert big.is_dir()
    run_heal.make_room(config, name)
    assert [entry.name for entry in (tmp_path / "runs").iterdir() if entry.is_dir()] == [name]


def test_a_heal_has_ended_as_it_did_whatever_becomes_of_old_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, name, books = place(tmp_path)
    books.close()
    config = load(str(path))
    Path(config.journal).unlink()
    run_heal.make_room(config, name)
    assert "old runs stay" in capsys.readouterr().err


def test_a_full_disk_is_told_and_the_runner_keeps_no_output_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the runner cannot write into its copy of the output ends the heal, between restart and return as well."""
    path, name, books = place(tmp_path)
    books.close()
    asked: dict[str, object] = {}

    def full(**given: object) -> None:
        asked.update(given)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = dict(os.environ)
    monkeypatch.setattr("ansible_runner.interface.init_runner", full)
    try:
        assert run_heal.main([name, "--config", str(path)]) == 1
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert asked["settings"] == {"suppress_output_file": True, "pexpect_timeout": 1}
    assert "No space left on device" in capsys.readouterr().err


def test_a_heal_of_the_healer_says_whose_it_is(tmp_path: Path) -> None:
    """Mode approve: what the healer starts waits for a person's word, what a person types does not."""
    env = run_heal.run_environment(load(str(place(tmp_path)[0])), tmp_path, {})
    assert origin_of(env) == "healer"
    assert origin_of({}) == "hand"
