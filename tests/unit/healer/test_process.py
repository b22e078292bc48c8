# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The healer as a process: its command line, its children, a real Nagios, and what it costs in memory."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import initialise
from selfheal_cluster.healer.__main__ import build
from selfheal_cluster.healer.child import Child, module
from selfheal_cluster.healer.config import load
from selfheal_cluster.healer.log import Log
from selfheal_cluster.healer.pace import Pace
from selfheal_cluster.healer.policies import PolicyReader
from selfheal_cluster.healer.reading import Reading
from tests.integration.nagios_fixture import PASSWORD, USER, RealNagios, host_object, service_object, wait_for
from tests.processes import gone

ROOT = Path(__file__).parents[3]
ENV = {**os.environ, "PYTHONPATH": f"{ROOT}/runner:{ROOT}/.dev"}
FORBIDDEN = ("typer", "rich", "requests", "prometheus_client", "jinja2", "ansible_runner", "ansible", "yaml")
GROUP_VARS = {
    "selfheal_strategy": "lb_detach", "selfheal_mode": "act", "selfheal_balancers": "extlb", "selfheal_port": 80,
    "selfheal_service": "ei.service",
    "selfheal_gauges": [{"name": "web", "service": "web", "read": "state", "kind": "service"}],
}  # fmt: skip


