# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The healer rolled out on the lab's machines, the short slice of the scenarios, and its removal.

The last file of the lab's half: after it the farm has neither healer nor guard.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.machines import Lab as Machines
from tests.campaign.scenario_model import Scenario
from tests.campaign.scenario_play import Player
from tests.campaign.scenarios import chosen, load
from tests.integration.conftest import NODES, Lab

SHORT = chosen(load(), "", short=True)
#: What may be left of us on a machine, as a shell word that prints each; the journal stays by design.
LEFT_ON_MONITOR = (
    "ls -d /etc/selfheal /opt/selfheal /usr/local/bin/selfheal /usr/local/lib/selfheal /etc/sudoers.d/selfheal "
    "/etc/systemd/system/selfheal* /var/spool/selfheal 2>/dev/null; grep -rl selfheal-event /etc/nagios4; true"
)
LEFT_ON_NODE = (
    "ls -d /etc/systemd/system/selfheal* /usr/local/lib/selfheal 2>/dev/null; "
    "grep -l selfheal@ /root/.ssh/authorized_keys; ls /var/lib/selfheal/holds 2>/dev/null; true"
)


@pytest.fixture(scope="module")
def healed(lab: Lab) -> Iterator[Lab]:
    """The lab with a healer, rolled out as on a farm that has a Nagios already."""
    done = lab.playbook("-e", '{"lab_healer": true}', "lab/healer.yml", timeout=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    yield lab
    if not lab.mine:  # somebody's lab, which goes on: whatever is missing is made again
        lab.run("lab/up", timeout=900)


@pytest.mark.lab
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SHORT, ids=[one.name for one in SHORT])
def test_a_scenario_comes_to_its_outcome(healed: Lab, tmp_path: Path, scenario: Scenario) -> None:
    assert healed.state.exists()
    played = Player(Machines.from_env(), tmp_path).play(scenario, seed=1)
    assert played["failures"] == [] and played["harm"] == [], played["failures"]


@pytest.mark.lab
@pytest.mark.timeout(600)
def test_all_that_was_ever_put_there_is_taken_away(healed: Lab) -> None:
    done = healed.playbook("selfheal.cluster.remove", timeout=500)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    for node, script in [("monitor", LEFT_ON_MONITOR), *((node, LEFT_ON_NODE) for node in NODES)]:
        left = Machines.from_env().exec(node, ["sh", "-c", script]).stdout
        assert left.strip() == "", f"on {node}: {left}"
