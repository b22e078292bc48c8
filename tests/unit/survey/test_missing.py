# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Each thing that can be missing on a farm is named, weighed, and comes with the lines to add."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._survey import survey
from tests.unit.survey.farm import farm, planner

Farm = dict[str, Any]


def no_layers(f: Farm) -> None:
    f["layers"] = []


def policy_problem(f: Farm) -> None:
    f["layers"][1].update(problem="selfheal_port: not a number", kind="pool")


def double_node(f: Farm) -> None:
    f["problems"] = [{"where": "ei1", "what": "node ei1 is in two layers"}]


def no_monitor(f: Farm) -> None:
    f["monitor"] = ""


def no_url(f: Farm) -> None:
    f["nagios_url"] = ""


def nagios(**values: Any) -> Callable[[Farm], None]:
    return lambda f: f["seen"]["monitor"]["nagios"]["nagios"].update(values)


def unmonitored(f: Farm) -> None:
    f["seen"]["monitor"]["nagios"]["services"].pop("ei2")


def slow_checks(f: Farm) -> None:
    """Nagios looks every five minutes, and a reading counts for two and a half."""
    answer = f["seen"]["monitor"]["nagios"]
    f["layers"][1]["limits"]["reading_age_seconds"] = 150
    for name in f["layers"][1]["nodes"]:
        answer["verdicts"][name]["readings"] = [{"gauge": "memory", "service": "memory"}]
        answer["services"][name] = [
            {"service": "memory", "status": "ok", "state_type": "hard", "last_check": 900.0, "next_check": 1200.0},
            {"service": "backup", "status": "ok", "state_type": "hard", "last_check": 900.0, "next_check": 87300.0},
        ]


def no_journal(f: Farm) -> None:
    f["seen"]["monitor"].update(journal=None, journal_error="no journal at /x", journal_reason="no_journal")


def journal_user_missing(f: Farm) -> None:
    f["seen"]["monitor"].update(journal=None, journal_error="sudo: unknown user selfheal")


def journal_slow(f: Farm) -> None:
    f["seen"]["monitor"].update(journal=None, journal_error="Timed out after 30 second(s).")


def paused(f: Farm) -> None:
    f["seen"]["monitor"]["journal"]["paused"] = True


def fresh(f: Farm) -> None:
    f["seen"]["monitor"]["journal"]["fresh_journal"] = True


def no_journal_host(f: Farm) -> None:
    f["journal_host"] = ""


def clones(f: Farm) -> None:
    f["seen"]["ei2"]["target"]["machine_id"] = f["seen"]["ei1"]["target"]["machine_id"]


def on_controller(f: Farm) -> None:
    f["controller_machine_id"] = f["seen"]["ei3"]["target"]["machine_id"]


def layer(index: int, **values: Any) -> Callable[[Farm], None]:
    return lambda f: f["layers"][index].update(values)


def target(node: str, **values: Any) -> Callable[[Farm], None]:
    return lambda f: f["seen"][node]["target"].update(values)


def unit(node: str, **values: Any) -> Callable[[Farm], None]:
    return lambda f: f["seen"][node]["target"]["unit"].update(values)


def unreachable(f: Farm) -> None:
    f["seen"]["ei1"] = {"reachable": False, "error": "ssh: connect to host 10.0.0.21 port 22: No route to host"}


def unmapped(f: Farm) -> None:
    f["seen"]["extlb2"]["balancer"]["servers"].pop(0)


def unresolved(host: str, words: str) -> Callable[[Farm], None]:
    def breaks(f: Farm) -> None:
        f["unresolved"] = {host: words}
        f["addresses"] = {**f["addresses"], host: f"{host}.lan"}

    return breaks


def unchecked(f: Farm) -> None:
    f["seen"]["extlb1"]["balancer"]["servers"][1]["check"] = ""


def human_hold(f: Farm) -> None:
    f["seen"]["extlb1"]["balancer"]["servers"][1]["admin"] = "maint"


def stranger(f: Farm) -> None:
    servers = f["seen"]["extlb1"]["balancer"]["servers"]
    servers.append({**servers[0], "server": "old7", "address": "10.0.0.77"})


def socket_level(f: Farm) -> None:
    f["seen"]["extlb1"]["target"]["socket"]["level"] = "operator"


