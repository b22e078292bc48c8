# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The end that the player waits for, what it reads on the monitor, and that its hands never heal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from lab.machines import Lab, LabError, wait_until
from lab.runs import SEPARATOR, runs_from
from tests.campaign.driver import ROOT
from tests.campaign.scenario_model import ON_MONITOR, ON_NODES, Step
from tests.campaign.scenario_monitor import BESIDE, OOM, Hands, Monitor, merged, parsed
from tests.campaign.scenario_play import due, reached
from tests.unit.campaign.scenario_story import BEGIN, FARM, SCENARIOS


def incident(
    state: str = "closed", outcome: str = "healed", at: float = BEGIN + 5.0, node: str = "ei1"
) -> dict[str, Any]:
    return {"incident": f"{node}-1", "node": node, "state": state, "outcome": outcome, "opened_at": at}


@pytest.mark.parametrize(
    ("name", "incidents", "called", "missing"),
    [
        ("memory-on-a-member", [], [], ["ei1"]),
        ("memory-on-a-member", [incident()], [], []),
        ("memory-on-a-member", [incident(outcome="undone")], [], ["ei1"]),
        ("memory-on-a-member", [incident("open", "")], ["ei1"], ["ei1"]),
        ("memory-on-a-member", [incident(at=BEGIN - 50)], [], ["ei1"]),
        ("memory-on-a-member", [incident(), incident("open", "")], [], ["ei1"]),
        ("memory-on-a-member", [incident(node="ei2")], [], ["ei1"]),
        ("disk-full", [incident("open", "")], [], ["ei1"]),
        ("disk-full", [incident("open", "")], ["ei1"], []),
        ("disk-full", [incident(outcome="healed")], [], ["ei1"]),
        ("member-cut-and-back", [incident(outcome="recovered")], [], []),
        ("load-peak", [], [], []),
    ],
)
def test_the_end_that_is_waited_for(
    name: str, incidents: list[dict[str, Any]], called: list[str], missing: list[str]
) -> None:
    assert reached(SCENARIOS[name], incidents, called, BEGIN) == missing


@pytest.mark.parametrize(
    ("runs", "is_due"),
    [
        ([], False),
        ([{"node": "ei1", "phase": "shift", "outcome": ""}], False),
        ([{"node": "ei1", "phase": "restart", "outcome": ""}], True),
        ([{"node": "ei1", "phase": "soak", "outcome": ""}], True),
        ([{"node": "ei1", "phase": "soak", "outcome": "healed"}], False),  # over: that is not during a heal
        ([{"node": "ei2", "phase": "restart", "outcome": ""}], False),
        ([{"node": "ei1", "phase": "planning"}], False),
    ],
)
def test_the_moment_that_a_step_waits_for(runs: list[dict[str, Any]], is_due: bool) -> None:
    assert due(Step("kill", "healer", heal_of="ei1", phase="restart"), runs) is is_due


def test_runs_are_read_whole_or_not_at_all() -> None:
    assert runs_from(f'{{"node": "ei1"}}\n{SEPARATOR}{{"node": "e') == [{"node": "ei1"}]
    assert runs_from(f"[1]{SEPARATOR}") == []


@pytest.mark.parametrize("history", [[{"incident": "a"}], {"incidents": [{"incident": "a"}], "paused": False}])
def test_one_journal_out_of_history_and_shows(history: Any) -> None:
    shown = {"incident": {"incident": "a"}, "attempts": [{"incident": "a", "attempt": 1}], "alerts": [{"host": "ei1"}]}
    found = merged(history, [shown, shown])
    assert found["incidents"] == [{"incident": "a"}]
    assert found["attempts"] == [{"incident": "a", "attempt": 1}]
    assert found["alerts"] == [{"host": "ei1"}]
    assert found["decisions"] == []


class PaperLab(Lab):
    """A lab on paper: a machine answers what it is told to, and everything that is done to one is written down."""

    answers: dict[str, str]
    done: list[str]

    def exec(self, node: str, argv: Any, check: bool = True, timeout: float = 0) -> subprocess.CompletedProcess[str]:
        words = " ".join(argv)
        self.done.append(f"{node}: {words}")
        text = next((text for word, text in self.answers.items() if word in words), None)
        if text is None:
            raise LabError(f"{node} does not run")
        return subprocess.CompletedProcess(list(argv), 0, text, "")


def paper(**answers: str) -> PaperLab:
    lab = PaperLab("paper")
    object.__setattr__(lab, "answers", answers)
    object.__setattr__(lab, "done", [])
    return lab


def test_a_monitor_that_does_not_answer_says_nothing_and_not_that_all_is_well() -> None:
    gone = Monitor(paper())
    assert gone.live() is None
    assert gone.incidents() is None
    assert gone.journal(0.0) is None
    assert gone.runs(0.0) == []
    assert not gone.healer()


NEW_AND_OLD = '[{"incident": "new", "opened_at": 100}, {"incident": "old", "opened_at": 5}]'


