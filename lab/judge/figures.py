# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The judge's arithmetic: records in, figures of an incident out. No clock, no file, no network."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .farm import Farm
from .harm import harm
from .records import Answer, BalancerSeen, MachineSeen, Mark, ProbeSeen, Sample
from .spans import out_spans, restarts

SLOW_SECONDS = 1.0  # longer than it asked for by this much
CONNECT_SECONDS = 0.25  # a connect that takes longer has failed
MOVE_SECONDS = 2.0  # what clients feel of a move is felt this close to it
SETTLED = 10  # new connections in a row that one balancer answered: the address has moved


@dataclass
class Incident:
    """What happened to one node between its injection (or drill) and the end of its window."""

    node: str
    layer: str
    cause: str
    begin: float
    end: float
    injected: float | None = None
    command: float | None = None
    first_alert: float | None = None
    detected: float | None = None
    traffic_safe: float | None = None
    restarted: float | None = None
    restarts: int = 0
    drained: float | None = None
    redundancy_restored: float | None = None
    went_home: float | None = None
    sent: int = 0
    failed: int = 0
    failed_new: int = 0
    failed_after_safe: int = 0
    cut_by_move: int = 0
    slow: int = 0
    cut: int = 0
    longest_gap: float = 0.0
    moves: list[dict[str, Any]] = field(default_factory=list)
    harm: list[str] = field(default_factory=list)

    def seconds(self, begin: float | None, end: float | None) -> float | None:
        return None if begin is None or end is None else round(end - begin, 3)

    def figures(self) -> dict[str, Any]:
        values = {name: round(value, 3) if isinstance(value, float) else value for name, value in vars(self).items()}
        start = self.injected if self.injected is not None else self.begin
        values["seconds"] = {
            "injected_to_detected": self.seconds(start, self.detected),
            "injected_to_safe": self.seconds(start, self.traffic_safe),
            "injected_to_restored": self.seconds(start, self.redundancy_restored),
            "command_to_safe": self.seconds(self.command, self.traffic_safe),
            "safe_to_restored": self.seconds(self.traffic_safe, self.redundancy_restored),
            "command_to_restored": self.seconds(self.command, self.redundancy_restored),
            "drain": self.seconds(self.traffic_safe, self.drained),
        }
        return values


def longest_gap(answers: Sequence[Answer], begin: float, end: float) -> float:
    """The longest time without a success at the client, from the last success before `begin` on."""
    last = max((answer.sent for answer in answers if begin < answer.sent <= end), default=None)
    if last is None:
        return 0.0
    end = min(end, last)  # nothing sent, nothing felt
    before = max((answer.done for answer in answers if answer.ok and answer.done <= begin), default=begin)
    times = [before, *sorted(answer.done for answer in answers if answer.ok and begin < answer.done <= end)]
    return max((late - early for early, late in zip(times, [*times[1:], end], strict=True)), default=0.0)


def is_slow(answer: Answer) -> bool:
    return answer.ok and answer.done - answer.sent > answer.seconds + SLOW_SECONDS


def is_cut(answer: Answer) -> bool:
    """An established, kept connection that ended under its request."""
    return not answer.new and answer.error in ("reset", "closed", "timeout")


def pool_times(
    incident: Incident, farm: Farm, answers: Sequence[Answer], samples: Sequence[Sample], within: Sequence[float]
) -> None:
    """Traffic safe: out on every balancer that answers. Restored: the node answers a client again."""
    spans = [
        span
        for span in out_spans(incident.node, samples, farm.balancers.get(incident.layer, ()))
        if span[1] > incident.begin and span[0] < incident.end
    ]
    chosen = [span for span in spans if any(span[0] - 1 <= at <= span[1] for at in within)] or spans
    if not chosen:
        return
    safe = max(chosen[-1][0], incident.begin)
    incident.traffic_safe = safe
    in_flight = [
        answer.done for answer in answers if answer.member == incident.node and answer.sent <= safe < answer.done
    ]
    incident.drained = max(in_flight, default=safe)
    after = max([safe, *(at for at in within if at >= safe)])
    incident.redundancy_restored = min(
        (
            answer.done
            for answer in answers
            if answer.ok and answer.member == incident.node and after < answer.sent <= incident.end
        ),
        default=None,
    )


