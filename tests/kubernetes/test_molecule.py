# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The Molecule scenario of role ei_kubernetes, on the cluster of all tests of this folder."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.kubernetes.harness import BIN, ROOT, RealCluster

pytestmark = pytest.mark.lab


def test_the_scenario_of_the_role_and_that_nothing_of_it_is_left(real: RealCluster, tmp_path: Path) -> None:
    real.needs_image()
    # A folder of its own: that of somebody who works on the scenario knows another cluster or namespace.
    own = {"MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "molecule"), "NO_COLOR": "1"}
    done = subprocess.run(
        [str(BIN / "molecule"), "test", "-s", "ei_kubernetes"],
        cwd=ROOT, env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **own}, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=550, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-8000:]
    (namespace,) = set(re.findall(r"selfheal-molecule-[0-9a-f]{6}", said))
    assert "NotFound" in real.tool.run("get", "namespace", namespace, check=False).stderr
    for done_step in ("Roll out the integrator", "All answers are what the definition says", "Remove the namespace"):
        assert done_step in said
