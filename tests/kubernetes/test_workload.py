# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A workload that Kubernetes' own healing does not help: seen, its evidence kept, and healed rung by rung."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._evidence import unpack
from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_rungs import choose, well
from tests.kubernetes.harness import DOCUMENT, Load, RealCluster, wait_for

pytestmark = pytest.mark.lab
NAME = "ei-deployment"
HELD = {"incident": "i1", "epoch": int(time.time())}


def seen(real: RealCluster) -> dict[str, Any]:
    found = real.module("kubernetes_workload_info", namespace=real.namespace, name=NAME)
    assert not found.get("failed"), found
    return dict(found["workload"])


def bad(real: RealCluster, folder: Path, **changes: Any) -> None:
    """A roll-out that nobody waits for."""
    real.play(folder, ei_kubernetes_wait=False, ei_kubernetes_available_seconds=15, **changes)


def trouble_of(look: dict[str, Any]) -> set[str]:
    return {it["trouble"] for it in look["pods"] if it["trouble"]}


def names(real: RealCluster) -> set[str]:
    """Its pods, also those that go."""
    return {it["metadata"]["name"] for it in real.get("pods", "-l", "type=ei")["items"]}


def test_a_healthy_one_has_nothing_against_it(rolled_out: RealCluster) -> None:
    found = seen(rolled_out)
    assert (found["available"], found["rollout"]["state"], well(found)) == (1, "complete", "")
    assert found["autoscaler"]["max"] == 6 and found["budgets"][0]["max_unavailable"] == 1


@pytest.mark.machines
def test_what_it_uses_is_read(rolled_out: RealCluster) -> None:
    """The lab's cluster has metrics; another one may have none, which is named and no illness."""
    wait_for(lambda: not [text for text in seen(rolled_out)["missing"] if text.startswith("metrics")], 60)


@pytest.mark.parametrize(
    ("changes", "trouble", "kind"),
    [
        ({"ei_kubernetes_image": "registry.lab.invalid/ei:bad"}, {"ErrImagePull", "ImagePullBackOff"}, "undo"),
        ({"ei_kubernetes_env": {"EI_API_DIR": "/nowhere"}}, {"CrashLoopBackOff", "Error"}, "undo"),
        ({"ei_kubernetes_requests": {"cpu": "999"}, "ei_kubernetes_limits": {"cpu": "999"}}, {"Unschedulable"}, "none"),
        ({"ei_kubernetes_tls_certificate": "", "ei_kubernetes_tls_key": "", "ei_kubernetes_tls_secret": "nothing"},
         {""}, "undo"),
    ],
)  # fmt: skip
def test_a_bad_roll_out_is_seen_and_the_rung_is_right(
    rolled_out: RealCluster, tmp_path: Path, changes: dict[str, Any], trouble: set[str], kind: str
) -> None:
    bad(rolled_out, tmp_path, **changes)

    def told() -> dict[str, Any] | None:
        """The look that shows it: in a crash loop the next one may find the container running again."""
        look = seen(rolled_out)
        # A pod that waits for its volume says nothing but in its events.
        ill = look["rollout"]["state"] == "failed" if trouble == {""} else trouble_of(look) & trouble
        return look if ill else None

    assert choose(wait_for(told, 60), ())["kind"] == kind
    assert DOCUMENT in rolled_out.answer(), "what served before still serves"


def test_a_crash_loop_is_evidenced_with_the_log_of_the_container_before_and_rolled_back(
    rolled_out: RealCluster, tmp_path: Path
) -> None:
    mine = {"namespace": rolled_out.namespace, "name": NAME}
    definition = tmp_path / "simple.xml"
    definition.write_text("<api>broken")
    bad(rolled_out, tmp_path, ei_kubernetes_api_files=[str(definition)])
    wait_for(lambda: any(it["restarts"] for it in seen(rolled_out)["pods"]), 60)
    held = rolled_out.module("kubernetes_hold", kind="Deployment", **mine, state="held", phase="shift", **HELD)
    assert held["changed"], held
    taken = rolled_out.module("kubernetes_evidence", **mine)
    files = unpack(taken["blob"])
    before = [text for name, text in files.items() if name.endswith("-previous")]
    assert before and "cannot start" in before[0] and "simple.xml" in before[0], taken
    assert "BackOff" in files["events"]
    refused = rolled_out.module("kubernetes_rollout", **mine, act="undo", **{**HELD, "incident": "other"})
    assert refused["reason"] == "human_hold"
    done = rolled_out.module("kubernetes_rollout", **mine, act="undo", **HELD)
    assert done["changed"] and done["revision"] == 1, done
    wait_for(lambda: well(seen(rolled_out)) == "", 60)
    again = rolled_out.module("kubernetes_rollout", **mine, act="undo", **HELD)
    assert not again["changed"], "what this incident has given is not given again"
    freed = rolled_out.module("kubernetes_hold", kind="Deployment", **mine, state="free", phase="readmit", **HELD)
    assert freed["changed"]
    template = rolled_out.get("deployment", NAME)["spec"]["template"]["metadata"]
    assert not [key for key in template.get("annotations", {}) if key.startswith("selfheal")], "never the pod template"


