# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A prepared run waits for its incident, is used once, and never when it knows an old world; real sockets."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import set_flag
from selfheal_cluster.healer import ahead, ready, warm
from selfheal_cluster.healer.acts import Acts
from selfheal_cluster.healer.log import Troubles
from selfheal_cluster.healer.ready import Ready, folder_of
from selfheal_cluster.healer.units import Units
from tests.integration.nagios_fixture import wait_for
from tests.unit.healer.test_parts import GOOD, config
from tests.unit.healer.test_process import ENV
from tests.unit.healer.test_run_heal import place, run

NOW = 1_795_560_000.0
PATTERN = "selfheal-heal@{name}.service"
PATIENCE = 120.0


class FakeUnits:
    """systemd that begins nothing by itself; ``begin`` is what a test does at a start."""

    def __init__(self, begin: Callable[[str], None] = lambda unit: None) -> None:
        self.begin = begin
        self.started: list[str] = []
        self.active: dict[str, str] = {}
        self.refused = ""

    def name(self, incident: str, number: int) -> str:
        return Units(PATTERN).name(incident, number)

    def start(self, unit: str) -> None:
        if self.refused:
            raise SelfhealError("no_systemd", self.refused)
        self.started.append(unit)
        self.begin(unit)

    def listed(self) -> dict[str, str]:
        return self.active


def name_of(unit: str) -> str:
    return unit.removeprefix("selfheal-heal@").removesuffix(".service")


class Place:
    """A healer's side, and a fake of the waiting process at the other end."""

    def __init__(self, folder: Path) -> None:
        self.runs = folder / "runs"
        self.runs.mkdir(exist_ok=True)
        self.read = folder / "ansible.cfg"
        self.read.write_text("[defaults]\n")
        self.said: list[str] = []
        self.units = FakeUnits()
        self.ready = Ready(str(self.runs), self.units, [str(self.read)], self.said.append)

    def call(self, name: str) -> socket.socket:
        line = socket.socket(socket.AF_UNIX)
        with ready.short(self.runs / ready.SOCKET) as address:
            line.connect(address)
        line.sendall(json.dumps({"ready": name}).encode() + b"\n")
        return line

    def waiting(self, now: float = NOW) -> tuple[str, socket.socket]:
        self.ready.step(now, True)
        unit = self.units.started[-1]
        line = self.call(name_of(unit))
        assert self.ready.unit(now) == unit
        return unit, line


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    found.ready.close()


def closed(line: socket.socket) -> bool:
    line.settimeout(5.0)
    return line.recv(100) == b""


def test_one_that_waits_hears_the_name_of_its_run_and_is_used_once(here: Place) -> None:
    unit, line = here.waiting()
    assert here.ready.give("ei1-20261130-1-1")
    assert json.loads(line.recv(1000)) == {"run": "ei1-20261130-1-1"}
    assert closed(line)
    assert here.ready.unit(NOW) == "" and not here.ready.give("ei1-20261130-1-1")
    here.ready.step(NOW + 1, False)
    assert here.units.started == [unit], "not while it is not wanted"
    here.ready.step(NOW + 2, True)
    assert len(here.units.started) == 2 and here.units.started[1] != unit


def test_until_it_says_that_it_waits_there_is_none_and_no_second_one_is_begun(here: Place) -> None:
    for second in range(30):
        here.ready.step(NOW + second, True)
        assert here.ready.unit(NOW + second) == ""
    assert len(here.units.started) == 1


@pytest.mark.parametrize("change", ["died", "read_another_file", "the_file_is_gone", "too_old", "clock_went_back"])
def test_one_that_is_not_to_be_trusted_is_let_go(here: Place, change: str) -> None:
    unit, line = here.waiting()
    now = NOW + 1
    if change == "died":
        line.close()
    elif change == "read_another_file":
        here.read.write_text("[defaults]\nforks = 1\n")
    elif change == "the_file_is_gone":
        here.read.unlink()
    else:
        now = NOW + ready.WAIT_SECONDS if change == "too_old" else NOW - 100
    assert here.ready.unit(now) == ""
    here.ready.step(now, True)
    if change == "died":
        assert len(here.units.started) == 1 and "ended while it waited" in here.said[0]
        here.ready.step(now + ready.FIRST_PAUSE_SECONDS, True)  # one that always dies is not begun every second
    else:
        assert closed(line), "it ends with its connection"
    assert len(here.units.started) == 2 and here.units.started[1] != unit, "another one is begun in its place"