def moved(node: str, answers: Sequence[Answer], begin: float, end: float) -> tuple[float, float | None] | None:
    """When the address left the node for good, by who answered new connections, and when it came back."""
    new = [answer for answer in answers if answer.ok and answer.new and answer.balancer and begin <= answer.sent <= end]
    for index, answer in enumerate(new):
        run = new[index : index + SETTLED]
        if answer.balancer != node and all(other.balancer != node for other in run):
            home = next((later.sent for later in new[index:] if later.balancer == node), None)
            return answer.sent, home
    return None


def established(answer: Answer, at: float) -> bool:
    """Its connection stood before that moment: it had the whole time that a connect may take, and more."""
    return answer.error in ("reset", "closed", "timeout") and answer.sent + CONNECT_SECONDS < at


def stood_before(answer: Answer, at: float) -> bool:
    """A failure on a connection that was there before this move: a kept one, or the first request of a long one."""
    return is_cut(answer) or (answer.new and established(answer, at))


def changes(answers: Sequence[Answer], begin: float, end: float) -> list[dict[str, Any]]:
    """Every move of the address, by who answered new connections, and what clients felt of it.

    What was felt is looked for around the move only, so that nothing else of the incident is put down to it. A long
    request in flight is an established connection that was cut, also if it was the first of its connection.
    """
    new = [answer for answer in answers if answer.ok and answer.new and answer.balancer and begin <= answer.sent <= end]
    found = []
    for before, after in itertools.pairwise(new):
        if before.balancer == after.balancer:
            continue
        early, late = before.sent - MOVE_SECONDS, after.sent + MOVE_SECONDS
        near = [answer for answer in answers if early <= answer.sent <= late]
        bad = [answer for answer in near if not answer.ok]
        found.append(
            {
                "at": round(after.sent, 3),
                "from": before.balancer,
                "to": after.balancer,
                "gap": round(longest_gap(near, early, late), 4) if near else 0.0,
                "failed_new": sum(answer.new and not established(answer, after.sent) for answer in bad),
                "cut": sum(stood_before(answer, after.sent) for answer in bad),
            }
        )
    return found


def pair_times(
    incident: Incident, answers: Sequence[Answer], samples: Sequence[Sample], within: Sequence[float]
) -> None:
    """Traffic safe: the peer answers new connections. Restored: the node is a standby that could take over."""
    found = moved(incident.node, answers, incident.begin, incident.end)
    if found is not None:
        incident.traffic_safe, incident.went_home = found
    incident.moves = changes(answers, incident.begin, incident.end)
    after = max([incident.traffic_safe or incident.begin, *within])
    units, address = 0, True
    ready = False  # its HAProxy shows a member that is up
    for sample in samples:
        if isinstance(sample, MachineSeen) and sample.node == incident.node:
            units, address = len(sample.units), sample.address
        elif isinstance(sample, BalancerSeen) and sample.balancer == incident.node:
            ready = bool(sample.servers) and any(not seen.out for seen in (sample.servers or {}).values())
        if after < sample.at <= incident.end and ready and units >= 2 and not address:
            incident.redundancy_restored = sample.at
            return
    if incident.went_home is not None and incident.went_home > after:
        incident.redundancy_restored = incident.went_home


def alerts(incident: Incident, samples: Iterable[Sample]) -> None:
    """First bad result of the node's probes after the injection, and the first that Nagios calls hard."""
    for sample in samples:
        if not isinstance(sample, ProbeSeen) or sample.host != incident.node or sample.status != "critical":
            continue
        if incident.begin < sample.last_check <= incident.end:
            incident.first_alert = min(incident.first_alert or sample.last_check, sample.last_check)
            if sample.hard:
                incident.detected = min(incident.detected or sample.last_check, sample.last_check)


def failed_at(answer: Answer) -> float:
    """When it went wrong: without a connection at once, without an answer when that was due, else when it ended."""
    if answer.error == "connect":
        return answer.sent
    return answer.sent + answer.seconds if answer.error == "timeout" else answer.done


def _cut_by(answer: Answer, at: float) -> bool:
    """Whether this move of the address ended the established connection of the request."""
    near = at - MOVE_SECONDS <= answer.sent <= at + MOVE_SECONDS or answer.sent <= at <= answer.done
    return near and stood_before(answer, at)


