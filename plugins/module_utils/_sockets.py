# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""TCP connections as the kernel of each end tells them: ``/proc/net/tcp`` and ``tcp6`` (proc(5)), and ``ss`` (ss(8)).

A connection has two ends, and they may disagree: a cable that was out, or a balancer that lost its power, leaves an end
on the member that is ESTABLISHED for as long as nobody sends anything. ``held`` is the balancer's word on its own ends,
``half_open`` what the member makes of it.
"""

from __future__ import annotations

import ipaddress
import os
import struct
from typing import Any, Container, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set

ESTABLISHED = "01"
OVER = ("06", "07", "0A")  # TIME_WAIT, CLOSE and LISTEN: nothing comes through these
NAMES = ("tcp", "tcp6")
# So much longer than the balancers' look is old must an end have been silent: ss counts in jiffies, clocks drift.
MARGIN_SECONDS = 1.0


class Socket(NamedTuple):
    """One line. ``inode`` is 0 where no process has it open any more, -1 where the line does not say."""

    local: str
    local_port: int
    remote: str
    remote_port: int
    state: str
    inode: int


def rows(text: str) -> List[Socket]:
    """The lines of ``/proc/net/tcp`` or ``tcp6``; one that is cut off is left out."""
    found = []
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) < 4:
            continue
        local, remote = columns[1].split(":"), columns[2].split(":")
        inode = int(columns[9]) if len(columns) > 9 else -1
        found.append(
            Socket(_address(local[0]), int(local[1], 16), _address(remote[0]), int(remote[1], 16), columns[3], inode)
        )
    return found


def _address(word: str) -> str:
    """32-bit words in the byte order of this machine."""
    raw = bytes.fromhex(word)
    data = b"".join(struct.pack("=I", int.from_bytes(raw[i : i + 4], "big")) for i in range(0, len(raw), 4))
    return _plain(ipaddress.ip_address(data))


def _plain(address: Any) -> str:
    return str(getattr(address, "ipv4_mapped", None) or address)


def tables(folder: str) -> List[str]:
    """What of both tables can be read in ``/proc/net`` or ``/proc/PID/net``."""
    texts = []
    for name in NAMES:
        try:
            with open(os.path.join(folder, name), encoding="ascii") as stream:
                texts.append(stream.read())
        except OSError:
            continue
    return texts


def held(pid: int, addresses: Container[str], port: int, root: str = "/") -> Optional[List[str]]:
    """The ends, as ``ADDRESS:PORT``, of all connections to a member that a process of HAProxy's machine still has.

    None where this cannot be known: ``pid`` is HAProxy's own number of its process, which is another one here if it
    runs in a container, and then its connections are perhaps not in the table of this machine either.
    """
    process = os.path.join(root, "proc", str(pid))
    try:
        with open(os.path.join(process, "comm"), encoding="utf-8", errors="replace") as stream:
            if not stream.read().startswith("haproxy"):
                return None
    except OSError:
        return None
    texts = tables(os.path.join(process, "net"))
    if not texts:
        return None
    return sorted(
        f"{row.local}:{row.local_port}"
        for text in texts
        for row in rows(text)
        if row.remote in addresses and row.remote_port == port and row.inode and row.state not in OVER
    )


def silence(text: str) -> Dict[str, float]:
    """Seconds since this machine received data from each peer, as ``ADDRESS:PORT``, out of ``ss -tinH``.

    Where ``ss`` does not print ``lastrcv``, it is 0 (it leaves zeros out). Of a connection that never received
    anything the kernel counts from its beginning.
    """
    found: Dict[str, float] = {}
    peer = ""
    for line in text.splitlines():
        words = line.split()
        if line[:1].isspace():
            said = [word.partition(":")[2] for word in words if word.startswith("lastrcv:")]
            if peer and said and said[0].isdecimal():
                found[peer] = int(said[0]) / 1000
        else:
            peer = _peer(words[-1]) if words else ""
    return found


def _peer(word: str) -> str:
    address, _colon, port = word.rpartition(":")
    try:
        return f"{_plain(ipaddress.ip_address(address.strip('[]').partition('%')[0]))}:{port}"
    except ValueError:
        return ""


def half_open(
    found: Iterable[str], witnesses: Sequence[Mapping[str, Any]], silent: Mapping[str, float], elapsed: float
) -> Set[str]:
    """Ends on the member that no balancer has the other end of.

    Each balancer has said which ends it had when it gave no more requests (``ends``), and the controller how long ago
    it had begun to ask for that (``asked_seconds``), ``elapsed`` seconds ago. An end that received something since may
    be a new connection, which an older process of a balancer can open: only one that was silent for longer counts.
    """
    known: Set[str] = set()
    for witness in witnesses:
        ends, asked, age = witness.get("ends"), witness.get("asked_seconds"), witness.get("age_seconds")
        if ends is None or asked is None or age is None or asked < age:
            return set()
        known.update(ends)
    if not witnesses:
        return set()
    since = max(float(witness["asked_seconds"]) for witness in witnesses) + elapsed + MARGIN_SECONDS
    return {end for end in found if end not in known and silent.get(end, 0.0) > since}
