# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A simulated farm for the healer: a fake Nagios, a fake systemd whose units heal, and a fake pipe.

Spool and journal are the real ones. Nothing here waits: time is a number that the test moves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._dispatch import dispatch
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import initialise
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import NagiosClient
from selfheal_cluster.healer.books import Books
from selfheal_cluster.healer.config import Config
from selfheal_cluster.healer.deliver import Deliverer
from selfheal_cluster.healer.loop import Healer
from selfheal_cluster.healer.reading import Reading, written_at
from selfheal_cluster.healer.spool import Spool
from selfheal_cluster.healer.units import Units, parse_name
from tests.unit.nagios.answers import SERVICE, Opener, answer

START = 1_795_560_000.0
REFUSAL_SECONDS = 1.0
HEAL_SECONDS = 6.0
CHECK_SECONDS = 2.0
PIPE_BYTES = 65536  # what the kernel keeps of a pipe that nobody empties
Trip = Callable[[str, Callable[[], Any]], Any]


def no_trip(_name: str, call: Callable[[], Any]) -> Any:
    return call()


class FakeFarm:
    """Everything outside the healer's process; it lives on when a healer dies."""

    def __init__(self, folder: Path, layers: int = 1, nodes: int = 3) -> None:
        self.folder = folder
        self.now = START
        self.policies: dict[str, dict[str, Any]] = {
            f"layer{place}": {
                "layer": f"layer{place}", "nodes": [f"n{place}-{each}" for each in range(nodes)], "kind": "pool",
                "mode": "act", "gauges": None, "limits": {"reading_age_seconds": 60, "max_unavailable": 1},
            }
            for place in range(layers)
        }  # fmt: skip
        self.ill_since: dict[str, float] = {}
        self.well_since: dict[str, float] = {}
        self.fresh = True
        self.silent = ""
        self.silent_at = 0.0
        self.frozen: dict[str, dict[str, Any]] = {}
        self.interval = 1.0
        self.unread = 0
        self.outcome = "healed"
        self.units: dict[str, float] = {}
        self.prepared = False  # whether a prepared run always waits
        self.given: dict[str, str] = {}
        self.started: list[str] = []
        self.refused: list[str] = []  # runs whose plan found nothing to heal, or Nagios not to be believed
        self.refuse_start = ""
        self.commands: list[str] = []
        self.offered: list[str] = []
        self.pipe_broken = False
        self.events = 0
        for name in ("spool", "runs"):
            (folder / name).mkdir()
        self.config = Config(
            nagios={"url": "http://127.0.0.1/"}, inventory=str(folder / "inventory"), spool=str(folder / "spool"),
            runs=str(folder / "runs"), journal=str(folder / "journal.db"), command_file=str(folder / "nagios.cmd"),
            heartbeat_seconds=30.0,
        )  # fmt: skip
        Journal.create(self.config.journal, START)
        with Journal(self.config.journal) as journal:
            initialise(journal, {}, START)
        books = Books(self.config.journal)
        books.keep_policies(self.policies, START)
        books.close()

    # -- what tests do ---------------------------------------------------------------------------

    def healer(self, said: list[str] | None = None, trip: Trip = no_trip) -> Healer:
        """A healer over this farm. ``trip`` stands in every call that leaves the process."""
        books = Tripped(Books(self.config.journal), "books", trip)
        lines = [] if said is None else said
        return Healer(
            self.config, Tripped(Spool(self.config.spool), "spool", trip), books,
            Tripped(FakeReader(self), "reader", trip), FakePolicies(), Tripped(FakeUnits(self), "units", trip),
            Deliverer("pipe", books, lambda pipe, sent: trip("pipe.write", lambda: self.write(pipe, sent))),
            dispatch, lines.append, Tripped(FakePrepared(self), "prepared", trip) if self.prepared else None,
        )  # fmt: skip

    def fall_ill(self, node: str, alert: bool = True) -> None:
        self.ill_since.setdefault(node, self.now)
        if alert:
            self.drop(node)

    def fall_silent(self, how: str) -> None:
        """Nagios is ``stopped`` cleanly, ``killed``, or hangs so that its data grow ``stale``."""
        self.silent, self.silent_at, self.unread = how, self.now, 0
        self.frozen = self.verdicts(self.now)  # its last check shows all that is ill by now

    def speak_again(self) -> None:
        """Nagios runs again; one that only hung reads now what its pipe has kept."""
        self.silent = ""

    def drop(self, node: str, service: str | None = "memory", **more: Any) -> str:
        """An event file, as Nagios' handler leaves it."""
        self.events += 1
        name = f"{int(self.now * 1e9) + self.events:020d}-1.event"
        event = {
            "v": 1, "at": self.now, "host": node, "service": service, "state": "CRITICAL", "type": "HARD",
            "attempt": 3, "event_id": self.events, **more,
        }  # fmt: skip
        (self.folder / "spool" / name).write_text(json.dumps(event) + "\n")
        return name

    def run(self, healer: Healer, seconds: float, step: float = 1.0) -> None:
        """Move the time on, tick by tick."""
        end = self.now + seconds
        while self.now < end:
            self.advance()
            healer.tick(self.now)
            self.now += step

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        with Journal(self.config.journal) as journal:
            return journal.rows(sql, *values)

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "spool").glob("*.event"))

    def told(self, word: str) -> list[str]:
        return [line for line in self.commands if word in line]

    # -- the world -------------------------------------------------------------------------------

    def advance(self) -> None:
        """Heals whose time has come end, as real ones do: the outcome in the journal, the result on disk."""
        for unit, started in list(self.units.items()):
            if unit in self.refused and self.now - started >= REFUSAL_SECONDS:
                del self.units[unit]
            elif self.now - started >= HEAL_SECONDS:
                del self.units[unit]
                self._end(*parse_name(self.run_of(unit)), started)

    def run_of(self, unit: str) -> str:
        """The run that a unit does: by its name, or by what a prepared one was given."""
        return self.given.get(unit) or unit.partition("@")[2].removesuffix(".service")

    def plan(self, unit: str) -> bool:
        """What a run's plan says on live truth; a refusal is a decision in the journal, as a real one."""
        incident, _number = parse_name(self.run_of(unit))
        with Journal(self.config.journal) as journal:
            row = journal.rows("SELECT node, layer FROM incidents WHERE id = ?", incident)[0]
            reason = "" if row["node"] in self.ill_since else "not_ill"
            reason = reason if self.fresh and self.freshness()["fresh"] else "nagios_stale"
            if reason:
                journal.db.execute(
                    "INSERT INTO decisions (at, node, layer, incident, admitted, reasons, summary, hash, body)"
                    " VALUES (?, ?, ?, ?, 0, ?, '', '', '{}')",
                    (self.now, row["node"], row["layer"], incident, json.dumps([reason])),
                )
        return not reason

    def _end(self, incident: str, number: int, started: float) -> None:
        with Journal(self.config.journal) as journal:
            row = journal.rows("SELECT node, layer FROM incidents WHERE id = ?", incident)[0]
            journal.db.execute(
                "INSERT INTO attempts (incident, attempt, node, layer, epoch, at, ended_at, outcome, phase, phase_at,"
                " rung, reason, owner, decision) VALUES (?, ?, ?, ?, 1, ?, ?, ?, 'soak', ?, 'service', '', '{}', 0)",
                (incident, number, row["node"], row["layer"], started, self.now, self.outcome, self.now),
            )
            if self.outcome == "healed":
                journal.db.execute(
                    "UPDATE incidents SET state = 'closed', closed_at = ?, outcome = 'healed' WHERE id = ?",
                    (self.now, incident),
                )
        if self.outcome == "healed":
            self.ill_since.pop(row["node"], None)
            self.well_since[row["node"]] = self.now
        folder = Path(self.config.runs) / f"{incident}-{number}"
        folder.mkdir()
        result = {"outcome": self.outcome, "status": self.outcome, "node": row["node"], "started_at": started,
                  "traffic_safe_at": started + 1.5}  # fmt: skip
        (folder / "result.json").write_text(json.dumps(result))

    def verdicts(self, checked_at: float | None = None) -> dict[str, dict[str, Any]]:
        found = {}
        at = self.now - self.now % CHECK_SECONDS if checked_at is None else checked_at
        for policy in self.policies.values():
            for node in policy["nodes"]:
                faulty = node in self.ill_since and self.ill_since[node] <= at
                verdict = "faulty" if faulty else "ok"
                reading = {"gauge": "memory", "service": "memory", "label": "used", "value": 99.0 if faulty else 1.0,
                           "at": at, "verdict": verdict}  # fmt: skip
                found[node] = {
                    "node": node, "verdict": verdict, "kind": "resource" if faulty else None, "layer_load": False,
                    "reasons": ["memory: 99 %"] if faulty else [], "readings": [reading],
                }  # fmt: skip
        return found

    def freshness(self) -> dict[str, Any]:
        """What the real client says of the answer that this Nagios gives now."""
        at = self.silent_at if self.silent else self.now
        age = self.now - at // self.interval * self.interval  # whole intervals: so often it writes its data
        body = answer(
            "servicelist", {"n": {"memory": SERVICE}}, int(age * 1000), at_ms=int(self.now * 1000)
        )  # fmt: skip
        given = b"\n" if self.silent == "stopped" else body
        nagios = NagiosClient(
            "http://127.0.0.1/", opener=Opener([given]), status_update_interval=self.interval, sleep=lambda _s: None
        )
        return nagios.services().freshness

    def write(self, _pipe: str, lines: Iterable[str]) -> None:
        lines = list(lines)
        self.offered += lines
        if self.pipe_broken or self.silent in ("stopped", "killed"):
            raise SelfhealError("not_running", "Nagios does not read pipe: it is not running.")
        if self.silent:
            self.unread += sum(len(line.encode()) for line in lines)
            if self.unread > PIPE_BYTES:
                raise SelfhealError("not_running", "Nagios does not empty pipe: it hangs.")
        self.commands += lines


