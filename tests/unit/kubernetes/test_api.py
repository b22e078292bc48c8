# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How the API server is asked, every way in which it can fail to answer, and what is changed. The server is a fake."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _kubernetes_ask as asking
from ansible_collections.selfheal.cluster.plugins.module_utils import _kubernetes_change as changing
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import Api, KubernetesError
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_drain import Drainer, hold_workload
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_hold import EPOCH, HOLD
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_node import CORDONED
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_rollout import ACTED, Rollout
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_workload import AVAILABLE
from tests.unit.kubernetes.fake_api import TOKEN, FakeApi
from tests.unit.kubernetes.objects import NOW, at, condition, deployment, pod, replica_set

APPS = "/apis/apps/v1/namespaces/ei"
PODS = "/api/v1/namespaces/ei/pods"
DEPLOYMENT = f"{APPS}/deployments/ei-deployment"
FAILED = condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out")


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeApi]:
    made = FakeApi(tmp_path)
    yield made
    made.close()


def api(fake: FakeApi, timeout: float = 5) -> Api:
    return Api(str(fake.kubeconfig), "", timeout)


def listed(*items: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"items": list(items)}


def test_the_token_goes_in_a_header_and_nowhere_else(fake: FakeApi) -> None:
    fake.answers["GET", "/x"] = (200, {"a": 1})
    assert api(fake).get("/x", labelSelector="a=b c") == {"a": 1}
    method, path, _body, headers = fake.asked[-1]
    assert (method, path) == ("GET", "/x?labelSelector=a%3Db+c")
    assert {key.lower(): value for key, value in headers.items()}["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ((401, {"message": "Unauthorized"}), "not_authenticated", "still valid"),
        (
            (403, {"message": 'pods is forbidden: "x" cannot list resource "pods"'}),
            "not_authorized",
            "cannot list",
        ),
        ((404, {"message": "not found"}), "not_found", "not found"),
        ((409, {"message": "the object has been modified"}), "conflict", "modified"),
        ((429, {"message": "Cannot evict pod"}), "too_many_requests", "Cannot evict"),
        ((500, "<html>"), "api_error", "<html>"),
        ((302, ""), "api_error", "no reason given"),
        ((200, "<html>"), "api_error", "no JSON"),
    ],
)
def test_every_answer_that_is_none(fake: FakeApi, answer: Any, reason: str, words: str) -> None:
    fake.answers["GET", "/x"] = answer
    with pytest.raises(KubernetesError) as refused:
        api(fake).get("/x")
    assert (refused.value.reason, words in refused.value.message) == (reason, True), refused.value.message
    assert TOKEN not in refused.value.message


