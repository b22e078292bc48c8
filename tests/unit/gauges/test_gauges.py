# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the cases cannot say: shapes, properties, and the look at Nagios around the gauges."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.selfheal.cluster.plugins.module_utils import _gauges_seen
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges import KINDS, VERDICTS, evaluate
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_agent import agent_trouble, no_network
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_seen import look, times_of
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import Snapshot
from tests.unit.gauges import farm

FRESH = {"fresh": True, "reason": "ok", "message": "", "queried_at": farm.NOW, "age_seconds": 1.0}


def test_the_shape_of_a_verdict() -> None:
    verdict = evaluate(None, farm.layer({"a": {"memory": {"used": 0.95, "status": "critical"}}}), farm.NOW)["a"]
    assert list(verdict) == ["node", "verdict", "kind", "reasons", "readings", "layer_load"]
    memory = next(reading for reading in verdict["readings"] if reading["gauge"] == "memory")
    assert memory == {
        "gauge": "memory",
        "service": "memory",
        "label": "mem_available",
        "value": pytest.approx(0.95),
        "unit": "ratio",
        "state": "critical",
        "state_type": "hard",
        "at": farm.NOW - 5,
        "age_seconds": 5.0,
        "verdict": "faulty",
    }
    assert verdict["reasons"] == [
        "memory: mem_available of memory is 95 % (raised at 90 %, clear at 80 %), hard critical in Nagios."
    ]


def test_readings_may_come_by_node_and_verdicts_serve_as_history() -> None:
    services = farm.layer({"a": {"memory": {"used": 0.95}}, "b": {}})
    by_node = {node: [record for record in services if record["host"] == node] for node in ("a", "b")}
    first = evaluate(None, by_node, farm.NOW)
    assert first == evaluate(None, services, farm.NOW)
    assert first["a"]["verdict"] == "suspect"
    history = [{"node": "a", **reading} for reading in first["a"]["readings"]]
    later = [{**record, "last_check": record["last_check"] + 20} for record in services]
    assert evaluate(None, later, farm.NOW + 20, history)["a"]["verdict"] == "faulty"


def test_services_of_other_layers_are_left_out() -> None:
    assert list(evaluate(None, farm.layer({"a": {}, "x": {}}), farm.NOW, nodes=["a"])) == ["a"]


def test_nothing_is_changed_that_was_given() -> None:
    services = farm.layer({"a": {"cpu": {"busy": 1.0}}, "b": {}})
    before = [dict(record) for record in services]
    evaluate(None, services, farm.NOW)
    assert services == before


WORDS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["ok", "warning", "critical", "unknown", "pending"]),
        "state_type": st.sampled_from(["soft", "hard"]),
        "used": st.floats(0, 1.2),
        "perf": st.sampled_from(["", "U", "mem_used=U", "x=1", "cpu_idle=5%", "time=9s", "rta=1ms pl=100%", "junk'"]),
        "ago": st.sampled_from([None, 0, 5, 59, 61, 4000, -9999]),
        "output": st.sampled_from(["", "ok", farm.NRPE_REFUSED, "NRPE: Call to fork() failed", "No route to host"]),
        "downtime": st.integers(0, 1),
        "unreadable": st.booleans(),
    },
)
NODE = st.one_of(st.none(), st.dictionaries(st.sampled_from([*farm.HEALTHY, "x"]), st.one_of(st.none(), WORDS)))


@given(st.dictionaries(st.sampled_from("abc"), NODE, min_size=1))
def test_any_layer_is_judged_in_the_known_words(nodes: dict[str, Any]) -> None:
    verdicts = evaluate(None, farm.layer(nodes), farm.NOW, nodes=sorted(nodes))
    assert sorted(verdicts) == sorted(nodes)
    for verdict in verdicts.values():
        assert verdict["verdict"] in VERDICTS
        assert (verdict["kind"] in KINDS) == (verdict["verdict"] in ("faulty", "suspect"))
        judged = {reading["verdict"] for reading in verdict["readings"] if reading["value"] is not None}
        assert judged <= {"ok", "suspect", "faulty"}


