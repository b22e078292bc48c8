# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What healing must never do, found in the record. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .farm import Farm
from .pairs import kept_off
from .records import BalancerSeen, Mark, ProbeSeen, Sample
from .spans import DISRUPTION_SECONDS, FOREVER, out_spans, restarts

HOLD_SERVICE = "selfheal holds"  # what Nagios calls its look at the holds of a machine
Excused = Callable[[str, float], bool]


def ill_spans(marks: Sequence[Mark], end: float) -> list[tuple[str, float, float]]:
    """Who was made ill, or whom its operator or a drill had in hand, and for how long."""
    spans = []
    for mark in marks:
        if mark.event in ("injected", "drill", "operator", "bare", "move"):
            over = min(
                (
                    other.at
                    for other in marks
                    if other.at > mark.at and other.node in ("", mark.node) and other.event in ("mended", "end")
                ),
                default=end,
            )
            spans.append((mark.node, mark.at - 0.5, over + DISRUPTION_SECONDS))
    return spans


def harm(farm: Farm, marks: Sequence[Mark], samples: Sequence[Sample], end: float) -> list[tuple[float, str]]:
    """What healing must never do: each with its time."""
    spans = ill_spans(marks, end)

    def excused(node: str, at: float) -> bool:
        return any(name == node and begin <= at <= over for name, begin, over in spans)

    found = [
        (at, f"{node}, a healthy node, was restarted")
        for layer in farm.layers
        for node in farm.layers[layer]
        for at in restarts(node, samples)
        if not excused(node, at)
    ]
    for layer in farm.pools():
        found += below_minimum(farm, layer, samples, excused)
        found += left_out(farm, layer, samples, end, marks)
    for layer in farm.pairs():
        found += held_off(farm, layer, samples, end, marks)
    return sorted(found)


def below_minimum(farm: Farm, layer: str, samples: Iterable[Sample], excused: Excused) -> list[tuple[float, str]]:
    """A balancer with fewer members than the layer needs, one of them taken out though it was not ill."""
    need = farm.minimum.get(layer, len(farm.layers[layer]) - 1)
    found: list[tuple[float, str]] = []
    low: set[str] = set()
    for sample in samples:
        if not isinstance(sample, BalancerSeen) or not sample.servers or sample.balancer not in farm.balancers[layer]:
            continue
        out = [node for node in farm.layers[layer] if node in sample.servers and sample.servers[node].out]
        up = len(farm.layers[layer]) - len(out)
        healthy_out = [node for node in out if not excused(node, sample.at)]
        if up < need and healthy_out:
            if sample.balancer not in low:
                found.append(
                    (
                        sample.at,
                        f"{layer} had {up} of at least {need} members on {sample.balancer}, "
                        f"{', '.join(healthy_out)} not being ill",
                    )
                )
            low.add(sample.balancer)
        else:
            low.discard(sample.balancer)
    return found


def in_maintenance(node: str, since: float, marks: Iterable[Mark]) -> bool:
    """Whether its operator took it out just then, by a mark that says so: they know."""
    return any(
        mark.event == "operator" and mark.label == "maintenance" and mark.node == node
        and abs(since - mark.at) <= DISRUPTION_SECONDS
        for mark in marks
    )  # fmt: skip


def criticals(samples: Iterable[Sample]) -> set[tuple[str, str]]:
    """Host and service of everything that Nagios shows as critical at the end."""
    last = {(sample.host, sample.service): sample.status for sample in samples if isinstance(sample, ProbeSeen)}
    return {key for key, status in last.items() if status == "critical"}


def called(node: str, critical: Iterable[tuple[str, str]]) -> bool:
    """Whether something critical is shown of the node, be it by a service of another host that has its name."""
    return any(host == node or node in service for host, service in critical)


def left_out(
    farm: Farm, layer: str, samples: Sequence[Sample], end: float, marks: Sequence[Mark] = ()
) -> list[tuple[float, str]]:
    """A node that is out at the end while Nagios shows nothing critical of it: nobody was called."""
    critical = criticals(samples)
    found = []
    for node in farm.layers[layer]:
        spans = out_spans(node, samples, farm.balancers.get(layer, ()))
        if not spans or spans[-1][1] != FOREVER or in_maintenance(node, spans[-1][0], marks):
            continue
        if not called(node, critical) and end - spans[-1][0] > DISRUPTION_SECONDS:
            found.append((min(spans[-1][0], end), f"{node} was left out and nobody was called"))
    return found


def held_off(
    farm: Farm, layer: str, samples: Sequence[Sample], end: float, marks: Sequence[Mark] = ()
) -> list[tuple[float, str]]:
    """A node of a pair that could not take the address at the end, or not from its peer, and nobody was called.

    The hold that keeps it off may lie on its peer: then the alarm of that machine's holds is a call as well.
    """
    critical = criticals(samples)
    found = []
    for node, causes in kept_off(farm, layer, samples).items():
        left = {
            cause.text: since
            for cause, since in causes.items()
            if end - since > cause.seconds
            and not in_maintenance(node, since, marks)
            and (cause.machine, HOLD_SERVICE) not in critical
        }
        if left and not called(node, critical):
            why = ", ".join(left)
            found.append((min(left.values()), f"{node} was kept off the address and nobody was called: {why}"))
    return found
