# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the demo calls: the joining of farm and cluster, the role, and what makes a worker ill and well."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.demo.stage import DemoError, Screen
from lab.kubernetes.demo import scene
from lab.kubernetes.demo.scene import Scene
from lab.kubernetes.demo.timeline import Event
from lab.kubernetes.demo.watch import Look, Node
from lab.machines import Lab

TOP = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", "starting"),
        ("Using /x\n\nPLAY [Make the lab's machines] ****\nTASK [a]\n", "Make the lab's machines"),
        ("PLAY [One] ***\nlab: building etcd 3.6.5\n", "building etcd 3.6.5"),
        ("lab: builds\nPLAY [Two] ***\nok: [kw1]\nPLAY RECAP ***\n", "Two"),
        ("lab: \x1b[2J", "\\x1b[2J"),
    ],
)
def test_what_the_joining_does_now(log: str, words: str) -> None:
    assert scene.last_step(log).startswith(words)


def script(top: Path, name: str, *lines: str) -> None:
    path = top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n")
    path.chmod(0o755)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(scene, "ROOT", tmp_path)
    monkeypatch.delenv("LAB_OWNER", raising=False)
    return tmp_path


@pytest.mark.parametrize("keep", [False, True])
def test_a_lab_that_is_joined_says_so_and_knows_its_owner(out: Path, keep: bool) -> None:
    owner = "nobody" if keep else str(os.getpid())
    script(out, "lab/kubernetes/join", 'echo "PLAY [for ${LAB_OWNER:-nobody}] ***"')
    screen = Screen(stream=io.StringIO())
    scene.join(out, screen, keep=keep)
    assert f"PLAY [for {owner}]" in (out / "join.log").read_text()


def test_a_joining_that_fails_is_told_with_the_end_of_its_log(out: Path) -> None:
    script(out, "lab/kubernetes/join", "echo no room >&2", "exit 3")
    with pytest.raises(DemoError, match=r"did not start; their log: .*/join\.log\n    no room"):
        scene.join(out, Screen(stream=io.StringIO()), keep=False)


