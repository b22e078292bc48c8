# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The verdict on a scenario, against records made by hand: every expectation can fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lab.judge.records import MachineSeen
from tests.campaign.scenario_record import restarted
from tests.unit.campaign.scenario_story import BEGIN, END, FARM, MEMBERS, SCENARIOS, Story

# One story for each outcome, in which all is well


def memory() -> Story:
    story = Story(SCENARIOS["memory-on-a-member"])
    story.healed("ei1")
    return story


def load_peak() -> Story:
    story = Story(SCENARIOS["load-peak"])
    for node in MEMBERS:
        story.ill(node, service="cpu")
        story.refused(node, "layer_load")
    return story


def nrpe() -> Story:
    story = Story(SCENARIOS["nrpe-down"])
    story.ill("ei1")
    story.alert("ei1", "", "unknown_reading: the agent (NRPE) of ei1 does not answer")
    return story


def wrong() -> Story:
    story = Story(SCENARIOS["check-wrong"])
    story.ill("ei2")
    story.alert("ei2", "recovered")
    return story


def operator() -> Story:
    story = Story(SCENARIOS["operator-restart"])
    story.ill("ei3", service="http")
    story.started.append(("ei3", 1045.0))
    story.incident("ei3", "recovered", closed=1060)
    story.refused("ei3", "downtime")
    return story


def disk() -> Story:
    story = Story(SCENARIOS["disk-full"])
    story.ill("ei1", service="disk /var/lib/ei")
    story.incident("ei1", "", closed=None)
    story.refused("ei1", "wrong_kind")
    story.calls("ei1")
    return story


def relieved() -> Story:
    story = Story(SCENARIOS["disk-full-relieved"])
    story.ill("ei1", service="disk /var/log/ei")
    story.incident("ei1", "healed")
    story.attempt("ei1", "healed")
    story.journal["attempts"][0]["rung"] = "relief"
    story.out.append(("ei1", "MAINT", 1017, 1036))
    return story


def beside() -> Story:
    story = Story(SCENARIOS["ill-beside-maintenance"])
    story.out.append(("ei2", "MAINT", 1001, END + 1))
    story.ill("ei1", 1040, "cpu")
    story.refused("ei1", "below_minimum", at=1050)
    story.calls("ei1", 1051)
    return story


def cut() -> Story:
    story = Story(SCENARIOS["member-cut-and-back"])
    story.ill("ei1", service="http")
    story.out.append(("ei1", "DOWN", 1003, 1100))
    story.incident("ei1", "recovered", closed=1110)
    story.calls("ei1", over=1111)
    return story


def left() -> Story:
    """No file has this outcome as its only one; a farm whose node does not come back shows it."""
    one = SCENARIOS["memory-on-a-member"]
    want = replace(one.nodes["ei1"], outcomes=("held_human_called",), human="must")
    story = Story(replace(one, nodes={"ei1": want}))
    story.ill("ei1")
    story.incident("ei1", "left_out", closed=None)
    story.attempt("ei1", "left_out")
    story.out.append(("ei1", "MAINT", 1017, END + 1))
    story.started.append(("ei1", 1022.0))
    story.calls("ei1")
    return story


def two() -> Story:
    story = Story(SCENARIOS["two-members-ill"])
    story.healed("ei1", 1014)
    story.healed("ei2", 1060)
    return story


def pair() -> Story:
    story = Story(SCENARIOS["active-haproxy-stopped"])
    story.healed_balancer("extlb1")
    story.holders = [(0.0, "extlb1"), (1002.0, "extlb2"), (1040.0, "extlb1")]
    story.silent.append(("extlb1", 1001, 1025))
    return story


def standby() -> Story:
    story = Story(SCENARIOS["standby-ill"])
    story.healed_balancer("extlb2")
    return story


def frozen() -> Story:
    story = Story(SCENARIOS["active-frozen-then-thawed"])
    story.ill("extlb1", service="http")
    story.incident("extlb1", "healed", closed=1130)
    story.attempt("extlb1", "left_out", ended=1040, readmit=None)
    story.attempt("extlb1", "healed", at=1095, ended=1130, readmit=1110)
    story.holders = [(0.0, "extlb1"), (1003.0, "extlb2"), (1120.0, "extlb1")]
    story.silent.append(("extlb1", 1000, 1092))
    story.calls("extlb1", over=1131)
    return story


STORIES: list[Callable[[], Story]] = [
    memory, load_peak, nrpe, wrong, operator, disk, relieved, beside, cut, left, two, pair, standby, frozen,
]  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_a_scenario_that_went_as_it_must_fails_nothing(story: Callable[[], Story]) -> None:
    assert story().verdict() == []


Spoil = Callable[[Story], object]


def closed(story: Story, **values: Any) -> object:
    return story.journal["incidents"][0].update(values)


def tried(story: Story, **values: Any) -> object:
    return story.journal["attempts"][0].update(values)