@given(st.dictionaries(st.sampled_from("abc"), NODE, min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_services_does_not_matter(nodes: dict[str, Any], dice: random.Random) -> None:
    services = farm.layer(nodes)
    shuffled = list(services)
    dice.shuffle(shuffled)
    one, other = (evaluate(None, order, farm.NOW, nodes=sorted(nodes)) for order in (services, shuffled))
    for node, verdict in one.items():
        assert (verdict["verdict"], verdict["kind"]) == (other[node]["verdict"], other[node]["kind"])


@given(NODE)
def test_a_node_without_one_fresh_reading_is_never_ok_and_never_faulty(words: Any) -> None:
    services = [{**record, "last_check": farm.NOW - 1000} for record in farm.layer({"a": words})]
    assert evaluate(None, services, farm.NOW, nodes=["a"])["a"]["verdict"] == "unknown"


OUTPUTS = [
    ("connect to address 10.0.0.1 port 5666: Connection refused", "unreachable"),
    ("connect to host 10.0.0.1 port 5666: Connection refused", "unreachable"),
    ("CHECK_NRPE STATE CRITICAL: Socket timeout after 10 seconds.", "unreachable"),
    ("CHECK_NRPE: Error - Could not connect to 10.0.0.1: Connection reset by peer", "unreachable"),
    ("CHECK_NRPE: (ssl_err != 5) Error - Could not complete SSL handshake with 10.0.0.1: 1", "unreachable"),
    ("CHECK_NRPE: Received 0 bytes from daemon. Check the remote server logs for error messages.", "unreachable"),
    ("NRPE: Call to fork() failed", "starved"),
    ("NRPE: fork() failed with error 12, bailing out...", "starved"),
    ("sh: fork: retry: Resource temporarily unavailable", "starved"),
    ("NRPE: Command 'check_x' not defined", ""),
    ("NRPE: Unable to read output", ""),
    ("CRITICAL - Socket timeout after 10 seconds", ""),
    ("connect to address 10.0.0.1 and port 8280: Connection refused", ""),
    ("HTTP CRITICAL: HTTP/1.1 500 Internal Server Error", ""),
    ("", ""),
]


@pytest.mark.parametrize(("output", "trouble"), OUTPUTS)
def test_what_an_output_says_about_the_agent(output: str, trouble: str) -> None:
    assert agent_trouble(output) == trouble


@pytest.mark.parametrize(
    ("output", "lost"),
    [
        ("connect to address 10.0.0.1 and port 8280: No route to host", True),
        ("connect to address 10.0.0.1 and port 8280: Connection timed out", True),
        ("connect to address 10.0.0.1 and port 8280: Connection refused", False),
        ("CRITICAL - Socket timeout after 10 seconds", False),
    ],
)
def test_what_an_output_says_about_the_network(output: str, lost: bool) -> None:
    assert no_network(output) is lost


class Nagios:
    """Stands in for the client; answers only when all four questions were asked."""

    def __init__(self, services: list[dict[str, Any]], **freshness: Any) -> None:
        self.records = services
        self.freshness = {**FRESH, **freshness}
        self.together = threading.Barrier(4, timeout=10)
        self.expected: Any = "not asked"

    def services(self, expected: int | None = None) -> Snapshot:
        self.expected = expected
        self.together.wait()
        return Snapshot(self.records, self.freshness)

    def hosts(self, parents: bool = True) -> Snapshot:
        assert not parents, "parents would be a second query behind this one"
        self.together.wait()
        return Snapshot([farm.host(name, {}) for name in ("a", "b", "switch", "elsewhere")], FRESH)

    def objects_hosts(self) -> Snapshot:
        self.together.wait()
        return Snapshot([{"host": "a", "parents": ["switch"]}, {"host": "b", "parents": []}], FRESH)

    def downtimes(self) -> Snapshot:
        self.together.wait()
        return Snapshot([{"host": "a", "ours": True}, {"host": "elsewhere", "ours": False}], FRESH)


def seen(nagios: Any, **options: Any) -> dict[str, Any]:
    layers = [{"layer": "ei", "nodes": ["a", "b"], "gauges": None}]
    return look(nagios, layers, lambda: farm.NOW, **options)


def test_the_questions_are_asked_side_by_side() -> None:
    result = seen(Nagios(farm.layer({"a": {}, "b": {}, "elsewhere": {}})))
    assert {node: verdict["verdict"] for node, verdict in result["verdicts"].items()} == {"a": "ok", "b": "ok"}
    assert list(result["services"]) == ["a", "b"]
    assert sorted(result["hosts"]) == ["a", "b", "switch"]
    assert result["hosts"]["a"]["parents"] == ["switch"]
    assert result["downtimes"] == [{"host": "a", "ours": True}]
    assert result["nagios"]["fresh"]


def test_a_nagios_that_cannot_be_believed_makes_every_verdict_unknown() -> None:
    services = farm.layer({"a": {"http": {"status": "critical"}}, "b": {}})
    result = seen(Nagios(services, fresh=False, reason="stale", message="71 s old"))
    assert {verdict["verdict"] for verdict in result["verdicts"].values()} == {"unknown"}
    assert result["verdicts"]["a"]["reasons"] == ["Nagios cannot be believed (stale): 71 s old"]
    assert result["nagios"]["reason"] == "stale"


def test_the_clock_is_that_of_nagios() -> None:
    services = farm.layer({"a": {}, "b": {}})
    result = seen(Nagios(services, queried_at=farm.NOW + 200))
    assert {verdict["verdict"] for verdict in result["verdicts"].values()} == {"unknown"}


def test_an_expected_count_is_handed_on() -> None:
    nagios = Nagios(farm.layer({"a": {}, "b": {}}))
    seen(nagios, expected_services=10)
    assert nagios.expected == 10


def test_a_failure_in_one_question_is_not_lost() -> None:
    class Broken(Nagios):
        def downtimes(self) -> Snapshot:
            self.together.wait()
            raise SelfhealError("unknown_name", "Nagios does not know that.")

    with pytest.raises(SelfhealError, match="does not know"):
        seen(Broken([]))


def test_each_layer_is_judged_by_the_earlier_readings_of_its_own_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A big farm has a hundred layers and a ring of 20,000 entries: each of them is worth one look, not a hundred."""
    given: dict[str, list[Any]] = {}

    def watched(*arguments: Any, **options: Any) -> Any:
        given[",".join(options["nodes"])] = [reading["value"] for reading in options["history"]]
        return evaluate(*arguments, **options)

    monkeypatch.setattr(_gauges_seen, "evaluate", watched)
    past = [
        {
            "node": node,
            "gauge": "memory",
            "service": "memory",
            "label": "mem_available",
            "value": value,
            "at": farm.NOW - ago,
        }
        for node, value, ago in (("a", 0.91, 50), ("b", 0.5, 50), ("a", 0.92, 30), ("gone", 0.9, 30))
    ]
    layers = [{"layer": name, "nodes": [name], "gauges": None} for name in ("a", "b")]
    services = farm.layer({"a": {"memory": {"used": 0.95}}, "b": {}})
    result = look(Nagios(services), layers, lambda: farm.NOW, history=iter(past))
    assert given == {"a": [0.91, 0.92], "b": [0.5]}
    assert {node: verdict["verdict"] for node, verdict in result["verdicts"].items()} == {"a": "faulty", "b": "ok"}


def test_a_wrong_gauge_is_told_before_nagios_is_asked() -> None:
    never_asked: Any = None
    with pytest.raises(SelfhealError, match=r"gauges of layer ei\[0\]"):
        look(never_asked, [{"layer": "ei", "nodes": ["a"], "gauges": [{}]}], lambda: farm.NOW)


@pytest.mark.parametrize("age", [0.0, -1.0, float("nan"), float("inf")])
def test_an_age_that_is_none_is_refused(age: float) -> None:
    with pytest.raises(SelfhealError, match="reading_age_seconds"):
        seen(Nagios([]), reading_age_seconds=age)
    with pytest.raises(SelfhealError, match="reading_age_seconds of layer km"):
        look(Nagios([]), [{"layer": "km", "nodes": ["a"], "reading_age_seconds": age}], lambda: farm.NOW)


def test_each_layer_has_its_own_age_of_readings() -> None:
    """Checks of one layer run every ten seconds, those of another every five minutes."""
    old = {name: {"ago": 200} for name in farm.HEALTHY}
    layers = [
        {"layer": "ei", "nodes": ["a"], "reading_age_seconds": 60},
        {"layer": "km", "nodes": ["b"], "reading_age_seconds": 750},
    ]
    result = look(Nagios(farm.layer({"a": old, "b": old})), layers, lambda: farm.NOW)
    assert {node: verdict["verdict"] for node, verdict in result["verdicts"].items()} == {"a": "unknown", "b": "ok"}
    layers = [{"layer": "ei", "nodes": ["a", "b"]}]
    for age, word in ((150.0, "unknown"), (750.0, "ok")):
        result = look(Nagios(farm.layer({"a": old, "b": old})), layers, lambda: farm.NOW, reading_age_seconds=age)
        assert {verdict["verdict"] for verdict in result["verdicts"].values()} == {word}, "where it has none"


def test_times_of_heals_are_read_from_text_too() -> None:
    assert times_of({"a": "1700000000.5", "b": 5}) == {"a": 1700000000.5, "b": 5.0}
    assert times_of(None) == {}


@pytest.mark.parametrize("at", ["soon", True, None, -1, "nan", "inf", [1]])
def test_what_is_no_time_is_refused(at: Any) -> None:
    with pytest.raises(SelfhealError, match=r"since\.a must be"):
        times_of({"a": at})
