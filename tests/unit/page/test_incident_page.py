# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The page of an incident: it opens offline, hides nothing, and nothing from outside becomes markup or a template."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import release
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_read import overview
from selfheal_cluster import view as views
from selfheal_cluster.page import incident_page, judged
from selfheal_cluster.page.duty import duties, verdict
from tests.unit.journal.helpers import NOW, new, question
from tests.unit.pages import read

ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "strong", "ul", "li", "div", "table",
    "thead", "tbody", "tr", "th", "td", "svg", "defs", "pattern", "rect", "path", "text",
}  # fmt: skip


def whole() -> dict[str, Any]:
    """Everything that the journal may give about one incident."""
    plan = {
        "strategy": "lb_detach", "would": ["shift: take ei1 out"], "notes": ["it is the second time"],
        "refusals": [{"reason": "below_minimum", "detail": "1 of 2 would be left"}],
    }  # fmt: skip
    reading = {"gauge": "memory", "service": "memory", "label": "avail", "value": 0.031, "unit": "ratio",
               "verdict": "faulty", "state": "critical", "at": 999.0, "age_seconds": 2.0}  # fmt: skip
    fine = {**reading, "gauge": "http", "service": "http", "value": 0.5, "unit": "s", "verdict": "ok"}
    server = {"server": "ei1", "operational": "running", "admin": "ready", "check": "L7OK", "weight": 100,
              "sessions": 3, "queue": 0, "errors_5xx": 17}  # fmt: skip
    basis = {
        "node": "ei1", "mode": "act", "plan": plan, "nagios": {"message": "fresh"},
        "verdict": {"verdict": "faulty", "kind": "resource", "readings": [fine, reading]},
        "twins": [{"node": "ei2", "verdict": "ok", "kind": None, "reasons": ["calm"]}],
        "balancers": [{"balancer": "extlb1", "reachable": True, "servers": [server]},
                      {"balancer": "extlb2", "reachable": False, "error": "No route", "servers": []}],
        "pair": {"extlb1": {"instance": {"state": "MASTER", "address_present": True}, "service": {"ok": True},
                            "members_up": 3}},
    }  # fmt: skip
    felt = {
        "balancers": ["extlb1", "extlb3"], "begin": 1000.0, "end": 1011.5, "phases": ["confirm", "soak"], "tcp": False,
        "total": {"stot": 12345, "econ": 2, "eresp": 6}, "node": {"stot": 77, "econ": 1, "eresp": 4},
        "backends": [{"backend": "be_ei", "counters": {"stot": 12340, "econ": 1, "eresp": 6}},
                     {"backend": "be_two", "counters": {"stot": 5, "econ": 1}}],
        "gaps": [{"balancer": "extlb2", "reason": "restarted"},
                 {"balancer": "extlb3", "reason": "ended", "phase": "readmit"}],
    }  # fmt: skip
    phases = [("confirm", 1000.0, 1001.5), ("shift", 1001.5, 1002.0), ("soak", 1002.0, 1012.0)]
    return {
        "incident": {"incident": "I-1", "node": "ei1", "layer": "ei", "illness": "resource", "state": "open",
                     "reasons": ["memory 97 %"], "outcome": "left_out", "opened_at": 990.0, "closed_at": None,
                     "taken": True, "approved": True},
        "decisions": [{"id": 2, "at": 1000.5, "admitted": True, "summary": "heal ei1", "reasons": [], "basis": basis},
                      {"id": 1, "at": 995.0, "admitted": False, "summary": "ei1 is not healed",
                       "reasons": ["below_minimum"], "basis": basis}],
        "attempts": [{"attempt": 1, "at": 1000.0, "ended_at": 1012.0, "outcome": "left_out", "rung": "service",
                      "epoch": 7, "reason": "drill", "owner": {"user": "anna", "host": "desk"}, "detail": {
                          "phases": [{"name": n, "started": a, "ended": b} for n, a, b in phases],
                          "traffic_safe_at": 1002.0, "restored_at": None, "problems": ["the check stayed red"],
                          "unverified": False, "felt": felt,
                          "read_again": {"verdict": "faulty", "reasons": ["memory: <b>97 %</b>"]}}}],
        "phases": [], "leases": [],
        "words": [{"at": 1013.0, "word": "take", "by": "bob@desk", "reason": "I look"}],
        "alerts": [{"at": 989.0, "service": "memory", "state": "CRITICAL", "type": "HARD", "attempt": 3,
                    "outcome": "opened", "reason": "it is faulty"}],
        "calls": [{"at": 1012.5, "reason": "left_out", "text": "ei1 stays out of traffic"}],
        "runs": [{"number": 1, "unit": "selfheal-heal@I-1-1.service", "started_at": 999.0, "ended_at": 1013.0,
                  "outcome": "left_out"}],
        "evidence": [{"folder": "/var/lib/selfheal/evidence/I-1/7", "file": "ei1.processes.txt", "bytes": 4711}],
        "judge": {"sent": 3000, "failed": 12, "longest_gap": 0.05, "harm": ["two nodes out"],
                  "seconds": {"injected_to_safe": 2.5}},
    }  # fmt: skip


