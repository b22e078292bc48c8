# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The command: what it runs, what it shows, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._run_live import read_result
from ansible_collections.selfheal.cluster.plugins.module_utils._survey import survey
from selfheal_cluster import show
from tests.unit.cli.conftest import Ansible, Said
from tests.unit.survey.farm import farm, planner

Call = Callable[..., Said]
HEALED = {"status": "healed", "outcome": "healed", "node": "ei1", "phases": [], "refusals": []}


def refused(*reasons: str) -> dict[str, Any]:
    return {"status": "refused", "outcome": "refused", "refusals": [{"reason": r, "detail": "so"} for r in reasons]}


def fatal(message: str, reason: str = "", kind: str = "FAILED") -> str:
    body = json.dumps({"changed": False, "msg": message, **({"reason": reason} if reason else {})})
    return f"fatal: [localhost]: {kind}! => {body}"


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"result": HEALED}, 0),
        ({"result": {"status": "checked", "node": "ei1", "refusals": []}}, 0),
        ({"result": refused("last_member"), "code": 2}, 3),
        ({"result": refused("unknown_node"), "code": 2}, 2),
        ({"result": {"status": "undone", "node": "ei1"}, "code": 2}, 4),
        ({"result": {"status": "left_out", "node": "ei1"}, "code": 2}, 4),
        ({"result": {"status": "failed", "node": "ei1"}, "code": 2}, 4),
        ({"result": {"status": "acting", "node": "ei1", "phase": "restart"}, "code": -9}, 4),
        ({"lines": [fatal("no node 'ei9' in the inventory; did you mean ei1?", "unknown_node")], "code": 2}, 2),
        ({"lines": [fatal("monitor is the controller", "own_host")], "code": 2}, 3),
        ({"lines": ["ERROR! something broke"], "code": 250}, 1),
    ],
)
def test_the_exit_code_of_a_heal(selfheal: Call, ansible: Ansible, step: dict[str, Any], code: int) -> None:
    ansible.plays(step)
    assert selfheal("heal", "ei1").exit_code == code


def test_a_heal_runs_the_playbook_with_the_node(selfheal: Call, ansible: Ansible, tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("all: {}", encoding="utf-8")
    ansible.plays({"result": HEALED})
    assert selfheal("heal", "ei1", "-i", str(inventory), "--check", "--reason", "drill").exit_code == 0
    words = ansible.calls[0]["argv"]
    assert words[:4] == ["selfheal.cluster.heal", "-i", str(inventory), "--check"]
    assert json.loads(words[5]) == {"selfheal_node": "ei1", "selfheal_reason": "drill"}


def test_without_a_node_no_variable_is_set(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"result": HEALED})
    selfheal("heal")
    assert ansible.calls[0]["argv"] == ["selfheal.cluster.heal"]


def test_the_environment_is_small_and_safe(selfheal: Call, ansible: Ansible, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("LC_ALL", "C")
    ansible.plays({"result": HEALED})
    selfheal("heal", "ei1")
    env = ansible.calls[0]["env"]
    assert env["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert env["LC_ALL"] == "C.UTF-8"
    assert not {"AWS_SECRET_ACCESS_KEY", "PYTHONPATH"} & set(env)
    first = Path(env["ANSIBLE_COLLECTIONS_PATH"].split(":")[0])
    assert (first / "ansible_collections" / "selfheal" / "cluster" / "plugins").is_dir()


def test_a_heal_is_a_session_of_its_own(selfheal: Call, ansible: Ansible) -> None:
    import os

    ansible.plays({"result": HEALED})
    selfheal("heal", "ei1")
    assert ansible.calls[0]["sid"] != os.getsid(0)


def test_progress_is_shown_and_nothing_else_of_ansible(selfheal: Call, ansible: Ansible) -> None:
    lines = ["PLAY [x] ****", "selfheal  shift      1.20 s  ei1 is out \x1b[31m", "ok: [x]"]
    ansible.plays({"lines": lines, "result": HEALED})
    out = selfheal("heal", "ei1").stdout
    assert "shift      1.20 s  ei1 is out \\x1b[31m" in out
    assert "PLAY" not in out and "ok: [x]" not in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("heal", "ei*"), "no name of a node"),
        (("heal", ""), "no name of a node"),
        (("heal", "{{ x }}"), "no name of a node"),
        (("heal", "ei1", "--all"), "--all chooses the nodes itself"),
        (("heal", "--all", "--check"), "exclude each other"),
        (("heal", "ei1", "--reason", "fun"), "say drill"),
        (("heal", "--reason", "drill"), "needs the name of a node"),
    ],
)
def test_usage_is_refused_before_anything_runs(
    selfheal: Call, ansible: Ansible, words: tuple[str, ...], says: str
) -> None:
    result = selfheal(*words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert ansible.calls == []


def test_all_goes_on_until_nobody_is_left(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"result": HEALED}, {"result": {**HEALED, "node": "ei2"}}, {"result": refused("not_ill"), "code": 2})
    assert selfheal("heal", "--all").exit_code == 0
    assert len(ansible.calls) == 3


