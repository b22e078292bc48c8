# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One question to the planner: may this node be healed now? Gathers what the checks share."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Set

from ansible_collections.selfheal.cluster.plugins.module_utils._heals import healed_since
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_reasons import ORDER
from ansible_collections.selfheal.cluster.plugins.module_utils._sequences import AFTER_RESTART


class Case:
    """A node with everything that is known about it, and the refusals that the checks collect."""

    def __init__(
        self,
        node: str,
        layer: str,
        snapshot: Mapping[str, Any],
        policies: Mapping[str, Mapping[str, Any]],
        history: Mapping[str, Any],
        now: float,
    ) -> None:
        self.node, self.layer, self.now = node, layer, now
        self.snapshot, self.policies, self.history = snapshot, policies, history
        self.policy = policies[layer]
        self.limits = self.policy["limits"]
        self.drill = snapshot.get("reason") == "drill"
        self.verdict: Mapping[str, Any] = (snapshot.get("verdicts") or {}).get(node) or {
            "verdict": "unknown", "kind": None, "reasons": ["Nagios has no reading of it"], "readings": [],
        }  # fmt: skip
        self.refusals: List[Dict[str, str]] = []
        self.notes: List[str] = []
        mine = [item for item in open_incidents(history) if item.get("node") == node]
        self.incident = _newest(mine)
        self.own_incidents: Set[str] = {item["id"] for item in mine}
        # A heal that runs may have its node serve too (before its shift, in its soak): that one is nobody's to close.
        running = {lease.get("incident") for lease in history.get("leases") or () if self._runs(lease)}
        self.returned = returned_incidents(snapshot, history) - running
        self.attempts = [item for item in history.get("attempts") or () if item.get("node") == node]
        self.resume = self._interrupted()
        self.out = False  # set by the pool and pair checks: held by an own incident, out of traffic
        self.serves = False  # clients reach the node now
        self.dead = False  # set by the pair checks: its keepalived is proven not to run
        self.leftover = False  # that keepalived left the address behind, and the peer rules it
        self.returns = False  # it cannot be asked, and once it is back it may draw the address to itself

    def refuse(self, reason: str, detail: str) -> None:
        if reason not in ORDER:
            raise ValueError("not a reason: %s" % reason)
        self.refusals.append({"reason": reason, "detail": detail})

    def own(self, hold: Optional[Mapping[str, Any]]) -> bool:
        """A hold that an open incident of this same node left behind is ours."""
        return bool(hold) and hold.get("incident") in self.own_incidents if hold else False

    def newest_reading(self) -> Optional[float]:
        times = [item.get("at") for item in self.verdict.get("readings") or () if item.get("verdict") == "faulty"]
        known = [time for time in times if isinstance(time, (int, float))]
        return max(known) if known else None

    def live_leases(self) -> List[Mapping[str, Any]]:
        return [lease for lease in self.history.get("leases") or () if self.live(lease)]

    def live(self, lease: Mapping[str, Any]) -> bool:
        if lease["resource"].startswith("slot:") and lease.get("incident") in _ids(self.history):
            # Invariant 1: a node that has not come back keeps its slot as missing, whatever became of its run.
            return lease["incident"] not in self.returned or self._runs(lease)
        return self._runs(lease)

    def _runs(self, lease: Mapping[str, Any]) -> bool:
        return not lease.get("dead") and (lease.get("expires_at") is None or lease["expires_at"] > self.now)

    def _interrupted(self) -> Optional[Mapping[str, Any]]:
        """The last attempt of the open incident, when its run died: rolled forward, never run from the top."""
        if not self.incident:
            return None
        mine = [item for item in self.attempts if item.get("incident") == self.incident["id"]]
        last = max(mine, key=lambda item: item.get("attempt") or 0) if mine else None
        if not last or last.get("outcome") not in (None, "interrupted"):
            return None
        node_lease = "node:" + self.node
        running = any(
            lease["resource"] == node_lease and lease.get("incident") == self.incident["id"] and self.live(lease)
            for lease in self.history.get("leases") or ()
        )
        return None if running else last

    def rolled_forward_since(self) -> Optional[int]:
        """Epoch of the first in the unbroken row of interrupted attempts: what it restarted is not restarted again.

        A bad reading from after that restart asks for another one: then the row begins behind it. None: with this heal.
        """
        reading = self.newest_reading()
        mine = [item for item in self.attempts if self.incident and item.get("incident") == self.incident["id"]]
        since = None
        for item in sorted(mine, key=lambda item: item.get("attempt") or 0, reverse=True):
            if item.get("outcome") not in (None, "interrupted"):
                break
            restarted = item.get("phase_at") if item.get("phase") in AFTER_RESTART else None
            if restarted is not None and reading is not None and reading > restarted:
                break
            since = item.get("epoch")
        return since