def test_a_stranger_at_the_socket_gets_nothing(here: Place) -> None:
    here.ready.step(NOW, True)
    name = name_of(here.units.started[0])
    lines = [here.call(other) for other in ("ready-00000000-1", "", "../x")]
    assert here.ready.unit(NOW) == ""
    assert all(closed(line) for line in lines)
    own = here.call(name)
    assert here.ready.unit(NOW) == here.units.started[0]
    here.call(name).close()
    here.ready.step(NOW + 1, True)
    assert here.ready.unit(NOW + 1), "one more caller changes nothing"
    assert here.ready.give("a-1")
    assert own.recv(100) == b'{"run": "a-1"}\n'
    assert (here.runs / ready.SOCKET).stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_begun_is_said_once_and_tried_again_more_and_more_seldom(here: Place) -> None:
    here.units.refused = "cannot start it: no systemd"
    tried = []
    for second in range(100):
        before = here.ready._not_before
        here.ready.step(NOW + second, True)
        if here.ready._not_before != before:
            tried.append(second)
    assert tried == [0, 10, 30, 70]
    assert here.said == [
        "prepared run: cannot start it: no systemd; heals start without one, which takes a second longer"
    ]
    here.units.refused = ""
    here.waiting(NOW + 1000)
    assert here.said[1:] == ["prepared run: waits again"]


def test_one_that_never_comes_up_is_given_up(here: Place) -> None:
    here.ready.step(NOW, True)
    here.ready.step(NOW + ready.COME_SECONDS, True)
    assert "did not come up in 60 s" in here.said[0]
    here.ready.step(NOW + ready.COME_SECONDS + 1, True)
    assert len(here.units.started) == 1, "a pause first"
    here.ready.step(NOW + ready.COME_SECONDS + 11, True)
    assert len(here.units.started) == 2


def test_what_killed_ones_left_is_swept_and_nothing_else(here: Place) -> None:
    used, left, linked = "ready-0000000a-1", "ready-0000000b-1", "ready-0000000c-1"
    for name in (used, left):
        (folder_of(str(here.runs), name) / "env").mkdir(parents=True)
    folder_of(str(here.runs), linked).symlink_to("ei1-x-1")
    for other in ("ei1-x-1", ".ready-else", "somebody"):
        (here.runs / other).mkdir()
    here.units.active = {f"selfheal-heal@{used}.service": "active"}
    here.ready.step(NOW, True)
    assert sorted(entry.name for entry in here.runs.iterdir()) == [
        ".ready", f".{used}", ".ready-else", "ei1-x-1", "somebody",
    ]  # fmt: skip


def test_the_end_of_the_healer_is_the_end_of_the_one_that_waits(here: Place) -> None:
    _unit, line = here.waiting()
    here.ready.close()
    assert closed(line)
    assert not (here.runs / ready.SOCKET).exists()


def test_the_one_that_waits_hears_of_a_suspect_node_and_not_the_same_each_second(here: Place) -> None:
    here.ready.suspect("ei1", NOW)  # there is none yet
    _unit, line = here.waiting()
    for second, node in [(0, "ei1"), (1, "ei1"), (2, "ei2"), (3, "ei2"), (2 + ready.OPEN_SECONDS, "ei2")]:
        here.ready.suspect(node, NOW + second)
    assert [json.loads(word)["suspect"] for word in line.recv(1000).splitlines()] == ["ei1", "ei2", "ei2"]
    line.close()
    here.ready.suspect("ei3", NOW + 500)  # gone, which the next step finds
    here.ready.step(NOW + 501, True)
    here.ready.step(NOW + 520, True)
    line = here.call(name_of(here.units.started[-1]))
    assert here.ready.unit(NOW + 521)
    here.ready.suspect("ei3", NOW + 522)
    assert json.loads(line.recv(1000)) == {"suspect": "ei3"}, "another prepared run has opened nothing"


SUSPECT: dict[str, Any] = {"verdict": "suspect"}
ALERT: dict[str, Any] = {"host": "ei1", "service": "memory", "state": "CRITICAL", "type": "SOFT"}
ACTS: dict[str, Any] = {"mode": "act", "nodes": ["ei1", "ei2"]}


