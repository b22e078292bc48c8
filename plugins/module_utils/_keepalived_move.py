# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What ``keepalived_hold`` does: an offset in the track file, verified, and undone when nothing moved.

Three modes, in the order of preference: ``peer`` raises the proven standby above the ill node, which need not
answer; ``soft`` lowers the own side, so the peer has to be willing; ``hard`` sends the own side to FAULT.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Optional

from ._errors import SelfhealError
from ._holds import UNKNOWN, Hold, Holds
from ._keepalived_view import Instance, Node, resource, track_folder_exists, track_path, write_offset

HIGHEST = 254  # 255 is the address owner, whom offsets do not touch
HARD_OFFSET = -254
_POLL = 0.03


@dataclass(frozen=True)
class Wish:
    """What the caller asks for."""

    instance: str
    state: str  # present or absent
    incident: str
    epoch: int
    phase: str
    deadline_seconds: float
    mode: str = "peer"
    vip: str = ""
    reason: str = ""
    offset: int = 0  # 0 chooses
    timeout: float = 5.0
    expect: str = ""  # absent only: MASTER or BACKUP, the state to wait for


def choose_offset(seen: Instance, wish: Wish) -> int:
    """The offset to write. Priorities stay within 1..254, so no more than the way there is asked for."""
    if wish.offset:
        return wish.offset
    if wish.mode == "peer":
        return max(1, HIGHEST - int(seen["base_priority"]))
    return HARD_OFFSET if wish.mode == "hard" else min(-1, 1 - int(seen["base_priority"]))


def refuse(seen: Instance, hold: Optional[Hold], wish: Wish, path: str, folder: bool) -> None:
    """Raise when the hold must not be placed or lifted. Pure."""
    name = resource(wish.instance)
    if hold is not None and not hold.owned_by(wish.incident, wish.epoch):
        raise SelfhealError(
            "human_hold",
            f"{name} is held by incident {hold.incident} (epoch {hold.epoch}, phase {hold.phase}: "
            f"{hold.reason or 'no reason given'}), which this run does not own.",
        )
    if hold is None and seen["offset"] != 0:
        raise SelfhealError(
            "human_hold",
            f"{path} holds the offset {seen['offset']} without a hold of ours: a human wrote it, and it stays.",
        )
    if wish.state == "absent":
        return
    if not folder or not seen["track_file"]:
        raise SelfhealError("no_track_file", track_advice(wish.instance, path, seen))
    if seen["base_priority"] == 255:
        raise SelfhealError(
            "address_owner", f"{wish.instance} has priority 255, which no offset changes: give it 254 or less."
        )
    if wish.mode == "peer":
        _refuse_peer(seen, hold, wish)


def _refuse_peer(seen: Instance, hold: Optional[Hold], wish: Wish) -> None:
    """Invariant 3, once more on the standby itself and in the same operation."""
    if hold is not None and hold.incident != wish.incident and hold.epoch == 0:
        raise SelfhealError(
            "human_hold",
            f"{wish.instance} is on a boot hold here: this node started a short while ago and is not verified.",
        )
    if seen["state"] == "MASTER" and seen["address_present"]:
        return  # it has the address already; the offset keeps it here
    if seen["state"] != "BACKUP" or not seen["adverts_heard"]:
        deaf = "" if seen["adverts_heard"] else " and hears no adverts"
        raise SelfhealError(
            "not_backup", f"{wish.instance} is {seen['state']} here{deaf}: not a proven standby to move to."
        )
    if seen["nopreempt"] or seen["preempt_delay_seconds"] >= wish.timeout:
        word = "nopreempt" if seen["nopreempt"] else f"preempt_delay {seen['preempt_delay_seconds']:g}"
        raise SelfhealError(
            "no_preempt",
            f"{wish.instance} has {word} here, so a higher priority does not take the address within "
            f"{wish.timeout:g} s. Keep it off the standby, or use mode hard on the other node.",
        )
    planned = min(HIGHEST, int(seen["base_priority"]) + choose_offset(seen, wish))
    if planned <= int(seen["master_priority"] or 0):
        raise SelfhealError(
            "no_preempt",
            f"{wish.instance}: the master advertises {seen['master_priority']}, and this node can reach "
            f"{planned}. Lift the offset of the other node first, or give it a base priority of 253 or less.",
        )


def track_advice(instance: str, path: str, seen: Instance) -> str:
    """What is missing in the configuration, with the lines to add."""
    if seen.get("sync_group") and seen.get("track_weight") == 0:
        return (
            f"{instance} is in sync group {seen['sync_group']}: keepalived sets the weight of its track file to "
            "0, and any offset would mean FAULT. Take it out of the group, or put the track file on the group."
        )
    return (
        f"keepalived runs without the track file of {instance}. Create the folder {os.path.dirname(path)}, add\n"
        f'track_file selfheal_{instance} {{\n  file "{path}"\n  weight 1\n}}\n'
        f"and in vrrp_instance {instance}:\n  track_file {{\n    selfheal_{instance}\n  }}\n"
        "then restart keepalived on the standby first (it drops a track file whose folder is missing)."
    )


