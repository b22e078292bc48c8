# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What Nagios hears: lines of the outbox, the states of nodes, and the healer's own sign of life."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from selfheal_cluster.healer import told
from selfheal_cluster.healer.config import Config
from selfheal_cluster.healer.deliver import Deliverer, stamped
from selfheal_cluster.healer.log import Troubles
from selfheal_cluster.healer.states import States, humans

HARMLESS = ("pipe", "metrics", "pages")  # troubles that keep nobody from healing


class Voice:
    """Raises SelfhealError while Nagios does not listen; what must not be lost is in the journal by then."""

    def __init__(
        self, config: Config, books: Any, deliverer: Deliverer, troubles: Troubles, say: Callable[[str], None]
    ) -> None:
        self._monitor = config.monitor_host
        self._beat_seconds = config.heartbeat_seconds
        self._books = books
        self._deliverer = deliverer
        self._troubles = troubles
        self._say = say
        self.clock_went_back()

    def clock_went_back(self) -> None:
        """Everything is told anew; its times lie in a future that is not near any more."""
        self._states = States()
        self._beat = ""
        self._beat_at = float("-inf")
        self._deliverer.rest_no_more()

    def tell(self, world: Mapping[str, Any], now: float) -> None:
        """What waits in the outbox, and which nodes need a human."""
        changed, again = self._states.due(humans(world), now)
        for node, text in changed.items():
            line = told.node_state(self._monitor, node, text)
            if line is not None:
                self._books.post(f"node:{node}", line, now)
        self._states.done(changed, now)
        count, dropped = self._deliverer.deliver(now)
        for sentence in dropped:
            self._say(f"pipe: dropped what Nagios can never take: {sentence}")
        if count:
            self._listens()
        if again and not self._deliverer.resting(now):
            lines = [told.node_state(self._monitor, node, text) for node, text in again.items()]
            self._deliverer.now([stamped({"line": line}, now) for line in lines if line is not None])
            self._states.done(again, now)
            self._listens()

    def heartbeat(self, view: Mapping[str, Any], now: float) -> None:
        """A sign of life straight into the pipe: a late one is worth nothing, so it never waits."""
        serious = {part: text for part, text in self._troubles.now.items() if part not in HARMLESS}
        status, text = told.heartbeat(view, serious, now)
        if status == self._beat and now - self._beat_at < self._beat_seconds:
            return
        self._beat_at, self._beat = now, status
        self._deliverer.now([told.heartbeat_line(self._monitor, status, text, now)])
        self._deliverer.rest_no_more()  # what waits need not wait for the end of its pause
        self._listens()

    def _listens(self) -> None:
        self._troubles.end("pipe", "takes commands again")
