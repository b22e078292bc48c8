# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""From registered results to the snapshot; what was not seen stays unseen."""

from __future__ import annotations

from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._planner import plan
from ansible_collections.selfheal.cluster.plugins.module_utils._snapshot import build
from tests.unit.planner import farm


def results() -> dict[str, Any]:
    """The registered results that give the snapshot of the healthy farm."""
    good = farm.snapshot()
    services = {"ei1": [{"service": "memory", "acknowledged": False, "flapping": False, "downtime_depth": 0,
                         "handler_enabled": True, "last_state_change": farm.NOW - 30}]}  # fmt: skip
    good["verdicts"]["ei1"] = farm.verdict("ei1", "resource")
    return {
        "balancers": {
            name: {"changed": False, "balancer": {"servers": seen["servers"], "backends": seen["backends"]}}
            for name, seen in good["balancers"].items()
        },
        "keepalived": {
            name: {"keepalived": {"running": True, "instances": [seen["instance"]], "comparable": "same",
                                  "files": seen["files"], "service": seen["service"]}}
            for name, seen in good["pair"].items()
        },
        "nagios": {"nagios": good["nagios"], "verdicts": good["verdicts"], "hosts": good["hosts"], "services": services,
                   "downtimes": []},
        "addresses": farm.ADDRESSES, "controller": {"node": "desk", "host": ["monitor"]},
        "policies": farm.policies(), "node": "ei1", "reason": "", "now": farm.NOW,
    }  # fmt: skip


def test_a_healthy_farm_gives_a_plan() -> None:
    given = results()
    snapshot = build(**given)
    assert plan(snapshot, given["policies"], farm.history(), farm.NOW)["admitted"]
    assert snapshot["balancers"]["extlb1"]["holds_address"] is True
    assert snapshot["balancers"]["extlb2"]["holds_address"] is False
    assert snapshot["pair"]["extlb2"]["members_up"] == 3
    assert snapshot["since"]["ei1"] == farm.NOW - 30
    assert snapshot["members"]["ei2"] == {"address": "10.0.0.22", "port": 8280}
    assert "extlb1" in snapshot["members"]


def refusals(given: dict[str, Any]) -> list[str]:
    result = plan(build(**given), given["policies"], farm.history(), farm.NOW)
    return sorted({item["reason"] for item in result["refusals"]})


def test_silence_of_each_witness_is_a_refusal() -> None:
    for silence in (
        None,
        {"unreachable": True, "msg": "timed out"},
        {"failed": True, "msg": "no socket"},
        {"skipped": True},
    ):
        given = results()
        given["balancers"]["extlb2"] = silence
        assert refusals(given) == ["balancer_unreachable"], silence
        given = results()
        given["nagios"] = silence
        assert refusals(given) == ["nagios_stale", "unknown_reading"], silence
        given = {**results(), "node": "extlb1"}
        given["nagios"]["verdicts"]["extlb1"] = farm.verdict("extlb1", "resource")
        given["nagios"]["verdicts"]["ei1"] = farm.verdict("ei1", "ok")
        assert refusals(given) == []
        given["keepalived"]["extlb2"] = silence
        assert "peer_unreachable" in refusals(given), silence


def test_an_empty_world_refuses_and_never_breaks() -> None:
    given = {**results(), "balancers": {}, "keepalived": {}, "nagios": None}
    assert set(refusals(given)) >= {"balancer_unreachable", "nagios_stale", "unknown_reading"}


def test_age_comes_from_the_answer() -> None:
    given = results()
    given["balancers"]["extlb2"]["at"] = farm.NOW - 40
    assert refusals(given) == ["balancer_unreachable"]


def test_marks_of_the_bad_services_only() -> None:
    given = results()
    service = given["nagios"]["services"]["ei1"][0]
    given["nagios"]["services"]["ei1"].append({**service, "service": "users", "acknowledged": True, "flapping": True})
    assert refusals(given) == []
    service.update(acknowledged=True, flapping=True, downtime_depth=1, handler_enabled=False)
    assert refusals(given) == ["acknowledged", "downtime", "flapping", "handler_disabled"]


def test_the_same_machine_id_twice_is_seen() -> None:
    given = {**results(), "node": "extlb1"}
    for name in farm.BALANCERS:
        given["balancers"][name]["machine_id"] = "abc"
    assert "cloned_machine_id" in refusals(given)


def test_counters_stay_out_of_it() -> None:
    """They are never the same twice, and a heal keeps what it needs of them by itself."""
    seen = results()
    for answer in seen["balancers"].values():
        answer["balancer"]["counters"] = [{"backend": "be_ei", "server": "", "counters": {"stot": 4711}}]
    assert "4711" not in str(build(**seen))
