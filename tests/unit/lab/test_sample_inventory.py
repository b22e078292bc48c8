# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The lab's inventory is the sample that users copy: safe without the lab's own file, and complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.selfheal.cluster.plugins.module_utils import _policy

INVENTORY = Path(__file__).resolve().parents[3] / "lab" / "inventory"
GROUP_VARS = sorted((INVENTORY / "group_vars").rglob("*.yml"))
LAB_ONLY = "90-lab.yml"


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def farm(with_lab: bool) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """Host variables and groups, as far as no template is needed."""
    hosts = load(INVENTORY / "hosts.yml")
    groups = {name: list(body["hosts"]) for name, body in hosts.items()}
    common: dict[str, Any] = {}
    for path in sorted((INVENTORY / "group_vars" / "all").glob("*.yml")):
        if with_lab or path.name != LAB_ONLY:
            common.update(load(path))
    hostvars = {}
    for group, nodes in groups.items():
        for node in nodes:
            values = {**common, **load(INVENTORY / "group_vars" / f"{group}.yml"), **hosts[group]["hosts"][node]}
            hostvars[node] = {key: value for key, value in values.items() if "{{" not in str(value)}
    groups["all"] = [node for nodes in groups.values() for node in nodes]
    return hostvars, groups


def test_without_the_labs_file_nothing_is_changed_by_itself() -> None:
    hostvars, groups = farm(with_lab=False)
    said = load(INVENTORY / "group_vars/all/10-policy.yml")
    bare = {
        node: {name: value for name, value in values.items() if name not in said} for node, values in hostvars.items()
    }
    for layer in _policy.layers(groups, hostvars):
        policy = _policy.effective(layer, hostvars, groups)
        assert (policy["mode"], policy["home"], policy["reboot"]) == ("observe", "never", False)
        assert policy["limits"] == _policy.effective(layer, bare, groups)["limits"], "the sample shows the defaults"


def test_the_labs_file_relaxes_and_nothing_else_does() -> None:
    hostvars, groups = farm(with_lab=True)
    assert sorted(_policy.layers(groups, hostvars)) == ["ei", "extlb"]
    assert {_policy.effective(layer, hostvars, groups)["mode"] for layer in ("ei", "extlb")} == {"act"}
    for path in GROUP_VARS:
        if path.name != LAB_ONLY:
            assert load(path).get("selfheal_mode", "observe") == "observe", path


@pytest.mark.parametrize("path", GROUP_VARS, ids=lambda path: path.name)
def test_no_variable_is_misspelt(path: Path) -> None:
    _policy.check_names(path.stem, load(path))


def test_every_variable_of_the_policy_is_explained() -> None:
    # Layers of Kubernetes are explained where the lab has them.
    cluster = sorted((INVENTORY.parent / "kubernetes/inventory").rglob("*.yml"))
    text = "".join(path.read_text() for path in [*GROUP_VARS, INVENTORY / "hosts.yml", *cluster])
    expected = {*_policy.LAYER_VARIABLES, *_policy.NODE_VARIABLES, *_policy.GLOBAL_VARIABLES}
    assert {name for name in expected if name not in text} == set()


def test_no_user_and_no_key() -> None:
    text = "".join(path.read_text() for path in INVENTORY.rglob("*.yml"))
    for word in ("ansible_user", "ansible_ssh", "private_key", "ansible_become", "ansible_password"):
        assert word not in text
