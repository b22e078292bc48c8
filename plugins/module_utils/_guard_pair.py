# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The guard's part on a pair: a node that starts or thaws by itself keeps below its peer until it is verified.

The boot hold is an offset that leaves the node the lowest priority there is. It never drops an address: when no
peer answers, the node serves. It has epoch 0, so that every heal may take it over, and it is never written where
an incident, or a human, has an offset already.
"""

from __future__ import annotations

import subprocess
import time
from typing import Any, Callable, Optional

from ._errors import SelfhealError
from ._haproxy import Haproxy, serves
from ._holds import BOOT_INCIDENT, Holds
from ._keepalived import Keepalived, read_offset
from ._keepalived_view import Instance, Node, resource, track_folder_exists, track_path, write_offset

SOFT = -253  # -254 would be FAULT; keepalived itself stops at priority 1
ALONE_SHARE = 0.3  # of the quiet time, for a node that serves anyway; a pair that starts at once begins at home
_SAMPLE_SECONDS = 5.0  # between two dumps while there is nothing to decide
_JUMP_SECONDS = 3.0  # a loop this late did not merely wait for the processor


def verdict(seen: Instance, green: bool, heard: bool) -> str:
    """What speaks for lifting the boot hold now: ``standby``, ``alone``, or nothing. Pure."""
    if not green:
        return ""
    if seen["state"] == "MASTER" and seen["address_present"]:
        return "alone"  # it has the address with the lowest priority: no peer answers
    return "standby" if seen["state"] == "BACKUP" and heard else ""


def thawed(late: float, before: Optional[Instance], now: Instance) -> bool:
    """Whether this node slept while its peer took the address over. Pure.

    A master hears nobody. One whose loop stood still, and which got adverts meanwhile, was replaced and does not
    know it yet.
    """
    return bool(
        late >= _JUMP_SECONDS
        and before is not None
        and before["state"] == "MASTER"
        and now["adverts_received"] > before["adverts_received"]
        and now["offset"] == 0
        and now["hold"] is None
    )


class PairGuard:
    """One VRRP instance of this machine."""

    def __init__(
        self,
        entry: dict[str, Any],
        config: dict[str, Any],
        holds: Holds,
        tell: Callable[[str], None],
        keepalived: Optional[Keepalived] = None,
    ) -> None:
        self.name = str(entry["instance"])
        self.vip = str(entry.get("vip", ""))
        self.unit = str(entry.get("service", ""))
        self.socket = str(config.get("socket", ""))
        self.boot_seconds = float(config.get("boot_seconds", 300))
        self.quiet_seconds = float(config.get("quiet_seconds", 10))
        self.holds = holds
        self.tell = tell
        self.node = Node(keepalived or Keepalived(), holds)
        self.path = track_path(holds, self.name)
        self.last: Optional[Instance] = None
        self.next_sample = 0.0
        self.good_since: Optional[float] = None
        self.good_adverts = 0

    # -- placing ---------------------------------------------------------------------------------------------

    def before_start(self) -> None:
        """Run before keepalived starts."""
        self._place("this node, or its keepalived, started by itself")

    def _place(self, reason: str) -> bool:
        if not track_folder_exists(self.holds):
            self.tell(f"{self.name}: no folder for track files, so no boot hold can be placed")
            return False
        with self.holds.lock():
            hold = self.holds.read(resource(self.name))
            # A parked offset raises this node's priority: started again with it, the node would take the address
            # unverified. The boot hold replaces it; the address stays where it went meanwhile.
            if hold is not None and hold.incident != BOOT_INCIDENT and hold.phase != "parked":
                self.tell(f"{self.name}: incident {hold.incident} holds it; nothing to add")
                return False
            if hold is None and read_offset(self.path) != 0:
                self.tell(f"{self.name}: an offset without a hold of ours stays as it is")
                return False
            self.holds.put(resource(self.name), BOOT_INCIDENT, 0, "boot", reason, self.boot_seconds)
            write_offset(self.path, SOFT)
        self.good_since = None
        self.tell(f"{self.name}: boot hold placed, because {reason}")
        return True

    # -- watching ----------------------------------------------------------------------------------------------

    def look(self, late: float) -> None:
        """One look. ``late`` is by how much the guard's own loop was delayed."""
        hold = self.holds.read(resource(self.name))
        booting = hold is not None and hold.incident == BOOT_INCIDENT
        now = time.monotonic()
        if not booting and late < _JUMP_SECONDS and now < self.next_sample:
            return
        self.next_sample = now + _SAMPLE_SECONDS
        try:
            seen = self.node.instance(self.name, self.vip)
        except SelfhealError:
            self.good_since = self.last = None
            return
        if thawed(late, self.last, seen):
            self._place(f"this node stood still for {late:.0f} s while its peer took the address")
        elif booting:
            self._consider(seen, now)
        self.last = seen

    def _consider(self, seen: Instance, now: float) -> None:
        """Lift the boot hold when the node has been good for a while without a break."""
        first = self.good_since is None
        heard = first or seen["adverts_received"] > self.good_adverts
        good = verdict(seen, self.green(), heard)
        self.good_adverts = seen["adverts_received"]
        if not good:
            self.good_since = None
        elif self.good_since is None:
            self.good_since = now
        elif now - self.good_since >= self.quiet_seconds * (ALONE_SHARE if good == "alone" else 1.0):
            why = "no peer answers" if good == "alone" else "adverts of the peer are heard"
            self.lift(f"the own service is green and {why}")

    def lift(self, why: str) -> None:
        """Back to the own priority, unless a heal has taken the hold over meanwhile."""
        with self.holds.lock():
            hold = self.holds.read(resource(self.name))
            if hold is None or hold.incident != BOOT_INCIDENT:
                return
            write_offset(self.path, 0)
            self.holds.remove(resource(self.name))
        self.good_since = None
        self.tell(f"{self.name}: boot hold lifted; {why}")

    def green(self) -> bool:
        """Whether the own service works, asked without a network: its unit, and HAProxy's view of its members."""
        if self.unit and not _unit_active(self.unit):
            return False
        if not self.socket:
            return True
        try:
            return any(serves(server) for server in Haproxy(self.socket, 2.0).servers())
        except SelfhealError:
            return False


def _unit_active(unit: str) -> bool:
    try:
        done = subprocess.run(["systemctl", "is-active", "--quiet", "--", unit], timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