def test_the_journal_is_read_with_the_shows_of_the_incidents_since_then() -> None:
    lab = paper(
        runuser='{"alerts": [{"host": "ei1"}]}',
        history=NEW_AND_OLD,
        show='{"incident": {"incident": "new"}, "attempts": [{"attempt": 1}]}',
    )
    journal = Monitor(lab).journal(50.0)
    assert journal is not None
    assert [row["incident"] for row in journal["incidents"]] == ["new", "old"]
    assert journal["attempts"] == [{"attempt": 1}]
    assert sum(" show new " in line for line in lab.done) == 1
    assert journal["alerts"] == [{"host": "ei1"}]
    assert Monitor(paper(runuser="{}", history=NEW_AND_OLD)).journal(50.0) is None  # a show is missing
    assert Monitor(paper(history="[]")).journal(50.0) is None  # what is beside the incidents is missing


def test_a_run_that_began_before_the_scenario_is_none_of_it() -> None:
    text = f'{{"node": "ei1", "started_at": 40}}{SEPARATOR}{{"node": "ei2", "started_at": 60}}{SEPARATOR}'
    assert [run["node"] for run in Monitor(paper(runs=text)).runs(50.0)] == ["ei2"]


ALERT = {
    "id": "1.event", "at": 60.0, "read_at": 60.0, "host": "ei2", "service": "cpu", "state": "CRITICAL", "type": "SOFT",
    "attempt": 1, "event_id": 1, "outcome": "", "reason": "layer_load: all are high",
}  # fmt: skip


