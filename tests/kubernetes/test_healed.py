# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The farm and the cluster as one: Nagios sees what Kubernetes does not heal, and the healer heals it by itself."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._kubernetes_workload import roll_out
from lab import owner
from lab.demo.nagios import Nagios
from lab.kubernetes import names
from lab.kubernetes.cluster import Kubectl, cluster_of, kubectl_program
from lab.machines import Lab
from tests.campaign.scenario_monitor import SELFHEAL, Monitor
from tests.kubernetes.harness import ROOT, Load, RealCluster, changed, wait_for

# func_only: conftest.py says why.
pytestmark = [pytest.mark.lab, pytest.mark.machines, pytest.mark.timeout(900, func_only=True)]
WORKERS = ("kw1", "kw2")
SHOP = "eik"
DEPLOYMENT = "deployment/ei-deployment"
NAMESPACE = "ei"


@dataclass
class Joined:
    """Farm and cluster with one healer."""

    lab: Lab
    tool: Kubectl
    monitor: Monitor
    nagios: Nagios

    def kubectl(self, *words: str, **more: Any) -> str:
        return self.tool.run("-n", NAMESPACE, *words, **more).stdout

    def deployment(self) -> dict[str, Any]:
        found: dict[str, Any] = self.tool.get("-n", NAMESPACE, DEPLOYMENT)
        return found

    def ready(self, node: str) -> bool:
        return node in self.tool.ready_nodes()

    def address(self, node: str) -> str:
        return cluster_of(self.lab).addresses[node]

    def scale(self, count: int) -> None:
        """So many pods: the autoscaler's least, so that it does not take them away again, and more are gone at once."""
        down = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 6, "periodSeconds": 15}]}
        spec = {"minReplicas": count, "behavior": {"scaleDown": down}}
        self.kubectl("patch", "hpa", "ei-hpa", "--type=merge", "-p", json.dumps({"spec": spec}))
        wait_for(lambda: int(self.deployment()["status"].get("readyReplicas") or 0) == count, 90)

    def ended(self, node: str, since: float, seconds: float = 240, enough: Collection[str] = ()) -> dict[str, Any]:
        """The incident of this node that was opened since then, once it is closed or has one of these outcomes.

        An attempt that left the node out is not the end while there is another rung.
        """

        def over() -> Any:
            mine = [row for row in self.monitor.incidents() or [] if row.get("node") == node and row.get("outcome")]
            last = [row for row in mine if float(row.get("opened_at") or 0) >= since - 1]
            is_over = last and (last[-1]["state"] == "closed" or last[-1]["outcome"] in enough)
            return last[-1] if is_over and not self.monitor.live() else None

        return dict(wait_for(over, seconds, pause=1.0))

    def show(self, incident: str) -> dict[str, Any]:
        found: dict[str, Any] = self.monitor.selfheal("show", incident)
        return found

    def evidence(self, incident: str) -> str:
        """All that was kept of an incident, as text."""
        return self.monitor.says('find "/var/lib/selfheal/evidence/$1" -type f -exec tail -n +1 {} +', incident) or ""

    def well(self) -> bool:
        return self.nagios.all_well((SHOP, *WORKERS))


def play(lab: Lab, **changes: Any) -> None:
    """A roll-out by a human's hands, which nobody waits for."""
    given = {
        "ei_kubernetes_kubeconfig": str(lab.state / "kubernetes/admin.conf"),
        "ei_kubernetes_tls_certificate": str(lab.state / "kubernetes/ei.crt"),
        "ei_kubernetes_tls_key": str(lab.state / "kubernetes/ei.key"),
        "ei_kubernetes_wait": False, "ei_kubernetes_available_seconds": 15, **changes,
    }  # fmt: skip
    done = subprocess.run(
        [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", "-e", f"@{ROOT}/lab/kubernetes/ei.yml",
         "-e", json.dumps(given), "playbooks/ei.yml"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "lab/ansible.cfg")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def spaces(lab: Lab) -> set[str]:
    """The cluster's namespaces; none where there is no cluster."""
    found = Kubectl(lab).get("namespaces")["items"] if lab.nodes(names.PART) else []
    return {item["metadata"]["name"] for item in found}


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Joined]:
    """Farm, healer and cluster; what these tests have made is removed after them."""
    lab = Lab.from_env()
    farm_made, cluster_made = owner.to_make(lab), not lab.nodes(names.PART)
    log = tmp_path_factory.mktemp("joined") / "join.log"
    env = {**os.environ, **owner.environment(keep=not (farm_made and cluster_made))}
    before = spaces(lab)
    try:
        with log.open("w") as sink:
            done = subprocess.run(
                [str(ROOT / "lab/kubernetes/join")], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=sink,
                stderr=sink, timeout=2700, check=False,
            )  # fmt: skip
        assert done.returncode == 0, log.read_text()[-6000:]
        found = Joined(lab, Kubectl(lab), Monitor(lab), Nagios(lab))
        wait_for(found.well, 180, pause=1.0)
        yield found
    finally:
        for part, made in (("kubernetes", cluster_made), ("farm", farm_made)):
            if made:
                subprocess.run(
                    [str(ROOT / "lab/down"), part], cwd=ROOT, check=False, stdin=subprocess.DEVNULL, timeout=300
                )
        for space in spaces(lab) - before:  # its ports on the nodes are wanted by the tests that follow
            Kubectl(lab).run("delete", "namespace", space, check=False, timeout=120)