def no_haproxy(f: Farm) -> None:
    f["seen"]["extlb1"].update(balancer=None, balancer_error="cannot connect to /run/haproxy/admin.sock")


def instance(node: str, **values: Any) -> Callable[[Farm], None]:
    return lambda f: f["seen"][node]["keepalived"]["instances"][0].update(values)


def keepalived(node: str, **values: Any) -> Callable[[Farm], None]:
    return lambda f: f["seen"][node]["keepalived"].update(values)


def no_keepalived(f: Farm) -> None:
    f["seen"]["extlb2"].update(keepalived=None, keepalived_error="no pid file")


def left_behind(f: Farm) -> None:
    keepalived("extlb2", running=False, stopped=True)(f)
    instance("extlb2", state="STOPPED", address_present=True)(f)


def both_same_priority(f: Farm) -> None:
    instance("extlb2", base_priority=200)(f)


def different_files(f: Farm) -> None:
    f["layers"][0]["config_files"] = ["/etc/haproxy/haproxy.cfg"]
    keepalived("extlb1", files={"/etc/haproxy/haproxy.cfg": "a"})(f)
    keepalived("extlb2", files={"/etc/haproxy/haproxy.cfg": "b"})(f)


def no_guard(f: Farm) -> None:
    f["seen"]["extlb2"]["target"]["guard"].update(active=False)


