# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""keepalived_info and keepalived_hold against a real pair."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from tests.integration.keepalived.harness import Pair, wait_for

pytestmark = pytest.mark.network
VIP = "10.99.7.100"


def only(seen: dict[str, Any]) -> dict[str, Any]:
    """The one instance of an info result."""
    assert len(seen["instances"]) == 1
    found: dict[str, Any] = seen["instances"][0]
    return found


def test_info_tells_master_and_proven_standby(pair: Pair) -> None:
    pair.start()
    one, two = pair.one.info(), pair.two.info()
    assert (only(one)["state"], only(two)["state"]) == ("MASTER", "BACKUP")
    assert (only(one)["address_present"], only(two)["address_present"]) == (True, False)
    assert only(two)["adverts_heard"] and not only(one)["adverts_heard"]
    assert only(two)["master_priority"] == 200
    assert only(two)["track_file"]
    assert one["comparable"] == two["comparable"] != ""
    assert not pair.one.run("ls", "/tmp").split(), "a dump with secrets was left behind"


def test_the_address_moves_to_the_peer_and_home(pair: Pair) -> None:
    pair.start()
    moved = pair.two.hold(mode="peer")
    assert moved["changed"], moved
    assert moved["after"]["state"] == "MASTER"
    assert pair.two.has_vip()
    assert moved["offset"] == 104
    assert (pair.two.state / "keepalived" / "VI_ext").read_text() == "104\n"
    assert only(pair.two.info())["hold"]["incident"] == "i1"
    again = pair.two.hold(mode="peer")
    assert again["changed"] is False
    assert not pair.one.has_vip()
    home = pair.two.hold(state="absent", expect="BACKUP", phase="readmit")
    assert home["changed"], home
    assert pair.one.has_vip()
    assert not pair.two.has_vip()
    assert only(pair.two.info())["hold"] is None
    assert not list((pair.two.state / "holds").glob("*.json"))


def test_keepalived_that_is_not_there_is_told_and_its_address_too(pair: Pair) -> None:
    pair.one.run("ip", "addr", "add", f"{VIP}/32", "dev", "eth0")
    pair.two.start()  # its processes are seen in /proc as well, but in another network
    seen = pair.one.info()
    assert (seen["running"], seen["stopped"], seen["error"]) == (False, True, "")
    assert only(seen)["state"] == "STOPPED"
    assert only(seen)["address_present"] is True
    assert seen["address_present"] is True
    assert pair.one.hold()["reason"] == "not_running"


def test_an_address_that_a_killed_keepalived_left_behind_is_told(pair: Pair) -> None:
    pair.start()
    pair.one.kill()
    wait_for(pair.two.has_vip)
    seen = pair.one.info()
    assert (seen["running"], seen["stopped"]) == (False, True)
    assert (only(seen)["state"], only(seen)["address_present"]) == ("STOPPED", True)
    assert only(pair.two.info())["state"] == "MASTER"


def test_a_keepalived_that_does_not_answer_is_unknown(pair: Pair) -> None:
    pair.start()
    for pid in pair.two.processes():
        pair.two.run("kill", "-STOP", str(pid))
    try:
        seen = pair.two.info(timeout=0.3)
        assert only(seen)["state"] == "UNKNOWN"
        assert only(seen)["adverts_heard"] is False
        assert seen["error"]
        assert (seen["running"], seen["stopped"]) == (True, False)
        (pair.two.run_dir / "keepalived.pid").rename(pair.two.run_dir / "lost.pid")
        seen = pair.two.info(timeout=0.3)
        (pair.two.run_dir / "lost.pid").rename(pair.two.run_dir / "keepalived.pid")
        assert (seen["running"], seen["stopped"], only(seen)["state"]) == (False, False, "UNKNOWN")
        assert "lives" in seen["error"]
        assert pair.two.hold()["reason"] == "no_answer"
        assert pair.two.offset() == ""
    finally:
        for pid in pair.two.processes():
            pair.two.run("kill", "-CONT", str(pid))


