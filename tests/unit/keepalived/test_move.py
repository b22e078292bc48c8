# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What keepalived_hold decides: offsets, refusals, and what counts as moved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import Hold
from ansible_collections.selfheal.cluster.plugins.module_utils._keepalived_move import (
    Wish,
    choose_offset,
    parked_below,
    reached,
    refuse,
)

PATH = "/var/lib/selfheal/keepalived/VI_ext"


def seen(**changes: Any) -> dict[str, Any]:
    return {
        "instance": "VI_ext",
        "state": "BACKUP",
        "base_priority": 150,
        "effective_priority": 150,
        "master_priority": 200,
        "vips": ["10.0.0.100"],
        "address_present": False,
        "adverts_heard": True,
        "adverts_received": 10,
        "nopreempt": False,
        "preempt_delay_seconds": 0.0,
        "advert_seconds": 0.1,
        "sync_group": "",
        "track_file": True,
        "track_weight": 1,
        "offset": 0,
        "hold": None,
        "last_transition": 1.0,
        **changes,
    }


def wish(**changes: Any) -> Wish:
    given: dict[str, Any] = {
        "instance": "VI_ext",
        "state": "present",
        "incident": "i1",
        "epoch": 7,
        "phase": "shift",
        "deadline_seconds": 60.0,
    }
    return Wish(**{**given, **changes})


def hold(incident: str, epoch: int) -> Hold:
    return Hold("keepalived:VI_ext", incident, epoch, "shift", "", "b", 0.0, 0.0)


@pytest.mark.parametrize(
    ("phase", "before", "below"),
    [
        ("shift", None, 0),
        ("shift", hold("i0", 5), 0),
        ("shift", replace(hold("i0", 5), phase="parked"), 51),
        ("shift", replace(hold("i1", 6), parked=30), 30),  # of a run that died
        ("parked", replace(hold("i1", 7), parked=30), 0),
        ("parked", replace(hold("i0", 5), phase="parked"), 0),
    ],
)
def test_what_was_parked_below_a_hold_is_not_forgotten(phase: str, before: Hold | None, below: int) -> None:
    assert parked_below(wish(phase=phase), before, 51) == below


@pytest.mark.parametrize(
    ("mode", "base", "offset"),
    [
        ("peer", 150, 104),
        ("peer", 253, 1),
        ("peer", 254, 1),
        ("soft", 200, -199),
        ("soft", 1, -1),
        ("soft", 254, -253),
        ("hard", 200, -254),
    ],
)
def test_offsets(mode: str, base: int, offset: int) -> None:
    assert choose_offset(seen(base_priority=base), wish(mode=mode)) == offset


@pytest.mark.parametrize(
    ("state", "held", "asked", "reason"),
    [
        ({}, None, {}, ""),
        ({"adverts_heard": False}, None, {}, "not_backup"),
        ({"state": "FAULT"}, None, {}, "not_backup"),
        ({"state": "INIT"}, None, {}, "not_backup"),
        ({"state": "UNKNOWN"}, None, {}, "not_backup"),
        ({"state": "MASTER"}, None, {}, "not_backup"),
        ({"state": "MASTER", "address_present": True, "adverts_heard": False}, None, {}, ""),
        ({"nopreempt": True}, None, {}, "no_preempt"),
        ({"preempt_delay_seconds": 10.0}, None, {}, "no_preempt"),
        ({"preempt_delay_seconds": 10.0}, None, {"timeout": 12.0}, ""),
        ({"master_priority": 254}, None, {}, "no_preempt"),
        ({"master_priority": 253}, None, {}, ""),
        ({}, None, {"offset": 20}, "no_preempt"),
        ({"base_priority": 255}, None, {"mode": "soft"}, "address_owner"),
        ({"track_file": False}, None, {}, "no_track_file"),
        ({"track_file": False, "sync_group": "VG", "track_weight": 0}, None, {}, "no_track_file"),
        ({"track_file": False}, None, {"mode": "hard"}, "no_track_file"),
        ({"track_file": False}, None, {"state": "absent"}, ""),
        ({"offset": -50}, None, {}, "human_hold"),
        ({"offset": -50}, None, {"state": "absent"}, "human_hold"),
        ({"offset": 104, "state": "MASTER", "address_present": True}, hold("i1", 7), {}, ""),
        ({"offset": 104}, hold("i0", 3), {"state": "absent"}, ""),
        ({"offset": 104}, hold("i0", 9), {"state": "absent"}, "human_hold"),
        ({"offset": 104}, hold("unknown", 0), {"state": "absent"}, "human_hold"),
        ({"offset": -253}, hold("boot", 0), {}, "human_hold"),  # a node on a boot hold is no proven standby
        ({"offset": -253}, hold("boot", 0), {"state": "absent"}, ""),
        ({"offset": -253}, hold("boot", 0), {"mode": "soft"}, ""),
        ({"state": "FAULT"}, None, {"mode": "soft"}, ""),
    ],
)
def test_refusals(state: dict[str, Any], held: Hold | None, asked: dict[str, Any], reason: str) -> None:
    if not reason:
        refuse(seen(**state), held, wish(**asked), PATH, True)
        return
    with pytest.raises(SelfhealError) as caught:
        refuse(seen(**state), held, wish(**asked), PATH, True)
    assert caught.value.reason == reason


