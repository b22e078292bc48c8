# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What role healer writes, read by the sudo and the systemd of a machine of the lab."""

from __future__ import annotations

import base64

import pytest

from tests.integration.conftest import Lab

from .conftest import Written

pytestmark = pytest.mark.lab


def on_monitor(lab: Lab, text: str, script: str) -> str:
    """Run a script on the lab's monitor with this text in the file $FILE; what it said, if it did not like it."""
    packed = base64.b64encode(text.encode()).decode()
    done = lab.on("monitor", f"FILE=$(mktemp -d)/unit; echo {packed} | base64 -d > $FILE; {script}")
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_sudo_can_read_the_rule(lab: Lab, written: Written) -> None:
    assert on_monitor(lab, written.text("sudoers"), "visudo -cf $FILE") == ""
    assert on_monitor(lab, "selfheal ALL=(root) NOPASSWD: [", "visudo -cf $FILE") != ""


@pytest.mark.parametrize("unit", ["selfheal.service", "selfheal-heal@.service"])
def test_systemd_understands_the_units(lab: Lab, written: Written, unit: str) -> None:
    # The program itself is not on this machine.
    text = written.text(unit).replace("/opt/selfheal/venv/bin/python", "/usr/bin/python3")
    name = unit.replace("@.", "@ei1-20261125-023000-1a2b-1.")
    script = f"mv $FILE $(dirname $FILE)/{name} && cd $(dirname $FILE) && systemd-analyze verify --man=no ./{name}"
    assert on_monitor(lab, text, script) == ""
    assert on_monitor(lab, text.replace("ExecStart=", "ExecStart=no/such/"), script) != ""