def test_everything_is_on_the_page() -> None:
    text = " ".join(" ".join(read(incident_page(whole())).text).split())
    for words in (
        "Incident I-1", "A person has taken it over. Not healed: the node stays out of traffic",
        "bob@desk has it. When it is settled: selfheal ack I-1", "Look at ei1.", "the check stayed red", "memory 97 %",
        "1 of 2 would be left", "Attempt 1: left_out", "anna@desk", "as drill", "epoch 7", "traffic safe",
        "it is the second time", "shift: take ei1 out", "3.1 %", "Verdict at", "faulty", "calm", "MASTER",
        "extlb2 gave no answer: No route", "errors 5xx", "17", "As the judge counted", "two nodes out", "50 ms",
        "ei1.processes.txt", "4711", "CRITICAL", "opened", "selfheal-heal@I-1-1.service", "it is faulty",
        "Nagios after the heal: faulty: memory: <b>97 %</b>", "A person was called", "ei1 stays out of traffic",
        "The plan was the same",
    ):  # fmt: skip
        assert words in text, words
    assert text.index("faulty memory") < text.index("ok http"), "the worst reading comes first"
    assert text.index("refused (mode act)") < text.index("admitted (mode act)"), "in the order of time"


def test_what_clients_felt_by_the_balancers_counters() -> None:
    data = whole()
    text = " ".join(" ".join(read(incident_page(data)).text).split())
    for words in (
        "By the balancers' counters, during attempt 1", "As counted by extlb1, extlb3 from confirm to soak, in 11.5 s:",
        "requests failed connections failed responses in all 12,345 2 6 backend be_ei 12,340 1 6 "
        "backend be_two 5 1 - of these at ei1 77 1 4",
        "extlb2 is not counted: it was restarted or reloaded", "extlb3 is counted only until readmit",
    ):  # fmt: skip
        assert words in text, words
    assert "aborted by" not in text, "a counter that no row has"
    felt = data["attempts"][0]["detail"]["felt"]
    felt["backends"].pop()
    felt["gaps"].clear()
    text = " ".join(read(incident_page(data)).text)
    assert "in all" not in text and "backend be_ei" in text, "one backend is all there is"
    felt.update(total=None, node=None, backends=[], balancers=[])
    assert "Not known." in " ".join(read(incident_page(data)).text)
    looks = {"node": "shop", "service": "http <b>", "looks": 9, "failed": 1, "longest_seconds": 4.0}
    felt["looks"] = {"begin": 1000.0, "end": 1012.0, "services": [looks]}
    text = " ".join(" ".join(read(incident_page(data)).text).split())
    assert "since ei1 was last well, 12 s: shop http <b>: 9 looks, 1 failed, no answer for at most 4.0 s" in text


def test_a_heal_of_a_version_that_did_not_count_has_its_page_as_before() -> None:
    data = whole()
    del data["judge"]
    assert "Nobody counted at the clients." in " ".join(read(incident_page(data)).text)
    del data["attempts"][0]["detail"]["felt"]
    text = " ".join(read(incident_page(data)).text)
    assert "Nobody counted at the clients; what follows is what the balancers said" in text
    assert "By the balancers' counters" not in text


