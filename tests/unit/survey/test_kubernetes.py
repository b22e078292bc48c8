# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the survey says of layers of Kubernetes, and whom it asks about them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._survey_kubernetes import (
    kubernetes_findings,
    workload_sights,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_scope import scope
from tests.unit.kubernetes.objects import autoscaler, pod
from tests.unit.kubernetes.test_rungs import SETTLED, view

GROUPS = {"all": ["monitor", "shop", "kw1"], "monitor": ["monitor"], "apps": ["shop"], "workers": ["kw1"]}
HOSTVARS: dict[str, dict[str, Any]] = {
    "monitor": {},
    "shop": {"selfheal_strategy": "kubernetes_workload", "selfheal_namespace": "ei"},
    "kw1": {"selfheal_strategy": "kubernetes_node", "selfheal_service": "kubelet.service"},
}
APPS = {"layer": "apps", "kind": "workload", "nodes": ["shop"], "kubeconfig": "/k"}
WORKERS = {"layer": "workers", "kind": "machine", "nodes": ["kw1"], "kubeconfig": "/k"}
GOOD = {**view(SETTLED, [pod("a", 2), pod("b", 2)], available=2), "budgets": [{"name": "pdb"}]}
NODE = {"human_cordon": False, "refusals": []}


def answer(workload: Any = GOOD, node: Any = NODE) -> dict[str, Any]:
    seen = {"reachable": True, "reason": "", "error": "", "workloads": {"shop": workload}, "nodes": {"kw1": node}}
    return {"kubernetes": seen}


def test_a_workload_is_asked_of_the_cluster_and_not_as_a_machine() -> None:
    found = scope(GROUPS, HOSTVARS, lambda names: {name: [f"10.0.0.{len(name)}"] for name in names})
    assert found["problems"] == []
    assert "shop" not in found["asked"]
    assert found["asks"]["monitor"]["kubernetes"] == {
        "workloads": [{"host": "shop", "name": "shop", "namespace": "ei"}],
        "nodes": [{"host": "kw1", "name": "kw1"}],
        "kubeconfig": "/etc/selfheal/kubernetes.conf",
        "context": "",
    }
    other = {**HOSTVARS, "kw1": {**HOSTVARS["kw1"], "selfheal_context": "b"}}
    found = scope(GROUPS, other, lambda names: {name: [f"10.0.0.{len(name)}"] for name in names})
    assert "several places to ask" in found["problems"][0]["what"]
    assert "kubernetes" not in found["asks"]["monitor"]


@pytest.mark.parametrize(
    ("layer", "given", "expected"),
    [
        (APPS, {}, [("blocks", "Kubernetes cannot be asked: it was not asked")]),
        (APPS, {"failed": True, "msg": "boom\nmore"}, [("blocks", "Kubernetes cannot be asked: boom")]),
        (APPS, answer(), []),
        (APPS, answer({"error": "not found", "reason": "not_found"}), [("blocks", "not found")]),
        (APPS, answer({**GOOD, "budgets": []}), [("weakens", "no PodDisruptionBudget")]),
        (APPS, answer({**GOOD, "missing": ["metrics: no"]}), [("weakens", "not seen of it: metrics: no")]),
        (APPS, answer({**GOOD, "rollback_to": None}), [("note", "a bad roll-out calls a person")]),
        (APPS, answer({**view(SETTLED, [pod("a", 2), pod("b", 2)], available=2, scaler=[autoscaler(400)]),
                       "budgets": [1]}), [("note", "at its maximum of 6")]),
        (WORKERS, answer(), []),
        (WORKERS, answer(node={**NODE, "human_cordon": True}), [("note", "cordoned by somebody")]),
        (WORKERS, answer(node={**NODE, "refusals": [{"detail": "no place for a"}]}), [("weakens", "no place for a")]),
    ],
)  # fmt: skip
def test_what_stands_in_the_way(layer: Any, given: Any, expected: list[tuple[str, str]]) -> None:
    found = [(item["weight"], item["what"]) for item in kubernetes_findings({"kubernetes": given}, layer)]
    assert len(found) == len(expected), found
    for (weight, what), (wanted, words) in zip(found, expected, strict=True):
        assert (weight, words in what) == (wanted, True), what


def test_a_workload_is_reachable_when_the_cluster_can_be_asked_about_it() -> None:
    assert workload_sights([APPS, WORKERS], answer()) == {"shop": {"reachable": True, "error": ""}}
    assert workload_sights([APPS], {})["shop"]["error"] == "it was not asked"