def test_a_server_that_is_not_there_is_silent_or_somebody_else(fake: FakeApi, tmp_path: Path) -> None:
    fake.write_kubeconfig("https://127.0.0.1:1")
    with pytest.raises(KubernetesError, match="gives no answer") as refused:
        api(fake).get("/x")
    assert refused.value.reason == "api_unreachable"
    assert "object at 0x" not in refused.value.message
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fake.write_kubeconfig(f"https://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(KubernetesError, match=r"within 0\.3 s"):
            api(fake, 0.3).get("/x")
    fake.write_kubeconfig(f"https://127.0.0.1:{fake.listener.server_port}", Path("/etc/ssl/certs/ca-certificates.crt"))
    with pytest.raises(KubernetesError, match="certificate"):
        api(fake).get("/x")
    for text in ("nonsense: [", "{}"):
        fake.kubeconfig.write_text(text)
        with pytest.raises(KubernetesError) as refused:
            api(fake)
        assert refused.value.reason == "no_kubeconfig"
    with pytest.raises(KubernetesError, match="kubeconfig"):
        Api(str(tmp_path / "none"))


def workload_answers(fake: FakeApi, item: Any, sets: Any, pods: Any) -> None:
    fake.answers["GET", DEPLOYMENT] = (200, item)
    fake.answers["GET", f"{APPS}/replicasets"] = listed(*sets)
    fake.answers["GET", PODS] = listed(*pods)
    for path in (
        "autoscaling/v2/namespaces/ei/horizontalpodautoscalers",
        "policy/v1/namespaces/ei/poddisruptionbudgets",
    ):
        fake.answers["GET", f"/apis/{path}"] = listed()
    fake.answers["GET", "/api/v1/namespaces/ei/events"] = listed()


def test_metrics_that_are_not_there_and_rights_that_lack_are_named(fake: FakeApi) -> None:
    workload_answers(fake, deployment(1), [replica_set(1, 1)], [pod()])
    fake.answers["GET", "/api/v1/namespaces/ei/events"] = (403, {"message": "events is forbidden"})
    seen = asking.workload(api(fake), "ei", "ei-deployment", lambda: NOW)
    assert [it["name"] for it in seen["pods"]] == ["ei-a"]
    assert [text.partition(":")[0] for text in seen["missing"]] == ["events", "metrics"]


def test_what_cannot_be_read_of_a_cluster_is_said_at_its_place(fake: FakeApi) -> None:
    workload_answers(fake, deployment(1), [replica_set(1, 1)], [pod()])
    asked = [{"host": "shop", "namespace": "ei", "name": "ei-deployment"},
             {"host": "other", "namespace": "ei", "name": "missing"}]  # fmt: skip
    seen = asking.cluster(api(fake), asked, [], lambda: NOW)
    assert seen["reachable"] and seen["workloads"]["shop"]["available"] == 1
    assert seen["workloads"]["other"]["reason"] == "not_found"
    fake.answers["GET", DEPLOYMENT] = (401, {"message": "Unauthorized"})
    seen = asking.cluster(api(fake), asked, [], lambda: NOW)
    assert (seen["reachable"], seen["reason"]) == (False, "not_authenticated")


def given(act: str, **more: Any) -> dict[str, Any]:
    return {"namespace": "ei", "name": "ei-deployment", "act": act, "to_revision": 0, "pods": [], "incident": "i1",
            "epoch": 7, "since_epoch": 0, "judged_revision": 0, **more}  # fmt: skip


def test_a_revision_is_put_back_in_one_change_that_names_the_version_and_the_epoch(fake: FakeApi) -> None:
    workload_answers(fake, deployment(2, 1, 2, [FAILED]), [replica_set(1, 1), replica_set(2, image="ei:2")], [])
    fake.answers["PATCH", DEPLOYMENT] = (200, {})
    done = Rollout(api(fake), given("undo"), NOW, False).run()
    assert (done["changed"], done["revision"]) == (True, 1)
    _method, _path, body, headers = fake.asked[-1]
    assert {key.lower(): value for key, value in headers.items()}["content-type"] == "application/json-patch+json"
    assert body[0] == {"op": "replace", "path": "/metadata/resourceVersion", "value": "77"}
    assert body[1]["path"] == "/spec/template" and body[1]["value"]["spec"]["containers"][0]["image"] == "ei:1"
    notes = {it["path"].rpartition("/")[2].replace("~1", "/"): it["value"] for it in body[2:]}
    assert notes == {EPOCH: "7", ACTED: "undo i1 7"}


def test_an_act_that_this_incident_has_given_is_not_given_again(fake: FakeApi) -> None:
    item = deployment(2)
    item["metadata"]["annotations"].update({ACTED: "restart i1 7", EPOCH: "9"})
    fake.answers["GET", DEPLOYMENT] = (200, item)
    done = Rollout(api(fake), given("restart", epoch=9, since_epoch=7), NOW, False).run()
    assert (done["changed"], done["restarted"]) == (False, True)
    assert [it[0] for it in fake.asked] == ["GET"]
    fake.answers["PATCH", DEPLOYMENT] = (200, {})
    assert Rollout(api(fake), given("restart", epoch=9, since_epoch=8), NOW, False).run()["changed"]
    with pytest.raises(SelfhealError, match="epoch 9"):
        Rollout(api(fake), given("restart", epoch=8), NOW, False).run()


def test_a_conflict_is_a_refusal_and_check_mode_asks_the_server_without_a_change(fake: FakeApi) -> None:
    workload_answers(fake, deployment(2), [], [])
    fake.answers["PATCH", DEPLOYMENT] = (409, {"message": "the object has been modified"})
    with pytest.raises(KubernetesError) as refused:
        Rollout(api(fake), given("restart"), NOW, False).run()
    assert refused.value.reason == "conflict"
    fake.answers["PATCH", DEPLOYMENT] = (200, {})
    assert Rollout(api(fake), given("restart"), NOW, True).run()["changed"]
    assert fake.asked[-1][1].endswith("?dryRun=All")


def test_only_pods_of_this_deployment_are_evicted_and_a_budget_that_refuses_is_a_refusal(fake: FakeApi) -> None:
    ill = [pod(name, conditions=[]) for name in ("a", "b")]
    workload_answers(fake, deployment(2), [replica_set(1, 1)], [*ill, pod("well"), pod("foreign", 9)])
    fake.answers["PATCH", DEPLOYMENT] = (200, {})
    fake.answers["POST", f"{PODS}/a/eviction"] = (201, {})
    done = Rollout(api(fake), given("evict", pods=["a", "well", "foreign", "gone"]), NOW, False).run()
    assert done["evicted"] == ["a"]
    assert fake.asked[-1][2]["deleteOptions"]["preconditions"] == {"uid": "pod-a"}
    fake.answers["POST", f"{PODS}/b/eviction"] = (429, {"message": "Cannot evict pod: budget"})
    with pytest.raises(SelfhealError) as refused:
        Rollout(api(fake), given("evict", pods=["b"]), NOW, False).run()
    assert (refused.value.reason, "budget" in refused.value.message) == ("budget", True)


@pytest.mark.parametrize(
    ("item", "reason", "why"),
    [
        (deployment(2, 1, 3, [FAILED]), "conflict", "somebody has rolled out a mend since the decision"),
        (deployment(2, 1, 2, [FAILED], paused=True), "human_hold", "somebody has paused it to have a look"),
        (deployment(0, 0, 2), "human_hold", "somebody has scaled it to nothing"),
        ({**deployment(2, 1, 2, [FAILED]), "status": {"observedGeneration": 2}}, "conflict", "changed just now"),
    ],
)
@pytest.mark.parametrize("act", ["undo", "restart", "evict"])
def test_nothing_is_done_to_what_nobody_has_judged(fake: FakeApi, item: Any, reason: str, why: str, act: str) -> None:
    workload_answers(fake, item, [replica_set(1, 1), replica_set(2)], [pod("a", conditions=[])])
    with pytest.raises(SelfhealError) as refused:
        Rollout(api(fake), given(act, judged_revision=2, to_revision=1, pods=["a"]), NOW, False).run()
    assert refused.value.reason == reason, why
    assert {it[0] for it in fake.asked} == {"GET"}, why


class LostApi:
    """An API server that makes a change, and whose answer to it is lost; ``made``: whether it was made."""

    def __init__(self, made: bool, away: int) -> None:
        self.item, self.made, self.away, self.sent = deployment(2), made, away, 0

    def get(self, _path: str) -> dict[str, Any]:
        if self.sent and self.away:
            self.away -= 1
            raise KubernetesError("api_unreachable", "no answer")
        return self.item

    def items(self, path: str, **_query: Any) -> list[dict[str, Any]]:
        return [replica_set(1, 1)] if path.endswith("replicasets") else [pod("a", conditions=[])]

    def request(self, _method: str, _path: str, body: Any, *_words: Any, **_query: Any) -> None:
        self.sent += 1
        if self.sent == 1:
            if self.made:
                self.item["metadata"]["annotations"][ACTED] = next(
                    it["value"] for it in body if it["path"].endswith("acted")
                )
                self.item["metadata"]["generation"] += 1
            raise KubernetesError("api_unreachable", "no answer", lost=True)


@pytest.mark.parametrize(
    ("made", "away", "sent", "touched", "why"),
    [
        (True, 0, 1, False, "the object itself says that it was done"),
        (True, 3, 1, False, "and is asked again until it does"),
        (False, 0, 2, False, "it was not made, and is made now"),
        (True, 99, 1, True, "nobody knows: a person is called, and nothing is undone"),
    ],
)
def test_a_change_whose_answer_was_lost(made: bool, away: int, sent: int, touched: bool, why: str) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    lost: Any = LostApi(made, away)
    act = Rollout(lost, given("restart", judged_revision=1), NOW, False, lambda: now[0], sleep)
    if away == 99:
        with pytest.raises(KubernetesError):
            act.run()
    else:
        assert act.run()["restarted"], why
    assert (lost.sent, act.touched) == (sent, touched), why
    assert now[0] <= 20


@pytest.mark.parametrize(("made", "touched"), [(False, False), (True, True)])
def test_an_error_of_the_server_itself_is_asked_about(fake: FakeApi, made: bool, touched: bool) -> None:
    """A webhook that cannot be called is a 500 each time, and nothing was done: no person is needed for that."""
    item = deployment(2)
    fake.answers["GET", DEPLOYMENT] = (200, item)
    fake.answers["PATCH", DEPLOYMENT] = (500, {"message": "failed calling webhook"})
    act = Rollout(api(fake), given("restart", judged_revision=1), NOW, False)
    if made:
        asked = act.api.request

        def request(method: str, *words: Any, **query: Any) -> Any:
            if method == "PATCH":
                item["metadata"]["annotations"][ACTED] = "restart i1 7"
            return asked(method, *words, **query)

        act.api.request = request  # type: ignore[method-assign]  # the change is made, and answered all the same
    with pytest.raises(KubernetesError):
        act.run()
    assert act.touched == touched


def test_an_eviction_whose_mark_was_written_without_an_answer_goes_on() -> None:
    lost: Any = LostApi(made=True, away=1)
    act = Rollout(lost, given("evict", judged_revision=1, pods=["a"]), NOW, False, lambda: 0.0, lambda _seconds: None)
    assert act.run()["evicted"] == ["a"]
    assert (lost.sent, act.touched) == (2, False)


def test_pods_that_were_told_to_go_are_told_of_also_when_the_next_answer_is_lost(fake: FakeApi) -> None:
    ill = [pod(name, conditions=[]) for name in ("a", "b")]
    workload_answers(fake, deployment(2), [replica_set(1, 1)], ill)
    fake.answers["PATCH", DEPLOYMENT] = (200, {})
    fake.answers["POST", f"{PODS}/a/eviction"] = (201, {})
    fake.answers["POST", f"{PODS}/b/eviction"] = (503, {"message": "etcd leader changed"})
    act = Rollout(api(fake), given("evict", pods=["a", "b"]), NOW, False)
    with pytest.raises(KubernetesError):
        act.run()
    assert (act.evicted, act.touched) == (["a"], True)


THEIRS = '{"incident": "i2", "epoch": 1, "phase": "x", "expires": 9000000000}'
OURS = {CORDONED: "i1", HOLD: THEIRS.replace("i2", "i1")}


def node(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "metadata": {"name": "kw1", "resourceVersion": "5", "annotations": {}}, "spec": {},
        "status": {"conditions": [condition("Ready", "True")]},
    }  # fmt: skip
    for part, more in changes.items():
        made[part].update(more)
    return made


def test_a_node_is_cordoned_with_hold_and_mark_in_one_change(fake: FakeApi) -> None:
    fake.answers["GET", "/api/v1/nodes/kw1"] = (200, node())
    fake.answers["PATCH", "/api/v1/nodes/kw1"] = (200, {})
    assert Drainer(api(fake), "kw1", "i1", 7, lambda: NOW).cordon("shift", 60, "memory")
    paths = [it["path"] for it in fake.asked[-1][2]]
    assert paths[0] == "/metadata/resourceVersion" and paths[-1] == "/spec/unschedulable"
    assert sum("selfheal.cluster" in path for path in paths) == 3


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (node(spec={"unschedulable": True}), "human_hold"),
        (node(metadata={"annotations": {HOLD: THEIRS}}), "human_hold"),
        (node(metadata={"annotations": {EPOCH: "8"}}), "stale_epoch"),
    ],
)  # fmt: skip
def test_a_cordon_that_is_not_ours_stays(fake: FakeApi, item: Any, reason: str) -> None:
    fake.answers["GET", "/api/v1/nodes/kw1"] = (200, item)
    with pytest.raises(SelfhealError) as refused:
        Drainer(api(fake), "kw1", "i1", 7, lambda: NOW).cordon("shift", 60, "")
    assert refused.value.reason == reason
    assert [it[0] for it in fake.asked] == ["GET"]