def test_a_standby_that_hears_nothing_is_not_proven(pair: Pair) -> None:
    pair.configure(two={"extra": "down_timer_adverts 255"})
    pair.start()
    pair.one.run("ip", "link", "set", "eth0", "down")
    try:
        assert only(pair.two.info())["adverts_heard"] is False
        assert pair.two.hold()["reason"] in ("not_backup", "no_preempt")
        assert pair.two.offset() == ""
    finally:
        pair.one.run("ip", "link", "set", "eth0", "up")


def test_soft_leaves_the_address_where_a_peer_may_not_preempt(pair: Pair) -> None:
    pair.configure(two={"extra": "nopreempt"})
    pair.start()
    refused = pair.one.hold(mode="soft", timeout=2)
    assert refused["reason"] == "not_moved", refused
    assert pair.one.has_vip()
    assert pair.one.offset() == "0\n"
    assert not list((pair.one.state / "holds").glob("*.json")), "what was not done leaves no hold"
    assert pair.two.hold()["reason"] == "no_preempt"


def test_hard_moves_the_address_to_a_peer_that_may_not_preempt(pair: Pair) -> None:
    pair.configure(two={"extra": "nopreempt"})
    pair.start()
    moved = pair.one.hold(mode="hard")
    assert moved["changed"], moved
    assert moved["after"]["state"] == "FAULT"
    wait_for(pair.two.has_vip)
    assert pair.one.hold(state="absent", expect="BACKUP", phase="readmit")["changed"]
    assert pair.two.has_vip()


def test_soft_moves_the_address_and_absent_brings_it_home(pair: Pair) -> None:
    pair.start()
    moved = pair.one.hold(mode="soft")
    assert moved["changed"], moved
    assert moved["after"]["effective_priority"] == 1
    assert pair.two.has_vip()
    home = pair.one.hold(state="absent", expect="MASTER", phase="readmit")
    assert home["changed"], home
    assert pair.one.has_vip()


def test_refusals_leave_the_pair_alone(pair: Pair) -> None:
    pair.start()
    told = pair.two.hold(_ansible_check_mode=True, _ansible_diff=True)
    assert told["changed"]
    assert told["after"]["effective_priority"] == 254
    assert told["diff"]["before"] != told["diff"]["after"]
    assert pair.two.offset() == ""
    assert pair.two.hold(epoch=10)["changed"]
    assert pair.two.hold(epoch=9, state="absent")["reason"] == "stale_epoch"
    assert pair.two.has_vip()
    assert pair.two.hold(epoch=11, incident="i2", state="absent", expect="BACKUP")["changed"]
    (pair.two.state / "keepalived" / "VI_ext").write_text("5\n")
    assert pair.two.hold(epoch=12)["reason"] == "human_hold"
    assert pair.two.offset() == "5\n"


def test_a_configuration_without_the_track_file_is_told(pair: Pair) -> None:
    pair.configure(two={"track": ""})
    pair.start()
    refused = pair.two.hold()
    assert refused["reason"] == "no_track_file"
    assert "weight 1" in refused["msg"]
    assert only(pair.two.info())["track_file"] is False


def test_the_trap_of_a_sync_group_is_seen(pair: Pair) -> None:
    pair.configure(two={"group": "vrrp_sync_group VG_1 {\n  group {\n    VI_ext\n  }\n}"})
    pair.start()
    refused = pair.two.hold()
    assert refused["reason"] == "no_track_file"
    assert "VG_1" in refused["msg"]
    assert pair.two.offset() == ""


def test_a_different_configuration_does_not_compare(pair: Pair) -> None:
    pair.configure(two={"extra": "down_timer_adverts 3"})
    pair.start()
    assert pair.one.info()["comparable"] != pair.two.info()["comparable"]


@pytest.mark.parametrize("held", [True, False])
def test_a_frozen_master_wakes_with_the_address_and_only_a_hold_of_its_peer_takes_it_off(
    pair: Pair, held: bool
) -> None:
    pair.start()
    frozen = pair.one.processes()
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(pair.two.has_vip)
        assert only(pair.one.info(timeout=0.3))["state"] == "UNKNOWN"
        if held:
            assert pair.two.hold(mode="peer")["after"]["state"] == "MASTER"
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    loser = pair.one if held else pair.two
    wait_for(lambda: pair.two.has_vip() is held and not loser.has_vip())
    assert pair.one.has_vip() is not held
