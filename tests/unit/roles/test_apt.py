# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""No role stops where apt's lists are missing or old: each task that installs has a second try with fresh ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted([*(ROOT / "roles").glob("*/*/*.yml"), *(ROOT / "playbooks").rglob("*.yml")])
INSTALLERS = {
    f"{prefix}{name}" for name in ("apt", "package") for prefix in ("", "ansible.builtin.", "ansible.legacy.")
}


def asked(task: dict[str, Any]) -> list[dict[str, Any]]:
    """What a task has apt install; one that removes needs no lists."""
    every = [task[key] for key in INSTALLERS & set(task)]
    return [args for args in every if not isinstance(args, dict) or args.get("state") != "absent"]


def helps(rescue: list[dict[str, Any]], wanted: Any) -> bool:
    """Whether a rescue asks for the same with fresh lists."""
    return any(
        isinstance(args, dict) and args.get("update_cache") is True and args.get("name") == wanted
        for task in rescue
        for args in asked(task)
    )


def bare(tasks: Any, rescues: tuple[list[dict[str, Any]], ...] = (), second: bool = False) -> Iterator[str]:
    """Names of the tasks that install and have no second try, nor are one: a first try never waits for a mirror."""
    for task in tasks if isinstance(tasks, list) else []:
        if not isinstance(task, dict):
            continue
        for args in asked(task):
            wanted = args.get("name") if isinstance(args, dict) else args
            fresh = second and isinstance(args, dict) and args.get("update_cache") is True
            if not fresh and not any(helps(rescue, wanted) for rescue in rescues):
                yield str(task.get("name", args))
        inner = (task["rescue"], *rescues) if task.get("rescue") else rescues
        yield from bare(task.get("block"), inner, second)
        yield from bare(task.get("rescue"), rescues, second=True)
        for part in ("always", "tasks", "pre_tasks", "post_tasks", "handlers"):
            yield from bare(task.get(part), rescues, second)


def test_every_apt_task_has_a_second_try_with_fresh_lists() -> None:
    found = {str(path.relative_to(ROOT)): list(bare(yaml.safe_load(path.read_text()))) for path in FILES}
    assert not {name: tasks for name, tasks in found.items() if tasks}
    installers = [name for path in FILES if "ansible.builtin.apt:" in path.read_text() for name in [path.parts[-3]]]
    assert installers == ["packages"], "the one place that installs, which this test must have seen"


APT = "- {name: it, ansible.builtin.apt: {name: a%s}}"
RESCUE = "- block: [{name: it, %s: {name: a}}]\n  rescue: [{name: again, apt: {name: %s, update_cache: %s}}]\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (APT % "", ["it"]),
        (APT % ", update_cache: false", ["it"]),
        ("- {name: it, apt: name=a}", ["it"]),
        ("- {name: it, package: {name: a}}", ["it"]),
        ("- block: [{name: it, apt: {name: a}}]", ["it"]),
        ("- block: [{name: it, apt: {name: a}}]\n  rescue: [{debug: }]", ["it"]),
        ("- block: [{debug: }]\n  rescue: [{name: it, apt: {name: a}}]", ["it"]),
        ("- hosts: all\n  tasks: [{name: it, apt: {name: a}}]", ["it"]),
        (RESCUE % ("apt", "b", "true"), ["it"]),
        (RESCUE % ("apt", "a", "false"), ["it", "again"]),
        (RESCUE % ("ansible.builtin.apt", "a", "true"), []),
        (RESCUE % ("package", "a", "true"), []),
        (APT % ", update_cache: true", ["it"]),
        (APT % ", state: absent", []),
        ("- {name: it, debug: {msg: apt}}", []),
    ],
)
def test_a_bare_one_is_found(text: str, wanted: list[str]) -> None:
    assert list(bare(yaml.safe_load(text))) == wanted
