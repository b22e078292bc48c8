# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One cluster for all tests of this folder; removed at the end if they made it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import owner
from lab.kubernetes import cluster, names
from lab.machines import Lab
from tests.kubernetes.harness import NAMESPACE, ROOT, RealCluster, wait_for


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """The lab's Kubernetes."""
    lab = Lab.from_env()
    made = not lab.nodes(names.PART)
    log = tmp_path_factory.mktemp("kubernetes") / "up.log"
    env = {**os.environ, **owner.environment(keep=not made)}
    with log.open("w") as handle:
        done = subprocess.run(
            [str(ROOT / "lab/kubernetes/up")], cwd=ROOT, env=env, stdout=handle, stderr=handle, check=False,
            stdin=subprocess.DEVNULL, timeout=2700,
        )  # fmt: skip
    assert done.returncode == 0, log.read_text()[-3000:]
    found = RealCluster(lab, cluster.Kubectl(lab))
    yield found
    found.tool.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s", check=False, timeout=90)
    if made:
        subprocess.run([str(ROOT / "lab/kubernetes/down")], cwd=ROOT, check=True, stdin=subprocess.DEVNULL, timeout=300)


@pytest.fixture
def empty(real: RealCluster) -> RealCluster:
    """The cluster with the tests' namespace anew, and every node taking pods."""
    real.tool.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s", timeout=90)
    for node in real.nodes():
        if node != real.worker(0) and node != real.worker(1):
            continue
        real.tool.run("uncordon", node)
    wait_for(lambda: real.tool.ready_nodes() >= set(real.nodes()), 60)
    return real


@pytest.fixture
def rolled_out(empty: RealCluster, tmp_path: Path) -> RealCluster:
    """The integrator, rolled out by the role and available."""
    folder = tmp_path / "roll-out"
    folder.mkdir()
    empty.play(folder)
    shutil.rmtree(folder)
    return empty
