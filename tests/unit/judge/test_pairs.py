# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is left over on a pair: a line for each thing that keeps a node off the address, and for what looks like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lab.judge import records, report
from lab.judge.harm import harm
from lab.judge.pairs import not_known
from lab.judge.records import BalancerSeen, MachineSeen, Mark, ProbeSeen, Sample
from tests.unit.judge.test_figures import FARM, looks

END = 60.0
HOME = "extlb1"
LOWERED = "an offset lowers its priority"
FAULT = "an offset keeps it in FAULT"
RAISED = "an offset raises {}"


def seen(at: float, node: str, offset: int | None = 0, address: bool = False, down: Sequence[str] = ()) -> MachineSeen:
    """A node whose HAProxy and keepalived run, but for what is down."""
    units = {f"{name}.service": 0.5 for name in ("haproxy", "keepalived") if name not in down}
    return MachineSeen(at, node, 0.5, units, address, offset)


def off(at: float, node: str) -> MachineSeen:
    """A machine that does not run."""
    return MachineSeen(at, node, 0.0, {})


def silent(node: str, begin: float, end: float = END) -> list[Sample]:
    """Its HAProxy does not answer."""
    return [BalancerSeen(begin + second / 2, node, None) for second in range(round(2 * (end - begin)))]


def critical(host: str, service: str, status: str = "critical") -> ProbeSeen:
    return ProbeSeen(50, host, service, status, True, 50)


def kept_off(node: str, *why: str) -> str:
    return f"{node} was kept off the address and nobody was called: {', '.join(why)}"


def left(changes: Sequence[Sample], marks: Sequence[Mark] = (), home: str = "now", preferred: str = HOME) -> list[str]:
    """The harm of a pair that was well, the address at home, until something changed."""
    silences = [(sample.balancer, sample.at) for sample in changes if isinstance(sample, BalancerSeen)]
    quiet = {name: min(at for who, at in silences if who == name) for name, _ in silences}
    answers = [
        sample
        for sample in looks(0, END)
        if isinstance(sample, BalancerSeen) and sample.at < quiet.get(sample.balancer, END)
    ]
    samples = [seen(0, HOME, address=True), seen(0, "extlb2"), *answers, *changes]
    farm = replace(FARM, home={"extlb": home}, preferred={"extlb": preferred})
    return [text for _, text in harm(farm, marks, sorted(samples, key=lambda sample: sample.at), END)]


SOFT = [seen(20, "extlb2", -199)]
TO_PEER = [seen(20, HOME), seen(20, "extlb2", 54, address=True)]


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("nothing changed", [], []),
        ("a soft hold left over", SOFT, [kept_off("extlb2", LOWERED)]),
        ("a soft hold taken back", [*SOFT, seen(30, "extlb2")], []),
        ("a soft hold on its home", [seen(20, HOME, -249)], [kept_off(HOME, LOWERED)]),
        ("it was taken back and came again", [*SOFT, seen(25, "extlb2"), seen(30, "extlb2", -1)],
         [kept_off("extlb2", LOWERED)]),
        ("lowered, but it has the address: not kept off", [*SOFT, seen(21, "extlb2", -199, address=True)], []),
        ("the guard's hold of a node that started 15 s ago", [seen(45, "extlb2", -253)], []),
        ("a hard hold left over", [seen(20, "extlb2", -254)], [kept_off("extlb2", FAULT)]),
        ("a hard hold, since 4 s", [seen(56, "extlb2", -254)], [kept_off("extlb2", FAULT)]),
        ("a hard hold, just placed at the end", [seen(58, "extlb2", -254)], []),
        ("the peer raised, the address with it", TO_PEER, [kept_off(HOME, RAISED.format("extlb2"))]),
        ("the peer raised and let go", [*TO_PEER, seen(30, "extlb2"), seen(30, HOME, address=True)], []),
        ("the peer just raised at the end", [seen(58, HOME), seen(58, "extlb2", 54, address=True)], []),
        ("the home raised above its standby", [seen(20, HOME, 4, address=True)],
         [kept_off("extlb2", RAISED.format(HOME))]),
        ("raised, but the other has the address all the same", [seen(20, "extlb2", 1)], []),
        ("raised, but its keepalived is dead: that keeps only itself off",
         [seen(20, "extlb2", 54, down=["keepalived"])], [kept_off("extlb2", "keepalived.service does not run")]),
        ("both: lowered and the peer raised", [seen(20, HOME, -249), seen(20, "extlb2", 54, address=True)],
         [kept_off(HOME, LOWERED, RAISED.format("extlb2"))]),
        ("keepalived left down", [seen(20, "extlb2", down=["keepalived"])],
         [kept_off("extlb2", "keepalived.service does not run")]),
        ("keepalived left dead, its address left behind", [seen(20, HOME, address=True, down=["keepalived"])],
         [kept_off(HOME, "keepalived.service does not run")]),
        ("HAProxy left down", [seen(20, "extlb2", down=["haproxy"]), *silent("extlb2", 20)],
         [kept_off("extlb2", "haproxy.service does not run")]),
        ("HAProxy down and back", [seen(20, "extlb2", down=["haproxy"]), seen(30, "extlb2")], []),
        ("HAProxy runs and does not answer: FAULT by its own check", silent("extlb2", 20),
         [kept_off("extlb2", "its HAProxy does not answer")]),
        ("HAProxy did not answer for the last 2 s", silent("extlb2", 58), []),
        ("the machine left off", [off(20, "extlb2"), *silent("extlb2", 20)],
         [kept_off("extlb2", "its machine does not run")]),
        ("a machine that was off and is back", [off(20, "extlb2"), seen(30, "extlb2")], []),
    ],
)  # fmt: skip
def test_a_node_of_a_pair_kept_off_the_address(name: str, changes: list[Sample], expected: list[str]) -> None:
    assert left(changes) == expected, name


