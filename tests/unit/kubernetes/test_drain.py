# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A drain against a pretended cluster whose clock goes on with every pause: when it evicts, ends, and refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import KubernetesError
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_drain import Drainer
from tests.unit.kubernetes.objects import NOW
from tests.unit.kubernetes.test_node import gone, machine, part, pdb, pod

AWAY = KubernetesError("api_unreachable", "no answer")
Says = Callable[[float], str]


class Cluster:
    """Two workers. ``says`` is the condition Ready of the one that is drained, by the seconds since the drain began;
    empty is an API server that gives no answer. A pod that is evicted is gone, unless ``stays`` or a budget keeps it.
    """

    def __init__(self, pods: list[Any], says: Says = lambda _after: "True", **given: Any) -> None:
        self.pods, self.says, self.now = pods, says, NOW
        self.budgets: list[Any] = given.get("budgets", [])
        self.room = given.get("room", "1")
        self.tight = given.get("tight", False)
        self.evicted: list[str] = []
        self.asked: list[str] = []

    def get(self, _path: str) -> dict[str, Any]:
        return self.ill()

    def ill(self) -> dict[str, Any]:
        told = self.says(self.now - NOW)
        if not told:
            raise AWAY
        item: dict[str, Any] = machine("kw1", ready=told, cordoned=True)
        item["status"]["nodeInfo"]["machineID"] = "m1"
        return item

    def items(self, path: str, **query: Any) -> list[Any]:
        self.asked.append(path)
        if path.endswith("/nodes"):
            return [self.ill(), machine("kw2", self.room)]
        if path.endswith("/poddisruptionbudgets"):
            return self.budgets
        where = query.get("fieldSelector", "")
        return [it for it in self.pods if not where or where == f"spec.nodeName={it['spec']['nodeName']}"]

    def request(self, _method: str, path: str, _body: Any) -> None:
        name = path.split("/")[-2]
        if self.tight:
            raise KubernetesError("too_many_requests", "it would violate the budget", 429)
        self.evicted.append(name)
        self.pods = [it for it in self.pods if it["metadata"]["name"] != name]

    def drain(self, seconds: float = 60) -> dict[str, Any]:
        def sleep(pause: float) -> None:
            self.now += pause

        api: Any = self
        return Drainer(api, "kw1", "i1", 7, lambda: self.now, sleep).drain(seconds)


def until(seconds: float, first: str, then: str) -> Says:
    return lambda after: first if after < seconds else then


def test_it_ends_when_no_pod_is_left_and_says_which_machine_it_was() -> None:
    log = pod("log", owner="DaemonSet")
    log["status"]["containerStatuses"] = [{"ready": True}]
    cluster = Cluster([pod("a"), pod("b"), pod("other", "kw2"), log, pod("ill", owner="DaemonSet")])
    done = cluster.drain()
    assert (done["evicted"], done["left"], done["ready"]) == (["ei/a", "ei/b"], [], True)
    assert (cluster.now - NOW, done["machine_id"], done["kept"]) == (0.5, "m1", ["ei/log"])
    assert cluster.asked.count("/api/v1/nodes") == 1, "all of the cluster is read once"


def test_a_budget_is_waited_for_and_its_last_word_told() -> None:
    cluster = Cluster([pod("a")], budgets=[pdb(0, 1, 1)], tight=True)
    done = cluster.drain(5)
    assert (done["left"], done["evicted"], done["ready"]) == (["ei/a"], [], True)
    assert "violate the budget" in done["refused"]["ei/a"]
    assert cluster.now - NOW == pytest.approx(5)


@pytest.mark.parametrize(
    ("says", "seconds", "ready", "ended", "why"),
    [
        (until(0, "", "Unknown"), 60, False, 10, "not Ready all the time: nobody waits for its pods any longer"),
        (until(0, "", "False"), 60, False, 10, "its kubelet says so"),
        (until(0, "", "Unknown"), 8, False, 4, "half of the time that there is, where that is short"),
        (until(0, "", "Unknown"), 0, False, 0, "no time at all"),
        (until(4, "True", "Unknown"), 60, False, 14, "it went while it was drained"),
        (until(55, "True", "Unknown"), 60, True, 60, "not Ready at the end, but not for long: it may be back at once"),
        (lambda after: "Unknown" if after % 3 < 2 else "True", 60, True, 60, "it flaps"),
        (lambda after: "Unknown" if after < 6 or after > 8 else "", 60, False, 18.5, "nobody saw it meanwhile"),
    ],
)  # fmt: skip
def test_only_a_node_that_is_not_ready_without_a_break_is_left_with_its_pods(
    says: Says, seconds: float, ready: bool, ended: float, why: str
) -> None:
    cluster = Cluster([pod("a")], says, budgets=[pdb(0, 1, 1)], tight=True)
    done = cluster.drain(seconds)
    assert (done["left"], done["ready"]) == (["ei/a"], ready), why
    assert cluster.now - NOW == pytest.approx(ended), why