def vrrp_only(verdict: Mapping[str, Any]) -> bool:
    """Faulty by nothing but the death of its VRRP daemon: the service that clients reach is not what is ill."""
    bad = [item for item in verdict.get("readings") or () if item.get("verdict") == "faulty"]
    return verdict.get("verdict") == "faulty" and bool(bad) and all(item.get("vrrp") for item in bad)


def returned_incidents(snapshot: Mapping[str, Any], history: Mapping[str, Any]) -> Set[str]:
    """Open incidents whose node serves again everywhere without a hold: somebody has brought it back.

    Only what a heal has touched can come back: an ill node in rotation may as well wait for its first attempt, a word
    or a person who has taken it. A heal that died before its shift has touched nothing.
    """
    from ansible_collections.selfheal.cluster.plugins.module_utils._snapshot import serving

    in_order = sorted(history.get("attempts") or (), key=lambda item: item.get("attempt") or 0)
    last = {item.get("incident"): item for item in in_order}
    back = set()
    for incident in open_incidents(history):
        attempt = last.get(incident["id"])
        if attempt is None and incident.get("outcome") is None:
            continue
        if attempt is not None and _died_before_shift(attempt) and _faulty(snapshot, incident.get("node")):
            continue
        member = (snapshot.get("members") or {}).get(incident.get("node"))
        if not member:
            continue
        seen = [
            server
            for balancer in (snapshot.get("balancers") or {}).values()
            if balancer.get("reachable")
            for server in balancer.get("servers") or ()
            if server.get("address") == member["address"] and server.get("port") == member["port"]
        ]
        if seen and all(serving(server) for server in seen):
            back.add(incident["id"])
    return back


def _died_before_shift(attempt: Mapping[str, Any]) -> bool:
    return attempt.get("outcome") in (None, "interrupted") and attempt.get("phase") in (None, "confirm")


def _faulty(snapshot: Mapping[str, Any], node: Any) -> bool:
    return ((snapshot.get("verdicts") or {}).get(node) or {}).get("verdict") == "faulty"


def healed_at(history: Mapping[str, Any], node: str, now: float) -> Optional[float]:
    """When the last verified heal of the node ended."""
    return healed_since(history.get("attempts") or (), now).get(node)


def open_incidents(history: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    return [item for item in history.get("incidents") or () if item.get("state", "open") == "open"]


def _ids(history: Mapping[str, Any]) -> Set[str]:
    return {item["id"] for item in open_incidents(history)}


def _newest(incidents: Iterable[Mapping[str, Any]]) -> Optional[Mapping[str, Any]]:
    found = list(incidents)
    return max(found, key=lambda item: (item.get("opened_at") or 0, item["id"])) if found else None


def names(items: Iterable[str]) -> str:
    return ", ".join(sorted(items))


def seconds(value: float) -> str:
    """A duration for people: rounded up to seconds, minutes or hours."""
    for size, unit in ((7200, "h"), (600, "min")):
        if value >= size:
            return "%d %s" % (-(-value // {"h": 3600, "min": 60}[unit]), unit)
    return "%d s" % -(-value // 1)
