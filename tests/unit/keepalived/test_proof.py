# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""That keepalived does not run is proven by what is there, and never by silence."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _keepalived_proof as proof
from ansible_collections.selfheal.cluster.plugins.module_utils import _keepalived_view as view
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Holds
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived import Keepalived

HOME = "net:[1]"


def process(root: Path, pid: str, exe: str = "", name: str = "", state: str = "S", network: str = HOME) -> None:
    """A made-up process, as /proc shows it; what is empty cannot be read."""
    folder = root / pid
    (folder / "ns").mkdir(parents=True)
    if exe:
        (folder / "exe").symlink_to(exe)
    if name:
        (folder / "status").write_text(f"Name:\t{name}\nUmask:\t0022\nState:\t{state} (words)\n")
    if network:
        (folder / "ns" / "net").symlink_to(network)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine where other programs run."""
    process(tmp_path, "self", "/usr/bin/python3", "python3")
    process(tmp_path, "1", "/lib/systemd/systemd", "systemd")
    process(tmp_path, "40", "/usr/sbin/haproxy", "haproxy")
    process(tmp_path, "41", "", "kthreadd", "I", "")
    (tmp_path / "uptime").write_text("1 2\n")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "lives"),
    [
        ({"exe": "/usr/sbin/keepalived", "name": "keepalived"}, True),
        ({"exe": "/usr/sbin/keepalived (deleted)", "name": "vrrp"}, True),  # upgraded under it, and renamed itself
        ({"exe": "/usr/sbin/keepalived", "name": "keepalived", "state": "T"}, True),  # stopped is not dead
        ({"exe": "", "name": "keepalived"}, True),  # its program cannot be read
        ({"exe": "", "name": "keepalived", "state": "Z"}, False),
        ({"exe": "", "name": ""}, False),  # gone while it was looked at
        ({"exe": "/usr/sbin/keepalived", "name": "keepalived", "network": "net:[2]"}, False),  # of a container
        ({"exe": "/usr/sbin/keepalived", "name": "keepalived", "network": ""}, True),  # nobody knows of which
        ({"exe": "/usr/bin/vim", "name": "keepalived.conf"}, False),
    ],
)
def test_which_processes_speak_against_it(proc: Path, given: dict[str, str], lives: bool) -> None:
    process(proc, "50", **given)
    assert proof.living(str(proc)) == ([50] if lives else [])
    why = proof.why_not_stopped(str(proc), systemd="/none")
    assert bool(why) is lives
    assert ("50" in why) is lives


def test_every_keepalived_counts_where_the_own_network_is_not_known(proc: Path) -> None:
    (proc / "self" / "ns" / "net").unlink()
    process(proc, "50", "/usr/sbin/keepalived", "keepalived", network="net:[2]")
    assert proof.living(str(proc)) == [50]


@pytest.mark.parametrize(
    ("state", "proven"),
    [("inactive", True), ("failed", True), ("active", False), ("activating", False), ("deactivating", False),
     ("reloading", False), ("", False)],
)  # fmt: skip
def test_systemd_must_agree(proc: Path, monkeypatch: pytest.MonkeyPatch, state: str, proven: bool) -> None:
    asked: list[list[str]] = []

    def run(argv: list[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        asked.append(argv)
        return subprocess.CompletedProcess(argv, 0, f"{state}\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert (proof.why_not_stopped(str(proc), systemd=str(proc)) == "") is proven
    assert asked[0][-1] == "keepalived.service"


@pytest.mark.parametrize("error", [FileNotFoundError("no systemctl"), subprocess.TimeoutExpired("systemctl", 5)])
def test_a_systemd_that_does_not_answer_is_no_proof(
    proc: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def run(*_words: Any, **_options: Any) -> None:
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    assert "does not tell" in proof.why_not_stopped(str(proc), systemd=str(proc))


def test_a_list_of_processes_that_cannot_be_read_is_no_proof(tmp_path: Path) -> None:
    assert "cannot be listed" in proof.why_not_stopped(str(tmp_path / "none"), systemd="/none")


class Silent(Keepalived):
    """A keepalived with a pid that ends, or hangs, when it is asked."""

    def __init__(self, reason: str) -> None:
        super().__init__(pid_files=[])
        self.reason = reason

    def pid(self) -> int | None:
        return None if self.reason == "no_pid" else 77

    def instances(self) -> list[dict[str, Any]]:
        raise SelfhealError(self.reason, f"it said {self.reason}")


@pytest.mark.parametrize(
    ("reason", "doubt", "running", "stopped", "state"),
    [
        ("no_pid", "", False, True, "STOPPED"),
        ("no_pid", "a process lives", False, False, "UNKNOWN"),
        ("not_running", "", False, True, "STOPPED"),  # it died between the two looks
        ("not_running", "a process lives", False, False, "UNKNOWN"),
        ("no_answer", "", True, False, "UNKNOWN"),  # hung: whatever the other looks say, a process is there
    ],
)
def test_what_is_left_of_a_node_whose_keepalived_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, doubt: str, running: bool, stopped: bool, state: str
) -> None:
    monkeypatch.setattr(view, "addresses", lambda: {"10.0.0.100"})
    monkeypatch.setattr(view, "why_not_stopped", lambda: doubt)
    found = view.Node(Silent(reason), Holds(str(tmp_path))).look("VI_ext", "10.0.0.100")
    assert (found["running"], found["stopped"]) == (running, stopped)
    (seen,) = found["instances"]
    assert (seen["state"], seen["address_present"], seen["adverts_heard"]) == (state, True, False)
    assert bool(found["error"]) is not stopped
