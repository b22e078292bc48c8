# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A Nagios that is silent for ten minutes (simulated farm and clock): no heal, one line, and it goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfheal_cluster.healer.log import Troubles
from selfheal_cluster.healer.reading import Reading, written_at
from selfheal_cluster.healer.silence import HEARD, NOTHING, Deaf, silence
from tests.unit.healer.fake_farm import FakeFarm, FakeReader

SILENT_SECONDS = 600.0


def reading(fresh: bool = True, reason: str = "ok", problem: str = "", written: float | None = None) -> Reading:
    return Reading(100.0, 0.0, {}, fresh, reason, problem, written)


STOPPED = reading(False, "empty", "Nagios gave an empty answer.")
STALE = reading(False, "stale", "Nagios' data are 8 s old.", 92.0)
LOCKED = reading(False, "no_journal", "the journal is locked.")
DEAF = Deaf(90.0, "Nagios does not read pipe: it is not running.")


@pytest.mark.parametrize(
    ("seen", "deaf", "found"),
    [
        pytest.param(None, None, None, id="nobody knows yet"),
        pytest.param(reading(written=99.0), None, ("", ""), id="heard"),
        pytest.param(reading(), None, ("", ""), id="heard, and the pipe was never tried"),
        pytest.param(STOPPED, None, ("nagios", "empty: Nagios gave an empty answer"), id="stopped"),
        pytest.param(STALE, None, ("nagios", "stale: Nagios' data are 8 s old"), id="killed or hung"),
        pytest.param(STALE, DEAF, ("nagios", "stale: Nagios' data are 8 s old"), id="both tell it"),
        pytest.param(None, DEAF, ("nagios", "Nagios does not read pipe"), id="the pipe tells it before any reading"),
        pytest.param(reading(written=89.0), DEAF, ("nagios", "Nagios does not read"), id="data from before it died"),
        pytest.param(reading(written=92.0), DEAF, ("nagios", "Nagios does not read"), id="perhaps from before"),
        pytest.param(reading(written=None), DEAF, ("nagios", "Nagios does not read"), id="nobody knows from when"),
        pytest.param(reading(written=92.1), DEAF, ("", ""), id="it lives, only its pipe is broken"),
        pytest.param(LOCKED, None, ("readings", "no_journal: the journal is locked"), id="our own fault"),
        pytest.param(LOCKED, DEAF, ("readings", "no_journal: the journal is locked"), id="our own fault first"),
    ],
)
def test_whether_nagios_is_heard(seen: Reading | None, deaf: Deaf | None, found: tuple[str, str] | None) -> None:
    told = silence(seen, deaf)
    if not found or not found[0]:
        assert told == found
        return
    assert told is not None
    part, text = told
    assert part == found[0]
    assert text.startswith(found[1])
    assert "nothing is healed until" in text, "whoever reads the line must know that nothing is healed"
    assert ".;" not in text


