# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""On the healer's machine the journal is read directly, without Ansible; whatever is wrong with it is one sentence."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_read
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_healer import begin_run, open_incident
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import release
from selfheal_cluster import local
from tests.unit.cli.conftest import Ansible, Monitor, Said
from tests.unit.journal.helpers import NOW, UNIT, new, opened, question

Call = Callable[..., Said]
HOSTILE = "\x1b[2J\x1b]0;x\x07[bold red]x[/]<script>alert(1)</script>\u202e"


def healing(monitor: Monitor) -> str:
    """A heal of the healer's that runs since ten seconds."""
    begun = time.time() - 10
    with new(monitor.folder) as journal:
        incident = opened(journal, now=begun)
        begin_run(journal, incident, UNIT, begun)
        assert journal.decide({**question(), "incident": incident}, begun + 2)["admitted"]
    monitor.run(
        f"{incident}-1",
        {"incident": incident, "status": "acting", "phase": "evidence", "phase_started": begun + 4, "attempt": 1,
         "phases": [{"name": "confirm", "started": begun + 1, "ended": begun + 3},
                    {"name": "shift", "started": begun + 3, "ended": begun + 4}]},
        _7={"play": "Drain and take evidence", "task": "Take evidence", "host": "ei1"},
    )  # fmt: skip
    return incident


def test_show_of_a_running_heal(selfheal: Call, ansible: Ansible, monitor: Monitor) -> None:
    incident = healing(monitor)
    said = selfheal("show", incident).stdout
    for words in ("Attempt 1: under way", "confirm   2.0 s", "shift     1.0 s", "evidence", "now: Take evidence",
                  f"unit selfheal-heal@{incident}-1.service", "it began 10."):  # fmt: skip
        assert words in said, words
    data = json.loads(selfheal("show", incident, "--json").stdout)
    assert data["running"][0]["phase"] == "evidence" and 5 < data["running"][0]["phase_seconds"] < 60
    assert ansible.calls == [], "no playbook was started"