def test_all_with_nobody_ill_is_well(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"result": refused(), "code": 2})
    assert selfheal("heal", "--all").exit_code == 0


def test_all_refused_from_the_start_is_refused(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"result": refused("storm"), "code": 2})
    assert selfheal("heal", "--all").exit_code == 3


def test_all_stops_at_a_heal_that_did_not_end_well(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"result": HEALED}, {"result": {"status": "left_out", "node": "ei2"}, "code": 2})
    assert selfheal("heal", "--all").exit_code == 4
    assert len(ansible.calls) == 2


def test_json_is_the_only_thing_on_standard_output(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"lines": ["selfheal  shift  1.2 s"], "result": HEALED})
    result = selfheal("heal", "ei1", "--json")
    assert json.loads(result.stdout)["status"] == "healed"
    assert "shift" in result.stderr


def test_a_refusal_comes_with_the_next_step(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"result": refused("no_journal"), "code": 2})
    assert "selfheal survey" in selfheal("heal", "ei1").stdout


def test_no_inventory(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"lines": ["[WARNING]: No inventory was parsed, only implicit localhost is available"], "code": 2})
    result = selfheal("survey")
    assert result.exit_code == 1
    assert "no inventory" in result.stderr and "ANSIBLE_INVENTORY" in result.stderr


def test_an_inventory_that_is_not_there(selfheal: Call, ansible: Ansible) -> None:
    result = selfheal("-i", "/no/such/file", "survey")
    assert result.exit_code == 1
    assert "there is no inventory /no/such/file" in result.stderr
    assert ansible.calls == []


def test_an_unreachable_monitor(selfheal: Call, ansible: Ansible) -> None:
    line = fatal("Failed to connect to the host via ssh: No route", kind="UNREACHABLE").replace("localhost", "monitor")
    ansible.plays({"lines": [line], "code": 4})
    result = selfheal("history")
    assert result.exit_code == 1
    assert "monitor cannot be reached" in result.stderr and "ansible.builtin.ping" in result.stderr