CASES: list[tuple[str, Callable[[Farm], None], str, str, str, str]] = [
    # id, what is broken, weight, where, words of the sentence, words of the lines to add ("" = none asked for)
    ("no layer", no_layers, "blocks", "inventory", "no group is a layer", "selfheal_strategy"),
    ("policy not valid", policy_problem, "blocks", "ei", "policy is not valid", ""),
    ("node in two layers", double_node, "blocks", "ei1", "in two layers", ""),
    ("no monitor", no_monitor, "blocks", "inventory", "no monitor", "monitor:"),
    ("no url", no_url, "blocks", "monitor", "JSON CGIs", "selfheal_nagios_url"),
    ("stale", nagios(fresh=False, reason="stale", message="90 s old"), "blocks", "monitor", "stale", "status_update"),
    ("no rights", nagios(fresh=False, reason="unauthorized"), "blocks", "monitor", "unauthorized", "authorized_for"),
    ("stopped", nagios(fresh=False, reason="not_running"), "blocks", "monitor", "not_running", ""),
    ("slow status", nagios(status_update_interval=10), "weakens", "monitor", "every 10 s", "status_update_interval=1"),
    ("not in nagios", unmonitored, "blocks", "ei2", "no service of this node", "selfheal.cluster.nagios_agent"),
    ("slow checks", slow_checks, "weakens", "ei", "checks memory every 300 s, and a reading counts for 150 s only",
     "selfheal_limits: {reading_age_seconds: 750}"),
    ("partial", nagios(fresh=False, reason="partial", message="Nagios shows 1 of 5 nodes"), "blocks", "monitor",
     "shows 1 of 5 nodes", "authorized_for_all_hosts"),
    ("no journal", no_journal, "blocks", "monitor", "no journal there", "selfheal.cluster.heal_journal"),
    ("no journal user", journal_user_missing, "blocks", "monitor", "no journal there", "name: selfheal"),
    ("slow journal", journal_slow, "blocks", "monitor", "could not be asked: Timed out", ""),
    ("paused", paused, "blocks", "monitor", "paused", ""),
    ("journal not initialised", fresh, "blocks", "monitor", "not initialised", "selfheal.cluster.heal_journal"),
    ("no journal host", no_journal_host, "blocks", "inventory", "which machine keeps it", "selfheal_journal_host"),
    ("clones", clones, "blocks", "ei1, ei2", "same machine-id", "systemd-machine-id-setup"),
    ("own host", on_controller, "blocks", "ei3", "never healed", ""),
    ("mode observe", layer(1, mode="observe"), "blocks", "ei", "mode is observe", "selfheal_mode: approve"),
    ("unreachable", unreachable, "weakens", "ei1", "No route to host", "ansible.builtin.ping"),
    ("not root", target("ei1", root=False), "blocks", "ei1", "do not run as root", "ansible_become"),
    ("no unit", unit("ei1", exists=False), "blocks", "ei1", "no unit ei.service", "selfheal_service"),
    ("no systemd", unit("ei1", exists=None), "blocks", "ei1", "systemd does not answer", ""),
    ("masked", unit("ei1", restartable=False), "blocks", "ei1", "masked", ""),
    ("port", target("ei1", listening={"service": False, "nrpe": True}), "weakens", "ei1", "listens", "selfheal_port"),
    ("no answer", target("ei1", health={"asked": "http://127.0.0.1:8280/", "ok": False, "detail": "HTTP 404"}),
     "blocks", "ei1", "would ask http://127.0.0.1:8280/ there, and now it says: HTTP 404", "none: nothing is asked"),
    ("no answer of a pair", target("extlb2", health={"asked": "tcp://127.0.0.1:80", "ok": False, "detail": "refused"}),
     "blocks", "extlb2", "tcp://127.0.0.1:80", "let it listen on 127.0.0.1 too"),
    ("no nrpe", target("ei1", listening={"service": True, "nrpe": False}), "weakens", "ei1", "no NRPE", "nagios_agent"),
    ("bad config", target("ei1", config_test=[{"argv": ["haproxy", "-c"], "ok": False, "detail": "unknown keyword"}]),
     "blocks", "ei1", "unknown keyword", ""),
    ("full disk", target("ei1", full_disks=[{"mount": "/var"}]), "blocks", "ei1", "/var is full", ""),
    ("read only", target("ei1", root_read_only=True), "blocks", "ei1", "read-only", ""),
    ("package manager", target("ei1", package_manager=True), "note", "ei1", "package manager", ""),
    ("no ss", target("ei1", connections_readable=False), "blocks", "ei1", "`ss` is missing", "iproute2"),
    ("one member", layer(1, nodes=["ei1"]), "blocks", "ei", "single point of failure", "A_SECOND_NODE"),
    ("no balancer", layer(1, balancers=[]), "blocks", "ei", "no load balancer is named", "selfheal_balancers"),
    ("one balancer", layer(1, balancers=["extlb1"]), "weakens", "extlb1", "single point of failure", ""),
    ("unmapped member", unmapped, "blocks", "ei1", "unmapped", "server ei1 10.0.0.21:8280 check"),
    ("name of a member", unresolved("ei1", "cannot resolve"), "blocks", "ei1", "cannot resolve", "selfheal_address:"),
    ("name of a balancer", unresolved("extlb2", "stands for"), "blocks", "extlb2", "stands for", "selfheal_address:"),
    ("unchecked server", unchecked, "blocks", "ei2", "does not check", "check inter"),
    ("human's hold", human_hold, "note", "ei2", "a human holds be_ei/ei2", ""),
    ("unknown server", stranger, "note", "ei", "be_ei/old7", ""),
    ("socket rights", socket_level, "blocks", "extlb1", "no admin rights", "stats socket /run/haproxy/admin.sock"),
    ("no haproxy", no_haproxy, "blocks", "extlb1", "could not be asked", ""),
    ("three in a pair", layer(0, nodes=["extlb1", "extlb2", "ei1"]), "blocks", "extlb", "a pair has two", ""),
    ("no instance said", layer(0, instance=None), "blocks", "extlb", "its instance is not said", "selfheal_instance"),
    ("no vip said", layer(0, vip=""), "blocks", "extlb", "its vip is not said", "selfheal_vip"),
    ("no port of a pair", layer(0, port=None), "blocks", "extlb", "its port is not said", "selfheal_port: 80"),
    ("keepalived unread", no_keepalived, "blocks", "extlb2", "no pid file", ""),
    ("keepalived stopped", keepalived("extlb2", running=False), "blocks", "extlb2", "does not run", "systemctl start"),
    ("address left", left_behind, "blocks", "extlb2", "left 10.0.0.100 behind", "systemctl start"),
    ("other instance", layer(0, instance="VI_x"), "blocks", "extlb1", "it has: VI_ext", "selfheal_instance"),
    ("no track file", instance("extlb1", track_file=False), "blocks", "extlb1", "no track file", "weight 1"),
    ("priority 255", instance("extlb1", base_priority=255), "blocks", "extlb1", "leaves no room", "priority 200"),
    ("fault", instance("extlb2", state="FAULT"), "blocks", "extlb2", "state FAULT", ""),
    ("split brain", instance("extlb2", address_present=True), "blocks", "extlb", "both nodes hold", ""),
    ("no holder", instance("extlb1", address_present=False), "blocks", "extlb", "no node holds", ""),
    ("same priority", both_same_priority, "blocks", "extlb", "same priority", "priority 200"),
    ("no adverts", instance("extlb2", adverts_heard=False), "blocks", "extlb2", "hears no adverts", ""),
    ("nopreempt", instance("extlb2", nopreempt=True), "weakens", "extlb2", "nopreempt", "take nopreempt"),
    ("delay", instance("extlb2", preempt_delay_seconds=10), "weakens", "extlb2", "preempt_delay", "preempt_delay"),
    ("config differs", keepalived("extlb2", comparable="d"), "blocks", "extlb", "configured differently", ""),
    ("files differ", different_files, "blocks", "extlb", "haproxy.cfg is not the same", ""),
    ("home unknown", layer(0, preferred=None), "weakens", "extlb", "home is not said", "selfheal_preferred: extlb1"),
    ("no guard", no_guard, "weakens", "extlb2", "no guard", "selfheal.cluster.guard"),
]  # fmt: skip


