# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""From an alert on disk to a run that has ended, with real processes and a real Nagios.

Only systemd is a fake: two scripts named sudo and systemctl that start the run and list it, as the units would.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.nagios_fixture import RealNagios, host_object, service_object, wait_for
from tests.prepared import waits
from tests.unit.healer.test_process import ENV, GROUP_VARS, rows, settings, with_pipe

FAKE_SUDO = '#!/bin/sh\nshift\nexec "$@"\n'
FAKE_SYSTEMCTL = """#!{python}
import json, os, subprocess, sys
state = "{folder}/units"
os.makedirs(state, exist_ok=True)
if "start" in sys.argv:
    unit = sys.argv[-1]
    run = subprocess.Popen([sys.executable, "-m", "selfheal_cluster.healer.run_heal", unit.split("@")[1][:-8],
                            "--config", "{config}"], start_new_session=True,
                           stdout=open("{folder}/run.log", "a"), stderr=subprocess.STDOUT)
    open(os.path.join(state, unit), "w").write(str(run.pid))
else:
    alive = []
    for unit in os.listdir(state):
        try:
            text = open("/proc/%s/stat" % open(os.path.join(state, unit)).read()).read()
        except OSError:
            continue
        if text.rpartition(")")[2].split()[0] not in "ZX":
            alive.append({{"unit": unit, "load": "loaded", "active": "active", "sub": "running"}})
    print(json.dumps(alive))
"""


@pytest.mark.parametrize("prepared", [True, False])
def test_from_alert_to_a_run_that_has_ended(tmp_path: Path, prepared: bool) -> None:
    objects = host_object("monitor") + service_object("monitor", "selfheal")
    objects += host_object("ei1") + service_object("ei1", "web") + host_object("ei2") + service_object("ei2", "web")
    with RealNagios(objects) as nagios:
        path = settings(tmp_path, nagios.url)
        with_pipe(path, nagios)
        path.write_text(json.dumps({**json.loads(path.read_text()), "prepare_run": prepared}))
        # Every host is reached locally, so the real playbook refuses its target as our own host: nothing is touched.
        everyone = {
            "all": {"vars": {"ansible_connection": "local"}}, "monitor": {"hosts": {"watch": {}}},
            "extlb": {"hosts": {"lb1": {}}}, "ei": {"hosts": {"ei1": {}, "ei2": {}}, "vars": GROUP_VARS},
        }  # fmt: skip
        (tmp_path / "inventory" / "hosts.json").write_text(json.dumps(everyone))
        tools = tmp_path / "tools"
        tools.mkdir()
        (tools / "sudo").write_text(FAKE_SUDO)
        (tools / "systemctl").write_text(
            FAKE_SYSTEMCTL.format(python=sys.executable, folder=tmp_path, config=path)
        )  # fmt: skip
        for tool in tools.iterdir():
            tool.chmod(0o755)
        log = tmp_path / "log"
        env = {**ENV, "PATH": f"{tools}:{os.environ['PATH']}"}
        with log.open("w") as sink, subprocess.Popen(
            [sys.executable, "-m", "selfheal_cluster.healer", "--config", str(path)], env=env, stdout=sink,
            stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            try:
                wait_for(lambda: rows(path, "SELECT 1 FROM readings"), 60.0, "a reading")
                if prepared:
                    wait_for(lambda: waits(process.pid), 60.0, "the prepared run")
                nagios.passive("ei1", "web", 2, "no answer")
                event = {"v": 1, "at": time.time(), "host": "ei1", "service": "web", "state": "CRITICAL",
                         "type": "HARD", "attempt": 1, "event_id": 1}  # fmt: skip
                name = f"{time.time_ns():020d}-1.event"
                (tmp_path / "spool" / f".{name}").write_text(json.dumps(event))
                (tmp_path / "spool" / f".{name}").rename(tmp_path / "spool" / name)
                wait_for(lambda: rows(path, "SELECT 1 FROM runs WHERE ended_at IS NOT NULL"), 120.0, log.read_text())
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
    alert = rows(path, "SELECT at, outcome FROM alerts")[0]
    runs = rows(path, "SELECT incident, number, started_at, outcome FROM runs")
    print(f"\nalert on disk to the run's start: {runs[0]['started_at'] - alert['at']:.2f} s")
    assert alert["outcome"] == "opened"
    assert len(runs) == 1, runs
    folder = tmp_path / "runs" / f"{runs[0]['incident']}-1"
    assert (folder / "artifacts" / "heal" / "rc").read_text() == "2"
    assert "no heal touches it" in (tmp_path / "run.log").read_text()
    lines = log.read_text().splitlines()
    started = [line for line in lines if " started as selfheal-heal@" in line]
    assert len(started) == 1, lines
    assert (" started as selfheal-heal@ready-" in started[0]) == prepared
    assert sorted(entry.name for entry in (tmp_path / "runs").iterdir()) == [".healer.lock", folder.name]
    assert sum(" ended: " in line for line in lines) == 1, lines
    assert not [line for line in lines if line.startswith("bug")], lines
