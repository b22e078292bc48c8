# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The world that ``_dispatch`` decides on, ordered by node; and what is newer than what. Pure."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set

from ansible_collections.selfheal.cluster.plugins.module_utils._heals import SET_BACK_SECONDS, healed_since

READ_AGE_SECONDS = 150.0  # verdicts that were made longer ago than this are no ground to begin anything
STARTING_SECONDS = 5.0  # a unit that was asked for may not be in systemd's list yet
AHEAD_SECONDS = 5.0  # two clocks, or two reads of one clock, may differ by this
GONE = ("inactive", "failed")
UNFINISHED = (None, "interrupted")
LEFT = ("left_out", "failed")  # the node stays out of traffic until a human looks or it is well again

Row = Mapping[str, Any]


class View:
    """One world, one moment. Of several open incidents of one node only the newest counts, as for the planner."""

    def __init__(self, world: Row, now: float) -> None:
        self.now = now
        self.policies: Mapping[str, Row] = world.get("policies") or {}
        self.layer_of = {node: layer for layer, policy in self.policies.items() for node in policy.get("nodes") or ()}
        self.verdicts: Mapping[str, Row] = world.get("verdicts") or {}
        self.serving: Mapping[str, Any] = world.get("serving") or {}
        self.alerts: Sequence[Row] = world.get("alerts") or ()
        self.decisions: Mapping[str, Row] = world.get("decisions") or {}
        self.leases: Sequence[Row] = world.get("leases") or ()
        self.paused = bool(world.get("paused"))
        self.aborts: Set[str] = set(world.get("aborts") or ())
        self.taken: Set[str] = set(world.get("taken") or ())
        self.called_at = {(item["incident"], item["reason"]): item.get("at") for item in world.get("called") or ()}
        self.lapsed: Set[str] = set()  # incidents whose approval does not hold any more; found out by ``dispatch``
        self.past_runs: Mapping[str, Row] = world.get("past_runs") or {}
        self.read_at: Any = world.get("read_at")
        self.fresh = bool(world.get("fresh")) and self._recent(self.read_at)
        self.writes_every: Optional[float] = world.get("writes_every")  # seconds; None where nothing proves it
        self.incidents: Dict[str, Row] = {}
        opened = [item for item in world.get("incidents") or () if item.get("state", "open") == "open"]
        for item in sorted(opened, key=lambda item: (item["opened_at"], item["id"])):
            self.incidents[item["node"]] = item
        self.attempts: Sequence[Row] = world.get("attempts") or ()
        self._healed = healed_since(self.attempts, now)
        node_of = {item["id"]: item["node"] for item in opened}
        self.live: Dict[str, Row] = {}  # node: the run whose unit lives
        self.gone: List[Row] = []
        units = world.get("units")
        for run in sorted(world.get("runs") or (), key=lambda run: (run["started_at"], run["incident"], run["number"])):
            if run.get("ended_at") is None:
                if self._lives(run, units):
                    self.live[str(run.get("node") or node_of.get(run["incident"]) or run["incident"])] = run
                else:
                    self.gone.append(run)

    def _recent(self, read_at: Any) -> bool:
        return bool(number(read_at) and -AHEAD_SECONDS <= self.now - read_at <= READ_AGE_SECONDS)

    def _lives(self, run: Row, units: Optional[Row]) -> bool:
        """In doubt a unit lives: nobody could say what runs (``units`` None), or it was asked for just now."""
        if units is None:
            return True
        state = units.get(run["unit"])
        if state is None:
            return self.just_begun(run)
        return state not in GONE

    def just_begun(self, run: Row) -> bool:
        return bool(abs(self.now - run["started_at"]) < STARTING_SECONDS)

    # -- the past of one incident ----------------------------------------------------------------

    def policy(self, node: str) -> Row:
        """The policy of the node's layer; empty where it has none."""
        return self.policies.get(self.layer_of.get(node, "")) or {}

    def approved(self, incident: Row) -> bool:
        """Has a person said yes, not too long ago?"""
        return bool(incident.get("approved")) and incident["id"] not in self.lapsed

    def tried(self, incident: Row) -> List[Row]:
        """Its attempts that count, oldest first."""
        own = [item for item in self.attempts if item["incident"] == incident["id"] and not item.get("acknowledged")]
        return sorted(own, key=lambda item: item.get("attempt") or 0)

    def last_run(self, incident: Row) -> Optional[Row]:
        """The newest run of the healer for it, also one that is seen to have ended just now."""
        own = [run for run in self.gone if run["incident"] == incident["id"]]
        past = self.past_runs.get(incident["id"])
        runs = own + ([past] if past else [])
        return max(runs, key=lambda run: run["number"]) if runs else None

    def by_hand(self, incident: Row) -> Optional[Row]:
        """The node's lease, when a heal holds it that is none of ours: somebody else's process, proven by expiry only.

        A run of ours whose unit is gone is dead, however long its lease still lives: its successor runs on the same
        machine, proves that and takes the lease over.
        """
        leases = self.leased(incident)
        if not leases:
            return None
        tried, run = self.tried(incident), self.last_run(incident)
        if tried and run:
            ended = run.get("ended_at")
            since = run["started_at"] - AHEAD_SECONDS <= tried[-1]["at"]
            if since and (ended is None or tried[-1]["at"] <= ended + AHEAD_SECONDS):
                return None
        return leases[0]

    def leased(self, incident: Row) -> List[Row]:
        """The node's lease under this incident, as long as it lives: to the deadline of the phase that runs."""
        return [
            item
            for item in self.leases
            if item["resource"] == "node:" + incident["node"]
            and item["incident"] == incident["id"]
            and self.now < item["expires_at"]
        ]

    def decided(self, incident: Row) -> Optional[Row]:
        """The newest decision about this incident."""
        found = self.decisions.get(incident["node"])
        if not found:
            return None
        same = found.get("incident") == incident["id"]
        return found if same or found["at"] >= incident["opened_at"] else None

    # -- readings --------------------------------------------------------------------------------

    def verdict(self, node: str) -> Row:
        return self.verdicts.get(node) or {"verdict": "unknown", "kind": None, "reasons": [], "readings": []}

    def readings(self, node: str) -> List[Row]:
        return list(self.verdict(node).get("readings") or ())

    def newer(self, reading: Row, mark: float) -> bool:
        """Was this reading taken after ``mark``?"""
        at: Any = reading.get("at")
        if not number(at) or at > self.now + SET_BACK_SECONDS:
            return False
        return bool(at > mark or mark > self.now + SET_BACK_SECONDS)

    def all_newer(self, node: str, mark: float) -> bool:
        """Has every service of the node been looked at after ``mark``? Hosts are checked rarely and do not count."""
        services = [item for item in self.readings(node) if item.get("service")]
        return bool(services) and all(self.newer(item, mark) for item in services)

    def answered(self, node: str, service: str, mark: float) -> bool:
        """Is there a reading newer than an alert of ``service`` ('': of the host)? Without one of its own: all."""
        own = [item for item in self.readings(node) if (item.get("service") or "") == service]
        if own:
            return all(self.newer(item, mark) for item in own)
        return self.all_newer(node, mark)

    def old_news(self, node: str) -> bool:
        """Faulty only by readings from before the end of the last heal: Nagios has not looked again (stale_alert)."""
        ended = self.healed_at(node)
        if ended is None:
            return False
        bad = [item for item in self.readings(node) if item.get("verdict") == "faulty"]
        return bool(bad) and not any(self.newer(item, ended) for item in bad)

    def healed_at(self, node: str) -> Optional[float]:
        """When the last verified heal of the node ended."""
        return self._healed.get(node)

    def well(self, incident: Row) -> bool:
        """Well again by readings newer than the incident, its alerts and its last attempt (invariant 12)."""
        node = incident["node"]
        if not self.fresh or self.verdict(node).get("verdict") != "ok":
            return False
        mark = incident["opened_at"]
        for item in self.tried(incident):
            mark = max(mark, item.get("ended_at") or item.get("phase_at") or item["at"])
        if not self.all_newer(node, mark):
            return False
        return all(self.answered(node, service, at) for service, at in (incident.get("alerts") or {}).items())


def number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
