# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Holds survive a reload and a restart of a real HAProxy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._guard import BalancerGuard
from ansible_collections.selfheal.cluster.plugins.module_utils._haproxy import Haproxy
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Holds
from tests.integration.haproxy.harness import Balancer, Load, wait_for

pytestmark = pytest.mark.network


@pytest.fixture(params=["state file", "guard alone"])
def balancer(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Balancer]:
    """Once with the two lines in HAProxy's configuration, once without."""
    found = Balancer(tmp_path, state_file=request.param == "state file")
    try:
        for member in found.members:
            member.start()
        found.start()
        yield found
    finally:
        found.close()


def test_haproxy_forgets_and_the_guard_does_not(balancer: Balancer) -> None:
    assert balancer.act("maint", drain_timeout=5)["changed"]
    balancer.stop()
    assert balancer.guard("prepare").returncode == 0
    balancer.start(all_up=False)
    if not balancer.state_file:
        assert balancer.admin("ei1") == {"ready"}, "HAProxy remembers by itself now: then the guard is not needed"
    done = balancer.guard("restore")
    assert done.returncode == 0, done.stderr
    assert balancer.admin("ei1") == {"maint"}
    assert balancer.admin("ei2") == {"ready"}


def test_a_reload_keeps_the_hold(balancer: Balancer) -> None:
    assert balancer.act("maint", drain_timeout=5)["changed"]
    old = balancer.pid()
    balancer.reload()
    done = balancer.guard("restore", "--reload")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: balancer.answers() and balancer.pid() != old)
    assert balancer.admin("ei1") == {"maint"}
    back = balancer.act("ready", phase="readmit", wait_up_timeout=5)
    assert back["changed"], back
    assert balancer.admin("ei1") == {"ready"}


def test_the_resident_guard_notices_a_restart_by_itself(balancer: Balancer) -> None:
    assert balancer.act("maint", drain_timeout=5)["changed"]
    lines: list[str] = []
    guard = BalancerGuard(Haproxy(str(balancer.folder / "admin.sock")), Holds(str(balancer.state)), lines.append)
    guard.look()
    balancer.stop()
    guard.look()
    guard.look()
    balancer.start(all_up=False)
    guard.look()
    assert balancer.admin("ei1") == {"maint"}
    assert len([line for line in lines if "does not answer" in line]) == 1, lines


def test_a_hold_that_was_lifted_does_not_come_back(balancer: Balancer) -> None:
    balancer.act("maint", drain_timeout=5)
    balancer.act("ready", phase="readmit", wait_up_timeout=5)
    balancer.stop()
    assert balancer.guard("prepare").returncode == 0
    balancer.start()
    assert balancer.guard("restore").returncode == 0
    assert balancer.admin("ei1") == {"ready"}


def test_a_hold_removed_by_hand_does_not_stay_in_the_state_file(balancer: Balancer) -> None:
    balancer.act("maint", drain_timeout=5)
    for path in balancer.state.glob("holds/*.json"):
        path.unlink()
    assert balancer.guard("prepare").returncode == 0
    assert (balancer.state / "haproxy.state").read_text() == "1\n"


def test_with_the_state_file_not_one_request_meets_a_dead_member(balancer: Balancer) -> None:
    """Between the start of HAProxy and the guard there are milliseconds; the state file closes them."""
    if not balancer.state_file:
        assert balancer.guard("restore").returncode == 0
        return
    assert balancer.act("maint", drain_timeout=5)["changed"]
    balancer.members[0].stop()
    seen = {balancer.pid()}
    with Load(balancer.port) as load:
        load.more(50)
        while len(seen) < 4:
            balancer.reload()
            wait_for(lambda: balancer.answers() and balancer.pid() not in seen)
            seen.add(balancer.pid())
            load.more(50)
    answered = dict(load.answers)
    assert "ei1" not in answered
    assert not [line for line in load.failures if line.startswith("HTTP")], load.failures