@pytest.mark.parametrize(
    ("nagios", "at"),
    [
        ({"queried_at": 100.0, "age_seconds": 4.0}, 96.0), ({"queried_at": 100.0, "age_seconds": 0.0}, 100.0),
        ({"queried_at": None, "age_seconds": None}, None), ({"queried_at": 100.0, "age_seconds": None}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_when_the_data_were_written(nagios: dict[str, float | None], at: float | None) -> None:
    assert written_at(nagios) == at


@pytest.mark.parametrize(
    ("steps", "lines"),
    [
        pytest.param("+n -n", ["nagios: n", "nagios: n over"], id="only the cause"),
        pytest.param("+p -p", ["nagios: p", "nagios: p over"], id="only what it explains"),
        pytest.param("+n +p . -n -p", ["nagios: n", "nagios: n over"], id="both, over in one tick"),
        pytest.param("+n +p . -p . -n", ["nagios: n", "nagios: n over"], id="what it explains is over first"),
        pytest.param("+n +p . -n . -p", ["nagios: n", "nagios: n over; but: p", "nagios: p over"], id="pipe broken"),
        pytest.param("+p . +n . -n -p", ["nagios: p", "nagios: n", "nagios: n over"], id="the worse comes later"),
        pytest.param("+n +p . -n +n . -n -p", ["nagios: n", "nagios: n over"], id="never really over"),
        pytest.param("+n +n . +n", ["nagios: n"], id="once, however often"),
        pytest.param("+j -j", ["j: j", "j: j over"], id="another part"),
    ],
)
def test_one_line_for_one_cause(steps: str, lines: list[str]) -> None:
    said: list[str] = []
    troubles = Troubles(said.append)
    names = {"n": "nagios", "p": "pipe", "j": "j"}
    for step in steps.split():
        if step == ".":
            troubles.settle()
        elif step[0] == "+":
            troubles.begin(names[step[1]], step[1])
        else:
            troubles.end(names[step[1]], f"{step[1]} over")
    troubles.settle()
    assert said == lines


def watched(said: list[str]) -> list[str]:
    return [line for line in said if line.startswith("nagios:")]


@pytest.mark.parametrize("begun", [20.0, 31.0, 33.0], ids=["read first", "pipe first", "just after the pipe"])
@pytest.mark.parametrize("how", ["stopped", "killed", "stale"])
def test_ten_silent_minutes(tmp_path: Path, how: str, begun: float) -> None:
    farm = FakeFarm(tmp_path, layers=5)
    said: list[str] = []
    healer = farm.healer(said)
    farm.run(healer, begun - 15.0)
    farm.outcome = "undone"
    farm.fall_ill("n0-0")  # its heal goes back just before the silence, so that another one is due in it
    farm.run(healer, 12.0)
    farm.outcome = "healed"
    farm.fall_ill("n1-0")  # its heal runs when the silence begins
    farm.run(healer, 3.0)
    before = list(farm.started)
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM attempts")] == ["undone"]
    assert len(farm.units) == 1
    assert watched(said) == []
    offered = len(farm.offered)

    farm.fall_ill("n2-0")  # in the last data that Nagios writes, one with its last alert and one without
    farm.fall_ill("n4-0", alert=False)
    farm.fall_silent(how)
    farm.run(healer, 6.0)  # so long data count as fresh: three intervals, at least five seconds
    noticed, told = list(farm.started), len(farm.offered)
    farm.run(healer, SILENT_SECONDS / 2 - 6.0, step=2.0)
    farm.fall_ill("n3-0")
    farm.drop("n2-0", service="swap")
    farm.run(healer, SILENT_SECONDS / 2, step=2.0)
    assert farm.started == noticed, "a heal was begun on what cannot be believed"
    assert len(noticed) <= len(before) + 2 * (how != "stopped"), "only what was seen before it could be noticed"
    assert len(farm.refused) <= 1, "a run that looked itself and refused, begun by an alert as Nagios fell silent"
    assert farm.units == {}
    (line,) = watched(said)
    assert not [one for one in said[said.index(line) :] if " started as " in one], "the line says that none is begun"
    assert NOTHING in line
    if how != "stale" and begun == 31.0:
        assert "does not read pipe" in line, "this case is there because its pipe tells it first"
    beats = [sent.split(";")[3] for sent in farm.offered[told:] if ";monitor;selfheal;" in sent]
    assert set(beats) == {"2"}, "the heartbeat is not ok while nothing can be healed"
    assert len(beats) > SILENT_SECONDS / 60.0
    assert len(farm.offered) - offered < 150, "a Nagios that is silent is left alone"
    assert len(farm.rows("SELECT 1 FROM alerts WHERE outcome = ''")) >= 1, "no alert is thrown away meanwhile"

    farm.speak_again()
    farm.run(healer, 10.0)
    assert watched(said)[1:] == [f"nagios: {HEARD}"]
    assert [sent.split(";")[3] for sent in farm.commands if ";monitor;selfheal;" in sent][-1] == "0"
    farm.run(healer, 60.0)
    farm.fall_ill("n1-1")
    farm.run(healer, 60.0)
    assert farm.ill_since == {}
    healed = farm.rows("SELECT node FROM attempts WHERE outcome = 'healed' ORDER BY node")
    assert [row["node"] for row in healed] == ["n0-0", "n1-0", "n1-1", "n2-0", "n3-0", "n4-0"], (
        "each once, by nobody's help"
    )
    assert {row["state"] for row in farm.rows("SELECT state FROM incidents")} == {"closed"}
    assert farm.rows("SELECT 1 FROM alerts WHERE outcome = ''") == []
    assert len(watched(said)) == 2
    assert healer.troubles.now == {}


def test_a_pipe_that_is_broken_while_nagios_lives_stops_no_heal_for_long(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    said: list[str] = []
    healer = farm.healer(said)
    farm.run(healer, 20.0)
    farm.pipe_broken = True
    farm.run(healer, 60.0)
    first, second = watched(said)
    assert NOTHING in first
    assert second.startswith(f"nagios: {HEARD}; but: Nagios does not read pipe")
    farm.fall_ill("n0-0")
    farm.run(healer, 30.0)
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]
    farm.pipe_broken = False
    farm.run(healer, 40.0)
    assert watched(said)[2:] == ["nagios: takes commands again"]
    assert len(farm.told("ADD_HOST_COMMENT;n0-0")) == 1


def test_a_dead_pipe_stops_heals_while_frozen_data_still_look_young(tmp_path: Path) -> None:
    farm = FakeFarm(tmp_path)
    farm.interval = 10.0  # Nagios' default: its data count as fresh for half a minute
    said: list[str] = []
    healer = farm.healer(said)
    farm.run(healer, 31.0)
    farm.fall_ill("n0-0", alert=False)
    farm.fall_silent("killed")
    farm.run(healer, 20.0)
    assert farm.freshness()["fresh"], "the case is no trial any more"
    assert len(watched(said)) == 1
    assert farm.started == []
    farm.run(healer, 40.0)
    farm.speak_again()
    farm.run(healer, 20.0)
    assert watched(said)[1:] == [f"nagios: {HEARD}"]
    assert [row["outcome"] for row in farm.rows("SELECT outcome FROM incidents")] == ["healed"]


def test_a_layer_that_nagios_shows_in_part_is_not_healed_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = FakeFarm(tmp_path, layers=2)
    said: list[str] = []
    healer = farm.healer(said)
    missing = "Nagios shows 5 of 6 nodes: missing n0-2."
    whole = FakeReader.collect

    def part(reader: FakeReader) -> Reading | None:
        seen = whole(reader)
        if seen is not None and missing:
            seen.unseen = missing
            for node in ("n0-0", "n0-1", "n0-2"):
                seen.verdicts[node]["unseen"] = missing
        return seen

    monkeypatch.setattr(FakeReader, "collect", part)
    farm.run(healer, 15.0)
    farm.fall_ill("n0-0")
    farm.fall_ill("n1-0")
    farm.run(healer, 120.0)
    assert [unit for unit in farm.started if "n0-0" in unit] == []
    assert farm.refused == [], "a run that its own plan refuses is not begun"
    assert "n1-0" not in farm.ill_since, "the other layer was healed meanwhile"
    (line,) = [line for line in said if line.startswith("nodes:")]
    assert "missing n0-2; its layer is not healed until then" in line
    missing = ""
    farm.run(healer, 120.0)
    assert farm.ill_since == {}
    assert "nodes: Nagios shows them all" in said
