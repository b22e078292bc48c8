# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The metrics that a journal gives, family by family. Reads only."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_reasons import REASONS
from ansible_collections.selfheal.cluster.plugins.module_utils._sequences import PHASES

# Seconds; deadlines of phases are between 5 s and some minutes.
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
NAMED_PHASES = (*PHASES, "undo")
# After these a node is out of traffic until somebody comes.
HELD_AFTER = ("left_out", "failed", "ambiguous", "interrupted")
GOOD = "('ok', 'suspect', 'faulty')"


class State:
    """What was counted before: the journal has quotas, and a counter must never go down."""

    def __init__(self) -> None:
        self.last: dict[str, float] = {}
        self.totals: dict[str, dict[str, float]] = {}

    def add(self, name: str, label: str, count: float) -> None:
        """Count on."""
        counted = self.totals.setdefault(name, {})
        counted[label] = counted.get(label, 0.0) + count


def outcome(word: Any) -> str:
    """An outcome as a label: one word, never a person's name."""
    return str(word or "none").split(" ", 1)[0]


class Journal:
    """The metrics of one look at the journal. ``now``: seconds since the epoch."""

    def __init__(self, connection: sqlite3.Connection, state: State, now: float) -> None:
        self.db = connection
        self.state = state
        self.now = now
        self.tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def families(self) -> Iterator[Metric]:
        """All families for which the journal has a table."""
        parts = (
            ("meta", self.journal), ("flags", self.words), ("incidents", self.incidents), ("attempts", self.heals),
            ("attempts", self.phases), ("leases", self.leases), ("decisions", self.decisions),
            ("readings", self.readings), ("alerts", self.alerts), ("outbox", self.outbox), ("runs", self.runs),
        )  # fmt: skip
        for table, part in parts:
            if table in self.tables:
                yield from part()

    def counts(self, sql: str, *values: Any) -> list[tuple[list[str], float]]:
        """Rows of labels with a count behind them."""
        return [([clean(item) for item in row[:-1]], float(row[-1])) for row in self.db.execute(sql, values)]

    def one(self, sql: str, *values: Any) -> Any:
        return self.db.execute(sql, values).fetchone()[0]

    def journal(self) -> Iterator[Metric]:
        schema = self.one("PRAGMA user_version")
        yield GaugeMetricFamily("selfheal_journal_schema", "Schema of the journal.", value=schema)
        ready = self.one("SELECT count(*) FROM meta WHERE name = 'initialised_at'")
        yield GaugeMetricFamily("selfheal_journal_initialised", "1 if a person let this journal act.", value=ready)

    def words(self) -> Iterator[Metric]:
        paused = self.one("SELECT count(*) FROM flags WHERE name = 'paused'")
        yield GaugeMetricFamily("selfheal_paused", "1 if a person has paused all heals.", value=paused)
        taken = self.one("SELECT count(*) FROM flags WHERE name LIKE 'taken:%'")
        yield GaugeMetricFamily("selfheal_incidents_taken", "Incidents that a person has taken over.", value=taken)

    def incidents(self) -> Iterator[Metric]:
        still = GaugeMetricFamily(
            "selfheal_incidents_open", "Open incidents by layer and outcome of the last heal.",
            labels=["layer", "outcome"],
        )  # fmt: skip
        closed = CounterMetricFamily(
            "selfheal_incidents_closed",
            "Incidents that were closed, by layer and outcome.",
            labels=["layer", "outcome"],
        )
        sql = "SELECT layer, outcome, count(*) FROM incidents WHERE state = ? GROUP BY layer, outcome"
        for family, state in ((still, "open"), (closed, "closed")):
            self.fill(family, self.db.execute(sql, (state,)))
            yield family

    def heals(self) -> Iterator[Metric]:
        ended = CounterMetricFamily(
            "selfheal_heals", "Heals that ended, by layer and verified outcome.", labels=["layer", "outcome"]
        )
        self.fill(ended, self.db.execute(
            "SELECT layer, outcome, count(*) FROM attempts WHERE outcome IS NOT NULL GROUP BY layer, outcome"
        ))  # fmt: skip
        yield ended
        running = self.one("SELECT count(*) FROM attempts WHERE outcome IS NULL")
        yield GaugeMetricFamily("selfheal_heals_running", "Heals without an end in the journal.", value=running)
        held = GaugeMetricFamily(
            "selfheal_holds", "Nodes that are held out of traffic, as far as the journal knows.", labels=["layer"]
        )
        marks = ", ".join("?" * len(HELD_AFTER))
        sql = (
            "SELECT a.layer, count(DISTINCT a.node) FROM attempts a JOIN incidents i ON i.id = a.incident"  # noqa: S608  # question marks only
            " WHERE i.state = 'open' AND a.attempt = (SELECT max(attempt) FROM attempts WHERE incident = a.incident)"
            f" AND ((a.outcome IS NULL AND a.phase != 'confirm') OR a.outcome IN ({marks})) GROUP BY a.layer"
        )
        for labels, count in self.counts(sql, *HELD_AFTER):
            held.add_metric(labels, count)
        yield held

    def fill(self, family: CounterMetricFamily | GaugeMetricFamily, rows: Iterator[Any]) -> None:
        """Layer and outcome, where several outcomes may become one word."""
        found: dict[tuple[str, str], float] = {}
        for layer, word, count in rows:
            key = (clean(layer), clean(outcome(word)))
            found[key] = found.get(key, 0.0) + count
        for labels, count in sorted(found.items()):
            family.add_metric(list(labels), count)

    def phases(self) -> Iterator[Metric]:
        """How long each phase of the heals that ended took: as the heal told it."""
        seen: dict[str, list[float]] = {name: [0.0] * (len(BUCKETS) + 2) for name in NAMED_PHASES}
        for (detail,) in self.db.execute(
            "SELECT detail FROM attempts WHERE outcome IS NOT NULL AND detail IS NOT NULL"
        ):
            for name, seconds in lengths(detail):
                row = seen[name]
                row[-1] += seconds
                row[next((place for place, limit in enumerate(BUCKETS) if seconds <= limit), len(BUCKETS))] += 1
        family = HistogramMetricFamily(
            "selfheal_phase_duration_seconds", "How long the phases of ended heals took.", labels=["phase"]
        )
        for name, row in seen.items():
            total, buckets = 0.0, []
            for limit, count in zip([*map(str, BUCKETS), "+Inf"], row, strict=False):
                total += count
                buckets.append((limit, total))
            family.add_metric([name], buckets, row[-1])
        yield family

    def leases(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "selfheal_leases", "Leases by kind of resource, and whether they still run.", labels=["kind", "state"]
        )
        sql = (
            "SELECT substr(resource, 1, instr(resource || ':', ':') - 1),"
            " CASE WHEN expires_at > ? THEN 'live' ELSE 'expired' END, count(*) FROM leases GROUP BY 1, 2"
        )
        for labels, count in self.counts(sql, self.now):
            family.add_metric(labels, count)
        yield family

    def decisions(self) -> Iterator[Metric]:
        """Decisions and refusals; the journal keeps them for a time only, so they are counted as they come."""
        last = int(self.state.last.get("decision", 0))
        for number, admitted, reasons in self.db.execute(
            "SELECT id, admitted, reasons FROM decisions WHERE id > ? ORDER BY id", (last,)
        ):
            self.state.add("decisions", "yes" if admitted else "no", 1)
            for reason in [] if admitted else strings(reasons):
                self.state.add("refusals", reason if reason in REASONS else "other", 1)
            self.state.last["decision"] = number
        family = CounterMetricFamily("selfheal_decisions", "Decisions by whether they admitted.", labels=["admitted"])
        for label in ("yes", "no"):
            family.add_metric([label], self.state.totals.get("decisions", {}).get(label, 0.0))
        yield family
        refused = CounterMetricFamily(
            "selfheal_refusals", "Refused heals by reason; one refusal may have several.", labels=["reason"]
        )
        for label, count in sorted(self.state.totals.get("refusals", {}).items()):
            refused.add_metric([label], count)
        yield refused

    def readings(self) -> Iterator[Metric]:
        stamps = GaugeMetricFamily(
            "selfheal_last_good_reading_timestamp_seconds", "When a node was last read with a known verdict.",
            labels=["node"],
        )  # fmt: skip
        newest = None
        for (node,) in self.db.execute("SELECT DISTINCT node FROM readings ORDER BY node").fetchall():
            found = self.db.execute(
                "SELECT at FROM readings WHERE node = ? AND json_valid(body)"  # noqa: S608  # a constant
                f" AND json_extract(body, '$.verdict') IN {GOOD} ORDER BY id DESC LIMIT 1", (node,),
            ).fetchone()  # fmt: skip
            if found:
                stamps.add_metric([clean(node)], found[0])
                newest = max(found[0], newest or found[0])
        yield stamps
        if newest is not None:
            yield GaugeMetricFamily(
                "selfheal_last_good_reading_age_seconds",
                "Age of the newest good reading of any node, when this was written.",
                value=max(0.0, self.now - newest),
            )

    def alerts(self) -> Iterator[Metric]:
        # What one tick took in has one time, and is there as a whole.
        last = self.state.last.get("alert", -1.0)
        count, newest = self.db.execute(
            "SELECT count(*), max(read_at) FROM alerts WHERE read_at > ?", (last,)
        ).fetchone()
        if count:
            self.state.add("alerts", "", count)
            self.state.last["alert"] = newest
        total = self.state.totals.get("alerts", {}).get("", 0.0)
        yield CounterMetricFamily("selfheal_alerts_taken_in", "Alerts that were taken in.", value=total)
        waiting = self.one("SELECT count(*) FROM alerts WHERE outcome = ''")
        yield GaugeMetricFamily("selfheal_alerts_waiting", "Alerts that wait for a newer reading.", value=waiting)

    def outbox(self) -> Iterator[Metric]:
        count, oldest = self.db.execute("SELECT count(*), min(at) FROM outbox WHERE delivered_at IS NULL").fetchone()
        yield GaugeMetricFamily("selfheal_outbox_waiting", "Lines that Nagios has not been given yet.", value=count)
        if oldest is not None:
            yield GaugeMetricFamily(
                "selfheal_outbox_oldest_timestamp_seconds", "When the oldest of them was written.", value=oldest
            )

    def runs(self) -> Iterator[Metric]:
        count = self.one("SELECT count(*) FROM runs WHERE ended_at IS NULL")
        yield GaugeMetricFamily("selfheal_runs_running", "Units that the healer started and that run.", value=count)


def strings(text: Any) -> list[str]:
    """A list of words out of JSON; nothing where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError):
        return []
    return [str(item) for item in found] if isinstance(found, list) else []


def lengths(detail: Any) -> Iterator[tuple[str, float]]:
    """Phases and their seconds out of what a heal told at its end."""
    try:
        phases = json.loads(detail).get("phases") or []
    except (ValueError, TypeError, AttributeError):
        return
    for phase in phases if isinstance(phases, list) else ():
        try:
            name, seconds = phase["name"], float(phase["ended"]) - float(phase["started"])
        except (KeyError, TypeError, ValueError):
            continue
        if name in NAMED_PHASES and 0 <= seconds < 1e9:
            yield name, seconds


def families(connection: sqlite3.Connection, state: State, now: float) -> list[Metric]:
    """Everything that this journal has at this moment."""
    return list(Journal(connection, state, now).families())
