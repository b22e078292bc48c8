# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What stands in the way of a heal on this farm, each with the lines that take it away.

A finding is data: ``weight`` is ``blocks`` (no heal there), ``weakens`` (a heal is possible, but slower or less
safe) or ``note``; ``where`` names a host or a layer; ``file`` and ``lines`` say what to write into which file.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence

from ansible_collections.selfheal.cluster.plugins.module_utils._survey_ages import age_findings
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_kubernetes import kubernetes_findings
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_pairs import pair_findings
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_pools import pool_findings
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_seen import (
    Finding,
    finding,
    part,
    rows,
    why_not,
)

SLOW_STATUS_SECONDS = 5
ORDER = {"blocks": 0, "weakens": 1, "note": 2}

FIRST_LAYER = (
    "selfheal_strategy: lb_detach      # or keepalived_failover for a pair behind a virtual IP",
    "selfheal_kind: pool               # or pair",
    "selfheal_balancers: GROUP_OF_ITS_LOAD_BALANCERS",
    "selfheal_service: NAME.service",
    "selfheal_port: 8080",
)
# What to write where when Nagios cannot be believed, by the reason of the freshness verdict.
NAGIOS_HELP: Mapping[str, Sequence[str]] = {
    "unauthorized": (
        "use_authentication=1",
        "authorized_for_all_services=selfheal",
        "authorized_for_all_hosts=selfheal",
    ),
    "partial": ("authorized_for_all_services=selfheal", "authorized_for_all_hosts=selfheal"),
    "stale": ("status_update_interval=1",),
}


# Ansible reads a folder group_vars/all, and then no all.yml beside it.
ALL_FILE = "group_vars/all.yml, or a file in group_vars/all where that is a folder"
JOURNAL_TASK = ("tasks:", "  - selfheal.cluster.heal_journal:", "    become: true", "    become_user: selfheal")


FINDINGS: Dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Iterator[Finding]]] = {
    "pool": pool_findings,
    "pair": pair_findings,
    "workload": kubernetes_findings,
    "machine": kubernetes_findings,
}


def missing(observed: Mapping[str, Any], picture: Mapping[str, Any]) -> List[Finding]:
    """All findings, the blocking ones first."""
    found: List[Finding] = []
    found.extend(policy_findings(observed, picture))
    found.extend(nagios_findings(observed, picture))
    found.extend(journal_findings(picture))
    found.extend(identity_findings(observed, picture))
    for layer in rows(observed, "layers"):
        found.extend(age_findings(observed, layer))
    for layer in picture["layers"]:
        found.extend(layer_findings(observed, layer))
        found.extend(FINDINGS.get(str(layer["kind"]), pair_findings)(observed, layer))
    found.extend(guard_findings(picture))
    return sorted(found, key=lambda item: ORDER[item["weight"]])


def policy_findings(observed: Mapping[str, Any], picture: Mapping[str, Any]) -> Iterator[Finding]:
    """Nothing that says what this farm is, or lines that cannot be understood."""
    for problem in rows(observed, "problems"):
        yield finding("blocks", str(problem.get("where") or "inventory"), str(problem.get("what")))
    if not picture["layers"]:
        names = ", ".join(sorted(observed.get("group_names") or [])) or "none"
        yield finding(
            "blocks", "inventory",
            f"no group is a layer: none of them sets selfheal_strategy (groups here: {names})",
            "group_vars/GROUP.yml", FIRST_LAYER,
        )  # fmt: skip