@pytest.mark.parametrize(
    ("world", "policy", "node"),
    [
        pytest.param({"verdicts": {"ei2": SUSPECT, "ei1": {"verdict": "ok"}}}, ACTS, "ei2", id="suspect"),
        pytest.param({"verdicts": {"ei2": SUSPECT, "ei1": SUSPECT}}, ACTS, "ei1", id="always the same of two"),
        pytest.param({"alerts": [ALERT]}, ACTS, "ei1", id="an alert comes before its reading"),
        pytest.param({"alerts": [{**ALERT, "state": "OK"}]}, ACTS, "", id="Nagios calls it well"),
        pytest.param(
            {"alerts": [{**ALERT, "host": "ei2"}], "verdicts": {"ei1": SUSPECT}}, ACTS, "ei2", id="it is newer"
        ),
        pytest.param({"alerts": [ALERT], "incidents": [{"node": "ei1"}]}, ACTS, "", id="its heal has begun, or waits"),
        pytest.param({"verdicts": {"ei1": {"verdict": "faulty"}}}, ACTS, "", id="its heal begins, or is refused, now"),
        pytest.param({"verdicts": {"ei1": {**SUSPECT, "layer_load": True}}}, ACTS, "", id="load is no illness"),
        pytest.param({"verdicts": {"ei1": SUSPECT}}, {**ACTS, "mode": "observe"}, "", id="only observed"),
        pytest.param({"verdicts": {"ei1": SUSPECT}}, {**ACTS, "mode": "approve"}, "ei1", id="once it is approved"),
        pytest.param({"verdicts": {"db1": SUSPECT}}, ACTS, "", id="of no layer"),
        pytest.param({}, ACTS, "", id="Nagios was not read"),
    ],
)
def test_connections_are_opened_for_a_node_that_may_soon_be_healed(
    world: dict[str, Any], policy: dict[str, Any], node: str
) -> None:
    assert ready.nearest({**world, "policies": {"ei": policy}}) == node


def test_without_a_policy_no_node_is_near() -> None:
    assert ready.nearest({"alerts": [ALERT]}) == ""


def test_what_is_opened_ahead_is_told_again_before_it_closes() -> None:
    unit = Path(__file__).parents[3] / "roles/healer/templates/selfheal-heal@.service.j2"
    (seconds,) = re.findall(r"ControlPersist=(\d+)s", unit.read_text())
    assert int(seconds) > ready.OPEN_SECONDS


def test_a_socket_fits_whatever_the_path_of_its_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    found = Place(deep)
    found.waiting()[1].close()
    found.ready.close()


def test_one_that_was_given_up_is_let_go_when_it_comes_at_last(here: Place) -> None:
    here.ready.step(NOW, True)
    here.ready.step(NOW + ready.COME_SECONDS, True)
    late = here.call(name_of(here.units.started[0]))
    here.ready.step(NOW + ready.COME_SECONDS + 1, False)
    assert closed(late)


def test_another_version_in_the_same_place_is_another_world(tmp_path: Path) -> None:
    found = ready.code()
    for part in ("/ansible/release.py", "/ansible_runner", "/healer", "/plugins/action", "/plugins/module_utils"):
        assert [path for path in found if path.endswith(part) and Path(path).exists()], part
    (tmp_path / "a.py").write_text("")
    before = ready.seal([str(tmp_path)])
    (tmp_path / "b.py").write_text("")
    assert ready.seal([str(tmp_path)]) != before


def test_the_unit_may_live_as_much_longer_as_a_run_may_wait() -> None:
    unit = Path(__file__).parents[3] / "roles/healer/templates/selfheal-heal@.service.j2"
    assert f"+ ({ready.WAIT_SECONDS:.0f} if healer_prepare_run" in unit.read_text()


# -- carrying out a start ------------------------------------------------------------------------------


class FakeBooks:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.count = 0

    def begin_run(self, incident: str, unit: str, now: float, why: str = "ill") -> int:
        self.count += 1
        self.asked.append(f"begin {self.count} {unit}")
        return self.count

    def end_run(self, incident: str, number: int, outcome: str, now: float) -> None:
        self.asked.append(f"end {number} {outcome}")


class FakePrepared:
    def __init__(self, hears: bool) -> None:
        self.hears = hears
        self.given: list[str] = []

    def unit(self, now: float) -> str:
        return "selfheal-heal@ready-0000000a-1.service"

    def suspect(self, node: str, now: float) -> None:
        raise AssertionError("a start opens nothing ahead")

    def give(self, name: str) -> bool:
        self.given.append(name)
        return self.hears


@pytest.mark.parametrize(("hears", "asked", "started"), [
    (True, ["begin 1 selfheal-heal@ready-0000000a-1.service"], []),
    (False, ["begin 1 selfheal-heal@ready-0000000a-1.service", "end 1 not_started", f"begin 2 {PATTERN}"],
     ["selfheal-heal@I1-2.service"]),
])  # fmt: skip
def test_a_start_goes_to_the_one_that_waits_or_to_systemd_and_never_to_both(
    hears: bool, asked: list[str], started: list[str]
) -> None:
    books, units, waits = FakeBooks(), FakeUnits(), FakePrepared(hears)
    prepared: Any = waits
    acts = Acts(config.parse(GOOD), books, units, Troubles(lambda _: None), lambda _: None, prepared)
    acts.carry_out([{"act": "start", "incident": "I1", "node": "ei1"}], {}, NOW)
    assert (books.asked, units.started, waits.given) == (asked, started, ["I1-1"])


