# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The documentation of each module says the same as its argument spec."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_lease, _heal_plan_spec, _journal_words
from ansible_collections.selfheal.cluster.plugins.modules import heal_info, heal_journal, heal_lease, heal_plan

MODULES = [
    (heal_plan, _heal_plan_spec.SPEC),
    (heal_lease, _heal_lease.SPEC),
    (heal_info, heal_info.SPEC),
    (heal_journal, _journal_words.SPEC),
]


@pytest.mark.parametrize(
    ("module", "spec"), MODULES, ids=lambda value: getattr(value, "__name__", "").rpartition(".")[2]
)
def test_documentation_and_spec_agree(module: Any, spec: dict[str, Any]) -> None:
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert set(documented) == set(spec)
    for name, option in spec.items():
        for key in ("type", "default", "choices", "required", "elements"):
            assert documented[name].get(key) == option.get(key), (name, key)
    assert yaml.safe_load(module.RETURN)
    assert yaml.safe_load(module.EXAMPLES)