def test_a_joining_that_takes_too_long_is_ended(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Kept(subprocess.Popen[bytes]):
        def __init__(self, *words: Any, **more: Any) -> None:
            super().__init__(*words, **more)
            started.append(self)

    monkeypatch.setattr(scene.subprocess, "Popen", Kept)
    monkeypatch.setattr(scene, "JOIN_SECONDS", 0)
    script(out, "lab/kubernetes/join", "exec sleep 600")
    with pytest.raises(DemoError, match="not up within 0 s"):
        scene.join(out, Screen(stream=io.StringIO()), keep=False)
    assert [process.returncode for process in started] == [-signal.SIGTERM]


def test_farm_and_cluster_are_removed_together(out: Path) -> None:
    script(out, "lab/down", 'echo "$# words"')
    scene.remove(out)
    assert (out / "lab-down.log").read_text() == "0 words\n", "a part is named only where the other one stays"


def test_the_role_gets_the_labs_variables_and_the_changes() -> None:
    words = scene.play_words(Lab("other"), {"ei_kubernetes_min_replicas": 2, "ei_kubernetes_namespace": "x"})
    assert words[-1] == "playbooks/ei.yml"
    assert words[3:5] == ["-e", f"@{TOP}/lab/kubernetes/ei.yml"]
    assert json.loads(words[6]) == {
        "ei_kubernetes_namespace": "x",
        "ei_kubernetes_kubeconfig": "/var/lib/selfheal-lab-other/kubernetes/admin.conf",
        "ei_kubernetes_tls_certificate": "/var/lib/selfheal-lab-other/kubernetes/ei.crt",
        "ei_kubernetes_tls_key": "/var/lib/selfheal-lab-other/kubernetes/ei.key",
        "ei_kubernetes_min_replicas": 2,
    }


def test_names_and_ports_are_those_of_inventory_and_role() -> None:
    hosts = yaml.safe_load((TOP / "lab/kubernetes/inventory/hosts.yml").read_text())
    layer = yaml.safe_load((TOP / "lab/kubernetes/inventory/group_vars/integrators.yml").read_text())
    role = yaml.safe_load((TOP / "roles/ei_kubernetes/defaults/main.yml").read_text())
    (own,) = [hosts["integrators"]["hosts"][scene.WORKLOAD]]
    assert (own["selfheal_object"], own["nagios_server_autoscaler"]) == (scene.DEPLOYMENT, scene.AUTOSCALER)
    workers = hosts["kubernetes"]["children"]["workers"]["hosts"]
    # Nagios does not ask the workload through the worker that the demo makes ill.
    assert len(workers) > 1 and own["ansible_host"] != workers[sorted(workers)[-1]]["ansible_host"]
    assert (layer["selfheal_namespace"], layer["selfheal_port"]) == (scene.NAMESPACE, scene.HTTP_PORT)
    assert [url["port"] for url in layer["nagios_server_urls"]] == [scene.TLS_PORT]
    assert (role["ei_kubernetes_namespace"], role["ei_kubernetes_http_node_port"]) == (scene.NAMESPACE, scene.HTTP_PORT)
    changes = {"ei_kubernetes_scaling_behavior", "ei_kubernetes_min_replicas", "ei_kubernetes_wait",
               "ei_kubernetes_image", "ei_kubernetes_available_seconds", "ei_kubernetes_namespace",
               "ei_kubernetes_kubeconfig", "ei_kubernetes_tls_certificate", "ei_kubernetes_tls_key"}  # fmt: skip
    assert changes <= set(role)


def shell(text: str, top: Path) -> list[str]:
    """Run it with a systemctl of ours; what that was asked for."""
    script(top, "bin/systemctl", f'echo "$@" >>"{top}/asked"')
    (top / "asked").write_text("")
    changed = text.replace("/run/systemd", f"{top}/run/systemd")
    assert changed != text
    subprocess.run(["sh", "-c", changed], check=True, env={"PATH": f"{top}/bin:{os.environ['PATH']}"}, timeout=10)
    return (top / "asked").read_text().splitlines()


def test_a_worker_is_made_ill_until_it_boots_and_can_be_mended(tmp_path: Path) -> None:
    restarted = ["daemon-reload", "restart --no-block kubelet"]
    place = tmp_path / scene.DROP_IN[1:]
    assert scene.DROP_IN.startswith("/run/systemd/system/kubelet.service.d/"), "what is below /run does not survive"
    assert shell(scene.MEND, tmp_path) == [], "one that is well is left alone"
    assert shell(scene.SPOIL, tmp_path) == restarted
    assert place.read_text() == "[Service]\nExecStartPre=/bin/false\n"
    assert shell(scene.SPOIL, tmp_path) == restarted
    assert shell(scene.MEND, tmp_path) == restarted
    assert not place.exists()


class Bare(Scene):
    """A scene without a lab."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.screen = Screen(stream=self.stream)
        self.events: list[Event] = []
        self.heals: list[dict[str, Any]] = []


class Results:
    """The healer's results, a further set at each look."""

    def __init__(self, *looks: list[dict[str, Any]]) -> None:
        self.looks = list(looks)

    def results(self, since: float) -> list[dict[str, Any]]:
        assert since == 100.0
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


def run(status: str, at: float, kind: str) -> dict[str, Any]:
    return {"node": "kw2", "status": status, "started_at": at, "ended_at": at + 5, "restart_kind": kind}


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five looks without a pause."""

    def wait_until(condition: Any, seconds: float, pause: float) -> bool:
        return any(condition() for _ in range(5))

    monkeypatch.setattr(scene, "wait_until", wait_until)


def test_a_heal_is_waited_for_over_all_its_rungs(monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch)
    first, second = run("left_out", 101.0, "service"), run("healed", 110.0, "reboot")
    found = Bare()
    found.service = Results([], [first], [first], [second, first])  # type: ignore[assignment]  # all that is asked of it
    assert found.healed("kw2", "no kubelet", 100.0, 60) == second
    assert [it["healed"] for it in found.heals] == [True]
    said = found.stream.getvalue()
    assert said.count("left_out") == 1 and said.count("(reboots it) ended: healed") == 1
    assert [it.text for it in found.events] == [
        "healer takes kw2 in hand", "healer: kw2: left_out", "healer takes kw2 in hand", "healer: kw2: healed",
    ]  # fmt: skip


@pytest.mark.parametrize("runs", [[], [run("left_out", 101.0, "service")]])
def test_no_heal_is_no_heal(monkeypatch: pytest.MonkeyPatch, runs: list[dict[str, Any]]) -> None:
    patient(monkeypatch)
    found = Bare()
    found.service = Results(runs)  # type: ignore[assignment]  # all that is asked of it
    assert found.healed("kw2", "no kubelet", 100.0, 60) == (runs[0] if runs else {})
    assert [it["healed"] for it in found.heals] == [False]


def test_pods_are_waited_for_and_each_change_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch)
    looks = [None, Look(1.0, 2, 1, 90, 200), Look(2.0, 2, 1, 90, 200), Look(3.0, 2, 2, 90, 200)]

    class Sampler:
        def since(self, at: float) -> Look | None:
            return looks.pop(0)

    found = Bare()
    found.sampler = Sampler()  # type: ignore[assignment]  # all that is asked of it
    assert found.wait_pods(lambda look: look.ready == 2, 60)
    said = found.stream.getvalue()
    assert said.count("1 of 2 pods ready") == 1 and said.count("2 of 2 pods ready") == 1


@pytest.mark.parametrize(
    ("node", "back"),
    [
        (Node(True, False, "b2", False), True),
        (Node(True, False, "b1", False), False),  # not booted: its kubelet was only started
        (Node(False, False, "b2", False), False),
        (Node(True, True, "b2", False), False),
        (Node(True, False, "b2", True), False),
    ],
)
def test_a_worker_is_back_after_another_boot_ready_and_free(
    monkeypatch: pytest.MonkeyPatch, node: Node, back: bool
) -> None:
    found = Bare()
    monkeypatch.setattr(found, "node", lambda name: node)
    assert found.back("kw2", "b1") is back