class FakeReader:
    """Reads the simulated Nagios; the answer is there one tick later."""

    def __init__(self, farm: FakeFarm) -> None:
        self.farm = farm
        self.running = False
        self.cost = 0.02
        self.begun = 0

    def begin(self, policies: Mapping[str, Any], since: Mapping[str, float], now: float) -> None:
        self.running = True
        self.begun += 1

    def ready(self) -> bool:
        return self.running

    def collect(self) -> Reading | None:
        self.running = False
        if not self.farm.fresh:
            return Reading(self.farm.now, self.cost, {}, False, "not_running", "Nagios is not running.")
        seen = self.farm.freshness()
        if not seen["fresh"]:
            return Reading(self.farm.now, self.cost, {}, False, seen["reason"], seen["message"], written_at(seen))
        verdicts = self.farm.frozen if self.farm.silent else self.farm.verdicts()
        return Reading(
            self.farm.now, self.cost, verdicts, True, "ok", "", written_at(seen), writes_every=self.farm.interval
        )  # fmt: skip

    def stop(self) -> None:
        self.running = False


class FakePolicies:
    """An inventory that never changes."""

    running = False

    def changed(self) -> bool:
        return False

    def begin(self) -> None:
        raise AssertionError("nothing has changed")

    def collect(self) -> Mapping[str, Any] | None:
        return None

    def stop(self) -> None:
        return


