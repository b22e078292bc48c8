# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What ``lb_member`` does on one balancer: decide on HAProxy's own view, act under the lock, wait, verify."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable, Optional

from ._errors import SelfhealError
from ._haproxy import Haproxy, passed, resource, serves
from ._haproxy_state import remember
from ._holds import Hold, Holds, describe

_POLL = 0.05
_SETTLE = 2.0

Server = dict[str, Any]


@dataclass(frozen=True)
class Wish:
    """What the caller asks for."""

    addresses: tuple[str, ...]
    port: int
    state: str
    incident: str
    epoch: int
    phase: str
    deadline_seconds: float
    reason: str = ""
    backend: str = ""
    min_up: int = -1
    drain_timeout: float = 0.0
    wait_up_timeout: float = 0.0

    @property
    def name(self) -> str:
        """The member, as a human writes it."""
        return f"{'|'.join(self.addresses)}:{self.port}"


def resolve(address: str) -> tuple[str, ...]:
    """The addresses of a member as HAProxy prints them; a name is resolved here, on the balancer."""
    try:
        return (str(ipaddress.ip_address(address)),)
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise SelfhealError(
            "no_such_member", f"{address} is no address, and this balancer cannot resolve it: {exc}."
        ) from exc
    return tuple(sorted({str(entry[4][0]) for entry in found}))


def matching(servers: list[Server], wish: Wish) -> list[Server]:
    """All servers with this address and port, in every backend or in the named one."""
    return [
        server
        for server in servers
        if server["address"] in wish.addresses
        and server["port"] == wish.port
        and wish.backend in ("", server["backend"])
    ]


def decide(servers: list[Server], holds: dict[str, Hold], wish: Wish) -> list[Server]:
    """Choose the servers to act on, or refuse. Pure: the check under the lease rests on this function."""
    found = matching(servers, wish)
    if not found:
        where = f"backend {wish.backend}" if wish.backend else "any backend"
        raise SelfhealError(
            "no_such_member",
            f"HAProxy has no server {wish.name} in {where}. Compare the node's address and "
            "selfheal_port with the configuration of this balancer.",
        )
    chosen = [server for server in found if not _left_to_config(server)]
    if not chosen:
        names = ", ".join(resource(server) for server in found)
        raise SelfhealError(
            "config_disabled",
            f"The configuration of this balancer disables {names}. Enable it there first, if it shall serve.",
        )
    for server in chosen:
        _respect_owner(server, holds.get(resource(server)), wish)
    if wish.state != "ready":
        for server in chosen:
            _respect_minimum(server, servers, wish)
    return chosen


def _left_to_config(server: Server) -> bool:
    """A server that the configuration disabled and nobody enabled since is not ours to touch."""
    return "cmaint" in server["admin_flags"] and server["admin"] == "maint"


def _respect_owner(server: Server, hold: Optional[Hold], wish: Wish) -> None:
    """Invariant 6: what a human put aside stays aside, and so does what another heal holds."""
    name = resource(server)
    if hold is not None and not hold.owned_by(wish.incident, wish.epoch):
        raise SelfhealError(
            "human_hold",
            f"{name} is held by incident {hold.incident} (epoch {hold.epoch}, phase {hold.phase}: "
            f"{hold.reason or 'no reason given'}), which this run does not own.",
        )
    if hold is None and server["admin"] != "ready":
        raise SelfhealError(
            "human_hold",
            f"{name} is in {server['admin']} without a hold of ours ({', '.join(server['admin_flags'])}): a "
            "human, an agent or name resolution put it there, and it stays there.",
        )


def _respect_minimum(server: Server, servers: list[Server], wish: Wish) -> None:
    """Invariant 2, on HAProxy's own view. A server that serves nobody may always go."""
    if wish.min_up < 0 or not serves({**server, "hold": None}):
        return
    target = (server["address"], server["port"])
    others = [
        other
        for other in servers
        if other["backend"] == server["backend"]
        and (other["address"], other["port"]) != target
        and not other["backup"]
        and serves(other)
    ]
    needed = max(1, wish.min_up)  # the last one that serves, never
    if len(others) < needed:
        names = ", ".join(other["server"] for other in others) or "none"
        raise SelfhealError(
            "below_minimum",
            f"Without {resource(server)} only {len(others)} would serve ({names}), and {needed} must. "
            "Nothing was changed.",
        )


