# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""When nodes were last healed: one answer for the plan, dispatching, the gauges and the healer. Pure.

Light on purpose: it goes to nodes with every question for a verdict.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping

# A time this far ahead was stamped by a clock that was set back since. No reading is believed for that long, so what
# is read now was read after that time, although its number is smaller.
SET_BACK_SECONDS = 600.0


def healed_since(attempts: Iterable[Mapping[str, Any]], now: float) -> Dict[str, float]:
    """When the last verified heal of each node ended, in seconds since the epoch: no reading from before it counts.

    So does one whose restarted node serves and is still ill: it went to the end of its soak, and was not undone before.
    An end far ahead of ``now`` was stamped before the clock was set back, and hides no heal since then.
    """
    since: Dict[str, float] = {}
    for attempt in attempts:
        node, ended = attempt.get("node"), attempt.get("ended_at")
        to_the_end = attempt.get("outcome") == "undone" and attempt.get("phase") == "soak"
        if attempt.get("outcome") != "healed" and not to_the_end:
            continue
        if isinstance(ended, bool) or not isinstance(ended, (int, float)):
            continue
        if node is not None and ended <= now + SET_BACK_SECONDS:  # NaN is not
            since[node] = max(since.get(node, float("-inf")), float(ended))
    return since
