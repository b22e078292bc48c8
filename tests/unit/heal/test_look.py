# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What made a node ill is read again after its heal: when it is as ill as before, and when that says nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _heal_again
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_look import look_again
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import Snapshot
from tests.unit.gauges import farm

HIGH, LOW = {"used": 0.97, "status": "critical"}, {"used": 0.3}
STALE = {"fresh": False, "reason": "stale", "message": "the data are 40 s old", "queried_at": None}
MEMORY, DISK = {"gauge": "memory", "service": "memory"}, {"gauge": "disk", "service": "disk /"}


class Nagios:
    """A simulated Nagios with stamps of whole seconds, whose clock a sleep moves.

    It runs a check when told to, 0.1 s later. ``brings`` is by service what each further check finds, the last for
    ever; the numbers are those of ``farm``. Before, every one of these services was as bad as can be.
    """

    def __init__(self, brings: dict[str, list[dict[str, Any]]], before: dict[str, Any] = HIGH, **more: Any) -> None:
        self.brings = {name: list(found) for name, found in brings.items()}
        self.deaf, self.stale = bool(more.get("deaf")), bool(more.get("stale"))
        self.takes = float(more.get("takes", 0.05))
        self.now = farm.NOW + 0.3
        self.lines: list[str] = []
        self.records = {name: farm.service("a", name, {**words, "ago": 30}) for name, words in farm.HEALTHY.items()}
        for name in brings:
            self.records[name] = farm.service("a", name, {**before, "ago": 3})

    def ask(self) -> Snapshot:
        began = float(int(self.now))
        self.now += self.takes
        if self.stale:
            return Snapshot(list(self.records.values()), STALE)
        fresh = {"fresh": True, "reason": "ok", "message": "", "queried_at": began}
        return Snapshot([dict(record) for record in self.records.values()], fresh)

    def tell(self, lines: list[str]) -> None:
        if self.deaf:
            raise SelfhealError("no_pipe", "nobody reads the pipe")
        self.lines += lines
        for line in lines:
            name = line.rstrip("\n").split(";")[2]
            found = self.brings[name]
            words = found.pop(0) if len(found) > 1 else found[0]
            self.records[name] = {**farm.service("a", name, words), "last_check": float(int(self.now + 0.1))}

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def look(self, *readings: dict[str, str], seconds: float = 8, **more: Any) -> dict[str, Any]:
        params = {"node": "a", "gauges": None, "reading_age_seconds": 150.0, "seconds": seconds,
                  "readings": list(readings) or [MEMORY], **more}  # fmt: skip
        return look_again(params, self.ask, self.tell, lambda: self.now, self.sleep)


CASES: list[tuple[str, Callable[[], dict[str, Any]], str, bool]] = [
    ("well at the first reading", lambda: Nagios({"memory": [LOW]}).look(), "ok", False),
    ("as high as before", lambda: Nagios({"memory": [HIGH]}).look(), "faulty", True),
    ("once high, then well", lambda: Nagios({"memory": [HIGH, LOW]}).look(), "ok", False),
    ("no time for a second reading", lambda: Nagios({"memory": [HIGH]}).look(seconds=2), "suspect", False),
    ("no check in time", lambda: Nagios({"memory": [HIGH]}, deaf=True).look(), "unknown", False),
    ("a Nagios that is not to be believed", lambda: Nagios({"memory": [HIGH]}, stale=True).look(), "unknown", False),
    ("a Nagios that takes six seconds", lambda: Nagios({"memory": [HIGH]}, takes=6.0).look(), "unknown", False),
    ("its agent is away", lambda: Nagios({"memory": [{"status": "critical", "output": farm.NRPE_REFUSED, "perf": ""}]})
     .look(), "unknown", False),
    ("a partition that is still full",
     lambda: Nagios({"disk /": [{"full": 0.99, "status": "critical"}]}, {"full": 0.99, "status": "critical"})
     .look(DISK), "faulty", True),
    ("one of two is well", lambda: Nagios({"memory": [LOW], "disk /": [{"full": 0.99, "status": "critical"}]})
     .look(MEMORY, DISK), "faulty", True),
    ("what else is ill is not asked for", lambda: Nagios({"memory": [LOW], "http": [{"status": "critical"}]})
     .look(), "ok", False),
]  # fmt: skip


