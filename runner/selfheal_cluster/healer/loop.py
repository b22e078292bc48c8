# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The loop of the healer. One tick: take alerts in, read Nagios if it is due, dispatch, act, deliver, heartbeat.

What happens next is decided by ``_dispatch``; here it is carried out, in an order that loses nothing when the
process dies between any two lines: the journal first, then the world, then the forgetting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._heals import healed_since
from selfheal_cluster.healer import pace as pacing
from selfheal_cluster.healer import told
from selfheal_cluster.healer.acts import Acts
from selfheal_cluster.healer.config import Config
from selfheal_cluster.healer.deliver import Deliverer
from selfheal_cluster.healer.log import Troubles, where
from selfheal_cluster.healer.papers import Papers
from selfheal_cluster.healer.ports import Folder, Policies, Prepared, Reader, Runs
from selfheal_cluster.healer.reading import Reading
from selfheal_cluster.healer.ready import Cold, nearest
from selfheal_cluster.healer.silence import HEARD, Deaf, silence
from selfheal_cluster.healer.spool import Batch
from selfheal_cluster.healer.units import with_starting
from selfheal_cluster.healer.voice import Voice

POLICY_SECONDS = 30.0
UNITS_SECONDS = 5.0
ROUNDS = 3
CHANGING = ("open", "ended", "close")  # an incident that was just opened is started in the same tick
CHORES_SECONDS = 3600.0
ALERTS_BETWEEN = 10000
CLOCK_SECONDS = 5.0
HASTE_SECONDS = 5.0  # after the begin of a run: about as long as its node still has traffic
UNREAD_SECONDS = 15.0  # runs may begin one after the other, and a reading is believed for a minute
CALM_SECONDS = 20.0  # after the begin of a run: by then it watches, and its machine has time to load Ansible again
VERDICT_AGE_SECONDS = 60.0
DEAF = ("not_running", "no_pipe")
TROUBLE_OF = {"no_journal": "journal", "no_systemd": "systemd", **dict.fromkeys(DEAF, "pipe")}
Row = dict[str, Any]
Decide = Callable[[Row, float], list[Row]]