def test_uncordon_takes_only_what_is_ours(fake: FakeApi) -> None:
    fake.answers["PATCH", "/api/v1/nodes/kw1"] = (200, {})
    fake.answers["GET", "/api/v1/nodes/kw1"] = (200, node(metadata={"annotations": OURS}, spec={"unschedulable": True}))
    assert Drainer(api(fake), "kw1", "i1", 7).uncordon()
    assert {"op": "remove", "path": "/spec/unschedulable"} in fake.asked[-1][2]
    fake.answers["GET", "/api/v1/nodes/kw1"] = (200, node(spec={"unschedulable": True}))
    assert not Drainer(api(fake), "kw1", "i1", 7).uncordon()
    assert all(it["path"] != "/spec/unschedulable" for it in fake.asked[-1][2])


def test_a_deployment_is_held_and_let_go(fake: FakeApi) -> None:
    fake.answers["GET", DEPLOYMENT] = (200, deployment())
    fake.answers["PATCH", DEPLOYMENT] = (200, {})
    words = {"namespace": "ei", "name": "ei-deployment", "incident": "i1", "epoch": 7, "phase": "shift", "reason": "r",
             "deadline_seconds": 60.0}  # fmt: skip
    assert hold_workload(api(fake), {**words, "state": "held"}, lambda: NOW, False)
    assert all("/spec" not in it["path"] for it in fake.asked[-1][2]), "never the pod template"
    assert not hold_workload(api(fake), {**words, "state": "free"}, lambda: NOW, False)
    fake.answers["GET", f"{APPS}/replicasets"] = listed(replica_set(1, 1), replica_set(2, owner="another"))
    fake.answers["PATCH", f"{APPS}/replicasets/ei-deployment-1"] = (200, {})
    hold_workload(api(fake), {**words, "state": "free", "phase": "readmit"}, lambda: NOW, False)
    assert fake.asked[-1][2] == {"metadata": {"annotations": {f"{AVAILABLE}-rs-1": at(0)}}}
    fake.answers["GET", DEPLOYMENT] = (200, deployment(2, 1))
    hold_workload(api(fake), {**words, "state": "free", "phase": "readmit"}, lambda: NOW, False)
    assert "replicasets" not in fake.asked[-1][1], "a roll-out that is not complete is not proven"