# -- the real process ----------------------------------------------------------------------------------


class Real:
    """A real unit's process behind the healer's side; only systemd is a fake."""

    def __init__(self, folder: Path) -> None:
        self.path, self.run, self.books = place(folder)
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None
        self.units = FakeUnits(self.begin)
        self.said: list[str] = []
        self.ready = Ready(str(folder / "runs"), self.units, [str(self.path)], self.said.append)

    def begin(self, unit: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "selfheal_cluster.healer.run_heal", name_of(unit), "--config", str(self.path)],
            env={**ENV, "SECRET": "s3cret"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def wait(self) -> str:
        self.ready.step(time.time(), True)

        def waits() -> str:
            assert self.process is not None and self.process.poll() is None
            return self.ready.unit(time.time())

        return str(wait_for(waits, PATIENCE, "the prepared run"))

    def ended(self) -> tuple[int, str]:
        assert self.process is not None
        out, _errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Real]:
    found = Real(tmp_path)
    yield found
    found.ready.close()
    if found.process is not None and found.process.poll() is None:
        found.process.kill()
        found.process.wait()


def visible(folder: Path) -> list[str]:
    return sorted(entry.name for entry in (folder / "runs").iterdir())


def test_the_prepared_heal_is_the_same_heal(real: Real) -> None:
    # Every host is reached locally here, so the real playbook refuses its target as our own host: nothing is touched.
    unit = real.wait()
    assert visible(real.folder) == [".ready", f".{name_of(unit)}"]
    assert real.ready.give(real.run)
    code, out = real.ended()
    assert code == 2, out
    assert f"heal of ei1, incident {real.run.rpartition('-')[0]}, in {real.folder}/runs/{real.run}" in out
    assert "ei1 is the controller, the journal or Nagios" in out
    folder = real.folder / "runs" / real.run
    assert (folder / "artifacts" / "heal" / "rc").read_text() == "2"
    assert list((folder / "artifacts" / "heal" / "job_events").glob("*.json"))
    assert folder.stat().st_mode & 0o777 == 0o700
    said = json.loads((folder / "env" / "extravars").read_text())
    assert said == {"selfheal_node": "ei1", "selfheal_incident": real.run.rpartition("-")[0]}
    assert "s3cret" not in (folder / "artifacts" / "heal" / "command").read_text()
    assert "already been configured" not in out and "WARNING" not in out
    assert visible(real.folder) == [".ready", real.run], "it is found by the name of its run alone"
    again = run(real.path, real.run)
    assert (again.returncode, "has been started before" in again.stderr) == (1, True)


def test_a_healer_that_ends_leaves_no_prepared_run(real: Real) -> None:
    real.wait()
    real.ready.close()
    code, out = real.ended()
    assert code == 0, out
    assert visible(real.folder) == []


@pytest.mark.parametrize("reason", ["taken", "started_before", "unknown"])
def test_a_run_that_may_not_begin_does_not_begin_in_a_prepared_one_either(real: Real, reason: str) -> None:
    real.wait()
    incident, name = real.run.rpartition("-")[0], real.run
    if reason == "taken":
        with Journal(str(real.folder / "journal.db")) as journal:
            set_flag(journal, "taken:" + incident, True, "anna", time.time())
    elif reason == "started_before":
        (real.folder / "runs" / name).mkdir()
    else:
        name = f"{incident}-7"
    assert real.ready.give(name)
    code, out = real.ended()
    expected = {
        "taken": "a person has taken over", "started_before": "has been started before", "unknown": "knows no run 7",
    }  # fmt: skip
    assert code == 1 and expected[reason] in out, out
    assert "PLAY" not in out
    assert not [entry for entry in visible(real.folder) if entry.startswith(".ready-")]


def test_a_process_that_is_killed_while_it_waits_is_missed_at_once(real: Real) -> None:
    real.wait()
    assert real.process is not None
    os.kill(real.process.pid, signal.SIGKILL)
    real.process.wait()
    # Its child notices that its terminal is gone.
    wait_for(lambda: not real.ready.unit(time.time()), PATIENCE, "the end of the prepared run")


LOADED_AHEAD = """
import sys
from selfheal_cluster.healer import warm
warm.load()
from ansible.cli.playbook import PlaybookCLI
sys.argv = ["ansible-playbook", "-i", "inventory", "play.yml"]
PlaybookCLI.cli_executor()
"""


