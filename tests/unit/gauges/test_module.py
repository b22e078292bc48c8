# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The documentation of ``gauge_info`` says what its parameters are."""

from __future__ import annotations

from typing import Any

import yaml

from ansible_collections.selfheal.cluster.plugins.doc_fragments.nagios import ModuleDocFragment
from ansible_collections.selfheal.cluster.plugins.modules import gauge_info


def compare(spec: dict[str, Any], documented: dict[str, Any]) -> None:
    assert spec.keys() == documented.keys()
    for name, option in spec.items():
        for key in ("type", "elements", "required", "default", "choices"):
            assert option.get(key) == documented[name].get(key), f"{name}.{key}"
        if "options" in option:
            compare(option["options"], documented[name]["suboptions"])


def test_parameters_are_documented() -> None:
    documented = yaml.safe_load(gauge_info.DOCUMENTATION)["options"]
    documented.update(yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"])
    compare(gauge_info.argument_spec(), documented)


def test_results_are_documented() -> None:
    assert list(yaml.safe_load(gauge_info.RETURN)) == ["nagios", "verdicts", "hosts", "services", "downtimes", "past"]
