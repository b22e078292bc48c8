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
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Set

ESTABLISHED = "01"
OVER = ("06", "07", "0A")  # TIME_WAIT, CLOSE and LISTEN: nothing comes through these
#: So much longer than the balancers' word is old must an end have been silent. The word's age rests on the controller's
#: clock, which may be set back a little while a heal runs.
MARGIN_SECONDS = 5.0


class Socket(NamedTuple):
    """One line. ``inode`` is 0 where no process has it open any more, -1 where the line does not say."""

    local: str
    local_port: int
    remote: str
    remote_port: int
    inode: int


def rows(text: str, wanted: Callable[[int, int, str], bool]) -> List[Socket]:
    """The lines of ``/proc/net/tcp`` or ``tcp6`` whose local port, remote port and state are wanted.

    A balancer may have tens of thousands, so that addresses are made only of what is wanted. A line that is cut off is
    left out.
    """
    found = []
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) < 4:
            continue
        local, here = columns[1].split(":")
        remote, there = columns[2].split(":")
        local_port, remote_port = int(here, 16), int(there, 16)
        if wanted(local_port, remote_port, columns[3]):
            inode = int(columns[9]) if len(columns) > 9 else -1
            found.append(Socket(_address(local), local_port, _address(remote), remote_port, inode))
    return found


def _address(word: str) -> str:
    """32-bit words in the byte order of this machine."""
    raw = bytes.fromhex(word)
    data = b"".join(struct.pack("=I", int.from_bytes(raw[i : i + 4], "big")) for i in range(0, len(raw), 4))
    return _plain(ipaddress.ip_address(data))


def _plain(address: Any) -> str:
    return str(getattr(address, "ipv4_mapped", None) or address)


def tables(folder: str) -> List[str]:
    """Both tables of ``/proc/net`` or ``/proc/PID/net``. Only a machine without IPv6 has none of that.

    Raises ``OSError``: a table that cannot be read is not an empty one.
    """
    with open(os.path.join(folder, "tcp"), encoding="ascii") as stream:
        texts = [stream.read()]
    try:
        with open(os.path.join(folder, "tcp6"), encoding="ascii") as stream:
            texts.append(stream.read())
    except FileNotFoundError:
        pass
    return texts


def held(pid: int, port: int, root: str = "/") -> Optional[List[str]]:
    """The ends, as ``ADDRESS:PORT``, of all connections to this port that a process of HAProxy's machine still has.

    To this port of whatever address: a member may have several. Of all processes, because one that a reload has
    replaced may still serve. None where this cannot be known: ``pid`` is HAProxy's own number of its process, which is
    another one here if it runs in a container, and then its connections are not in this table either.
    """
    process = os.path.join(root, "proc", str(pid))
    try:
        with open(os.path.join(process, "comm"), encoding="utf-8", errors="replace") as stream:
            if not stream.read().startswith("haproxy"):
                return None
        found = [
            row
            for text in tables(os.path.join(process, "net"))
            for row in rows(text, lambda _local, remote, state: remote == port and state not in OVER)
        ]
    except (OSError, ValueError):
        return None
    return sorted(f"{row.local}:{row.local_port}" for row in found if row.inode)


def silence(text: str) -> Dict[str, float]:
    """Seconds since this machine received data from each peer, as ``ADDRESS:PORT``, out of ``ss -tinH``.

    Where ``ss`` does not print ``lastrcv``, it is 0 (it leaves zeros out). Of a connection that never received
    anything the kernel counts from its beginning. Of two connections with the same peer the younger word counts.
    """
    found: Dict[str, float] = {}
    peer = ""
    for line in text.splitlines():
        words = line.split()
        if not line[:1].isspace():
            peer = _peer(words[-1]) if words else ""
            continue
        said = [word.partition(":")[2] for word in words if word.startswith("lastrcv:")]
        seconds = int(said[0]) / 1000 if said and said[0].isdecimal() else 0.0
        if peer:
            found[peer] = min(seconds, found.get(peer, seconds))
    return found


def _peer(word: str) -> str:
    address, _colon, port = word.rpartition(":")
    try:
        return f"{_plain(ipaddress.ip_address(address.partition('%')[0].strip('[]')))}:{port}"
    except ValueError:
        return ""


def known(witnesses: Sequence[Mapping[str, Any]], peers: Iterable[str], left: int) -> Optional[Set[str]]:
    """All ends that the balancers have, if each of them can be believed to know its own; else None.

    One that names an address from which no balancer is expected sits behind a translation, where the member sees other
    ends. One that has requests left and no connection for them looks at the wrong table.
    """
    ends: Set[str] = set()
    for witness in witnesses:
        if witness.get("ends") is None or witness.get("asked_seconds") is None or witness.get("age_seconds") is None:
            return None
        if witness["asked_seconds"] < 0:
            return None  # the controller's clock was set back: nobody knows how long ago that was
        ends.update(witness["ends"])
    addresses = {str(ipaddress.ip_address(peer)) for peer in peers}
    strange = any(end.rpartition(":")[0] not in addresses for end in ends)
    return None if not witnesses or strange or left > len(ends) else ends


def half_open(
    found: Iterable[str],
    theirs: Set[str],
    witnesses: Sequence[Mapping[str, Any]],
    silent: Mapping[str, float],
    elapsed: float,
) -> Set[str]:
    """Ends on the member that no balancer has the other end of.

    ``theirs`` are the ends that the balancers had when they gave no more requests. The controller began to ask for that
    ``asked_seconds`` ago, ``elapsed`` seconds ago. An end that received something since may be a new connection, which
    an older process of a balancer can open: only one that was silent for longer counts.
    """
    since = max(max(float(one["asked_seconds"]), float(one["age_seconds"])) for one in witnesses)
    return {end for end in found if end not in theirs and silent.get(end, 0.0) > since + elapsed + MARGIN_SECONDS}