class Member:
    """One member of a pool, as one balancer sees it."""

    def __init__(self, haproxy: Haproxy, holds: Holds, sleep: Callable[[float], None] = time.sleep) -> None:
        self.haproxy = haproxy
        self.holds = holds
        self.sleep = sleep

    def view(self) -> list[Server]:
        """All servers with their holds."""
        servers = self.haproxy.servers()
        for server in servers:
            server["hold"] = describe(self.holds.read(resource(server)))
        return servers

    def preview(self, wish: Wish) -> tuple[list[Server], list[Server]]:
        """Before and after, without touching anything; refuses just as the act would."""
        before = self._decided(wish)
        return before, [self._predict(server, wish) for server in before]

    def apply(self, wish: Wish) -> dict[str, Any]:
        """Bring the member into the wished state, wait as asked, verify."""
        with self.holds.lock():
            before = self._decided(wish)
            for server in before:
                self.holds.raise_epoch(resource(server), wish.epoch)
            if wish.state == "ready" and wish.wait_up_timeout > 0:
                first = [server for server in before if server["admin"] == "maint"]
            else:
                first = []
            if first:  # HAProxy would call them up before their first check: let it check first
                self._change(first, wish, "drain")
            elif wish.state != "ready":
                self._change(before, wish, wish.state)
        rounds = self._wait_proven(wish) if self._wants_proof(wish, bool(first)) else 0.0
        if wish.state == "ready":
            with self.holds.lock():
                for server in before:
                    self.holds.check_epoch(resource(server), wish.epoch)  # the wait may have outlived us
                self._change(before, wish, "ready")
                for server in before:
                    self.holds.remove(resource(server))
                self._remember()
        drained, left = self._wait_drained(wish)
        names = {resource(server) for server in before}
        after = [server for server in self.view() if resource(server) in names]
        return {
            "changed": differs(before, after),
            "before": before,
            "after": after,
            "drain_seconds": round(drained, 3),
            "left_sessions": left,
            "check_rounds_seconds": round(rounds, 3),
            "at": time.time(),
        }

    # -- deciding --------------------------------------------------------------------------------------

    def _decided(self, wish: Wish) -> list[Server]:
        servers = self.view()
        for server in matching(servers, wish):
            self.holds.check_epoch(resource(server), wish.epoch)
        found = {resource(server): self.holds.read(resource(server)) for server in servers}
        chosen = decide(servers, {name: hold for name, hold in found.items() if hold is not None}, wish)
        if wish.wait_up_timeout > 0 and not any(server["checked"] for server in chosen):
            raise SelfhealError(
                "no_check",
                f"HAProxy does not check {wish.name}, so it cannot prove it healthy. Add 'check' "
                "to its server line, or ask without wait_up_timeout.",
            )
        return chosen

    @staticmethod
    def _predict(server: Server, wish: Wish) -> Server:
        if server["admin"] == wish.state:
            flags = server["admin_flags"]
        else:
            flags = {"ready": [], "drain": ["fdrain"], "maint": ["fmaint"]}[wish.state]
        hold = None
        if wish.state != "ready":
            hold = {"resource": resource(server), "incident": wish.incident, "epoch": wish.epoch}
            hold.update(phase=wish.phase, reason=wish.reason)
            hold.update(remaining_seconds=wish.deadline_seconds, expired=False)
        return {**server, "admin": wish.state, "admin_flags": flags, "hold": hold}

    # -- acting (under the lock) -----------------------------------------------------------------------

    def _change(self, servers: list[Server], wish: Wish, state: str) -> None:
        """Hold first, then HAProxy, then look: all servers of the member or none."""
        with self._undone_on_failure() as undo:
            if wish.state != "ready":
                undo.append((self._remember, ()))  # undone last, when the holds are as they were
                for server in servers:
                    name = resource(server)
                    undo.append((self.holds.restore, (name, self.holds.read(name))))
                    self.holds.put(name, wish.incident, wish.epoch, wish.phase, wish.reason, wish.deadline_seconds)
                self._remember()
            for server in servers:
                if server["admin"] != state:
                    undo.append((self.haproxy.set_state, (server["backend"], server["server"], server["admin"])))
                    self._set(server, state)
            self._wait_settled(servers, state)

    def _remember(self) -> None:
        remember(self.holds, self.haproxy.ask("show servers state"))

    def _set(self, server: Server, state: str) -> None:
        if state == "drain" and server["checked"] and server["admin"] == "maint":
            self.haproxy.set_drain_unproven(server["backend"], server["server"])
        else:
            self.haproxy.set_state(server["backend"], server["server"], state)

    @contextlib.contextmanager
    def _undone_on_failure(self) -> Iterator[list[tuple[Callable[..., None], tuple[Any, ...]]]]:
        undo: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        try:
            yield undo
        except SelfhealError as failure:
            left = []
            for step, arguments in reversed(undo):
                try:
                    step(*arguments)
                except SelfhealError as exc:
                    left.append(exc.message)
            if left:
                raise SelfhealError(
                    failure.reason, f"{failure.message} Undoing it failed too: {'; '.join(left)}"
                ) from failure
            raise

    def _wait_settled(self, servers: list[Server], state: str) -> None:
        """HAProxy's word that each server is in the state that was asked for."""
        names = {resource(server) for server in servers}
        end = time.monotonic() + _SETTLE
        while True:
            view = [server for server in self.haproxy.servers() if resource(server) in names]
            wrong = [server for server in view if server["admin"] != state]
            if len(view) == len(names) and not wrong:
                return
            if time.monotonic() >= end:
                shown = ", ".join(f"{resource(server)} is {server['admin']}" for server in wrong)
                raise SelfhealError("not_verified", f"HAProxy took the command, but {shown or 'a server is gone'}.")
            self.sleep(_POLL)

    # -- waiting (without the lock: others may act on other members) -------------------------------------

    @staticmethod
    def _wants_proof(wish: Wish, drained_first: bool) -> bool:
        return wish.wait_up_timeout > 0 and (wish.state == "drain" or drained_first)

    def _wait_proven(self, wish: Wish) -> float:
        """Until HAProxy's own check has passed ``rise`` times in every backend that checks this member."""
        start = time.monotonic()
        while True:
            waiting = [
                server
                for server in matching(self.haproxy.servers(), wish)
                if server["checked"] and not _left_to_config(server) and not passed(server)
            ]
            spent = time.monotonic() - start
            if not waiting:
                return spent
            if spent >= wish.wait_up_timeout:
                shown = ", ".join(
                    f"{resource(server)} {server['operational']} {server['check'] or 'unchecked'}" for server in waiting
                )
                raise SelfhealError(
                    "not_up",
                    f"HAProxy's own check did not pass within {wish.wait_up_timeout:g} s: {shown}. The member "
                    "stays out of traffic, with its hold.",
                )
            self.sleep(_POLL)

    def _wait_drained(self, wish: Wish) -> tuple[float, int]:
        """Until no request runs or waits on the member; after the time limit, how many are left."""
        start = time.monotonic()
        while True:
            left = sum(server["sessions"] + server["queue"] for server in matching(self.haproxy.servers(), wish))
            spent = time.monotonic() - start
            if wish.state == "ready" or not left or spent >= wish.drain_timeout:
                return spent, left
            self.sleep(_POLL)


def differs(before: list[Server], after: list[Server]) -> bool:
    """Whether something changed that somebody else would notice."""
    return essence(before) != essence(after)


def essence(servers: list[Server]) -> list[dict[str, Any]]:
    """What counts as a change: traffic and owner, not sessions, checks or a longer deadline."""
    short = []
    for server in servers:
        hold = server["hold"] or {}
        owner = {key: hold.get(key) for key in ("incident", "epoch", "phase")} if hold else None
        short.append({"server": resource(server), "admin": server["admin"], "hold": owner})
    return short
