# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One cluster for all tests of this folder: that of KUBECONFIG, else the lab's, removed at the end if they made it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import owner
from lab.kubernetes import names
from lab.machines import Lab
from tests.kubernetes.harness import ROOT, RealCluster, chosen, parted, told

HERE = Path(__file__).resolve().parent
TEST_SECONDS = 600
LEFT_OUT = pytest.StashKey[int]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs the lab's machines, where the cluster is another one.

    The limit of a test is of the test alone: before the first one, the cluster's programs may have to be built, which
    takes a quarter of an hour and has a limit of its own.
    """
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS, func_only=True))
    items[:], out = parted(items, chosen(os.environ))
    config.stash[LEFT_OUT] = len(out)
    if out:
        config.hook.pytest_deselected(items=out)


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say which cluster it is, and what is left out on it."""
    kubeconfig = chosen(os.environ)
    return [told(kubeconfig, config.stash.get(LEFT_OUT, 0))] if kubeconfig else []


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """The cluster."""
    folder = tmp_path_factory.mktemp("kubernetes")
    if kubeconfig := chosen(os.environ):
        found = RealCluster.of_kubeconfig(kubeconfig, os.environ, folder)
        yield found
        found.tidy()
        return
    lab = Lab.from_env()
    made = not lab.nodes(names.PART)
    log = folder / "up.log"
    env = {**os.environ, **owner.environment(keep=not made)}
    with log.open("w") as handle:
        done = subprocess.run(
            [str(ROOT / "lab/kubernetes/up")], cwd=ROOT, env=env, stdout=handle, stderr=handle, check=False,
            stdin=subprocess.DEVNULL, timeout=2700,
        )  # fmt: skip
    assert done.returncode == 0, log.read_text()[-3000:]
    found = RealCluster.of_lab(lab)
    yield found
    if made:
        subprocess.run([str(ROOT / "lab/kubernetes/down")], cwd=ROOT, check=True, stdin=subprocess.DEVNULL, timeout=300)
    else:
        found.tidy()


@pytest.fixture
def empty(real: RealCluster) -> RealCluster:
    """The cluster without anything of the tests."""
    real.tidy()
    return real


@pytest.fixture
def rolled_out(empty: RealCluster, tmp_path: Path) -> RealCluster:
    """The integrator, rolled out by the role and available."""
    empty.needs_image()
    folder = tmp_path / "roll-out"
    folder.mkdir()
    empty.play(folder)
    shutil.rmtree(folder)
    return empty
