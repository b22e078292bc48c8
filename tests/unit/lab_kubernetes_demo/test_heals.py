# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Which runs of the healer the demo takes for its own, and what it tells of them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lab.kubernetes.demo.heals import ClusterNagios, attempt_words, attempts, moments
from lab.kubernetes.demo.timeline import Event


def run(**values: Any) -> dict[str, Any]:
    return {
        "node": "kw2", "started_at": 110.0, "ended_at": 150.0, "status": "healed", "restart_kind": "reboot",
        "restored_at": 140.0, "phases": [{"name": "shift", "started": 111.0}, {"name": "restart", "started": 120.0}],
        **values,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "statuses"),
    [
        ([run()], ["healed"]),
        ([run(started_at=130.0), run(status="left_out")], ["left_out", "healed"]),  # the first one first
        ([run(node="kw1")], []),
        ([run(started_at=99.9)], []),  # of before the illness
        ([run(ended_at=None, status="acting")], []),
        ([run(status="refused")], []),  # nothing was done
        ([{}], []),
    ],
)
def test_attempts_of_a_node(runs: list[dict[str, Any]], statuses: list[str]) -> None:
    assert [it["status"] for it in attempts("kw2", 100.0, runs)] == statuses


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({}, [(110.0, "healer takes kw2 in hand"), (120.0, "healer: kw2: reboots it"),
              (140.0, "healer: kw2 is given back"), (150.0, "healer: kw2: healed")]),
        ({"restart_kind": "undo", "node": "eik"}, [(110.0, "healer takes eik in hand"),
            (120.0, "healer: eik: puts an earlier revision back"), (140.0, "healer: eik is given back"),
            (150.0, "healer: eik: healed")]),
        ({"status": "left_out", "restored_at": None, "phases": [], "restart_kind": "service"},
         [(110.0, "healer takes kw2 in hand"), (150.0, "healer: kw2: left_out")]),
        ({"started_at": True, "ended_at": "x", "restored_at": None, "phases": None}, []),
    ],
)  # fmt: skip
def test_moments_of_a_run(values: dict[str, Any], wanted: list[tuple[float, str]]) -> None:
    assert moments(run(**values)) == [Event(*it) for it in wanted]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "the healer's run for kw2 (reboots it) ended: healed"),
        ({"restart_kind": "service", "status": "left_out", "problems": ["kw2: kubelet\nis activating", "more"]},
         "the healer's run for kw2 (restarts its service) ended: left_out (kw2: kubelet is activating)"),
        ({"restart_kind": "new", "status": "\x1b[2J"}, "the healer's run for kw2 (acts) ended: \\x1b[2J"),
    ],
)  # fmt: skip
def test_an_attempt_in_a_line(values: dict[str, Any], words: str) -> None:
    assert attempt_words(run(**values)) == words


def service(host: str, name: str, status: str) -> dict[str, Any]:
    now = time.time()
    return {
        "host": host, "service": name, "status": status, "state_type": "hard", "attempt": 2, "max_attempts": 2,
        "output": "", "perfdata": "", "last_check": now, "last_state_change": now - 60, "check_interval": 5.0,
        "flapping": False, "stale": False, "active": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("node", "name", "status", "verdict"),
    [
        ("eik", "kubernetes rollout", "critical", "faulty"),
        ("eik", "kubernetes rollout", "ok", "ok"),
        # An autoscaler at its maximum is no illness of the workload.
        ("eik", "kubernetes autoscaler", "critical", "unknown"),
        ("kw2", "kubernetes node", "critical", "faulty"),
    ],
)
def test_what_the_cluster_says_is_judged_by_its_own_gauges(node: str, name: str, status: str, verdict: str) -> None:
    nagios = ClusterNagios.__new__(ClusterNagios)  # it would log in to a monitor
    nagios.workloads = frozenset({"eik"})
    found, reason = nagios.verdict([service(node, name, status), service("other", name, "critical")], node, [node])
    assert found == verdict, reason