def test_alerts_and_decisions_without_an_incident_are_read_from_a_real_journal(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    Journal.create(path, 1.0)
    with Journal(path) as journal:
        journal.db.execute(
            "INSERT INTO decisions (at, node, admitted, reasons, summary, hash, body)"
            " VALUES (60.0, 'ei1', 0, '[\"not_ill\"]', 'no', '', ''), (40.0, 'ei1', 0, '[]', 'old', '', '')"
        )
        if not journal.rows("SELECT 1 FROM sqlite_master WHERE name = 'alerts'"):
            journal.db.execute("CREATE TABLE alerts (at, host, service, state, type, incident, outcome, reason)")
        known = {row["name"] for row in journal.rows("PRAGMA table_info(alerts)")}
        row = {name: value for name, value in ALERT.items() if name in known}
        places = ", ".join("?" * len(row))
        journal.db.execute(f"INSERT INTO alerts ({', '.join(row)}) VALUES ({places})", [*row.values()])
    done = subprocess.run([sys.executable, "-c", BESIDE, path, "50"], text=True, capture_output=True, check=True)
    found = parsed(done.stdout)
    assert [(row["node"], row["reasons"]) for row in found["decisions"]] == [("ei1", ["not_ill"])]
    assert [(row["host"], row["reason"]) for row in found["alerts"]] == [("ei2", "layer_load: all are high")]


class Driver:
    """Stands for the campaign's driver: a farm, and marks that are written down."""

    def __init__(self, lab: PaperLab) -> None:
        self.lab, self.farm, self.marks = lab, FARM, list[tuple[str, str]]()

    def mark(self, event: str, node: str = "", label: str = "") -> None:
        self.marks.append((event, node))


def test_there_is_a_hand_for_every_word_of_a_step() -> None:
    assert all(hasattr(Hands, "break_" if word == "break" else word) for word in (*ON_NODES, *ON_MONITOR))


@pytest.mark.parametrize(
    ("step", "does", "marks"),
    [
        (Step("maintenance", "ei2"), ["extlb1: ei2 maint", "extlb2: ei2 maint"], [("operator", "ei2")]),
        (Step("ready", "ei2"), ["extlb1: ei2 ready", "extlb2: ei2 ready"], [("end", "ei2")]),
        (Step("restart", "nagios"), ["monitor: systemctl restart nagios4.service"], []),
        (Step("restart", "healer"), ["monitor: systemctl restart selfheal.service"], []),
        (Step("kill", "healer"), ["monitor: systemctl kill --signal=KILL selfheal.service"], []),
        (Step("oom", "healer"), ["monitor: selfheal.service"], []),
    ],
)
def test_what_the_hands_do(step: Step, does: list[str], marks: list[tuple[str, str]]) -> None:
    lab = paper(**{"": ""})
    driver = Driver(lab)
    Hands(driver).do(step)  # type: ignore[arg-type]  # a fake that has what is used
    assert [line.split(": ")[0] + ": " + " ".join(line.split()[-len(want.split()[1:]) :])
            for line, want in zip(lab.done, does, strict=True)] == does  # fmt: skip
    assert driver.marks == marks


KERNEL = ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control")
UNIFIED = ("memory.current", "memory.max", "memory.events")


@pytest.mark.parametrize(("below", "names"), [("memory", KERNEL), ("", UNIFIED)])
@pytest.mark.parametrize("victim", ["healer", "another", "nobody"])
def test_the_kernel_kills_a_healer_that_has_no_memory_and_gives_it_back(
    tmp_path: Path, below: str, names: tuple[str, str, str], victim: str
) -> None:
    """The files of a control group, and a kernel that looks at the limit: both versions, and a kill of someone else."""
    group = tmp_path / below / "system.slice/selfheal.service"
    group.mkdir(parents=True)
    usage, limit, events = (group / name for name in names)
    usage.write_text("50000000\n")
    limit.write_text("402653184\n")
    events.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    healer = subprocess.Popen(["sleep", "60"])
    tools = tmp_path / "bin"
    tools.mkdir()
    shown = f"MainPID={healer.pid}\nControlGroup=/system.slice/selfheal.service"
    (tools / "systemctl").write_text(f"#!/bin/sh\necho '{shown}'\n")
    (tools / "systemctl").chmod(0o755)
    script = OOM if victim == "healer" else OOM.replace("SECONDS = 20", "SECONDS = 3")
    words = [sys.executable, "-c", script, str(tmp_path), "selfheal.service"]
    hog = subprocess.Popen(words, env={"PATH": f"{tools}:/usr/bin:/bin"}, stderr=subprocess.PIPE, text=True)
    try:
        if victim != "nobody":
            assert wait_until(lambda: limit.read_text().strip() not in ("", "402653184"), 20)
            assert 50000000 < int(limit.read_text()) < 60000000
            assert Path(f"/proc/{healer.pid}/oom_score_adj").read_text() == "1000\n"
            # systemd kills all that is left in the unit: what looks and tells must not be in it.
            eater = (group / "cgroup.procs").read_text().strip()
            assert eater != str(hog.pid)
            assert f"\nPPid:\t{hog.pid}\n" in Path(f"/proc/{eater}/status").read_text()
            events.write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
        if victim == "healer":
            healer.kill()
            healer.wait()
        said = hog.communicate(timeout=30)[1]
    finally:
        healer.kill()
        healer.wait()
    assert not Path(f"/proc/{eater}").exists() if victim != "nobody" else True
    assert limit.read_text().strip() == "402653184"
    assert (hog.returncode, "was not killed" in said) == ((0, False) if victim == "healer" else (1, True)), said


LOOK = "    with open(path) as file:\n"
#: What the kernel says of a file of a control group that goes between open and read.
GOES = "    if not os.path.isdir(folder):\n        raise OSError(errno.ENODEV, 'No such device')\n"


@pytest.mark.parametrize("script", [OOM, OOM.replace(LOOK, GOES + LOOK)], ids=["gone", "goes"])
def test_a_group_that_is_gone_before_its_count_was_read_is_an_end_as_well(tmp_path: Path, script: str) -> None:
    """systemd takes the control group of the unit away as soon as all is dead, which a look every 5 ms may miss."""
    assert LOOK in OOM
    group = tmp_path / "system.slice/selfheal.service"
    group.mkdir(parents=True)
    for name, text in zip(UNIFIED, ("50000000\n", "402653184\n", "oom_kill 3\n"), strict=True):
        (group / name).write_text(text)
    tools = tmp_path / "bin"
    tools.mkdir()
    with subprocess.Popen(["sleep", "60"]) as healer:
        shown = f"MainPID={healer.pid}\nControlGroup=/system.slice/selfheal.service"
        (tools / "systemctl").write_text(f"#!/bin/sh\necho '{shown}'\n")
        (tools / "systemctl").chmod(0o755)
        words = [sys.executable, "-c", script, str(tmp_path), "selfheal.service"]
        hog = subprocess.Popen(words, env={"PATH": f"{tools}:/usr/bin:/bin"}, stderr=subprocess.PIPE, text=True)
        try:
            assert wait_until(lambda: (group / "memory.max").read_text().strip() not in ("", "402653184"), 20)
        finally:
            healer.kill()
            healer.wait()
        group.rename(tmp_path / "gone")
        assert hog.wait(30) == 0, hog.stderr


def test_a_downtime_by_a_human_is_on_host_and_services() -> None:
    lab = paper(**{"": ""})
    Hands(Driver(lab)).do(Step("downtime", "ei3", seconds=60))  # type: ignore[arg-type]  # a fake that has what is used
    assert "SCHEDULE_HOST_DOWNTIME;ei3;" in lab.done[0]
    assert "SCHEDULE_HOST_SVC_DOWNTIME;ei3;" in lab.done[0]
    assert ";60;operator;" in lab.done[0]


def test_the_player_reads_the_journal_and_never_says_heal() -> None:
    text = "".join((ROOT / f"tests/campaign/{name}.py").read_text() for name in ("scenario_play", "scenario_monitor"))
    for word in ('"heal"', '"inject"', '"ack"', '"resume"', "driver.heal", "driver.command", "selfheal.cluster.heal"):
        assert word not in text
