# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Reading the journal directly where the command runs on its host as its owner: no Ansible, and nothing is written.

Everywhere else the playbooks ask. What comes out has the same shape.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_read import opened, overview
from ansible_collections.selfheal.cluster.plugins.module_utils._survey import journal_view
from ansible_collections.selfheal.cluster.plugins.module_utils._survey_status import status as picture
from selfheal_cluster.healer.config import DEFAULT_PATH, Config, load

SETTINGS = "SELFHEAL_CONFIG"  # names another file than the healer's own
OPEN = 200  # incidents that a look at what is going on reads; open ones come first


def here(inventory: Sequence[str]) -> Config | None:
    """The healer's settings if this is its machine, we own its journal, and nobody asks for another farm."""
    if inventory:
        return None
    path = os.environ.get(SETTINGS) or DEFAULT_PATH
    try:
        config = load(path)
    except SelfhealError:
        return None  # no healer lives here, or this user may not know
    asked = {"ANSIBLE_INVENTORY": config.inventory, "ANSIBLE_CONFIG": config.ansible_config}
    if any(os.environ.get(name, own) != own for name, own in asked.items()):
        return None
    try:
        return config if Path(config.journal).stat().st_uid == os.geteuid() else None
    except OSError:
        return config  # reading it says what is wrong


def observed(config: Config, incident: str, limit: int) -> dict[str, Any]:
    """One look at the journal, in the shape in which the playbooks hand it on."""
    now = time.time()
    seen: dict[str, Any] = {"reachable": True, "error": ""}
    try:
        with opened(config.journal) as journal:
            seen["journal"] = overview(journal, now, incident or None, limit, False, config.runs)
    except SelfhealError as error:
        seen.update(journal_error=error.message, journal_reason=error.reason)
    except (ValueError, KeyError, TypeError) as error:  # a row that we did not write
        seen.update(journal_error=f"journal {config.journal} is damaged: {error}", journal_reason="no_journal")
    return {"now": now, "journal_host": config.monitor_host, "seen": {config.monitor_host: seen}}


def journal(config: Config, incident: str = "", limit: int = 500) -> dict[str, Any]:
    """What the journal holds, as playbook ``journal`` gives it."""
    found = observed(config, incident, limit)
    return {**journal_view(found), **found["seen"][config.monitor_host].get("journal", {})}


def status(config: Config) -> dict[str, Any]:
    """What is going on as far as the journal knows, as playbook ``status`` gives it; no machine is asked for holds."""
    return {**picture(observed(config, "", OPEN)), "holds": None}
