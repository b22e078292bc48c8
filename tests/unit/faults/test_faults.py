# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The table of faults and its small interface, with a machine that only writes down what is done to it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab import faults
from lab.machines import Lab, LabError


class PaperLab(Lab):
    """A lab on paper: two machines; `does` is all that was done, `says` what the next command prints."""

    does: list[str]
    says: str
    enabled: bool
    ice: bool
    out: bool
    folder: Path

    @property
    def state(self) -> Path:
        return self.folder

    def nodes(self) -> list[str]:
        return ["ei1", "extlb1"]

    def pid(self, node: str) -> int | None:
        return 4242

    def frozen(self, node: str) -> bool:
        return self.ice

    def freeze(self, node: str) -> None:
        self.does.append(f"freeze {node}")

    def thaw(self, node: str) -> None:
        self.does.append(f"thaw {node}")

    def is_cut(self, node: str) -> bool:
        return self.out

    def cut(self, node: str) -> None:
        self.does.append(f"cut {node}")

    def join(self, node: str) -> None:
        self.does.append(f"join {node}")

    def exec(
        self, node: str, argv: Sequence[str], check: bool = True, timeout: float = 0
    ) -> subprocess.CompletedProcess[str]:
        code = 1 if "is-enabled" in argv[-1] and argv[-1] != faults.MEND and not self.enabled else 0
        self.does.append(f"{node}: {argv[-1]}")
        return subprocess.CompletedProcess(list(argv), code, self.says, "")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PaperLab:
    paper = PaperLab("paper")  # a name that no real machine has, should a real function be reached
    for name, value in {
        "does": [],
        "says": "{}\n",
        "enabled": True,
        "ice": False,
        "out": False,
        "folder": tmp_path,
    }.items():
        object.__setattr__(paper, name, value)
    monkeypatch.setattr(Lab, "from_env", classmethod(lambda cls: paper))
    return paper


def log(lab: Lab) -> list[tuple[str, str, str]]:
    path = faults.log_path(lab)
    lines = path.read_text().splitlines() if path.exists() else []
    return [(entry["event"], entry["node"], entry["label"]) for entry in map(json.loads, lines)]


ISSUE = [
    "memory",
    "memory_elsewhere",
    "cpu",
    "disk",
    "logs",
    "killed",
    "hung",
    "errors",
    "cut",
    "frozen",
    "keepalived_killed",
    "haproxy_stopped",
]
DISTURBANCES = ["load_peak", "cpu_burst", "operator_restart", "nrpe_down", "check_wrong"]


def test_the_table_has_every_fault_and_says_how_each_is_undone() -> None:
    assert [one.name for one in faults.FAULTS.values() if one.kind == faults.ILLNESS] == ISSUE
    assert [one.name for one in faults.FAULTS.values() if one.kind == faults.DISTURBANCE] == DISTURBANCES
    assert all(one.what and one.undone for one in faults.FAULTS.values())


