# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Random farms against slow and obvious oracles, written apart from the planner."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.selfheal.cluster.plugins.module_utils._planner import plan
from tests.unit.planner import farm

EXAMPLES = settings(max_examples=400, deadline=None, derandomize=True)
# Mostly healthy, so that many of the random farms are admitted; never only healthy.
mostly = st.sampled_from


@st.composite
def servers(draw: st.DrawFn, names: list[str]) -> list[dict[str, Any]]:
    found = []
    for place, name in enumerate(names):
        found.append({
            "backend": "be_ei", "server": name, "address": f"10.0.0.{place}", "port": 8280,
            "operational": draw(mostly(["running"] * 7 + ["stopped", "starting", "stopping"])),
            "admin": draw(mostly(["ready"] * 8 + ["maint", "drain"])),
            "admin_flags": [], "weight": draw(mostly([100] * 9 + [0])), "sessions": draw(st.integers(0, 9)), "queue": 0,
            "check": "L7OK", "hold": draw(mostly([None] * 9 + [{"incident": "other"}])),
        })  # fmt: skip
    return found


@st.composite
def pools(draw: st.DrawFn) -> tuple[Any, ...]:
    seen, policies, past = farm.snapshot(), farm.policies(), farm.history()
    names = [f"ei{number}" for number in range(draw(st.integers(2, 6)))]
    policies["ei"]["nodes"] = names
    policies["ei"]["limits"]["max_unavailable"] = draw(st.integers(1, max(1, len(names) - 1)))
    seen["members"] = {name: {"address": f"10.0.0.{place}", "port": 8280} for place, name in enumerate(names)}
    for name in farm.BALANCERS:
        reachable = draw(mostly([True] * 5 + [False]))
        holds = draw(mostly([True, False, False, None]))
        seen["balancers"][name].update(
            reachable=reachable, ssh=reachable or draw(st.booleans()), holds_address=holds,
            age_seconds=draw(mostly([0.1] * 9 + [99.0])), servers=draw(servers(names)) if reachable else [],
        )  # fmt: skip
        seen["hosts"][name]["status"] = draw(mostly(["up", "down"]))
    node = draw(st.sampled_from(names))
    seen["node"] = node
    seen["verdicts"] = {name: farm.verdict(name, "ok") for name in [*names, *farm.BALANCERS]}
    seen["verdicts"][node] = farm.verdict(
        node, draw(mostly(["resource", "service", "connectivity", "storage", "unknown", "ok"]))
    )
    return seen, policies, past


@EXAMPLES
@given(pools())
def test_a_pool_never_falls_below_what_it_needs(case: tuple[Any, ...]) -> None:
    seen, policies, past = case
    result = plan(seen, policies, past, farm.NOW)
    if not result["admitted"]:
        return
    node, names = seen["node"], policies["ei"]["nodes"]
    needed = len(names) - policies["ei"]["limits"]["max_unavailable"]
    assert seen["verdicts"][node]["verdict"] == "faulty"
    if "restart" in result["phases"]:
        assert seen["verdicts"][node]["kind"] in ("resource", "service")
    on_target = False
    counts = []
    for name, balancer in seen["balancers"].items():
        if not (balancer["reachable"] and balancer["age_seconds"] < 30):
            assert name in result["skipped_balancers"], "acted without a balancer that may serve"
            assert balancer["holds_address"] is not True
            assert seen["hosts"][name]["status"] == "down"
            assert any(other["holds_address"] and other["reachable"] for other in seen["balancers"].values())
            continue
        assert name in result["balancers"], "a balancer that answers was left out"
        up = set()
        for server in balancer["servers"]:
            good = server["operational"] == "running" and server["admin"] == "ready" and server["weight"] > 0
            if good and server["hold"] is None:
                up.add(server["server"])
            if server["server"] == node:
                assert server["admin"] == "ready", "touched what a person put away"
                assert server["hold"] is None
        on_target = on_target or node in up
        counts.append(len(up - {node}))
    assert counts
    if on_target:
        assert min(counts) >= max(1, needed)
    assert sum(bool(balancer["holds_address"]) for balancer in seen["balancers"].values()) <= 1


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, ...]:
    seen, policies, past = farm.snapshot(), farm.policies(), farm.history()
    calm = draw(st.booleans())  # half of the farms have nothing odd but their states, so that some are admitted

    def odd(options: list[Any]) -> Any:
        return options[0] if calm else draw(mostly(options))

    rare = [("BACKUP", "MASTER"), ("MASTER", "MASTER"), ("FAULT", "BACKUP"), ("BACKUP", "BACKUP"), (None, "MASTER"),
            ("MASTER", "FAULT")]  # fmt: skip
    killed = [("STOPPED", "MASTER"), ("BACKUP", "STOPPED"), ("STOPPED", "BACKUP"), ("STOPPED", "STOPPED")]
    states = draw(mostly([("MASTER", "BACKUP")] * 6 + [("STOPPED", "MASTER")] * 4 + rare + killed))
    for name, state in zip(farm.BALANCERS, states, strict=True):
        node = farm.pair_node(name, state)
        node["reachable"] = odd([True] * 7 + [False])
        node["ssh"] = node["reachable"] or draw(st.booleans())
        node["age_seconds"] = odd([0.1] * 12 + [99.0])
        node["running"] = state not in (None, "STOPPED") and odd([True] * 9 + [False])
        node["comparable"] = odd(["same"] * 12 + ["other"])
        node["files"] = odd([{"/etc/haproxy/haproxy.cfg": "same"}] * 12 + [{}, {"/etc/haproxy/haproxy.cfg": "x"}])
        node["service"] = odd([{"ok": True, "detail": "200"}] * 9 + [{"ok": False, "detail": "503"}, None])
        node["members_up"] = odd([3] * 7 + [2, 1, 0, None])
        node["instance"].update(
            address_present=odd([state == "MASTER"] * 12 + [True, False]),
            adverts_heard=odd([state == "BACKUP"] * 12 + [True, False]),
            hold=odd([None] * 12 + [{"incident": "other"}]), offset=odd([0] * 12 + [-50, 50]),
            track_file=odd([True] * 12 + [False]), nopreempt=odd([False] * 12 + [True]),
        )  # fmt: skip
        if state == "STOPPED":  # and what a dead keepalived leaves behind
            node["stopped"] = odd([True] * 4 + [False])
            node["instance"].update(adverts_heard=False, address_present=draw(st.booleans()))
        seen["pair"][name] = node
    seen["node"] = draw(st.sampled_from(farm.BALANCERS))
    ill = draw(mostly(["resource", "service", "connectivity", "keepalived"]))
    seen["verdicts"][seen["node"]] = farm.verdict(seen["node"], ill)
    return seen, policies, past