@pytest.mark.parametrize(
    ("name", "changes", "probe", "expected"),
    [
        ("critical of it", SOFT, critical("extlb2", "http"), 0),
        ("a human is called by a passive service", SOFT, critical("monitor", "selfheal: extlb2"), 0),
        ("another node is critical", SOFT, critical(HOME, "http"), 1),
        ("it is ok", SOFT, critical("extlb2", "http", "ok"), 1),
        ("it is only a warning", SOFT, critical("extlb2", "memory", "warning"), 1),
        ("raised, its hold critical on that machine", TO_PEER, critical("extlb2", "selfheal holds"), 0),
        ("a raise, and something else of that machine", TO_PEER, critical("extlb2", "memory"), 1),
        ("lowered, and a hold of the other machine", SOFT, critical(HOME, "selfheal holds"), 1),
        ("keepalived down and called", [seen(20, "extlb2", down=["keepalived"])], critical("extlb2", "keepalived"), 0),
    ],
)
def test_it_is_no_harm_if_somebody_was_called(
    name: str, changes: list[Sample], probe: ProbeSeen, expected: int
) -> None:
    assert len(left([*changes, probe])) == expected, name


@pytest.mark.parametrize(
    ("name", "mark", "expected"),
    [
        ("its operator put it there", Mark(20, "operator", "extlb2", "maintenance"), 0),
        ("its operator put another one there", Mark(20, "operator", HOME, "maintenance"), 1),
        ("its operator only restarted it", Mark(20, "operator", "extlb2", "restart"), 1),
        ("it was put there long before", Mark(5, "operator", "extlb2", "maintenance"), 1),
        ("it was made ill: a heal may not leave it there either", Mark(19, "injected", "extlb2", "haproxy_stopped"), 1),
        ("a drill", Mark(19, "drill", "extlb2"), 1),
    ],
)
def test_a_node_that_its_operator_keeps_off_is_nobodys_harm(name: str, mark: Mark, expected: int) -> None:
    assert left(SOFT, [mark]) == [kept_off("extlb2", LOWERED)] * expected, name


def test_what_a_heal_left_beside_its_operators_maintenance_is_harm() -> None:
    stopped = [seen(20, "extlb2", down=["haproxy"]), seen(30, "extlb2", -254, down=["haproxy"])]
    assert left(stopped, [Mark(20, "operator", "extlb2", "maintenance")]) == [kept_off("extlb2", FAULT)]


