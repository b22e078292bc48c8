# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whether a scenario ended as it must: record in, failed expectations out. No clock, no file, no network."""

from __future__ import annotations

import itertools

from lab.judge import figures
from lab.judge.farm import Farm
from lab.judge.records import BalancerSeen
from lab.judge.spans import out_spans

from .scenario_model import MUST, MUST_NOT, NO_LIMIT, Expected, Scenario
from .scenario_record import BAD, HELD, Record, Row, called, calling, held, held_at_end, reasons, restarted, serves

SETTLED_SECONDS = 2.0  # how long a word on a balancer's socket takes until every look shows it
#: What an incident's outcome in the journal may be for the word of a scenario.
CLOSED = {"healed": ("healed",), "recovered": ("recovered",), "relieved": ("healed",)}
#: Last outcomes after which a node stays out of traffic and a human is needed.
LEFT = ("left_out", "failed", "ambiguous")


def failures(scenario: Scenario, record: Record, farm: Farm) -> list[str]:
    """Every expectation that was not met; nothing when all is well."""
    found = list(record.problems)
    found += [f"HARM: {text}" for text in record.harm]
    found += unplayed(scenario, record)
    if record.timed_out:
        found.append(f"it did not come to its end within {scenario.within_seconds:g} s")
    if not any(answer.ok for answer in record.answers):
        found.append("the judge has no answered request: nothing is proven")
    for node, expected in scenario.nodes.items():
        found += [f"{node}: {text}" for text in of_node(scenario, node, expected, record, farm)]
    found += bystanders(scenario, record, farm)
    found += of_address(scenario, record, farm)
    found += together(scenario, record, farm)
    found += maintenance(scenario, record, farm)
    return found


def unplayed(scenario: Scenario, record: Record) -> list[str]:
    """A step that waited for a moment that never came: then the scenario was another one."""
    return [
        f"steps[{number}] was never done: {step.text}"
        for number, step in enumerate(scenario.steps)
        if number not in record.played
    ]


# One node


def of_node(scenario: Scenario, node: str, expected: Expected, record: Record, farm: Farm) -> list[str]:
    found: list[str] = []
    tries = [outcome_of(word, node, record, farm) for word in expected.outcomes]
    if all(tries):
        found += sorted(tries, key=len)[0]
    least, most = expected.restarts
    done = restarted(node, record, farm)
    if not least <= len(done) <= most:
        wanted = f"{least}" if least == most else f"{least} to {'any' if most == NO_LIMIT else most}"
        found.append(f"was restarted {len(done)} times, not {wanted}")
    pool = farm.kinds.get(farm.layer_of(node), "pool") == "pool"
    by_human = any(step.do == "maintenance" and step.target == node for step in scenario.steps)
    found += word(expected.human, called(node, record), "a human was called", "no human was called")
    if not pool and expected.human == MUST:
        found += until_mended(scenario, node, record)
    if expected.serves and calling(node, record):
        found.append("a human is still called at the end")
    if pool and not by_human:
        found += word(
            expected.held, bool(held(node, record)), "was held out of traffic", "was never held out of traffic"
        )
    if pool:
        spans = out_spans(node, record.samples, farm.balancers.get(farm.layer_of(node), ()))
        out = any(begin < record.end and end > record.begin for begin, end in spans)
        found += word(expected.out, out, "was out of traffic", "was never out of traffic")
    seen = any(probe.status in BAD for probe in record.probes(node))
    found += word(expected.seen, seen, "Nagios showed it ill", "Nagios never showed it ill, so nothing was tried")
    if expected.reasons and (seen or expected.seen == MUST):
        written = reasons(node, record)
        if not written & set(expected.reasons):
            found.append(
                f"the journal has no reason of {', '.join(expected.reasons)}; "
                f"it has: {', '.join(sorted(written)) or 'none'}"
            )
    return found


def until_mended(scenario: Scenario, node: str, record: Record) -> list[str]:
    """A node of a pair that only its mending makes well: somebody is called until then, not for a moment on the way."""
    return [
        "no human was being called when it was mended"
        for number, step in enumerate(scenario.steps)
        if step.do == "mend" and step.target == node and number in record.played
        and not calling(node, record, record.played[number])
    ]  # fmt: skip


def word(wanted: str, is_so: bool, yes: str, no: str) -> list[str]:
    """A thing that must, may or must not be."""
    if wanted == MUST and not is_so:
        return [no]
    return [yes] if wanted == MUST_NOT and is_so else []


