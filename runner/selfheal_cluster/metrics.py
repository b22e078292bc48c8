# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Metrics for Prometheus out of the journal: ``python -m selfheal_cluster.metrics --journal F --out FILE.prom``.

A process of its own, for the textfile collector of the node exporter; docs/metrics.md explains each metric. It only
reads, takes no lock that a heal could wait for, and works with a journal of any schema: a table that is not there is
a metric that is not there. ``FILE.prom.state`` keeps what was counted before the journal threw it away.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import APPLICATION
from selfheal_cluster.metrics_journal import State, families

BUSY_SECONDS = 5.0


class Kept(State):
    """The state in a file of its own, beside the metrics."""

    def __init__(self, path: Path, journal: str) -> None:
        super().__init__()
        self.path = path
        self.journal = journal  # another journal begins to count anew
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["journal"] == journal:
                last = {str(key): float(value) for key, value in kept["last"].items()}
                totals = {
                    str(name): {str(label): float(value) for label, value in counted.items()}
                    for name, counted in kept["totals"].items()
                }
                self.last, self.totals = last, totals
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return  # none yet, or not ours: what the journal still has is counted

    def save(self) -> None:
        """Whole or not at all."""
        aside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        content = {"journal": self.journal, "last": self.last, "totals": self.totals}
        aside.write_text(json.dumps(content), encoding="utf-8")
        aside.replace(self.path)


def connect(path: str) -> sqlite3.Connection:
    """The journal, read only and of any schema; raises sqlite3.Error or OSError."""
    owner = Path(path).stat().st_uid
    # One owner: a second user of a WAL database leaves files behind that the first cannot write.
    if owner != os.geteuid():
        raise OSError(f"it belongs to user id {owner}, this process is {os.geteuid()}: become the owner")
    connection = sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
        connection.close()
        raise OSError("it is no journal of selfheal.cluster")
    return connection


class Fixed(Collector):
    """Families that were collected already, and whether the journal could be read at all."""

    def __init__(self, found: list[Metric], up: int) -> None:
        self.found = found
        self.up = up

    def collect(self) -> Iterator[Metric]:
        """As they are."""
        yield from self.found
        yield GaugeMetricFamily("selfheal_journal_up", "1 if the journal could be read.", value=self.up)


def write(journal: str, out: Path, now: float) -> str:
    """Write the file, atomically; says why the journal could not be read, or nothing. Raises OSError for the file."""
    error, found, state = "", [], None
    try:
        connection = connect(journal)
        try:
            connection.execute("BEGIN")  # one look: all metrics are of the same moment
            made = connection.execute("SELECT value FROM meta WHERE name = 'created_at'").fetchone()
            state = Kept(out.with_name(out.name + ".state"), str(made[0]) if made else "")
            found = families(connection, state, now)
        finally:
            connection.close()
    except (OSError, sqlite3.Error) as exc:
        error = f"journal {clean(journal)} cannot be read: {clean(getattr(exc, 'strerror', None) or exc)}"
        found, state = [], None
    # The state first: what is interrupted between the two is counted late, and never twice.
    if state is not None:
        state.save()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Fixed(found, 0 if error else 1))
    write_to_textfile(str(out), registry)
    return error


def main(argv: Sequence[str] | None = None) -> int:
    """One file; 0, or 1 with one line that says why not. A journal that cannot be read is in the file as well."""
    parser = argparse.ArgumentParser(prog="python -m selfheal_cluster.metrics", description="Metrics of the journal.")
    parser.add_argument("--journal", default="/var/lib/selfheal/journal.db", help="path of the journal")
    parser.add_argument("--out", required=True, type=Path, help="the file, FILE.prom, for the textfile collector")
    asked = parser.parse_args(argv)
    try:
        error = write(asked.journal, asked.out, time.time())
    except OSError as exc:
        error = f"{clean(asked.out)} cannot be written: {exc.strerror or exc}"
    if error:
        print(f"selfheal metrics: {error}", file=sys.stderr)
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main())
