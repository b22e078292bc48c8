# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The Molecule scenarios of the remediation roles, on the lab that runs for all tests."""

from __future__ import annotations

import pytest

from tests.integration.conftest import BIN, Lab

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("scenario", ["lb_detach", "keepalived_failover"])
def test_the_scenario_of_a_remediation_role(lab: Lab, scenario: str) -> None:
    for step in ("converge", "verify"):
        done = lab.run(str(BIN / "molecule"), step, "-s", scenario, timeout=600, LAB_STATE=str(lab.state), NO_COLOR="1")
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