def count(incident: Incident, answers: Sequence[Answer]) -> None:
    """Requests by the time of sending, failures by the time at which they went wrong.

    So a long request that the next incident cuts off is not put down to this one; whether a failure came after
    traffic safe is decided by the time of sending alone.
    """
    inside = [answer for answer in answers if incident.begin <= answer.sent <= incident.end]
    failed = [answer for answer in answers if not answer.ok and incident.begin <= failed_at(answer) <= incident.end]
    incident.sent = len(inside)
    incident.failed = len(failed)
    incident.failed_new = sum(answer.new for answer in failed)
    incident.slow = sum(map(is_slow, inside))
    incident.cut = sum(map(is_cut, failed))
    if incident.traffic_safe is not None:
        later = [answer for answer in failed if answer.sent > incident.traffic_safe]
        # An address that moves cuts what is established on it; that is counted apart, by the moves of this heal.
        on_move = [answer for answer in later if any(_cut_by(answer, float(move["at"])) for move in incident.moves)]
        incident.failed_after_safe, incident.cut_by_move = len(later) - len(on_move), len(on_move)
    incident.longest_gap = longest_gap(answers, incident.begin, incident.end)


def incidents(
    farm: Farm, marks: Sequence[Mark], answers: Sequence[Answer], samples: Sequence[Sample], end: float
) -> list[Incident]:
    """One per injected illness or drill; its window ends at its `end` mark, else where the next one begins."""
    ordered = sorted(marks, key=lambda mark: mark.at)
    causes = [
        mark
        for mark in ordered
        if farm.layer_of(mark.node)
        and (
            mark.event in ("drill", "move", "bare")
            or (mark.event == "injected" and mark.detail.get("kind", "illness") == "illness")
        )
    ]
    started = {node: restarts(node, samples) for nodes in farm.layers.values() for node in nodes}
    harmed = harm(farm, ordered, samples, end)
    begins = [sample.at for sample in samples]
    found = []
    for index, cause in enumerate(causes):
        limit = causes[index + 1].at if index + 1 < len(causes) else end
        limit = min(
            [
                limit,
                *(
                    mark.at
                    for mark in ordered
                    if mark.event == "end" and mark.at > cause.at and mark.node in ("", cause.node)
                ),
            ]
        )
        incident = Incident(
            cause.node,
            farm.layer_of(cause.node),
            cause.label or cause.event,
            cause.at,
            limit,
            cause.at if cause.event == "injected" else None,
        )
        # A command that was refused may be given again: the last one counts.
        incident.command = max(
            (
                mark.at
                for mark in ordered
                if mark.event == "command" and mark.node == cause.node and cause.at <= mark.at < limit
            ),
            default=None,
        )
        within = [at for at in started[cause.node] if cause.at <= at <= limit]
        incident.restarted, incident.restarts = (within[-1] if within else None), len(within)
        if farm.kinds.get(incident.layer) == "pair":  # machines are only written when they change: all of them
            pair_times(incident, answers, samples, within)
        else:  # balancers are written once a second at least
            near = samples[bisect.bisect_left(begins, cause.at - 3) : bisect.bisect_right(begins, limit)]
            pool_times(incident, farm, answers, near, within)
        alerts(incident, samples)
        count(incident, answers)
        incident.harm = [text for at, text in harmed if cause.at <= at < limit]
        found.append(incident)
    return found


def totals(answers: Sequence[Answer], begin: float | None = None, end: float | None = None) -> Mapping[str, Any]:
    """The whole record in figures."""
    inside = [
        answer for answer in answers if (begin is None or answer.sent >= begin) and (end is None or answer.sent <= end)
    ]
    if not inside:
        return {"sent": 0, "failed": 0}
    latencies = sorted(answer.done - answer.sent - answer.seconds for answer in inside if answer.ok)
    errors: dict[str, int] = {}
    for answer in inside:
        if answer.error:
            name = f"status {answer.status}" if answer.error == "status" else answer.error
            errors[name] = errors.get(name, 0) + 1
    return {
        "sent": len(inside),
        "failed": sum(errors.values()),
        "errors": errors,
        "slow": sum(map(is_slow, inside)),
        "cut": sum(map(is_cut, inside)),
        "new_connections": sum(answer.new for answer in inside),
        "rate": round(len(inside) / max(inside[-1].sent - inside[0].sent, 0.001), 2),
        "milliseconds": {f"p{share}": round(1000 * percentile(latencies, share), 1) for share in (50, 95, 99)},
        "longest_gap": round(longest_gap(inside, inside[0].sent, inside[-1].sent), 3),
    }


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank, so that a figure is always one that was measured."""
    if not ordered:
        return 0.0
    return ordered[max(0, min(len(ordered) - 1, -(-int(len(ordered) * share) // 100) - 1))]
