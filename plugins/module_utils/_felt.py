# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What clients felt of a heal, as far as the balancers' own counters tell. Pure.

HAProxy counts from its start on. So a figure is the difference of two readings of one process: the one that the plan
was made on, and the last one of the heal, which comes with answers that the heal needs anyway. Where there is no such
pair of readings nothing is guessed: the balancer is named with the reason.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils import _felt_looks
from ansible_collections.selfheal.cluster.plugins.module_utils._felt_looks import rows_of
from ansible_collections.selfheal.cluster.plugins.module_utils._haproxy import COUNTERS
from ansible_collections.selfheal.cluster.plugins.module_utils._heal_state import Results, State, at_of

Counts = Dict[str, int]
Reading = Dict[str, Any]

# HAProxy's names in words: one, and many. The first four are always said, the others where there is something.
LABELS: Dict[str, Tuple[str, str]] = {
    "stot": ("request", "requests"),
    "econ": ("failed connection", "failed connections"),
    "eresp": ("failed response", "failed responses"),
    "hrsp_5xx": ("5xx", "5xx"),
    "cli_abrt": ("aborted by a client", "aborted by clients"),
    "srv_abrt": ("aborted by a server", "aborted by servers"),
    "wretr": ("connection retry", "connection retries"),
    "wredis": ("redispatch", "redispatches"),
}
ALWAYS = ("stot", "econ", "eresp", "hrsp_5xx")
SESSIONS = ("session", "sessions")  # what ``stot`` counts in mode tcp
WHY = {
    "no_reading_before": "it gave no reading when the plan was made",
    "no_reading_after": "it gave no reading since the plan was made",
    "restarted": "it was restarted or reloaded, and its counters with it",
    "went_back": "its counters went back: somebody cleared them, or they wrapped",
    "changed": "its backends or servers are not those of before",
    "no_counters": "its Services count no requests",
}
PHASES = ("confirm", "shift", "evidence", "restart", "verify", "readmit", "soak", "undo")
NOBODY: Dict[str, Any] = {
    "balancers": [], "begin": None, "end": None, "phases": [], "tcp": False, "total": None, "backends": [],
    "node": None,
}  # fmt: skip
PROCESS = ("boot_id", "pid", "started_at", "uptime_seconds")


def reading(balancer: Any, member: Optional[Tuple[str, Any]], phase: str, at: float) -> Optional[Reading]:
    """What one balancer had counted at one moment, in the backends of this member (address, port), or in all.

    None if the answer says nothing that can be compared: no process, no counters, or no such member.
    """
    if not isinstance(balancer, Mapping) or not balancer.get("pid"):
        return None
    rows = [
        row
        for row in rows_of(balancer.get("counters"))
        if isinstance(row.get("backend"), str)
        and isinstance(row.get("server"), str)
        and isinstance(row.get("counters"), Mapping)
    ]
    own = [row for row in rows if member is not None and row["server"] and _place(row) == _key(*member)]
    names = {row["backend"] for row in own}
    whole = [row for row in rows if not row["server"] and (member is None or row["backend"] in names)]
    if not whole:
        return None
    return {
        "at": at,
        "phase": phase,
        "process": {key: balancer.get(key) for key in PROCESS},
        "tcp": any(row.get("mode") == "tcp" for row in whole),
        "backends": {row["backend"]: _counts(row["counters"]) for row in whole},
        "node": {"{}/{}".format(row["backend"], row["server"]): _counts(row["counters"]) for row in own},
    }


def _place(row: Mapping[str, Any]) -> Tuple[str, str]:
    return _key(row.get("address"), row.get("port"))


def _key(address: Any, port: Any) -> Tuple[str, str]:
    return str(address), str(port)


def _counts(counters: Mapping[str, Any]) -> Counts:
    return {name: counters[name] for name in COUNTERS if _whole(counters.get(name))}