@pytest.fixture(autouse=True)
def paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children find our code as this process does."""
    monkeypatch.setenv("PYTHONPATH", ENV["PYTHONPATH"])


def settings(folder: Path, url: str) -> Path:
    """A whole place for a healer: journal, spool, runs, an inventory of one layer, and its settings."""
    for name in ("spool", "runs", "inventory"):
        (folder / name).mkdir()
    (folder / "password").write_text(PASSWORD + "\n")
    (folder / "ansible.cfg").write_text("[defaults]\n")
    inventory = {"ei": {"hosts": {"ei1": {}, "ei2": {}}, "vars": GROUP_VARS}, "extlb": {"hosts": {"lb1": {}}}}
    (folder / "inventory" / "hosts.json").write_text(json.dumps(inventory))
    journal = str(folder / "journal.db")
    Journal.create(journal, time.time())
    with Journal(journal) as found:
        initialise(found, {}, time.time())
    path = folder / "healer.json"
    path.write_text(json.dumps({
        "inventory": str(folder / "inventory"), "journal": journal, "spool": str(folder / "spool"),
        "runs": str(folder / "runs"), "ansible_config": str(folder / "ansible.cfg"), "web_unit": "",
        "command_file": str(folder / "nagios.cmd"), "poll_seconds": 0.5,
        "nagios": {"url": url, "user": USER, "password_file": str(folder / "password")},
    }))  # fmt: skip
    return path


def healer(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "selfheal_cluster.healer", *arguments], env=ENV, capture_output=True, text=True,
        timeout=200, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def nagios() -> Iterator[RealNagios]:
    objects = host_object("monitor") + service_object("monitor", "selfheal")
    for name in ("ei1", "ei2"):
        objects += host_object(name) + service_object(name, "web")
        objects += service_object("monitor", f"selfheal: {name}")
    with RealNagios(objects) as real:
        yield real


def with_pipe(path: Path, real: RealNagios) -> None:
    content = json.loads(path.read_text())
    content["command_file"] = str(real.pipe)
    path.write_text(json.dumps(content))


def rows(path: Path, sql: str) -> list[dict[str, Any]]:
    with Journal(json.loads(path.read_text())["journal"]) as journal:
        return journal.rows(sql)


def test_the_resident_loop_imports_nothing_heavy() -> None:
    code = (
        "import sys, selfheal_cluster.healer.__main__ as m;"
        f"print([name for name in {FORBIDDEN!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=ENV, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line(tmp_path: Path) -> None:
    done = healer("--help")
    assert done.returncode == 0
    assert "Exit codes" in done.stdout
    assert healer("--twice").returncode == 2
    done = healer("--config", str(tmp_path / "none.json"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "none.json cannot be read" in done.stderr


def test_without_a_journal_one_round_says_so_and_the_resident_one_waits_for_it(tmp_path: Path) -> None:
    path = settings(tmp_path, "http://127.0.0.1:9/")
    (tmp_path / "journal.db").rename(tmp_path / "aside.db")
    done = healer("--config", str(path), "--once")
    assert done.returncode == 1
    assert "no journal at" in done.stderr
    log = tmp_path / "log"
    with log.open("w") as sink, subprocess.Popen(
        [sys.executable, "-m", "selfheal_cluster.healer", "--config", str(path)], env=ENV, stdout=sink,
    ) as process:  # fmt: skip
        try:
            wait_for(lambda: "journal:" in log.read_text(), 30.0, "the line about the journal")
            (tmp_path / "aside.db").rename(tmp_path / "journal.db")
            wait_for(lambda: "journal: can be used again" in log.read_text(), 30.0, "the journal is back")
            assert process.poll() is None
        finally:
            process.terminate()
            assert process.wait(30) == 0
    assert sum(line.startswith("journal:") for line in log.read_text().splitlines()) == 2, log.read_text()


def test_one_round_on_a_real_nagios(tmp_path: Path, nagios: RealNagios, capsys: pytest.CaptureFixture[str]) -> None:
    path = settings(tmp_path, nagios.url)
    with_pipe(path, nagios)
    nagios.passive("ei1", "web", 2, "no answer")
    nagios.passive("ei2", "web", 0, "fine")
    event = {"v": 1, "at": time.time(), "host": "ei1", "service": "web", "state": "CRITICAL", "type": "HARD",
             "attempt": 1, "event_id": 1}  # fmt: skip
    (tmp_path / "spool" / "00000000000000000005-1.event").write_text(json.dumps(event))
    time.sleep(2.5)  # Nagios writes its state out once a second
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = healer("--config", str(path), "--once")
    # The unit cannot be started here (no such unit, no sudo rule): that is told, and counts as not well.
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert list((tmp_path / "spool").glob("*.event")) == []
    assert "inventory: watching ei" in done.stdout
    incidents = rows(path, "SELECT node, illness FROM incidents")
    assert [(row["node"], row["illness"]) for row in incidents] == [("ei1", "service")], done.stdout
    assert [row["outcome"] for row in rows(path, "SELECT outcome FROM alerts")] == ["opened"]
    assert len(rows(path, "SELECT DISTINCT node FROM readings")) == 2
    wait_for(lambda: "EXTERNAL COMMAND: PROCESS_SERVICE_CHECK_RESULT;monitor;selfheal;" in nagios.log, what="heartbeat")
    assert "PROCESS_SERVICE_CHECK_RESULT;monitor;selfheal: ei1;0;" in nagios.log
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\nlargest process of a round: {after.ru_maxrss / 1024:.0f} MB (before: {before.ru_maxrss / 1024:.0f} MB)")
    print(done.stdout)


def test_a_nagios_that_is_away_is_told_in_one_line(tmp_path: Path) -> None:
    path = settings(tmp_path, "http://127.0.0.1:9/nagios4/cgi-bin")
    done = healer("--config", str(path), "--once")
    assert done.returncode == 3
    assert sum(line.startswith("nagios:") for line in done.stdout.splitlines()) == 1, done.stdout
    assert rows(path, "SELECT id FROM incidents") == []


def test_nagios_stopped_is_one_line_and_it_goes_on_by_itself(tmp_path: Path, nagios: RealNagios) -> None:
    path = settings(tmp_path, nagios.url)
    with_pipe(path, nagios)
    sink = io.StringIO()
    healer = build(load(str(path)), Log(sink))
    seen: list[Reading] = []

    def readings(fresh: bool, count: int) -> bool:
        """Tick, without the pace that a busy machine would get, until so many readings in a row are such."""
        healer.pace = Pace()
        healer.tick(time.time())
        if healer.last is not None and (not seen or seen[-1] is not healer.last):
            seen.append(healer.last)
        return [one.fresh for one in seen[-count:]] == [fresh] * count

    try:
        wait_for(lambda: readings(True, 1), 60.0, "a reading")
        nagios.stop()
        wait_for(lambda: readings(False, 3), 60.0, "three readings that fail")
        assert sink.getvalue().count("nagios:") == 1, sink.getvalue()
        nagios.start()
        wait_for(lambda: readings(True, 2), 60.0, "two readings that are good again")
    finally:
        healer.close()
    told = [line for line in sink.getvalue().splitlines() if line.startswith("nagios:")]
    assert len(told) == 2, told
    assert told[1].endswith("again"), told


def test_two_healers_do_not_work_at_once_and_term_ends_one(tmp_path: Path, nagios: RealNagios) -> None:
    path = settings(tmp_path, nagios.url)
    with_pipe(path, nagios)
    with subprocess.Popen(
        [sys.executable, "-m", "selfheal_cluster.healer", "--config", str(path)], env=ENV, stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            assert "healer: started" in process.stdout.readline()
            second = healer("--config", str(path))
            assert (second.returncode, "another healer works here" in second.stderr) == (1, True)
            wait_for(lambda: rows(path, "SELECT 1 FROM readings"), 60.0, "a reading")
            resident = Path(f"/proc/{process.pid}/status").read_text()
            peak = next(line for line in resident.splitlines() if line.startswith("VmHWM"))
            print(f"\nresident loop: {peak}")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert "healer: stopped" in process.stdout.read()
        finally:
            process.kill()


def test_policies_are_rendered_and_problems_told(tmp_path: Path) -> None:
    path = settings(tmp_path, "http://127.0.0.1:9/")
    found = json.loads(path.read_text())
    reader = PolicyReader(found["inventory"], found["ansible_config"])
    assert reader.changed()
    reader.begin()
    answer = wait_for(reader.collect, 60.0, "the policies")
    assert sorted(answer["policies"]) == ["ei"]
    assert answer["problems"] == {}
    assert not reader.changed()
    wrong = {"ei": {"hosts": {"ei1": {}}, "vars": {**GROUP_VARS, "selfheal_mode": "perhaps"}}}
    (tmp_path / "inventory" / "hosts.json").write_text(json.dumps(wrong))
    assert reader.changed()
    reader.begin()
    answer = wait_for(reader.collect, 60.0, "the policies")
    assert answer["policies"] == {}
    assert "selfheal_mode" in answer["problems"]["ei"]


def test_a_rendering_that_failed_is_tried_again(tmp_path: Path) -> None:
    """Killed for want of memory, or too slow: nothing of the inventory changes by that."""
    path = settings(tmp_path, "http://127.0.0.1:9/")
    found = json.loads(path.read_text())
    (tmp_path / "broken.cfg").write_text("no section\n")
    reader = PolicyReader(found["inventory"], str(tmp_path / "broken.cfg"))
    reader.begin()
    answer = wait_for(reader.collect, 60.0, "the policies")
    assert answer["policies"] == {} and "cannot be read" in answer["problems"]["inventory"]
    assert reader.changed()


# -- children ------------------------------------------------------------------------------------


def python(code: str, timeout: float = 30.0) -> Child:
    return Child([sys.executable, "-c", code], timeout)


def test_a_child_answers_more_than_a_pipe_holds() -> None:
    child = python("import json, sys; q = json.load(sys.stdin); [print(json.dumps(q)) for _ in range(20000)]")
    child.begin({"a": "b" * 50})
    ended = wait_for(child.ended, 30.0, "the child")
    assert ended.code == 0
    assert sum(1 for line in child.answer() if line["a"].startswith("b")) == 20000
    assert not child.running


def test_a_child_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, time;"
        f"p = subprocess.Popen(['sleep', '60']); open({str(pid_file)!r}, 'w').write(str(p.pid)); time.sleep(60)"
    )
    now = [0.0]
    child = Child([sys.executable, "-c", code], 5.0, clock=lambda: now[0])
    child.begin({})
    wait_for(lambda: pid_file.exists() and pid_file.read_text(), what="its child")
    assert child.ended() is None
    now[0] = 5.0
    ended = wait_for(child.ended, 30.0, "the end of what was killed")
    assert (ended.timed_out, ended.code) == (True, -signal.SIGKILL)
    grandchild = int(pid_file.read_text())
    wait_for(lambda: gone(grandchild), what="the end of its child")


def test_a_child_that_fails_says_why() -> None:
    child = python("raise RuntimeError('no luck')")
    child.begin({})
    ended = wait_for(child.ended, 30.0, "the child")
    assert ended.code == 1
    assert ended.said.endswith("RuntimeError: no luck")
    assert list(child.answer()) == []


def test_our_own_python_runs_a_module() -> None:
    assert module("a.b", "c") == [sys.executable, "-m", "a.b", "c"]
