# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The words of people on the command line: what is said to the journal, the sentence, data, and exit codes."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfheal_cluster import cli_words
from tests.unit.cli.conftest import Ansible, Said
from tests.unit.cli.test_cli import JOURNAL, fatal

Call = Callable[..., Said]
ID = "ei1-20261125-023148-ab8c"


def answer(*changes: str) -> dict[str, Any]:
    return {"result": {"words": {"changed": bool(changes), "created": False, "changes": list(changes)}}}


def spoken(ansible: Ansible, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ansible.calls[number]["env"]["SELFHEAL_WORD"])
    return found


WORDS = [
    (("pause", "--reason", "the network is rebuilt"), {"paused": True, "reason": "the network is rebuilt"},
     "Heals are paused.", "heals are paused already"),
    (("resume",), {"paused": False}, "Heals are allowed again.", "heals were not paused"),
    (("approve", ID), {"approve": ID}, f"Incident {ID} is approved", "is approved already"),
    (("abort", ID), {"abort": ID}, f"Incident {ID} is aborted", "is aborted already"),
    (("take", ID), {"take": ID}, f"selfheal ack {ID}", "is taken over already"),
    (("ack", ID), {"acknowledge": ID}, "is settled", "is settled already"),
    (("inject", "--node", "ei1", "--service", "disk /"), {"inject": {"node": "ei1", "service": "disk /"}},
     "An event of ei1 is in the spool", "nothing was to be said"),
    (("inject", "--node", "ei1", "--state", "down"), {"inject": {"node": "ei1", "state": "DOWN"}},
     "An event of ei1 is in the spool", "nothing was to be said"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "told", "done", "before"), WORDS, ids=[" ".join(row[0]) for row in WORDS])
def test_each_word(
    selfheal: Call, ansible: Ansible, monkeypatch: pytest.MonkeyPatch, words: Any, told: Any, done: str, before: str
) -> None:
    monkeypatch.setenv("SUDO_USER", "anna")
    by = f"anna@{socket.gethostname()}"
    ansible.plays(answer("it is so now"), answer(), answer("it is so now"), answer(), answer("it is so now"))
    first = selfheal(*words)
    assert (first.exit_code, first.stderr) == (0, "") and done in first.stdout
    assert ansible.calls[0]["argv"] == ["selfheal.cluster.words"], "a word is never an extra variable"
    assert spoken(ansible) == {"by": by, **told}
    again = selfheal(*words)
    assert again.exit_code == 0 and again.stdout.startswith("Nothing has changed: ") and before in again.stdout
    would = selfheal(*words, "--check")
    assert would.stdout == "Would change: it is so now\n"
    assert ansible.calls[2]["argv"] == ["selfheal.cluster.words", "--check"]
    assert selfheal(*words, "--check").stdout.startswith("Would change nothing: ")
    data = json.loads(selfheal(*words, "--json").stdout)
    incident = ID if ID in words else None
    assert data == {
        "word": words[0], "incident": incident, "by": by, "reason": told.get("reason", ""), "check": False,
        "changed": True, "changes": ["it is so now"],
    }  # fmt: skip


def test_free_text_is_never_read_as_a_template(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays(answer("paused"))
    selfheal("pause", "--reason", "{{ lookup('pipe', 'id') }}")
    assert spoken(ansible)["reason"] == "{{ lookup('pipe', 'id') }}"
    assert not any("lookup" in word for word in ansible.calls[0]["argv"])


def test_a_heal_that_is_asked_to_go_back_is_told(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays(answer(f"incident {ID} taken over, its heal is asked to go back"))
    assert selfheal("take", ID).stdout.rstrip().endswith("Its heal is asked to go back.")


def test_what_a_settled_incident_may_have_left_behind_is_told(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays(answer(f"incident {ID} acknowledged; its last attempt ended left_out, so ei1 may still be held"))
    said = " ".join(selfheal("ack", ID).stdout.split())
    assert said.endswith("blocks nothing. But its last attempt ended left_out, so ei1 may still be held.")


REFUSALS = [
    ("unknown_incident", f"the journal knows no incident ei1; did you mean {ID}?", 2, ""),
    ("unknown_node", "'ei9' is no node of any layer; did you mean ei1?", 2, ""),
    ("lease_taken", f"incident {ID} is being healed right now: abort it first", 3, "selfheal abort"),
    ("no_journal", "no journal at /x", 1, "selfheal survey"),
    ("no_spool", "the event cannot be written", 1, "role healer"),
    ("", "Task timed out", 1, "the whole log"),
]


@pytest.mark.parametrize(("reason", "message", "code", "hint"), REFUSALS)
def test_a_refusal_is_a_sentence_with_its_code(
    selfheal: Call, ansible: Ansible, reason: str, message: str, code: int, hint: str
) -> None:
    ansible.plays({"lines": [fatal(message, reason)], "code": 2})
    said = selfheal("ack", "ei1")
    assert said.exit_code == code
    assert message in said.stderr and hint in said.stderr and said.stdout == ""


def test_nobody_to_ask(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"lines": ["skipping: no hosts matched"], "code": 0})
    said = selfheal("pause")
    assert said.exit_code == 1 and "no host of a journal" in said.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("abort", "{{ x }}"), "is no id of an incident"),
        (("ack", ""), "is no id of an incident"),
        (("take", "a\x1b[2J"), "is no id of an incident"),
        (("page", "../etc"), "is no id of an incident"),
        (("show", "{{ x }}"), "is no id of an incident"),
        (("inject", "--node", "ei*"), "no name of a node"),
        (("inject", "--node", "ei1", "--state", "ILL"), "use one of OK, WARNING"),
        (("pause", "--reason", "x" * 501), "longer than 500"),
        (("abort",), "Missing argument"),
        (("inject",), "Missing option"),
    ],
)
def test_usage_is_refused_before_anything_runs(
    selfheal: Call, ansible: Ansible, words: tuple[str, ...], says: str
) -> None:
    said = selfheal(*words)
    assert said.exit_code == 2 and says in said.stderr and "\x1b" not in said.stderr
    assert ansible.calls == []


