# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Holds and epochs: who may act, what survives, and that nothing unreadable counts as free."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _holds
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Holds, describe, file_name, write_atomic

MEMBER = "haproxy:be_ei/ei1"


@pytest.fixture
def holds(tmp_path: Path) -> Holds:
    return Holds(str(tmp_path / "state"))


def put(holds: Holds, incident: str = "i1", epoch: int = 7, seconds: float = 60) -> None:
    holds.put(MEMBER, incident, epoch, "shift", "memory", seconds)


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        (MEMBER, "haproxy_be_ei_ei1.json"),
        ("keepalived:VI_ext", "keepalived_VI_ext.json"),
        ("service:ei.service", "service_ei.service.json"),
        ("service:../../etc/passwd", "service_.._.._etc_passwd.json"),
        ("service:a b\nc", "service_a_b_c.json"),
    ],
)
def test_a_file_name_is_one_flat_word(resource: str, name: str) -> None:
    assert file_name(resource) == name


@pytest.mark.parametrize("resource", ["", "x" * 201])
def test_a_resource_without_a_usable_name_is_refused(resource: str) -> None:
    with pytest.raises(SelfhealError) as caught:
        file_name(resource)
    assert caught.value.reason == "bad_resource"


def test_a_hold_comes_back_as_it_was_written(holds: Holds) -> None:
    put(holds)
    found = describe(holds.read(MEMBER))
    assert found is not None
    assert 59 <= found.pop("remaining_seconds") <= 60
    assert found == {
        "resource": MEMBER,
        "incident": "i1",
        "epoch": 7,
        "phase": "shift",
        "reason": "memory",
        "expired": False,
    }


def test_what_a_hold_has_replaced_comes_back_with_it_and_older_files_have_none(holds: Holds) -> None:
    put(holds)
    path = holds.holds / file_name(MEMBER)
    older = json.loads(path.read_text(encoding="utf-8"))
    del older["parked"]
    path.write_text(json.dumps(older), encoding="utf-8")
    assert "parked" not in (describe(holds.read(MEMBER)) or {})
    holds.put(MEMBER, "i1", 7, "shift", "memory", 60, parked=51)
    assert (describe(holds.read(MEMBER)) or {})["parked"] == 51


def test_no_file_is_no_hold(holds: Holds) -> None:
    assert holds.read(MEMBER) is None
    assert describe(None) is None
    assert holds.all() == []


def test_everybody_may_read_a_hold_and_only_root_write_it(holds: Holds) -> None:
    put(holds)
    path = holds.holds / file_name(MEMBER)
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.parent.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"resource": "haproxy:be_ei/ei1"}', b"\xff\xfe", b'{"epoch": "x"}'],
)
def test_an_unreadable_hold_is_held_by_nobody_known(holds: Holds, content: bytes) -> None:
    put(holds)
    (holds.holds / file_name(MEMBER)).write_bytes(content)
    found = holds.read(MEMBER)
    assert found is not None
    assert found.incident == "unknown"
    assert not found.owned_by("i1", 10**12)
    assert [hold.incident for hold in holds.all()] == ["unknown"]
    assert holds.all()[0].resource


def test_a_file_of_another_resource_with_the_same_name_is_not_ours(holds: Holds) -> None:
    put(holds)
    assert file_name("haproxy:be/ei_ei1") == file_name(MEMBER)
    found = holds.read("haproxy:be/ei_ei1")
    assert found is not None
    assert found.incident == "unknown"


@pytest.mark.parametrize(
    ("incident", "epoch", "owned"),
    [("i1", 7, True), ("i1", 6, True), ("i2", 8, True), ("i2", 7, False), ("i2", 6, False)],
)
def test_the_owner_is_the_incident_or_a_younger_heal(holds: Holds, incident: str, epoch: int, owned: bool) -> None:
    put(holds)
    found = holds.read(MEMBER)
    assert found is not None
    assert found.owned_by(incident, epoch) is owned


def test_a_deadline_passes(holds: Holds, monkeypatch: pytest.MonkeyPatch) -> None:
    put(holds, seconds=60)
    start = _holds.uptime_clock()
    monkeypatch.setattr(_holds, "uptime_clock", lambda: start + 59)
    assert describe(holds.read(MEMBER))["expired"] is False  # type: ignore[index]  # it is there
    monkeypatch.setattr(_holds, "uptime_clock", lambda: start + 61)
    assert describe(holds.read(MEMBER))["expired"] is True  # type: ignore[index]  # it is there


