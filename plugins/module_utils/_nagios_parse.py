# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What Nagios' JSON means: bodies to records, and whether they can be trusted. Pure functions, no I/O.

HTTP 200 and ``type_code`` 0 mean neither fresh nor complete; each guard here stands for a way in which they lied.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_http import NagiosUnavailable

STALE_INTERVALS = 3
STALE_FLOOR_SECONDS = 5.0
"""Nagios stamps whole seconds and a busy machine writes late; below this an age says nothing."""
AHEAD_SECONDS = 30.0
"""A CGI stamps its question before it reads objects and states, for which a big site needs seconds: data that are this
much younger than the question are those of a healthy Nagios, however often it writes them."""
LONGEST_INTERVAL = 3600.0
LONGEST_CHECK = 60.0
"""Seconds; Nagios ends a check of a service after ``service_check_timeout``, which is 60."""
NULL_NAME = "(null)"
"""The key that Nagios prints for a name that it could not convert."""

_BROKEN_ESCAPE = re.compile(rb"(\\\\)|\\([av])")
_SERVICE_STATUS = {1: "pending", 2: "ok", 4: "warning", 8: "unknown", 16: "critical"}
_HOST_STATUS = {1: "pending", 2: "up", 4: "down", 8: "unreachable"}
_STATE_TYPE = {0: "soft", 1: "hard"}


def _repair(match: re.Match[bytes]) -> bytes:
    if match.group(1):
        return match.group(1)
    return b"\\u0007" if match.group(2) == b"a" else b"\\u000b"


def decode(body: bytes) -> dict[str, Any]:
    """The answer as a dict with ``result`` and ``data``; raises :class:`NagiosUnavailable` when there is none."""
    if not body.strip():
        raise NagiosUnavailable("empty", "Nagios gave an empty answer: it is not running. Start it, then ask again.")
    answer = _loads(body)
    if not isinstance(answer, dict) or not isinstance(answer.get("result"), dict):
        raise NagiosUnavailable("invalid", "The answer is not one of Nagios' JSON CGIs; check the URL.")
    result = answer["result"]
    code, message = result.get("type_code"), str(result.get("message") or "")[:300]
    if code == 0 and isinstance(answer.get("data"), dict):
        return answer
    if code == 2:
        raise NagiosUnavailable("not_running", f"Nagios cannot read its own status file: {message}")
    if code == 6:
        raise SelfhealError("unknown_name", f"Nagios does not know what was asked for: {message}")
    raise NagiosUnavailable("invalid", f"Nagios answered with error {code}: {message}")


def _loads(body: bytes) -> Any:
    text = body.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:  # BEL and VT in a plugin's output come as \a and \v, which are no JSON and would cost the whole answer
        return json.loads(_BROKEN_ESCAPE.sub(_repair, body).decode("utf-8", "replace"))
    except (ValueError, RecursionError) as exc:
        raise NagiosUnavailable("invalid", f"Nagios' answer is broken JSON, perhaps only half of it: {exc}") from exc


def age_seconds(result: dict[str, Any]) -> Optional[float]:
    """How old Nagios' status data are, by its own clock; None when it does not say."""
    asked, updated = seconds(result.get("query_time")), seconds(result.get("last_data_update"))
    return None if asked is None or updated is None else asked - updated


def stale(age: Optional[float], status_update_interval: float) -> str:
    """Why data of this age cannot be trusted; empty when they can."""
    limit = max(STALE_INTERVALS * status_update_interval, STALE_FLOOR_SECONDS)
    if age is None:
        return "Nagios does not say how old its data are."
    if age > limit:
        return (
            f"Nagios' data are {age:.0f} s old, more than {limit:.0f} s (it should write them every "
            f"{status_update_interval:g} s): it hangs or has died. Look at its service and log."
        )
    if age < -max(limit, AHEAD_SECONDS):
        return f"Nagios' data are {-age:.0f} s ahead of its clock: its clock was set back. Restart Nagios."
    return ""


def configuration(text: str) -> dict[str, str]:
    """The variables of ``nagios.cfg`` as Nagios takes them: without blanks around, the last one counts."""
    pairs = (line.partition("=") for line in text.splitlines() if not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, sign, value in pairs if sign}


def interval_in_force(text: str, written_at: float, loaded_at: Optional[float]) -> Optional[float]:
    """The ``status_update_interval`` that the Nagios that runs was given; None when this ``nagios.cfg`` proves none.

    A file that was written (``written_at``) after Nagios read its files last (``loaded_at``) says what will be, not
    what is; taken at its word, it would make a healthy Nagios stale. So does what stands in files that it includes.
    """
    found = configuration(text)
    if loaded_at is None or loaded_at <= written_at or "include_file" in found or "include_dir" in found:
        return None
    try:
        interval = float(found["status_update_interval"])
    except (KeyError, ValueError):
        return None
    return interval if 0 < interval <= LONGEST_INTERVAL else None  # NaN is not within


def seconds(value: Any) -> Optional[float]:
    """Epoch seconds out of Nagios' milliseconds; 0 means never."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        return None
    return value / 1000


def _duration(value: Any) -> float:
    """Seconds that a check took; Nagios writes these as they are. 0 where it does not say, or says what cannot be."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= LONGEST_CHECK
    return float(value) if known else 0.0


