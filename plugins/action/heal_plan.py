# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The controller's half of a decision: what was seen becomes a snapshot, group variables become policy.

One connection to the journal host carries both there, where the plan is made in one transaction. A second one is
needed only when a run that was killed on this very machine still holds the leases.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from typing import Any, Mapping

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.selfheal.cluster.plugins.module_utils import _addresses, _policy
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_plan import without_journal
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_plan_owner import dead_runs, whoami
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_plan_spec import ASKED, ORIGIN
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_target import (
    Once,
    journal_host,
    machines_of,
    own_hosts,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_json import plain
from ansible_collections.selfheal.cluster.plugins.module_utils._policy_checks import PolicyError
from ansible_collections.selfheal.cluster.plugins.module_utils._snapshot import build
from ansible_collections.selfheal.cluster.plugins.plugin_utils._resolve import resolve


def origin_of(environment: Mapping[str, str]) -> str:
    """Who began this heal: in mode approve only a person's own heal needs no approval."""
    return "healer" if environment.get(ORIGIN) == "healer" else "hand"


class ActionModule(ActionBase):
    """Everything that decides is in module_utils; here only variables are read and the module is called."""

    _supports_check_mode = True
    _supports_diff = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        variables = task_vars or {}
        _unused, asked = self.validate_argument_spec(argument_spec=ASKED)
        try:
            arguments = self._arguments(asked, variables)
        except PolicyError as exc:
            # With obj Ansible prints the file and the line of the value.
            raise AnsibleError(exc.message, obj=exc.obj) from exc
        except SelfhealError as exc:
            result.update(failed=True, msg=exc.message, reason=exc.reason)
            return result
        try:
            answer = self._ask(arguments, variables)
            dead = dead_runs(answer.get("holders") or [], arguments["owner"])
            if dead and any(item["reason"] == "lease_taken" for item in answer.get("refusals") or []):
                answer = self._ask({**arguments, "dead": dead}, variables)
        except AnsibleConnectionFailure as exc:
            message = f"the journal host cannot be reached: {exc}"
            answer = {"changed": False, **without_journal(arguments, time.time(), message)}
        answer.pop("holders", None)
        result.update(answer)
        return result

    def _ask(self, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="selfheal.cluster.heal_plan", module_args=arguments, task_vars=variables
        )
        answer.pop("invocation", None)  # the snapshot is in the journal; on a terminal it is noise
        return answer

    def _arguments(self, asked: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        hostvars = Once(variables["hostvars"])
        groups = {name: list(hosts) for name, hosts in variables["groups"].items()}
        if "node" in self._task.args and not asked["node"]:
            raise SelfhealError("unknown_node", "a target is given but empty; name one node, or leave node out")
        found = _policy.layers(groups, hostvars)
        for layer in found:
            _policy.check_names(layer, _inventory_variables(variables["hostvars"], groups[layer]))
        policies = {layer: _policy.effective(layer, hostvars, groups) for layer in found}
        journal = journal_host(groups, hostvars)
        addresses, unresolved = _known(variables, hostvars, policies)
        own = set(own_hosts(groups, hostvars, journal))
        own.update(node for node, address in addresses.items() if _is_ours(address))
        snapshot = build(
            node=asked["node"],
            reason=asked["reason"],
            now=time.time(),
            policies=policies,
            balancers=_seen(hostvars, groups["all"], "selfheal_seen_balancer"),
            keepalived=_seen(hostvars, groups["all"], "selfheal_seen_keepalived"),
            nagios=_nagios(hostvars, [journal, *groups.get("monitor", []), *groups["all"]]),
            addresses=addresses,
            unresolved=unresolved,
            kubernetes=_variable(hostvars, journal, "selfheal_seen_kubernetes"),
            controller={"node": socket.gethostname(), "host": own},
            origin=origin_of(os.environ),
        )
        path = self._task.args.get("journal") or _variable(hostvars, journal, "selfheal_journal") or asked["journal"]
        return {
            "node": asked["node"],
            "reason": asked["reason"],
            "incident": asked["incident"] or None,
            "journal": plain(path),
            "snapshot": snapshot,
            "policies": policies,
            # This runs in a worker that Ansible forked for the task; the play itself is the parent.
            "owner": whoami(os.getppid()),
            "dead": [],
        }


def _seen(hostvars: Any, hosts: list[str], name: str) -> dict[str, Any]:
    """What was registered about each host: by a task of its own, or by ``heal_observe`` in one task for all parts."""
    part = name.rpartition("_")[2]
    seen = {}
    for host in hosts:
        if name in hostvars[host]:
            seen[host] = plain(hostvars[host][name])
        elif "selfheal_seen" in hostvars[host]:
            together = plain(hostvars[host]["selfheal_seen"])
            if part in (together.get("seen") or {}):
                seen[host] = together["seen"][part]
            elif "seen" not in together:  # not reached, or broken: that is the answer to every question
                seen[host] = together
    return seen


def _nagios(hostvars: Any, hosts: list[str]) -> Any:
    """The answer about Nagios. An unreachable balancer answers every question with its silence: that is not it."""
    found = list(_seen(hostvars, list(dict.fromkeys(hosts)), "selfheal_seen_nagios").values())
    good = [result for result in found if not result.get("unreachable") and not result.get("failed")]
    return next(iter(good or found), None)


def _variable(hostvars: Any, host: str, name: str) -> Any:
    return hostvars[host][name] if host in hostvars and name in hostvars[host] else None


def _known(
    variables: Mapping[str, Any], hostvars: Any, policies: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, str], dict[str, str]]:
    """The addresses of nodes and balancers, and what is not certain of them: as the first task of this heal has them.

    A play of its own, without that task, has them resolved here.
    """
    hosts = dict.fromkeys(name for policy in policies.values() for name in machines_of(policy))
    first = variables.get("selfheal_heal") or {}
    if "unresolved" in first and set(hosts) <= set(first["addresses"]):
        return plain(first["addresses"]), plain(first["unresolved"])
    return _addresses.known(hostvars, hosts, resolve)


def _is_ours(address: str) -> bool:
    """Whether an address is one of this machine: only then can a socket be bound to it."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except (OSError, ValueError):
        return False
    return True


def _inventory_variables(hostvars: Any, hosts: list[str]) -> dict[str, Any]:
    """What the inventory itself gives to hosts, unrendered: its files and group_vars, no results of tasks."""
    inventory = getattr(hostvars, "_inventory", None)
    if inventory is None:
        return {}
    from ansible.vars.plugins import get_vars_from_inventory_sources

    found: dict[str, Any] = {}
    for host in (inventory.get_host(name) for name in hosts):
        if host is None:
            continue
        for group in host.get_groups():
            found.update(group.get_vars())
        entities = [*host.get_groups(), host]
        sources = getattr(inventory, "_sources", [])
        found.update(get_vars_from_inventory_sources(getattr(hostvars, "_loader", None), sources, entities, "task"))
        found.update(host.get_vars())
    return found
