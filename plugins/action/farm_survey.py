# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The work of the reading playbooks on the controller: whom to ask, and what the answers mean.

It reads host variables and the registered results of the plays before it; it connects to nothing.
"""

from __future__ import annotations

import os
import time
from typing import Any, Dict, Mapping, Optional, Tuple

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_report import write
from ansible_collections.selfheal.cluster.plugins.module_utils._planner import plan
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_json import plain
from ansible_collections.selfheal.cluster.plugins.module_utils._snapshot import build
from ansible_collections.selfheal.cluster.plugins.module_utils._survey import Plan, journal_view, survey
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_scope import scope
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_status import status
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_status import text as status_text
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_text import journal_line, text

RESULT_FILE = "SELFHEAL_RESULT_FILE"
View = Tuple[str, Dict[str, Any], str]  # name of the result, the result, the same as text

# Name of an observation -> (variable that the survey's plays register, key of the answer in it; '' = all of it).
REGISTERED = {
    "target": ("selfheal_seen_target", "target"),
    "balancer": ("selfheal_seen_balancer", "balancer"),
    "keepalived": ("selfheal_seen_keepalived", "keepalived"),
    "nagios": ("selfheal_seen_nagios", ""),
    "journal": ("selfheal_seen_journal", ""),
}
EMPTY_HISTORY: Dict[str, Any] = {
    "attempts": [], "leases": [], "incidents": [], "paused": False, "aborts": [], "readings": [],
    "fresh_journal": False,
}  # fmt: skip
SPEC: Dict[str, Any] = {
    "stage": {"type": "str", "choices": ["scope", "report", "status", "journal"], "default": "report"},
    "show": {"type": "bool", "default": True},
}


def first_line(result: Mapping[str, Any]) -> str:
    """Why an observation failed, in one line."""
    said = str(result.get("msg") or "").strip() or "it failed without a word"
    return " ".join(said.split())[:300]


def sight_of(hostvars: Mapping[str, Any]) -> Dict[str, Any]:
    """What was registered on one host, in the shape of ``_survey``."""
    sight: Dict[str, Any] = {"reachable": None, "error": ""}
    for name, (variable, key) in REGISTERED.items():
        # HostVars renders templates only when it is read by key.
        result = hostvars[variable] if variable in hostvars else None  # noqa: SIM401
        if not isinstance(result, Mapping) or result.get("skipped"):
            continue
        if result.get("unreachable"):
            sight.update(reachable=False, error=first_line(result))
            continue
        if sight["reachable"] is None:
            sight["reachable"] = True
        if result.get("failed"):
            sight[name + "_error"] = first_line(result)
            sight[name + "_reason"] = result.get("reason")
        else:
            sight[name] = plain(result.get(key) if key else result)
    return sight


def own_machine_id() -> str:
    """The machine-id of the controller; a controller without one is no reason to stop."""
    try:
        with open("/etc/machine-id", encoding="ascii") as handle:
            return handle.read().strip()
    except (OSError, ValueError):
        return ""


def observations(found: Mapping[str, Any], hostvars: Mapping[str, Any]) -> Dict[str, Any]:
    """The scope and everything that was seen, in the shape of ``_survey``."""
    hosts = [*found["targets"], found["monitor"], found["journal_host"]]
    return {
        **found,
        "now": time.time(),
        "seen": {host: sight_of(hostvars[host]) for host in dict.fromkeys(hosts) if host and host in hostvars},
        "raw": raw_results(found, hostvars),
        "nagios_url": found["nagios"]["url"],
        "controller_machine_id": own_machine_id(),
    }


def raw_results(found: Mapping[str, Any], hostvars: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """The registered results as the snapshot of a heal takes them."""
    raw: Dict[str, Dict[str, Any]] = {}
    for name in ("balancer", "keepalived", "nagios"):
        variable = REGISTERED[name][0]
        hosts = [*found["targets"], found["monitor"]]
        raw[name] = {h: plain(hostvars[h][variable]) for h in hosts if h in hostvars and variable in hostvars[h]}
    return raw


def report_view(observed: Dict[str, Any]) -> View:
    """The whole farm."""
    picture = dict(plain(survey(observed, planner(observed))))
    return "survey", picture, text(picture)


def status_view(observed: Dict[str, Any]) -> View:
    """What is going on."""
    view = dict(plain(status(observed)))
    return "status", view, status_text(view)


def incidents_view(observed: Dict[str, Any]) -> View:
    """Everything that the journal gave."""
    answer = (observed["seen"].get(observed["journal_host"]) or {}).get("journal") or {}
    view = {**answer, **journal_view(observed)}
    return "journal", view, journal_line(view)


VIEWS = {"report": report_view, "status": status_view, "journal": incidents_view}


class ActionModule(ActionBase):
    """``scope`` before the plays that ask; ``report``, ``status`` or ``journal`` after them."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        del tmp  # deprecated by Ansible
        _, arguments = self.validate_argument_spec(argument_spec=SPEC)
        variables = task_vars or {}
        try:
            found = scope(variables["groups"], variables["hostvars"])
        except SelfhealError as error:
            raise AnsibleActionFail(error.message) from error
        result["changed"] = False
        if arguments["stage"] == "scope":
            result["scope"] = plain(found)
            return result
        name, view, shown = VIEWS[arguments["stage"]](observations(plain(found), variables["hostvars"]))
        result[name] = view
        result["text"] = shown
        self._write({name: view})
        if arguments["show"]:
            self._display.display(shown)
        return result

    def _write(self, content: Dict[str, Any]) -> None:
        """The view for the command line; reading never fails because nobody can take it."""
        path = os.environ.get(RESULT_FILE, "")
        if not path:
            return
        try:
            write(path, content)
        except OSError as error:
            self._display.warning(f"{RESULT_FILE} cannot be written: {error}")


def planner(observed: Mapping[str, Any]) -> Plan:
    """The heal's own planner over the heal's own snapshot, as a function of node and reason."""
    policies = {
        layer["layer"]: {key: item for key, item in layer.items() if key != "problem"}
        for layer in observed["layers"]
        if not layer["problem"]
    }
    raw, history = observed["raw"], history_of(observed)

    def ask(node: str, reason: str) -> Mapping[str, Any]:
        snapshot = build(
            node=node,
            reason=reason,
            now=observed["now"],
            policies=policies,
            balancers=raw["balancer"],
            keepalived=raw["keepalived"],
            nagios=raw["nagios"].get(observed["monitor"]),
            addresses=observed["addresses"],
            controller={"node": "localhost", "host": observed["own_hosts"]},
            paused=history["paused"],
        )
        said: Mapping[str, Any] = plan(snapshot, policies, history, observed["now"])
        return said

    return ask


def history_of(observed: Mapping[str, Any]) -> Dict[str, Any]:
    """The journal's part of the decision; without a journal an empty one, so that the rest is still judged."""
    journal = (observed["seen"].get(observed["journal_host"]) or {}).get("journal") or {}
    return {**EMPTY_HISTORY, **{key: journal[key] for key in EMPTY_HISTORY if key in journal}}
