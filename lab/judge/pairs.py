# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What keeps a node of a pair off the address, and since when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .farm import KEEPALIVED, Farm
from .records import BalancerSeen, MachineSeen, Sample
from .spans import DISRUPTION_SECONDS

LOWEST_OFFSET = -253  # keepalived is in FAULT with anything below
#: A node that started or woke by itself is kept low on purpose until its peer was heard for ten quiet seconds.
LOWERED_SECONDS = 20.0


@dataclass(frozen=True)
class Cause:
    """One thing that keeps a node off the address; for how long that is nobody's harm, and on which other machine."""

    text: str
    seconds: float = DISRUPTION_SECONDS
    machine: str = ""


def causes_now(
    farm: Farm, layer: str, node: str, machines: Mapping[str, MachineSeen], answering: Mapping[str, bool]
) -> list[Cause]:
    """What keeps the node off now, as far as it was seen.

    A node that has the address is not kept off it by an offset. A raised peer whose keepalived is dead raises nothing,
    and where the home policy leaves the address away, raising the other node is how that is done.
    """
    seen = machines.get(node)
    if seen is None:
        return []
    if not seen.boot:
        return [Cause("its machine does not run")]
    down = [unit for unit in farm.unit_names(layer) if unit not in seen.units]
    found = [Cause(f"{unit} does not run") for unit in down]
    if not answering.get(node, True) and set(down) <= {KEEPALIVED}:
        found.append(Cause("its HAProxy does not answer"))
    if seen.address:
        return found
    offset = seen.offset or 0
    if offset < LOWEST_OFFSET:
        found.append(Cause("an offset keeps it in FAULT"))
    elif offset < 0:
        found.append(Cause("an offset lowers its priority", LOWERED_SECONDS))
    if farm.stays_away(layer, node):
        return found
    others = [other for name, other in machines.items() if name in farm.layers[layer] and name != node]
    raised = [other.node for other in others if KEEPALIVED in other.units and (other.offset or 0) > 0]
    return [*found, *(Cause(f"an offset raises {peer}", machine=peer) for peer in raised)]


def kept_off(farm: Farm, layer: str, samples: Iterable[Sample]) -> dict[str, dict[Cause, float]]:
    """By node of a pair: what keeps it off the address at the end of the record, each with its begin."""
    nodes = farm.layers[layer]
    machines: dict[str, MachineSeen] = {}
    answering: dict[str, bool] = {}
    since: dict[str, dict[Cause, float]] = {node: {} for node in nodes}
    for sample in samples:
        if isinstance(sample, MachineSeen) and sample.node in nodes:
            machines[sample.node] = sample
        elif isinstance(sample, BalancerSeen) and sample.balancer in nodes:
            answers = sample.servers is not None
            if answering.get(sample.balancer) == answers:
                continue  # nearly all samples are of this kind
            answering[sample.balancer] = answers
        else:
            continue
        for node in nodes:
            now = causes_now(farm, layer, node, machines, answering)
            since[node] = {cause: since[node].get(cause, sample.at) for cause in now}
    return since


def not_known(farm: Farm, samples: Iterable[Sample]) -> list[str]:
    """What of this the record does not tell: one that is older than this look, or offsets that could not be read."""
    last = {sample.node: sample for sample in samples if isinstance(sample, MachineSeen)}
    return [
        f"whether a hold was left over on {node}: no offset of its keepalived was seen at the end"
        for layer in farm.pairs()
        for node in farm.layers[layer]
        if node not in last or (last[node].boot and last[node].offset is None)
    ]
