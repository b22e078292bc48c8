# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""keepalived_info and keepalived_hold against a real pair."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.keepalived.harness import Pair

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
