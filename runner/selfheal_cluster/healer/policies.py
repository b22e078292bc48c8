# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The policy of every layer out of the inventory, rendered by Ansible itself in a child that ends.

A run writes the policy that it decided on into the journal. A healer that has never started a run needs to know
whom to watch as well, and so does one whose inventory has just changed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfheal_cluster.healer.child import Child, module

TIMEOUT_SECONDS = 120.0


def render(inventory: str) -> dict[str, Any]:
    """``policies`` by layer, and ``problems``: layers whose policy is not valid, with the sentence why."""
    from ansible.cli import CLI
    from ansible.errors import AnsibleError
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader
    from ansible.vars.hostvars import HostVars
    from ansible.vars.manager import VariableManager

    from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
    from ansible_collections.selfheal.cluster.plugins.module_utils._heal_target import Once
    from ansible_collections.selfheal.cluster.plugins.module_utils._policy import effective, layers

    loader = DataLoader()
    # A group variable may lie in a vault, whose password file the configuration names; nobody is asked for it.
    loader.set_vault_secrets(CLI.setup_vault_secrets(loader, vault_ids=[], auto_prompt=False))
    hosts = InventoryManager(loader=loader, sources=[inventory])
    variables = VariableManager(loader=loader, inventory=hosts)
    hostvars = Once(HostVars(inventory=hosts, variable_manager=variables, loader=loader))  # rendering is dear
    groups = {name: list(members) for name, members in hosts.get_groups_dict().items()}
    policies: dict[str, Any] = {}
    problems: dict[str, str] = {}
    try:
        names = layers(groups, hostvars)
    except (SelfhealError, AnsibleError) as exc:
        return {"policies": {}, "problems": {"inventory": " ".join(str(exc).split())}}
    for layer in names:
        try:
            policies[layer] = effective(layer, hostvars, groups)
        except (SelfhealError, AnsibleError) as exc:
            problems[layer] = " ".join(str(exc).split())
    if not names:
        problems["inventory"] = f"{inventory} has no layer: a group with selfheal_strategy makes one"
    return {"policies": policies, "problems": problems}


def signature(inventory: str) -> tuple[tuple[str, int, int], ...]:
    """What changes when the inventory does: its files with their times and sizes."""
    root = Path(inventory)
    found = [root] if root.is_file() else [Path(at) / name for at, _, names in os.walk(root) for name in names]
    seen = []
    for path in sorted(found):
        try:
            status = path.stat()
        except OSError:
            continue
        seen.append((str(path), status.st_mtime_ns, status.st_size))
    return tuple(seen)


class PolicyReader:
    """Renders the policies when the inventory has changed; ``begin`` and ``collect`` return at once."""

    def __init__(self, inventory: str, ansible_config: str) -> None:
        self._inventory = inventory
        # Ansible refuses to start without a UTF-8 locale.
        env = {"ANSIBLE_CONFIG": ansible_config, "LC_ALL": "C.UTF-8"}
        self._child = Child(module("selfheal_cluster.healer.policies", inventory), TIMEOUT_SECONDS, env)
        self._seen: tuple[tuple[str, int, int], ...] | None = None

    @property
    def running(self) -> bool:
        """Whether a child is at work."""
        return self._child.running

    def changed(self) -> bool:
        """Whether the inventory is another one than at the last ``begin``."""
        return signature(self._inventory) != self._seen

    def begin(self) -> None:
        """Start rendering. What fails is rendered again, although the inventory is still the same."""
        self._seen = None
        seen = signature(self._inventory)
        self._child.begin({})
        self._seen = seen

    def collect(self) -> Mapping[str, Any] | None:
        """The policies and problems, once the child has ended."""
        ended = self._child.ended()
        if ended is None:
            return None
        try:
            answer = list(self._child.answer())
            if ended.code == 0 and answer:
                return dict(answer[-1])
            last = ended.said.splitlines()[-1] if ended.said else "without a word"
        except ValueError as exc:
            last = str(exc)
        self._seen = None
        return {"policies": {}, "problems": {"inventory": f"{self._inventory} cannot be read: {last[:300]}"}}

    def stop(self) -> None:
        """End a child that is at work."""
        self._child.stop()


if __name__ == "__main__":
    json.dump(render(sys.argv[1]), sys.stdout)
    sys.stdout.write("\n")