def nagios_findings(observed: Mapping[str, Any], picture: Mapping[str, Any]) -> Iterator[Finding]:
    """A Nagios that cannot be asked or believed means that every verdict is unknown."""
    nagios = picture["nagios"]
    if not nagios["host"]:
        yield finding(
            "blocks", "inventory", "no monitor: the machine with Nagios is not in the inventory",
            "hosts.yml", ("monitor:", "  hosts:", "    NAME_OF_THE_MACHINE_WITH_NAGIOS:"),
        )  # fmt: skip
        return
    if not observed.get("nagios_url"):
        yield finding(
            "blocks", nagios["host"], "where Nagios' JSON CGIs are is not said",
            ALL_FILE,
            (f"selfheal_nagios_url: http://{nagios['host']}/nagios4/cgi-bin", "selfheal_nagios_user: selfheal",
             "selfheal_nagios_password_file: /etc/selfheal/nagios.password"),
        )  # fmt: skip
        return
    if not nagios.get("fresh"):
        reason = str(nagios.get("reason"))
        what = f"Nagios cannot be believed ({reason}): {nagios.get('message') or 'no answer'}"
        lines = NAGIOS_HELP.get(reason, ())
        rights = reason in ("unauthorized", "partial")
        file = "cgi.cfg of Nagios" if rights else "nagios.cfg" if lines else ""
        yield finding("blocks", nagios["host"], what, file, lines)
    interval = nagios.get("status_update_interval")
    if isinstance(interval, (int, float)) and interval > SLOW_STATUS_SECONDS:
        yield finding(
            "weakens", nagios["host"],
            f"Nagios writes its state only every {interval:.0f} s, so a heal sees illness that much later",
            "nagios.cfg", ("status_update_interval=1",),
        )  # fmt: skip
    answer = part(observed, nagios["host"], "nagios")
    if answer is None or not nagios.get("fresh"):
        return
    for node in picture["nodes"]:
        if not (answer.get("services") or {}).get(node["node"]):
            yield finding(
                "blocks", node["node"], "Nagios has no service of this node, so its verdict stays unknown",
                "the playbook that configures Nagios",
                ("roles:",
                 "  - selfheal.cluster.nagios_server    # on the monitor; with a Nagios of your own define them there",
                 "  - selfheal.cluster.nagios_agent     # on the node"),
            )  # fmt: skip


def journal_findings(picture: Mapping[str, Any]) -> Iterator[Finding]:
    """No journal: no lease can be taken, so no heal can start."""
    journal = picture["journal"]
    if journal["present"]:
        if journal["paused"]:
            yield finding("blocks", journal["host"], "heals are paused in the journal")
        if journal["fresh"]:
            yield finding("blocks", journal["host"], "the journal was not initialised, so it stays in mode observe",
                          "a playbook for it, once", JOURNAL_TASK)  # fmt: skip
        return
    if not journal["host"]:
        yield finding(
            "blocks", "inventory", "no journal: which machine keeps it is not said",
            ALL_FILE, ("selfheal_journal_host: NAME_OF_THE_MONITOR",),
        )  # fmt: skip
        return
    if not journal["asked"] and "become" not in journal["error"] and "user" not in journal["error"]:
        yield finding("blocks", journal["host"], f"the journal there could not be asked: {journal['error']}")
        return
    yield finding(
        "blocks", journal["host"], f"no journal there ({journal['error']}); without it no lease can be taken",
        "a playbook for it, once",
        ("- hosts: " + journal["host"], "  become: true", "  tasks:",
         "    - ansible.builtin.apt: {name: acl}    # to become the user selfheal",
         "    - ansible.builtin.user: {name: selfheal, system: true, home: /var/lib/selfheal, create_home: false}",
         "    - ansible.builtin.file:",
         "        {path: /var/lib/selfheal, state: directory, owner: selfheal, group: selfheal, mode: '0750'}",
         "    - selfheal.cluster.heal_journal:", "      become_user: selfheal"),
    )  # fmt: skip


def identity_findings(observed: Mapping[str, Any], picture: Mapping[str, Any]) -> Iterator[Finding]:
    """Machines with the same machine-id, and our own host among the nodes: both are never restarted."""
    owners: Dict[str, List[str]] = {}
    hosts = {node["node"] for node in picture["nodes"]} | set(observed.get("own_hosts") or [])
    for host in sorted(hosts):
        machine_id = machine_id_of(observed, host)
        if machine_id:
            owners.setdefault(machine_id, []).append(host)
    for machine_id, names in owners.items():
        if len(names) > 1:
            yield finding(
                "blocks", ", ".join(names),
                f"these have the same machine-id ({machine_id[:8]}...): they cannot be told apart",
                "on each but one", ("rm /etc/machine-id && systemd-machine-id-setup   # then reboot",),
            )  # fmt: skip
    own = str(observed.get("controller_machine_id") or "")
    own_hosts = set(observed.get("own_hosts") or [])
    for node in picture["nodes"]:
        name = node["node"]
        if name in own_hosts or (own and own == machine_id_of(observed, name)):
            yield finding("blocks", name, "it is the machine of the controller, the journal or Nagios: never healed")


def machine_id_of(observed: Mapping[str, Any], host: str) -> str:
    """The machine-id that a host told."""
    return str((part(observed, host, "target") or {}).get("machine_id") or "")


