# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""HAProxy over its runtime socket: parsers without I/O, and one small client.

HAProxy answers errors as plain text on a connection that otherwise succeeds. Nothing here takes silence of
the socket, or an answer it does not know, for success.
"""

from __future__ import annotations

import csv
import socket
import time
from typing import Any

from ._errors import SelfhealError

DEFAULT_SOCKET = "/run/haproxy/admin.sock"
STATES = ("ready", "drain", "maint")

# srv_admin_state is a sum of these; the word is HAProxy's own, in lower case.
ADMIN_FLAGS = (
    (0x01, "fmaint"),  # forced, by the command line: a human or us
    (0x02, "imaint"),  # inherited from a tracked server
    (0x04, "cmaint"),  # "disabled" in the configuration
    (0x08, "fdrain"),  # forced, by the command line
    (0x10, "idrain"),  # inherited from a tracked server
    (0x20, "rmaint"),  # its name does not resolve
    (0x40, "hmaint"),  # set by an agent or a host name change
)
_MAINT = 0x63  # all of maintenance but cmaint, which alone keeps no traffic away (as HAProxy counts it)
_DRAIN = 0x18
_OPERATIONAL = ("stopped", "starting", "running", "stopping")
_CHECK_CONFIGURED = 0x02  # bit of srv_check_state
_PASSED = ("L4OK", "L6OK", "L7OK")
# What HAProxy counts from its start on, under its own names ("show stat" in its management guide).
COUNTERS = ("stot", "econ", "eresp", "hrsp_5xx", "cli_abrt", "srv_abrt", "wretr", "wredis")


def admin_flags(mask: int) -> list[str]:
    """The names of the bits in srv_admin_state."""
    return [name for bit, name in ADMIN_FLAGS if mask & bit]


def admin_word(mask: int) -> str:
    """ready, drain or maint: what HAProxy does with new requests."""
    if mask & _MAINT:
        return "maint"
    return "drain" if mask & _DRAIN else "ready"


def parse_info(text: str) -> dict[str, str]:
    """The answer to ``show info``."""
    pairs = (line.partition(":") for line in text.splitlines())
    info = {key.strip(): value.strip() for key, colon, value in pairs if colon}
    if "Pid" not in info or "Uptime_sec" not in info:
        raise _strange("show info", text)
    return info


def parse_servers_state(text: str) -> list[dict[str, str]]:
    """The answer to ``show servers state``: a version, a header with names, one line for each server."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or lines[0].strip() != "1" or not lines[1].startswith("# "):
        raise _strange("show servers state", text)
    names = lines[1][2:].split()
    rows = []
    for line in lines[2:]:
        row = dict(zip(names, line.split()))
        if not {"be_name", "srv_name", "srv_op_state", "srv_admin_state"} <= set(row):
            raise _strange("show servers state", line)
        rows.append(row)
    return rows


def parse_stat(text: str) -> list[dict[str, str]]:
    """The answer to ``show stat``: comma separated, the header begins with ``# pxname``."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or not lines[0].startswith("# pxname,"):
        raise _strange("show stat", text)
    lines[0] = lines[0][2:]
    return list(csv.DictReader(lines))


def merge_servers(states: list[dict[str, str]], stats: list[dict[str, str]]) -> list[dict[str, Any]]:
    """One dictionary for each server, out of both answers."""
    counted = {(row["pxname"], row["svname"]): row for row in stats}
    servers = []
    for row in states:
        stat = counted.get((row["be_name"], row["srv_name"]), {})
        mask = int(row["srv_admin_state"])
        operational = int(row["srv_op_state"])
        servers.append(
            {
                "backend": row["be_name"],
                "server": row["srv_name"],
                "address": row.get("srv_addr", "-"),
                "port": _number(row.get("srv_port")),
                "operational": _OPERATIONAL[operational] if operational < len(_OPERATIONAL) else "stopped",
                "admin": admin_word(mask),
                "admin_flags": admin_flags(mask),
                "weight": _number(row.get("srv_uweight")),
                "sessions": _number(stat.get("scur")),
                "queue": _number(stat.get("qcur")),
                "check": (stat.get("check_status") or "").replace("* ", ""),
                "checked": bool(_number(row.get("srv_check_state")) & _CHECK_CONFIGURED),
                "backup": stat.get("bck") == "1",
                "hold": None,
            }
        )
    return servers


def merge_backends(stats: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Queue and sessions of each backend."""
    return [
        {"name": row["pxname"], "queue": _number(row.get("qcur")), "sessions": _number(row.get("scur"))}
        for row in stats
        if row["svname"] == "BACKEND"
    ]


