# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What ``keepalived_release`` does: take off this machine an address that a dead keepalived left behind.

Two proofs, both here and in the same operation, because taking away the only one that serves would be worse than two
that do: keepalived does not run on this machine, and another machine answers for the address on the same wire.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
import time
from dataclasses import dataclass
from typing import Any

from . import _arp as arp
from ._errors import SelfhealError
from ._holds import Holds
from ._keepalived import addresses as local_addresses
from ._keepalived_proof import why_not_stopped
from ._keepalived_view import resource


@dataclass(frozen=True)
class Wish:
    """What the caller asks for."""

    instance: str
    addresses: tuple[str, ...]
    epoch: int
    timeout: float = 1.0


@dataclass(frozen=True)
class Left:
    """An address that is still here."""

    address: str
    prefix: int
    interface: str


def left_behind(text: str, addresses: tuple[str, ...]) -> list[Left]:
    """Where these addresses are, out of ``ip -j addr``; in the order in which they were asked for. Pure."""
    found = [
        Left(str(entry["local"]), int(entry["prefixlen"]), str(link["ifname"]))
        for link in json.loads(text)
        for entry in link.get("addr_info", [])
        if isinstance(entry, dict) and entry.get("local") in addresses
    ]
    return sorted(found, key=lambda left: addresses.index(left.address))


class Release:
    """The leftovers of one instance on this machine."""

    def __init__(self, holds: Holds, wish: Wish) -> None:
        self.holds = holds
        self.wish = wish

    def check(self) -> list[tuple[Left, bytes]]:
        """Everything that may refuse; what would be taken off, each with the machine that has it now."""
        self.holds.check_epoch(resource(self.wish.instance), self.wish.epoch)
        doubt = why_not_stopped()
        if doubt:
            raise SelfhealError(
                "still_running",
                f"It is not proven that keepalived is dead here, and its addresses are its own business. {doubt}",
            )
        return [(left, self._taken_over(left)) for left in self._look()]

    def apply(self) -> dict[str, Any]:
        """Take off, verify, and tell the wire."""
        with self.holds.lock():
            found = self.check()
            self.holds.raise_epoch(resource(self.wish.instance), self.wish.epoch)
            for left, _mac in found:
                _ip("addr", "del", f"{left.address}/{left.prefix}", "dev", left.interface)
        still = sorted(set(self.wish.addresses) & local_addresses())
        if still:
            raise SelfhealError("not_released", f"{', '.join(still)} came back to this machine at once.")
        at = time.time()
        for left, mac in found:
            try:
                arp.announce(left.interface, left.address, mac)
            except OSError:
                continue  # a help to neighbours that still ask here; the peer's own announcements are the rule
        return self.result(found, at)

    def result(self, found: list[tuple[Left, bytes]], at: float) -> dict[str, Any]:
        """As the module returns it."""
        rows = [
            {"address": left.address, "interface": left.interface, "taken_over_by": arp.text(mac)}
            for left, mac in found
        ]
        return {"changed": bool(rows), "released": rows, "at": at}

    def _look(self) -> list[Left]:
        try:
            return left_behind(_ip("-j", "addr"), self.wish.addresses)
        except (ValueError, KeyError, TypeError) as exc:
            raise SelfhealError("unknown_addresses", f"'ip -j addr' does not tell the addresses: {exc!r}.") from exc

    def _taken_over(self, left: Left) -> bytes:
        if ipaddress.ip_address(left.address).version != 4:
            raise SelfhealError(
                "not_taken_over",
                f"{left.address} is no IPv4 address, and only ARP can prove here that another machine has it. Start "
                "keepalived by hand, which takes its old addresses off first.",
            )
        try:
            mac = arp.who_else(left.interface, left.address, self.wish.timeout)
        except OSError as exc:
            raise SelfhealError("not_taken_over", f"Nobody can be asked on {left.interface}: {exc}.") from exc
        if not mac:
            raise SelfhealError(
                "not_taken_over",
                f"No other machine on {left.interface} answers for {left.address} within {self.wish.timeout:g} s, so "
                "it stays here: without it nobody would serve.",
            )
        return mac


def _ip(*words: str) -> str:
    try:
        return subprocess.run(["ip", *words], capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError) as exc:
        said = str(getattr(exc, "stderr", "") or exc).strip()
        raise SelfhealError("not_released", f"'ip {' '.join(words)}' failed: {said}") from exc