class TornApi:
    """An API server that gives no answer so many times, or says that the object has changed."""

    def __init__(self, reason: str, times: int) -> None:
        self.reason, self.left, self.patched = reason, times, 0

    def get(self, _path: str) -> dict[str, Any]:
        if self.reason == "api_unreachable" and self.left:
            self.left -= 1
            raise KubernetesError(self.reason, "no answer")
        return deployment()

    def request(self, *_words: Any, **_query: Any) -> None:
        if self.reason == "conflict" and self.left:
            self.left -= 1
            raise KubernetesError(self.reason, "it was modified", 409)
        self.patched += 1


@pytest.mark.parametrize(("times", "patched"), [(0, 1), (4, 1), (5, 0)])
def test_an_object_that_changes_all_the_time_is_read_and_judged_again(times: int, patched: int) -> None:
    torn: Any = TornApi("conflict", times)
    judged: list[Any] = []

    def make(item: dict[str, Any]) -> list[dict[str, Any]]:
        judged.append(item)
        return [{"op": "add", "path": "/x", "value": 1}]

    if not patched:
        with pytest.raises(KubernetesError):
            changing.change(torn, "/x", make)
    else:
        changing.change(torn, "/x", make)
    assert (torn.patched, len(judged)) == (patched, min(times + 1, changing.TRIES))


