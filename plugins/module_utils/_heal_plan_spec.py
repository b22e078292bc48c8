# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Options of ``heal_plan``, for the module and for the action plugin that fills in the rest."""

from __future__ import annotations

from typing import Any, Dict

# In the environment of a heal that the healer starts, and of no other: the action plugin reads it.
ORIGIN = "SELFHEAL_ORIGIN"
# When a prepared run was given its incident, in seconds since the epoch: its process is older than its heal.
BEGUN = "SELFHEAL_BEGUN"

ASKED: Dict[str, Any] = {
    "node": {"type": "str"},
    "reason": {"type": "str", "choices": ["", "drill"], "default": ""},
    "incident": {"type": "str"},
    "journal": {"type": "path", "default": "/var/lib/selfheal/journal.db"},
}
SPEC: Dict[str, Any] = {
    **ASKED,
    "snapshot": {"type": "dict"},
    "policies": {"type": "dict"},
    "owner": {"type": "dict"},
    "dead": {"type": "list", "elements": "dict"},
}
