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
#: What may stay in this folder, by the machine's layer, as an extended regular expression; elsewhere the folder goes.
STATE = "/var/lib/selfheal"
MAY_STAY = {
    "monitor": r"journal\.db.*|evidence",  # by design, unless healer_remove_journal is true; so does their owner
    "extlb": r"haproxy\.state|keepalived",  # named by the lab's own haproxy.cfg and keepalived.conf, which need them
}
#: Scripts that print what is left of us, a line for each thing. Not looked for, because it stays by design: packages,
#: Apache's module cgi, empty folders of drop-ins, systemd's journal, Ansible's own ~/.ansible/tmp of who typed.
ON_EVERY_MACHINE = r"""
cd /etc/systemd/system && ls -d selfheal* *.d/selfheal* *.wants/selfheal* 2>/dev/null
ls -d /etc/selfheal /usr/local/lib/selfheal /run/selfheal /run/selfheal-* 2>/dev/null
systemctl list-units --plain --no-legend --state=active,activating,deactivating,reloading 'selfheal*'
ls -d /etc/nagios/nrpe.d/*selfheal* 2>/dev/null
grep '^allowed_hosts=' /etc/nagios/nrpe.cfg | grep -vx 'allowed_hosts=127.0.0.1,::1'
grep -H 'selfheal@' /root/.ssh/authorized_keys
"""
#: $1 is the folder, $2 what may stay in it.
IN_STATE = r"""
if [ -z "$2" ]; then ls -d "$1" 2>/dev/null; else ls -A "$1" | grep -vxE "$2"; fi
find "$1" -type f -path '*/keepalived/*' -exec grep -Lx 0 {} + 2>/dev/null  # an offset is a hold
"""
ON_MONITOR = r"""
ls -d /opt/selfheal /usr/local/bin/selfheal /etc/sudoers.d/selfheal /var/spool/selfheal 2>/dev/null
ls -d /etc/nagios4/*selfheal* /etc/nagios4/htpasswd.users 2>/dev/null
grep -rl selfheal /etc/nagios4 /etc/apache2
for path in /var/lib/nagios4 /var/lib/nagios4/rw; do dpkg-statoverride --list "$path"; done
"""


def left_on(node: str) -> list[str]:
    """What is left of us on a machine of the lab, and should not be."""
    stays = MAY_STAY.get(node, MAY_STAY.get(node.rstrip("0123456789"), ""))
    script = ON_EVERY_MACHINE + IN_STATE + (ON_MONITOR if node == "monitor" else "") + "true\n"
    return Machines.from_env().exec(node, ["sh", "-c", script, "sh", STATE, stays]).stdout.splitlines()


@pytest.fixture(scope="module")
def healed(lab: Lab) -> Iterator[Lab]:
    """The lab with a healer, rolled out as on a farm that has a Nagios already."""
    done = lab.playbook("-e", '{"lab_healer": true}', "lab/healer.yml", timeout=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    yield lab
    if not lab.mine:  # somebody's lab, which goes on: whatever is missing is made again
        lab.run("lab/up", timeout=900, LAB_FAST="0")


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
    machines = ("monitor", *NODES)
    assert all(left_on(node) for node in machines), "the look is not blind: before it each machine has something"
    done = healed.playbook("selfheal.cluster.remove", timeout=500)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    left = {node: left_on(node) for node in machines}
    assert not any(left.values()), left