@pytest.mark.parametrize(
    ("name", "does"),
    [
        ("cut", "cut ei1"),
        ("frozen", "freeze ei1"),
        ("killed", "kill -9 $(main_pid ei.service)"),
        ("hung", "kill -STOP"),
        ("memory", "say 'memory'"),
        ("errors", "say 'errors'"),
        ("disk", "lab-fill"),
        ("logs", "mountpoint -q /var/log/ei"),
        ("memory_elsewhere", "--unit=lab-hog"),
        ("check_wrong", "check_memory"),
    ],
)
def test_a_fault_does_what_it_says_and_is_written_down(lab: PaperLab, name: str, does: str) -> None:
    faults.break_node(lab, "ei1", name)
    assert does in lab.does[-1]
    assert log(lab) == [("injected", "ei1", name)]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["break", "ei9", "memory"], "there are: ei1, extlb1"),
        (["break", "ei1", "memroy"], "there are: memory, memory_elsewhere, cpu"),
        (["break", "ei1", ""], "there are: memory, memory_elsewhere, cpu"),
        (["mend", ""], "there are: ei1, extlb1"),
    ],
)
def test_a_typo_is_answered_with_what_exists(
    lab: PaperLab, capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    assert faults.main(argv) == 1
    assert said in capsys.readouterr().err
    assert lab.does == []
    assert log(lab) == []


def test_a_fault_that_means_nothing_on_a_machine_is_refused(lab: PaperLab) -> None:
    object.__setattr__(lab, "enabled", False)
    with pytest.raises(LabError, match=r"extlb1 has no ei\.service"):
        faults.break_node(lab, "extlb1", "memory")
    assert log(lab) == []


def test_a_frozen_machine_is_mended_first(lab: PaperLab) -> None:
    object.__setattr__(lab, "ice", True)
    with pytest.raises(LabError, match="lab/mend ei1"):
        faults.break_node(lab, "ei1", "memory")
    assert lab.does == []


def test_a_hook_that_refuses_is_an_error_and_no_injection(lab: PaperLab) -> None:
    object.__setattr__(lab, "says", '{"error": "no"}\n')
    with pytest.raises(LabError, match="fault hook"):
        faults.break_node(lab, "ei1", "memory")
    assert log(lab) == []


def test_mend_undoes_from_the_outside_in(lab: PaperLab) -> None:
    object.__setattr__(lab, "ice", True)
    object.__setattr__(lab, "out", True)
    object.__setattr__(lab, "says", "hung\nmemory\n")
    assert faults.mend_node(lab, "ei1") == ["frozen", "cut", "hung", "memory"]
    assert [line.split("\n")[0] for line in lab.does[:2]] == ["thaw ei1", "join ei1"]
    assert log(lab) == [("mended", "ei1", "frozen,cut,hung,memory")]


def test_mend_of_a_healthy_machine_does_nothing(lab: PaperLab, capsys: pytest.CaptureFixture[str]) -> None:
    object.__setattr__(lab, "says", "")
    assert faults.main(["mend", "ei1"]) == 0
    assert capsys.readouterr().out == "ei1: nothing to undo\n"


def test_the_list_names_all(lab: PaperLab, capsys: pytest.CaptureFixture[str]) -> None:
    assert faults.main(["list", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in (*ISSUE, *DISTURBANCES))


def test_the_document_is_the_table() -> None:
    assert (Path(faults.__file__).parent / "faults.md").read_text() == faults.markdown() + "\n"


def test_a_wrong_check_loses_the_colon_of_its_memory_thresholds_and_nothing_else(tmp_path: Path) -> None:
    line = next(line for line in faults.WRONG_CHECK.splitlines() if line.startswith("sed -i"))
    checks = tmp_path / "selfheal_agent.cfg"
    disk = "command[check_disk]=check_disk -w 10% -c 5% -p '/'\n"
    checks.write_text("command[check_memory]=check_memory -a -b -w 20.0%: -c 10.0%:\n" + disk)
    subprocess.run(["sh", "-c", f"wrong={tmp_path}; {line}"], check=True)
    assert checks.read_text() == "command[check_memory]=check_memory -a -b -w 20.0% -c 10.0%\n" + disk


def test_what_a_wrong_check_leaves_is_found_by_mend() -> None:
    for path in ("/run/lab-check-wrong", "/run/systemd/system/nagios-nrpe-server.service.d"):
        assert path in faults.WRONG_CHECK
        assert path in faults.MEND


def test_how_long_an_operator_takes_can_be_given(lab: PaperLab) -> None:
    faults.break_node(lab, "ei1", "operator_restart")
    assert "systemctl restart ei.service" in lab.does[-1]
    faults.break_node(lab, "ei1", "operator_restart", seconds=40)
    assert "systemctl stop ei.service; sleep 40; systemctl start ei.service" in lab.does[-1]
    assert log(lab)[-1] == ("injected", "ei1", "operator_restart")


def test_how_long_and_how_heavy_a_peak_is_can_be_given(lab: PaperLab, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    class Process:
        pid, returncode = 4242, None

        def __init__(self, words: Sequence[str], **_: object) -> None:
            started.append(" ".join(words[3:]))

        def __enter__(self) -> Process:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(faults.subprocess, "Popen", Process)
    faults.break_node(lab, "ei1", "load_peak")
    faults.break_node(lab, "ei1", "load_peak", seconds=100.0, burn_ms=100.0)
    assert started == ["peak --rate 60 --seconds 30 --burn-ms 10", "peak --rate 60 --seconds 100 --burn-ms 100"]


def test_a_number_that_a_fault_does_not_take_is_told_with_what_it_takes(lab: PaperLab) -> None:
    with pytest.raises(LabError, match="operator_restart takes no burn_ms; it takes: seconds"):
        faults.break_node(lab, "ei1", "operator_restart", burn_ms=5)
    assert log(lab) == []