@pytest.fixture
def calm(joined: Joined) -> Iterator[Joined]:
    """Everything well before a test, two pods, no hold; and after it."""
    joined.scale(2)
    wait_for(joined.well, 180, pause=1.0)
    yield joined
    for worker in WORKERS:
        joined.lab.power_on(worker)
        joined.tool.run("annotate", "node", worker, "selfheal.cluster/hold-", "selfheal.cluster/cordoned-", check=False)
        joined.tool.run("uncordon", worker, check=False)
    play(joined.lab)
    wait_for(joined.well, 240, pause=1.0)


def unheld(found: dict[str, Any]) -> bool:
    return not [key for key in found["metadata"].get("annotations") or {} if key == "selfheal.cluster/hold"]


def test_a_bad_roll_out_is_seen_its_evidence_kept_and_rolled_back(calm: Joined, tmp_path: Path) -> None:
    definition = tmp_path / "simple.xml"
    definition.write_text("<api>broken")
    with Load(calm.address("kw2"), 30010, seconds=300) as load:
        since = time.time()
        play(calm.lab, ei_kubernetes_api_files=[str(definition)])
        ended = calm.ended(SHOP, since)
        assert ended["outcome"] == "healed", calm.show(ended["incident"])
    assert load.failed == [], f"{len(load.failed)} of {len(load.answers)}"
    kept = calm.evidence(ended["incident"])
    assert "cannot start" in kept and "simple.xml" in kept, "the log of the container that ended before"
    assert unheld(calm.deployment())
    wait_for(lambda: "Complete" in json.dumps(calm.deployment()["status"]["conditions"]) or calm.well(), 60)


def test_an_image_that_nobody_has_is_rolled_back(calm: Joined) -> None:
    since = time.time()
    play(calm.lab, ei_kubernetes_image="registry.lab.invalid/ei:bad")
    ended = calm.ended(SHOP, since)
    assert ended["outcome"] == "healed", calm.show(ended["incident"])
    (container,) = calm.deployment()["spec"]["template"]["spec"]["containers"]
    assert container["image"] == names.EI_IMAGE
    assert unheld(calm.deployment())


def test_a_pod_that_finds_no_node_is_evidenced_and_a_human_called(calm: Joined) -> None:
    since = time.time()
    calm.kubectl(
        "patch", "hpa", "ei-hpa", "--type=merge", "-p", json.dumps({"spec": {"minReplicas": 6, "maxReplicas": 6}})
    )
    calm.kubectl("set", "resources", DEPLOYMENT, "-c", "integrator", "--requests=cpu=450m", "--limits=cpu=500m")
    ended = calm.ended(SHOP, since, enough=["left_out"])
    assert ended["outcome"] in ("left_out", "healed"), calm.show(ended["incident"])
    assert "FailedScheduling" in calm.evidence(ended["incident"])


def back(joined: Joined, worker: str) -> bool:
    found = joined.tool.get("node", worker)
    return joined.ready(worker) and not found["spec"].get("unschedulable") and unheld(found)


def test_a_kubelet_that_stopped_is_started_under_load_without_a_lost_request(calm: Joined) -> None:
    calm.scale(4)
    with Load(calm.address("kw2"), 30010, seconds=300) as load:
        since = time.time()
        calm.lab.exec("kw1", ["systemctl", "stop", "kubelet"])
        ended = calm.ended("kw1", since)
        assert ended["outcome"] == "healed", calm.show(ended["incident"])
    assert back(calm, "kw1")
    assert load.failed == [], f"{len(load.failed)} of {len(load.answers)}: {load.failed[:3]}"