def test_nothing_is_evicted_while_it_is_not_ready_and_it_is_when_it_comes_back() -> None:
    cluster = Cluster([pod("a")], until(3, "Unknown", "True"))
    done = cluster.drain()
    assert (done["evicted"], done["left"], done["ready"]) == (["ei/a"], [], True)


@pytest.mark.parametrize(
    ("pods", "given", "reason", "words"),
    [
        ([pod("a"), pod("b", owner=None)], {}, "no_place", "Node kw1 is not drained: pod ei/b has no controller"),
        ([pod("a", cpu="900m"), pod("b", cpu="900m")], {}, "no_place", "would find no other node"),
        ([pod("a"), pod("b", containers=[part(requests={"nvidia.com/gpu": "1"})])], {}, "no_place", "nvidia.com/gpu"),
        ([pod("a")], {"budgets": [pdb(5), pdb(5, name="all")]}, "budget", "the budgets all, ei-pdb count it"),
        ([pod(f"p{place}", owner=None) for place in range(5)], {}, "no_place", "; and 2 more"),
    ],
)
@pytest.mark.parametrize("says", [until(0, "", "True"), until(5, "Unknown", "True")])
def test_what_speaks_against_a_drain_is_asked_again_before_the_first_pod_goes(
    says: Says, pods: list[Any], given: dict[str, Any], reason: str, words: str
) -> None:
    """The plan does not look at it where the node was not Ready then, and it may be Ready by now."""
    cluster = Cluster(pods, says, **given)
    with pytest.raises(SelfhealError) as refused:
        cluster.drain()
    assert (refused.value.reason, words in refused.value.message) == (reason, True), refused.value.message
    assert cluster.evicted == []


@pytest.mark.parametrize("pods", [[], [gone("a", owner=None)], [pod("log", owner="DaemonSet"), pod("x", "kw2", "9")]])
def test_a_drain_that_has_nobody_to_evict_asks_nothing(pods: list[Any]) -> None:
    """One that is gone on with, and was over: where its pods went to is full by now, and that is no reason."""
    cluster = Cluster(pods, room="0")
    assert cluster.drain(2)["evicted"] == []
    assert "/api/v1/nodes" not in cluster.asked


def test_a_pod_without_a_controller_that_came_meanwhile_stays_and_is_told() -> None:
    cluster = Cluster([pod("a")])
    ask = cluster.items

    def items(path: str, **query: Any) -> list[Any]:
        found = ask(path, **query)
        if path == "/apis/policy/v1/poddisruptionbudgets":
            cluster.pods.append(pod("late", owner=None))
        return found

    cluster.items = items  # type: ignore[method-assign]  # this one test answers otherwise
    done = cluster.drain(3)
    assert (cluster.evicted, done["left"], done["ready"]) == (["a"], ["ei/late"], True)
    assert "no controller" in done["refused"]["ei/late"]


def test_an_end_that_comes_between_two_readings_of_the_clock_is_no_empty_node() -> None:
    """The API server is silent, and the time runs out while that is judged: no pod was seen, which is not none left."""
    cluster = Cluster([pod("a")], lambda _after: "")
    clock = iter([NOW, NOW + 1.9999, *[NOW + 2.1] * 9])
    api: Any = cluster
    with pytest.raises(KubernetesError):
        Drainer(api, "kw1", "i1", 7, lambda: next(clock), lambda _pause: None).drain(2)


def test_a_cluster_that_cannot_be_asked_is_drained_of_nothing() -> None:
    cluster = Cluster([pod("a")], lambda after: "True" if after < 0.1 else "")
    with pytest.raises(KubernetesError) as refused:
        cluster.now += 0.2
        cluster.drain(2)
    assert (refused.value.reason, cluster.evicted) == ("api_unreachable", [])
