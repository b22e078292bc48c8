# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""keepalived's dumps, as recorded from 2.2.7, into data; half a dump is none."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _keepalived as keepalived
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

RECORDED = Path(__file__).parent / "recorded"
TRACK = "/run/selfheal/keepalived/VI_ext"


def recorded(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


def test_a_whole_dump() -> None:
    (entry,) = keepalived.parse_dump(recorded("backup.json"))
    assert entry["data"]["iname"] == "VI_ext"
    assert keepalived.state_word(entry["data"]["state"]) == "BACKUP"
    assert entry["data"]["master_priority"] == 200
    assert entry["stats"]["advert_rcvd"] > 0
    assert keepalived.vips_of(entry["data"]) == ["10.99.7.100"]


def test_every_beginning_of_a_dump_is_not_a_dump() -> None:
    text = recorded("backup.json").rstrip()
    for length in range(len(text)):
        with pytest.raises(ValueError):
            keepalived.parse_dump(text[:length])


@pytest.mark.parametrize("text", ["", "{}", "null", "3", '[{"stats": {}}]', "[3]", '[{"data": {"state": 1}}]'])
def test_what_is_json_but_no_dump(text: str) -> None:
    with pytest.raises(ValueError):
        keepalived.parse_dump(text)


def test_a_password_does_not_leave_the_parser() -> None:
    raw = json.loads(recorded("backup.json"))
    raw[0]["data"]["auth_data"] = "geheim"
    assert "geheim" not in json.dumps(keepalived.parse_dump(json.dumps(raw)))


@pytest.mark.parametrize(
    ("raw", "word"),
    [(0, "INIT"), (1, "BACKUP"), (2, "MASTER"), (3, "FAULT"), (4, "UNKNOWN"), (-1, "UNKNOWN"), (None, "UNKNOWN"),
     ("2", "UNKNOWN")],
)  # fmt: skip
def test_states(raw: Any, word: str) -> None:
    assert keepalived.state_word(raw) == word


def test_the_text_dump_tells_track_file_and_timer() -> None:
    found = keepalived.parse_running(recorded("backup.data"))["VI_ext"]
    assert found == {"sync_group": "", "track_files": {TRACK: 1}, "down_timer_adverts": 10}


def test_the_text_dump_tells_the_trap_of_a_sync_group() -> None:
    found = keepalived.parse_running(recorded("sync_group.data"))["VI_ext"]
    assert found["sync_group"] == "VG_1"
    assert found["track_files"] == {TRACK: 0}


@pytest.mark.parametrize("text", ["", "nonsense\n", "VRRP Instance = VI_ext\n", " Track file = x\n   File = /y\n"])
def test_a_text_dump_of_another_shape_tells_nothing(text: str) -> None:
    for found in keepalived.parse_running(text).values():
        assert found["track_files"] == {}


def test_both_nodes_of_a_pair_compare_equal_and_a_difference_shows() -> None:
    both = []
    for name in ("master", "backup"):
        both.append(
            keepalived.comparable(
                keepalived.parse_dump(recorded(f"{name}.json")), keepalived.parse_running(recorded(f"{name}.data"))
            )
        )
    assert both[0] == both[1]
    for key, value in (("vrid", 52), ("adver_int", 1), ("version", 2), ("vips", ["10.99.7.101"])):
        other = keepalived.parse_dump(recorded("backup.json"))
        other[0]["data"][key] = value
        running = keepalived.parse_running(recorded("backup.data"))
        assert keepalived.comparable(other, running) != both[0], key
    slower = keepalived.parse_running(recorded("backup.data"))
    slower["VI_ext"]["down_timer_adverts"] = 3
    assert keepalived.comparable(keepalived.parse_dump(recorded("backup.json")), slower) != both[0]


@pytest.mark.parametrize(
    ("text", "offset"),
    [("0\n", 0), ("104\n", 104), ("-253\n", -253), ("", 0), ("x", 0), (" 7 ", 7), ("1.5", 0)],
)
def test_offsets(text: str, offset: int) -> None:
    assert keepalived.parse_offset(text) == offset


def test_addresses() -> None:
    text = (
        '[{"ifname":"lo","addr_info":[{"local":"127.0.0.1"}]},{"ifname":"eth1"},'
        '{"ifname":"eth0","addr_info":[{"family":"inet","local":"10.99.7.1","prefixlen":24},{}]}]'
    )
    assert keepalived.parse_addresses(text) == {"127.0.0.1", "10.99.7.1"}


class Stage(keepalived.Keepalived):
    """A keepalived whose dump is written by the test; the signal goes to this process, which ignores it."""

    def __init__(self, folder: Path, timeout: float = 0.2) -> None:
        super().__init__(
            timeout=timeout,
            json_dump=str(folder / "keepalived.json"),
            data_dump=str(folder / "keepalived.data"),
            lock_file=str(folder / "lock"),
        )
        self._json_signal = signal.SIGWINCH

    def pid(self) -> int:
        return os.getpid()


def test_an_old_dump_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "keepalived.json").write_text(recorded("backup.json"))
    with pytest.raises(SelfhealError) as caught:
        Stage(tmp_path).instances()
    assert caught.value.reason == "no_answer"
    assert not (tmp_path / "keepalived.json").exists()


def test_a_dump_that_grows_is_read_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = recorded("backup.json")
    path = tmp_path / "keepalived.json"
    lengths = iter([0, 10, len(text) // 2, len(text)])

    def write_on(_seconds: float) -> None:
        path.write_text(text[: next(lengths)])

    monkeypatch.setattr(time, "sleep", write_on)
    assert Stage(tmp_path, timeout=5).instances()[0]["data"]["iname"] == "VI_ext"
    assert list(lengths) == []
    assert not path.exists(), "the dump has passwords in it and must not stay"


def test_the_parents_dump_is_taken_away_although_it_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent passes the signal on first and writes its own dump, with the same passwords, afterwards."""
    parent = tmp_path / "keepalived_parent.data"
    writes = iter([(tmp_path / "keepalived.data", recorded("backup.data")), (None, ""), (parent, "auth_pass secret")])

    def write_on(_seconds: float) -> None:
        path, text = next(writes)
        if path:
            path.write_text(text)

    stage = Stage(tmp_path, timeout=5)
    monkeypatch.setattr(signal, "SIGUSR1", signal.SIGWINCH)  # to this process, which ignores that one
    monkeypatch.setattr(time, "sleep", write_on)
    monkeypatch.setattr(keepalived, "_children", lambda _pid: 1)
    assert "VI_ext" in stage.running()
    assert list(writes) == []
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_link_in_tmp_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").write_text(recorded("backup.json"))

    def plant(_seconds: float) -> None:
        if not (tmp_path / "keepalived.json").is_symlink():
            (tmp_path / "keepalived.json").symlink_to(tmp_path / "elsewhere")

    monkeypatch.setattr(time, "sleep", plant)
    with pytest.raises(SelfhealError) as caught:
        Stage(tmp_path, timeout=0.05).instances()
    assert caught.value.reason == "no_answer"


def test_a_stale_pid_file_is_no_keepalived(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    found = keepalived.Keepalived(pid_files=[str(tmp_path / "none"), str(tmp_path / "pid")])
    assert found.pid() is None
