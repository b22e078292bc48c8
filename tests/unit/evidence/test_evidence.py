# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Evidence: secrets cut out, bounded in time and size, kept for its owner only (invariant 9)."""

from __future__ import annotations

import os
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.selfheal.cluster.plugins.module_utils import _evidence as evidence
from ansible_collections.selfheal.cluster.plugins.module_utils import _evidence_collect as collect
from ansible_collections.selfheal.cluster.plugins.module_utils import _evidence_secrets as secrets
from ansible_collections.selfheal.cluster.plugins.module_utils import _evidence_store as keep
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEhunter2\nMORE\n-----END RSA PRIVATE KEY-----"

SECRETS = [
    "password=hunter2",
    "PASSWORD = 'hunter2'",
    "db.password: hunter2",
    'db_password="hunter2 with a space"',
    '{"token": "hunter2", "x": 1}',
    "mysql --password hunter2 -h db",
    "mysqld --defaults-file=x --passwd=hunter2",
    "DB_SECRET=hunter2",
    "api-key: hunter2",
    "auth_pass hunter2",
    "Authorization: Basic hunter2",
    "curl -H 'Authorization: Bearer hunter2hunter2'",
    "proxy-authorization: Digest hunter2",
    "Set-Cookie: session=hunter2; path=/",
    "https://admin:hunter2@db.example/x",
    "amqp://u:hunter2@mq",
    KEY,
    KEY.replace("-----END RSA PRIVATE KEY-----", "")[:60],
    "bearer hunter2hunter2",
    "<password>hunter2</password>",
    "<password>\n  hunter2\n</password>",
    "<password><![CDATA[<hunter2>hunter2]]></password>",
    '<wsse:Password Type="...">hunter2</wsse:Password>',
    '<wsse:Password Type="http://docs.oasis-open.org/wss#PasswordText">hunter2</wsse:Password>',
    '<Property name="keystore.password">hunter2</Property>',
    '<property name="password" value="hunter2"/>',
    "<property value='hunter2' name='db.password'/>",
    "&lt;password&gt;hunter2&lt;/password&gt;",
    "DB_PASS=hunter2",
    "ENV DB_PASS hunter2",
    "java -Dkey.pass=hunter2 -jar x",
    "--pass hunter2",
    "-storepass hunter2 -keypass hunter2",
    "storepass: hunter2",
    "requirepass hunter2",
    "masterauth hunter2",
    "sentinel auth-pass mymaster hunter2",
    "--password=hunter2",
    "PGPASSWORD=hunter2",
    "pwd=hunter2",
    "curl -u admin:hunter2",
    "curl -su 'admin:hunter2' https://x",
    "curl --user admin:hunter2",
    "stats auth admin:hunter2",
    "mysql -uroot -phunter2 db",
    "sshpass -p hunter2 ssh x",
    "redis-cli -a hunter2 ping",
    "CREATE USER x IDENTIFIED BY 'hunter2'",
    '{"Authorization": "Basic hunter2", "x": 1}',
    "postgres://u:hunter2@h",
    "redis://:hunter2@h",
    '"password": "hunter2"',
    '{"password": "a\\"hunter2", "x": 1}',
    r"{\"password\": \"hunter2\", \"x\": 1}",
    "{'password': b'hunter2'}",
    "password => 'hunter2'",
    'password="hunter2 with its end cut off',
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_cut_out(text: str) -> None:
    assert "hunter2" not in secrets.redact(f"before {text} ")
    assert secrets.CUT in secrets.redact(text)
    assert secrets.redact(secrets.redact(text)) == secrets.redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "ei.service: Main process exited, code=killed, status=9/KILL",
        "10.213.77.11:41234 - GET /simple HTTP/1.1 200",
        "tcp ESTAB 0 0 10.0.0.1:80 10.0.0.2:4000",
        "https://db.example/x?a=b",
        "MemAvailable:   200000 kB",
        "bypass=1",
        "--bypass 1",
        "compass",
        "compass=north",
        "passed 3 of 3",
        "pass rate 97",
        "proxy_pass http://backend;",
        "passive: 3",
        "mysql -P 3306 -h db",
        "docker run -u root -p 80:80",
        "if x < 3 and y > 5: z",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert secrets.redact(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "a", "password", "a.pass-", "-pass ", "<password ", "<password>", "<a pass value=", "password=\\",
        "eyJaaaaaaaa-", "-u a:", "://:", "mysql -p", " ", "-----BEGIN ",
    ],
)  # fmt: skip
def test_a_hostile_megabyte_takes_no_longer_than_any_other(piece: str) -> None:
    size = 1 << 20
    started = time.process_time()
    secrets.redact("password" + piece * (size // len(piece)))
    assert time.process_time() - started < 20, "more than linear: a megabyte would take an hour"


def test_what_stands_beside_a_secret_stays() -> None:
    text = '{"user": "u", "password": "hunter2", "x": 1} <a name="password" value="hunter2"/> curl -u admin:hunter2 http://x'
    cut = secrets.redact(text)
    for kept in ('{"user": "u", "password": ', '"x": 1}', 'name="password" value="', "curl -u admin:", " http://x"):
        assert kept in cut


@given(st.text())
def test_redacting_takes_any_text_and_is_stable(text: str) -> None:
    once = secrets.redact(text)
    assert secrets.redact(once) == once


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=200), max_size=5))
def test_files_survive_the_way(files: dict[str, str]) -> None:
    clean = {
        name.encode("utf-8", "replace").decode(): text.encode("utf-8", "replace").decode()
        for name, text in files.items()
    }
    assert evidence.unpack(evidence.pack(clean)) == clean