@pytest.mark.parametrize(("looked", "verdict", "ill"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_what_is_said(looked: Callable[[], dict[str, Any]], verdict: str, ill: bool) -> None:
    said = looked()
    assert (said["verdict"], said["still_ill"]) == (verdict, ill), said


def test_one_bad_reading_is_no_proof_even_if_the_gauge_asks_for_no_more() -> None:
    gauges = [{"name": "memory", "service": "memory", "label": "mem_available", "per": "mem_total", "invert": True,
               "raise_at": 0.9, "clear_at": 0.8, "count": {"raise": 1, "of": 1}, "kind": "resource"}]  # fmt: skip
    said = Nagios({"memory": [HIGH]}).look(seconds=2, gauges=gauges)
    assert (said["verdict"], said["still_ill"]) == ("faulty", False)


def test_two_bad_readings_of_one_and_one_of_another_are_no_proof() -> None:
    """The memory is between its marks each time, and the partition is bad once: neither has lasted."""
    gauges = [{"name": "memory", "service": "memory", "label": "mem_available", "per": "mem_total", "invert": True,
               "raise_at": 0.9, "clear_at": 0.8, "kind": "resource"},
              {"name": "disk", "service": "disk /", "label": "/*", "per": "max", "raise_at": 0.95, "clear_at": 0.9,
               "count": {"raise": 1, "of": 1}, "kind": "storage"}]  # fmt: skip
    between, full = {"used": 0.85, "status": "warning"}, {"full": 0.99, "status": "critical"}
    nagios = Nagios({"memory": [between], "disk /": [{"full": 0.92, "status": "warning"}, full]})
    seen = nagios.look(MEMORY, DISK, seconds=3.5, gauges=gauges)
    assert (seen["verdict"], seen["still_ill"]) == ("faulty", True), "bad twice: between the marks, then full"
    nagios = Nagios({"memory": [between], "disk /": [full]})
    seen = nagios.look(MEMORY, DISK, seconds=2, gauges=gauges)
    assert (seen["verdict"], seen["still_ill"]) == ("faulty", False)


def test_a_check_in_the_second_of_the_question_counts() -> None:
    """Nagios runs it at once, and stamps it with the second in which it was asked for."""
    nagios = Nagios({"memory": [LOW]})
    assert nagios.look()["looks"] == 2
    assert nagios.records["memory"]["last_check"] == farm.NOW


def test_only_what_made_it_ill_is_checked_and_again_only_what_is_in_doubt() -> None:
    nagios = Nagios({"memory": [HIGH], "disk /": [{"full": 0.2}], "http": [{"status": "critical"}]})
    nagios.look(MEMORY, DISK)
    asked = [line.split("] ")[1].strip().split(";")[:3] for line in nagios.lines]
    assert asked[:2] == [["SCHEDULE_FORCED_SVC_CHECK", "a", name] for name in ("memory", "disk /")]
    assert asked[2:] and all(one[2] == "memory" for one in asked[2:])


def test_it_never_lasts_much_longer_than_it_was_told() -> None:
    nagios = Nagios({"memory": [HIGH]}, deaf=True, takes=1.5)
    begin = nagios.now
    nagios.look(seconds=8)
    assert nagios.now - begin <= 8 + 1.5


def test_a_pipe_that_takes_nothing_is_told() -> None:
    assert Nagios({"memory": [HIGH]}, deaf=True).look()["problem"] == "nobody reads the pipe"


def test_a_gauge_that_the_layer_has_not_is_refused() -> None:
    with pytest.raises(SelfhealError, match="none of the layer"):
        Nagios({}).look({"gauge": "humidity", "service": "memory"})


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ({"verdict": "ok", "reasons": []}, "Nagios after the heal: what made it ill is well"),
        ({"verdict": "suspect", "reasons": ["memory: 85 %"]}, "Nagios after the heal: suspect: memory: 85 %"),
        ({"verdict": "unknown", "reasons": []}, "Nagios after the heal: unknown: no reason is known"),
        ({"verdict": "unknown", "reasons": 7}, "Nagios after the heal: unknown: no reason is known"),
        ({}, ""),
        (None, ""),
        ("strange", ""),
    ],
)
def test_one_line_for_people(read: Any, said: str) -> None:
    assert _heal_again.words(read) == said
