# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the gauges are asked, out of the policies: the same for the heal, the healer and the survey. Pure.

Light on purpose: the resident healer imports it.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping

KEYS = ("layer", "nodes", "gauges")


def layers_of(policies: Iterable[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """The layers as ``_gauges_seen.look`` takes them, each with the age in seconds at which its readings are too old.

    The age is the layer's own: checks of one layer may run every ten seconds, and those of another every five minutes.
    """
    return [
        {**{key: policy[key] for key in KEYS}, "reading_age_seconds": policy["limits"]["reading_age_seconds"]}
        for policy in policies
    ]
