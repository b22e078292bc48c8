# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A fake ansible-playbook that plays a script of ours instead of a playbook. It proves the command, not Ansible."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from selfheal_cluster import cli, cli_base, playbook
from tests.unit.journal.helpers import new

FAKE = f"""#!{sys.executable}
# A FAKE of ansible-playbook for unit tests: it writes down how it was called and plays FAKE_STEPS.
import json, os, sys, time
steps = json.load(open(os.path.join(os.path.dirname(__file__), "steps.json")))
calls = os.path.join(os.path.dirname(__file__), "calls.jsonl")
with open(calls, "a") as handle:
    handle.write(json.dumps({{"argv": sys.argv[1:], "env": dict(os.environ), "sid": os.getsid(0)}}) + "\\n")
number = sum(1 for _ in open(calls)) - 1
step = steps[min(number, len(steps) - 1)]
for line in step.get("lines", []):
    print(line, flush=True)
if step.get("result") is not None:
    path = os.environ["SELFHEAL_RESULT_FILE"]
    with open(path + ".new", "w") as handle:
        json.dump(step["result"], handle)
    os.replace(path + ".new", path)
while step.get("wait_for") and not os.path.exists(step["wait_for"]):
    time.sleep(0.02)
sys.exit(step.get("code", 0))
"""


class Ansible:
    """What the fake shall play, and how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "ansible-playbook").write_text(FAKE, encoding="utf-8")
        (folder / "ansible-playbook").chmod(0o755)

    def plays(self, *steps: dict[str, Any]) -> None:
        (self.folder / "steps.json").write_text(json.dumps(steps), encoding="utf-8")

    @property
    def calls(self) -> list[dict[str, Any]]:
        path = self.folder / "calls.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def ansible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ansible:
    folder = tmp_path / "bin"
    folder.mkdir()
    fake = Ansible(folder)
    monkeypatch.setattr(playbook, "tool", lambda name: folder / name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("SELFHEAL_CONFIG", str(tmp_path / "no-healer-lives-here.json"))
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_INVENTORY"):
        monkeypatch.delenv(name, raising=False)
    return fake


@dataclass
class Said:
    """How a command ended and what it said."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def selfheal(
    ansible: Ansible, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Run the command through its own entrance, as a shell would."""

    def call(*words: str) -> Said:
        cli_base.SETTINGS.update(inventory=[], json=False)
        monkeypatch.setattr(sys, "argv", ["selfheal", *words])
        code: object = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        heard = capsys.readouterr()
        return Said(int(str(code or 0)), heard.out, heard.err)

    return call


@dataclass
class Monitor:
    """This machine as the healer's: its settings, its journal, and the folder of its runs."""

    folder: Path

    @property
    def journal(self) -> str:
        return str(self.folder / "journal.db")

    def run(self, name: str, result: object = None, **events: object) -> Path:
        """The folder of a run; each event is a file of this name in ansible-runner's folder."""
        base = self.folder / "runs" / name
        where = base / "artifacts" / "heal" / "job_events"
        where.mkdir(parents=True, exist_ok=True)
        if result is not None:
            (base / "result.json").write_text(result if isinstance(result, str) else json.dumps(result))
        for number, event in events.items():
            (where / f"{number.lstrip('_')}-1b2c-3d.json").write_text(
                event if isinstance(event, str) else json.dumps({"event_data": event})
            )
        return base


@pytest.fixture
def monitor(ansible: Ansible, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    """The command on the healer's machine; a new journal is there, and nothing has happened."""
    place = Monitor(tmp_path / "var")
    place.folder.mkdir()
    new(place.folder).close()
    settings = {"nagios": {"url": "http://127.0.0.1/"}, "journal": place.journal, "runs": str(place.folder / "runs")}
    (tmp_path / "healer.json").write_text(json.dumps(settings), encoding="utf-8")
    monkeypatch.setenv("SELFHEAL_CONFIG", str(tmp_path / "healer.json"))
    return place