def test_it_opens_offline_and_runs_nothing() -> None:
    page = read(incident_page(whole()))
    assert set(page.tags) <= ALLOWED
    assert page.active == []
    text = incident_page(whole())
    assert "http:" not in text and "https:" not in text and "@import" not in text and "url(http" not in text


def test_phases_are_a_bar_and_a_table_and_never_only_colour() -> None:
    page = read(incident_page(whole()))
    assert page.tags.count("svg") == 1 and page.tags.count("pattern") == 3
    text = incident_page(whole())
    assert 'aria-label="confirm 1.5 s, shift 500 ms, soak 10.0 s"' in text
    assert '<td>shift</td><td class="n">1.5 s</td><td class="n">500 ms</td>' in text


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in the data, and to every name of a value that is data itself."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*path, index))
    else:
        yield path


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*191 }}{% raw %}</style></title>\x1b[2J\u202e"
PLACES = list(places(whole()))


@pytest.mark.parametrize("path", PLACES, ids=[".".join(map(str, path)) for path in PLACES])
def test_hostile_text_in_every_field_stays_text(path: tuple[Any, ...]) -> None:
    data = whole()
    inside: Any = data
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = HOSTILE
    text = incident_page(data)
    page = read(text)
    assert set(page.tags) <= ALLOWED and page.active == []
    assert "<script" not in text and "<img" not in text and "\x1b" not in text and "\u202e" not in text
    assert "1337" not in text
    assert text.count("</style>") == 1 and text.split("<body>")[0].count("</title>") == 1


def test_hostile_names_of_counters_balancers_and_phases_stay_text() -> None:
    data = whole()
    basis = data["decisions"][0]["basis"]
    basis["balancers"][0]["servers"][0][HOSTILE] = 3
    basis["pair"] = {HOSTILE: basis["pair"]["extlb1"]}
    data["attempts"][0]["detail"]["phases"][0]["name"] = HOSTILE
    text = incident_page(data)
    assert set(read(text).tags) <= ALLOWED
    assert text.count("&lt;script&gt;") >= 3


STRANGE: list[Any] = [None, 5, "text", [], {}, [None], [5], ["x"], [[]], {"a": 1}, float("nan"), float("inf"), True, -1]


@pytest.mark.parametrize("strange", STRANGE, ids=repr)
def test_data_of_a_strange_type_leaves_a_page(strange: Any) -> None:
    for key in whole():
        read(incident_page({**whole(), key: strange}))
    for path in PLACES if strange in (None, 5, [], {"a": 1}, -1) else ():
        data = copy.deepcopy(whole())
        inside: Any = data
        for key in path[:-1]:
            inside = inside[key]
        inside[path[-1]] = strange
        read(incident_page(data))
    for key in ("verdict", "twins", "balancers", "pair", "plan", "nagios"):
        data = whole()
        data["decisions"][0]["basis"][key] = strange
        incident_page(data)


def test_an_empty_journal_leaves_a_page_that_says_so() -> None:
    text = " ".join(read(incident_page({})).text)
    for words in ("No heal was begun", "No decision is kept", "No reading is kept", "Nobody counted at the clients",
                  "No balancer's word", "No evidence is kept"):  # fmt: skip
        assert words in text


DUTIES = [
    ({"state": "closed", "outcome": "healed"}, [], "Nothing: it is closed.", "Healed and verified."),
    ({"outcome": "left_out"}, [], "Look at ei1. When it is settled: selfheal ack I", "stays out of traffic"),
    ({"outcome": "failed"}, [], "Look at ei1.", "failed"),
    ({}, ["mode_approve"], "selfheal approve I", "nothing was done yet"),
    ({}, ["mode_observe"], "Layer ei only observes", "nothing was done yet"),
    ({}, ["paused"], "selfheal resume", "nothing was done yet"),
    ({}, ["lease_taken"], "looked at again by itself", "nothing was done yet"),
    ({"taken": True, "outcome": "undone"}, [], "a person has it", "taken it over. Not healed: the node serves"),
    ({"state": "closed", "outcome": "acknowledged by anna"}, [], "Nothing", "settled it (acknowledged by anna)"),
    ({"state": "closed", "outcome": "strange"}, [], "Nothing", "It ended as: strange."),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "reasons", "duty", "says"), DUTIES)