def test_no_ansible(selfheal: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sysconfig

    monkeypatch.undo()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    result = selfheal("survey")
    assert result.exit_code == 1
    assert "pip install ansible-core" in result.stderr


def test_the_survey_as_tables_and_as_data(selfheal: Call, ansible: Ansible) -> None:
    picture = survey(farm(), planner)
    ansible.plays({"result": {"survey": picture}})
    assert json.loads(selfheal("survey", "--json").stdout) == json.loads(json.dumps(picture))
    said = selfheal("survey").stdout
    assert "extlb: pair, mode act, 10.0.0.100 (VI_ext) is held by extlb1, home is extlb1" in said
    assert "Nothing is missing" in said
    assert "\x1b" not in said, "no colour where there is no terminal"


def test_lines_to_copy_are_never_wrapped(selfheal: Call, ansible: Ansible) -> None:
    observed = farm()
    observed["seen"]["extlb1"]["keepalived"]["instances"][0]["track_file"] = False
    ansible.plays({"result": {"survey": survey(observed, planner)}})
    lines = selfheal("survey").stdout.splitlines()
    assert '        |     file "/var/lib/selfheal/keepalived/VI_ext"' in lines


HOSTILE = "\x1b[2J[bold red]x[/]"
BASIS = {
    "verdict": {
        "verdict": "faulty", "kind": "resource",
        "reasons": ["memory: used of memory is 97 % (raised at 90 %, clear at 80 %), since 20 s."],
        "readings": [
            {"gauge": "http", "service": "http", "label": "time", "value": 0.1, "unit": "s", "raise_at": 5.0,
             "verdict": "ok", "age_seconds": 2.0},
            {"gauge": "memory", "service": HOSTILE, "label": "used", "value": 0.97, "unit": "ratio", "raise_at": 0.9,
             "verdict": "faulty", "age_seconds": 12.4},
        ],
    },
    "plan": {"refusals": [{"reason": "below_minimum", "detail": "on extlb1 only 1 of 2 would stay"},
                          {"reason": "paused", "detail": "all new heals are paused"},
                          {"reason": "blocked_node", "detail": f"{HOSTILE} was healed 5 min ago"}]},
}  # fmt: skip
WOULD = "would have: detach ei2, restart ei.service, return"
JOURNAL: dict[str, Any] = {
    "present": True, "host": "monitor", "error": "", "paused": False, "leases": [],
    "incidents": [
        {"incident": "I-1", "node": "ei1", "layer": "ei", "opened_at": 1000.0, "outcome": "healed"},
        {"incident": "I-2", "node": "ei2\x1b[2J", "layer": "ei", "opened_at": 2000.0, "outcome": None,
         "would": WOULD + HOSTILE},
    ],
    "decisions": [{"incident": "I-1", "at": 1001.0, "admitted": True, "summary": "ei1 is faulty"},
                  {"incident": "I-2", "at": 2001.0, "admitted": False, "summary": "first", "basis": {
                      "verdict": {"verdict": "unknown"}}},
                  {"incident": "I-2", "at": 2002.0, "admitted": False, "summary": "second (and 2 more reasons)",
                   "basis": BASIS}],
    "alerts": [{"incident": "I-2", "at": 1999.0, "service": HOSTILE, "state": "CRITICAL", "type": "HARD", "attempt": 3,
                "outcome": "opened", "reason": "it is faulty"}],
    "calls": [{"incident": "I-2", "at": 2003.0, "reason": "attempts_exhausted", "text": f"look at ei2 {HOSTILE}"}],
    "attempts": [{"incident": "I-1", "attempt": 1, "at": 1001.0, "outcome": "healed", "detail": {
        "phases": [{"name": "confirm", "started": 1000.0, "ended": 1001.5},
                   {"name": "shift", "started": 1001.5, "ended": 1002.0}],
        "traffic_safe_at": 1002.0, "restored_at": 1009.0, "home_at": None, "problems": ["a problem\x1b[2J"],
        "read_again": {"verdict": "suspect", "reasons": ["memory: 85 %\x1b[2J"]},
        "felt": {"balancers": ["extlb1"], "begin": 1000.5, "end": 1010.0, "phases": ["confirm", "soak"], "tcp": False,
                 "total": {"stot": 1204, "econ": 0, "eresp": 2, "hrsp_5xx": 0, "cli_abrt": 1, "wretr": 0},
                 "backends": [], "node": {"stot": 31, "econ": 0, "eresp": 2, "hrsp_5xx": 0},
                 "gaps": [{"balancer": "extlb2\x1b[2J", "reason": "restarted"}]}}}],
    "phases": [{"incident": "I-1", "attempt": 1, "phase": "confirm", "at": 1001.0, "seconds": 1.0}],
}  # fmt: skip


def test_history_is_newest_first_and_clean(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"result": {"journal": JOURNAL}})
    said = selfheal("history").stdout
    assert said.index("I-2") < said.index("I-1")
    assert "\x1b" not in said and "\\x1b[2J" in said
    rows = json.loads(selfheal("history", "--limit", "1", "--json").stdout)
    assert [(row["incident"], row["would"]) for row in rows] == [("I-2", WOULD + HOSTILE)]


def test_history_says_what_would_have_been_done_also_on_a_narrow_terminal(
    selfheal: Call, ansible: Ansible, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"incident": "ei1-20261129-091633-ab12", "node": "ei1", "layer": "ei", "opened_at": 1000.0, "state": "open",
           "reason": "memory: used of memory is 97 %", "would": WOULD}  # fmt: skip
    ansible.plays({"result": {"journal": {**JOURNAL, "incidents": [row]}}})
    said = selfheal("history").stdout
    assert f"  ei1-20261129-091633-ab12: {WOULD}\n" in said
    monkeypatch.setattr(show, "PLAIN_WIDTH", 80)
    narrow = selfheal("history").stdout.splitlines()
    table = [line for line in narrow if "would" not in line]
    assert max(len(line.rstrip()) for line in table) <= 80
    assert any("ei1-20261129-091633-ab12  ei1   ei     1970" in line for line in table), "a cell that was folded"


def test_status_says_what_waits_for_a_word(selfheal: Call, ansible: Ansible) -> None:
    row = {"incident": "I-2", "node": "ei2", "would": "would: detach ei2, restart ei.service, return" + HOSTILE}
    ansible.plays({"result": {"status": {"journal": {**JOURNAL, "incidents": [row]}, "holds": [], "blind": {}}}})
    said = selfheal("status").stdout
    assert "  I-2: would: detach ei2, restart ei.service, return\\x1b[2J[bold red]x[/]" in said and "\x1b" not in said