def test_a_long_text_keeps_its_ends() -> None:
    text = evidence.clip("a" * 1000 + "z" * 1000, 100)
    assert text.startswith("aaa")
    assert text.endswith("zzz")
    assert len(text) < 160


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MAX_UNPACKED", 1000)
    with pytest.raises(ValueError, match="larger"):
        evidence.unpack(evidence.pack({"a": "x" * 5000}))


def source(name: str, script: str) -> evidence.Source:
    return evidence.Source(name, ("sh", "-c", script))


def test_evidence_is_taken_or_given_up_in_time() -> None:
    wanted = [source("quick", "echo hello"), source("slow", "echo first; exec sleep 60"), source("no", "exit 3")]
    texts, missing = collect.collect([*wanted, evidence.Source("absent", ("/no/such/command",))], 1.0, 1000)
    assert texts["quick"] == "hello\n"
    assert texts["slow"] == "first\n"
    assert missing == ["slow"]
    assert texts["no"] == ""
    assert "No such file" in texts["absent"]


def test_what_was_not_begun_is_named() -> None:
    _texts, missing = collect.collect([source(str(number), "exec sleep 60") for number in range(5)], 0.1, 100)
    assert missing == ["0", "1", "2", "3", "4"]


def test_haproxy_is_asked_at_the_socket_of_the_policy(tmp_path: Path) -> None:
    for name in ("here.sock", "a b; c.sock"):
        path = str(tmp_path / name)
        wanted = [one for one in evidence.sources("ei.service", 10, path) if one.name == "haproxy"]
        assert wanted[0].argv[-1] == path, "as a word of its own, never as text of the script"
        assert collect.collect(wanted, 5.0, 1000) == ({"haproxy": ""}, []), "no socket, nothing asked"
    (tmp_path / "socat").write_text('#!/bin/sh\nprintf "%s " "$@"; cat\n', encoding="ascii")
    (tmp_path / "socat").chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as patch:
        listener.bind(path)
        patch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        texts, _missing = collect.collect(wanted, 5.0, 1000)
    assert texts["haproxy"].startswith(f"- {path} show info;")


def test_evidence_is_redacted_on_the_node() -> None:
    texts, _missing = collect.collect([source("env", "echo password=hunter2")], 5.0, 1000)
    assert "hunter2" not in texts["env"]


def params(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "incident": "i1", "epoch": 7, "node": "ei1", "blob": evidence.pack({"memory": "MemFree: 1"}), "note": "",
        "outside": {"balancers": {"lb1": {"password": "hunter2"}}}, "path": str(tmp_path / "evidence"), "quota": 10**6,
    }  # fmt: skip
    return {**values, **changes}


def test_kept_in_one_folder_per_incident_for_its_owner_only(tmp_path: Path) -> None:
    result = keep.store(params(tmp_path))
    folder = tmp_path / "evidence/i1/7"
    assert result["folder"] == str(folder)
    assert (folder / "ei1.memory.txt").read_text(encoding="utf-8") == "MemFree: 1"
    assert "hunter2" not in (folder / "outside.balancers.json").read_text(encoding="utf-8")
    for path in (folder, folder.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_names_from_a_node_cannot_leave_the_folder(tmp_path: Path) -> None:
    blob = evidence.pack({"../../../../tmp/x": "no", "/etc/passwd": "no", "..": "no"})
    keep.store(params(tmp_path, blob=blob, incident="../up", node="../n"))
    inside = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(inside) == 4
    assert all(str(path).startswith(str(tmp_path / "evidence") + os.sep) for path in inside)


def test_a_link_in_the_folder_is_replaced_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="ascii")
    keep.store(params(tmp_path))
    target = tmp_path / "evidence/i1/7/ei1.memory.txt"
    target.unlink()
    target.symlink_to(victim)
    keep.store(params(tmp_path))
    assert victim.read_text(encoding="ascii") == "mine"
    assert not target.is_symlink()


@pytest.mark.parametrize("blob", ["%%%", "aGVsbG8=", evidence.pack({})[:-4]])
def test_what_cannot_be_unpacked_is_refused(blob: str, tmp_path: Path) -> None:
    with pytest.raises(SelfhealError):
        keep.store(params(tmp_path, blob=blob))


def test_without_the_node_the_view_from_outside_is_kept(tmp_path: Path) -> None:
    result = keep.store(params(tmp_path, blob="", note="not reachable"))
    assert result["files"] == ["note.txt", "outside.balancers.json"]


def test_the_oldest_incidents_go_when_the_quota_is_full(tmp_path: Path) -> None:
    for number in range(3):
        keep.store(params(tmp_path, incident=f"i{number}", blob=evidence.pack({"x": "y" * 1000})))
        os.utime(tmp_path / f"evidence/i{number}", (number, number))
    result = keep.store(params(tmp_path, incident="new", quota=2500, blob=evidence.pack({"x": "y" * 1000})))
    assert result["removed"][:2] == ["i0", "i1"]
    assert (tmp_path / "evidence/new/7/ei1.x.txt").exists()


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    assert keep.store(params(tmp_path), check_mode=True)["changed"]
    assert not (tmp_path / "evidence").exists()
