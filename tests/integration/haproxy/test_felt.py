# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What clients felt, by the counters of a real HAProxy, beside what the clients themselves counted."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _felt as felt
from tests.integration.haproxy.harness import Balancer, Load, wait_for

pytestmark = pytest.mark.network


def reading(balancer: Balancer, answer: dict[str, Any], phase: str) -> felt.Reading:
    """What a heal of ei1 keeps of this answer."""
    found = felt.reading(answer["balancer"], ("127.0.0.1", balancer.members[0].port), phase, 0.0)
    assert found is not None, answer
    return found


def told(first: felt.Reading, last: felt.Reading) -> dict[str, Any]:
    found = felt.felt(["lb"], {"lb": first}, {"lb": last})
    assert found is not None
    return found


def test_the_counters_say_what_clients_counted(balancer: Balancer) -> None:
    with Load(balancer.port) as load:
        load.more(20)  # what was before the heal is none of its business
    before_answers, before_ei1 = load.sent, load.answers["ei1"]
    first = reading(balancer, balancer.module("lb_member_info"), "confirm")
    with Load(balancer.port) as load:
        load.more(100)
        shift = balancer.act("maint", drain_timeout=10)
        load.more(100)
        balancer.act("drain", phase="verify", wait_up_timeout=10)
        balancer.act("ready", phase="readmit")
        load.more(100)
    assert load.failures == []
    assert before_answers and before_ei1
    found = told(first, reading(balancer, balancer.module("lb_member_info"), "soak"))
    assert found["gaps"] == []
    assert found["total"] == {name: load.sent if name == "stot" else 0 for name in felt.COUNTERS}
    assert found["node"] == {name: load.answers["ei1"] if name == "stot" else 0 for name in felt.COUNTERS}
    used = {one["backend"]: one["counters"]["stot"] for one in found["backends"]}
    assert used == {"be_ei": load.sent, "be_two": 0}, "checks of HAProxy are no requests"
    # The answer to each act has a reading too: a heal that ends early is counted up to there.
    part = told(first, reading(balancer, shift, "shift"))["total"]["stot"]
    assert 100 <= part < load.sent


def test_failures_are_counted_wherever_they_were(balancer: Balancer) -> None:
    """A member that is killed under load: what the clients saw is in the counters, at the twin as well."""
    first = reading(balancer, balancer.module("lb_member_info"), "confirm")
    with Load(balancer.port, clients=8) as load:
        load.more(100)
        balancer.members[1].stop()  # a twin of the ill one
        wait_for(lambda: load.failures)
        load.more(50)
        for member in balancer.members:
            member.stop()
        load.more(16)
    found = told(first, reading(balancer, balancer.module("lb_member_info"), "soak"))
    total, answered = found["total"], [text for text in load.failures if text.startswith("HTTP 5")]
    assert total["stot"] == load.sent
    assert total["hrsp_5xx"] == len(answered) > 0
    # A client whose kept connection is closed without an answer was not told 5xx; it is a failed response all the same.
    assert total["econ"] + total["eresp"] >= len(load.failures)
    assert total["econ"] > found["node"]["econ"], "some were at the twin, or found no server at all"
    assert found["node"]["hrsp_5xx"] == 0, "HAProxy answered these, not ei1"


@pytest.mark.parametrize("how", ["restart", "reload", "clear"])
def test_counters_that_began_anew_are_never_taken_for_a_difference(balancer: Balancer, how: str) -> None:
    with Load(balancer.port) as load:
        load.more(50)
    first = reading(balancer, balancer.module("lb_member_info"), "confirm")
    if how == "restart":
        balancer.stop()
        balancer.start()
    elif how == "reload":
        pid = balancer.pid()
        balancer.reload()
        wait_for(lambda: balancer.answers() and balancer.pid() != pid)
    else:
        balancer.ask("clear counters all")
    with Load(balancer.port) as load:
        load.more(10)
    found = told(first, reading(balancer, balancer.module("lb_member_info"), "soak"))
    assert found["total"] is None
    assert [one["reason"] for one in found["gaps"]] == ["went_back" if how == "clear" else "restarted"]


def test_an_act_tells_what_was_counted_in_the_members_backends(balancer: Balancer) -> None:
    assert "balancer" not in balancer.act("maint", _ansible_check_mode=True)
    done = balancer.act("maint")
    assert {row["backend"] for row in done["balancer"]["counters"]} == {"be_ei", "be_two"}
    assert done["balancer"]["pid"] == balancer.pid() and done["balancer"]["boot_id"]
    assert "servers" not in done["balancer"]