def test_show_one_incident(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"result": {"journal": JOURNAL}})
    said = selfheal("show", "I-1").stdout
    for words in ("ei1 is faulty", "Attempt 1: healed", "shift", "1.5 s", "traffic safe after 2.0 s",
                  "redundancy restored after 9.0 s", "a problem\\x1b[2J",
                  "Nagios after the heal: suspect: memory: 85 %\\x1b[2J"):  # fmt: skip
        assert words in said, words
    assert "home" not in said
    for words in (
        "clients, by the balancers' counters: 1,204 requests, 0 failed connections, 2 failed responses, 0 5xx, "
        "1 aborted by a client (from confirm to soak, 9.5 s)",
        "of these at ei1: 31 requests, 0 failed connections, 2 failed responses, 0 5xx",
        "extlb2\\x1b[2J is not counted: it was restarted or reloaded",
    ):
        assert words in said, words
    assert "Why it began no heal" not in said
    said = selfheal("show", "I-2").stdout
    for words in (
        WOULD, "Verdict of the newest decision: faulty, kind resource", "raised at 90 %, clear at 80 %", "97 %   90 %",
        "12 s", "on extlb1 only 1 of 2 would stay", "all new heals are paused", "paused", "blocked_node", "CRITICAL",
        "3 HARD", "it is faulty", "People who were called", "attempts_exhausted",
    ):  # fmt: skip
        assert words in said, words
    assert "\x1b" not in said
    assert said.count("\\x1b[2J[bold red]x[/]") == 5, "text from outside is shown as what it is"
    assert "0.1 s" not in said, "a reading that is well raised nothing"
    felt = JOURNAL["attempts"][0]["detail"]["felt"]
    assert json.loads(selfheal("show", "I-1", "--json").stdout)["attempts"][0]["detail"]["felt"] == felt
    missing = selfheal("show", "I-11")
    assert missing.exit_code == 2
    assert "did you mean I-1?" in missing.stderr


def test_no_journal_says_what_to_do(selfheal: Call, ansible: Ansible) -> None:
    ansible.plays({"result": {"journal": {"present": False, "host": "monitor", "error": "no such file"}}})
    result = selfheal("history")
    assert result.exit_code == 1
    assert "no journal on monitor: no such file" in result.stderr and "selfheal survey" in result.stderr


def test_status(selfheal: Call, ansible: Ansible) -> None:
    hold = {"host": "extlb1", "resource": "haproxy:be_ei/ei1", "incident": "I-2", "phase": "restart",
            "remaining_seconds": 12.4, "expired": False}  # fmt: skip
    view = {"journal": {**JOURNAL, "paused": True}, "holds": [hold], "blind": {"extlb2": "No route to host"}}
    ansible.plays({"result": {"status": view}})
    said = selfheal("status").stdout
    for words in ("PAUSED", "I-2", "haproxy:be_ei/ei1", "12 s", "extlb2 was not seen: No route to host"):
        assert words in said


def test_the_first_interrupt_asks_to_go_back_and_the_second_leaves(tmp_path: Path) -> None:
    from selfheal_cluster.follow import Interrupts

    said: list[str] = []
    asked: list[str] = []
    state = tmp_path / "state.json"
    interrupts = Interrupts(said.append, asked.append)
    interrupts.tick(state)
    assert interrupts(state) is False
    assert "asked to go back" in said[0] and asked == [], "no incident is known yet"
    state.write_text('{"incident": "ei1-7", "phase": "shift"}', encoding="utf-8")
    interrupts.tick(state)
    interrupts.tick(state)
    assert asked == ["ei1-7"], "once, and as soon as there is an incident"
    assert interrupts(state) is True


def test_an_incident_that_reads_as_a_template_is_never_handed_on(tmp_path: Path) -> None:
    from selfheal_cluster.follow import Interrupts

    asked: list[str] = []
    state = tmp_path / "state.json"
    state.write_text('{"incident": "{{ lookup(1) }}"}', encoding="utf-8")
    Interrupts(lambda line: None, asked.append)(state)
    assert asked == []


def test_a_run_that_is_left_goes_on_by_itself(
    ansible: Ansible, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selfheal_cluster import playbook

    gate = tmp_path / "gate"
    ansible.plays({"result": {"status": "acting", "phase": "restart"}, "wait_for": str(gate), "code": 0})

    def tick(result_file: Path) -> None:
        if read_result(result_file):
            raise KeyboardInterrupt

    done = playbook.run("heal", on_tick=tick, on_interrupt=lambda result: True)
    assert done.code is None, "the run is still there"
    gate.write_text("", encoding="utf-8")


def test_help_needs_neither_rich_nor_ansible() -> None:
    program = "import sys; sys.argv = ['selfheal', '--help']\nfrom selfheal_cluster.cli import main\n"
    program += "try:\n    main()\nexcept SystemExit:\n    pass\n"
    program += "print(sorted({'rich.table', 'ansible', 'selfheal_cluster.playbook'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "Exit codes" in said
    assert said.splitlines()[-1] == "[]"
