# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A person's words to the journal: that it may act, pause, approve, abort, take over, acknowledge, inject.

A word that changes nothing is no error, so that it may be said twice; one that changes something is written down
with who said it.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils import _journal_inject
from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import (
    acknowledge,
    initialise,
    pinned_beside,
    set_flag,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_said import (
    BY_LENGTH,
    REASON_LENGTH,
    note,
    unknown_incident,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_schema import told
from ansible_collections.selfheal.cluster.plugins.module_utils._planner_json import digest

SPEC: Dict[str, Any] = {
    "path": {"type": "path", "default": "/var/lib/selfheal/journal.db"},
    "state": {"type": "str", "choices": ["present"], "default": "present"},
    "initialised": {"type": "bool", "default": True},
    "policies": {"type": "dict", "default": {}},
    "policies_whole": {"type": "bool", "default": False},
    "paused": {"type": "bool"},
    "approve": {"type": "str"},
    "abort": {"type": "str"},
    "take": {"type": "str"},
    "acknowledge": {"type": "str"},
    "inject": {"type": "dict", "options": _journal_inject.SPEC},
    "spool": {"type": "path", "default": "/var/spool/selfheal"},
    "by": {"type": "str", "default": "a person"},
    "reason": {"type": "str", "default": ""},
}
#: Outcomes of an attempt after which a hold may still lie on the balancers or the pair.
LEFT_BEHIND = ("left_out", "failed", "interrupted", "ambiguous")
WORDS = ("paused", "approve", "abort", "take", "acknowledge", "inject")


class Change(NamedTuple):
    """One change that a word brings: for the record, in words, and how it is done."""

    word: str
    incident: str
    text: str
    do: Callable[[], object]
    whole: bool = True  # fits into one transaction with its record


def say(params: Mapping[str, Any], now: float, check_mode: bool) -> Tuple[bool, List[str]]:
    """Do what is asked; the changes in words. In check mode nothing is written."""
    path = params["path"]
    missing = not os.path.exists(path)
    # A word is about a journal that is there; making one is a word of its own.
    if missing and not params["initialised"] and any(params[word] is not None for word in WORDS):
        Journal(path)
    if missing and check_mode:
        return True, ["created"]
    created = Journal.create(path, now) if missing else False
    with Journal(path) as journal:
        changes = _planned(journal, params, now)
        if not check_mode:
            for change in changes:
                _make(journal, change, params, now)
    return created, (["created"] if created else []) + [change.text for change in changes]


def _make(journal: Journal, change: Change, params: Mapping[str, Any], now: float) -> None:
    """The change and its record: in one transaction, or, where the change has its own, the record behind it."""
    record = (change.word, change.incident, params["by"], params["reason"], change.text, now)
    if not change.whole:
        change.do()
        with told(journal.path):
            note(journal, *record)
        return
    with told(journal.path):
        journal.db.execute("BEGIN IMMEDIATE")
        try:
            change.do()
            note(journal, *record)
            journal.db.execute("COMMIT")
        except BaseException:
            if journal.db.in_transaction:
                journal.db.execute("ROLLBACK")
            raise


def _planned(journal: Journal, params: Mapping[str, Any], now: float) -> List[Change]:
    changes = _planned_policies(journal, params, now) if params["initialised"] else []
    by, reason = clean(params["by"], BY_LENGTH), clean(params["reason"], REASON_LENGTH)
    if params["paused"] is not None and params["paused"] != journal.flag("paused"):
        word, text = ("pause", "paused") if params["paused"] else ("resume", "not paused any more")
        changes.append(Change(word, "", text, lambda: _pause(journal, params["paused"], by, reason, now)))
    for word, plan in (("approve", _approve), ("abort", _abort), ("take", _take), ("acknowledge", _acknowledge)):
        if params[word] is not None:
            changes += plan(journal, params[word], by, now)
    if params["inject"] is not None:
        content = _journal_inject.event(params["inject"], now)
        what = "%s%s" % (content["host"], " " + content["service"] if content["service"] else "")
        changes.append(Change(
            "inject", "", "event %s of %s put into the spool" % (content["state"], what),
            lambda: _journal_inject.drop(params["spool"], content), whole=False,
        ))  # fmt: skip
    return changes


def _planned_policies(journal: Journal, params: Mapping[str, Any], now: float) -> List[Change]:
    texts = []
    if journal.meta("initialised_at") is None:
        texts.append("initialised")
    for layer, policy in sorted(params["policies"].items()):
        old = journal.rows("SELECT hash FROM policies WHERE layer = ? AND pinned = 1", layer)
        if not old or old[0]["hash"] != digest(policy):
            texts.append("policy of layer %s pinned" % layer)
    whole = bool(params.get("policies_whole"))
    for layer in pinned_beside(journal, params["policies"]) if whole else ():
        texts.append("policy of layer %s not pinned any more" % layer)
    done: List[bool] = []

    def act() -> None:
        """All policies are one transaction, whichever of the changes comes first."""
        if not done:
            initialise(journal, params["policies"], now, whole)
            done.append(True)

    return [Change("initialise", "", text, act, whole=False) for text in texts]


def _pause(journal: Journal, value: bool, by: str, reason: str, now: float) -> None:
    set_flag(journal, "paused", value, by, now)
    if value and reason:
        journal.db.execute("UPDATE flags SET value = ? WHERE name = 'paused'", (reason,))


def _approve(journal: Journal, incident: str, by: str, now: float) -> List[Change]:
    del by, now
    if _found(journal, incident, must_be_open=True)["approved"]:
        return []
    sql = "UPDATE incidents SET approved = 1 WHERE id = ? AND state = 'open'"
    text = "incident %s approved" % incident
    return [Change("approve", incident, text, lambda: journal.db.execute(sql, (incident,)))]


def _abort(journal: Journal, incident: str, by: str, now: float) -> List[Change]:
    _found(journal, incident, must_be_open=True)
    flag = "abort:" + incident
    if journal.flag(flag):
        return []
    text = "incident %s aborted" % incident
    return [Change("abort", incident, text, lambda: set_flag(journal, flag, True, by, now))]


def _take(journal: Journal, incident: str, by: str, now: float) -> List[Change]:
    """Nothing more is started for it. What runs goes back as with abort; a person may still heal it by hand."""
    _found(journal, incident, must_be_open=True)
    flag, abort = "taken:" + incident, "abort:" + incident
    stops = _runs(journal, incident, now) and not journal.flag(abort)
    if journal.flag(flag):
        return []

    def act() -> None:
        set_flag(journal, flag, True, by, now)
        if stops:
            set_flag(journal, abort, True, by, now)

    text = "incident %s taken over" % incident + (", its heal is asked to go back" if stops else "")
    return [Change("take", incident, text, act)]


def _acknowledge(journal: Journal, incident: str, by: str, now: float) -> List[Change]:
    state = _found(journal, incident, must_be_open=False)["state"]
    unsettled = journal.rows("SELECT 1 FROM attempts WHERE incident = ? AND acknowledged = 0", incident)
    if state != "open" and not unsettled and not journal.flag("taken:" + incident):
        return []
    # The word is refused while it is healed, and it is refused in check mode as well.
    if _leased(journal, incident, now):
        raise SelfhealError("lease_taken", "incident %s is being healed right now: abort it first" % incident)
    text = "incident %s acknowledged%s" % (incident, _left_behind(journal, incident))
    return [Change("acknowledge", incident, text, lambda: acknowledge(journal, incident, by, now), whole=False)]


def _left_behind(journal: Journal, incident: str) -> str:
    """What is still true of a node whose last attempt may have left a hold: the word closes books, it moves nothing."""
    last = journal.rows("SELECT node, outcome FROM attempts WHERE incident = ? ORDER BY attempt DESC LIMIT 1", incident)
    if not last or (last[0]["outcome"] or "interrupted") not in LEFT_BEHIND:
        return ""
    node = last[0]["node"]
    return ("; its last attempt ended %s, so %s may still be held out of traffic (selfheal status shows it), and"
            " 'selfheal: %s' in Nagios stays critical until a heal of it ends well, a day at most"
            % (last[0]["outcome"] or "interrupted", node, node))  # fmt: skip


def _leased(journal: Journal, incident: str, now: float) -> bool:
    return bool(journal.rows(
        "SELECT 1 FROM leases WHERE incident = ? AND expires_at > ? AND resource LIKE 'node:%'", incident, now
    ))  # fmt: skip


def _runs(journal: Journal, incident: str, now: float) -> bool:
    """Whether a heal of it is under way: it holds its node, or its unit was started and has not asked yet."""
    if _leased(journal, incident, now):
        return True
    if not journal.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'runs'"):
        return False  # a journal of schema 1 has no runs
    return bool(journal.rows("SELECT 1 FROM runs WHERE incident = ? AND ended_at IS NULL", incident))


def _found(journal: Journal, incident: str, must_be_open: bool) -> Dict[str, Any]:
    found = journal.rows("SELECT state, approved FROM incidents WHERE id = ?", incident)
    if not found:
        raise unknown_incident(journal, incident)
    if must_be_open and found[0]["state"] != "open":
        raise SelfhealError("unknown_incident", "incident %s is closed already" % incident)
    return found[0]
