# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Carrying out what dispatching decided. The journal first: what dies in between is found again and finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from selfheal_cluster.healer import told
from selfheal_cluster.healer.config import Config
from selfheal_cluster.healer.log import Troubles
from selfheal_cluster.healer.ports import Prepared
from selfheal_cluster.healer.ready import Cold
from selfheal_cluster.healer.results import outcome_of, read_result
from selfheal_cluster.healer.units import run_name

NOT_STARTED = "not_started"
GONE = ("inactive", "failed")
STARTS_SECONDS = 20.0  # of one tick: the watchdog must not bark because systemd is slow
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 300.0
Act = Mapping[str, Any]
World = Mapping[str, Any]


class Acts:
    """One method per act; what they remember is only what was said already."""

    def __init__(
        self, config: Config, books: Any, runs: Any, troubles: Troubles, say: Callable[[str], None],
        ready: Prepared | None = None,
    ) -> None:  # fmt: skip
        self._config = config
        self._books = books
        self._runs = runs
        self._ready: Prepared = ready or Cold()
        self._troubles = troubles
        self._say = say
        self._waiting: dict[str, str] = {}
        self.begun_at = float("-inf")  # the newest run
        self._start_at = float("-inf")
        self._spent = 0.0
        self._pause = FIRST_PAUSE_SECONDS

    def carry_out(self, acts: Sequence[Act], world: World, now: float) -> None:
        """All acts in their order; one that cannot be done does not keep the others, a lost journal does."""
        failed, self._spent = "", 0.0
        for act in acts:
            name = str(act["act"])
            method: Callable[[Act, World, float], None] | None = getattr(self, f"do_{name}", None)
            if method is None:
                failed = f"dispatching said {name[:40]!r}, which this healer does not know"
                continue
            try:
                method(act, world, now)
            except SelfhealError as exc:
                if exc.reason == "no_journal":
                    raise
                failed = f"{name} of {act.get('incident') or act.get('node')}: {exc.message}"
            except OSError:
                raise
            except Exception as exc:  # a bug in one act must not keep the others from being done
                failed = f"bug in {name} of {act.get('incident') or act.get('node')}: {type(exc).__name__}: {exc}"
        if failed:
            self._troubles.begin("act", failed)
        else:
            self._troubles.end("act", "everything can be done again")
        self._forget(world)

    def do_open(self, act: Act, world: World, now: float) -> None:
        """An illness that was seen becomes an incident."""
        node, reasons = str(act["node"]), [str(reason) for reason in act.get("reasons") or ()]
        incident = self._books.open_incident(
            node, str(act.get("layer") or layer_of(world, node)), act.get("kind"), reasons, now
        )
        if act.get("alerts"):
            self._books.attach(act["alerts"], incident, "opened")
        self._say(f"incident {incident}: {node} is ill: {'; '.join(reasons[:3]) or 'no reason given'}")

    def do_settle_alerts(self, act: Act, world: World, now: float) -> None:
        """Alerts that need no incident of their own."""
        del world
        del now
        self._books.attach(act["ids"], act.get("incident"), act["outcome"], str(act.get("reason") or ""))
        self._say(f"alerts: {len(act['ids'])} settled as {act['outcome']} {act.get('reason') or ''}")

    def do_close(self, act: Act, world: World, now: float) -> None:
        """An incident that is over without a heal."""
        incident = str(act["incident"])
        if any(
            lease["incident"] == incident and str(lease["resource"]).startswith("node:") and now < lease["expires_at"]
            for lease in world.get("leases") or ()
        ):
            return  # it would not be closed now, and its downtime would be ended at every tick until then
        if any(attempt["incident"] == incident for attempt in world.get("attempts") or ()):
            # A heal that died may have left its downtime; ending one that is not there is harmless.
            self._post(f"downtime:{incident}", told.end_of_downtime(incident), now)
        if self._books.close_incident(act["incident"], act["outcome"], now):
            self._say(f"incident {act['incident']}: closed, {act['outcome']}")

    def do_ended(self, act: Act, world: World, now: float) -> None:
        """A run whose unit is gone: what it left behind says how it ended."""
        incident, number = str(act["incident"]), int(act["number"])
        result = read_result(self._config.runs, incident, number)
        outcome = outcome_of(result) or str(act.get("outcome") or "gone")
        node = str(act.get("node") or "") or node_of(world, incident) or str(result.get("node") or "")
        # Posted before the run is closed: dying in between posts the same key again.
        self._post(f"outcome:{incident}:{number}", told.comment(node, incident, number, outcome, result), now)
        self._books.end_run(incident, number, outcome, now)
        self._say(f"incident {incident}: run {number} of {node or 'an unknown node'} ended: {outcome}")

    def do_withdraw(self, act: Act, world: World, now: float) -> None:
        """A person's approval was said too long ago."""
        del world, now
        if self._books.withdraw(str(act["incident"])):
            self._say(f"incident {act['incident']}: the approval has lapsed; heal of {act['node']} needs a new one")

    def do_start(self, act: Act, world: World, now: float) -> None:
        """A run: its number is in the journal before systemd hears of it."""
        del world
        if now < self._start_at or self._spent > STARTS_SECONDS:
            return
        incident, reason = str(act["incident"]), str(act.get("reason") or "ill")
        waits = self._ready.unit(now)
        if waits:
            number = self._books.begin_run(incident, waits, now, reason)
            if self._ready.give(run_name(incident, number)):
                self._begun(act, number, waits, now)
                return
            self._books.end_run(incident, number, NOT_STARTED, now)  # it did not hear it: nothing was begun
        number = self._books.begin_run(incident, self._config.heal_unit, now, reason)
        unit = self._runs.name(incident, number)
        begun = time.monotonic()
        try:
            self._runs.start(unit)
            self._spent += time.monotonic() - begun
        except SelfhealError as exc:
            self._start_at = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            self._troubles.begin("start", exc.message)
            if not self._surely_not_there(unit):
                # It may have come up although nobody said so. The run stays, and the listing says what became of it.
                self._say(f"incident {incident}: run {number}: nobody knows whether {unit} was started")
                return
            self._books.end_run(incident, number, NOT_STARTED, now)
            return
        self._begun(act, number, unit, now)

    def _begun(self, act: Act, number: int, unit: str, now: float) -> None:
        incident, self.begun_at = str(act["incident"]), now
        self._pause = FIRST_PAUSE_SECONDS
        self._troubles.end("start", "runs are started again")
        self._waiting.pop(incident, None)
        self._say(f"incident {incident}: run {number} of {act['node']} started as {unit}")

    def _surely_not_there(self, unit: str) -> bool:
        try:
            return self._runs.listed().get(unit, "inactive") in GONE
        except SelfhealError:
            return False

    def do_human(self, act: Act, world: World, now: float) -> None:
        """A human is needed; their contacts hear it from Nagios."""
        del world
        incident, node, text = str(act["incident"]), str(act["node"]), str(act["text"])
        reason = str(act.get("reason") or "human")
        # Posted before it is remembered: dying in between posts the same key again, and it is still undelivered.
        self._post(f"human:{incident}:{reason}", told.human_comment(node, incident, text), now)
        if self._books.call(incident, reason, text, now):
            self._say(f"incident {incident}: {node} needs a human: {text}")

    def do_wait(self, act: Act, world: World, now: float) -> None:
        """Nothing to do yet; said once per reason, and kept with the alerts that wait for it."""
        del now
        if world.get("unread"):
            return  # a healer that has only just begun knows no reason yet
        if act.get("alerts") and act.get("text"):
            self._books.explain(act["alerts"], clean(str(act["text"]), 300))
        key, reason = str(act.get("incident") or act["node"]), str(act["reason"])
        if self._waiting.get(key) != reason:
            self._waiting[key] = reason
            what = f"incident {key}" if act.get("incident") else f"alerts ({len(act.get('alerts') or ())})"
            self._say(f"{what}: {act['node']} waits: {clean(reason, 300)}")

    def _post(self, key: str, line: str | None, now: float) -> None:
        if line is not None:
            self._books.post(key, line, now)

    def clock_went_back(self) -> None:
        """A pause that would end in a future that is not near any more."""
        self._start_at = self.begun_at = float("-inf")

    def _forget(self, world: World) -> None:
        """What was said about incidents that are closed now."""
        known = {str(row["id"]) for row in world.get("incidents") or ()} | set(all_nodes(world))
        self._waiting = {key: reason for key, reason in self._waiting.items() if key in known}


def all_nodes(world: World) -> list[str]:
    """Every node of every layer."""
    return sorted(node for policy in (world.get("policies") or {}).values() for node in policy["nodes"])


def layer_of(world: World, node: str) -> str:
    """The layer of a node."""
    return next((layer for layer, policy in world["policies"].items() if node in policy["nodes"]), "")


def node_of(world: World, incident: str) -> str:
    """The node of an open incident."""
    return next((str(row["node"]) for row in world.get("incidents") or () if row["id"] == incident), "")
