# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What has to be true on a node before its service may be restarted (invariant 8, second half, and the preflights).

Every check raises ``SelfhealError`` with the word that the planner and the journal know. They read; none changes
anything. ``root`` is ``/`` but in tests.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import struct
import subprocess
import time
from typing import Any, Callable, Dict, Iterable, List, Mapping, Sequence, Set

from ansible_collections.selfheal.cluster.plugins.module_utils import _sockets as sockets
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

SHOWN = 3
PACKAGE_LOCKS = (
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/lock",
    "var/lib/apt/lists/lock",
    "var/cache/apt/archives/lock",
    "var/lib/rpm/.rpm.lock",
    "usr/lib/sysimage/rpm/.rpm.lock",
    "var/cache/dnf/metadata_lock.pid",
)
MIN_FREE_BYTES = 4 * 1024 * 1024
WRITABLE = ("", "var", "var/log", "run", "tmp")


def witnesses(given: Sequence[Mapping[str, Any]], max_age: float, elapsed: float = 0.0) -> None:
    """All witnesses say that the node is out of traffic, and said it a moment ago."""
    if not given:
        raise SelfhealError("not_out_of_traffic", "no balancer and no peer says that this node is out of traffic")
    for witness in given:
        name = str(witness.get("balancer"))
        if witness.get("out") is not True:
            raise SelfhealError("not_out_of_traffic", f"{name} says that this node still gets traffic")
        age = float(witness.get("age_seconds", max_age + 1)) + elapsed
        if not 0 <= age <= max_age:
            raise SelfhealError(
                "witness_stale", f"the word of {name} is {age:.0f} s old, {max_age:.0f} s is the limit: ask again"
            )


def machine_id(forbidden: Iterable[str], root: str = "/") -> str:
    """Not the machine of the controller, the journal or Nagios, whatever its name (invariant 13)."""
    try:
        with open(os.path.join(root, "etc/machine-id"), encoding="ascii", errors="replace") as stream:
            own = stream.read().strip()
    except OSError:
        own = ""
    if own and own in {str(item).strip() for item in forbidden}:
        raise SelfhealError("own_host", "this is the machine of the controller, the journal or Nagios: never restarted")
    return own


def same_machine(own: str, told: str) -> None:
    """This is the machine that was taken out of traffic, and no other that the inventory calls by its name.

    A machine that has no id, or of which none was told, proves nothing; copies that share one cannot be told apart.
    """
    theirs = told.strip().lower()
    if own and theirs and own.lower() != theirs:
        raise SelfhealError(
            "wrong_machine",
            f"this is machine {own}, and {theirs} was taken out of traffic: name the right one in selfheal_object",
        )


def open_connections(texts: Iterable[str], port: int, peers: Iterable[str]) -> List[str]:
    """Established connections to ``port`` that come from one of these addresses, as ``ADDRESS:PORT`` of their ends."""
    try:
        wanted: Set[str] = {str(ipaddress.ip_address(peer)) for peer in peers}
    except ValueError as exc:
        # Known before anything is touched, so that the heal goes back instead of leaving the node out.
        raise SelfhealError("not_restartable", f"{exc}: give this balancer's address in selfheal_address") from exc
    return sorted(
        f"{row.remote}:{row.remote_port}"
        for text in texts
        for row in sockets.rows(text, lambda local, _remote, state: local == port and state == sockets.ESTABLISHED)
        if row.remote in wanted
    )


def connections(
    port: int,
    peers: Sequence[str],
    allowed: int,
    root: str = "/",
    patience: float = 0.0,
    half_open: Callable[[List[str]], Set[str]] = lambda _found: set(),
) -> List[str]:
    """No connection from a balancer is open, but those whose requests outlived the drain limit. Returns the half-open.

    HAProxy keeps idle connections to a member for some seconds after its last request (``pool-purge-delay``), and
    from here an idle one looks like any other: so it is looked again for ``patience`` seconds. Which of them have no
    other end any more, ``half_open`` says; it is asked only if there are too many.
    """
    if not peers or not port:
        return []
    deadline = time.monotonic() + patience
    while True:
        try:
            found = open_connections(sockets.tables(os.path.join(root, "proc/net")), port, peers)
        except (OSError, ValueError) as exc:
            raise SelfhealError("not_restartable", f"the open connections cannot be read: {exc}") from exc
        if len(found) <= allowed:
            return []
        dead = half_open(found)
        if len(found) - len(dead) <= allowed:
            return sorted(dead)
        if time.monotonic() >= deadline:
            break
        time.sleep(0.1)
    raise still_open([end for end in found if end not in dead], port, allowed)