@EXAMPLES
@given(pairs())
def test_a_pair_is_never_touched_without_a_proven_other_node(case: tuple[Any, ...]) -> None:
    seen, policies, past = case
    result = plan(seen, policies, past, farm.NOW)
    if not result["admitted"]:
        return
    node = seen["node"]
    peer = farm.BALANCERS[1 - farm.BALANCERS.index(node)]
    mine, other = seen["pair"][node], seen["pair"][peer]
    assert other["reachable"] and other["age_seconds"] < 30 and other["running"]  # one fact: it answers
    assert other["service"]["ok"]
    assert other["members_up"] >= 1
    assert other["instance"]["hold"] is None
    assert other["instance"]["offset"] == 0
    seen_mine = mine["reachable"] and mine["age_seconds"] < 30
    present = [name for name in (node, peer) if seen["pair"][name]["instance"]["address_present"]
               and (name == peer or seen_mine)]  # fmt: skip
    if result["moves"]:
        assert other["instance"]["state"] == "BACKUP"
        assert other["instance"]["adverts_heard"]
        assert other["instance"]["track_file"]
        assert not other["instance"]["nopreempt"]
        assert present == ([node] if seen_mine else [])
        if seen_mine:
            assert mine["instance"]["state"] == "MASTER"
            assert mine["files"] == other["files"] == {"/etc/haproxy/haproxy.cfg": "same"}
        else:
            assert "restart" not in result["phases"] or mine["ssh"], "a node that nobody reaches is not restarted"
    else:
        dead = seen_mine and mine["stopped"]
        assert present == [peer] or (dead and set(present) == {node, peer})
        assert result["leftover"] is (node in present)
        assert other["instance"]["state"] == "MASTER"
    if "restart" in result["phases"] and seen_mine:
        assert mine["running"] or mine["stopped"], "nobody knows whether its keepalived lives"
        assert result["dead"] is mine["stopped"]
        if seen["verdicts"][node]["readings"][0].get("vrrp"):
            assert mine["stopped"], "Nagios' word alone is no proof of its death"


def test_the_random_farms_are_not_all_refused() -> None:
    """An oracle that never sees an admitted heal proves nothing."""
    admitted = {"pool": 0, "pair": 0, "moves": 0, "leftover": 0}

    @EXAMPLES
    @given(pools())
    def count_pools(pool: tuple[Any, ...]) -> None:
        admitted["pool"] += plan(*pool, farm.NOW)["admitted"]

    @EXAMPLES
    @given(pairs())
    def count_pairs(pair: tuple[Any, ...]) -> None:
        result = plan(*pair, farm.NOW)
        admitted["pair"] += result["admitted"]
        admitted["moves"] += result["admitted"] and result["moves"]
        admitted["leftover"] += result["admitted"] and result["leftover"]

    count_pools()
    count_pairs()
    assert all(number >= 5 for number in admitted.values()), admitted
