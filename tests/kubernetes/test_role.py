# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Role ei_kubernetes on a real cluster: rolled out, changed, refused, rolled back, removed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab.machines import wait_until
from tests.kubernetes.harness import DOCUMENT, ROOT, RealCluster, ask, changed, wait_for

pytestmark = pytest.mark.lab
PATHS = ("/simple", "/simple/")


@pytest.mark.machines
def test_both_ports_of_every_node_answer_as_the_seed_says(rolled_out: RealCluster) -> None:
    ports = ((30010, None), (30011, rolled_out.certificates / "ca.crt"))
    assert rolled_out.ports == tuple(port for port, _authority in ports)

    def wrong() -> dict[str, tuple[int, str]]:
        answers = {
            f"{address}:{port}{path}": ask(address, port, path, authority)
            for address in rolled_out.nodes().values()
            for port, authority in ports
            for path in PATHS
        }
        return {where: (status, body) for where, (status, body) in answers.items() if DOCUMENT not in body}

    wait_until(lambda: not wrong(), 10)  # kube-proxy is behind by a second
    assert wrong() == {}


def test_the_service_answers_as_the_seed_says(rolled_out: RealCluster) -> None:
    def wrong() -> dict[str, str]:
        answers = {
            f"{scheme} {path}": rolled_out.answer(path, scheme) for scheme in ("http", "https") for path in PATHS
        }
        return {what: text for what, text in answers.items() if DOCUMENT not in text}

    wait_until(lambda: not wrong(), 10)
    assert wrong() == {}


def test_a_second_run_changes_nothing_also_while_the_autoscaler_has_scaled(
    rolled_out: RealCluster, tmp_path: Path
) -> None:
    assert changed(rolled_out.play(tmp_path)) == 0
    # Its least, and not a number set by hand, which it would take back while the role runs.
    four: dict[str, Any] = {"ei_kubernetes_min_replicas": 4}
    assert changed(rolled_out.play(tmp_path, **four)) == 1
    wait_for(lambda: rolled_out.replicas() == 4, 90)
    assert changed(rolled_out.play(tmp_path, **four)) == 0, "the autoscaler's number is its own"
    assert changed(rolled_out.play(tmp_path, "--check", "--diff", **four)) == 0
    assert rolled_out.get("deployment", "ei-deployment")["spec"]["replicas"] == 4


