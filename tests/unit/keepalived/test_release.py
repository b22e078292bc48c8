# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""When a leftover address may be taken off, and what is said on the wire; for real in tests/integration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils import _arp as arp
from ansible_collections.selfheal.cluster.plugins.module_utils import _keepalived_release as release
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Holds

VIP, SECOND = "10.0.0.100", "10.0.0.101"
OWN, PEER = bytes.fromhex("020000000011"), bytes.fromhex("020000000012")
ADDR = json.dumps([
    {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
    {"ifname": "eth0", "addr_info": [
        {"local": "10.0.0.11", "prefixlen": 24}, {"local": SECOND, "prefixlen": 32}, {"local": VIP, "prefixlen": 24},
        {"local": "fd00::100", "prefixlen": 128}, {}]},
])  # fmt: skip


def reply(mac: bytes, address: str, operation: int = arp.REPLY) -> bytes:
    packed = bytes(int(part) for part in address.split("."))
    return arp.frame(mac, operation, mac, packed, bytes(4))


def test_a_probe_changes_nobodys_cache() -> None:
    raw = arp.probe(OWN, VIP)
    assert raw.hex() == "ffffffffffff0200000000110806000108000604000102000000001100000000" + ("0000000000000a000064")
    assert arp.speaker(raw, VIP, b"") == b"", "it says nothing of who has the address"


def test_an_announcement_names_the_machine_that_has_it() -> None:
    raw = arp.announcement(OWN, VIP, PEER)
    assert raw.hex() == "ffffffffffff020000000011080600010800060400010200000000120a000064" + ("0000000000000a000064")
    assert arp.speaker(raw, VIP, OWN) == PEER


@pytest.mark.parametrize(
    ("raw", "heard"),
    [
        (reply(PEER, VIP), PEER),
        (reply(PEER, VIP, arp.REQUEST), PEER),  # its own announcement says it as well
        (reply(PEER, VIP) + bytes(18), PEER),  # as long as Ethernet wants it
        (reply(PEER, VIP)[:41], b""),
        (reply(PEER, SECOND), b""),
        (reply(OWN, VIP), b""),
        (reply(bytes(6), VIP), b""),
        (reply(b"\xff" * 6, VIP), b""),
        (reply(PEER, VIP, 9), b""),
        (reply(PEER, VIP)[:12] + b"\x08\x00" + reply(PEER, VIP)[14:], b""),
        (reply(PEER, VIP)[:14] + b"\x00\x06" + reply(PEER, VIP)[16:], b""),
        (b"", b""),
    ],
)
def test_who_says_that_it_has_the_address(raw: bytes, heard: bytes) -> None:
    assert arp.speaker(raw, VIP, OWN) == heard


def test_what_is_still_here_in_the_order_that_was_asked_for() -> None:
    found = release.left_behind(ADDR, (VIP, "10.0.0.99", SECOND))
    assert found == [release.Left(VIP, 24, "eth0"), release.Left(SECOND, 32, "eth0")]


class Machine:
    """A made-up machine for what the release asks and does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.doubt = ""
        self.answers: dict[str, bytes] = {VIP: PEER, SECOND: PEER}
        self.stays: set[str] = set()
        self.asked: list[str] = []
        self.done: list[str] = []
        self.told: list[tuple[str, bytes]] = []
        monkeypatch.setattr(release, "why_not_stopped", lambda: self.doubt)
        monkeypatch.setattr(release, "_ip", self.ip)
        monkeypatch.setattr(release, "local_addresses", lambda: self.stays)
        monkeypatch.setattr(arp, "who_else", self.who_else)
        monkeypatch.setattr(arp, "announce", lambda _on, address, mac: self.told.append((address, mac)))

    def ip(self, *words: str) -> str:
        if words == ("-j", "addr"):
            return ADDR
        self.done.append(" ".join(words))
        return ""

    def who_else(self, interface: str, address: str, _seconds: float) -> bytes:
        self.asked.append(f"{interface} {address}")
        if interface != "eth0":
            raise OSError("no such device")
        return self.answers.get(address, b"")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def wish(*addresses: str, epoch: int = 5) -> release.Wish:
    return release.Wish("VI_ext", addresses or (VIP,), epoch)


def test_it_is_taken_off_and_told(machine: Machine, tmp_path: Path) -> None:
    done = release.Release(Holds(str(tmp_path)), wish(VIP, SECOND)).apply()
    assert done["changed"]
    assert [row["taken_over_by"] for row in done["released"]] == ["02:00:00:00:00:12"] * 2
    assert machine.done == ["addr del 10.0.0.100/24 dev eth0", "addr del 10.0.0.101/32 dev eth0"]
    assert machine.told == [(VIP, PEER), (SECOND, PEER)]
    assert Holds(str(tmp_path)).seen_epoch("keepalived:VI_ext") == 5


def test_nothing_left_is_no_change(machine: Machine, tmp_path: Path) -> None:
    assert release.Release(Holds(str(tmp_path)), wish("10.0.0.99")).apply()["changed"] is False
    assert machine.done == machine.told == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"doubt": "A process lives."}, "still_running"),
        ({"answers": {}}, "not_taken_over"),
        ({"answers": {VIP: PEER}}, "not_taken_over"),  # all or nothing: half of a service is none
    ],
)
def test_without_both_proofs_nothing_is_touched(
    machine: Machine, tmp_path: Path, given: dict[str, Any], reason: str
) -> None:
    for name, value in given.items():
        setattr(machine, name, value)
    with pytest.raises(SelfhealError) as caught:
        release.Release(Holds(str(tmp_path)), wish(VIP, SECOND)).apply()
    assert caught.value.reason == reason
    assert machine.done == machine.told == []
    assert Holds(str(tmp_path)).seen_epoch("keepalived:VI_ext") == 0


def test_a_living_keepalived_is_not_even_asked_about_the_wire(machine: Machine, tmp_path: Path) -> None:
    machine.doubt = "systemd calls keepalived.service active."
    with pytest.raises(SelfhealError, match="active"):
        release.Release(Holds(str(tmp_path)), wish()).apply()
    assert machine.asked == []


def test_an_address_that_arp_cannot_ask_for_stays(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(SelfhealError, match="no IPv4") as caught:
        release.Release(Holds(str(tmp_path)), wish(VIP, "fd00::100")).apply()
    assert caught.value.reason == "not_taken_over"
    assert machine.done == []


def test_a_wire_that_cannot_be_asked_is_no_proof(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SelfhealError, match="lo: no such device") as caught:
        release.Release(Holds(str(tmp_path)), wish("127.0.0.1")).apply()
    assert caught.value.reason == "not_taken_over"


def test_an_older_epoch_is_refused_before_anything_is_asked(machine: Machine, tmp_path: Path) -> None:
    holds = Holds(str(tmp_path))
    with holds.lock():
        holds.raise_epoch("keepalived:VI_ext", 6)
    with pytest.raises(SelfhealError) as caught:
        release.Release(holds, wish()).apply()
    assert caught.value.reason == "stale_epoch"
    assert machine.asked == machine.done == []


def test_an_address_that_comes_back_is_told_and_not_announced(machine: Machine, tmp_path: Path) -> None:
    machine.stays = {VIP}
    with pytest.raises(SelfhealError) as caught:
        release.Release(Holds(str(tmp_path)), wish()).apply()
    assert caught.value.reason == "not_released"
    assert machine.told == []


def test_a_wire_that_takes_no_announcement_does_not_undo_what_is_done(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_words: Any) -> None:
        raise OSError("down")

    monkeypatch.setattr(arp, "announce", broken)
    assert release.Release(Holds(str(tmp_path)), wish()).apply()["changed"]
