# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One node of a pair, put together: keepalived's word, the addresses of the machine, offset and hold."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Optional

from ._errors import SelfhealError
from ._health import ADDRESS, SCHEME, ask
from ._holds import Holds, boot_id, describe, write_atomic
from ._keepalived import (
    UNKNOWN,
    Keepalived,
    addresses,
    comparable,
    file_hashes,
    read_offset,
    state_word,
    vips_of,
)
from ._keepalived_proof import why_not_stopped

Instance = dict[str, Any]
STOPPED = "STOPPED"  # no state of keepalived: proven that none runs


def resource(instance: str) -> str:
    """The name under which a hold on this instance is kept."""
    return f"keepalived:{instance}"


def track_path(holds: Holds, instance: str) -> str:
    """The track file of an instance; a name with a slash in it would leave the folder."""
    if not instance or "/" in instance or instance.startswith("."):
        raise SelfhealError("no_instance", f"'{instance}' is no name of a VRRP instance.")
    return str(holds.root / "keepalived" / instance)


def describe_instance(
    raw: dict[str, Any], running: dict[str, Any], local: set[str], holds: Holds, vip: str = ""
) -> Instance:
    """An instance as the modules return it; ``adverts_heard`` is for whoever takes a second sample."""
    data, stats = raw["data"], raw["stats"]
    name = str(data["iname"])
    path = track_path(holds, name)
    vips = vips_of(data)
    wanted = [vip] if vip else vips
    return {
        "instance": name,
        "state": state_word(data.get("state")),
        "base_priority": data.get("base_priority"),
        "effective_priority": data.get("effective_priority"),
        "master_priority": data.get("master_priority"),
        "vips": vips,
        "address_present": bool(wanted) and all(address in local for address in wanted),
        "adverts_heard": False,
        "adverts_received": int(stats.get("advert_rcvd") or 0),
        "nopreempt": bool(data.get("nopreempt")),
        "preempt_delay_seconds": float(data.get("preempt_delay") or 0),
        "advert_seconds": float(data.get("adver_int") or 1),
        "sync_group": running.get("sync_group", ""),
        "track_file": bool(running.get("track_files", {}).get(path)),
        "track_weight": running.get("track_files", {}).get(path),
        "offset": read_offset(path),
        "hold": describe(holds.read(resource(name))),
        "last_transition": data.get("last_transition"),
    }


def silent_instance(name: str, local: set[str], holds: Holds, vip: str, state: str = UNKNOWN) -> Instance:
    """What is left to say when keepalived does not answer, or is proven not to run: never BACKUP."""
    blank: Instance = dict.fromkeys(
        ("base_priority", "effective_priority", "master_priority", "track_weight", "last_transition")
    )
    return {
        **blank,
        "instance": name,
        "state": state,
        "vips": [vip] if vip else [],
        "address_present": bool(vip) and vip in local,
        "adverts_heard": False,
        "adverts_received": 0,
        "nopreempt": False,
        "preempt_delay_seconds": 0.0,
        "advert_seconds": 1.0,
        "sync_group": "",
        "track_file": False,
        "offset": read_offset(track_path(holds, name)),
        "hold": describe(holds.read(resource(name))),
    }


class Node:
    """This machine as a member of a pair."""

    def __init__(self, keepalived: Keepalived, holds: Holds) -> None:
        self.keepalived = keepalived
        self.holds = holds

    def instance(self, name: str, vip: str = "", running: Optional[dict[str, Any]] = None) -> Instance:
        """One instance now, from a fresh dump."""
        raw = [entry for entry in self.keepalived.instances() if entry["data"]["iname"] == name]
        if not raw:
            raise SelfhealError("no_instance", f"keepalived runs here without an instance {name}.")
        return describe_instance(raw[0], running or {}, addresses(), self.holds, vip)

    def hears(self, first: Instance, since: float) -> bool:
        """Whether adverts arrive: the counter has to rise after ``since``, within three and a half intervals.

        ``since`` is when ``first`` was at hand. An earlier time would leave no interval before the look where the
        sample itself took as long as all of them, as on a machine that is busy.
        """
        if first["state"] != "BACKUP":
            return False
        pause = first["advert_seconds"]
        end = since + max(0.3, 3.5 * pause)
        next_look = since + 1.1 * pause
        while True:
            time.sleep(max(0.0, next_look - time.monotonic()))
            now = self.instance(first["instance"])
            if now["adverts_received"] > first["adverts_received"]:
                return bool(now["state"] == "BACKUP")
            if time.monotonic() >= end:
                return False
            next_look = time.monotonic() + max(0.02, 0.3 * pause)

    def look(
        self,
        instance: str = "",
        vip: str = "",
        service_port: int = 0,
        service_path: str = "/",
        service_scheme: str = SCHEME,
        service_address: str = ADDRESS,
        config_files: Optional[list[str]] = None,
    ) -> dict[str, Any]:
        """Everything that ``keepalived_info`` returns; the other readings fill the time between two dumps."""
        result: dict[str, Any] = {
            "running": self.keepalived.pid() is not None,
            "stopped": False,
            "boot_id": boot_id(),
            "instances": [],
            "comparable": "",
            "error": "",
        }
        sampled = 0.0
        raw: list[dict[str, Any]] = []
        running: dict[str, Any] = {}
        if result["running"]:
            try:
                raw = self.keepalived.instances()
                sampled = time.monotonic()
                running = self.keepalived.running()
            except SelfhealError as exc:
                result["error"] = exc.message
                result["running"] = exc.reason != "not_running"
        if not result["running"]:
            doubt = why_not_stopped()
            result["stopped"] = not doubt
            result["error"] = doubt
        local = addresses()
        result["address_present"] = vip in local if vip else None
        result["files"] = file_hashes(config_files or [])
        asked = (service_scheme, service_address, service_port, service_path)
        result["service"] = ask(*asked) if service_port else None
        if raw:
            result["comparable"] = comparable(raw, running)
        elif instance:
            state = STOPPED if result["stopped"] else UNKNOWN
            result["instances"] = [silent_instance(instance, local, self.holds, vip, state)]
        for entry in raw:
            if instance in ("", entry["data"]["iname"]):
                seen = describe_instance(entry, running.get(entry["data"]["iname"], {}), local, self.holds, vip)
                result["instances"].append(seen)
        for seen in result["instances"]:
            try:
                seen["adverts_heard"] = self.hears(seen, sampled)
            except SelfhealError as exc:
                result["error"] = exc.message
                seen["state"] = UNKNOWN
        return result


def track_folder_exists(holds: Holds) -> bool:
    """keepalived drops a track file from its configuration when the folder is missing at its start."""
    return os.path.isdir(holds.root / "keepalived")


def write_offset(path: str, offset: int) -> None:
    """Plain decimal and a newline, by rename: keepalived takes a leading 0 for octal and garbage for 0."""
    write_atomic(Path(path), f"{offset}\n")