def outcome_of(outcome: str, node: str, record: Record, farm: Farm) -> list[str]:
    """What speaks against this outcome, by the journal and by what the systems showed at the end."""
    incidents, attempts = record.rows("incidents", node), record.rows("attempts", node)
    still_open = [str(row.get("incident") or row.get("id")) for row in incidents if row.get("state") == "open"]
    found: list[str] = []
    if outcome in CLOSED:
        ends = [str(row.get("outcome")) for row in incidents if row.get("state") == "closed"]
        good = [end for end in ends if end in CLOSED[outcome]]
        if len(good) != 1 and outcome != "recovered":
            found.append(f"{len(good)} incidents ended {outcome}, not 1; they ended: {', '.join(ends) or 'none'}")
        if outcome == "recovered" and (not good or "healed" in ends):
            found.append(f"no incident ended recovered; they ended: {', '.join(ends) or 'none'}")
        if outcome == "recovered" and any(row.get("outcome") == "healed" for row in attempts):
            found.append("it was healed, and should have been left to recover")
        if outcome == "relieved" and [row.get("rung") for row in attempts] != ["relief"]:
            found.append(f"its rungs were {', '.join(str(row.get('rung')) for row in attempts) or 'none'}, not relief")
        if still_open:
            found.append(f"incident {', '.join(still_open)} is open at the end")
        if not serves(node, record, farm):
            found.append("does not serve at the end")
    elif outcome == "nothing":
        if attempts:
            found.append(f"{len(attempts)} heals began, and none should have")
        if not serves(node, record, farm):
            found.append("does not serve at the end")
    elif outcome == "human_called":
        if attempts:
            found.append(f"{len(attempts)} heals began, and none should have")
        if not called(node, record):
            found.append("no human was called")
    else:
        if not still_open:
            found.append("no incident is open at the end")
        if not any(row.get("outcome") in LEFT for row in (*attempts, *incidents)):
            found.append("the journal does not say that it was left out")
        if not held_at_end(node, record, farm):
            found.append("is not held out of traffic at the end")
    running = [row for row in attempts if not row.get("ended_at")]
    if running:
        found.append(f"{len(running)} heals have no end")
    return found


# The farm


def bystanders(scenario: Scenario, record: Record, farm: Farm) -> list[str]:
    """Nodes that no line of the scenario names are left alone."""
    found = []
    for node in sorted(node for nodes in farm.layers.values() for node in nodes if node not in scenario.nodes):
        if done := restarted(node, record, farm):
            found.append(f"{node}: was restarted {len(done)} times and had nothing to do with it")
        if attempts := record.rows("attempts", node):
            found.append(f"{node}: {len(attempts)} heals began and it had nothing to do with it")
    return found


def of_address(scenario: Scenario, record: Record, farm: Farm) -> list[str]:
    """Whether the address moved as it must, not too often, and never back to a node that was not proven."""
    pair = [node for layer, nodes in farm.layers.items() if farm.kinds.get(layer) == "pair" for node in nodes]
    moves = figures.changes(record.answers, record.begin, record.end)
    told = ", ".join(f"{move['from']} to {move['to']}" for move in moves)
    found = word(scenario.address, bool(moves), f"the address moved: {told}", "the address did not move")
    ill = [
        (mark.node, mark.at)
        for mark in record.marks
        if mark.event == "injected" and mark.node in pair and mark.detail.get("kind", "illness") == "illness"
    ]
    if len(moves) > 2 * max(1, len(ill)):
        found.append(f"the address moved {len(moves)} times: {told}")
    for node, since in ill:
        proofs = [float(row["at"]) for row in record.rows("phases", node) if row.get("phase") == "readmit"]
        proofs += [
            float(row["closed_at"])
            for row in record.rows("incidents", node)
            if row.get("outcome") == "recovered" and row.get("closed_at")
        ]
        found += [
            f"the address moved back to {node} before it was proven"
            for move in moves
            if move["to"] == node and move["at"] > since and not any(since < at <= move["at"] for at in proofs)
        ]
    return found


def span(attempt: Row, end: float) -> tuple[float, float]:
    return float(attempt["at"]), float(attempt.get("ended_at") or end)


def together(scenario: Scenario, record: Record, farm: Farm) -> list[str]:
    """Never two heals of one node or of one layer at once, and those that must take turns do."""
    found = []
    for layer, nodes in farm.layers.items():
        tries = sorted(
            ((*span(row, record.end), node) for node in nodes for row in record.rows("attempts", node)),
        )
        found += [
            f"two heals at once in layer {layer}: {first[2]} and {second[2]}"
            for first, second in itertools.pairwise(tries)
            if second[0] < first[1]
        ]
    turns = scenario.one_after_other
    found += [f"{node}: no heal of it began, so it took no turn" for node in turns if not record.rows("attempts", node)]
    both = [
        sample
        for sample in record.samples
        if isinstance(sample, BalancerSeen) and sample.at >= record.begin and sample.servers
        and sum(sample.servers[node].status.startswith(HELD) for node in turns if node in sample.servers) > 1
    ]  # fmt: skip
    if both:
        found.append(f"{' and '.join(turns)} were held at once on {both[0].balancer}")
    return found


def maintenance(scenario: Scenario, record: Record, farm: Farm) -> list[str]:
    """What a human took out stays out until the human brings it back."""
    found = []
    for number, step in enumerate(scenario.steps):
        if step.do != "maintenance" or number not in record.played:
            continue
        begin = record.played[number] + SETTLED_SECONDS
        end = min(
            (
                record.played[later]
                for later, other in enumerate(scenario.steps)
                if later > number and other.do == "ready" and other.target == step.target and later in record.played
            ),
            default=record.end,
        )
        if any(
            isinstance(sample, BalancerSeen)
            and begin <= sample.at < end
            and sample.servers
            and step.target in sample.servers
            and not sample.servers[step.target].status.startswith(HELD)
            for sample in record.samples
        ):
            found.append(f"{step.target}: was taken out of the human's maintenance")
    return found
