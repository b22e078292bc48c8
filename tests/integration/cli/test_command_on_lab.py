# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The command on the lab's farm: a heal by hand and what is read of it afterwards."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import BIN, Lab

pytestmark = pytest.mark.lab


def test_a_drill_on_the_lab_is_in_the_history(lab: Lab) -> None:
    command = [str(BIN / "selfheal"), "-i", "lab/inventory"]
    refused = lab.run(*command, "heal", "ei3", "--check")
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "not_ill" in refused.stdout
    done = lab.run(*command, "--json", "heal", "ei3", "--reason", "drill")
    assert done.returncode == 0, done.stdout + done.stderr
    incident = json.loads(done.stdout)["incident"]
    rows = json.loads(lab.run(*command, "--json", "history").stdout)
    assert [row["outcome"] for row in rows if row["incident"] == incident] == ["healed"]
    shown = json.loads(lab.run(*command, "--json", "show", incident).stdout)
    assert {phase["phase"] for phase in shown["phases"]} >= {"restart", "verify", "readmit"}
    status = json.loads(lab.run(*command, "--json", "status").stdout)
    assert status["holds"] == [] and status["blind"] == {}
