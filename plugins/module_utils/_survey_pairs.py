# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What stands in the way of moving the virtual IP of a pair."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping

from ansible_collections.selfheal.cluster.plugins.module_utils._survey_seen import (
    Finding,
    finding,
    pair_instance,
    part,
    rows,
    why_not,
)

# The offset on the standby has to lift it over the active node, and VRRP knows nothing above 254.
HIGHEST_PRIORITY = 253
CONFIG = "/etc/keepalived/keepalived.conf"


def pair_findings(observed: Mapping[str, Any], layer: Mapping[str, Any]) -> Iterator[Finding]:
    """A pair: two nodes, one address, one holder, a standby that could take over."""
    name = str(layer["layer"])
    file = f"group_vars/{name}.yml"
    nodes: List[str] = list(layer["nodes"] or [])
    if len(nodes) != 2:
        yield finding("blocks", name, f"a pair has two nodes, this one has {len(nodes)}", "hosts.yml")
    for key, example in (("instance", "VI_1"), ("vip", "ADDRESS"), ("port", "80    # else nobody proves its service")):
        if not layer.get(key):
            yield finding("blocks", name, f"its {key} is not said", file, (f"selfheal_{key}: {example}",))
    instances: Dict[str, Mapping[str, Any]] = {}
    for node in nodes:
        answer = part(observed, node, "keepalived")
        if answer is None:
            yield finding("blocks", node, f"its keepalived could not be asked: {why_not(observed, node, 'keepalived')}")
            continue
        instance = pair_instance(answer, layer)
        if not answer.get("running"):
            left = f", and left {layer.get('vip')} behind" if instance and instance.get("address_present") else ""
            yield finding("blocks", node, "keepalived does not run" + left, "as root", ("systemctl start keepalived",))
            continue
        if instance is None:
            known = ", ".join(str(one.get("instance")) for one in rows(answer, "instances")) or "none"
            yield finding("blocks", node, f"keepalived has no instance {layer.get('instance')} (it has: {known})", file,
                          ("selfheal_instance: NAME_IN_KEEPALIVED",))  # fmt: skip
            continue
        instances[node] = instance
        yield from instance_findings(layer, node, instance)
    if len(instances) == 2:
        yield from both_findings(observed, layer, instances)


def instance_findings(layer: Mapping[str, Any], node: str, instance: Mapping[str, Any]) -> Iterator[Finding]:
    """One member: the track file through which the address is moved, and priorities that let it move."""
    name = str(layer.get("instance"))
    if not instance.get("track_file"):
        yield finding(
            "blocks", node, f"keepalived follows no track file of ours for {name}, so its address cannot be moved",
            f"{CONFIG} on {node}",
            (f"track_file selfheal_{name} {{", f'    file "/var/lib/selfheal/keepalived/{name}"', "    weight 1", "}",
             f"vrrp_instance {name} {{", f"    track_file {{ selfheal_{name} }}", "}",
             "# the folder must be there before keepalived starts: mkdir -p /var/lib/selfheal/keepalived"),
        )  # fmt: skip
    priority = instance.get("base_priority")
    if isinstance(priority, int) and priority > HIGHEST_PRIORITY:
        yield finding(
            "blocks", node, f"its priority {priority} leaves no room above it for the standby",
            f"{CONFIG} on {node}", (f"vrrp_instance {name} {{", "    priority 200", "}"),
        )  # fmt: skip
    if instance.get("state") == "FAULT":
        yield finding("blocks", node, "keepalived is in state FAULT: one of its own checks fails there")


def both_findings(
    observed: Mapping[str, Any], layer: Mapping[str, Any], instances: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    """The two members side by side."""
    name = str(layer["layer"])
    holders = [node for node, instance in instances.items() if instance.get("address_present")]
    if len(holders) == 2:
        yield finding("blocks", name, f"both nodes hold {layer.get('vip')}: adverts do not get through between them")
    if not holders:
        yield finding("blocks", name, f"no node holds {layer.get('vip')}")
    if len({instance.get("base_priority") for instance in instances.values()}) == 1:
        yield finding("blocks", name, "both have the same priority, so it is left to chance who is active", CONFIG,
                      ("priority 200    # on the node that is home of the address, 150 on the other",))  # fmt: skip
    for node, instance in instances.items():
        if node in holders:
            continue
        if not instance.get("adverts_heard"):
            yield finding("blocks", node, "as standby it hears no adverts of the active node")
        if instance.get("nopreempt") or (instance.get("preempt_delay_seconds") or 0) > 0:
            yield finding(
                "weakens", node, "nopreempt or preempt_delay on the standby delays or stops the move of the address",
                f"{CONFIG} on {node}", ("# take nopreempt and preempt_delay away on the standby",),
            )  # fmt: skip
    answers = [part(observed, node, "keepalived") or {} for node in instances]
    if len({str(answer.get("comparable")) for answer in answers}) > 1:
        yield finding("blocks", name, "the two are configured differently (router id, version, interval or addresses)",
                      CONFIG)  # fmt: skip
    for path in layer.get("config_files") or []:
        if len({str((answer.get("files") or {}).get(path)) for answer in answers}) > 1:
            yield finding("blocks", name, f"{path} is not the same on both nodes")
    preferred = layer.get("preferred")
    if layer.get("home") == "now" and not preferred:
        yield finding("weakens", name, "the address shall go home, but its home is not said",
                      f"group_vars/{name}.yml", (f"selfheal_preferred: {sorted(instances)[0]}",))  # fmt: skip
