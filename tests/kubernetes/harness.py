# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A real cluster for tests: the lab's, or the one that KUBECONFIG names, and in it a namespace of the tests' own."""

from __future__ import annotations

import functools
import http.client
import itertools
import json
import os
import random
import secrets
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lab.kubernetes import cluster, names, pki
from lab.kubernetes.machine import pki_folder
from lab.machines import Lab, LabError

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "selfheal-test"
BIN = Path(sys.executable).parent
VARS = ROOT / "lab/kubernetes/ei.yml"
DOCUMENT = "<response><status>OK</status><code>1</code></response>"
#: The seed's, and the lab's own. On a cluster of somebody else they may be another Service's.
PORTS = (30010, 30011)
OTHER_PORTS = range(30100, 32700)
CONTROL_PLANE = f"{cluster.ROLE}/control-plane"


class Marked(Protocol):
    """As a test of pytest."""

    def get_closest_marker(self, name: str) -> object: ...


Test = TypeVar("Test", bound=Marked)


def chosen(env: Mapping[str, str]) -> str:
    """The kubeconfig of the cluster that is used; empty where it is the lab's."""
    return env.get("KUBECONFIG", "")


def parted(tests: Sequence[Test], kubeconfig: str) -> tuple[list[Test], list[Test]]:
    """Those that are played, and those that are left out, because this cluster has no machines of the lab."""
    out = [test for test in tests if kubeconfig and test.get_closest_marker("machines")]
    return [test for test in tests if test not in out], out


def told(kubeconfig: str, left_out: int) -> str:
    """What a run says of its cluster."""
    return f"kubernetes: the cluster of KUBECONFIG={kubeconfig}; without {left_out} tests that need the lab's machines"


def namespace_for(kubeconfig: str) -> str:
    """In the lab always the same, so that what a killed run left is found; elsewhere one that is nobody's."""
    return f"{NAMESPACE}-{secrets.token_hex(3)}" if kubeconfig else NAMESPACE