def test_what_a_person_has_to_do(changes: dict[str, Any], reasons: list[str], duty: str, says: str) -> None:
    head = {"incident": "I", "node": "ei1", "layer": "ei", "state": "open", **changes}
    told = [{"admitted": False, "reasons": reasons}] if reasons else []
    assert duty in " ".join(duties(head, told, [], []))
    assert says in verdict(head, [])


def test_a_node_that_came_back_unverified_is_told() -> None:
    head = {"incident": "I", "node": "ei1", "state": "closed", "outcome": "healed"}
    assert "unverified" in duties(head, [], [{"detail": {"unverified": True}}], [])[0]


def test_a_heal_under_way_can_be_asked_to_go_back() -> None:
    head = {"incident": "I", "node": "ei1", "state": "open"}
    assert "selfheal abort I" in duties(head, [], [{"outcome": None}], [])[0]
    assert verdict(head, [{"outcome": None}]) == "A heal is under way."


def test_a_page_of_a_real_journal(tmp_path: Path) -> None:
    """Through the journal and the command's own selection, with evidence beside it."""
    with new(tmp_path) as journal:
        heal = journal.decide(question(), NOW)
        assert not journal.decide(question(owner={"user": "bob", "host": "other"}), NOW + 1)["admitted"]
        detail = {"phases": [{"name": "confirm", "started": NOW, "ended": NOW + 2}], "problems": ["one problem"]}
        release(journal, heal["incident"], heal["epoch"], "healed", detail, NOW + 9)
        folder = tmp_path / "evidence" / heal["incident"] / str(heal["epoch"])
        folder.mkdir(parents=True)
        (folder / "note.txt").write_text("seen", encoding="utf-8")
        view = overview(journal, NOW + 10, heal["incident"], 500, False)
    with Journal(str(tmp_path / "journal.db")) as again:
        assert overview(again, NOW + 10, None, 500, False)["decisions"][0].get("basis") is None, "only for one"
    data = views.one_incident(json.loads(json.dumps(view)), heal["incident"])
    assert data is not None
    text = " ".join(read(incident_page(data)).text)
    for words in ("Healed and verified.", "memory 97 %", "heal ei1 of layer ei", "one problem", "note.txt", "extlb1",
                  "anna@desk", "ei2", "L7OK", "refused (mode act)", "admitted (mode act)", "lease_taken"):  # fmt: skip
        assert words in text, words


def test_the_judge_is_asked_for_the_same_node_at_the_same_time() -> None:
    view = {"incident": {"node": "ei1", "opened_at": 1000.0, "closed_at": 1100.0}}
    report = {"incidents": [
        {"node": "ei2", "begin": 1000.0, "end": 1050.0, "sent": 1},
        {"node": "ei1", "begin": 100.0, "end": 200.0, "sent": 2},
        {"node": "ei1", "begin": 990.0, "end": 1090.0, "sent": 3},
        {"node": "ei1", "begin": 1200.0, "end": 1300.0, "sent": 4},
    ]}  # fmt: skip
    assert judged(report, view)["sent"] == 3
    assert judged({"incidents": []}, view) == {} and judged("text", view) == {} and judged(report, {}) == {}


def test_the_page_as_a_process_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from selfheal_cluster.page.__main__ import main

    with new(tmp_path) as journal:
        incident = journal.decide(question(), NOW)["incident"]
    path, out = str(tmp_path / "journal.db"), tmp_path / "page.html"
    assert main(["--journal", path, "--incident", incident, "--out", str(out)]) == 0
    assert "A heal is under way" in out.read_text(encoding="utf-8")
    changed_since = out.stat().st_ctime - out.stat().st_mtime
    assert changed_since > 0, "its time is when the journal was read, not when the file was written"
    assert main(["--journal", path, "--incident", "nobody", "--out", str(out)]) == 1
    assert "the journal knows no incident nobody" in capsys.readouterr().err
    assert main(["--journal", path, "--incident", incident, "--out", str(tmp_path / "no" / "x.html")]) == 1
    assert main(["--journal", str(tmp_path / "no.db"), "--incident", incident, "--out", str(out)]) == 1
    assert [path.name for path in tmp_path.glob("*.html*")] == ["page.html"]
    assert not list(tmp_path.glob(".page*"))