def merge_counters(states: list[dict[str, str]], stats: list[dict[str, str]]) -> list[dict[str, Any]]:
    """What each server and each backend as a whole (``server`` is empty) has counted.

    The backend's own row is no sum of its servers' rows: it also has what no server was there for. A counter that a
    row does not have (5xx of a backend in mode tcp) is left out, since 0 would be a claim.
    """
    places = {(row["be_name"], row["srv_name"]): row for row in states}
    rows = []
    for stat in stats:
        place = places.get((stat["pxname"], stat["svname"]))
        whole = stat["svname"] == "BACKEND"
        if not whole and place is None:
            continue  # a frontend
        rows.append(
            {
                "backend": stat["pxname"],
                "server": "" if whole or place is None else stat["svname"],
                "address": "" if whole or place is None else place.get("srv_addr", "-"),
                "port": 0 if whole or place is None else _number(place.get("srv_port")),
                "mode": stat.get("mode") or "",
                "counters": {name: int(stat[name]) for name in COUNTERS if (stat.get(name) or "").isdecimal()},
            }
        )
    return rows


def serves(server: dict[str, Any]) -> bool:
    """Whether HAProxy sends new requests to this server now."""
    return bool(
        server["operational"] == "running"
        and server["admin"] == "ready"
        and server["weight"] > 0
        and not server["hold"]
    )


def passed(server: dict[str, Any]) -> bool:
    """Whether HAProxy's own check has proven this server: up, by a check and not by default."""
    return bool(server["operational"] == "running" and server["check"] in _PASSED)


def resource(server: dict[str, Any]) -> str:
    """The name under which a hold on this server is kept."""
    return f"haproxy:{server['backend']}/{server['server']}"


def _number(text: Any) -> int:
    try:
        return int(text or 0)
    except ValueError:
        return 0


def _strange(command: str, text: str) -> SelfhealError:
    head = " ".join(text.split())[:120] or "nothing"
    return SelfhealError("socket", f"HAProxy answered '{command}' with: {head}. Is the socket of level admin?")


class Haproxy:
    """HAProxy's runtime socket. One connection for each command line, as HAProxy likes it."""

    def __init__(self, socket_path: str = DEFAULT_SOCKET, timeout: float = 5.0) -> None:
        self.path = socket_path
        self.timeout = timeout

    def ask(self, command: str) -> str:
        """Send one line, read until HAProxy closes, all within the time limit."""
        end = time.monotonic() + self.timeout
        chunks = []
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                link.settimeout(self.timeout)
                link.connect(self.path)
                link.sendall(command.encode("ascii") + b"\n")
                while True:
                    link.settimeout(max(0.001, end - time.monotonic()))
                    chunk = link.recv(65536)
                    if not chunk:
                        break
                    chunks.append(chunk)
        except (OSError, UnicodeEncodeError) as exc:
            raise SelfhealError(
                "socket",
                f"HAProxy does not answer on {self.path} ({exc}). Is it running, and does its configuration "
                f"have 'stats socket {self.path} level admin'?",
            ) from exc
        return b"".join(chunks).decode("utf-8", "replace")

    def info(self) -> dict[str, Any]:
        """Version, process and age of HAProxy."""
        info = parse_info(self.ask("show info"))
        return {
            "version": info.get("Version", ""),
            "pid": _number(info["Pid"]),
            "uptime_seconds": _number(info["Uptime_sec"]),
            "started_at": _number(info.get("Start_time_sec")) or None,
        }

    def look(self) -> dict[str, Any]:
        """The process, with all servers, all backends and what they have counted."""
        found = self.info()
        stats = parse_stat(self.ask("show stat"))
        states = parse_servers_state(self.ask("show servers state"))
        return {
            **found,
            "at": time.time(),
            "servers": merge_servers(states, stats),
            "backends": merge_backends(stats),
            "counters": merge_counters(states, stats),
        }

    def servers(self) -> list[dict[str, Any]]:
        """All servers of all backends."""
        stats = parse_stat(self.ask("show stat"))
        return merge_servers(parse_servers_state(self.ask("show servers state")), stats)

    def set_state(self, backend: str, server: str, state: str) -> None:
        """Make a server ready, drain or maint; success is HAProxy's silence and nothing else."""
        if state not in STATES:
            raise SelfhealError("bad_state", f"A server can be {', '.join(STATES)}, not {state}.")
        self._command(f"set server {backend}/{server} state {state}")

    def set_drain_unproven(self, backend: str, server: str) -> None:
        """Drain a server, and forget that it was healthy, on one line.

        HAProxy calls a server that leaves maintenance healthy before its first check. Marked down at once, it
        has to pass as many checks as its configuration's ``rise`` asks for.
        """
        name = f"{backend}/{server}"
        self._command(f"set server {name} state drain; set server {name} health down")

    def _command(self, line: str) -> None:
        answer = " ".join(self.ask(line).split())
        if not answer:
            return
        reason = "no_such_member" if answer.startswith("No such") else "socket"
        raise SelfhealError(reason, f"HAProxy refused '{line}': {answer[:200]}")
