# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The survey as a block of text that reads well in a log and on a terminal without colour. Pure."""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, Sequence

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean

RULE = "-" * 78
BLIND_REASONS = ("nagios_stale", "unknown_reading")
HEAVY = {"blocks": "BLOCKS ", "weakens": "weakens", "note": "note   "}


def text(picture: Mapping[str, Any]) -> str:
    """The whole survey, from the farm down to the lines that are missing."""
    lines: List[str] = ["The farm as a heal would see it", RULE]
    for layer in picture["layers"]:
        nodes = [node for node in picture["nodes"] if node["layer"] == layer["layer"]]
        lines.extend(layer_lines(layer, nodes, blind(picture)))
        lines.append("")
    lines.append(nagios_line(picture["nagios"]))
    lines.append(journal_line(picture["journal"]))
    lines.append(guard_line(picture["guard"]))
    lines.extend(["", *missing_lines(picture["missing"]), "", RULE, last_line(picture["counts"])])
    return "\n".join(lines)


def layer_title(layer: Mapping[str, Any]) -> str:
    """What a layer is, in one line."""
    words = [f"{layer['layer']}: {layer.get('kind') or 'layer'}", f"mode {layer.get('mode') or 'unknown'}"]
    if layer.get("kind") == "pair":
        holders = ", ".join(layer["holders"]) or "nobody"
        words.append(f"{layer.get('vip')} ({layer.get('instance')}) is held by {holders}")
        if layer.get("preferred"):
            words.append(f"home is {layer['preferred']}")
    elif layer.get("kind") == "pool":
        words.append("behind " + (", ".join(layer.get("balancers") or []) or "no load balancer"))
        words.append(f"port {layer.get('port')}")
    elif layer.get("kind") == "workload":
        words.append(f"namespace {layer.get('namespace')}")
    return clean(", ".join(words))


def blind(picture: Mapping[str, Any]) -> bool:
    """Whether Nagios cannot be believed: then it is said once, and not again for every node."""
    return not picture["nagios"].get("fresh")


def why_lines(node: Mapping[str, Any], no_nagios: bool) -> List[str]:
    """Behind a verdict that is not ok, and behind a heal that could not be, as sentences."""
    lines = []
    if node["verdict"] != "ok" and not no_nagios:
        lines += [f"{node['node']} is {node['verdict']}: {reason}" for reason in node["reasons"][:3]]
    if not node["if_ill"]["admitted"]:
        for refusal in node["if_ill"]["refusals"]:
            if not (no_nagios and refusal.get("reason") in BLIND_REASONS):
                lines.append(f"{node['node']}: {refusal.get('reason')}: {refusal.get('detail') or ''}")
    return [clean(line, 240) for line in lines]


def layer_lines(layer: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]], no_nagios: bool = False) -> Iterator[str]:
    """One layer and its nodes."""
    yield layer_title(layer)
    if layer["problem"]:
        yield "    policy not valid: " + clean(layer["problem"])
    rows = [["node", "verdict", "traffic", "service", "a heal"]]
    rows.extend([node["node"], node["verdict"], traffic(node), service(node), heal_words(node)] for node in nodes)
    for row in columns(rows):
        yield "    " + row
    for node in nodes:
        for line in why_lines(node, no_nagios):
            yield "      " + line


def columns(rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Rows as columns; the last one may be as long as it likes."""
    cleaned = [[clean(cell) for cell in row] for row in rows]
    if not cleaned:
        return
    widths = [max(len(row[index]) for row in cleaned) for index in range(len(cleaned[0]) - 1)]
    for row in cleaned:
        yield ("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[-1]])).rstrip()


def traffic(node: Mapping[str, Any]) -> str:
    """Where a node stands in the traffic: one word when all balancers agree, else one per balancer."""
    role = node.get("role")
    if role:
        return f"{role['state']}, {role['detail']}" if role["detail"] else str(role["state"])
    places = node.get("rotation") or []
    states = {place["state"] for place in places}
    if len(states) == 1:
        return str(states.pop())
    return "; ".join(f"{place['balancer']}: {place['state']}" for place in places) or "no load balancer"


def service(node: Mapping[str, Any]) -> str:
    """The service as the node itself tells it."""
    state = node["service"].get("state")
    if node.get("reachable") is False:
        return "not reachable"
    return str(state or "not known")


def heal_words(node: Mapping[str, Any]) -> str:
    """What a heal would do now, and whether it could if the node fell ill."""
    if node["now"]["admitted"]:
        return "would heal it now"
    if node["if_ill"]["admitted"]:
        return "not now (" + reasons(node["now"]) + "); could if it fell ill"
    return "no (" + reasons(node["if_ill"]) + ")"


def reasons(plan: Mapping[str, Any]) -> str:
    """The words of the refusals, each once."""
    return ", ".join(dict.fromkeys(str(refusal.get("reason")) for refusal in plan["refusals"])) or "no reason given"


def nagios_line(nagios: Mapping[str, Any]) -> str:
    """Whether Nagios can be believed."""
    host = nagios.get("host") or "nowhere"
    if nagios.get("fresh"):
        age = nagios.get("age_seconds")
        aged = f", {age:.1f} s old" if isinstance(age, (int, float)) else ""
        return clean(f"Nagios on {host}: fresh{aged}")
    return clean(f"Nagios on {host}: {nagios.get('reason')}: {nagios.get('message')}")


def journal_line(journal: Mapping[str, Any]) -> str:
    """Whether there is a journal, and what is open in it."""
    if not journal["present"]:
        state = "none" if journal["asked"] else "not known"
        return clean(f"Journal on {journal.get('host') or 'nowhere'}: {state} ({journal['error']})")
    state = "paused, " if journal.get("paused") else ""
    return clean(
        f"Journal on {journal['host']}: {state}{len(journal['incidents'])} open incidents, "
        f"{len(journal['leases'])} leases"
    )


def guard_line(guard: Mapping[str, Sequence[str]]) -> str:
    """On how many machines the guard keeps holds true."""
    total = sum(len(names) for names in guard.values())
    return f"Guard: runs on {len(guard['runs_on'])} of {total} machines"


def missing_lines(findings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is missing on this farm for a heal to be possible, with the lines to add."""
    if not findings:
        yield "Nothing is missing: a heal is possible on every layer."
        return
    yield "What is missing for a heal to be possible"
    for finding in findings:
        yield f"  {HEAVY[finding['weight']]} {clean(finding['where'])}: {clean(finding['what'], 300)}"
        if finding["lines"]:
            yield f"          {clean(finding['file'])}:"
            for line in finding["lines"]:
                yield "            | " + clean_line(line)


def clean_line(line: str) -> str:
    """A line to copy: cleaned, but with the spaces that it begins with."""
    return " " * (len(line) - len(line.lstrip(" "))) + clean(line)


def last_line(counts: Mapping[str, int]) -> str:
    """The figures that matter, in one line."""
    return (
        f"{counts['nodes']} nodes in {counts['layers']} layers: {counts['ok']} ok, {counts['suspect']} suspect, "
        f"{counts['faulty']} faulty, {counts['unknown']} unknown; a heal would start now for "
        f"{counts['would_heal_now']} and could start for {counts['could_heal']} if they fell ill; "
        f"{counts['blocks']} things in the way"
    )
