# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The judge's own eyes: balancers' statistics, machines from the host's side, Nagios' results."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import time
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any

from lab.machines import Lab, LabError

from .farm import KEEPALIVED, Farm
from .records import BalancerSeen, MachineSeen, ProbeSeen, Sample, ServerSeen

BALANCER_SECONDS = 0.1
MACHINE_SECONDS = 0.1
NAGIOS_SECONDS = 1.0
REQUEST_SECONDS = 0.5
NAGIOS_REQUEST_SECONDS = 4.0
STATS_PORT = 8404
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
KEEPALIVED_CONF = "/etc/keepalived/keepalived.conf"
TRACK_FILE = re.compile(r"^\s*(?:vrrp_)?track_file\s+[^\s{]+\s*\{([^}]*)\}", re.MULTILINE)
STATUS_BITS = {1: "pending", 2: "ok", 4: "warning", 8: "unknown", 16: "critical"}
Put = Callable[[Sample], None]


async def fetch(host: str, port: int, path: str, seconds: float, headers: str = "") -> bytes:
    """The body of one answer; the connection is closed after it. Raises OSError or TimeoutError."""
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n{headers}\r\n".encode())
            answer = await reader.read(-1)
        finally:
            writer.transport.abort()
    head, _, body = answer.partition(b"\r\n\r\n")
    if head[9:12] != b"200":
        raise OSError(f"answered {head[:60].decode('latin-1')!r}")
    return unchunk(body) if b"chunked" in head.lower() else body


def unchunk(body: bytes) -> bytes:
    """HAProxy's statistics come in chunks even to HTTP/1.0."""
    parts: list[bytes] = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            return b"".join(parts)
        parts.append(rest[:length])
        body = rest[length + 2 :]
    raise OSError("an answer that was cut off")


def parse_stats(text: str, nodes: Container[str]) -> dict[str, ServerSeen]:
    """The members out of HAProxy's CSV; a member of several backends is out only if it is out of all.

    Split by hand: it is done twenty times a second, and no quoted field comes before the ones that are read.
    """
    lines = text.splitlines()
    names = lines[0].lstrip("# ").split(",")
    who, state, total, now = (names.index(name) for name in ("svname", "status", "stot", "scur"))
    found: dict[str, ServerSeen] = {}
    for line in lines[1:]:
        row = line.split(",", state + 1)
        if len(row) <= state or row[who] not in nodes:
            continue
        name = row[who]
        seen = ServerSeen(row[state], int(row[total] or 0), int(row[now] or 0))
        before = found.get(name)
        if before is not None:
            status = before.status if not before.out else seen.status
            seen = ServerSeen(status, before.total + seen.total, before.sessions + seen.sessions)
        found[name] = seen
    if not found:
        raise OSError("no member in the statistics")
    return found


async def watch_balancer(farm: Farm, name: str, put: Put) -> None:
    """Ten looks a second; one that fails is a sample too."""
    nodes = {node for layer in farm.pools() for node in farm.layers[layer]}
    loop = asyncio.get_running_loop()
    last: tuple[object, ...] = ()
    last_put = 0.0
    while True:
        begin = loop.time()
        at = time.time()
        try:
            body = await fetch(farm.addresses[name], STATS_PORT, "/stats;csv", REQUEST_SECONDS)
            servers = parse_stats(body.decode(), nodes)
        except (OSError, TimeoutError, KeyError, ValueError):
            servers = None
        now = (None,) if servers is None else tuple(sorted(servers.items()))
        if now != last or begin - last_put >= 1:
            put(BalancerSeen(at, name, servers))
            last, last_put = now, begin
        await asyncio.sleep(max(0.02, begin + BALANCER_SECONDS - loop.time()))


def has_address(fib_trie: str, address: str) -> bool:
    """Whether a network namespace holds an address, from its /proc/net/fib_trie."""
    return any(
        line.strip() == f"|-- {address}" and "host LOCAL" in after
        for line, after in itertools.pairwise(fib_trie.splitlines())
    )


def started(pid: int) -> float:
    """When a process started, in epoch seconds.

    The kernel keeps it in ticks since the boot, a clock that nobody sets (proc(5), starttime), and says when it booted
    in whole seconds only, which is up to one too early. So the boot is reckoned from both clocks as they are now. The
    same ticks give the same answer for good: a wall clock that is set meanwhile must not look like another start.
    """
    ticks = int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
    if ticks not in _STARTS:
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        _STARTS[ticks] = round(booted + ticks / CLOCK_TICKS, 2)
    return _STARTS[ticks]


_STARTS: dict[int, float] = {}


def parse_track(text: str) -> tuple[str, int] | None:
    """The file that keepalived follows, and its weight, out of keepalived's configuration; the lab has one instance."""
    found = TRACK_FILE.search(text)
    path = re.search(r'^\s*file\s+"?([^"\s]+)', found.group(1), re.MULTILINE) if found else None
    weight = re.search(r"^\s*weight\s+(-?\d+)", found.group(1), re.MULTILINE) if found else None
    return (path.group(1), int(weight.group(1)) if weight else 1) if path else None