def still_open(ends: Sequence[str], port: int, allowed: int) -> SelfhealError:
    """The refusal, with whom to ask."""
    return SelfhealError(
        "connections_open",
        f"{len(ends)} connections from balancers are still open on port {port}, {allowed} were expected: it still"
        f" gets traffic (from {', '.join(ends[:SHOWN])}; there, ss -tnp says whose they are)",
    )


def address_absent(vip: str, addresses: Iterable[str]) -> None:
    """The shared address is not on this machine (for the node of a pair)."""
    if vip and vip in set(addresses):
        raise SelfhealError("not_out_of_traffic", f"the address {vip} is still on this machine")


def disk(root: str = "/", full: bool = False) -> None:
    """A service that cannot write does not come back: full disks and read-only roots are not for a restart.

    ``full``: a disk may be full, because this is what is about to be relieved.
    """
    for name in WRITABLE:
        path = os.path.join(root, name)
        if not os.path.isdir(path):
            continue
        stat = os.statvfs(path)
        if stat.f_flag & os.ST_RDONLY:
            raise SelfhealError("read_only_root", f"{path} is mounted read-only: a restart would not cure that")
        if full:
            continue
        if (
            stat.f_blocks
            and stat.f_bavail * stat.f_frsize < MIN_FREE_BYTES
            and stat.f_bfree * stat.f_frsize < MIN_FREE_BYTES
        ):
            raise SelfhealError("disk_full", f"{path} has no room left: relieve it first, a restart needs room")
        if stat.f_files and stat.f_ffree == 0:
            raise SelfhealError("disk_full", f"{path} has no inode left: relieve it first, a restart needs room")


def package_manager(root: str = "/") -> None:
    """Nobody is replacing files right now. The locks are only looked at, never taken."""
    for name in PACKAGE_LOCKS:
        try:
            with open(os.path.join(root, name), "rb") as stream:
                holder = _lock_holder(stream.fileno())
        except OSError:
            continue
        if holder:
            raise SelfhealError("package_manager", f"process {holder} holds /{name}: wait until it is done")


def _lock_holder(descriptor: int) -> int:
    """The process that has a write lock on this file, 0 if none (F_GETLK; struct flock of 64-bit Linux)."""
    layout = "hhqqi4x"
    question = struct.pack(layout, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    kind, _whence, _start, _length, process = struct.unpack(layout, fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    return 0 if kind == fcntl.F_UNLCK else max(int(process), 1)


def configuration(tests: Sequence[Sequence[str]], timeout: float = 15.0) -> None:
    """A restart activates what somebody left on disk: let the service's own test look at it first."""
    for argv in tests:
        try:
            done = subprocess.run(
                list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise SelfhealError(
                "config_invalid", "the test {} could not be run: {}".format(" ".join(argv), exc)
            ) from exc
        if done.returncode:
            said = done.stdout.decode("utf-8", "replace").strip().splitlines()
            raise SelfhealError(
                "config_invalid", f"{' '.join(argv)} says no ({done.returncode}): {' | '.join(said[-3:])[:400]}"
            )


def unit(shown: Mapping[str, str], name: str) -> None:
    """A unit that systemd can restart."""
    if shown.get("LoadState") != "loaded":
        raise SelfhealError(
            "not_restartable", "{} is {} on this node".format(name, shown.get("LoadState") or "unknown")
        )
    if shown.get("RefuseManualStop") == "yes" or shown.get("RefuseManualStart") == "yes":
        raise SelfhealError("not_restartable", f"{name} refuses to be stopped or started by hand")


def parse_show(text: str) -> Dict[str, str]:
    """``systemctl show`` as a dict."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value for key, _sign, value in pairs}


def local_addresses(text: str) -> List[str]:
    """Addresses of this machine out of ``ip -o addr``."""
    found = []
    for line in text.splitlines():
        columns = line.split()
        for family in ("inet", "inet6"):
            if family in columns[:-1]:
                found.append(columns[columns.index(family) + 1].partition("/")[0])
    return found
