# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is refused before anybody is asked: needs the inventory and no machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import BIN, ROOT


def heal(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = tmp_path / "ansible.cfg"
    config.write_text(
        f"[defaults]\ninventory={ROOT}/lab/inventory\ncollections_path={ROOT}/.dev\nlocalhost_warning=False\n",
        encoding="utf-8",
    )
    return subprocess.run(
        [str(BIN / "ansible-playbook"), "selfheal.cluster.heal", *arguments],
        env={**os.environ, "ANSIBLE_CONFIG": str(config), "ANSIBLE_NOCOLOR": "1"},
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [("--limit", "ei1"), ("--tags", "x"), ("--skip-tags", "x"), ("--start-at-task", "Judge the plan")],
)
def test_options_that_can_skip_a_guard_end_with_exit_code_4(option: str, value: str, tmp_path: Path) -> None:
    done = heal(tmp_path, "-e", "selfheal_node=ei1", option, value)
    assert done.returncode == 4, done.stdout + done.stderr
    assert option in done.stdout + done.stderr
    assert "TASK" not in done.stdout


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ("ei11", "did you mean ei1"),
        ("", "given but empty"),
        ("ei", "is a group"),
        ("ei*", "is a pattern"),
        ("all", "is a group"),
        ("monitor", "no heal touches it"),
        ("localhost", "no node"),
    ],
)
def test_no_target_but_one_node(node: str, says: str, tmp_path: Path) -> None:
    done = heal(tmp_path, "-e", f"selfheal_node={node}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in done.stdout
    assert "PLAY [Observe]" not in done.stdout


@pytest.mark.parametrize("name", ["selfheal_nod", "selfheal_mode", "selfheal_limits"])
def test_extra_variables_are_a_closed_list(name: str, tmp_path: Path) -> None:
    done = heal(tmp_path, "-e", "selfheal_node=ei1", "-e", f"{name}=act")
    assert done.returncode == 2, done.stdout + done.stderr
    assert name in done.stdout
    assert "PLAY [Observe]" not in done.stdout


def test_a_hostile_node_name_stays_data(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    done = heal(tmp_path, "-e", f"{{\"selfheal_node\": \"{{{{ lookup('pipe', 'touch {mark}') }}}}\"}}")
    assert done.returncode == 2, done.stdout + done.stderr
    assert not mark.exists()
