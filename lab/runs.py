# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the healer's runs say of themselves on the monitor, for whoever reads them over its console."""

from __future__ import annotations

import json
from typing import Any

SEPARATOR = "\x1e"
#: For sh on the monitor, with the earliest change (seconds since the epoch) as its argument. The heal writes its result
#: anew at every step; each file is closed by the separator.
RESULTS = (
    'find /var/lib/selfheal/runs -maxdepth 2 -name result.json -newermt "@$1" '
    '-exec sh -c \'for file; do cat "$file"; printf "\\036"; done\' sh {} +'
)


def runs_from(text: str) -> list[dict[str, Any]]:
    """The states of runs, each closed by a separator; what is cut off or no object is left out."""
    found = []
    for part in text.split(SEPARATOR):
        try:
            value = json.loads(part)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found