def test_a_hold_of_an_earlier_boot_stays_and_its_time_starts_again(
    holds: Holds, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(holds, seconds=60)
    monkeypatch.setattr(_holds, "boot_id", lambda: "another")
    old = holds.read(MEMBER)
    assert old is not None
    assert describe(old)["expired"] is True  # type: ignore[index]  # it is there
    holds.start_again(old)
    young = describe(holds.read(MEMBER))
    assert young is not None
    assert young["expired"] is False
    assert young["incident"] == "i1"


@pytest.mark.parametrize(("epoch", "passes"), [(6, False), (7, True), (8, True)])
def test_an_older_epoch_is_refused_and_an_equal_one_passes(holds: Holds, epoch: int, passes: bool) -> None:
    holds.raise_epoch(MEMBER, 7)
    if passes:
        holds.raise_epoch(MEMBER, epoch)
        assert Holds(str(holds.root)).seen_epoch(MEMBER) == epoch
        return
    with pytest.raises(SelfhealError) as caught:
        holds.raise_epoch(MEMBER, epoch)
    assert caught.value.reason == "stale_epoch"
    assert holds.seen_epoch(MEMBER) == 7


def test_epochs_are_kept_for_each_resource_apart(holds: Holds) -> None:
    holds.raise_epoch(MEMBER, 7)
    holds.raise_epoch("haproxy:be_ei/ei2", 3)
    assert holds.seen_epoch("haproxy:be_ei/ei2") == 3


@pytest.mark.parametrize("content", ["", "{}", '{"epoch": "seven"}', "7"])
def test_an_unreadable_epoch_refuses_everybody(holds: Holds, content: str) -> None:
    holds.raise_epoch(MEMBER, 7)
    (holds.epochs / file_name(MEMBER)).write_text(content)
    with pytest.raises(SelfhealError) as caught:
        holds.check_epoch(MEMBER, 10**12)
    assert caught.value.reason == "epoch_unreadable"


def test_removing_a_hold_leaves_the_epoch(holds: Holds) -> None:
    holds.raise_epoch(MEMBER, 7)
    put(holds)
    holds.remove(MEMBER)
    holds.remove(MEMBER)
    assert holds.read(MEMBER) is None
    assert holds.seen_epoch(MEMBER) == 7


def test_text_from_outside_stays_one_short_printable_line(holds: Holds) -> None:
    holds.put(MEMBER, "i\n1", 7, "shift", "a\x1b[31m\n" + "b" * 500, 60)
    found = holds.read(MEMBER)
    assert found is not None
    assert found.incident == "i 1"
    assert len(found.reason) == 200
    assert found.reason.isprintable()


def test_a_second_writer_waits_for_the_lock_and_then_gives_up(holds: Holds) -> None:
    with holds.lock(), (holds.root / "lock").open() as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(SelfhealError) as caught, Holds(str(holds.root)).lock(timeout=0.05):
            raise AssertionError("two holders of one lock")
    assert caught.value.reason == "locked"
    with holds.lock(timeout=0.05):
        pass


def test_a_full_disk_leaves_the_old_file_and_no_litter(holds: Holds, monkeypatch: pytest.MonkeyPatch) -> None:
    put(holds)
    before = (holds.holds / file_name(MEMBER)).read_text()

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SelfhealError) as caught:
        put(holds, incident="i2")
    assert caught.value.reason == "disk"
    assert [path.name for path in holds.holds.iterdir()] == [file_name(MEMBER)]
    assert (holds.holds / file_name(MEMBER)).read_text() == before


def test_a_reader_never_meets_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    seen = []
    for number in range(50):
        write_atomic(path, json.dumps({"number": number}))
        seen.append(json.loads(path.read_text())["number"])
    assert seen == list(range(50))
    assert list(tmp_path.iterdir()) == [path]


def test_it_runs_without_ansible(tmp_path: Path) -> None:
    source = Path(_holds.__file__).resolve().parent
    package = tmp_path / "selfheal"
    package.mkdir()
    for name in ("_errors.py", "_holds.py"):
        (package / name).write_text((source / name).read_text())
    code = (
        f"import sys; sys.path.append({str(tmp_path)!r}); from selfheal._holds import Holds;"
        f" h = Holds({str(tmp_path / 's')!r}); h.put('a:b', 'i', 1, 'shift', '', 5); print(h.read('a:b').incident)"
    )
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "i"