def free_ports(services: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """Two ports of the nodes that no Service has; by chance, because another run may be choosing now."""
    taken = {port.get("nodePort") for service in services for port in service["spec"].get("ports", [])}
    first, second = random.sample([port for port in OTHER_PORTS if port not in taken], 2)
    return first, second


def addresses(nodes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Each node with the address at which it is reached."""
    return {
        node["metadata"]["name"]: next(
            it["address"] for it in node["status"]["addresses"] if it["type"] == "InternalIP"
        )
        for node in nodes
    }


def workers(nodes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the nodes that are no control plane, cordoned or not."""
    return [node["metadata"]["name"] for node in nodes if CONTROL_PLANE not in node["metadata"].get("labels", {})]


def wait_for(what: Callable[[], Any], seconds: float = 60.0, pause: float = 0.2) -> Any:
    """Wait for a condition and return it."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(pause)


class OtherKubectl(cluster.Kubectl):
    """kubectl of this machine, for a cluster that is not the lab's."""

    def __init__(self, program: str, kubeconfig: Path) -> None:
        self.words = [program, "--kubeconfig", str(kubeconfig)]


@dataclass
class RealCluster:
    """The cluster as its administrator has it."""

    tool: cluster.Kubectl
    kubeconfig: Path
    certificates: Path  # folder with ca.crt, and with ei.crt and ei.key of what is rolled out
    image: str = names.EI_IMAGE
    namespace: str = NAMESPACE
    ports: tuple[int, int] = PORTS
    machines: Lab | None = None

    @classmethod
    def of_lab(cls, lab: Lab) -> RealCluster:
        """The lab's, which is up."""
        return cls(cluster.Kubectl(lab), cluster.kubeconfig(lab), pki_folder(lab), machines=lab)

    @classmethod
    def of_kubeconfig(cls, kubeconfig: str, env: Mapping[str, str], folder: Path) -> RealCluster:
        """Somebody's, in which nothing but a namespace of this run is ours; certificates for it go into the folder."""
        path = Path(kubeconfig).expanduser().absolute()
        if not path.is_file():
            raise LabError(f"KUBECONFIG={kubeconfig}: that is no file; these tests take one, and no list of them")
        program = shutil.which("kubectl", path=env.get("PATH"))
        if program is None:
            raise LabError("KUBECONFIG is set, but there is no kubectl on PATH")
        tool = OtherKubectl(program, path)
        ports = free_ports(tool.get("services", "--all-namespaces")["items"])
        pki.Authority(folder, "ca", "selfheal-test").sign("ei", "ei", "", ["ei", "localhost"])
        return cls(tool, path, folder, env.get("SELFHEAL_TEST_IMAGE", ""), namespace_for(kubeconfig), ports)

    @property
    def lab(self) -> Lab:
        """The machines of the lab's cluster."""
        assert self.machines is not None, "this cluster has no machines of the lab: the test lacks the marker machines"
        return self.machines

    def needs_image(self) -> None:
        """Say so where nobody has named the image that is to be rolled out."""
        if not self.image:
            raise LabError(
                "SELFHEAL_TEST_IMAGE is not set: with KUBECONFIG it names an image of the mock integrator"
                f" (lab/kubernetes/images.py) that the cluster can pull; {names.EI_IMAGE} is in the lab only"
            )

    def tidy(self) -> None:
        """Without the tests' namespace, and in the lab every node taking pods; other clusters' nodes are left alone."""
        self.tool.run("delete", "namespace", self.namespace, "--ignore-not-found", "--timeout=90s", timeout=100)
        if self.machines is None:
            return
        for node in workers(self._nodes):
            self.tool.run("uncordon", node)
        wait_for(lambda: self.tool.ready_nodes() >= set(self.nodes()), 60)

    def kubectl(self, *words: str, **more: Any) -> str:
        """Run kubectl in the tests' namespace."""
        return self.tool.run("-n", self.namespace, *words, **more).stdout

    def get(self, *words: str) -> Any:
        """An object, or a list of them."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def replicas(self) -> int:
        """How many pods of the integrator are ready."""
        return int(self.get("deployment", "ei-deployment")["status"].get("readyReplicas") or 0)

    def answer(self, path: str = "/simple", scheme: str = "http") -> str:
        """What the Service answers, asked by way of the API server: a node's address may be out of reach from here."""
        way = f"/api/v1/namespaces/{self.namespace}/services/{scheme}:ei-service:{scheme}/proxy{path}"
        done = self.tool.run("get", "--raw", way, check=False)
        return done.stdout + done.stderr

    def variables(self, **changes: Any) -> dict[str, Any]:
        """What the integrator is rolled out with, beside the lab's own variables."""
        return {
            "ansible_python_interpreter": sys.executable,  # Debian's own has no client of Kubernetes
            "ei_kubernetes_namespace": self.namespace,
            "ei_kubernetes_kubeconfig": str(self.kubeconfig),
            "ei_kubernetes_image": self.image or names.EI_IMAGE,
            "ei_kubernetes_http_node_port": self.ports[0],
            "ei_kubernetes_https_node_port": self.ports[1],
            "ei_kubernetes_tls_certificate": str(self.certificates / "ei.crt"),
            "ei_kubernetes_tls_key": str(self.certificates / "ei.key"),
            **changes,
        }

    def play(self, folder: Path, *words: str, ok: bool = True, **changes: Any) -> str:
        """Run playbooks/ei.yml; its output, which ends with what was changed."""
        extra = folder / "vars.json"
        extra.write_text(json.dumps(self.variables(**changes)))
        program = str(BIN / "ansible-playbook")
        argv = [program, "-i", "localhost,", "-e", f"@{VARS}", "-e", f"@{extra}", *words, "playbooks/ei.yml"]
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

    def module(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Run a module of ours as Ansible would, as the administrator unless another kubeconfig is given."""
        given = {"kubeconfig": str(self.kubeconfig), **arguments}
        done = subprocess.run(
            [sys.executable, "-m", f"ansible_collections.selfheal.cluster.plugins.modules.{name}"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": given}), capture_output=True, text=True, timeout=120, check=False,
            cwd="/", env={**os.environ, "PYTHONPATH": str(ROOT / ".dev")},
        )  # fmt: skip
        assert done.stdout.strip(), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    @functools.cached_property
    def _nodes(self) -> list[dict[str, Any]]:
        return list(self.tool.get("nodes")["items"])

    def nodes(self) -> dict[str, str]:
        """Addresses of the nodes."""
        return addresses(self._nodes)

    def worker(self, number: int) -> str:
        """Name of a worker."""
        return workers(self._nodes)[number]


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

    def more(self, count: int = 20) -> None:
        """Go on until so many more requests are over: what is still lost is seen in them."""
        before = len(self.answers)
        wait_for(lambda: len(self.answers) >= before + count)

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
