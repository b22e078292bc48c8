# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the steps of the demo are played on: lab and cluster, the healer that is watched, and the record of it all."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from lab import owner
from lab.demo.service import Service
from lab.demo.stage import ROOT, DemoError, Screen, follow, lab_down, tail
from lab.kubernetes import cluster
from lab.kubernetes.demo.heals import ClusterNagios, attempt_words, attempts, moments
from lab.kubernetes.demo.load import Load, Plan
from lab.kubernetes.demo.timeline import Event
from lab.kubernetes.demo.watch import Look, Node, Sampler, look_at, node_of, ready_pods
from lab.kubernetes.machine import pki_folder
from lab.machines import Lab, wait_until

#: As lab/kubernetes/inventory and role ei_kubernetes have them.
NAMESPACE, DEPLOYMENT, AUTOSCALER, WORKLOAD = "ei", "ei-deployment", "ei-hpa", "eik"
HTTP_PORT, TLS_PORT = 30010, 30011
JOIN_SECONDS = 2700  # the first time Kubernetes is built from its sources in it
PLAY_SECONDS = 300
DOWN_SECONDS = 300
PLAYBOOK = ROOT / ".venv/bin/ansible-playbook"
VARIABLES = ROOT / "lab/kubernetes/ei.yml"
#: The autoscaler waits five minutes before it takes a pod away; nobody wants to watch that.
QUICK_DOWN = {"scaleDown": {"stabilizationWindowSeconds": 15}}
DROP_IN = "/run/systemd/system/kubelet.service.d/demo.conf"
RELOAD = "systemctl daemon-reload && systemctl restart --no-block kubelet"
#: A kubelet that ends and does not start until the machine boots, when /run is empty: a restart of it does not help.
SPOIL = (
    f"mkdir -p {DROP_IN.rpartition('/')[0]} && printf '[Service]\\nExecStartPre=/bin/false\\n' >{DROP_IN} && {RELOAD}"
)
MEND = f"test ! -e {DROP_IN} || {{ rm {DROP_IN} && {RELOAD}; }}"


def last_step(log: str) -> str:
    """What the making of lab and cluster does at the moment, by its log: the last play, or what it says itself."""
    for line in reversed(log.splitlines()):
        if line.startswith("PLAY [") and not line.startswith("PLAY RECAP"):
            return line[6:].split("]")[0]
        if line.startswith("lab: "):
            return clean(line[5:], 100)
    return "starting (the first time the machines' base is built, and Kubernetes from its sources: up to 20 minutes)"


def join(out: Path, screen: Screen, *, keep: bool) -> None:
    """Farm, healer and cluster as one; what is up already is left as it is. Its plays pass by as one line each."""
    env = {**os.environ, **owner.environment(keep)}
    what = ("farm and cluster", "were", "their")

    def step(log: Path) -> str:
        return last_step(log.read_text(errors="replace"))

    follow(ROOT, "lab/kubernetes/join", out / "join.log", what, JOIN_SECONDS, step, screen, env)


def remove(out: Path) -> None:
    """Remove farm and cluster."""
    lab_down(out, "", ROOT, DOWN_SECONDS)


def play_words(lab: Lab, changes: dict[str, Any]) -> list[str]:
    """The command that rolls the integrator out on this lab's cluster."""
    given = {
        "ei_kubernetes_namespace": NAMESPACE,
        "ei_kubernetes_kubeconfig": str(cluster.kubeconfig(lab)),
        "ei_kubernetes_tls_certificate": str(pki_folder(lab) / "ei.crt"),
        "ei_kubernetes_tls_key": str(pki_folder(lab) / "ei.key"),
        **changes,
    }
    return [str(PLAYBOOK), "-i", "localhost,", "-e", f"@{VARIABLES}", "-e", json.dumps(given), "playbooks/ei.yml"]