def test_what_is_loaded_ahead_reads_an_inventory_as_ever(tmp_path: Path) -> None:
    (tmp_path / "inventory/group_vars").mkdir(parents=True)
    (tmp_path / "inventory/hosts.yml").write_text("{ei: {hosts: {ei1: {ansible_connection: local}}}}")
    (tmp_path / "inventory/group_vars/ei.yml").write_text("of_the_group: 7")
    (tmp_path / "play.yml").write_text(
        "[{hosts: ei, gather_facts: false, tasks: [{debug: {msg: 'it is {{ of_the_group }}'}}]}]"
    )
    done = subprocess.run(
        [sys.executable, "-c", LOADED_AHEAD], cwd=tmp_path, env=ENV, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0 and "it is 7" in done.stdout, done.stdout + done.stderr


def test_packing_beside_the_wait_ends_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def pack(parent: int) -> None:
        (tmp_path / "child.new").write_text(f"{os.getpid()} {parent}")
        (tmp_path / "child.new").rename(tmp_path / "child")
        time.sleep(PATIENCE)

    monkeypatch.setattr(warm, "pack", pack)
    with pytest.raises(KeyError), warm.packing():  # whatever ends the wait
        wait_for((tmp_path / "child").exists, PATIENCE, "the child")
        raise KeyError
    child, parent = map(int, (tmp_path / "child").read_text().split())
    assert parent == os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_packing_that_fails_is_no_matter_of_the_heal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm, "pack", lambda parent: 1 / 0)
    with warm.packing():
        pass


def test_without_a_process_for_packing_it_waits_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    with warm.packing():
        pass


# -- opening ahead ---------------------------------------------------------------------------------------


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_connections_are_opened_in_a_child_that_ends_with_all_it_began(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def play(inventory: str, node: str) -> None:
        os.write(1, b"an event of the heal?")
        worker = os.fork()
        if not worker:  # one that is no worker of Ansible: those have sessions of their own
            time.sleep(PATIENCE)
            os._exit(0)
        (tmp_path / "new").write_text(f"{os.getpid()} {worker} {inventory} {node}")
        (tmp_path / "new").rename(tmp_path / node)
        time.sleep(PATIENCE)

    monkeypatch.setattr(ahead, "play", play)
    own = ahead.Ahead("/etc/inventory")
    own.end()  # nothing was begun
    own.begin("ei1")
    wait_for((tmp_path / "ei1").exists, PATIENCE, "the child")
    own.begin("ei2")  # the first one still works
    child, worker, *told = (tmp_path / "ei1").read_text().split()
    assert told == ["/etc/inventory", "ei1"]
    own.end()
    wait_for(lambda: not alive(int(child)) and not alive(int(worker)), PATIENCE, "the end of both")
    assert [path.name for path in tmp_path.iterdir()] == ["ei1"] and capfd.readouterr().out == ""


def test_a_child_that_has_ended_makes_room_for_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def play(_inventory: str, node: str) -> None:
        (tmp_path / node).touch()
        raise SystemExit(4)  # how Ansible ends where a host was not reached

    monkeypatch.setattr(ahead, "play", play)
    own = ahead.Ahead("")

    def opened(node: str) -> bool:
        own.begin(node)
        return (tmp_path / node).exists()

    for node in ("ei1", "ei2"):
        wait_for(functools.partial(opened, node), PATIENCE, node)
    own.end()


def test_without_a_process_nothing_is_opened_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    own = ahead.Ahead("")
    own.begin("ei1")
    own.end()


def test_a_word_about_a_node_and_the_name_of_the_run_may_come_together(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.ready.step(NOW, True)
    heard: list[str] = []
    answers: list[str] = []
    terminal, other = os.openpty()
    kept = os.dup(0)
    os.dup2(other, 0)  # a terminal that is silent, as the runner's is
    try:
        waiting = threading.Thread(
            target=lambda: answers.append(warm.wait(str(here.runs), name_of(here.units.started[0]), heard.append))
        )
        waiting.start()
        wait_for(lambda: here.ready.unit(NOW), PATIENCE, "the call")
        here.ready.suspect("ei1", NOW)
        here.ready.suspect("ei2", NOW)
        assert here.ready.give("ei2-20261130-1-1")
        waiting.join(PATIENCE)
    finally:
        os.dup2(kept, 0)
        for each in (kept, terminal, other):
            os.close(each)
    assert (heard, answers) == (["ei1", "ei2"], ["ei2-20261130-1-1"])
