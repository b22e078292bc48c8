# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The autoscaler under real load: more pods while it lasts, one when it is over, and no client notices either."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from lab.kubernetes.demo.load import HEAVY, IDLE
from tests.kubernetes.harness import Load, RealCluster, wait_for

pytestmark = pytest.mark.lab
SHORT = {
    "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 5}]},
    "scaleDown": {"stabilizationWindowSeconds": 15, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]},
}


def alone(real: RealCluster) -> bool:
    deployment = real.get("deployment", "ei-deployment")
    return deployment["spec"]["replicas"] == deployment["status"].get("replicas") == 1


@pytest.mark.machines
@pytest.mark.parametrize(
    ("behavior", "down"),
    [pytest.param(SHORT, 150, id="short timings"), pytest.param({}, 600, id="Kubernetes' own timings")],
)
def test_load_makes_pods_and_its_end_takes_them_away_without_a_lost_request(
    rolled_out: RealCluster, tmp_path: Path, behavior: dict[str, Any], down: float
) -> None:
    rolled_out.play(tmp_path, ei_kubernetes_scaling_behavior=behavior)
    where = rolled_out.nodes()[rolled_out.worker(0)]
    port = rolled_out.ports[0]
    wait_for(lambda: rolled_out.get("hpa", "ei-hpa")["status"].get("currentMetrics"), 120)
    with Load(where, port, clients=HEAVY.clients, rate=HEAVY.rate, path=HEAVY.path, seconds=300) as heavy:
        begun = time.monotonic()
        wait_for(lambda: rolled_out.replicas() >= 4, 240)
        up = time.monotonic() - begun
        heavy.more(100)
    with Load(where, port, clients=IDLE.clients, rate=IDLE.rate, seconds=down + 30) as light:
        begun = time.monotonic()
        wait_for(lambda: alone(rolled_out), down)
        took = time.monotonic() - begun
        light.more(20)
    print(f"1 to 4 pods in {up:.0f} s, back to 1 in {took:.0f} s; {len(heavy.answers) + len(light.answers)} requests")
    assert heavy.failed + light.failed == []