def test_run_becomes_the_healer(selfheal: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(os, "execv", lambda path, words: seen.append((path, words)))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    selfheal("run", "--once", "/etc/selfheal/healer.json")
    assert seen == [
        (sys.executable, [sys.executable, "-m", "selfheal_cluster.healer", "--once", "/etc/selfheal/healer.json"])
    ]


def test_run_without_the_healer_says_so(selfheal: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = selfheal("run")
    assert said.exit_code == 1 and "the healer is not installed" in said.stderr


def test_show_asks_for_the_one_incident_and_tells_a_near_one(selfheal: Call, ansible: Ansible) -> None:
    absent = {"present": False, "host": "monitor", "reason": "unknown_incident",
              "error": "the journal knows no incident ei1; did you mean ei1-1?"}  # fmt: skip
    ansible.plays({"result": {"journal": absent}})
    said = selfheal("show", "ei1")
    assert said.exit_code == 2 and "did you mean ei1-1?" in said.stderr and "no journal" not in said.stderr
    assert json.loads(ansible.calls[0]["argv"][2]) == {"selfheal_incident": "ei1"}


def whole() -> dict[str, Any]:
    more = {"words": [{"at": 1002.0, "word": "take", "by": "anna@desk", "incident": "I-1", "reason": "mine\x1b[2J"}],
            "evidence": [{"folder": "/var/lib/selfheal/evidence/I-1/7", "file": "note.txt", "bytes": 3}],
            "taken": ["I-1"], "aborts": []}  # fmt: skip
    return {**JOURNAL, **more}


def test_show_tells_what_people_said_and_what_was_kept(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"result": {"journal": whole()}})
    said = selfheal("show", "I-1").stdout
    for words in ("anna@desk", "mine\\x1b[2J", "taken over", "1 files below /var/lib/selfheal/evidence/I-1/7"):
        assert words in said, words
    data = json.loads(selfheal("show", "I-1", "--json").stdout)
    assert data["incident"]["taken"] is True and data["words"][0]["word"] == "take"


def test_status_says_who_paused_and_who_took_over(selfheal: Call, ansible: Ansible) -> None:
    pause = {"at": 1000.0, "by": "anna@desk", "reason": "network"}
    journal = {**JOURNAL, "paused": True, "pause": pause, "taken": ["I-2"]}
    ansible.plays({"result": {"status": {"journal": journal, "holds": [], "blind": {}}}})
    said = selfheal("status").stdout
    assert "heals are PAUSED since " in said and "by anna@desk: network" in said
    assert "taken over by a person (none yet)" in said


def test_a_page_is_written_whole(
    selfheal: Call, ansible: Ansible, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ansible.plays({"result": {"journal": whole()}})
    monkeypatch.chdir(tmp_path)
    assert f"Wrote {tmp_path / 'I-1.html'}" in selfheal("page", "I-1").stdout
    text = (tmp_path / "I-1.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and text.endswith("</html>\n") and "anna@desk" in text
    assert selfheal("page", "I-1", "-o", "-").stdout == text
    target = tmp_path / "other.html"
    data = json.loads(selfheal("page", "I-1", "-o", str(target), "--json").stdout)
    assert data == {"incident": "I-1", "file": str(target), "bytes": len(text.encode())}
    missing = selfheal("page", "I-1", "-o", str(tmp_path / "no" / "x.html"))
    assert missing.exit_code == 1 and "cannot be written" in missing.stderr
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["I-1.html", "other.html"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".I-1")]


def test_a_page_with_a_judge_that_cannot_be_read(selfheal: Call, ansible: Ansible, tmp_path: Path) -> None:
    ansible.plays({"result": {"journal": whole()}})
    said = selfheal("page", "I-1", "--judge", str(tmp_path / "no.json"))
    assert said.exit_code == 2 and "judge's report" in said.stderr


def test_who_is_known_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import getpass

    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert cli_words.who() == f"{os.getuid()}@{socket.gethostname()}"
