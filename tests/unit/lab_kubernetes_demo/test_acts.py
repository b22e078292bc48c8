# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Each step of the demo on a scene that is made up: how it ends well, and which sentence says what did not."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import pytest

from lab.demo.stage import Screen
from lab.kubernetes import names
from lab.kubernetes.demo import acts
from lab.kubernetes.demo.acts import NotAsItShould, answers_well, none_lost
from lab.kubernetes.demo.load import HEAVY, Answer, Felt, Load, Plan, felt
from lab.kubernetes.demo.scene import Scene
from lab.kubernetes.demo.watch import Look, Node


class FakeLoad:
    """Clients that have had their answers."""

    def __init__(self, failed: int = 0, sent: int = 20) -> None:
        self.answers = [Answer(float(n), n >= failed, "" if n >= failed else "0: reset") for n in range(sent)]

    def __enter__(self) -> FakeLoad:
        return self

    def __exit__(self, *_exc: object) -> None:
        return None

    @property
    def felt(self) -> Felt:
        return felt(self.answers)


class FakeScene:
    """All that a step asks of a scene; ``looks`` are what each waiting for pods sees at its end."""

    def __init__(self, *looks: Look, failed: int = 0) -> None:
        self.looks, self.failed = list(looks), failed
        self.addresses = {"kcp1": "10.0.0.1", "kw1": "10.0.0.2", "kw2": "10.0.0.3"}
        self.workers, self.through, self.ill = ["kw1", "kw2"], "kw1", "kw2"
        self.authority = "ca.crt"
        self.screen = Screen(stream=io.StringIO())
        self.nagios = self
        self.tool = self
        self.pod_lists: list[dict[str, str]] = [{"ei-1": "kw1"}]
        self.plans: list[Plan] = []
        self.played: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.did: list[tuple[Any, ...]] = []
        self.seen = True
        self.run_of_healer: dict[str, Any] = {"status": "healed", "incident": "i-1"}
        self.is_back, self.image, self.kept = True, names.EI_IMAGE, 4

    def note(self, text: str) -> None:
        self.notes.append(text)

    def load(self, plan: Plan) -> FakeLoad:
        self.plans.append(plan)
        return FakeLoad(self.failed)

    def play(self, **changes: Any) -> None:
        self.played.append(changes)

    def show_kubectl(self, *words: str) -> None:
        self.did.append(("kubectl", *words))

    def show_selfheal(self, *words: str) -> None:
        self.did.append(("selfheal", *words))

    def evidence(self, incident: str) -> int:
        assert incident == "i-1"
        return self.kept

    def pods(self) -> dict[str, str]:
        return self.pod_lists.pop(0) if len(self.pod_lists) > 1 else self.pod_lists[0]

    def node(self, name: str) -> Node:
        return Node(True, False, "b1", False)

    def wait_pods(self, good: Callable[[Look], bool], seconds: float) -> bool:
        return good(self.looks.pop(0))

    def wait_for(self, verdict: str, node: str, twins: list[str], seconds: float, say: Any) -> bool:
        self.did.append(("nagios", verdict, node, tuple(twins)))
        return self.seen

    def healed(self, node: str, fault: str, since: float, seconds: float) -> dict[str, Any]:
        assert since > 1e9
        return self.run_of_healer

    def back(self, node: str, boot_id: str) -> bool:
        assert (node, boot_id) == ("kw2", "b1")
        return self.is_back

    def spoil(self, node: str) -> None:
        self.did.append(("spoil", node))

    def run(self, *words: str) -> None:
        self.did.append(("kubectl", *words))

    def get(self, *words: str) -> dict[str, Any]:
        return {"spec": {"template": {"spec": {"containers": [{"image": self.image}]}}}}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for, and every address answers well."""
    monkeypatch.setattr(acts, "AROUND", 0.0)
    monkeypatch.setattr(acts, "wait_until", lambda condition, seconds, pause: any(condition() for _ in range(3)))
    monkeypatch.setattr(acts, "ask", lambda *a, **b: (200, f"<?xml?>{acts.DOCUMENT}"))


def do(act: Callable[[Scene], str], scene: FakeScene) -> str:
    return act(cast(Scene, scene))


def fails(words: str) -> AbstractContextManager[Any]:
    return pytest.raises(NotAsItShould, match=words)


def pods(ready: int, desired: int | None = None, cpu: int | None = 50) -> Look:
    return Look(1.0, ready if desired is None else desired, ready, cpu, 200)


def test_the_steps_are_those_of_the_issue_in_its_order() -> None:
    assert [act for _title, act in acts.ACTS] == [
        acts.roll_out, acts.kill_pod, acts.scale, acts.heal_worker, acts.bad_roll_out,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "well"),
    [
        ((200, f"x{acts.DOCUMENT}"), True),
        ((200, "<code>2</code>"), False),
        ((500, acts.DOCUMENT), False),
        ((0, ""), False),
    ],
)
def test_an_answer_is_the_seeds_document(monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str], well: bool) -> None:
    monkeypatch.setattr(acts, "ask", lambda *a, **b: answer)
    assert answers_well("10.0.0.1", 30010, None) is well


@pytest.mark.parametrize(
    ("loads", "outcome"),
    [
        ([FakeLoad(0, 5), FakeLoad(0, 6)], nullcontext("0 of 11 requests failed")),
        ([FakeLoad(0, 5), FakeLoad(2, 6)], fails("2 of 11 requests failed.*none was to fail; .* 0: reset")),
        ([FakeLoad(0, 0)], fails("no client sent a request")),
        ([], fails("no client sent a request")),
    ],
)  # fmt: skip
def test_not_one_request_may_be_lost(loads: list[FakeLoad], outcome: AbstractContextManager[Any]) -> None:
    with outcome as words:
        assert none_lost(*cast(list[Load], loads)).startswith(str(words))


def test_rolled_out_is_when_both_ports_of_all_nodes_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def ask(address: str, port: int, tls: Any = None) -> tuple[int, str]:
        asked.append((address, port, tls))
        return 200, acts.DOCUMENT

    monkeypatch.setattr(acts, "ask", ask)
    scene = FakeScene(pods(1))
    assert do(acts.roll_out, scene) == "both ports answer on 3 nodes"
    assert asked == [
        (address, *rest) for address in scene.addresses.values() for rest in ((30010, None), (30011, "ca.crt"))
    ]
    assert scene.played == [{"ei_kubernetes_scaling_behavior": {"scaleDown": {"stabilizationWindowSeconds": 15}}}]
    monkeypatch.setattr(acts, "ask", lambda *a, **b: (200 if a[1] == 30010 else 0, acts.DOCUMENT))
    with fails(r"https://10\.0\.0\.1:30011/simple \(kcp1\) does not answer"):
        do(acts.roll_out, FakeScene(pods(1)))
    with fails("no pod is ready"):
        do(acts.roll_out, FakeScene(pods(0, 1)))


def test_a_killed_pod_is_replaced_and_what_was_lost_is_said() -> None:
    scene = FakeScene(failed=3)
    scene.pod_lists = [{"ei-1": "kw1"}, {}, {"ei-2": "kw2"}]
    words = do(acts.kill_pod, scene)
    assert "3 of 20 requests failed" in words, "with one pod there is a gap: said, and no fault"
    assert ("kubectl", "-n", "ei", "delete", "pod", "ei-1", "--wait=false") in scene.did
    assert scene.notes == ["pod ei-1 is deleted", "pod ei-2 serves in its place"]


@pytest.mark.parametrize(
    ("lists", "words"), [([{}], "no pod is ready"), ([{"ei-1": "kw1"}], "ei-1 was not replaced"),
                         ([{"ei-1": "kw1"}, {}], "ei-1 was not replaced")],
)  # fmt: skip
def test_a_pod_that_is_not_replaced(lists: list[dict[str, str]], words: str) -> None:
    scene = FakeScene()
    scene.pod_lists = lists
    with fails(words):
        do(acts.kill_pod, scene)


def test_scaled_by_load_and_back() -> None:
    scene = FakeScene(pods(1), pods(4), pods(1))
    assert "1 to 4 pods" in do(acts.scale, scene)
    assert scene.plans[0] == HEAVY
    assert [words.split(":")[0] for words in scene.notes] == ["load on", "load off", "one pod is left"]


@pytest.mark.parametrize(
    ("looks", "failed", "words"),
    [
        ([pods(1, cpu=None)], 0, "no measure of CPU"),
        ([pods(1), pods(3)], 0, "there are not 4 pods after 240 s of load"),
        ([pods(1), pods(3, 4)], 0, "there are not 4 pods"),
        ([pods(1), pods(4), pods(2)], 0, "more than one pod is left 300 s after"),
        ([pods(1), pods(4), pods(1, 2)], 0, "more than one pod is left"),
        ([pods(1), pods(4), pods(1)], 1, "2 of 40 requests failed"),
    ],
)
def test_what_did_not_scale(looks: list[Look], failed: int, words: str) -> None:
    scene = FakeScene(*looks, failed=failed)
    with fails(words):
        do(acts.scale, scene)
    assert "one pod is left" not in scene.notes or failed


def test_a_worker_is_healed_under_load() -> None:
    scene = FakeScene(pods(2))
    scene.pod_lists = [{"ei-1": "kw1", "ei-2": "kw2"}]
    words = do(acts.heal_worker, scene)
    assert words.startswith("kw2 was taken out, rebooted and given back") and "0 of 20 requests failed" in words
    assert scene.played[0]["ei_kubernetes_min_replicas"] == 2, "with one pod the service itself is moved"
    assert scene.did == [
        ("spoil", "kw2"), ("nagios", "faulty", "kw2", ("kw1", "kw2")), ("selfheal", "show", "i-1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "failed", "look", "words"),
    [
        ({}, 0, pods(1, 2), "no two pods"),
        ({"seen": False}, 0, pods(2), "Nagios does not see kw2 as faulty"),
        ({"run_of_healer": {}}, 0, pods(2), "kw2 is not healed within 360 s: no run of the healer has ended"),
        ({"run_of_healer": {"status": "left_out"}}, 0, pods(2), "kw2 is not healed within 360 s: left_out"),
        ({"is_back": False}, 0, pods(2), "kw2 is not Ready after another boot"),
        ({}, 1, pods(2), "1 of 20 requests failed"),
    ],
)
def test_a_worker_that_is_not_healed(changes: dict[str, Any], failed: int, look: Look, words: str) -> None:
    scene = FakeScene(look, failed=failed)
    vars(scene).update(changes)
    with fails(words):
        do(acts.heal_worker, scene)


def test_a_bad_roll_out_is_put_back() -> None:
    scene = FakeScene(pods(1))
    words = do(acts.bad_roll_out, scene)
    assert "4 files of evidence" in words and "0 of 20 requests failed" in words
    (changes,) = scene.played
    assert changes["ei_kubernetes_image"] == "registry.lab.invalid/ei:bad"
    assert changes["ei_kubernetes_wait"] is False
    assert scene.did == [
        ("nagios", "ok", "eik", ("eik",)), ("nagios", "faulty", "eik", ("eik",)), ("selfheal", "show", "i-1"),
        ("selfheal", "history"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "failed", "look", "words"),
    [
        ({"seen": False}, 0, pods(1), "Nagios does not see eik well"),
        ({"run_of_healer": {"status": "undone"}}, 0, pods(1), "eik is not healed within 360 s: undone"),
        ({"image": "registry.lab.invalid/ei:bad"}, 0, pods(1), "ei-deployment still has the image .*bad"),
        ({}, 0, pods(1, 2), "not all pods are ready"),
        ({}, 0, pods(0), "not all pods are ready"),
        ({"kept": 0}, 0, pods(1), "no evidence was kept of incident i-1"),
        ({}, 2, pods(1), "2 of 20 requests failed"),
    ],
)
def test_a_bad_roll_out_that_is_not_put_back(changes: dict[str, Any], failed: int, look: Look, words: str) -> None:
    scene = FakeScene(look, failed=failed)
    vars(scene).update(changes)
    with fails(words):
        do(acts.bad_roll_out, scene)