@pytest.mark.parametrize(
    ("name", "home", "preferred", "changes", "expected"),
    [
        ("never: the address stays away, as it shall", "never", HOME, TO_PEER, []),
        ("now: it shall go home", "now", HOME, TO_PEER, [kept_off(HOME, RAISED.format("extlb2"))]),
        ("never, but no home is said: nothing to park for", "never", "", TO_PEER,
         [kept_off(HOME, RAISED.format("extlb2"))]),
        ("never, but the address is home and held there", "never", HOME, [seen(20, HOME, 4, address=True)],
         [kept_off("extlb2", RAISED.format(HOME))]),
        ("never, and the home could not take it if the other died: FAULT", "never", HOME,
         [seen(20, HOME, -254), TO_PEER[1]], [kept_off(HOME, FAULT)]),
        ("never, and the home could not take it: its keepalived is dead", "never", HOME,
         [seen(20, HOME, down=["keepalived"]), TO_PEER[1]], [kept_off(HOME, "keepalived.service does not run")]),
        ("never, and the home could not take it: HAProxy is silent", "never", HOME,
         [*TO_PEER, *silent(HOME, 20)], [kept_off(HOME, "its HAProxy does not answer")]),
        ("never is done by raising the other, not by lowering the home", "never", HOME,
         [seen(20, HOME, -249), TO_PEER[1]], [kept_off(HOME, LOWERED)]),
    ],
)  # fmt: skip
def test_a_parked_hold_is_policy_as_long_as_the_home_could_take_the_address(
    name: str, home: str, preferred: str, changes: list[Sample], expected: list[str]
) -> None:
    assert left(changes, home=home, preferred=preferred) == expected, name


def test_the_time_of_the_harm_is_when_it_began() -> None:
    samples = [seen(0, HOME, address=True), seen(0, "extlb2"), seen(20, "extlb2", -254), seen(40, HOME, address=True)]
    assert [at for at, _ in harm(FARM, [], samples, END)] == [20]


@pytest.mark.parametrize(
    ("name", "samples", "expected"),
    [
        ("both offsets were read", [seen(0, HOME), seen(0, "extlb2", -1)], []),
        ("a record from before offsets were written down", [seen(0, HOME, None), seen(0, "extlb2", None)],
         [HOME, "extlb2"]),
        ("one that could not be read any more", [seen(0, HOME), seen(0, "extlb2", 4), seen(9, "extlb2", None)],
         ["extlb2"]),
        ("a node that was never seen", [seen(0, HOME)], ["extlb2"]),
        ("a machine that does not run has no offset to read", [seen(0, HOME), off(0, "extlb2")], []),
    ],
)  # fmt: skip
def test_what_the_record_does_not_tell_is_said(name: str, samples: list[Sample], expected: list[str]) -> None:
    assert not_known(FARM, samples) == [
        f"whether a hold was left over on {node}: no offset of its keepalived was seen at the end" for node in expected
    ], name


def test_an_old_record_has_no_holds_to_find_but_what_was_down() -> None:
    old: list[Sample] = [seen(0, HOME, None, address=True), seen(0, "extlb2", None)]
    assert harm(FARM, [], old, END) == []
    assert harm(FARM, [], [*old, seen(20, "extlb2", None, down=["keepalived"])], END) == [
        (20, kept_off("extlb2", "keepalived.service does not run"))
    ]


@pytest.mark.parametrize(("name", "offset", "unknown"), [("an old record", None, 2), ("a record of today", 0, 0)])
def test_the_report_says_what_is_not_known_beside_the_harm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, offset: int | None, unknown: int
) -> None:
    records.put_mark(tmp_path / records.MARKS, Mark(0, "start"))
    writer = records.Writer(tmp_path / records.SAMPLES)
    for node in (HOME, "extlb2"):
        writer.put(records.sample_row(seen(0, node, offset)))
    writer.flush()
    made = report.build(tmp_path, FARM, tmp_path / "no-faults", now=END)
    report.show(made)
    assert (made["harm"], len(made["not_known"])) == ([], unknown), name
    assert capsys.readouterr().out.count("not known: whether a hold was left over") == unknown