@pytest.mark.machines
def test_a_restart_of_the_roll_out_loses_no_request(rolled_out: RealCluster) -> None:
    old = names(rolled_out)
    with Load(rolled_out.nodes()[rolled_out.worker(0)], rolled_out.ports[0]) as load:
        load.more()
        done = rolled_out.module("kubernetes_rollout", namespace=rolled_out.namespace, name=NAME, act="restart", **HELD)
        assert done["changed"], done
        wait_for(lambda: seen(rolled_out)["rollout"]["state"] == "complete" and not names(rolled_out) & old, 60)
        load.more(40)
    assert load.failed == [], f"{len(load.failed)} of {len(load.answers)}: {load.failed[:3]}"


@pytest.mark.machines
def test_a_stuck_pod_goes_by_the_eviction_api_as_its_budget_allows(rolled_out: RealCluster) -> None:
    pod = seen(rolled_out)["pods"][0]
    words: dict[str, Any] = {
        "namespace": rolled_out.namespace, "name": NAME, "act": "evict", "pods": [pod["name"]], **HELD,
        "judged_revision": seen(rolled_out)["rollout"]["revision"],
    }  # fmt: skip
    served = rolled_out.module("kubernetes_rollout", **words)
    assert (served["changed"], served["evicted"]) == (False, []), "one that serves by now is left alone"
    budget(rolled_out, {"maxUnavailable": 0, "unhealthyPodEvictionPolicy": "IfHealthyBudget"}, 0)
    rolled_out.lab.exec(pod["node"], ["pkill", "-STOP", "-f", "/opt/ei/ei.py"])
    wait_for(lambda: not seen(rolled_out)["pods"][0]["ready"], 60)
    words["epoch"] += 1
    refused = rolled_out.module("kubernetes_rollout", **words)
    assert (refused["reason"], refused["touched"], refused["evicted"]) == ("budget", False, []), refused
    budget(rolled_out, {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"}, 0)
    words["epoch"] += 1
    assert rolled_out.module("kubernetes_rollout", **words)["evicted"] == [pod["name"]]
    wait_for(lambda: well(seen(rolled_out)) == "" and seen(rolled_out)["pods"][0]["name"] != pod["name"], 90)


def budget(real: RealCluster, spec: dict[str, Any], allowed: int) -> None:
    """A budget of these words, once its controller has seen them."""
    real.kubectl("patch", "pdb", "ei-pdb", "--type=merge", "-p", json.dumps({"spec": spec}))

    def told() -> bool:
        found = real.get("pdb", "ei-pdb")
        new = found["status"]["observedGeneration"] == found["metadata"]["generation"]
        return bool(new and found["status"]["disruptionsAllowed"] == allowed)

    wait_for(told, 30)


@pytest.mark.machines
def test_of_two_pods_one_that_is_deleted_loses_no_request(rolled_out: RealCluster) -> None:
    rolled_out.kubectl("patch", "hpa", "ei-hpa", "--type=merge", "-p", '{"spec":{"minReplicas":2}}')
    wait_for(lambda: seen(rolled_out)["available"] == 2 and well(seen(rolled_out)) == "", 90)
    with Load(rolled_out.nodes()[rolled_out.worker(0)], rolled_out.ports[0]) as load:
        load.more()
        gone = seen(rolled_out)["pods"][0]["name"]
        rolled_out.kubectl("delete", "pod", gone, "--wait=false")
        wait_for(lambda: gone not in names(rolled_out) and well(seen(rolled_out)) == "", 60)
        load.more(40)
    assert load.failed == [], f"{len(load.failed)} of {len(load.answers)}: {load.failed[:3]}"


def test_nothing_is_done_to_a_roll_out_that_is_newer_than_the_decision(rolled_out: RealCluster, tmp_path: Path) -> None:
    judged = seen(rolled_out)["rollout"]["revision"]
    rolled_out.play(tmp_path, ei_kubernetes_env={"MENDED": "yes"})
    words: dict[str, Any] = {"namespace": rolled_out.namespace, "name": NAME, **HELD}
    refused = rolled_out.module("kubernetes_rollout", act="undo", to_revision=judged, judged_revision=judged, **words)
    assert refused["reason"] == "conflict", refused
    assert seen(rolled_out)["rollout"]["revision"] == judged + 1


def test_an_object_that_was_changed_meanwhile_is_not_changed_on_an_old_look(rolled_out: RealCluster) -> None:
    from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes import Api, KubernetesError
    from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_hold import (
        JSON_PATCH,
        guarded,
        note_changes,
    )

    api = Api(str(rolled_out.kubeconfig))
    path = f"/apis/apps/v1/namespaces/{rolled_out.namespace}/deployments/{NAME}"
    old = api.get(path)
    rolled_out.kubectl("annotate", f"deployment/{NAME}", "somebody=else")
    with pytest.raises(KubernetesError) as refused:
        api.request("PATCH", path, guarded(old, note_changes(old, {"a": "b"})), JSON_PATCH)
    assert refused.value.reason == "conflict", refused.value.message
