# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Which cluster the tests on a real one use, what of it is theirs, and which of them are left out on it."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.kubernetes import names
from lab.machines import Lab, LabError
from tests.kubernetes import harness
from tests.kubernetes.harness import RealCluster

ROOT = Path(__file__).resolve().parents[3]


class Paper:
    """A test that has these markers."""

    def __init__(self, *markers: str) -> None:
        self.markers = markers

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.markers else None


@pytest.mark.parametrize(("env", "kubeconfig"), [
    ({}, ""),
    ({"KUBECONFIG": ""}, ""),
    ({"KUBECONFIG": "/root/c"}, "/root/c"),
])  # fmt: skip
def test_the_cluster_is_the_labs_unless_another_one_is_named(env: dict[str, str], kubeconfig: str) -> None:
    assert harness.chosen(env) == kubeconfig


def test_what_needs_machines_is_left_out_on_another_cluster_only() -> None:
    tests = [Paper("lab"), Paper("lab", "machines"), Paper(), Paper("machines")]
    assert harness.parted(tests, "") == (tests, [])
    assert harness.parted(tests, "/root/c") == ([tests[0], tests[2]], [tests[1], tests[3]])


def test_a_namespace_on_another_cluster_is_of_one_run() -> None:
    made = {harness.namespace_for("/root/c") for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(r"selfheal-test-[0-9a-f]{6}", name) for name in made)
    assert harness.namespace_for("") == harness.namespace_for("") == "selfheal-test"


def test_ports_that_a_service_has_are_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "OTHER_PORTS", range(30100, 30105))
    services: list[dict[str, Any]] = [
        {"spec": {"ports": [{"port": 80, "nodePort": 30101}, {"port": 81, "nodePort": 30103}]}},
        {"spec": {"ports": [{"port": 80}]}},
        {"spec": {"type": "ExternalName"}},
        {"spec": {"ports": [{"port": 80, "nodePort": 30104}]}},
    ]
    assert sorted(harness.free_ports(services)) == [30100, 30102]


def node(name: str, address: str, **labels: str) -> dict[str, Any]:
    told = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]
    return {"metadata": {"name": name, "labels": labels}, "status": {"addresses": told}}


def test_nodes_are_as_the_cluster_names_them() -> None:
    nodes = [node("a", "10.0.0.1", **{"node-role.kubernetes.io/control-plane": ""}), node("b", "10.0.0.2", disk="ssd")]
    del nodes[1]["metadata"]["labels"]
    assert harness.addresses(nodes) == {"a": "10.0.0.1", "b": "10.0.0.2"}
    assert harness.workers(nodes) == ["b"]


SERVICES = '{"items": [{"spec": {"ports": [{"nodePort": 30100}]}}]}'


@pytest.fixture
def other(tmp_path: Path) -> Mapping[str, str]:
    """The surroundings of a run with a cluster of somebody: a kubeconfig, and a kubectl that writes down its words."""
    (tmp_path / "bin").mkdir()
    kubectl = tmp_path / "bin/kubectl"
    kubectl.write_text(f"#!/bin/sh\necho \"$@\" >> '{tmp_path}/words'\necho '{SERVICES}'\n")
    kubectl.chmod(kubectl.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "config").touch()
    return {"KUBECONFIG": str(tmp_path / "config"), "PATH": str(kubectl.parent)}


def test_another_cluster_is_used_with_a_namespace_ports_and_certificates_of_this_run(
    other: Mapping[str, str], tmp_path: Path
) -> None:
    real = RealCluster.of_kubeconfig(other["KUBECONFIG"], {**other, "SELFHEAL_TEST_IMAGE": "r/ei:1"}, tmp_path)
    given = real.variables(ei_kubernetes_wait=False)
    assert given["ei_kubernetes_namespace"].startswith("selfheal-test-")
    assert given["ei_kubernetes_image"] == "r/ei:1"
    assert given["ei_kubernetes_wait"] is False
    ports = {given["ei_kubernetes_http_node_port"], given["ei_kubernetes_https_node_port"]}
    assert len(ports) == 2 and not ports & {30010, 30011, 30100}
    for part in ("certificate", "key"):
        assert "BEGIN" in Path(given[f"ei_kubernetes_tls_{part}"]).read_text()
    real.needs_image()
    with pytest.raises(AssertionError, match="machines"):
        real.lab  # noqa: B018 the property itself refuses


def test_of_another_cluster_the_namespace_is_removed_and_no_node_touched(
    other: Mapping[str, str], tmp_path: Path
) -> None:
    real = RealCluster.of_kubeconfig(other["KUBECONFIG"], other, tmp_path)
    (tmp_path / "words").unlink()
    real.tidy()
    (words,) = (tmp_path / "words").read_text().splitlines()
    assert words.startswith(f"--kubeconfig {other['KUBECONFIG']} delete namespace {real.namespace} ")


def test_an_image_that_nobody_named_is_asked_for(other: Mapping[str, str], tmp_path: Path) -> None:
    real = RealCluster.of_kubeconfig(other["KUBECONFIG"], other, tmp_path)
    with pytest.raises(LabError, match="SELFHEAL_TEST_IMAGE is not set"):
        real.needs_image()


@pytest.mark.parametrize(("change", "words"), [
    ({"KUBECONFIG": "/nonexistent/a:/nonexistent/b"}, "KUBECONFIG=/nonexistent/a:/nonexistent/b: that is no file"),
    ({"PATH": "/nonexistent"}, "there is no kubectl on PATH"),
])  # fmt: skip
def test_what_is_missing_for_another_cluster_is_said(
    other: Mapping[str, str], tmp_path: Path, change: dict[str, str], words: str
) -> None:
    env = {**other, **change}
    with pytest.raises(LabError, match=words):
        RealCluster.of_kubeconfig(env["KUBECONFIG"], env, tmp_path)


def test_the_labs_cluster_has_its_own_image_ports_and_certificates() -> None:
    real = RealCluster.of_lab(Lab("shtest"))
    given = real.variables()
    assert real.lab == Lab("shtest")
    assert (given["ei_kubernetes_namespace"], given["ei_kubernetes_image"]) == ("selfheal-test", names.EI_IMAGE)
    assert (given["ei_kubernetes_http_node_port"], given["ei_kubernetes_https_node_port"]) == (30010, 30011)
    assert given["ei_kubernetes_tls_key"] == "/var/lib/selfheal-lab-shtest/kubernetes/ei.key"
    real.needs_image()


def collected(**env: str) -> tuple[set[str], str]:
    """What pytest would play of tests/kubernetes, and all that it says."""
    clean = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "PYTEST_ADDOPTS")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/kubernetes"],
        cwd=ROOT, env={**clean, **env}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {line for line in done.stdout.splitlines() if "::" in line}, done.stdout


def test_pytest_leaves_out_what_needs_machines_and_says_so_in_one_line() -> None:
    whole, said = collected()
    assert "KUBECONFIG" not in said and "deselected" not in said
    rest, said = collected(KUBECONFIG="/root/c")
    (line,) = [line for line in said.splitlines() if "KUBECONFIG" in line]
    assert line == harness.told("/root/c", len(whole) - len(rest))
    assert rest < whole
    files = {test.partition("::")[0].rpartition("/")[2] for test in rest}
    assert {"test_role.py", "test_workload.py"} <= files
    assert not files & {"test_cluster.py", "test_node.py"}
    assert not [test for test in rest if "both_ports" in test or "loses_no_request" in test]