def test_what_is_rolled_out_is_what_the_issue_asks_for(rolled_out: RealCluster) -> None:
    spec = rolled_out.get("deployment", "ei-deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["name"] == "integrator"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert spec["securityContext"]["runAsNonRoot"] and spec["automountServiceAccountToken"] is False
    assert {"startupProbe", "readinessProbe", "livenessProbe", "lifecycle"} <= set(container)
    scaler = rolled_out.get("hpa", "ei-hpa")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (1, 6)
    assert scaler["metrics"][0]["resource"]["target"]["averageUtilization"] == 200
    budget = rolled_out.get("pdb", "ei-pdb")["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_check_mode_on_an_empty_cluster_makes_nothing(empty: RealCluster, tmp_path: Path) -> None:
    output = empty.play(tmp_path, "--check", "--diff")
    assert changed(output) > 0
    assert "NotFound" in empty.tool.run("get", "namespace", empty.namespace, check=False).stderr


def test_a_changed_definition_rolls_the_pods_and_keeps_the_old_one_for_a_way_back(
    rolled_out: RealCluster, tmp_path: Path
) -> None:
    definition = tmp_path / "simple.xml"
    text = (ROOT / "roles/ei_kubernetes/files/simple.xml").read_text()
    definition.write_text(text.replace("<code>1</code>", "<code>2</code>"))
    rolled_out.play(tmp_path, ei_kubernetes_api_files=[str(definition)])
    wait_for(lambda: "<code>2</code>" in rolled_out.answer(), 30)
    maps = [it["metadata"]["name"] for it in rolled_out.get("configmaps", "-l", "selfheal.cluster/part-of=ei")["items"]]
    assert len(maps) == 2
    told = rolled_out.module("kubernetes_rollout", namespace=rolled_out.namespace, name="ei-deployment", act="undo")
    assert (told["changed"], told["revision"]) == (True, 1), told
    wait_for(lambda: "<code>1</code>" in rolled_out.answer(), 60)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ei_kubernetes_http_node_port": 80}, "nodePort"),
        ({"ei_kubernetes_requests": {"cpu": "2"}}, "must be less than or equal to cpu limit"),
        ({"ei_kubernetes_tls_key": ""}, "ei_kubernetes_tls_certificate and ei_kubernetes_tls_key"),
        ({"ei_kubernetes_kubeconfig": "/nonexistent"}, "kubeconfig"),
    ],
)
def test_what_is_refused_is_one_sentence(
    empty: RealCluster, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    output = empty.play(tmp_path, ok=False, **changes)
    assert words in output
    assert "Traceback" not in output


def test_a_bad_image_is_a_failure_with_its_reason_and_is_rolled_back_where_it_is_asked_for(
    rolled_out: RealCluster, tmp_path: Path
) -> None:
    bad = {"ei_kubernetes_image": "registry.lab.invalid/ei:bad", "ei_kubernetes_available_seconds": 15}
    output = rolled_out.play(tmp_path, ok=False, **bad, ei_kubernetes_rollback=True)
    assert "ei-deployment is not available after 15 s" in output
    assert "registry.lab.invalid/ei:bad" in output
    assert "Revision 1 was put back." in output
    assert DOCUMENT in rolled_out.answer()
    wait_for(lambda: rolled_out.replicas() == 1, 60)


def test_a_roll_out_that_a_heal_took_back_meanwhile_is_a_failure(rolled_out: RealCluster, tmp_path: Path) -> None:
    words: dict[str, Any] = {"namespace": rolled_out.namespace, "name": "ei-deployment"}

    def trouble() -> bool:
        found = rolled_out.module("kubernetes_workload_info", **words)["workload"]
        return found["rollout"]["revision"] == 2 and any(it["trouble"] for it in found["pods"])

    changes = {"ei_kubernetes_image": "registry.lab.invalid/ei:bad", "ei_kubernetes_available_seconds": 90}
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(rolled_out.play, tmp_path, ok=False, **changes)
        wait_for(trouble, 60)
        epoch = int(time.time())
        done = rolled_out.module(
            "kubernetes_rollout", act="undo", incident="i9", epoch=epoch, judged_revision=2, **words
        )
        assert done["changed"], done
        assert "was taken back by a heal" in playing.result(120)
    assert DOCUMENT in rolled_out.answer()


def test_what_is_switched_off_goes_and_nothing_works_against_the_number_of_pods(
    rolled_out: RealCluster, tmp_path: Path
) -> None:
    def there() -> set[str]:
        return set(rolled_out.kubectl("get", "hpa,networkpolicy", "-o", "name").split())

    memory = {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}}
    rolled_out.play(
        tmp_path, ei_kubernetes_network_policy=True, ei_kubernetes_metrics=[{"type": "Resource", "resource": memory}],
        ei_kubernetes_image_pull_secrets=["registry"],
    )  # fmt: skip
    assert [it["resource"]["name"] for it in rolled_out.get("hpa", "ei-hpa")["spec"]["metrics"]] == ["cpu", "memory"]
    pods = rolled_out.get("deployment", "ei-deployment")["spec"]["template"]["spec"]
    assert pods["imagePullSecrets"] == [{"name": "registry"}]
    assert {name.partition(".")[0] for name in there()} == {"horizontalpodautoscaler", "networkpolicy"}
    off: dict[str, Any] = {"ei_kubernetes_autoscale": False, "ei_kubernetes_replicas": 2}
    rolled_out.play(tmp_path, **off)
    assert there() == set() and rolled_out.get("deployment", "ei-deployment")["spec"]["replicas"] == 2
    assert changed(rolled_out.play(tmp_path, **off)) == 0


def test_it_is_removed_and_a_second_removal_changes_nothing(rolled_out: RealCluster, tmp_path: Path) -> None:
    assert changed(rolled_out.play(tmp_path, ei_kubernetes_state="absent")) > 0
    kinds = "deployment,service,hpa,pdb,configmap,secret,serviceaccount"
    left = rolled_out.get(kinds, "-l", "selfheal.cluster/part-of=ei")["items"]
    assert left == []
    assert changed(rolled_out.play(tmp_path, ei_kubernetes_state="absent")) == 0