@pytest.mark.parametrize(("times", "done"), [(0, True), (3, True), (40, False)])
def test_a_server_that_is_away_is_asked_again_while_there_is_time(times: int, done: bool) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    torn: Any = TornApi("api_unreachable", times)
    if done:
        assert changing.patiently(lambda: torn.get("/x"), 25, lambda: now[0], sleep)
    else:
        with pytest.raises(KubernetesError):
            changing.patiently(lambda: torn.get("/x"), 25, lambda: now[0], sleep)
        assert now[0] <= 25


def test_a_revision_is_proven_only_when_its_roll_out_is_complete(fake: FakeApi) -> None:
    workload_answers(fake, deployment(2), [replica_set(1, 2)], [])
    fake.answers["PATCH", f"{APPS}/replicasets/ei-deployment-1"] = (200, {})
    assert Rollout(api(fake), given("proven", epoch=0), NOW, False).run()["changed"]
    workload_answers(fake, deployment(2), [replica_set(1, 2, **{f"{AVAILABLE}-rs-1": at(9)})], [])
    assert not Rollout(api(fake), given("proven", epoch=0), NOW, False).run()["changed"]
    workload_answers(fake, deployment(2), [replica_set(1, 2, **{f"{AVAILABLE}-rs-0": at(9)})], [])
    assert Rollout(api(fake), given("proven", epoch=0), NOW, False).run()["changed"], "a mark that was copied is none"
    workload_answers(fake, deployment(2, 1), [replica_set(1, 2)], [])
    with pytest.raises(SelfhealError, match="not proven"):
        Rollout(api(fake), given("proven", epoch=0), NOW, False).run()
