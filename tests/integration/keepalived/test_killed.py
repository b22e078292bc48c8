# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""All processes of a real keepalived killed at once: its address stays behind, and what a heal does about it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from ansible_collections.selfheal.cluster.plugins.module_utils._heal_watch import QUESTIONS
from tests.integration.keepalived.harness import VIP, Pair, wait_for

pytestmark = pytest.mark.network
ABOUT = {"instance": "VI_ext"}
# What a neighbour hears, from the first word on for half a second: who is said to have the address.
HEAR = """
import socket, sys, time
from ansible_collections.selfheal.cluster.plugins.module_utils import _arp as arp
link = arp._open("eth0")
print("listening", flush=True)
end = time.monotonic() + 30
heard = set()
while time.monotonic() < end:
    link.settimeout(max(0.001, end - time.monotonic()))
    try:
        raw, where = link.recvfrom(2048)
    except socket.timeout:
        break
    said = arp.speaker(raw, sys.argv[1], b"")
    if said and where[2] != socket.PACKET_OUTGOING:
        end = end if heard else time.monotonic() + 0.5
        heard.add(arp.text(said))
print(" ".join(sorted(heard)))
"""


@pytest.fixture
def killed(pair: Pair) -> Iterator[Pair]:
    """``one`` was active; its keepalived is dead, and both have the address."""
    pair.start()
    pair.one.kill()
    wait_for(pair.two.has_vip)
    assert pair.one.has_vip()
    yield pair


def test_the_address_is_taken_off_and_the_node_comes_back_as_standby(killed: Pair) -> None:
    held = killed.two.hold(mode="peer")
    assert held["after"]["state"] == "MASTER", held
    told = killed.one.release(_ansible_check_mode=True)
    assert told["changed"] and killed.one.has_vip()
    done = killed.one.release()
    assert done["changed"], done
    (row,) = done["released"]
    assert row == {"address": VIP, "interface": "eth0", "taken_over_by": killed.two.mac()}
    assert not killed.one.has_vip()
    assert "10.99.7.1/24" in killed.one.run("ip", "addr"), "its own address has to stay"
    assert killed.two.has_vip()
    assert QUESTIONS["no_address"]({"keepalived": killed.one.info()}, ABOUT) == ""
    assert QUESTIONS["holds_address"]({"keepalived": killed.two.info()}, ABOUT) == ""
    assert killed.one.release()["changed"] is False
    killed.one.start()
    wait_for(lambda: QUESTIONS["standby_proven"]({"keepalived": killed.one.info()}, ABOUT) == "")
    assert killed.two.has_vip() and not killed.one.has_vip()
    home = killed.two.hold(state="absent", expect="BACKUP", phase="readmit")
    assert home["changed"], home
    assert killed.one.has_vip() and not killed.two.has_vip()


def test_neighbours_are_told_where_the_address_is(killed: Pair) -> None:
    script = killed.two.run_dir / "hear.py"
    script.write_text(HEAR)
    listener = subprocess.Popen(
        killed.two.enter("env", "PYTHONPATH=/mnt/.dev", killed.two.python(), "/run/hear.py", VIP),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert listener.stdout is not None
    assert listener.stdout.readline().strip() == "listening"
    assert killed.one.release()["changed"]
    heard = listener.stdout.read().split()
    assert listener.wait(10) == 0
    assert heard == [killed.two.mac()], "never the own address of `one`"


def test_an_address_that_nobody_else_answers_for_stays(killed: Pair) -> None:
    killed.two.stop()
    wait_for(lambda: not killed.two.has_vip())
    refused = killed.one.release(timeout=0.5)
    assert refused["reason"] == "not_taken_over", refused
    assert killed.one.has_vip()
    killed.two.run("ip", "link", "set", "eth0", "down")
    assert killed.one.release(timeout=0.5)["reason"] == "not_taken_over"
    assert killed.one.has_vip()


def test_a_living_keepalived_keeps_its_address(pair: Pair) -> None:
    pair.start()
    refused = pair.one.release()
    assert refused["reason"] == "still_running", refused
    assert pair.one.has_vip()
    (pair.one.run_dir / "keepalived.pid").rename(pair.one.run_dir / "lost.pid")
    refused = pair.one.release()
    (pair.one.run_dir / "lost.pid").rename(pair.one.run_dir / "keepalived.pid")
    assert refused["reason"] == "still_running", refused
    assert pair.one.has_vip()


def test_an_older_heal_takes_nothing_off(killed: Pair) -> None:
    assert killed.one.release(epoch=12, addresses=["10.99.7.99"])["changed"] is False
    assert killed.one.release(epoch=11)["reason"] == "stale_epoch"
    assert killed.one.has_vip()


def test_keepalived_itself_takes_its_old_address_off_when_it_starts(killed: Pair) -> None:
    """What a heal rests on where the address could not be taken off before: it never serves from a leftover."""
    held = killed.two.hold(mode="peer")
    assert held.get("changed"), held
    killed.one.start()
    wait_for(lambda: not killed.one.has_vip())
    wait_for(lambda: QUESTIONS["standby_proven"]({"keepalived": killed.one.info()}, ABOUT) == "")
    assert killed.two.has_vip()
