# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Sanity does not compare an action plugin's arguments with its documentation: this does."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import yaml

from ansible_collections.selfheal.cluster.plugins.action import heal_observe, heal_step, heal_watch
from ansible_collections.selfheal.cluster.plugins.module_utils._restart_spec import ARGUMENTS

SPECS: dict[str, dict[str, Any]] = {
    "node_restart": ARGUMENTS,
    "heal_step": heal_step.SPEC,
    "heal_watch": heal_watch.SPEC,
    "heal_observe": heal_observe.SPEC,
    "heal_target": {"started": {"type": "float"}},
}


@pytest.mark.parametrize("name", sorted(SPECS))
def test_arguments_are_documented_as_they_are(name: str) -> None:
    module = importlib.import_module(f"ansible_collections.selfheal.cluster.plugins.modules.{name}")
    _compare(yaml.safe_load(module.DOCUMENTATION)["options"], SPECS[name])


def _compare(documented: dict[str, Any], spec: dict[str, Any]) -> None:
    assert set(documented) == set(spec)
    for option, argument in spec.items():
        shown = documented[option]
        assert shown.get("type", "str") == argument["type"], option
        assert shown.get("default") == argument.get("default"), option
        assert bool(shown.get("required")) == bool(argument.get("required")), option
        assert sorted(shown.get("choices") or []) == sorted(argument.get("choices") or []), option
        assert shown.get("elements") == argument.get("elements"), option
        if "options" in argument:
            _compare(shown["suboptions"], argument["options"])
