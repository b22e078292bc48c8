# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What Nagios' own looks saw where nobody counts requests: out of readings, out of the ring, and into the journal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _felt_looks
from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_healer as healer
from ansible_collections.selfheal.cluster.plugins.module_utils._felt_looks import looks, words
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_lease import SPEC, answer
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from tests.unit.journal.helpers import NOW, new, question

LETTERS = {"o": "ok", "w": "warning", "c": "critical", "u": "unknown"}


def look(state: str, at: float | None, service: str = "http", node: str = "shop", **more: Any) -> dict[str, Any]:
    return {"node": node, "gauge": "http", "service": service, "state": state, "at": at, **more}


@pytest.mark.parametrize(
    ("seen", "expected", "reason"),
    [
        ("ooo", (3, 0, 0.0), "nothing failed"),
        ("occo", (4, 2, 30.0), "from the last good look to the next good one"),
        ("ocoocco", (7, 3, 30.0), "the longest of two"),
        ("cco", (3, 2, 30.0), "ill from the beginning: since the node was last well"),
        ("occ", (3, 2, 190.0), "never well again: until the end"),
        ("cc", (2, 2, 200.0), "not one good look"),
        ("owo", (3, 0, 0.0), "slow, but answered"),
        ("ouo", (2, 0, 0.0), "a check that could not look says nothing"),
        ("ouco", (3, 1, 30.0), "and is no good look either"),
        ("", None, "no look"),
        ("u", None, "none that could look"),
    ],
)
def test_looks_of_one_service(seen: str, expected: tuple[int, int, float] | None, reason: str) -> None:
    told = looks([look(LETTERS[one], 10.0 * (place + 1)) for place, one in enumerate(seen)], 0.0, 200.0)
    rows = [(row["looks"], row["failed"], row["longest_seconds"]) for row in told["services"]]
    assert rows == ([expected] if expected else []), reason


def test_each_look_counts_once_and_only_in_its_time() -> None:
    told = looks(
        [
            look("critical", 9.0), look("ok", 10.0), look("critical", 15.0), look("critical", 15.0),
            look("ok", 20.0), look("critical", 21.0), look("ok", None), look("ok", 12.0, gauge="kubernetes"),
            look("critical", 15.0, "http 30011"), look("ok", 15.0, node="other"),
        ],
        10.0,
        20.0,
    )  # fmt: skip
    assert [(row["node"], row["service"], row["looks"], row["failed"]) for row in told["services"]] == [
        ("other", "http", 1, 0), ("shop", "http", 3, 1), ("shop", "http 30011", 1, 1),
    ]  # fmt: skip


def test_the_worst_services_are_told_by_name_and_the_others_counted() -> None:
    services = [
        {"node": f"n{place}", "service": "http", "looks": 5, "failed": int(place in (3, 20)), "longest_seconds": 2.0}
        for place in range(21)
    ]
    told = words({"begin": 0.0, "end": 20.0, "services": services}, "kw1")
    assert told[1:3] == [f"  n{one} http: 5 looks, 1 failed, no answer for at most 2.0 s" for one in (3, 20)]
    assert (len(told), told[-1]) == (10, "  13 further services, none of them with failed looks")


@pytest.mark.parametrize("what", [None, {}, {"services": []}, {"services": [7]}, {"services": "x"}, [1]])
def test_where_nobody_looked_nothing_is_said(what: Any) -> None:
    assert words(what, "kw1") == []


def test_strange_figures_are_no_error() -> None:
    row = {"node": None, "service": "3\x1b[2J", "looks": "x", "failed": True, "longest_seconds": None}
    assert words({"begin": None, "services": [row]}, "kw1")[1] == "  None 3\\x1b[2J: 0 looks, none failed"


def _ring(journal: Any, node: str, verdict: str, state: str, at: float) -> None:
    healer.add_readings(journal, {node: {"verdict": verdict, "readings": [look(state, at, node=node)]}}, at)


def _released(tmp_path: Path, heal: dict[str, Any], looked_at: list[str], detail: Any) -> dict[str, Any]:
    params = {key: option.get("default") for key, option in SPEC.items()}
    params.update(
        incident=heal["incident"], epoch=heal["epoch"], state="released", outcome="healed", detail=detail,
        looked_at=looked_at, journal=str(tmp_path / "journal.db"),
    )  # fmt: skip
    return answer(params, NOW + 60, False)


def test_the_looks_since_the_node_was_last_well_are_kept_with_the_attempt(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        _ring(journal, "shop", "ok", "critical", NOW - 50)  # before the node fell ill: no part of this
        _ring(journal, "ei1", "ok", "ok", NOW - 40)
        _ring(journal, "shop", "ok", "ok", NOW - 30)
        _ring(journal, "ei1", "suspect", "ok", NOW - 20)
        _ring(journal, "shop", "suspect", "critical", NOW - 10)
        heal = journal.decide(question(), NOW)
        _ring(journal, "shop", "ok", "ok", NOW + 5)
        _ring(journal, "ei1", "ok", "ok", NOW + 50)
    felt = {"gaps": [{"balancer": "kubernetes", "reason": "no_counters"}]}
    result = _released(tmp_path, heal, ["shop"], {"problems": [], "felt": felt})
    told = {
        "begin": NOW - 40,
        "end": NOW + 60,
        "services": [{"node": "shop", "service": "http", "looks": 3, "failed": 1, "longest_seconds": 35.0}],
    }
    assert result["looks"] == told
    with Journal(str(tmp_path / "journal.db")) as journal:
        kept = json.loads(journal.rows("SELECT detail FROM attempts")[0]["detail"])
    assert kept == {"problems": [], "felt": {**felt, "looks": told}}


def test_without_workloads_the_detail_is_what_it_was(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
    assert _released(tmp_path, heal, [], {"felt": None})["looks"] is None
    with Journal(str(tmp_path / "journal.db")) as journal:
        assert json.loads(journal.rows("SELECT detail FROM attempts")[0]["detail"]) == {"felt": None}


@pytest.mark.parametrize("body", ["{", "7", '{"readings": [3]}', '{"readings": 5}'])
def test_a_ring_that_cannot_be_read_does_not_hold_up_the_end(tmp_path: Path, body: str) -> None:
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        with journal.db:
            journal.db.execute("INSERT INTO readings (node, at, body) VALUES ('shop', ?, ?)", (NOW + 1, body))
    assert _released(tmp_path, heal, ["shop"], {})["looks"] is None
    with Journal(str(tmp_path / "journal.db")) as journal:
        assert journal.rows("SELECT outcome FROM attempts") == [{"outcome": "healed"}]


def test_an_incident_that_nobody_knows_has_no_looks(tmp_path: Path) -> None:
    with new(tmp_path) as journal:
        assert _felt_looks.of(journal, "nobody", ["shop"], NOW) is None