def test_status_of_a_running_heal_by_the_playbook_and_by_itself(
    selfheal: Call, ansible: Ansible, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the playbook hands over has the same shape as what is read here; it asks the machines for holds besides."""
    incident = healing(monitor)
    config = local.here([])
    assert config is not None
    view = local.status(config)
    assert view["holds"] is None and view["blind"] == {}
    ansible.plays({"result": {"status": json.loads(json.dumps({**view, "holds": []}))}})
    said = selfheal("status").stdout
    for words in (
        "Heals under way",
        "evidence",
        "confirm 2.0 s, shift 1.0 s",
        "Take evidence",
        incident,
        "Holds: none",
    ):
        assert words in said, words
    assert len(ansible.calls) == 1

    def leave(seconds: float) -> None:
        assert seconds == 0.5
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", leave)
    from selfheal_cluster import watch

    monkeypatch.setattr(watch.watch, "__defaults__", (leave,))
    done = selfheal("status", "--watch", "--every", "0.5")
    assert done.exit_code == 0 and "ei1: evidence (after confirm 2.0 s, shift 1.0 s)" in done.stdout
    assert "Holds" not in done.stdout
    assert len(ansible.calls) == 1, "watching starts no playbook here"


def test_watch_is_for_people(selfheal: Call, monitor: Monitor) -> None:
    done = selfheal("status", "--watch", "--json")
    assert done.exit_code == 2 and "exclude each other" in done.stderr


@pytest.mark.parametrize("why", ["another inventory", "environment", "another owner", "no healer"])
def test_elsewhere_the_playbook_asks(
    selfheal: Call, ansible: Ansible, monitor: Monitor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, why: str
) -> None:
    words = ["history"]
    if why == "another inventory":
        (tmp_path / "hosts.yml").write_text("all: {}", encoding="utf-8")
        words += ["-i", str(tmp_path / "hosts.yml")]
    elif why == "environment":
        monkeypatch.setenv("ANSIBLE_INVENTORY", "/another/farm")
    elif why == "another owner":
        monkeypatch.setattr("os.geteuid", lambda: 4711)
    else:
        monkeypatch.setenv("SELFHEAL_CONFIG", str(tmp_path / "none.json"))
    ansible.plays({"result": {"journal": {"present": True, "host": "monitor", "incidents": []}}})
    assert selfheal(*words).stdout == "Incidents: none\n"
    assert ansible.calls[0]["argv"][0] == "selfheal.cluster.journal"


def spoil(path: Path, how: str) -> None:
    """What may be where the journal should be."""
    if how in ("none", "no folder"):
        path.unlink()
        if how == "no folder":
            path.parent.rename(path.parent.with_name("gone"))
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_bytes(b"no database at all, " * 100)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA {how}")
        connection.close()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("none", "no journal at "),
        ("no folder", "no journal at "),
        ("empty", "is empty: remove it and let heal_journal make a new one"),
        ("text", "damaged"),
        ("user_version = 1", "has schema 1, this version of selfheal.cluster knows 2: let heal_journal bring it up"),
        ("user_version = 9", "has schema 9, this version of selfheal.cluster knows 2: use one version everywhere"),
        ("application_id = 7", "is a database, but no journal of selfheal.cluster"),
    ],
)
def test_a_journal_that_is_none(selfheal: Call, ansible: Ansible, monitor: Monitor, how: str, says: str) -> None:
    spoil(Path(monitor.journal), how)
    for words in (("history",), ("show", "ei1-x"), ("page", "ei1-x"), ("history", "--json")):
        done = selfheal(*words)
        assert done.exit_code == 1, words
        assert says in done.stderr and "Next: " in done.stderr and done.stdout == ""
        assert "Traceback" not in done.stderr
    config = local.here([])
    assert config is not None
    assert says in local.status(config)["journal"]["error"], "status goes on with what it knows, and says so"
    assert ansible.calls == []


def test_a_row_that_we_did_not_write(selfheal: Call, monitor: Monitor) -> None:
    with new(monitor.folder) as journal:
        incident = opened(journal)
        journal.db.execute("UPDATE incidents SET reasons = '{'")
    done = selfheal("show", incident)
    assert done.exit_code == 1 and "is damaged" in done.stderr and "Traceback" not in done.stderr


def test_a_new_journal_has_nothing_to_tell(selfheal: Call, monitor: Monitor) -> None:
    done = selfheal("history")
    assert (done.exit_code, done.stdout) == (0, "Incidents: none\n")
    assert json.loads(selfheal("history", "--json").stdout) == []


@pytest.mark.parametrize("word", ["show", "page"])
def test_an_incident_that_is_not_there(selfheal: Call, monitor: Monitor, word: str) -> None:
    with new(monitor.folder) as journal:
        incident = opened(journal)
    done = selfheal(word, "ei1")
    assert done.exit_code == 2 and f"did you mean {incident}?" in done.stderr
    done = selfheal(word, "zzz")
    assert done.exit_code == 2 and "see them with: selfheal history" in done.stderr
    assert selfheal(word, "../../etc/passwd").exit_code == 2
    assert not list(Path.cwd().glob("*.html"))


def test_text_from_outside_reaches_the_terminal_as_text(selfheal: Call, monitor: Monitor) -> None:
    with new(monitor.folder) as journal:
        incident = open_incident(journal, "ei1", "ei", HOSTILE, [HOSTILE], NOW)
        begin_run(journal, incident, UNIT, NOW)
        heal = journal.decide({**question(), "incident": incident}, NOW)
        detail = {"phases": [], "problems": [HOSTILE]}
        release(journal, incident, heal["epoch"], "left_out", detail, NOW + 9)
    monitor.run(f"{incident}-1", {"incident": incident, "phase": HOSTILE, "phase_started": NOW, "problems": [HOSTILE]},
                _1={"play": HOSTILE, "task": HOSTILE})  # fmt: skip
    for words in (("show", incident), ("history",)):
        said = selfheal(*words).stdout
        assert not set(said) & {"\x1b", "\x07", "\u202e"}, words
        assert "\\x1b[2J\\x1b]0;x\\x07[bold red]x[/]<script>" in said.replace("\n", ""), words
    page = selfheal("page", incident, "-o", "-").stdout
    assert "<script" not in page and "\x1b" not in page and "&lt;script&gt;" in page
    assert "\x1b" not in selfheal("show", incident, "--json").stdout


PAIR = {"node": "extlb1", "ill": {"extlb1": "resource"}}


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ({"policy": {"ei": {"mode": "observe"}}}, "would have: detach ei1, restart ei.service, return"),
        ({"policy": {"ei": {"mode": "approve"}}, "snapshot": {"origin": "healer"}},
         "would: detach ei1, restart ei.service, return"),
        ({"policy": {"ei": {"mode": "observe"}}, "ill": {"ei1": "storage"}},
         "would not: a full disk of ei1 is relieved by a person, never restarted away"),
        ({"policy": {"ei": {"mode": "observe"}}, "ill": {}, "snapshot": {"paused": True}},
         "would not: all new heals are paused (and 1 more reason)"),
        ({"policy": {"ei": {"mode": "observe", "service": "", "reboot": True}}},
         "would have: detach ei1, reboot ei1, return"),
        ({**PAIR, "policy": {"extlb": {"mode": "observe"}}},
         "would have: move the address to extlb2, restart haproxy.service, return"),
        ({}, ""),
    ],
)  # fmt: skip
def test_what_would_have_been_done_by_the_newest_decision(
    selfheal: Call, monitor: Monitor, case: dict[str, Any], line: str
) -> None:
    case = dict(case)
    node = case.pop("node", "ei1")
    with new(monitor.folder) as journal:
        incident = open_incident(journal, node, "ei", "resource", ["memory 97 %"], NOW)
        journal.decide({**question(node, **case), "incident": incident}, NOW + 2)
    rows = json.loads(selfheal("history", "--json").stdout)
    assert [row["would"] for row in rows] == [line]
    assert json.loads(selfheal("show", incident, "--json").stdout)["incident"]["would"] == line
    for words in (("history",), ("show", incident)):
        said = selfheal(*words).stdout
        assert line in said and ("would" in said) == bool(line), words
    config = local.here([])
    assert config is not None
    assert local.status(config)["journal"]["incidents"][0]["would"] == line


def test_a_reading_is_shown_beside_the_mark_that_raised_it(selfheal: Call, monitor: Monitor) -> None:
    reading = {"gauge": "memory", "service": "memory", "label": "used", "value": 0.97, "unit": "ratio", "at": NOW - 7,
               "age_seconds": 7.0, "state": "critical", "verdict": "faulty"}  # fmt: skip
    verdict = {"verdict": "faulty", "kind": "resource", "reasons": ["memory is short."], "readings": [reading]}
    gauges = [{"name": "memory", "service": "memory", "label": "gone", "raise_at": 0.5, "clear_at": 0.4,
               "alternatives": [{"label": "us*", "raise_at": 0.9}]}]  # fmt: skip
    with new(monitor.folder) as journal:
        incident = opened(journal)
        asked = question(snapshot={"verdicts": {"ei1": verdict}}, policy={"ei": {"gauges": gauges}})
        journal.decide({**asked, "incident": incident}, NOW + 2)
    said = selfheal("show", incident).stdout
    assert "faulty   memory  memory  used   97 %   90 %   7 s" in said
    assert json.loads(selfheal("show", incident, "--json").stdout)["decisions"][0]["basis"]["verdict"]["readings"] == [
        {**reading, "raise_at": 0.9}
    ]


def test_what_would_have_been_done_has_an_end(
    selfheal: Call, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new(monitor.folder) as journal:
        names = []
        for node in ("ei1", "ei2"):
            names.append(open_incident(journal, node, "ei", "resource", ["memory 97 %"], NOW))
            asked = question(node, policy={"ei": {"mode": "observe"}})
            journal.decide({**asked, "incident": names[-1]}, NOW + 2)
    monkeypatch.setattr(_journal_read, "WOULD_BYTES", 1)
    said = [row["would"] for row in json.loads(selfheal("history", "--json").stdout)]
    assert said[0].startswith("would have: ") and said[1].startswith("for what would have been done: selfheal show ei")
    with new(monitor.folder) as journal:
        journal.db.execute("UPDATE decisions SET body = x'1f8b'")
    assert "is damaged" in selfheal("history").stdout


def many(monitor: Monitor, count: int) -> None:
    """A journal after a long time: incidents with their attempts, phases and decisions."""
    with new(monitor.folder) as journal:
        body = json.dumps({"snapshot": {}, "policy": {}, "plan": {}})
        import gzip

        packed = gzip.compress(body.encode())
        journal.db.execute("BEGIN")
        for number in range(count):
            name, at = f"ei1-{number:06d}", NOW - 600.0 * number
            outcome = "left_out" if number % 10 == 0 else "healed"
            state = "open" if number % 10 == 0 else "closed"
            journal.db.execute(
                "INSERT INTO incidents VALUES (?, ?, 'ei', ?, ?, ?, 'resource', '[\"memory 97 %\"]', ?, 0)",
                (name, f"ei{number}", state, at, at + 30, outcome),
            )
            detail: dict[str, Any] = {"problems": ["a problem"], "phases": [
                {"name": phase, "started": at + place, "ended": at + place + 1}
                for place, phase in enumerate(("confirm", "shift", "evidence", "restart", "verify", "readmit", "soak"))
            ]}  # fmt: skip
            for attempt in (1, 2):
                journal.db.execute(
                    "INSERT INTO attempts VALUES (?, ?, ?, 'ei', ?, ?, ?, ?, 'soak', ?, 'service', '', '{}', 1, ?, 0)",
                    (name, attempt, f"ei{number}", number, at, at + 30, outcome, at, json.dumps(detail)),
                )
                journal.db.executemany(
                    "INSERT INTO phases VALUES (?, ?, ?, ?, 1, NULL)",
                    [(name, attempt, one["name"], one["started"]) for one in detail["phases"]],
                )
            journal.db.execute(
                "INSERT INTO decisions (at, node, layer, incident, attempt, admitted, reasons, summary, hash, body)"
                " VALUES (?, ?, 'ei', ?, 1, 1, '[]', 'heal it', '', ?)", (at, f"ei{number}", name, packed),
            )  # fmt: skip
        journal.db.execute("COMMIT")


def test_what_a_thousand_incidents_cost_does_not_grow_with_their_square(selfheal: Call, monitor: Monitor) -> None:
    many(monitor, 1000)
    config = local.here([])
    assert config is not None
    for what in (
        lambda: selfheal("history", "--limit", "1000"), lambda: selfheal("show", "ei1-000500"),
        lambda: local.status(config),
    ):  # fmt: skip
        begun = time.process_time()  # under a second on a quiet machine; a square of it would be minutes
        said = what()
        assert time.process_time() - begun < 10.0, said
    assert len(json.loads(selfheal("history", "--limit", "1000", "--json").stdout)) == 1000
