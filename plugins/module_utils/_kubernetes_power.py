# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""May the power of this node be taken away? Its hold and its silence are read from the API server at that moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote

from ._errors import SelfhealError
from ._kubernetes import Api
from ._kubernetes_change import change
from ._kubernetes_hold import EPOCH, note_changes, notes_of, read_hold, refuse
from ._kubernetes_node import SILENT, node

#: Ours, on the Node: the incident and the epoch for which power was taken away last, and the boot that it ended.
POWERED = "selfheal.cluster/powered"


class Right:
    """The right of one incident, under one epoch, to take one node's power away.

    ``silent``: for so many seconds nothing may have been heard of its kubelet. ``forbidden``: machine ids of the
    controller, the journal and Nagios (invariant 13).
    """

    def __init__(
        self,
        api: Api,
        name: str,
        incident: str,
        epoch: int,
        silent: float = 0.0,
        forbidden: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.api, self.name, self.incident, self.epoch, self.clock = api, name, incident, epoch, clock
        self.silent, self.forbidden = silent, frozenset(forbidden) - {""}
        self.boot_id = ""

    def look(self, mark: bool) -> bool:
        """True where it may be done, and with ``mark`` is written down as given; False where it was given already.

        :class:`SelfhealError` where it may not: another hold, a younger epoch, or a kubelet that speaks. What this
        incident was given once it is not given again, whatever became of it: then power is only given back.
        """
        fresh = True

        def make(item: dict[str, Any]) -> list[dict[str, Any]]:
            nonlocal fresh
            now = self.clock()
            refuse(f"Node {self.name}", item, self.incident, self.epoch, now)
            hold = read_hold(notes_of(item), now)
            if hold is None or hold["incident"] != self.incident or hold["expired"]:
                raise SelfhealError("not_held", f"Node {self.name} is not under the hold of {self.incident}.")
            seen = node(item, now)
            words = notes_of(item).get(POWERED, "").split()
            fresh = not (len(words) == 3 and words[0] == self.incident)
            self.boot_id = seen["boot_id"] if fresh else words[2]
            if not fresh:
                return []
            self._judge(seen)
            return note_changes(
                item, {EPOCH: str(self.epoch), POWERED: f"{self.incident} {self.epoch} {seen['boot_id'] or '-'}"}
            )

        change(self.api, self.path, make, check_mode=not mark)
        return fresh

    def _judge(self, seen: Mapping[str, Any]) -> None:
        if seen["machine_id"] in self.forbidden:
            raise SelfhealError(
                "own_host", f"Node {self.name} is the machine of the controller, the journal or Nagios."
            )
        if not seen["cordoned"] or seen["human_cordon"]:
            raise SelfhealError("not_held", f"Node {self.name} is not cordoned by us any more: somebody gave it back.")
        if seen["ready_status"] != SILENT:
            word = "Ready" if seen["ready"] else "not Ready"
            raise SelfhealError(
                "not_silent", f"Node {self.name} says of itself that it is {word}: its power is not taken away."
            )
        if seen["since_seconds"] is None or seen["since_seconds"] < self.silent:
            raise SelfhealError(
                "not_silent",
                f"Node {self.name} is silent for {seen['since_seconds']} of {self.silent:.0f} s: it may be booting.",
            )

    @property
    def path(self) -> str:
        """Of the node."""
        return f"/api/v1/nodes/{quote(self.name, safe='')}"