class Scene:
    """The joined lab, and the record of what happens on it."""

    def __init__(self, lab: Lab, out: Path, screen: Screen) -> None:
        self.lab, self.out, self.screen = lab, out, screen
        self.tool = cluster.Kubectl(lab)
        self.addresses = dict(cluster.cluster_of(lab).addresses)
        head = cluster.cluster_of(lab).control_plane
        self.workers = sorted(node for node in self.addresses if node != head)
        # Clients come through the first worker; the last one is made ill, through which Nagios asks nothing.
        self.through, self.ill = self.workers[0], self.workers[-1]
        self.authority = pki_folder(lab) / "ca.crt"
        self.nagios = ClusterNagios(lab, {WORKLOAD})
        self.service = Service(lab, screen.say)
        self.sampler = Sampler(partial(look_at, self.tool, NAMESPACE, DEPLOYMENT, AUTOSCALER))
        self.began = time.time()
        self.loads: list[Load] = []
        self.events: list[Event] = []
        self.heals: list[dict[str, Any]] = []

    def note(self, text: str) -> None:
        """Something happens now: it is said, and marked in the timeline."""
        self.events.append(Event(time.time(), text))
        self.screen.say(f"   * {text}")

    def load(self, plan: Plan) -> Load:
        """Clients of the workload, through the worker that stays well."""
        made = Load(plan, self.addresses[self.through], HTTP_PORT, self.addresses.values())
        self.loads.append(made)
        return made

    def play(self, **changes: Any) -> None:
        """Roll out, as a person would."""
        told = shlex.join(["-e", json.dumps(changes)]) if changes else ""
        self.screen.typed(["ansible-playbook", "-e", "@lab/kubernetes/ei.yml", told, "playbooks/ei.yml"])
        log = self.out / "ei.log"
        with log.open("w", encoding="utf-8") as sink:
            done = subprocess.run(
                play_words(self.lab, changes), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sink,
                stderr=subprocess.STDOUT, timeout=PLAY_SECONDS, check=False,
                env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "lab/ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
            )  # fmt: skip
        if done.returncode != 0:
            raise DemoError(f"the roll-out ended with {done.returncode}; its log: {log}\n{tail(log)}")

    def show_kubectl(self, *words: str) -> None:
        """A look by kubectl, as a person would type it."""
        self.screen.typed(["kubectl", "-n", NAMESPACE, *words])
        for line in self.tool.run("-n", NAMESPACE, *words).stdout.splitlines():
            self.screen.say(f"   {clean(line)}")

    def show_selfheal(self, *words: str) -> None:
        """A look into the journal, by the command on the monitor."""
        self.screen.typed(["selfheal", *words, "  # on the monitor"])
        for line in self._selfheal(*words).splitlines():
            self.screen.say(f"   | {line.rstrip()}")

    def _selfheal(self, *words: str) -> str:
        argv = ["sh", "-c", 'cd / && exec selfheal "$@"', "sh", *words]
        return self.lab.exec("monitor", argv, timeout=60).stdout

    def evidence(self, incident: str) -> int:
        """How many files were kept of an incident."""
        found = json.loads(self._selfheal("show", incident, "--json"))
        return len(found.get("evidence") or [])

    def pods(self) -> dict[str, str]:
        """The pods that serve, each with its node."""
        return ready_pods(self.tool.get("-n", NAMESPACE, "pods", "-l", "type=ei"))

    def node(self, name: str) -> Node:
        """A machine as the cluster sees it."""
        return node_of(self.tool.get("node", name))

    def wait_pods(self, good: Callable[[Look], bool], seconds: float) -> bool:
        """Wait for a look that is good, and say every change of pods and CPU meanwhile."""
        since, begin, shown = time.time(), time.monotonic(), ""

        def over() -> bool:
            nonlocal shown
            look = self.sampler.since(since)
            if look is not None and str(look) != shown:
                shown = str(look)
                self.screen.say(f"   {time.monotonic() - begin:5.0f} s  {look}")
            return look is not None and good(look)

        return wait_until(over, seconds, 0.5)

    def healed(self, node: str, fault: str, since: float, seconds: float) -> dict[str, Any]:
        """Wait until the healer has healed this node in a run that began since then; its last word, healed or not."""
        found: list[dict[str, Any]] = []

        def over() -> bool:
            ended = attempts(node, since, self.service.results(since))
            for run in ended[len(found) :]:
                self.events += moments(run)
                self.screen.say(f"   * {attempt_words(run)}")
            found.extend(ended[len(found) :])
            return bool(found) and found[-1].get("status") == "healed"

        done = wait_until(over, seconds, 1.0)
        last = found[-1] if found else {}
        self.heals.append({"node": node, "title": fault, "fault": fault, "healed": done, "result": last})
        return last

    def back(self, node: str, boot_id: str) -> bool:
        """Whether a machine has booted anew, is Ready, and takes pods again under nobody's hold."""
        seen = self.node(node)
        return seen.ready and not seen.cordoned and not seen.held and seen.boot_id != boot_id

    def spoil(self, node: str) -> None:
        """Make a worker ill."""
        self.lab.exec(node, ["sh", "-c", SPOIL])

    def restore(self) -> None:
        """As lab/kubernetes/join leaves it: for a lab that stays up."""
        self.lab.exec(self.ill, ["sh", "-c", MEND])
        self.play()

    def stop(self) -> None:
        """End all that runs beside the steps; the healer goes on."""
        self.service.stop()
        self.sampler.stop()
