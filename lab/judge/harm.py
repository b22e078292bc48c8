# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What healing must never do, found in the record. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .farm import Farm
from .records import BalancerSeen, Mark, ProbeSeen, Sample
from .spans import FOREVER, out_spans, restarts

DISRUPTION_SECONDS = 3.0  # a restart and what the machine shows of it are this close
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


def left_out(
    farm: Farm, layer: str, samples: Sequence[Sample], end: float, marks: Sequence[Mark] = ()
) -> list[tuple[float, str]]:
    """A node that is out at the end while Nagios shows nothing critical of it: nobody was called."""
    critical: dict[tuple[str, str], bool] = {}
    for sample in samples:
        if isinstance(sample, ProbeSeen):
            critical[sample.host, sample.service] = sample.status == "critical"
    found = []
    for node in farm.layers[layer]:
        spans = out_spans(node, samples, farm.balancers.get(layer, ()))
        called = any(bad and (host == node or node in service) for (host, service), bad in critical.items())
        if not spans or spans[-1][1] != FOREVER or in_maintenance(node, spans[-1][0], marks):
            continue
        if not called and end - spans[-1][0] > DISRUPTION_SECONDS:
            found.append((min(spans[-1][0], end), f"{node} was left out and nobody was called"))
    return found
