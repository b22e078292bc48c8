# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A removal with a layer in a cluster: its hosts have no machine, its holds are annotations (the API is a fake)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_hold import HOLD
from tests.unit.kubernetes.fake_api import FakeApi
from tests.unit.kubernetes.objects import deployment

from .test_change import Place

WORKLOAD = "/apis/apps/v1/namespaces/shop/deployments/web"
BESIDE = (
    "/apis/apps/v1/namespaces/shop/replicasets",
    "/api/v1/namespaces/shop/pods",
    "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers",
    "/apis/policy/v1/namespaces/shop/poddisruptionbudgets",
    "/api/v1/namespaces/shop/events",
    "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods",
)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApi]:
    (tmp_path / "api").mkdir()
    made = FakeApi(tmp_path / "api")
    made.answers = {("GET", path): (200, {"items": []}) for path in BESIDE}
    made.answers[("GET", WORKLOAD)] = (200, deployment())
    yield made
    made.close()


@pytest.fixture
def shop(tmp_path: Path, api: FakeApi) -> Place:
    """A farm with one layer on machines and one of workloads; whoever logs in to ``web`` fails."""
    place = Place(tmp_path)
    (place.folder / "farm/shop.yml").write_text(
        "shop: {hosts: {web: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}}}\n"
    )
    (place.folder / "farm/group_vars/shop.yml").write_text(
        f"selfheal_strategy: kubernetes_workload\nselfheal_namespace: shop\nselfheal_kubeconfig: {api.kubeconfig}\n"
    )
    (place.folder / "farm/group_vars/all.yml").write_text("ansible_connection: local\n")
    del place.values["ansible_connection"]
    place.values["kubernetes_access_kubeconfig"] = str(api.kubeconfig)
    place.values["kubernetes_access_reader_folder"] = str(tmp_path / "reader")
    place.run()
    return place


def held(api: FakeApi) -> None:
    note = {"incident": "web-1", "epoch": 3, "phase": "shift", "reason": "ill", "expires": time.time() + 600}
    found = deployment()
    found["metadata"]["annotations"][HOLD] = json.dumps(note)
    api.answers[("GET", WORKLOAD)] = (200, found)


def test_a_workload_is_asked_of_its_cluster_and_never_by_ssh(shop: Place, api: FakeApi) -> None:
    del shop.values["healer_targets"]
    done = shop.play("selfheal.cluster.remove", "--skip-tags", "x")
    assert "UNREACHABLE" not in done.stdout and " web " not in done.stdout.rpartition("PLAY RECAP")[2], done.stdout
    assert WORKLOAD in {path.partition("?")[0] for _method, path, _sent, _headers in api.asked}
    assert {method for method, *_rest in api.asked} == {"GET"}
    assert "hold a node" not in done.stdout and "Nothing was removed" not in done.stdout, done.stdout
    assert not api.kubeconfig.exists(), "its account is of no use any more"
    assert "kubernetes_access_state=absent" in done.stdout, "whose the rights are has to be said"


def test_a_hold_in_the_cluster_keeps_the_healer(shop: Place, api: FakeApi) -> None:
    held(api)
    done = shop.play("selfheal.cluster.remove")
    assert done.returncode != 0 and "These still hold a node: web." in done.stdout, done.stdout
    assert shop.runs and api.kubeconfig.exists()


@pytest.mark.parametrize("silent", [True, False], ids=["API server down", "no right to look"])
def test_an_answer_that_does_not_come_keeps_the_healer(shop: Place, api: FakeApi, silent: bool) -> None:
    if silent:
        api.close()
    else:
        api.answers[("GET", WORKLOAD)] = (403, {"kind": "Status", "reason": "Forbidden", "message": "no"})
    done = shop.play("selfheal.cluster.remove")
    assert done.returncode != 0, done.stdout
    assert "Whether these are held in their cluster is not known: web (" in " ".join(done.stdout.split()), done.stdout
    assert shop.runs and api.kubeconfig.exists()


def test_without_an_account_there_is_nothing_to_ask(shop: Place, api: FakeApi) -> None:
    shop.values["selfheal_kubeconfig"] = str(shop.folder / "none")
    held(api)
    done = shop.play("selfheal.cluster.remove")
    assert "hold a node" not in done.stdout and api.asked == [], done.stdout
