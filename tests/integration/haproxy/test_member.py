# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""lb_member against a real HAProxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.haproxy.harness import Balancer, Load, wait_for

pytestmark = pytest.mark.network


def test_detach_restart_return_loses_no_request(balancer: Balancer) -> None:
    with Load(balancer.port) as load:
        load.more(100)
        out = balancer.act("maint", drain_timeout=10)
        assert out["changed"], out
        assert out["left_sessions"] == 0
        at_detach = load.answers["ei1"]
        balancer.members[0].stop()
        load.more(100)
        assert load.answers["ei1"] == at_detach, "a request went to a member that was taken out"
        balancer.members[0].start()
        proven = balancer.act("drain", phase="verify", wait_up_timeout=10)
        assert proven["check_rounds_seconds"] > 0.1, proven
        assert load.answers["ei1"] == at_detach
        back = balancer.act("ready", phase="readmit")
        assert {one["admin"] for one in back["after"]} == {"ready"}
        load.more(100)
    assert load.failures == []
    assert load.answers["ei1"] > at_detach
    assert all(one["hold"] is None for one in balancer.servers())


def test_the_same_restart_without_detaching_loses_requests(balancer: Balancer) -> None:
    """The counterpart: were this green with no failures, the test above would show nothing."""
    with Load(balancer.port) as load:
        load.more(100)
        balancer.members[0].stop()
        wait_for(lambda: load.failures)
        balancer.members[0].start()


def test_a_service_that_is_not_up_gets_no_traffic(balancer: Balancer) -> None:
    balancer.act("maint", drain_timeout=5)
    balancer.members[0].stop()
    refused = balancer.act("drain", phase="verify", wait_up_timeout=1)
    assert refused["failed"]
    assert refused["reason"] == "not_up"
    assert balancer.admin("ei1") == {"drain"}
    assert all(one["hold"] for one in balancer.servers() if one["server"] == "ei1")


def test_requests_that_run_are_waited_for(balancer: Balancer) -> None:
    import http.client

    links = [http.client.HTTPConnection("127.0.0.1", balancer.port, timeout=10) for _ in range(3)]
    for link in links:
        link.request("GET", "/slow=6")
    wait_for(lambda: balancer.sessions() == 3)
    late = balancer.act("maint", drain_timeout=0.1)
    assert late["left_sessions"] == 1
    assert late["open_ends"], "HAProxy has a connection to it, and the balancer's kernel knows"
    assert all(end.startswith("127.0.0.") for end in late["open_ends"])
    done = balancer.act("maint", drain_timeout=10)
    assert done["left_sessions"] == 0
    assert done["drain_seconds"] > 0
    assert [link.getresponse().status for link in links] == [200, 200, 200]


def test_a_human_is_left_alone(balancer: Balancer) -> None:
    balancer.ask("set server be_ei/ei1 state maint")
    for state in ("maint", "drain", "ready"):
        refused = balancer.act(state)
        assert refused["reason"] == "human_hold", refused
    states = {one["backend"]: one["admin"] for one in balancer.servers() if one["server"] == "ei1"}
    assert states == {"be_ei": "maint", "be_two": "ready"}


def test_the_minimum_is_kept(balancer: Balancer) -> None:
    balancer.members[1].stop()
    wait_for(lambda: all(row["status"] == "DOWN" for row in balancer.rows() if row["svname"] == "ei2"))
    refused = balancer.act("maint")
    assert refused["reason"] == "below_minimum"
    assert balancer.admin("ei1") == {"ready"}
    assert balancer.act("maint", min_up=1)["changed"]
    assert balancer.act("maint", name="ei3", min_up=0, incident="i2")["reason"] == "below_minimum"
    down = balancer.act("maint", name="ei2", incident="i3")
    assert down["changed"], "a member that serves nobody may always leave"


def test_an_older_epoch_changes_nothing(balancer: Balancer) -> None:
    assert balancer.act("maint", epoch=10)["changed"]
    for state in ("ready", "drain"):
        assert balancer.act(state, epoch=9)["reason"] == "stale_epoch"
    assert balancer.admin("ei1") == {"maint"}
    assert balancer.act("maint", epoch=10)["changed"] is False
    taken_over = balancer.act("maint", epoch=11, incident="i2")
    assert taken_over["after"][0]["hold"]["incident"] == "i2"
    assert balancer.act("ready", epoch=10)["reason"] == "stale_epoch"


def test_check_mode_touches_nothing(balancer: Balancer) -> None:
    told = balancer.act("maint", _ansible_check_mode=True, _ansible_diff=True)
    assert told["changed"]
    assert told["diff"]["before"] != told["diff"]["after"]
    assert balancer.admin("ei1") == {"ready"}
    assert not list(balancer.state.glob("holds/*"))


def test_errors_of_the_socket_are_failures(balancer: Balancer) -> None:
    assert balancer.act("maint", backend="be_none")["reason"] == "no_such_member"
    balancer.stop()
    assert balancer.act("maint")["reason"] == "socket"
    assert balancer.module("lb_member_info")["reason"] == "socket"


def test_a_server_disabled_by_configuration_is_never_made_ready(tmp_path: Path) -> None:
    balancer = Balancer(tmp_path, options={"ei1": "disabled"})
    try:
        for member in balancer.members:
            member.start()
        balancer.start(all_up=False)
        for state in ("ready", "drain", "maint"):
            assert balancer.act(state, min_up=-1)["reason"] == "config_disabled"
        assert balancer.admin("ei1") == {"maint"}
    finally:
        balancer.close()
