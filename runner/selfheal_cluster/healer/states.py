# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The passive services ``selfheal: NODE``: which node needs a human, told at a change and every five minutes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AGAIN_SECONDS = 300.0
LINES_OF_A_TICK = 25


class States:
    """What Nagios was told last about each node, and when."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, float]] = {}

    def due(self, texts: Mapping[str, str], now: float) -> tuple[dict[str, str], dict[str, str]]:
        """Changes, which must not be lost, and repetitions, which may; only so many at once.

        ``texts``: for every node why it needs a human, or an empty text.
        """
        for gone in set(self._told) - set(texts):
            del self._told[gone]
        changed: dict[str, str] = {}
        again: dict[str, str] = {}
        # The critical ones first: a human waits for them.
        for node, text in sorted(texts.items(), key=lambda item: (not item[1], item[0])):
            before, at = self._told.get(node, (None, float("-inf")))
            if text if before is None else text != before:
                changed[node] = text
            elif before is None or now - at >= AGAIN_SECONDS:
                again[node] = text
            if len(changed) + len(again) >= LINES_OF_A_TICK:
                break
        return changed, again

    def done(self, texts: Mapping[str, str], now: float) -> None:
        """These were told."""
        for node, text in texts.items():
            self._told[node] = (text, now)


def humans(world: Mapping[str, Any]) -> dict[str, str]:
    """For every node of a layer the reason why it needs a human, or an empty text."""
    texts = {node: "" for policy in (world.get("policies") or {}).values() for node in policy["nodes"]}
    for row in world.get("calls") or ():
        if row["node"] in texts:
            texts[row["node"]] = f"incident {row['incident']}: {row['text']}"  # the newest comes last
    return texts
