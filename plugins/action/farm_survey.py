# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The work of the reading playbooks on the controller: whom to ask, and what the answers mean.

It reads host variables and the registered results of the plays before it; it connects to nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_report import write
from ansible_collections.selfheal.cluster.plugins.module_utils._planner import plan
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_json import plain
from ansible_collections.selfheal.cluster.plugins.module_utils._snapshot import build
from ansible_collections.selfheal.cluster.plugins.module_utils._survey import Plan, journal_view, survey
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_kubernetes import workload_sights
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_scope import scope
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_status import status
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_status import text as status_text
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_text import journal_line, text
from ansible_collections.selfheal.cluster.plugins.plugin_utils._resolve import resolve

RESULT_FILE = "SELFHEAL_RESULT_FILE"
View = Tuple[str, Dict[str, Any], str]  # name of the result, the result, the same as text

TARGET, TOGETHER, JOURNAL = "selfheal_seen_target", "selfheal_seen", "selfheal_seen_journal"
CLUSTER = "selfheal_seen_kubernetes"
# Parts of what heal_observe answers, and the key of the answer inside each ('' = all of it).
PARTS = {"balancer": "balancer", "keepalived": "keepalived", "nagios": ""}
EMPTY_HISTORY: Dict[str, Any] = {
    "attempts": [], "leases": [], "incidents": [], "paused": False, "aborts": [],
    "fresh_journal": False,
}  # fmt: skip
SPEC: Dict[str, Any] = {
    "stage": {"type": "str", "choices": ["scope", "report", "status", "journal"], "default": "report"},
    "show": {"type": "bool", "default": True},
}


def first_line(result: Mapping[str, Any]) -> str:
    """Why an observation failed, in one line."""
    said = str(result.get("msg") or "").strip() or "it failed without a word"
    for prefix in ("Task failed: ", "Module failed: "):
        said = said[len(prefix) :] if said.startswith(prefix) else said
    return " ".join(said.split())[:300]


class Rendered(Mapping[str, Any]):
    """Variables of one host, where a template that cannot be rendered is a finding and not the end."""

    def __init__(self, host: str, variables: Mapping[str, Any], problems: List[Dict[str, str]]) -> None:
        self.host = host
        self.variables = variables
        self.problems = problems

    def __getitem__(self, name: str) -> Any:
        try:
            return self.variables[name]
        except AnsibleError as error:
            problem = {"where": self.host, "what": f"{name} cannot be rendered: {' '.join(str(error).split())[:200]}"}
            if problem not in self.problems:
                self.problems.append(problem)
            return None

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables)

    def __len__(self) -> int:
        return len(self.variables)

    def __contains__(self, name: object) -> bool:
        return name in self.variables


def registered(hostvars: Mapping[str, Any], name: str) -> Dict[str, Any]:
    """What a play registered on a host; nothing where it was not asked."""
    # HostVars renders templates only when it is read by key.
    result = hostvars[name] if name in hostvars else None  # noqa: SIM401
    return dict(plain(result)) if isinstance(result, Mapping) and not result.get("skipped") else {}


def results_of(hostvars: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    """The results of one host, by observation; a host that was not reached gave that answer to every question."""
    target, together = registered(hostvars, TARGET), registered(hostvars, TOGETHER)
    found = {"target": target, "journal": registered(hostvars, JOURNAL)}
    if not together and target.get("unreachable"):
        together = target  # it was not asked a second time
    for name in PARTS:
        # Not reached, or broken as a whole: that is the answer to every question.
        found[name] = dict((together.get("seen") or {}).get(name) or {}) if "seen" in together else together
    return {name: result for name, result in found.items() if result}


def sight_of(results: Mapping[str, Mapping[str, Any]]) -> Dict[str, Any]:
    """What was seen of one host, in the shape of ``_survey``."""
    sight: Dict[str, Any] = {"reachable": True if results else None, "error": ""}
    for name, result in results.items():
        if result.get("unreachable"):
            sight.update(reachable=False, error=first_line(result))
        elif result.get("failed"):
            sight[name + "_error"] = first_line(result)
            sight[name + "_reason"] = result.get("reason")
        else:
            key = "target" if name == "target" else PARTS.get(name, "")
            sight[name] = result.get(key) if key else result
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
    results = {host: results_of(hostvars[host]) for host in found["asked"] if host in hostvars}
    keeper = found["journal_host"]
    cluster = registered(hostvars[keeper], CLUSTER) if keeper in hostvars else {}
    seen = {host: sight_of(own) for host, own in results.items()}
    return {
        **found,
        "now": time.time(),
        "seen": {**seen, **workload_sights(found["layers"], cluster)},
        "kubernetes": cluster,
        "raw": {name: {host: own[name] for host, own in results.items() if name in own} for name in PARTS},
        # The play leaves the question out where the inventory does not say where Nagios is.
        "nagios_url": "nagios" in results.get(found["monitor"], {}),
        "controller_machine_id": own_machine_id(),
    }


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
    view = {**journal_view(observed), **answer}
    return "journal", view, journal_line(view)


VIEWS = {"report": report_view, "status": status_view, "journal": incidents_view}


class ActionModule(ActionBase):
    """``scope`` before the plays that ask; ``report``, ``status`` or ``journal`` after them."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        del tmp  # deprecated by Ansible
        arguments = self.validate_argument_spec(argument_spec=SPEC)[1]
        variables = task_vars or {}
        try:
            problems: List[Dict[str, str]] = []
            groups, hostvars = variables["groups"], variables["hostvars"]
            found = scope(groups, {host: Rendered(host, hostvars[host], problems) for host in groups["all"]}, resolve)
            found["problems"] += problems
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
            unresolved=observed["unresolved"],
            controller={"node": "localhost", "host": observed["own_hosts"]},
            paused=history["paused"],
            kubernetes=observed["kubernetes"],
        )
        said: Mapping[str, Any] = plan(snapshot, policies, history, observed["now"])
        return said

    return ask


def history_of(observed: Mapping[str, Any]) -> Dict[str, Any]:
    """The journal's part of the decision; without a journal an empty one, so that the rest is still judged."""
    journal = (observed["seen"].get(observed["journal_host"]) or {}).get("journal") or {}
    history = {**EMPTY_HISTORY, **{key: journal[key] for key in EMPTY_HISTORY if key in journal}}
    history["incidents"] = [row for row in history["incidents"] if row.get("state", "open") == "open"]
    return history
