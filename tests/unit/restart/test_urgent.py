# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Our modules run before what burns the CPU of the ill node, and where that is not allowed, they run all the same."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import Any

import pytest
from ansible.errors import AnsibleError

from ansible_collections.selfheal.cluster.plugins.plugin_utils import _urgent
from ansible_collections.selfheal.cluster.plugins.plugin_utils._urgent import FACT, NICENESS, VARIABLE, first, urgent

TELL = "import os, sys; print(os.nice(0), sys.stdin.read(), *sys.argv[1:])"


def shell(words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """As Ansible gives it to the shell of the node."""
    env = {"PATH": path} if path is not None else None
    return subprocess.run(["/bin/sh", "-c", words], input="data", capture_output=True, text=True, env=env, check=False)


def test_python_runs_before_others_with_its_arguments_and_its_input() -> None:
    done = shell(f"{first(sys.executable)} -c {shlex.quote(TELL)} 'a b' '$HOME'")
    assert (done.stdout, done.stderr) == (f"{NICENESS} data a b $HOME\n", "")


def test_it_ends_as_python_ends() -> None:
    assert shell(f"{first(sys.executable)} -c 'import sys; sys.exit(7)'").returncode == 7


def test_without_renice_it_runs_as_any_other() -> None:
    done = shell(f"{first(sys.executable)} -c {shlex.quote(TELL)}", path="/nowhere")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("0 data")


def test_without_the_right_it_runs_as_any_other() -> None:
    as_nobody = f"setpriv --reuid=65534 --clear-groups --bounding-set=-sys_nice {first('/usr/bin/python3')}"
    done = shell(f"{as_nobody} -c {shlex.quote(TELL)}")
    assert (done.stdout, done.stderr) == ("0 data\n", "")


def python_of(monkeypatch: pytest.MonkeyPatch, finds: Any, variables: dict[str, Any] | None) -> tuple[Any, Any, int]:
    """The Python of the task, the facts, and how often it was looked for on the node."""
    asked = []

    def discover(**named: Any) -> Any:
        asked.append(named)
        if isinstance(finds, Exception):
            raise finds
        return finds

    monkeypatch.setattr(_urgent, "discover_interpreter", discover)
    given, facts = urgent(None, variables)  # type: ignore[arg-type]
    return given.get(VARIABLE), facts, len(asked)


FOUND = "/usr/bin/python3.11"
KNOWN = {"ansible_facts": {FACT: FOUND}}


@pytest.mark.parametrize(
    ("finds", "variables", "python", "facts", "asked"),
    [
        pytest.param(FOUND, {}, first(FOUND), KNOWN, 1, id="looked for, and told to the next task"),
        pytest.param(FOUND, None, first(FOUND), KNOWN, 1, id="no variables"),
        pytest.param(FOUND, {VARIABLE: "auto_silent"}, first(FOUND), KNOWN, 1, id="asked to look for it"),
        pytest.param("/x", KNOWN, first(FOUND), {}, 0, id="an earlier task has found it"),
        pytest.param("/x", {VARIABLE: "/opt/py/bin/python"}, first("/opt/py/bin/python"), {}, 0, id="named"),
        pytest.param("/x", {VARIABLE: "env python3"}, "env python3", {}, 0, id="somebody's own arrangement"),
        pytest.param("/x", {VARIABLE: "{{ other }}"}, "{{ other }}", {}, 0, id="a template"),
        pytest.param("/x", {VARIABLE: "/a;reboot"}, "/a;reboot", {}, 0, id="no words of a shell get in"),
        pytest.param(AnsibleError("lost"), {}, None, {}, 1, id="not found: Ansible looks for it, and says why not"),
    ],
)
def test_which_python(
    monkeypatch: pytest.MonkeyPatch, finds: Any, variables: Any, python: Any, facts: Any, asked: int
) -> None:
    assert python_of(monkeypatch, finds, variables) == (python, facts, asked)
