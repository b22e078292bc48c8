# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What is read on one node: records, doubts, and when a probe says nothing at all."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_agent import agent_trouble
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges_model import Gauge

VERDICTS = ("faulty", "suspect", "unknown", "ok")
"""Worst first."""
FUTURE_SECONDS = 60.0
"""A reading from further ahead than this comes from another clock."""


class Moment(NamedTuple):
    """When a node is judged: now, since its last heal, and the age at which a reading is too old."""

    now: float
    since: Optional[float]
    max_age: float


class Item:
    """A reading that is not plainly ok, rewritten as it is held against others.

    ``reading`` is the record for results; ``reason`` a sentence for people; ``trouble`` what the output
    says about the way to the node; ``settling`` keeps it out of verdicts. ``raised_at`` is since when a number is
    raised without being clear again, and ``high`` whether it is past its mark even now.
    """

    __slots__ = ("gauge", "high", "kind", "raised_at", "reading", "reason", "settling", "trouble")

    def __init__(self, gauge: Gauge, reading: Dict[str, Any], reason: str, trouble: str = "") -> None:
        self.gauge = gauge
        self.kind = gauge.kind
        self.reading = reading
        self.reason = reason
        self.trouble = trouble
        self.settling = False
        self.raised_at: Optional[float] = None
        self.high = True

    @property
    def verdict(self) -> str:
        """The verdict on this reading alone."""
        return str(self.reading["verdict"])

    def rewrite(self, verdict: str, reason: str, kind: str = "") -> None:
        """Judge it anew in the light of others."""
        self.reading["verdict"] = verdict
        self.reason = reason
        self.kind = kind or self.kind


class Sheet:
    """What is read on one node. Most readings of a farm are ok, so those are records and nothing more.

    ``fine`` are the gauges with a reading that is ok, ``doubts`` the readings that are not; ``lacking`` are sound
    probes without the label of a gauge; ``read`` are the names of the gauges that had their say, if only to find
    nothing to measure.
    """

    __slots__ = ("doubts", "fine", "lacking", "read", "readings")

    def __init__(self) -> None:
        self.readings: List[Dict[str, Any]] = []
        self.fine: Dict[str, Gauge] = {}
        self.doubts: List[Item] = []
        self.lacking: List[Item] = []
        self.read: Set[str] = set()

    def doubt(self, item: Item) -> None:
        """Add a reading that is not ok."""
        self.readings.append(item.reading)
        self.doubts.append(item)

    def worst(self, gauge: Gauge) -> str:
        """The worst verdict of one gauge; empty when it has none, or when only what settles would speak against ok."""
        own = [item for item in self.doubts if item.gauge is gauge]
        found = [item.verdict for item in own if not item.settling]
        if gauge.name in self.fine and not any(item.settling for item in own):
            found.append("ok")
        return min(found, key=VERDICTS.index) if found else ""


def unreadable(service: Mapping[str, Any], moment: Moment, max_age: Optional[float] = None) -> str:
    """Why nothing can be read from this probe now; empty when it can."""
    checked = service.get("last_check")
    if checked is None or service.get("checked") is False or service.get("status") == "pending":
        return "has not been checked yet"
    age = moment.now - checked
    limit = moment.max_age if max_age is None else max_age
    if age > limit:
        return f"was last checked {age:.0f} s ago, which is more than the {limit:.0f} s that a reading may be old"
    if age < -FUTURE_SECONDS:
        return f"was checked {-age:.0f} s in the future: the clocks of Nagios and of the one who asks differ"
    if moment.since is not None and checked <= moment.since:
        return "has not been checked again since the node was healed"
    if service.get("unreadable"):
        return "gave an output that Nagios could not pass on (not UTF-8)"
    return ""


def untold(service: Mapping[str, Any]) -> Tuple[str, str]:
    """Why a fresh probe says nothing about the node, and which trouble of the agent it tells of; empty when it does."""
    trouble = agent_trouble(str(service.get("output") or ""))
    if trouble == "unreachable":
        return "could not be asked: the agent (NRPE) does not answer", trouble
    if trouble == "starved":
        return "could not be asked: the agent (NRPE) cannot start a process", trouble
    if service.get("status") not in ("warning", "critical"):
        return "could not measure (Nagios calls it unknown)", ""
    return "", ""


def record(
    gauge: Gauge, service: Mapping[str, Any], label: str, value: Optional[float], unit: str, now: float, verdict: str
) -> Dict[str, Any]:
    """A reading as results, journal and reports carry it."""
    at = service.get("last_check")
    return {
        "gauge": gauge.name,
        "service": service.get("service", ""),
        "label": label,
        "value": value,
        "unit": unit,
        "state": service.get("status", ""),
        "state_type": service.get("state_type", ""),
        "at": at,
        "age_seconds": None if at is None else now - at,
        "verdict": verdict,
        **({"traffic": True} if gauge.traffic else {}),
        **({"vrrp": True} if gauge.vrrp else {}),
    }
