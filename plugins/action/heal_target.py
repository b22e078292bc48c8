# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The first task of a heal: which node, and who is asked about it. Runs on the controller only."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from ansible_collections.selfheal.cluster.plugins.module_utils import _addresses, _policy
from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_target as target
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_asked import layers_of
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_plan_spec import BEGUN
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_state import new_state, take_part
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_commands import PIPE
from ansible_collections.selfheal.cluster.plugins.plugin_utils import _module_cache
from ansible_collections.selfheal.cluster.plugins.plugin_utils._resolve import resolve


class ActionModule(ActionBase):
    """Invariant 13: an empty, ambiguous or unknown target is refused, and so is our own host by its name."""

    _supports_check_mode = True
    _supports_diff = False
    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        del tmp
        self.validate_argument_spec(argument_spec={"started": {"type": "float"}})
        variables = task_vars or {}
        _module_cache.warm(C.DEFAULT_LOCAL_TMP)
        try:
            extra = load_extra_vars(self._loader)
            result.update(_state(extra, variables["groups"], target.Once(variables["hostvars"]), self._started()))
        except SelfhealError as exc:
            result.update(failed=True, msg=exc.message, reason=exc.reason)
        result["changed"] = False
        return result

    def _started(self) -> float:
        return float(self._task.args.get("started") or _begun(_process_start(), time.time()))


def _begun(process: float, now: float) -> float:
    """When this heal began: a prepared run of the healer waited in this process before it was given its incident."""
    try:
        return min(max(process, float(os.environ.get(BEGUN, process))), now)
    except ValueError:
        return process


def _process_start() -> float:
    """When this ansible-playbook was started; workers are forks, so the parent process knows."""
    try:
        ticks = int(Path(f"/proc/{os.getppid()}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
        return time.time() - (uptime - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return time.time()


def _state(extra: Any, groups: Any, hostvars: Any, started: float) -> dict[str, Any]:
    target.check_extra(extra)
    names = {name: list(members) for name, members in groups.items()}
    node = target.chosen_node(extra, names["all"], names)
    reason, incident = target.checked_reason(extra), target.checked_incident(extra)
    journal = target.journal_host(names, hostvars)
    own = target.own_hosts(names, hostvars, journal)
    if node in own:
        raise SelfhealError("own_host", f"{node} is the controller, the journal or Nagios: no heal touches it")
    every = {layer: _policy.effective(layer, hostvars, names) for layer in _policy.layers(names, hostvars)}
    wanted = [policy for policy in every.values() if node is None or node in policy["nodes"]]
    if not wanted:
        raise SelfhealError("no_layer", f"{node} is in no layer: a group with selfheal_strategy makes one")
    state = new_state(started, node, reason, incident)
    watched = target.watched(wanted, every.values())
    members = [name for policy in every.values() for name in target.machines_of(policy)]
    addresses, unresolved = _addresses.known(hostvars, dict.fromkeys(members), resolve)
    state.update(
        journal_host=journal,
        journal_user=str(hostvars[journal].get("selfheal_journal_user") or "selfheal"),
        journal_path=str(hostvars[journal].get("selfheal_journal") or "/var/lib/selfheal/journal.db"),
        command_file=str(hostvars[journal].get("selfheal_nagios_command_file") or PIPE),
        own_hosts=own,
        watched=watched,
        balancing=target.balancing(every.values()),
        looked_at=target.looked_at(wanted, every.values()),
        addresses=addresses,
        unresolved=unresolved,
    )
    hosts = list(dict.fromkeys([*watched["balancers"], *watched["pairs"], journal]))
    # A drill is about a well node: neither its past readings nor its last heal speak against it.
    ring = "" if reason == "drill" else state["journal_path"]
    state.update(
        asked=hosts, ask={host: _questions(host, watched, journal, every, hostvars[host], ring) for host in hosts}
    )
    state["ask"][journal]["kubernetes"] = target.of_cluster(wanted)
    take_part(state, "observe", hosts)
    # A play of its own, which a farm without Kubernetes skips in no time; a task would cost it 0.1 s of each heal.
    take_part(state, "observe_cluster", [journal] if state["ask"][journal]["kubernetes"] else [])
    return state


def _questions(host: str, watched: Any, journal: str, every: Any, variables: Any, ring: str) -> dict[str, Any]:
    """What the observing play asks this host; an empty part is not asked for. ``ring``: the journal to judge with."""
    ask: dict[str, Any] = {"balancer": {}, "keepalived": {}, "nagios": {}}
    if host in watched["balancers"]:
        ask["balancer"] = {"socket": str(variables.get("selfheal_socket") or _policy.DEFAULT_SOCKET)}
    if host in watched["pairs"]:
        pair = next(policy for policy in every.values() if policy["kind"] == "pair" and host in policy["nodes"])
        ask["keepalived"] = {
            "instance": pair["instance"],
            "vip": pair["vip"],
            "service_port": pair["port"] or 0,
            "service_path": pair["health_path"],
            "service_scheme": pair["health_scheme"],
            "service_address": pair["health_addresses"][host],
            "config_files": pair["config_files"],
        }
    if host == journal:
        ask["nagios"] = {
            "layers": layers_of(every.values()),
            **({"journal": ring} if ring else {}),
        }
    return ask