def _whole(value: Any) -> bool:
    """Whether it is a number without a fraction, as all of these are."""
    return isinstance(value, int) and not isinstance(value, bool)


def same_process(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two readings are of one process: a restart and a reload begin to count anew.

    The number of a process alone can come again, after a reboot, or in a machine where it is always the same.
    """
    if any(before.get(key) != after.get(key) for key in ("boot_id", "pid")):
        return False
    if before.get("started_at") and after.get("started_at"):
        return bool(before["started_at"] == after["started_at"])
    young, old = before.get("uptime_seconds"), after.get("uptime_seconds")
    return isinstance(young, int) and isinstance(old, int) and old >= young


def why_not(before: Optional[Reading], after: Optional[Reading]) -> str:
    """The reason for which these two readings have no difference; empty if they have."""
    if before is None:
        return "no_reading_before"
    if after is None:
        return "no_reading_after"
    if not same_process(before["process"], after["process"]):
        return "restarted"
    for part in ("backends", "node"):
        if {name: set(row) for name, row in before[part].items()} != {
            name: set(row) for name, row in after[part].items()
        }:
            return "changed"
        if any(after[part][name][key] < row[key] for name, row in before[part].items() for key in row):
            return "went_back"
    return ""


def felt(hosts: Sequence[str], before: Mapping[str, Reading], after: Mapping[str, Reading]) -> Optional[Dict[str, Any]]:
    """The differences, summed over all balancers that can be counted; the others are told as gaps.

    None if no balancer gave a reading at the beginning: then nobody counts for this layer.
    """
    if not before:
        return None
    counted: List[str] = []
    gaps: List[Dict[str, str]] = []
    reached = max((after[host]["phase"] for host in hosts if host in after), key=_order, default=PHASES[0])
    for host in hosts:
        why = why_not(before.get(host), after.get(host))
        if why:
            gaps.append({"balancer": host, "reason": why})
            continue
        counted.append(host)
        if after[host]["phase"] != reached:
            gaps.append({"balancer": host, "reason": "ended", "phase": after[host]["phase"]})
    pairs = [(before[host], after[host]) for host in counted]
    backends = _sum_by_name("backends", pairs)
    node = _sum_by_name("node", pairs)
    return {
        "balancers": counted,
        "begin": min((first["at"] for first, _last in pairs), default=None),
        "end": max((last["at"] for _first, last in pairs), default=None),
        "phases": [PHASES[0], reached],
        "tcp": any(first["tcp"] for first, _last in pairs),
        "total": _sum(backends.values()),
        "backends": [{"backend": name, "counters": backends[name]} for name in sorted(backends)],
        "node": _sum(node.values()),
        "gaps": gaps,
    }


def _order(phase: str) -> int:
    return PHASES.index(phase) if phase in PHASES else -1


def _sum_by_name(part: str, pairs: Iterable[Tuple[Reading, Reading]]) -> Dict[str, Counts]:
    found: Dict[str, List[Counts]] = {}
    for first, last in pairs:
        for name, row in first[part].items():
            found.setdefault(name, []).append({key: last[part][name][key] - row[key] for key in row})
    return {name: _sum(rows) or {} for name, rows in found.items()}


def _sum(rows: Iterable[Counts]) -> Optional[Counts]:
    """The sum of each counter over the rows that have it; None without any row."""
    listed = list(rows)
    names = [name for name in COUNTERS if any(name in row for row in listed)]
    return {name: sum(row.get(name, 0) for row in listed) for name in names} if listed else None


def begin(state: State, answers: Results, balancers: Iterable[str], now: float) -> None:
    """The readings that the plan was made on, of the balancers that serve the layer, or of a pair that is one."""
    hosts = list(dict.fromkeys(balancers))
    state["counted"] = {"hosts": hosts, "before": {}, "after": {}}
    for host in hosts:
        found = _reading_of(state, answers.get(host), now)
        if found is not None:
            state["counted"]["before"][host] = found


def note(state: State, seen: Mapping[str, Results], now: float) -> None:
    """Keep the newest reading of each balancer that came with the answers of this step."""
    counted = state["counted"]
    for results in seen.values():
        for host in counted["hosts"]:
            found = _reading_of(state, results.get(host), now)
            if found is not None:
                counted["after"][host] = found


def told(state: State) -> Optional[Dict[str, Any]]:
    """What clients felt up to now. Behind a Service of Kubernetes nobody counts, and that is said, not left open.

    There what Nagios' own looks saw is told as ``looks``, at the end of the heal.
    """
    counted = state["counted"]
    if state["kind"] in ("workload", "machine"):
        return {**NOBODY, "gaps": [{"balancer": "kubernetes", "reason": "no_counters"}], "looks": state["looks"]}
    return felt(counted["hosts"], counted["before"], counted["after"])


def _reading_of(state: State, result: Any, now: float) -> Optional[Reading]:
    """Out of the answer of an info module, of ``lb_member``, or of a watch, which has its last answer inside."""
    result = result if isinstance(result, Mapping) else {}
    inside = result.get("answer")
    balancer = result.get("balancer") or (inside.get("balancer") if isinstance(inside, Mapping) else None)
    if not isinstance(balancer, Mapping):
        return None
    member = (state["address"], state["port"]) if state["kind"] == "pool" else None
    return reading(balancer, member, state["phase"], at_of(balancer, state["phase_started"], now))


def label(name: str, count: int, tcp: bool) -> str:
    """The words for one counter."""
    one, many = SESSIONS if tcp and name == "stot" else LABELS[name]
    return one if count == 1 else many


def amounts(counters: Mapping[str, Any], tcp: bool) -> str:
    """Counters in one line: what is always of interest, and else what is not 0."""
    return ", ".join(
        f"{counters[name]:,} {label(name, counters[name], tcp)}"
        for name in LABELS
        if _whole(counters.get(name)) and (name in ALWAYS or counters[name])
    )


def gap_words(gap: Mapping[str, Any]) -> str:
    """Which balancer is not counted, or not to the end, and why."""
    if gap.get("reason") == "ended":
        return "{} is counted only until {}".format(gap.get("balancer"), gap.get("phase"))
    return "{} is not counted: {}".format(gap.get("balancer"), WHY.get(str(gap.get("reason")), gap.get("reason")))


def words(what: Any, node: str) -> List[str]:
    """What clients felt, for a person; the first line says it, and the others what to know about it."""
    if not isinstance(what, Mapping):
        return []  # a heal of an earlier version, or one that no balancer counts for
    gaps = [gap_words(gap) for gap in rows_of(what.get("gaps"))]
    total, own, tcp = what.get("total"), what.get("node"), bool(what.get("tcp"))
    head = "clients, by the balancers' counters: "
    if not isinstance(total, Mapping):
        return [head + "unknown", *gaps, *_felt_looks.words(what.get("looks"), node)]
    lines = [head + amounts(total, tcp) + _window(what)]
    backends = rows_of(what.get("backends"))
    if len(backends) > 1:
        lines += [
            "of these in {}: {}".format(row.get("backend"), amounts(row["counters"], tcp))
            for row in backends
            if isinstance(row.get("counters"), Mapping)
        ]
    if isinstance(own, Mapping) and own:
        lines.append(f"of these at {node}: {amounts(own, tcp)}")
    return lines + gaps


def _window(what: Mapping[str, Any]) -> str:
    phases, begin, end = what.get("phases"), what.get("begin"), what.get("end")
    if not isinstance(phases, (list, tuple)) or len(phases) != 2:
        return ""
    lasts = f", {end - begin:.1f} s" if isinstance(begin, (int, float)) and isinstance(end, (int, float)) else ""
    return " (from {} to {}{})".format(*phases, lasts)
