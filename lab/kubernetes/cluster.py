# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The lab's cluster once its machines run: wait until it serves, and give it what a cluster has (metrics-server).

``python -m lab.kubernetes.cluster build`` fills the cache, ``wait`` makes the machines a cluster, ``env`` prints the
line that lets kubectl find it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lab import base
from lab.kubernetes import images, names, pki
from lab.kubernetes.machine import pki_folder
from lab.kubernetes.names import Cluster
from lab.machines import CACHE, Lab, LabError, run, wait_until

READY_SECONDS = 120
ROLE = "node-role.kubernetes.io"


def kubeconfig(lab: Lab) -> Path:
    """The administrator's way in, from the host."""
    return pki_folder(lab) / "admin.conf"


def kubectl_program(cache: Path = CACHE) -> Path:
    """kubectl of the cluster's own version."""
    return cache / f"kubelayer-{images.recipe()}" / "opt/kube/bin/kubectl"


class Kubectl:
    """kubectl as the administrator of one lab's cluster."""

    def __init__(self, lab: Lab, cache: Path = CACHE) -> None:
        own = ["--kubeconfig", str(kubeconfig(lab)), "--cache-dir", str(pki_folder(lab) / "kubectl-cache")]
        self.words = [str(kubectl_program(cache)), *own]

    def run(
        self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run it with these arguments."""
        return run([*self.words, *arguments], check=check, stdin=stdin, timeout=timeout)

    def get(self, *arguments: str) -> Any:
        """What ``get ... -o json`` answers."""
        return json.loads(self.run("get", *arguments, "-o", "json").stdout)

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        return self.run("get", "--raw", "/readyz", check=False).returncode == 0

    def ready_nodes(self) -> set[str]:
        """Names of the nodes that are Ready now."""
        done = self.run("get", "nodes", "-o", "json", check=False)
        items = json.loads(done.stdout)["items"] if done.returncode == 0 else []
        return {
            str(item["metadata"]["name"])
            for item in items
            if any(it["type"] == "Ready" and it["status"] == "True" for it in item["status"].get("conditions", []))
        }


def cluster_of(lab: Lab) -> Cluster:
    """The cluster that the lab's machines are."""
    found = Cluster.of({node: lab.spec(node) for node in lab.nodes(names.PART)})
    if found is None:
        raise LabError("no machines of Kubernetes in this lab: `make lab-kubernetes` first")
    return found


def _label(tool: Kubectl, part: str, *nodes: str, check: bool = True) -> bool:
    """What a node must not say of itself: its part."""
    return tool.run("label", "node", *nodes, f"{ROLE}/{part}=", "--overwrite", check=check).returncode == 0


def wait(lab: Lab) -> dict[str, Any]:
    """Until all nodes are Ready; seconds of each step.

    metrics-server is rolled out meanwhile, on the control plane, and not waited for: it is ready once it has measured
    every node, ten seconds after the first pods could have run. Who needs its numbers waits for them.
    """
    cluster, tool, started = cluster_of(lab), Kubectl(lab), time.monotonic()
    kubeconfig(lab).touch(mode=0o600)
    kubeconfig(lab).write_text(pki.embedded(pki_folder(lab), cluster.api))
    if not wait_until(tool.ready, READY_SECONDS, pause=0.1):
        raise LabError(f"the API server at {cluster.api} is not ready after {READY_SECONDS} s; {_look(lab, cluster)}")
    api = time.monotonic() - started
    head = cluster.control_plane
    if not wait_until(lambda: _label(tool, "control-plane", head, check=False), READY_SECONDS, pause=0.1):
        raise LabError(f"{head} has not registered after {READY_SECONDS} s; {_look(lab, cluster)}")
    manifest = (names.FILES / "metrics-server.yaml").read_text().replace("@IMAGE@", names.METRICS_IMAGE)
    tool.run("apply", "-f", "-", stdin=manifest)
    wanted = set(cluster.addresses)
    if not wait_until(lambda: tool.ready_nodes() >= wanted, READY_SECONDS, pause=0.1):
        missing = ", ".join(sorted(wanted - tool.ready_nodes()))
        raise LabError(f"not Ready after {READY_SECONDS} s: {missing}; {_look(lab, cluster)}")
    nodes = time.monotonic() - started
    _label(tool, "worker", *sorted(wanted - {head}))
    return {"api": round(api, 1), "nodes": round(nodes, 1)}


def _look(lab: Lab, cluster: Cluster) -> str:
    return f"`python3 -m lab.machines exec {cluster.control_plane} journalctl -n 50` tells why (lab {lab.name})"


def main() -> int:
    """Command line: ``build``, ``wait`` or ``env``."""
    lab = Lab.from_env()
    try:
        if sys.argv[1:] == ["build"]:
            images.ensure()
            base.ensure(kind=names.BASE)
        elif sys.argv[1:] == ["wait"]:
            took = wait(lab)
            base.say(
                f"Kubernetes {names.KUBERNETES} serves: API ready after {took['api']} s, three nodes after "
                f"{took['nodes']} s; `kubectl top` and the autoscaler have numbers some 20 s later"
            )
            base.say(f"export KUBECONFIG={kubeconfig(lab)}; kubectl is {kubectl_program()}")
        elif sys.argv[1:] == ["env"]:
            print(f"export KUBECONFIG={kubeconfig(lab)}")
        else:
            raise LabError("usage: python -m lab.kubernetes.cluster build|wait|env")
    except LabError as error:
        base.say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
