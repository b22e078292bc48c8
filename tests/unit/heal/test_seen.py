# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What a step reads of the hosts of the last play."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.action.heal_step import _seen

from .farm import OK, pool_heal

LOST = {"failed": True, "reason": "lease_lost", "msg": "somebody else holds it"}


@pytest.mark.parametrize("step", ["verify", "readmit", "soak"])
def test_a_lease_that_was_lost_on_the_journals_host_is_seen(step: str) -> None:
    """It is registered there, and not on localhost, where the steps run."""
    variables: dict[str, Any] = {"hostvars": {"monitor": {"journal_host_lease": LOST}}, "selfheal_lease": OK}
    assert _seen(pool_heal(), step, variables)["lease"] == {"monitor": LOST}


def test_what_nagios_read_again_comes_from_the_journals_host() -> None:
    said = {"verdict": "faulty", "still_ill": True}
    variables: dict[str, Any] = {"hostvars": {"monitor": {"journal_host_look": said}}}
    assert _seen(pool_heal(), "soak", variables)["illness"] == {"monitor": said}
    assert "illness" not in _seen(pool_heal(), "verify", variables)


def test_before_the_restart_it_is_what_localhost_was_told() -> None:
    variables: dict[str, Any] = {"hostvars": {"monitor": {"journal_host_lease": OK}}, "selfheal_lease": LOST}
    assert _seen(pool_heal(), "drain", variables)["lease"] == {"monitor": LOST}


def test_the_restart_extends_no_lease() -> None:
    variables: dict[str, Any] = {"hostvars": {"monitor": {"journal_host_lease": LOST}}, "selfheal_lease": LOST}
    assert _seen(pool_heal(), "restart", variables)["lease"] == {"monitor": {}}


def test_the_plan_comes_with_what_nagios_said_on_the_journals_host() -> None:
    state = {**pool_heal(), "addresses": {}, "watched": {"balancers": [], "pairs": []}}
    said = {"verdicts": {"ei1": {"verdict": "faulty"}}}
    variables: dict[str, Any] = {"hostvars": {"monitor": {"selfheal_seen": {"seen": {"nagios": said}}}}}
    assert _seen(state, "plan", variables)["nagios"] == {"monitor": said}


def test_the_plan_comes_with_what_the_balancers_counted_then() -> None:
    """And one that was not reached, or whose HAProxy did not answer, gives no reading."""
    state = {**pool_heal(), "addresses": {}, "watched": {"balancers": ["lb1", "lb2", "lb3"], "pairs": []}}
    counted = {"balancer": {"pid": 7, "counters": []}, "machine_id": "m"}
    mute = {"failed": True, "msg": "no socket"}
    lost = {"unreachable": True, "msg": "no route"}
    hostvars = {"lb1": {"selfheal_seen": {"seen": {"balancer": counted}}},
                "lb2": {"selfheal_seen": {"seen": {"balancer": mute}}}, "lb3": {"selfheal_seen": lost}}  # fmt: skip
    assert _seen(state, "plan", {"hostvars": hostvars})["balancers"] == {"lb1": counted, "lb2": mute, "lb3": lost}
