# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A real cluster for tests: the lab's, or the one that KUBECONFIG names, and in it a namespace of the tests' own."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.kubernetes import cluster, names
from lab.kubernetes.machine import pki_folder
from lab.machines import Lab

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "selfheal-test"
ANSIBLE = ROOT / ".venv/bin/ansible-playbook"
VARS = ROOT / "lab/kubernetes/ei.yml"


def wait_for(what: Callable[[], Any], seconds: float = 60.0, pause: float = 0.2) -> Any:
    """Wait for a condition and return it."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(pause)


@dataclass
class RealCluster:
    """The cluster as its administrator has it."""

    lab: Lab
    tool: cluster.Kubectl

    def kubectl(self, *words: str, **more: Any) -> str:
        """Run kubectl in the tests' namespace."""
        return self.tool.run("-n", NAMESPACE, *words, **more).stdout

    def get(self, *words: str) -> Any:
        """An object, or a list of them."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    @property
    def kubeconfig(self) -> Path:
        return cluster.kubeconfig(self.lab)

    def variables(self, folder: Path, **changes: Any) -> dict[str, Any]:
        """What the lab's integrator is rolled out with."""
        given: dict[str, Any] = {
            "ei_kubernetes_namespace": NAMESPACE,
            "ei_kubernetes_kubeconfig": str(self.kubeconfig),
            "ei_kubernetes_tls_certificate": str(pki_folder(self.lab) / "ei.crt"),
            "ei_kubernetes_tls_key": str(pki_folder(self.lab) / "ei.key"),
        }
        del folder
        return {**given, **changes}

    def play(self, folder: Path, *words: str, ok: bool = True, **changes: Any) -> str:
        """Run playbooks/ei.yml; its output, which ends with what was changed."""
        extra = folder / "vars.json"
        extra.write_text(json.dumps(self.variables(folder, **changes)))
        argv = [str(ANSIBLE), "-i", "localhost,", "-e", f"@{VARS}", "-e", f"@{extra}", *words, "playbooks/ei.yml"]
        env = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "lab/ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / '.dev'}:{ROOT / '.setup/collections'}",
            "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
            "ANSIBLE_FORCE_COLOR": "0",
        }
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
        assert (done.returncode == 0) is ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    def module(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Run a module of ours as Ansible would, as the administrator unless another kubeconfig is given."""
        given = {"kubeconfig": str(self.kubeconfig), **arguments}
        done = subprocess.run(
            [str(ROOT / ".venv/bin/python"), "-m", f"ansible_collections.selfheal.cluster.plugins.modules.{name}"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": given}), capture_output=True, text=True, timeout=120, check=False,
            cwd="/", env={**os.environ, "PYTHONPATH": str(ROOT / ".dev")},
        )  # fmt: skip
        assert done.stdout.strip(), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def nodes(self) -> dict[str, str]:
        """Addresses of the nodes."""
        return dict(cluster.cluster_of(self.lab).addresses)

    def worker(self, number: int) -> str:
        """Name of a worker."""
        head = cluster.cluster_of(self.lab).control_plane
        return [name for name in self.nodes() if name != head][number]


def ask(address: str, port: int, path: str = "/simple", tls: Path | None = None, timeout: float = 3) -> tuple[int, str]:
    """One request without keep-alive; status and body. 0 is no answer."""
    context = ssl.create_default_context(cafile=str(tls)) if tls else None
    made = (
        http.client.HTTPSConnection(address, port, timeout=timeout, context=context)
        if context
        else http.client.HTTPConnection(address, port, timeout=timeout)
    )
    try:
        made.request("GET", path, headers={"Connection": "close"})
        answer = made.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException) as exc:
        return 0, repr(exc)
    finally:
        made.close()


@dataclass
class Load:
    """Clients that ask one address, each at its rate, until it is over; bounded by its seconds."""

    address: str
    port: int
    clients: int = 4
    rate: float = 5.0
    path: str = "/simple"
    seconds: float = 120.0
    answers: list[tuple[float, int, str]] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def _work(self) -> None:
        until = time.monotonic() + self.seconds
        while not self._end.is_set() and time.monotonic() < until:
            begun = time.time()
            status, body = ask(self.address, self.port, self.path)
            self.answers.append((begun, status, "" if status == 200 else body))
            self._end.wait(max(0.0, 1 / self.rate - (time.time() - begun)))

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(10)

    @property
    def failed(self) -> list[tuple[float, int, str]]:
        """Answers that were none."""
        return [it for it in self.answers if it[1] != 200]

    def gap(self) -> float:
        """The longest time between two good answers, in seconds."""
        good = sorted(it[0] for it in self.answers if it[1] == 200)
        return max((b - a for a, b in itertools.pairwise(good)), default=float("inf"))


def changed(output: str) -> int:
    """The number of changed tasks in a recap."""
    recap = output.rpartition("PLAY RECAP")[2]
    return int(recap.partition("changed=")[2].split()[0])


def images() -> str:
    """The lab's image of the integrator."""
    return names.EI_IMAGE


def load_vars() -> dict[str, Any]:
    """The lab's variables of the role."""
    return dict(yaml.safe_load(VARS.read_text()))