def services(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a detailed ``servicelist``."""
    listed = data.get("servicelist")
    if not isinstance(listed, dict):
        raise NagiosUnavailable("invalid", "Nagios' answer has no list of services.")
    records = []
    for host, described in listed.items():
        if not isinstance(described, dict):
            raise NagiosUnavailable("invalid", "Nagios' list of services has no details.")
        for name, raw in described.items():
            if isinstance(raw, dict):  # paging leaves other things here; a service without details is none
                records.append(_service(str(host), str(name), raw))
    return records


def _service(host: str, name: str, raw: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {"host": host, "service": name}
    record.update(_common(raw, _SERVICE_STATUS, {"ok", "warning", "critical"}, "unknown"))
    record["next_check"] = seconds(raw.get("next_check"))
    record["output"] = _string(raw.get("plugin_output"))
    record["long_output"] = _string(raw.get("long_plugin_output"))
    record["perf_data"] = _string(raw.get("perf_data"))
    # Text that Nagios could not convert comes as nothing at all, perf_data included: that is not "no news".
    record["unreadable"] = (record["checked"] and not record["output"]) or name == NULL_NAME
    return record


def hosts(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a detailed ``hostlist`` of statusjson."""
    records = []
    for name, raw in _details(data, "hostlist"):
        record: dict[str, Any] = {"host": name}
        record.update(_common(raw, _HOST_STATUS, {"up", "down", "unreachable"}, "unreachable"))
        record["output"] = _string(raw.get("plugin_output"))
        record["parents"] = []
        records.append(record)
    return records


def _common(raw: dict[str, Any], names: dict[int, str], known: set[str], doubt: str) -> dict[str, Any]:
    checked = raw.get("has_been_checked") is True
    status = _word(raw.get("status"), names)
    if not checked:
        status = "pending"  # whatever else it says: last_hard_state is "ok" here
    elif status not in known:
        status = doubt
    return {
        "status": status,
        "state_type": "hard" if _word(raw.get("state_type"), _STATE_TYPE) == "hard" else "soft",
        "attempt": _number(raw.get("current_attempt")),
        "max_attempts": _number(raw.get("max_attempts", raw.get("max_attemps"))),  # 4.0.x cannot spell
        "last_check": seconds(raw.get("last_check")),
        "execution_time": _duration(raw.get("execution_time")),
        "last_state_change": seconds(raw.get("last_state_change")),
        "last_hard_state_change": seconds(raw.get("last_hard_state_change")),
        "checked": checked,
        "acknowledged": raw.get("problem_has_been_acknowledged") is True,
        "flapping": raw.get("is_flapping") is True,
        "downtime_depth": _number(raw.get("scheduled_downtime_depth")),
        "handler_enabled": raw.get("event_handler_enabled") is not False,
        "checks_enabled": raw.get("checks_enabled") is not False,
    }


def objects_hosts(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a detailed ``hostlist`` of objectjson: what is configured, not how it is."""
    return [
        {
            "host": name,
            "address": _string(raw.get("address")),
            "alias": _string(raw.get("alias")),
            "display_name": _string(raw.get("display_name")),
            "notes": _string(raw.get("notes")),
            "parents": _strings(raw.get("parent_hosts")),
            "services": _strings(raw.get("services")),
            "custom_variables": {
                str(key): _string(value) for key, value in (raw.get("custom_variables") or {}).items()
            },
        }
        for name, raw in _details(data, "hostlist")
    ]


def hostgroups(data: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a detailed ``hostgrouplist``; nested groups come flattened."""
    return [
        {"hostgroup": name, "alias": _string(raw.get("alias")), "members": _strings(raw.get("members"))}
        for name, raw in _details(data, "hostgrouplist")
    ]


def downtimes(data: dict[str, Any], author: str, tag: str) -> list[dict[str, Any]]:
    """The records of a detailed ``downtimelist``; ``ours`` are those by our author with our tag."""
    return [
        {
            "id": _number(raw.get("downtime_id")),
            "host": _string(raw.get("host_name")),
            "service": _string(raw.get("service_description")) or None,
            "author": _string(raw.get("author")),
            "comment": _string(raw.get("comment")),
            "start": seconds(raw.get("start_time")),
            "end": seconds(raw.get("end_time")),
            "in_effect": raw.get("is_in_effect") is True,
            "ours": raw.get("author") == author and _string(raw.get("comment")).startswith(tag),
        }
        for _key, raw in _details(data, "downtimelist")
    ]


def _details(data: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    listed = data.get(key)
    if not isinstance(listed, dict) or not all(isinstance(raw, dict) for raw in listed.values()):
        raise NagiosUnavailable("invalid", f"Nagios' answer has no {key} with details.")
    return [(str(name), raw) for name, raw in listed.items()]


def _word(value: Any, names: dict[int, str]) -> str:
    return names.get(value, "") if isinstance(value, int) else str(value).lower()


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _number(value: Any) -> int:
    if isinstance(value, float):
        return int(value) if math.isfinite(value) else 0  # Python reads Infinity and NaN in JSON
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