class Machine:
    """One machine seen through /proc and cgroups of the host, without running anything inside it.

    keepalived itself is not asked: it answers a signal, in one file for all readers, and would answer the judge
    instead of a heal that asks at the same time. The file that it follows may be read by everybody at any time.
    """

    def __init__(self, lab: Lab, node: str, units: Iterable[str], vip: str) -> None:
        self.lab, self.node, self.units, self.vip = lab, node, tuple(units), vip
        self.pid = 0
        self.boot = 0.0
        self.track: tuple[str, int] | None = None  # the file that keepalived follows, and its weight
        self.groups: dict[str, Path] = {}
        self.known: dict[str, tuple[str, float]] = {}  # what a unit's cgroup said last, and what it meant

    def find(self) -> None:
        """Its first process and its units' cgroups; again after each boot."""
        self.pid = self.lab.pid(self.node) or 0
        self.known.clear()
        self.groups = {}  # those of the last boot may be there no more, or say nothing of this one
        if not self.pid:
            return
        self.boot = started(self.pid)
        self.track = self.find_track()
        for line in Path(f"/proc/{self.pid}/cgroup").read_text(encoding="ascii").splitlines():
            _, controllers, path = line.split(":", 2)
            for top in ("systemd", "unified", ""):
                base = Path("/sys/fs/cgroup", top, path.lstrip("/"))
                if controllers in ("name=systemd", "") and base.is_dir():
                    base = base.parent if base.name == "init.scope" else base
                    if (base / "system.slice").is_dir():
                        self.groups = {unit: base / "system.slice" / unit for unit in self.units}
                        return

    def inside(self, path: str) -> Path:
        """A file of the machine, as the host reaches it."""
        return Path(f"/proc/{self.pid}/root", path.lstrip("/"))

    def find_track(self) -> tuple[str, int] | None:
        if KEEPALIVED not in self.units:
            return None
        try:
            return parse_track(self.inside(KEEPALIVED_CONF).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return None

    def read_offset(self) -> int | None:
        """What keepalived adds to its priority; no file, and what is no number, is 0 for it."""
        if self.track is None:
            return None
        path, weight = self.track
        try:
            return int(self.inside(path).read_text(encoding="ascii", errors="replace")) * weight
        except (FileNotFoundError, ValueError):
            return 0
        except OSError:
            return None

    def look(self) -> MachineSeen:
        at = time.time()
        address, offset, units = False, None, {}
        try:
            address = has_address(Path(f"/proc/{self.pid}/net/fib_trie").read_text(encoding="ascii"), self.vip)
            offset = self.read_offset()
        except OSError:
            self.pid, self.boot = 0, 0.0
        for unit, group in self.groups.items():
            try:
                text = (group / "cgroup.procs").read_text(encoding="ascii")
                if text and self.known.get(unit, ("",))[0] != text:
                    self.known[unit] = text, min(started(int(pid)) for pid in text.split())
                if text:
                    units[unit] = self.known[unit][1]
            except (OSError, IndexError):
                continue  # stopped, or ended between the two looks
        return MachineSeen(at, self.node, self.boot, units, address, offset)


async def watch_machines(farm: Farm, lab: Lab, put: Put) -> None:
    """All machines, ten times a second; written down when something changed."""
    machines = []
    for layer, nodes in farm.layers.items():
        machines += [Machine(lab, node, farm.unit_names(layer), farm.vip) for node in nodes]
    last: dict[str, tuple[object, ...]] = {}
    retry: dict[str, float] = {}
    pairs = {node for layer in farm.pairs() for node in farm.layers[layer]}
    for turn in itertools.count():
        begin = time.monotonic()
        for machine in machines:
            if machine.node not in pairs and turn % 4:
                continue  # no address moves there; when it started is read from its process, not from our look
            if not machine.groups or not machine.pid:
                if begin < retry.get(machine.node, 0):
                    continue
                retry[machine.node] = begin + 0.5
                try:
                    await asyncio.get_running_loop().run_in_executor(None, machine.find)
                except (OSError, LabError):
                    machine.pid = 0
            seen = machine.look()
            now = (seen.boot, seen.address, seen.offset, tuple(sorted(seen.units.items())))
            if now != last.get(machine.node):
                put(seen)
                last[machine.node] = now
        await asyncio.sleep(MACHINE_SECONDS)


def parse_services(answer: dict[str, Any], at: float) -> list[ProbeSeen]:
    """Nagios' results out of a servicelist with details; its numbers or its words for a state."""
    found = []
    for host, services in answer["data"]["servicelist"].items():
        for name, facts in services.items():
            status = facts["status"]
            word = STATUS_BITS.get(status, "unknown") if isinstance(status, int) else str(status)
            hard = facts["state_type"] in (1, "hard")
            took = float(facts.get("execution_time") or 0.0)
            found.append(ProbeSeen(at, host, name, word, hard, facts["last_check"] / 1000, took))
    return found


def nagios_password(lab: Lab) -> str:
    """Read from the monitor's disk by the host, so that nothing of the healer's is used."""
    return lab.exec("monitor", ["cat", "/etc/selfheal/nagios.password"]).stdout.strip()


async def watch_nagios(farm: Farm, lab: Lab, put: Put, user: str = "selfheal") -> None:
    """One query a second for all services; written down when a check has a new result."""
    loop = asyncio.get_running_loop()
    headers = ""
    last: dict[tuple[str, str], float] = {}
    while True:
        begin = loop.time()
        try:
            if not headers:
                password = await loop.run_in_executor(None, nagios_password, lab)
                headers = "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() + "\r\n"
            body = await fetch(
                farm.monitor,
                80,
                "/nagios4/cgi-bin/statusjson.cgi?query=servicelist&details=true",
                NAGIOS_REQUEST_SECONDS,
                headers,
            )
            for probe in parse_services(json.loads(body), time.time()):
                if last.get((probe.host, probe.service)) != probe.last_check:
                    last[probe.host, probe.service] = probe.last_check
                    put(probe)
        except (OSError, TimeoutError, ValueError, KeyError, LabError):
            pass  # an absent Nagios is seen in the record as no new results
        await asyncio.sleep(max(0.2, begin + NAGIOS_SECONDS - loop.time()))