def test_a_farm_in_order_misses_nothing() -> None:
    assert survey(farm(), planner)["missing"] == []


@pytest.mark.parametrize(("breaks", "weight", "where", "words", "lines"),
                         [pytest.param(*case[1:], id=case[0]) for case in CASES])  # fmt: skip
def test_what_is_missing_is_named(
    breaks: Callable[[Farm], None], weight: str, where: str, words: str, lines: str
) -> None:
    observed = farm()
    breaks(observed)
    found = survey(observed, planner)["missing"]
    hits = [one for one in found if one["where"] == where and words in one["what"]]
    assert len(hits) == 1, found
    assert hits[0]["weight"] == weight
    assert lines in "\n".join(hits[0]["lines"])
    if lines:
        assert hits[0]["file"], "lines without the file they belong to help nobody"


def test_an_address_that_is_not_certain_is_told_once_and_nothing_is_made_of_it() -> None:
    observed = farm()
    unresolved("ei1", "cannot resolve ei1.lan")(observed)
    assert [one["where"] for one in survey(observed, planner)["missing"]] == ["ei1"]


def test_the_lines_for_a_question_say_no_more_than_the_policy_allows() -> None:
    observed = farm()
    target("extlb2", health={"asked": "x", "ok": False, "detail": "refused"})(observed)
    lines = "\n".join(survey(observed, planner)["missing"][0]["lines"])
    assert "selfheal_health_scheme" in lines
    assert "selfheal_health_address" in lines
    assert "none" not in lines


def test_a_service_that_does_not_run_is_not_asked_why_it_is_silent() -> None:
    observed = farm()
    target("ei1", health={"asked": "x", "ok": False, "detail": "refused"})(observed)
    unit("ei1", active=False)(observed)
    assert [one for one in survey(observed, planner)["missing"] if "heal would ask" in one["what"]] == []


def test_the_blocking_ones_come_first() -> None:
    observed = farm()
    for breaks in (human_hold, no_guard, clones):
        breaks(observed)
    assert [one["weight"] for one in survey(observed, planner)["missing"]] == ["blocks", "weakens", "note"]


@pytest.mark.parametrize(
    ("change", "nodes"),
    [
        ({"status": "critical", "state_type": "soft"}, 3), ({"checks_enabled": False}, 3), ({"next_check": None}, 3),
        ({"next_check": 890.0}, 3), ({"last_check": None}, 3), ({"next_check": 1000.0}, 1),
    ],
)  # fmt: skip
def test_checks_that_are_fast_enough_or_not_known_are_no_finding(change: dict[str, Any], nodes: int) -> None:
    """A single long interval may be that of a check that waits for its time period, so one fast twin is enough."""
    observed = farm()
    slow_checks(observed)
    for node in ("ei1", "ei2", "ei3")[:nodes]:
        observed["seen"]["monitor"]["nagios"]["services"][node][0].update(change)
    assert survey(observed, planner)["missing"] == []


def test_an_age_that_is_long_enough_is_no_finding() -> None:
    observed = farm()
    slow_checks(observed)
    pool = observed["layers"][1]
    pool["gauges"] = [{"name": "memory", "max_age_seconds": 600}]
    assert survey(observed, planner)["missing"] == []
    pool["gauges"], pool["limits"]["reading_age_seconds"] = None, 300
    assert survey(observed, planner)["missing"] == []