class FakeUnits:
    """systemd that collects a unit as soon as it has ended."""

    def __init__(self, farm: FakeFarm) -> None:
        self.farm = farm

    def name(self, incident: str, number: int) -> str:
        return Units(self.farm.config.heal_unit).name(incident, number)

    def start(self, unit: str) -> None:
        if self.farm.refuse_start:
            raise SelfhealError("no_systemd", self.farm.refuse_start)
        assert unit not in self.farm.units
        self.farm.units[unit] = self.farm.now
        (self.farm.started if self.farm.plan(unit) else self.farm.refused).append(unit)

    def listed(self) -> dict[str, str]:
        return dict.fromkeys(self.farm.units, "active")


class FakePrepared:
    """A prepared run that is there whenever it is wanted; one that was given nothing ends with its healer."""

    def __init__(self, farm: FakeFarm) -> None:
        self.farm = farm

    def step(self, now: float, wanted: bool) -> None:
        """There is one already."""

    def unit(self, now: float) -> str:
        return f"selfheal-heal@ready-{len(self.farm.given):08x}-1.service"

    def suspect(self, node: str, now: float) -> None:
        """It opens nothing."""

    def give(self, name: str) -> bool:
        unit = self.unit(self.farm.now)
        self.farm.given[unit] = name
        self.farm.units[unit] = self.farm.now
        (self.farm.started if self.farm.plan(unit) else self.farm.refused).append(unit)
        return True

    def close(self) -> None:
        """It ends by itself."""


class Tripped:
    """Stands in every method call of an object."""

    def __init__(self, inner: Any, name: str, trip: Trip) -> None:
        self._inner = inner
        self._name = name
        self._trip = trip

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found) or name in ("close", "stop", "name", "ready"):
            return found
        return lambda *args, **named: self._trip(f"{self._name}.{name}", lambda: found(*args, **named))
