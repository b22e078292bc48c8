# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Is the illness gone? Nagios is asked about a healed node while it is watched in rotation (invariant 10).

The balancers prove that the node serves. They do not see what made it ill where that was a level and no failing answer:
memory that something else on the machine holds is as short after a restart as before it. So the checks that the plan
called faulty are run at once, and judged by the same gauges; nothing from before this look counts.

Only two bad readings say that the heal did not help. A Nagios that cannot be believed, or that has shown no new reading
before the time was over, says nothing. Answers, their times and load are not asked for here: checks that follow each
other so fast would call a service ill that is still warming up.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Sequence, Set, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_commands as commands
from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_module as common
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges import (
    DEFAULT_GAUGES,
    READING_AGE_SECONDS,
    evaluate,
    validate_gauges,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import Snapshot

EVERY_SECONDS = 2.0
READINGS_NEEDED = 2
STAMP_SECONDS = 1.0
"""Nagios stamps queries and checks with whole seconds: a check that was asked for at once may bear the query's own."""
Series = Tuple[str, str, str]
SPEC: Dict[str, Any] = {
    **common.argument_spec(),
    "node": {"type": "str", "required": True},
    "readings": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"gauge": {"type": "str", "required": True}, "service": {"type": "str", "required": True}},
    },
    "gauges": {"type": "list", "elements": "dict"},
    "reading_age_seconds": {"type": "float", "default": READING_AGE_SECONDS},
    "seconds": {"type": "float", "required": True},
    "command_file": {"type": "path", "default": commands.PIPE},
}


def look_again(
    params: Mapping[str, Any],
    ask: Callable[[], Snapshot],
    tell: Callable[[List[str]], None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Dict[str, Any]:
    """What the named gauges say of the node after its heal, within ``seconds``; it ends as soon as that is plain.

    ``ask`` reads the services of the node, ``tell`` writes lines into Nagios' pipe, ``clock`` gives seconds (only their
    differences count). Times of readings are held against Nagios' own clock.
    """
    end = clock() + params["seconds"]
    seen = _Seen(params)
    while True:
        begin = clock()
        seen.take(ask())
        lasted = clock() - begin
        if seen.plain():
            break
        seen.have_checked(tell)
        left = end - clock() - lasted  # a look that would not end in time is not begun
        if left <= 0:
            break
        sleep(min(EVERY_SECONDS, left))
    return seen.answer()


class _Seen:
    """What the looks have brought so far."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.node, self.age = params["node"], params["reading_age_seconds"]
        self.services: List[str] = list(dict.fromkeys(one["service"] for one in params["readings"]))
        names = {one["gauge"] for one in params["readings"]}
        known = validate_gauges(params["gauges"] or DEFAULT_GAUGES)
        self.gauges = [gauge for gauge in known if gauge.name in names]
        if not self.gauges or len(self.gauges) < len(names):
            raise SelfhealError("invalid_value", "readings name a gauge that is none of the layer's")
        self.since: Any = None
        self.at: Any = None
        self.looks = 0
        self.verdict, self.problem = "unknown", ""
        self.reasons = ["Nagios has not been asked."]
        self.raised: Dict[Series, Set[float]] = {}
        self.faulty: List[Series] = []
        self._past: Dict[Tuple[Series, float], Dict[str, Any]] = {}
        self._asked_for: Dict[str, float] = {}

    def take(self, shot: Snapshot) -> None:
        self.looks += 1
        at = shot.freshness["queried_at"]
        if not shot.freshness["fresh"] or not at:
            self.verdict, self.faulty = "unknown", []
            self.reasons = [f"Nagios cannot be believed ({shot.freshness['reason']}): {shot.freshness['message']}"]
            return
        self.at = at
        if self.since is None:
            self.since = at - STAMP_SECONDS
        own = [item for item in shot.items if item["service"] in self.services]
        judged = evaluate(
            self.gauges,
            {self.node: own},
            at,
            list(self._past.values()),
            nodes=[self.node],
            since=self.since,
            reading_age_seconds=self.age,
        )[self.node]
        self.verdict, self.reasons = judged["verdict"], judged["reasons"]
        self._keep(judged["readings"])

    def _keep(self, readings: Sequence[Mapping[str, Any]]) -> None:
        self.faulty = []
        for reading in readings:
            at, series = reading["at"], (reading["gauge"], reading["service"], reading["label"])
            if reading["verdict"] == "unknown" or at is None or at <= self.since:
                continue
            self._past[series, at] = {**reading, "node": self.node}
            if reading["verdict"] in ("suspect", "faulty"):
                self.raised.setdefault(series, set()).add(at)
            if reading["verdict"] == "faulty":
                self.faulty.append(series)

    def proven(self) -> bool:
        """Faulty by the last look, in a reading that was bad twice."""
        return self.verdict == "faulty" and any(len(self.raised[one]) >= READINGS_NEEDED for one in self.faulty)

    def plain(self) -> bool:
        return self.verdict == "ok" or self.proven()

    def have_checked(self, tell: Callable[[List[str]], None]) -> None:
        """Have Nagios run the checks, and once more those whose bad reading is the answer: one is no proof.

        A Nagios that cannot be told checks in its own time.
        """
        if self.at is None:
            return
        wanted = [
            service
            for service in self.services
            if service not in self._asked_for or self._bad_at(service) >= self._asked_for[service]
        ]
        if not wanted:
            return
        self._asked_for.update(dict.fromkeys(wanted, self.at))
        try:
            tell([commands.schedule_forced_svc_check(self.node, service, self.at, self.at) for service in wanted])
        except SelfhealError as exc:
            self.problem = exc.message

    def _bad_at(self, service: str) -> float:
        return max((at for (_gauge, name, _label), times in self.raised.items() if name == service for at in times),
                   default=0.0)  # fmt: skip

    def answer(self) -> Dict[str, Any]:
        return {
            "verdict": self.verdict,
            "reasons": self.reasons,
            "still_ill": self.proven(),
            "looks": self.looks,
            "problem": self.problem,
        }