def test_a_drill_drains_a_worker_that_serves_and_gives_it_back_without_a_lost_request(calm: Joined) -> None:
    calm.scale(4)

    def on_kw1() -> set[str]:
        pods = calm.tool.get("pods", "-n", NAMESPACE, "--field-selector", "spec.nodeName=kw1")["items"]
        return {item["metadata"]["name"] for item in pods}

    before = on_kw1()
    assert before, "nothing would be drained"
    with Load(calm.address("kw2"), 30010, seconds=300) as load:
        words = ["sh", "-c", SELFHEAL, "sh", "heal", "kw1", "--reason", "drill", "--json"]
        done = calm.lab.exec("monitor", words, check=False, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        heal = json.loads(done.stdout)
        load.more(40)
    assert (heal["outcome"], heal["problems"]) == ("healed", []), heal
    assert not before & on_kw1(), "those that served there were evicted, and others took their place"
    assert back(calm, "kw1")
    assert load.failed == [], f"{len(load.failed)} of {len(load.answers)}: {load.failed[:3]}"


def test_a_worker_that_died_is_served_around_and_brought_back_by_its_power(calm: Joined) -> None:
    calm.scale(4)
    with Load(calm.address("kw2"), 30010, seconds=400) as load:
        since = time.time()
        calm.lab.power_off("kw1")
        ended = calm.ended("kw1", since, 300)
        assert ended["outcome"] == "healed", calm.show(ended["incident"])
    assert back(calm, "kw1")
    lost = [it[0] - since for it in load.failed]
    assert all(it < 30 for it in lost), lost
    took = float(ended["closed_at"]) - since
    print(f"worker back after {took:.0f} s; {len(lost)} of {len(load.answers)} requests failed")
    looks = calm.show(ended["incident"])["attempts"][-1]["detail"]["felt"]["looks"]
    seen = {(row["node"], row["service"]): row["looks"] for row in looks["services"]}
    assert looks["begin"] < float(ended["opened_at"]) and looks["end"] - looks["begin"] < took + 60
    assert set(seen) == {(SHOP, "http"), (SHOP, "http 30011")} and min(seen.values()) > 3, looks
    print(f"Nagios' own looks meanwhile: {looks['services']}")


def test_all_that_a_heal_asks_is_allowed_to_its_account_and_nothing_beyond(calm: Joined, tmp_path: Path) -> None:
    calm.scale(4)
    conf = tmp_path / "healer.conf"
    conf.touch(0o600)
    conf.write_text(calm.lab.exec("monitor", ["cat", "/etc/selfheal/kubernetes.conf"]).stdout)
    real = RealCluster.of_lab(calm.lab)

    def asked(module: str, what: str, **words: Any) -> dict[str, Any]:
        """As the healer's account, under the highest epoch that the thing has seen: what comes later is younger."""
        kind, name = what.split("/")
        notes = calm.tool.get("-n", NAMESPACE, what)["metadata"].get("annotations") or {}
        own = {"incident": "rights", "epoch": int(notes.get("selfheal.cluster/epoch", "1"))}
        given = {"name": name, "kubeconfig": str(conf), **({} if kind == "node" else {"namespace": NAMESPACE}), **words}
        if module in ("kubernetes_hold", "kubernetes_rollout"):
            given.update(own)
        found = real.module(module, **given)
        assert not found.get("failed"), (module, found)
        return found

    ready = {"phase": "shift", "deadline_seconds": 300, "reason": "rights"}
    assert asked("kubernetes_workload_info", DEPLOYMENT)["workload"]["missing"] == []
    assert not asked("kubernetes_evidence", DEPLOYMENT)["missing"]
    asked("kubernetes_hold", DEPLOYMENT, kind="Deployment", state="held", **ready)
    assert asked("kubernetes_rollout", DEPLOYMENT, act="restart")["changed"]
    wait_for(lambda: roll_out(calm.deployment())[0] == "complete", 90)
    asked("kubernetes_hold", DEPLOYMENT, kind="Deployment", state="free", **{**ready, "phase": "readmit"})
    asked("kubernetes_rollout", DEPLOYMENT, act="proven")
    assert asked("kubernetes_node_info", "node/kw1")["node"]["ready"]
    drained = asked("kubernetes_hold", "node/kw1", kind="Node", state="drained", drain_timeout=60, **ready)
    assert drained["evicted"] and drained["left"] == []
    asked("kubernetes_hold", "node/kw1", kind="Node", state="free", **{**ready, "phase": "readmit"})
    assert back(calm, "kw1")

    def may(*words: str) -> bool:
        argv = [str(kubectl_program()), "--kubeconfig", str(conf), "auth", "can-i", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip() == "yes"

    assert may("create", "pods", "--subresource=eviction", "-n", NAMESPACE), "else a no below says nothing"
    for words in (
        ("delete", "pods", "-n", NAMESPACE), ("create", "pods", "-n", NAMESPACE), ("get", "secrets", "-n", NAMESPACE),
        ("delete", "deployments", "-n", NAMESPACE), ("create", "pods", "--subresource=exec", "-n", NAMESPACE),
        ("delete", "nodes"), ("patch", "nodes/kcp1"), ("get", "secrets", "-n", "kube-system"),
        ("patch", "deployments", "-n", "kube-system"), ("create", "clusterrolebindings"),
    ):  # fmt: skip
        assert not may(*words), words


def test_rights_of_a_namespace_that_the_inventory_does_not_name_any_more_are_taken_back(calm: Joined) -> None:
    def accounts(**given: Any) -> str:
        admin = {
            "kubernetes_access_admin_kubeconfig": str(calm.lab.state / "kubernetes/admin.conf"),
            "kubernetes_access_packages": [], **given,
        }  # fmt: skip
        done = subprocess.run(
            [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(calm.lab.state / "joined"), "-e", json.dumps(admin),
             "playbooks/kubernetes.yml"],
            cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
            env={**os.environ, "ANSIBLE_CONFIG": str(calm.lab.state / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def rights() -> set[str]:
        found = calm.tool.get("role,rolebinding", "-n", "spare")["items"]
        return {item["metadata"]["name"] for item in found}

    calm.tool.run("create", "namespace", "spare")
    try:
        accounts(kubernetes_access_workload_namespaces=["ei", "spare"])
        assert rights() == {"selfheal-healer", "selfheal-reader"}
        accounts()
        assert rights() == set()
        assert changed(accounts()) == 0
    finally:
        calm.tool.run("delete", "namespace", "spare", check=False, timeout=120)


def test_a_humans_cordon_is_left_alone(calm: Joined) -> None:
    calm.tool.run("cordon", "kw1")
    calm.lab.exec("kw1", ["systemctl", "stop", "kubelet"])
    wait_for(lambda: not calm.ready("kw1"), 60)

    def refused() -> bool:
        seen = calm.monitor.selfheal("history", "--limit", "50")
        return "human_hold" in json.dumps(seen) or "was cordoned by somebody" in json.dumps(seen)

    wait_for(refused, 120, pause=2.0)
    found = calm.tool.get("node", "kw1")
    assert found["spec"].get("unschedulable") and unheld(found)
    calm.lab.exec("kw1", ["systemctl", "start", "kubelet"])


@pytest.mark.parametrize("unit", ["kube-apiserver"])
def test_an_api_server_that_goes_in_mid_heal_leaves_nothing_half_done(calm: Joined, unit: str) -> None:
    calm.scale(4)
    since = time.time()
    calm.lab.exec("kw1", ["systemctl", "stop", "kubelet"])
    wait_for(lambda: not unheld(calm.tool.get("node", "kw1")), 120, pause=0.2)
    calm.lab.exec("kcp1", ["systemctl", "stop", unit])
    time.sleep(12)  # the server is away for so long, whatever the heal does meanwhile
    calm.lab.exec("kcp1", ["systemctl", "start", unit])
    wait_for(calm.tool.ready, 60)
    wait_for(lambda: back(calm, "kw1"), 300, pause=1.0)
    calm.ended("kw1", since)

    def mine() -> list[dict[str, Any]]:
        return [row for row in calm.monitor.incidents() or [] if float(row["opened_at"]) >= since - 1]

    # Nodes that could not tell that they live while the server was away are called ill for a moment as well.
    wait_for(lambda: all(row["state"] == "closed" for row in mine()), 240, pause=1.0)
    assert {row["outcome"] for row in mine()} <= {"healed", "recovered", "undone"}, mine()
    assert back(calm, "kw1"), "its end took nothing away again"
