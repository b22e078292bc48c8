# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Our modules run before what burns the CPU of the ill node, and where that is not allowed, they run all the same."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.loader import shell_loader

from ansible_collections.selfheal.cluster.plugins.plugin_utils._urgent import NICENESS, urgent

PYTHON = "#!/usr/bin/python3"
CODE = "import os, sys; print(os.nice(0), sys.stdin.read(), os.environ.get('A', '')); sys.exit(len(sys.argv))"


def connection() -> Any:
    """With the shell that Ansible has for a node."""
    return SimpleNamespace(_shell=shell_loader.get("sh"))


@pytest.fixture(name="words")
def words_for_the_shell(tmp_path: Path) -> str:
    """What Ansible gives to the node's shell for a module."""
    module = tmp_path / "Ansi ballZ.py"
    module.write_text(CODE, encoding="utf-8")
    module.chmod(0o755)
    tmp_path.chmod(0o755)
    one = connection()
    with urgent(one):
        return str(one._shell.build_module_command("A=b", PYTHON, str(module)))


def run(words: str, path: str | None = None) -> tuple[int, str, str]:
    environment = None if path is None else {"PATH": path}
    done = subprocess.run(
        ["/bin/sh", "-c", words], input="data", capture_output=True, text=True, env=environment, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_module_runs_before_others_with_its_input_its_environment_and_its_end(words: str) -> None:
    assert run(words) == (1, f"{NICENESS} data b\n", "")


def test_without_renice_it_runs_as_any_other(words: str) -> None:
    assert run(words, path="/nowhere") == (1, f"{os.nice(0)} data b\n", "")


def test_without_the_right_it_runs_as_any_other(words: str) -> None:
    without = "setpriv --bounding-set=-sys_nice --inh-caps=-sys_nice --ambient-caps=-sys_nice /bin/sh -c "
    assert run(without + shlex.quote(words)) == (1, f"{os.nice(0)} data b\n", "")


def test_what_runs_on_the_connection_afterwards_is_as_any_other() -> None:
    one = connection()
    before = one._shell.build_module_command("", PYTHON, "/m.py")
    with pytest.raises(ZeroDivisionError), urgent(one):
        raise ZeroDivisionError
    assert one._shell.build_module_command("", PYTHON, "/m.py") == before