class Mover:
    """Holds on one instance of this machine's keepalived."""

    def __init__(self, node: Node, holds: Holds) -> None:
        self.node = node
        self.holds = holds

    def look(self, wish: Wish) -> Instance:
        """The instance with everything that a decision needs."""
        running = self.node.keepalived.running().get(wish.instance, {})
        seen = self.node.instance(wish.instance, wish.vip, running)
        if wish.state == "present" and wish.mode == "peer":
            seen["adverts_heard"] = self.node.hears(seen, time.monotonic())
        return seen

    def check(self, wish: Wish) -> tuple[Instance, Optional[Hold], int]:
        """Everything that may refuse, and the offset that would be written."""
        path = track_path(self.holds, wish.instance)
        self.holds.check_epoch(resource(wish.instance), wish.epoch)
        seen = self.look(wish)
        hold = self.holds.read(resource(wish.instance))
        refuse(seen, hold, wish, path, track_folder_exists(self.holds))
        return seen, hold, 0 if wish.state == "absent" else choose_offset(seen, wish)

    def preview(self, wish: Wish) -> dict[str, Any]:
        """What would happen; nothing is touched."""
        seen, _hold, offset = self.check(wish)
        base = int(seen["base_priority"])
        after = {**seen, "offset": offset, "effective_priority": max(1, min(HIGHEST, base + offset))}
        after["hold"] = None
        if wish.state == "present":
            after["hold"] = {"resource": resource(wish.instance), "incident": wish.incident, "epoch": wish.epoch}
            after["hold"].update(phase=wish.phase, reason=wish.reason)
            after["hold"].update(remaining_seconds=wish.deadline_seconds, expired=False)
        return self._result(seen, after, offset, 0.0)

    def apply(self, wish: Wish) -> dict[str, Any]:
        """Write, verify, and undo when nothing moved."""
        name, path = resource(wish.instance), track_path(self.holds, wish.instance)
        with self.holds.lock():
            before, hold, offset = self.check(wish)
            self.holds.raise_epoch(name, wish.epoch)
            if wish.state == "present":  # the hold first: a crash from here on leaves an owner behind
                self.holds.put(
                    name, wish.incident, wish.epoch, wish.phase, wish.reason, wish.deadline_seconds,
                    parked_below(wish, hold, int(before["offset"])),
                )  # fmt: skip
            started = time.monotonic()
            if before["offset"] != offset:
                write_offset(path, offset)
        try:
            self._wait(wish, before, offset, started)
        except SelfhealError:
            self._undo(wish, before, hold)
            raise
        moved = time.monotonic() - started
        if wish.state == "absent":
            with self.holds.lock():
                self.holds.check_epoch(name, wish.epoch)
                self.holds.remove(name)
        after = self.node.instance(wish.instance, wish.vip, self.node.keepalived.running().get(wish.instance, {}))
        return self._result(before, after, offset, moved)

    def _undo(self, wish: Wish, before: Instance, hold: Optional[Hold]) -> None:
        """Back to what was, unless a younger heal has taken over meanwhile. A lifted hold stays lifted."""
        name = resource(wish.instance)
        with self.holds.lock():
            self.holds.check_epoch(name, wish.epoch)
            if wish.state == "absent":
                self.holds.remove(name)
                return
            write_offset(track_path(self.holds, wish.instance), before["offset"])
            self.holds.restore(name, hold if hold is None or hold.incident != UNKNOWN else None)

    def _wait(self, wish: Wish, before: Instance, offset: int, started: float) -> None:
        """Until keepalived and the addresses of the machine both show what was asked for."""
        while True:
            try:
                now = self.node.instance(wish.instance, wish.vip)
                if reached(now, before, wish, offset):
                    return
                shown = f"{now['state']} with priority {now['effective_priority']}"
            except SelfhealError as exc:
                if exc.reason not in ("no_answer", "not_running"):
                    raise
                shown = exc.message
            if time.monotonic() - started >= wish.timeout:
                undone = "The hold is lifted." if wish.state == "absent" else "The offset was taken back."
                raise SelfhealError(
                    "not_moved",
                    f"{wish.instance} is {shown} {wish.timeout:g} s after the offset became {offset}. {undone}",
                )
            time.sleep(_POLL)

    @staticmethod
    def _result(before: Instance, after: Instance, offset: int, moved: float) -> dict[str, Any]:
        return {
            "changed": essence(before) != essence(after),
            "before": before,
            "after": after,
            "offset": offset,
            "moved_seconds": round(moved, 3),
            "at": time.time(),
        }


def parked_below(wish: Wish, hold: Optional[Hold], offset: int) -> int:
    """The offset of the parked hold that a new hold replaces, also where a run that died has replaced it. Pure."""
    if hold is None or wish.phase == "parked":
        return 0
    return offset if hold.phase == "parked" else hold.parked


def reached(now: Instance, before: Instance, wish: Wish, offset: int) -> bool:
    """Whether keepalived shows what was asked for. Pure."""
    if wish.state == "absent":
        if wish.expect:
            return bool(now["state"] == wish.expect and now["address_present"] == (wish.expect == "MASTER"))
        noticed = now["effective_priority"] != before["effective_priority"] or now["state"] != before["state"]
        return bool(before["offset"] == 0 or noticed or now["effective_priority"] == now["base_priority"])
    if wish.mode == "peer":
        return bool(now["state"] == "MASTER" and now["address_present"])
    if wish.mode == "hard":
        return bool(now["state"] == "FAULT" and not now["address_present"])
    if before["state"] == "MASTER":
        return bool(now["state"] == "BACKUP" and not now["address_present"])
    lowered = now["effective_priority"] < before["effective_priority"] or now["effective_priority"] == 1
    return bool(before["offset"] == offset or lowered)


def essence(seen: Instance) -> dict[str, Any]:
    """What counts as a change: offset, owner and who has the address."""
    hold = seen["hold"] or {}
    owner = {key: hold.get(key) for key in ("incident", "epoch", "phase")} if hold else None
    return {
        "instance": seen["instance"],
        "offset": seen["offset"],
        "address_present": seen["address_present"],
        "hold": owner,
    }
