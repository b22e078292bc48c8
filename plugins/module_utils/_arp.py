# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Who else has an address, asked on the wire: ARP, as ``arping`` does it, which is not installed everywhere.

The question is a probe (RFC 5227): it carries no sender's address, so it changes nobody's cache. The kernel of this
machine does not answer it, whatever addresses it has itself.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import time

ETH_P_ARP = 0x0806
REQUEST, REPLY = 1, 2
EVERYBODY = b"\xff" * 6
NOBODY = b"\x00" * 6
_HEAD = struct.Struct("!HHBBH")
_ETHERNET_IPV4 = (1, 0x0800, 6, 4)
_AGAIN_SECONDS = 0.2
_ANNOUNCEMENTS = 3


def frame(link: bytes, operation: int, mac: bytes, sender: bytes, target: bytes) -> bytes:
    """An ARP frame to everybody; ``link`` is the interface that sends it, ``mac`` and ``sender`` what it says."""
    head = EVERYBODY + link + struct.pack("!H", ETH_P_ARP)
    return head + _HEAD.pack(*_ETHERNET_IPV4, operation) + mac + sender + NOBODY + target


def probe(link: bytes, address: str) -> bytes:
    """Who has this address? Asked by nobody."""
    return frame(link, REQUEST, link, bytes(4), ipaddress.IPv4Address(address).packed)


def announcement(link: bytes, address: str, mac: bytes) -> bytes:
    """This address is at that machine; whoever knows the address already takes it over."""
    packed = ipaddress.IPv4Address(address).packed
    return frame(link, REQUEST, mac, packed, packed)


def speaker(raw: bytes, address: str, own: bytes) -> bytes:
    """The machine that says in this frame that it has the address; empty if the frame says nothing of the kind."""
    if len(raw) < 42 or raw[12:14] != struct.pack("!H", ETH_P_ARP):
        return b""
    *kind, operation = _HEAD.unpack(raw[14:22])
    if tuple(kind) != _ETHERNET_IPV4 or operation not in (REQUEST, REPLY):
        return b""
    mac, sender = raw[22:28], raw[28:32]
    if sender != ipaddress.IPv4Address(address).packed or mac in (own, NOBODY, EVERYBODY):
        return b""
    return mac


def text(mac: bytes) -> str:
    """As people write it."""
    return ":".join(f"{byte:02x}" for byte in mac)


def who_else(interface: str, address: str, seconds: float) -> bytes:
    """The other machine on this wire that has the address, or nothing when none answers in time."""
    end = time.monotonic() + seconds
    asked = 0.0
    with contextlib.closing(_open(interface)) as link:
        own: bytes = link.getsockname()[4]
        while True:
            now = time.monotonic()
            if now >= end:
                return b""
            if now - asked >= _AGAIN_SECONDS:
                link.send(probe(own, address))
                asked = now
            link.settimeout(max(0.001, min(end, asked + _AGAIN_SECONDS) - now))
            try:
                found = speaker(link.recv(2048), address, own)
            except socket.timeout:
                continue
            if found:
                return found


def announce(interface: str, address: str, mac: bytes) -> None:
    """Tell everybody on this wire where the address is now, for those who still ask for it here."""
    with contextlib.closing(_open(interface)) as link:
        said = announcement(link.getsockname()[4], address, mac)
        for _time in range(_ANNOUNCEMENTS):
            link.send(said)
            time.sleep(0.02)


def _open(interface: str) -> socket.socket:
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
    try:
        link.bind((interface, ETH_P_ARP))
    except OSError:
        link.close()
        raise
    return link
