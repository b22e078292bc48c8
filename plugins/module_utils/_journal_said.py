# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Who said what to the journal: one row of ``meta`` for each word of a person that changed something.

A flag shows only what is in force now; a pause that was lifted, or an abort that is over, is here.
"""

from __future__ import annotations

import binascii
import difflib
import json
import os
from typing import Any, Dict, List, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal

KEPT = 1000  # words; older ones are removed
BY_LENGTH = 100
REASON_LENGTH = 500


def note(journal: Journal, word: str, incident: str, by: str, reason: str, text: str, now: float) -> None:
    """Write one word down. The caller's transaction, if there is one, holds it."""
    # Sorted by name is sorted by time; two words of the same microsecond stay apart.
    name = "said:%020d:%s" % (int(now * 1e6), binascii.hexlify(os.urandom(4)).decode("ascii"))
    row = {"at": now, "by": clean(by, BY_LENGTH), "word": word, "incident": incident,
           "reason": clean(reason, REASON_LENGTH), "text": text}  # fmt: skip
    journal.db.execute("INSERT INTO meta VALUES (?, ?)", (name, json.dumps(row)))
    journal.db.execute(
        "DELETE FROM meta WHERE name LIKE 'said:%' AND name <="
        " (SELECT name FROM meta WHERE name LIKE 'said:%' ORDER BY name DESC LIMIT 1 OFFSET ?)", (KEPT,),
    )  # fmt: skip


def said(journal: Journal, incident: Optional[str] = None, limit: int = 50) -> List[Dict[str, Any]]:
    """Words of persons, the newest first; all, or those about one incident."""
    rows = journal.rows("SELECT value FROM meta WHERE name LIKE 'said:%' ORDER BY name DESC LIMIT ?", KEPT + 1)
    found = [dict(json.loads(item["value"])) for item in rows]
    return [item for item in found if incident is None or item.get("incident") == incident][:limit]


def pause(journal: Journal) -> Optional[Dict[str, Any]]:
    """Since when heals are paused, by whom and why; None when they are not."""
    found = journal.rows("SELECT value, at, by FROM flags WHERE name = 'paused'")
    if not found:
        return None
    reason = found[0]["value"]
    return {"at": found[0]["at"], "by": found[0]["by"], "reason": "" if reason == "true" else reason}


def unknown_incident(journal: Journal, incident: str) -> SelfhealError:
    """The refusal of an id that is not there, with the one that was meant if there is one near."""
    known = journal.rows(
        "SELECT id, node, state FROM incidents ORDER BY state = 'open' DESC, opened_at DESC LIMIT 1000"
    )
    near = [item["id"] for item in known if incident and incident == item["node"]]
    near += [item["id"] for item in known if incident and item["id"].startswith(incident)]
    near += difflib.get_close_matches(incident, [item["id"] for item in known], n=1, cutoff=0.6)
    hint = "; did you mean %s?" % near[0] if near else "; see them with: selfheal history"
    return SelfhealError("unknown_incident", "the journal knows no incident %s%s" % (clean(incident, 80), hint))