def test_a_missing_folder_is_told_with_the_lines_to_add() -> None:
    with pytest.raises(SelfhealError) as caught:
        refuse(seen(), None, wish(), PATH, False)
    assert caught.value.reason == "no_track_file"
    for line in (PATH.rsplit("/", 1)[0], f'file "{PATH}"', "weight 1", "track_file {"):
        assert line in caught.value.message


def test_the_trap_of_a_sync_group_is_told() -> None:
    with pytest.raises(SelfhealError) as caught:
        refuse(seen(track_file=False, sync_group="VG_1", track_weight=0), None, wish(), PATH, True)
    assert "VG_1" in caught.value.message
    assert "FAULT" in caught.value.message


@pytest.mark.parametrize(
    ("now", "before", "asked", "offset", "done"),
    [
        ({"state": "MASTER", "address_present": True}, {}, {}, 104, True),
        ({"state": "MASTER"}, {}, {}, 104, False),
        ({"effective_priority": 254}, {}, {}, 104, False),
        ({"state": "FAULT"}, {}, {"mode": "hard"}, -254, True),
        ({"state": "FAULT", "address_present": True}, {}, {"mode": "hard"}, -254, False),
        ({"state": "BACKUP", "effective_priority": 1}, {"state": "MASTER"}, {"mode": "soft"}, -149, True),
        (
            {"state": "MASTER", "address_present": True, "effective_priority": 1},
            {"state": "MASTER"},
            {"mode": "soft"},
            -149,
            False,
        ),
        ({"effective_priority": 1}, {}, {"mode": "soft"}, -149, True),
        ({}, {}, {"mode": "soft"}, -149, False),
        ({}, {"offset": 104, "effective_priority": 254}, {"state": "absent"}, 0, True),
        ({"effective_priority": 254}, {"offset": 104, "effective_priority": 254}, {"state": "absent"}, 0, False),
        (
            {"state": "MASTER", "address_present": True},
            {"offset": 104, "effective_priority": 254, "state": "MASTER"},
            {"state": "absent", "expect": "BACKUP"},
            0,
            False,
        ),
        ({}, {"offset": 104, "state": "MASTER"}, {"state": "absent", "expect": "BACKUP"}, 0, True),
        ({"state": "MASTER", "address_present": True}, {}, {"state": "absent", "expect": "MASTER"}, 0, True),
        ({"state": "MASTER"}, {}, {"state": "absent", "expect": "MASTER"}, 0, False),
    ],
)
def test_what_counts_as_moved(
    now: dict[str, Any], before: dict[str, Any], asked: dict[str, Any], offset: int, done: bool
) -> None:
    assert reached(seen(**now), seen(**before), wish(**asked), offset) is done
