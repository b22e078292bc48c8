# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the healer tells Nagios and the log, as pure functions. Text from outside stays data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_commands as commands
from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from selfheal_cluster.healer.deliver import unstamped

HEARTBEAT = "selfheal"
TEXT_LIMIT = 400
FIRST_READING_SECONDS = 60.0  # a healer that has just begun has this long for its first look at Nagios
READ_LIMIT_SECONDS = 60.0  # where a reading is dear they are further apart; then the caller says so
PAUSE_SECONDS = 3600.0  # a pause that lasts longer may have been forgotten
SAID = {
    "healed": "healed and verified",
    "undone": "not healed, it serves as before",
    "left_out": "not healed, it stays out of traffic",  # a rung may follow: dispatching says who is called
    "failed": "the heal failed",
    "ambiguous": "nobody knows how the heal ended, a human has to look",
}
"""Outcomes worth a comment. A refusal is in the journal; one comment per refusal would bury the others."""


def comment(node: str, incident: str, number: int, outcome: str, result: Mapping[str, Any]) -> str | None:
    """The comment on a node about one run, or None where there is nothing to tell."""
    if outcome not in SAID:
        return None
    text = f"selfheal: {SAID[outcome]} (incident {incident}, run {number})"
    began, safe, back = (result.get(key) for key in ("started_at", "traffic_safe_at", "restored_at"))
    if _time(began) and _time(safe):
        text += f", traffic safe after {safe - began:.1f} s"
    if _time(began) and _time(back):
        text += f", redundancy restored after {back - began:.1f} s"
    problems = [clean(problem, 200) for problem in result.get("problems") or [] if problem]
    if problems:
        text += " - " + " - ".join(problems[:3])
    return _command(lambda: commands.add_host_comment(node, text))


def human_comment(node: str, incident: str, text: str) -> str | None:
    """The comment that calls a human."""
    said = f"selfheal calls a human (incident {incident}): {_short(text)}"
    return _command(lambda: commands.add_host_comment(node, said))


def end_of_downtime(incident: str) -> str | None:
    """The end of every downtime that carries this incident's tag; nobody else's is touched."""
    return _command(lambda: commands.delete_downtime(incident))


def node_state(monitor: str, node: str, text: str) -> str | None:
    """The passive result of ``selfheal: NODE``: critical with the reason when there is a text, else ok."""
    status, said = ("critical", _short(text)) if text else ("ok", "no human is needed")
    return _command(lambda: commands.process_service_check_result(monitor, f"{HEARTBEAT}: {node}", status, said))


def heartbeat(view: Mapping[str, Any], troubles: Mapping[str, str], now: float) -> tuple[str, str]:
    """State and text of the service ``selfheal``: ok only after a fresh reading, critical when it cannot heal.

    ``view`` has ``read_at`` (of the newest fresh reading), ``read_limit`` (the age in seconds from which on it is too
    old), ``begun_at``, ``watching`` (whether a policy is known), ``pause`` (``at`` and ``by``) and numbers to tell.
    """
    if troubles:
        return "critical", "selfheal cannot heal: " + " - ".join(
            _short(text) for _key, text in sorted(troubles.items())
        )
    read_at, begun_at = view.get("read_at"), view.get("begun_at")
    if not _time(read_at):
        waited = max(0.0, now - begun_at) if _time(begun_at) else 0.0
        why = "Nagios was not read yet" if view.get("watching", True) else "no layer has a policy yet"
        status = "warning" if waited < FIRST_READING_SECONDS else "critical"
        return status, f"selfheal heals nothing: {why}, {waited:.0f} s after its start"
    seconds = max(0.0, now - read_at)
    age = f"Nagios read {seconds:.0f} s ago"
    limit = float(view.get("read_limit") or READ_LIMIT_SECONDS)
    if seconds > limit:
        return "critical", f"selfheal heals nothing: {age}, that may be {limit:.0f} s at most"
    counts = f"{view.get('incidents', 0)} open incidents, {view.get('runs', 0)} runs, {view.get('alerts', 0)} alerts"
    if view.get("paused"):
        pause = view.get("pause") or {}
        since = now - pause["at"] if _time(pause.get("at")) else 0.0
        who = clean(pause.get("by") or "a human", 100)
        said = f"selfheal is PAUSED by {who} for {max(0.0, since) / 60:.0f} min, {counts}, {age}"
        return ("warning", f"{said}; to end it type: selfheal resume") if since > PAUSE_SECONDS else ("ok", said)
    return "ok", f"selfheal works, {counts}, {age}"


def heartbeat_line(monitor: str, status: str, text: str, now: float) -> str:
    """The heartbeat as Nagios takes it, with its time."""
    return commands.process_service_check_result(monitor, HEARTBEAT, status, text, now=now)


def alert_words(alert: Mapping[str, Any]) -> str:
    """An alert on one line."""
    what = f"{alert['host']}/{alert['service']}" if alert.get("service") else str(alert["host"])
    return clean(f"{what} {alert['state']} {alert['type']} {alert['attempt']}", 200)


def _command(make: Callable[[], str]) -> str | None:
    """A command without its time; None for a name that Nagios cannot have, so that nobody waits for it."""
    try:
        return unstamped(make())
    except SelfhealError:
        return None


def _short(text: object) -> str:
    return clean(text, TEXT_LIMIT)


def _time(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