def layer_findings(observed: Mapping[str, Any], layer: Mapping[str, Any]) -> Iterator[Finding]:
    """The mode of a layer, and each of its nodes as a machine that a heal would have to restart."""
    name = str(layer["layer"])
    file = f"group_vars/{name}.yml"
    if layer["problem"]:
        yield finding("blocks", name, f"its policy is not valid: {layer['problem']}", file)
    if layer["mode"] == "observe":
        yield finding(
            "blocks", name, "its mode is observe: a heal only says what it would do",
            file, ("selfheal_mode: approve    # a heal that you type is your word; act lets the healer start it",),
        )  # fmt: skip
    for node in (layer["nodes"] or []) if layer["kind"] != "workload" else []:  # which has no machine
        yield from node_findings(observed, layer, node)


def node_findings(observed: Mapping[str, Any], layer: Mapping[str, Any], node: str) -> Iterator[Finding]:
    """One machine: reachable, with rights, with its unit, and able to be restarted."""
    target = part(observed, node, "target")
    if target is None:
        yield finding(
            "weakens", node,
            f"not reachable for a heal: {why_not(observed, node, 'target')} (its traffic could be shifted, no more)",
            "then try", (f"ansible {node} -m ansible.builtin.ping",),
        )  # fmt: skip
        return
    file = f"group_vars/{layer['layer']}.yml"
    if target.get("root") is False:
        yield finding("blocks", node, "modules do not run as root there", file, ("ansible_become: true",))
    unit = target.get("unit")
    if layer.get("service") and unit:
        if unit.get("exists") is None:
            yield finding("blocks", node, f"systemd does not answer: {unit.get('detail')}")
        elif not unit.get("exists"):
            yield finding("blocks", node, f"there is no unit {layer['service']}", file,
                          ("selfheal_service: NAME.service    # systemctl list-units --type=service",))  # fmt: skip
        elif not unit.get("restartable"):
            yield finding("blocks", node, f"the unit {layer['service']} is masked or refuses to be restarted")
    listens = target.get("listening") or {}
    if listens.get("service") is False and unit and unit.get("active"):
        yield finding("weakens", node, f"the unit runs, but nothing listens on port {layer.get('port')}",
                      file, ("selfheal_port: THE_PORT_OF_THE_SERVICE",))  # fmt: skip
    elif unit and unit.get("active"):
        yield from health_findings(layer, node, file, target.get("health") or {})
    if listens.get("nrpe") is False:
        yield finding("weakens", node, "no NRPE on port 5666: Nagios can see this node only from outside",
                      "a playbook for the nodes", ("roles:", "  - selfheal.cluster.nagios_agent"))  # fmt: skip
    for test in rows(target, "config_test"):
        if not test.get("ok"):
            words = " ".join(str(word) for word in test.get("argv") or [])
            yield finding("blocks", node, f"its configuration does not pass `{words}`: {test.get('detail')}")
    for disk in rows(target, "full_disks"):
        yield finding("blocks", node, f"the partition {disk.get('mount')} is full: a restart could fail half-way")
    if target.get("root_read_only"):
        yield finding("blocks", node, "its root file system is read-only")
    if target.get("package_manager"):
        yield finding("note", node, "a package manager is at work: no restart until it has ended")
    if target.get("connections_readable") is False:
        yield finding("blocks", node, "`ss` is missing, which proves that no client is connected any more",
                      "as root", ("apt-get install iproute2",))  # fmt: skip


def health_findings(layer: Mapping[str, Any], node: str, file: str, health: Mapping[str, Any]) -> Iterator[Finding]:
    """The service runs, but does not answer the question of a heal: each heal would end with the node left out."""
    if health.get("ok") is not False:
        return
    pair = layer.get("kind") == "pair"
    lines = [
        "selfheal_health_scheme: tcp    # or https"
        + ("" if pair else "; none: nothing is asked, HAProxy's own check alone decides"),
        'selfheal_health_address: "{{ ansible_host }}"    # where it listens, if not on 127.0.0.1',
        "selfheal_health_path: /PATH    # one that is answered with 2xx or 3xx",
    ]
    if pair:
        lines.append("# if it listens on the virtual IP only: let it listen on 127.0.0.1 too, in its own configuration")
    yield finding(
        "blocks", node, f"after a restart a heal would ask {health.get('asked')} there, and now it says: "
        f"{health.get('detail')}", file, lines,
    )  # fmt: skip


def guard_findings(picture: Mapping[str, Any]) -> Iterator[Finding]:
    """Without the guard nobody keeps holds true when a balancer restarts or a controller dies."""
    without = picture["guard"]["not_on"]
    if without:
        yield finding(
            "weakens", ", ".join(without),
            "no guard: a hold is forgotten when HAProxy restarts or the machine boots during a heal",
            "a playbook for these hosts", ("become: true", "roles:", "  - selfheal.cluster.guard"),
        )  # fmt: skip
