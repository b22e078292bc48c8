# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The survey of the lab's farm, where nothing is missing."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import BIN, Lab

from .test_survey import said

pytestmark = pytest.mark.lab


def test_on_the_lab_nothing_is_missing(lab: Lab) -> None:
    done = lab.run(str(BIN / "selfheal"), "survey", "--json", "-i", "lab/inventory")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert [one for one in said(found) if not one.startswith("note")] == []
    assert {node["node"] for node in found["nodes"]} == {"extlb1", "extlb2", "ei1", "ei2", "ei3"}
    assert next(layer for layer in found["layers"] if layer["layer"] == "extlb")["holders"] == ["extlb1"]