@pytest.mark.parametrize(
    ("story", "spoil", "said"),
    [
        # the record itself
        (memory, lambda s: s.problems.append("the journal could not be read"), "the journal could not be read"),
        (memory, lambda s: s.harm.append("ei2, a healthy node, was restarted"), "HARM: ei2"),
        (memory, lambda s: setattr(s, "timed_out", True), "did not come to its end within 150 s"),
        (memory, lambda s: setattr(s, "answered", False), "nothing is proven"),
        (memory, lambda s: setattr(s, "played", {}), "steps[0] was never done: break memory on ei1"),
        # healed
        (memory, lambda s: closed(s, outcome="undone"), "ei1: 0 incidents ended healed, not 1; they ended: undone"),
        (memory, lambda s: s.incident("ei1", "healed", 1100, 1110), "2 incidents ended healed, not 1"),
        (memory, lambda s: s.incident("ei1", "", 1100, None), "incident ei1-1100 is open at the end"),
        (memory, lambda s: s.journal["incidents"].clear(), "they ended: none"),
        (memory, lambda s: closed(s, opened_at=900.0), "they ended: none"),  # an old incident is not this heal
        (memory, lambda s: tried(s, ended_at=None), "1 heals have no end"),
        (memory, lambda s: s.started.clear(), "was restarted 0 times, not 1"),
        (memory, lambda s: s.started.append(("ei1", 1090.0)), "was restarted 2 times, not 1"),
        (memory, lambda s: s.calls("ei1", over=1050), "ei1: a human was called"),
        (memory, lambda s: s.out.clear(), "was never held out of traffic"),
        (memory, lambda s: s.out.append(("ei1", "DOWN", 1150, END + 1)), "ei1: does not serve at the end"),
        (memory, lambda s: s.probes.clear(), "so nothing was tried"),
        # who has nothing to do with it
        (memory, lambda s: s.started.append(("ei2", 1050.0)), "ei2: was restarted 1 times and had nothing"),
        (memory, lambda s: s.attempt("ei3", "undone", at=1100, ended=1101), "ei3: 1 heals began"),
        (memory, lambda s: s.holders.append((1050.0, "extlb2")), "the address moved: extlb1 to extlb2"),
        # nothing
        (load_peak, lambda s: s.attempt("ei2", "undone"), "ei2: 1 heals began, and none should have"),
        (load_peak, lambda s: s.started.append(("ei2", 1050.0)), "ei2: was restarted 1 times, not 0"),
        (load_peak, lambda s: s.out.append(("ei3", "MAINT", 1020, 1030)), "ei3: was held out of traffic"),
        (load_peak, lambda s: s.calls("ei3", over=1040), "ei3: a human was called"),
        (load_peak, lambda s: s.journal["decisions"].pop(), "ei3: the journal has no reason of layer_load"),
        (load_peak, lambda s: s.journal["decisions"][0].update(reasons=["suspect_only"]), "ei1: the journal has no re"),
        (load_peak, lambda s: s.probes.clear(), "ei1: Nagios never showed it ill, so nothing was tried"),
        (load_peak, lambda s: s.out.append(("ei3", "DOWN", 1150, END + 1)), "ei3: does not serve at the end"),
        (nrpe, lambda s: s.out.append(("ei1", "DOWN", 1030, 1040)), "ei1: was out of traffic"),
        (nrpe, lambda s: s.journal["alerts"][0].update(outcome="recovered", reason=""), "it has: recovered"),
        (nrpe, lambda s: s.journal["alerts"][0].update(at=BEGIN - 50), "no reason of unknown_reading; it has: none"),
        (nrpe, lambda s: s.journal["alerts"][0].update(host="ei2"), "no reason of unknown_reading; it has: none"),
        (wrong, lambda s: s.journal["alerts"].clear(), "ei2: the journal has no reason of not_ill, recovered"),
        (wrong, lambda s: s.attempt("ei2", "healed"), "ei2: 1 heals began, and none should have"),
        (operator, lambda s: s.started.append(("ei3", 1080.0)), "was restarted 2 times, not 1"),
        (operator, lambda s: s.journal["decisions"].clear(), "has no reason of downtime; it has: recovered"),
        (operator, lambda s: s.probes.clear(), "ei3: Nagios never showed it ill, so nothing was tried"),
        # a human is called
        (disk, lambda s: s.probes.pop(), "ei1: no human was called"),
        (disk, lambda s: s.started.append(("ei1", 1040.0)), "was restarted 1 times, not 0"),
        (disk, lambda s: s.attempt("ei1", "undone"), "1 heals began, and none should have"),
        (disk, lambda s: s.journal["decisions"].clear(), "the journal has no reason of wrong_kind"),
        # relieved
        (relieved, lambda s: s.started.append(("ei1", 1022.0)), "was restarted 1 times, not 0"),
        (relieved, lambda s: s.calls("ei1", over=1050), "ei1: a human was called"),
        (relieved, lambda s: s.out.clear(), "was never held out of traffic"),
        (relieved, lambda s: closed(s, outcome="recovered"), "0 incidents ended relieved, not 1"),
        (relieved, lambda s: tried(s, rung="service"), "its rungs were service, not relief"),
        (beside, lambda s: s.out.append(("ei1", "MAINT", 1060, 1070)), "ei1: was held out of traffic"),
        (beside, lambda s: s.probes.pop(), "ei1: no human was called"),
        (beside, lambda s: s.journal["decisions"].clear(), "the journal has no reason of below_minimum"),
        (beside, lambda s: s.out.insert(0, ("ei2", "UP", 1080, 1090)), "ei2: was taken out of the human's maintenance"),
        (beside, lambda s: s.attempt("ei1", "undone", at=1060), "1 heals began, and none should have"),
        # recovered
        (cut, lambda s: s.out.clear(), "ei1: was never out of traffic"),
        (cut, lambda s: closed(s, outcome="undone"), "they ended: undone"),
        (cut, lambda s: closed(s, state="open"), "is open at the end"),
        (cut, lambda s: s.probes.pop(), "a human is still called at the end"),
        (cut, lambda s: [s.probes.pop(), s.probes.pop()], "ei1: no human was called"),
        (cut, lambda s: [s.started.append(("ei1", at)) for at in (1050.0, 1060.0)], "2 times, not 0 to 1"),
        # held, and a human called
        (left, lambda s: s.probes.pop(), "no human was called"),
        (left, lambda s: s.out.insert(0, ("ei1", "UP", 1150, END + 1)), "is not held out of traffic at the end"),
        (left, lambda s: closed(s, state="closed", closed_at=1060.0), "no incident is open at the end"),
        (left, lambda s: [tried(s, outcome="undone"), closed(s, outcome="")], "does not say that it was left out"),
        # one after the other
        (two, lambda s: s.journal["attempts"][1].update(at=1030.0), "two heals at once in layer ei: ei1 and ei2"),
        (two, lambda s: s.out.append(("ei2", "MAINT", 1020, 1030)), "ei1 and ei2 were held at once on extlb1"),
        (two, lambda s: s.journal["attempts"].pop(), "ei2: no heal of it began, so it took no turn"),
        # the pair
        (pair, lambda s: setattr(s, "holders", [(0.0, "extlb1")]), "the address did not move"),
        (pair, lambda s: s.journal["phases"].clear(), "moved back to extlb1 before it was proven"),
        (pair, lambda s: s.journal["phases"][0].update(at=1041.0), "moved back to extlb1 before it was proven"),
        (pair, lambda s: s.holders.append((1060.0, "extlb2")), "the address moved 3 times"),
        (pair, lambda s: s.stopped.append("extlb1"), "extlb1: does not serve at the end"),
        (pair, lambda s: s.silent.append(("extlb1", 1100, END + 1)), "extlb1: does not serve at the end"),
        (standby, lambda s: s.holders.append((1030.0, "extlb2")), "the address moved: extlb1 to extlb2"),
        (standby, lambda s: s.started.clear(), "extlb2: was restarted 0 times, not 1"),
        (frozen, lambda s: s.holders.insert(2, (1094.0, "extlb1")), "moved back to extlb1 before it was proven"),
        (frozen, lambda s: [s.probes.pop(), s.probes.pop()], "extlb1: no human was called"),
        (frozen, lambda s: s.probes.pop(), "extlb1: a human is still called at the end"),
        (frozen, lambda s: s.calls("extlb1", 1040, over=1060), "extlb1: no human was being called when it was mended"),
        (frozen, lambda s: [s.probes.pop(-2), s.calls("extlb1", 1100)], "no human was being called when it was mended"),
    ],
)  # fmt: skip
def test_each_expectation_can_fail(story: Callable[[], Story], spoil: Spoil, said: str) -> None:
    made = story()
    spoil(made)
    assert any(said in text for text in made.verdict()), made.verdict()


def test_the_two_services_of_a_balancer_started_in_one_go_are_one_restart() -> None:
    record = pair().record()
    (seen,) = [sample for sample in record.samples if isinstance(sample, MachineSeen) and sample.at == 1024.1]
    both = {"haproxy.service": 1024.0, "keepalived.service": 1025.0}
    for later, count in ((1025.0, 1), (1060.0, 2)):
        units = {**both, "keepalived.service": later}
        again = [*record.samples, MachineSeen(later + 0.1, "extlb1", seen.boot, units, False)]
        more = replace(record, samples=sorted(again, key=lambda sample: sample.at))
        assert len(restarted("extlb1", more, FARM)) == count


def test_a_check_that_saw_nothing_needs_no_reason() -> None:
    quiet = Story(SCENARIOS["cpu-burst"])
    assert quiet.verdict() == []
    quiet.ill("ei2", service="cpu")
    assert any("the journal has no reason" in text for text in quiet.verdict())


def test_a_human_who_was_called_before_the_scenario_is_not_called_by_it() -> None:
    story = memory()
    story.calls("ei1", BEGIN - 1)
    assert story.verdict() == []