class Healer:
    """Everything that lives between two ticks may be lost: a new object over the same journal goes on."""

    def __init__(
        self, config: Config, spool: Folder, books: Any, reader: Reader, policies: Policies, runs: Runs,
        deliverer: Deliverer, decide: Decide, say: Callable[[str], None], ready: Prepared | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self.spool = spool
        self.books = books
        self.reader = reader
        self.policies = policies
        self.runs = runs
        self.decide = decide
        self.say = say
        self.stopping = False
        self.troubles = Troubles(say)
        self.ready: Prepared = ready or Cold()
        self.acts = Acts(config, books, runs, self.troubles, say, self.ready)
        self.papers = Papers(config, books, self.troubles)
        self.voice = Voice(config, books, deliverer, self.troubles, say)
        self.pace = pacing.Pace()
        self.last: Reading | None = None
        self._deaf: Deaf | None = None
        self.left_over: list[str] = []
        self._world: Row = {}
        self._units: dict[str, str] | None = {}
        self._units_at = self._policies_at = self._chores_at = float("-inf")
        self._ticked_at = float("-inf")
        self._begun_at: float | None = None
        self._taken_in = 0
        self._alerted = False
        self._journal_failed = False

    # -- one tick --------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """One round. Each part is guarded, so that one bad thing never ends the loop."""
        self._journal_failed = False
        if now < self._ticked_at - CLOCK_SECONDS:
            self._clock_went_back(self._ticked_at - now)
        self._ticked_at = now
        if self._begun_at is None:
            self._begun_at = now
        if not self.stopping:
            self._part("spool", self.intake, now)
        self._part("inventory", self.render, now)
        self._part("nagios", self.read, now)
        if not self.stopping:
            self._part("dispatch", self.act, now)
        self._part("nagios", self.ask, now)
        self._part("pipe", self.deliver, now)
        self._part("ready", self.prepare, now)
        self._part("pages", self.paper, now)
        self._part("quota", self.chores, now)
        if not self._journal_failed:
            self.troubles.end("journal", "can be used again")
        self._part("pipe", self.heartbeat, now, without_journal=True)
        if "pipe" not in self.troubles.now:
            self._deaf = None
            self._hear()
        self.troubles.settle()

    def _part(self, name: str, part: Callable[[float], None], now: float, without_journal: bool = False) -> None:
        if self._journal_failed and not without_journal:
            return  # nothing acts without the journal (invariant 7)
        bug = f"bug in {part.__name__}"
        try:
            part(now)
        except SelfhealError as exc:
            trouble = TROUBLE_OF.get(exc.reason, name)
            if exc.reason in DEAF:
                self._deaf = self._deaf or Deaf(now, exc.message)
                self._hear()
            self.troubles.begin(trouble, exc.message, again=trouble == "journal")
            if trouble == "journal":
                self._journal_failed = True
                self.books.close()
        except OSError as exc:
            self.troubles.begin(name, f"{exc.strerror or exc} {exc.filename or ''}".strip())
        except Exception as exc:  # a bug in one part must not end the others; it is told whole, once
            self.troubles.begin(bug, f"{type(exc).__name__}: {exc}; {where(exc)}")
        else:
            self.troubles.end(bug, "gone")

    def _clock_went_back(self, seconds: float) -> None:
        """Whatever was due at a time is due now: nothing may wait until an old future has come again."""
        self.say(f"clock: it went back by {seconds:.0f} s")
        self._units_at = self._policies_at = self._chores_at = float("-inf")
        self.pace = pacing.Pace()
        self.last = self._deaf = None  # of the future
        self._begun_at = None
        for each in (self.acts, self.voice, self.papers):
            each.clock_went_back()

    def intake(self, now: float) -> None:
        """Alerts from the spool into the journal; a file goes only after its alert is durable (invariant 12)."""
        names = self.spool.names()
        self.left_over = names
        batch = self.spool.read(now) if names else Batch()
        if not batch.alerts and not batch.bad:
            self._stay(batch.unread)
            return
        bad = [{"id": name, "reason": why} for name, why in batch.bad.items()]
        self.books.take_in(batch.alerts + bad, now)
        self._taken_in += len(batch.alerts) + len(bad)
        stuck: dict[str, str] = {}
        for alert in batch.alerts:  # the good ones first: what is wrong with the others must not keep them
            left = self.spool.remove(alert["id"], now)
            if left:  # its content is in the journal; the file is looked at again later
                stuck[alert["id"]] = left
            else:
                self.say(f"alert: {told.alert_words(alert)}")
        for name, why in batch.bad.items():
            left = self.spool.set_aside(name, now)
            if left:
                stuck[name] = left
            else:
                self.say(f"spool: {name} is no alert and was moved to bad/: {why}")
        self._stay({**batch.unread, **stuck})
        self._alerted = self._alerted or bool(batch.alerts)
        done = ({alert["id"] for alert in batch.alerts} | set(batch.bad)) - set(stuck)
        self.left_over = [name for name in names if name not in done]

    def _stay(self, files: Mapping[str, str]) -> None:
        if files:
            name, why = next(iter(files.items()))
            self.troubles.begin("spool", f"{len(files)} files stay, the first is {name}: {why}")
        else:
            self.troubles.end("spool", "can be read again")

    def render(self, now: float) -> None:
        """The policies of the inventory into the journal, when it has changed."""
        if self.policies.running:
            answer = self.policies.collect()
            if answer is not None:
                self._keep(answer, now)
            return
        if self.stopping or now - self._policies_at < POLICY_SECONDS:
            return
        self._policies_at = now
        if self.policies.changed():
            self.policies.begin()

    def _keep(self, answer: Mapping[str, Any], now: float) -> None:
        problems = answer.get("problems") or {}
        if problems:
            said = "; ".join(f"{layer}: {text}" for layer, text in sorted(problems.items()))
            self.troubles.begin("inventory", said)
        else:
            self.troubles.end("inventory", "is valid again")
        if answer.get("policies"):
            self.books.keep_policies(answer["policies"], now, problems)
            self.say(f"inventory: watching {', '.join(sorted(answer['policies']))}")

    def read(self, now: float) -> None:
        """Collect a reading that has ended."""
        reading = self.reader.collect() if self.reader.running else None
        if reading is not None:
            self.pace = pacing.ended(self.pace, reading.cost, now)
            self.last = reading
            self._hear()

    def ask(self, now: float) -> None:
        """Begin a reading when it is due, and not beside the first seconds of a run, which reads the same."""
        if self.stopping:
            self._look(now)  # nobody dispatches any more, and what is told last is to be what is true
            return
        if self.reader.running or self._haste(now):
            return
        world = self._world or self._look(now)
        alerted = self._alerted or bool(world["alerts"])
        if not world["policies"]:
            return
        wanted = pacing.wanted_seconds(self.last.verdicts if self.last else {}, self.config.poll_seconds)
        if now >= pacing.due_at(self.pace, wanted, alerted):
            self._alerted = False
            self.pace = pacing.begun(self.pace, now)
            self.reader.begin(world["policies"], healed_since(world["attempts"], now), now)

    def _haste(self, now: float) -> bool:
        """Whether a run has just begun. One that has ended is asked about again, and nothing keeps Nagios unread."""
        begun = [float(run["started_at"]) for run in self._world.get("runs") or ()]
        young = now == self.acts.begun_at or any(0 <= now - at < HASTE_SECONDS for at in begun)
        return young and now - self.pace.begun_at < UNREAD_SECONDS

    def _alert_due(self) -> float:
        return pacing.due_at(self.pace, self.config.poll_seconds, alerted=True)

    def _hear(self) -> None:
        """Say when Nagios has fallen silent, so that nothing is healed, and when it is heard again."""
        found = silence(self.last, self._deaf)
        if found is None:
            return
        part, text = found
        if part != "readings":  # a reading that cannot be kept says nothing about Nagios
            self.troubles.end("readings", "can be kept again")
        if part:
            self.troubles.begin(part, text)
        else:
            self.troubles.end("nagios", HEARD)
            if self.last is not None and self.last.unseen:
                self.troubles.begin("nodes", f"{self.last.unseen.rstrip('. ')}; its layer is not healed until then")
            else:
                self.troubles.end("nodes", "Nagios shows them all")

    def _look(self, now: float) -> Row:
        self._world = self.books.world(now)
        return self._world

    def act(self, now: float) -> None:
        """Ask what to do, and do it, act by act; what has changed by that is asked about at once."""
        for place in range(ROUNDS):
            world = self._look(now)
            self._see(world, now)
            world["units"] = self._listed(world["runs"], now, again=place == 0)
            acts = self.decide(world, now)
            self.acts.carry_out(acts, world, now)
            if not any(act["act"] in CHANGING for act in acts):
                break
        self.troubles.end("dispatch", "goes on")

    def _listed(self, live: list[Row], now: float, again: bool) -> dict[str, str] | None:
        """What runs, or None when systemd does not say; then every run counts as alive."""
        if (live and again) or now - self._units_at >= UNITS_SECONDS:
            self._units_at = now
            try:
                self._units = self.runs.listed()
            except SelfhealError as exc:
                self._units = None
                self.troubles.begin("systemd", exc.message)
            else:
                self.troubles.end("systemd", "answers again")
        return None if self._units is None else with_starting(self._units, live, now)

    def _see(self, world: Row, now: float) -> None:
        """Add what was read of Nagios. A reading of long ago says nothing about now."""
        last = self.last
        young = last is not None and now - last.read_at <= self._limit()
        believed = last if young and silence(last, self._deaf) == ("", "") else None
        world["verdicts"] = believed.verdicts if believed else {}
        world["fresh"] = believed is not None
        world["read_at"] = believed.read_at if believed else None
        world["writes_every"] = believed.writes_every if believed else None
        world["unread"] = last is None
        world["serving"] = {}  # Nagios does not know whom clients reach; the run asks the balancers

    def _limit(self) -> float:
        """How old a reading may be, in seconds. Where one is dear they are far apart; a run looks again anyway."""
        return max(VERDICT_AGE_SECONDS, 3 * self.pace.last_cost / pacing.SHARE)

    def prepare(self, now: float) -> None:
        """Have the next run wait ready, where one may be needed and nothing has just begun."""
        policies = (self._world.get("policies") or {}).values()
        acting = any(policy.get("mode") != "observe" for policy in policies)
        begun = [self.acts.begun_at, *(float(run["started_at"]) for run in self._world.get("runs") or ())]
        calm = now - max(begun) > CALM_SECONDS
        self.ready.step(now, acting and calm and not self.stopping and self.last is not None)
        near = "" if self.stopping or self._world.get("paused") else nearest(self._world)
        if near:
            self.ready.suspect(near, now)

    # -- telling ---------------------------------------------------------------------------------

    def deliver(self, now: float) -> None:
        """What waits for Nagios."""
        self.voice.tell(self._world, now)

    def heartbeat(self, now: float) -> None:
        """The healer's own sign of life."""
        self.voice.heartbeat(self.view(), now)

    def chores(self, now: float) -> None:
        """Quotas once an hour, and sooner when many alerts came."""
        if now - self._chores_at < CHORES_SECONDS and self._taken_in < ALERTS_BETWEEN:
            return
        self._chores_at, self._taken_in = now, 0
        self.books.prune(now)
        self.troubles.end("quota", "is kept again")

    def paper(self, now: float) -> None:
        """Metrics and pages."""
        if not self.stopping:
            self.papers.step(now)

    @property
    def busy(self) -> bool:
        """Whether a child is at work whose answer will be acted on."""
        return self.reader.running or self.policies.running

    @property
    def watching(self) -> bool:
        """Whether there is anything to read Nagios for."""
        return bool(self._world.get("policies"))

    def wanted(self, now: float) -> bool:
        """Whether something has come that should not wait for the next tick."""
        if self.reader.running:
            if self.reader.ready():
                return True
        elif self._world.get("alerts") and not self._haste(now) and now >= self._alert_due():
            return True
        try:
            return self.spool.names() != self.left_over
        except OSError:
            return False

    def view(self) -> Row:
        """A few numbers about now."""
        return {
            "incidents": len(self._world.get("incidents") or ()),
            "runs": len(self._world.get("runs") or ()),
            "alerts": len(self._world.get("alerts") or ()),
            "paused": bool(self._world.get("paused")),
            "pause": self._world.get("pause"),
            "watching": self.watching,
            "begun_at": self._begun_at,
            "read_limit": self._limit(),
            "read_at": self.last.read_at if self.last is not None and self.last.fresh else None,
        }

    def stop(self) -> None:
        """Intake ends first; what only reads is ended; runs are left running."""
        self.stopping = True

    def close(self) -> None:
        """Let go of everything; called once, after the last tick."""
        self.reader.stop()
        self.policies.stop()
        self.papers.stop()
        self.ready.close()
        self.books.close()
