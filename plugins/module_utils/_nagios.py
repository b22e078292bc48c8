# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The one client for Nagios' JSON CGIs: for modules, the inventory plugin and the healer.

Every call is one bulk query, since each costs Nagios the same whether it returns one service or thousands. A call
never raises because Nagios is ill: it returns what it got, with a verdict that says whether to believe it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Callable, Optional
from urllib.parse import urlencode

from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_parse as parse
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_http import (
    NagiosUnavailable,
    Opener,
    cgi_folder,
    fetch,
)

OUR_AUTHOR = "selfheal"
OUR_TAG = "selfheal:"
RETRY_PAUSE_SECONDS = 0.3
"""A reload is over after this; its answers are blank, cut or without services for a moment."""
DEFAULT_STATUS_UPDATE_INTERVAL = 10.0
"""Nagios' own default; ``nagios_server`` sets 1."""
CONFIG_FILE = "/etc/nagios4/nagios.cfg"


@dataclass(frozen=True)
class Snapshot:
    """What one bulk query returned, and whether to believe it.

    ``freshness`` has ``fresh``, ``reason`` (ok, stale, empty, no_services, unauthorized, invalid, unreachable,
    not_running), ``message``, ``age_seconds``, ``status_update_interval``, ``queried_at``, ``expected``, ``seen``.
    """

    items: list[dict[str, Any]]
    freshness: dict[str, Any]

    def require(self) -> list[dict[str, Any]]:
        """The items, or the reason why nobody may act on them."""
        if not self.freshness["fresh"]:
            raise SelfhealError(self.freshness["reason"], self.freshness["message"])
        return self.items


class NagiosClient:
    """Asks one Nagios. ``opener`` has the signature of ``ansible.module_utils.urls.open_url``."""

    def __init__(
        self,
        url: str,
        user: Optional[str] = None,
        password: Optional[str] = None,
        timeout: float = 10,
        validate_certs: bool = True,
        ca_path: Optional[str] = None,
        opener: Optional[Opener] = None,
        status_update_interval: float = DEFAULT_STATUS_UPDATE_INTERVAL,
        use_proxy: bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = cgi_folder(url)
        self._opener = opener
        self._interval = status_update_interval
        self._sleep = sleep
        self._options = {
            "url_username": user,
            "url_password": password,
            "force_basic_auth": user is not None,
            "timeout": timeout,
            "validate_certs": validate_certs,
            "ca_path": ca_path,
            "use_proxy": use_proxy,
        }

    def services(
        self,
        host: Optional[str] = None,
        hostgroup: Optional[str] = None,
        service: Optional[str] = None,
        expected: Optional[int] = None,
    ) -> Snapshot:
        """All services, or those of a host, a hostgroup, a description; ``expected`` is how many there must be."""
        filters = {"hostname": host, "hostgroup": hostgroup, "servicedescription": service}
        return self._snapshot("statusjson.cgi", "servicelist", filters, parse.services, expected)

    def hosts(
        self,
        host: Optional[str] = None,
        hostgroup: Optional[str] = None,
        expected: Optional[int] = None,
        parents: bool = True,
    ) -> Snapshot:
        """The state of all hosts; their parents are configuration, which costs a second bulk query."""
        filters = {"hostgroup": hostgroup}
        status = self._snapshot("statusjson.cgi", "hostlist", filters, parse.hosts, expected)
        items = [item for item in status.items if host is None or item["host"] == host]
        if host is not None and status.freshness["fresh"] and not items:
            raise SelfhealError("unknown_name", f"Nagios has no host {host!r} that this user may see.")
        if not parents or not items:
            return Snapshot(items, status.freshness)
        configured = self.objects_hosts()
        known = {item["host"]: item["parents"] for item in configured.items}
        items = [{**item, "parents": known.get(item["host"], [])} for item in items]
        return Snapshot(items, status.freshness if configured.freshness["fresh"] else configured.freshness)

    def downtimes(self) -> Snapshot:
        """All downtimes; none at all is a good answer here."""
        return self._snapshot(
            "statusjson.cgi", "downtimelist", {}, lambda data: parse.downtimes(data, OUR_AUTHOR, OUR_TAG), 0
        )

    def objects_hosts(self) -> Snapshot:
        """All hosts as configured: address, parents, custom variables."""
        return self._snapshot("objectjson.cgi", "hostlist", {}, parse.objects_hosts, None)

    def hostgroups(self) -> Snapshot:
        """All hostgroups with their members, nested ones flattened by Nagios."""
        return self._snapshot("objectjson.cgi", "hostgrouplist", {}, parse.hostgroups, 0)

    def _snapshot(
        self,
        cgi: str,
        query: str,
        filters: dict[str, Optional[str]],
        read: Callable[[dict[str, Any]], list[dict[str, Any]]],
        expected: Optional[int],
    ) -> Snapshot:
        wanted = {"query": query, "details": "true", "formatoptions": "enumerate bitmask"}
        wanted.update({key: value for key, value in filters.items() if value is not None})
        url = f"{self._folder}/{cgi}?{urlencode(wanted)}"
        snapshot = self._once(url, read, expected, cgi == "statusjson.cgi")
        if snapshot.freshness["reason"] in ("empty", "invalid", "no_services", "not_running"):
            self._sleep(RETRY_PAUSE_SECONDS)  # once in 3,000 answers a reload is to blame, and it is over by now
            snapshot = self._once(url, read, expected, cgi == "statusjson.cgi")
        return snapshot

    def _once(
        self,
        url: str,
        read: Callable[[dict[str, Any]], list[dict[str, Any]]],
        expected: Optional[int],
        has_age: bool,
    ) -> Snapshot:
        verdict: dict[str, Any] = {
            "fresh": False,
            "reason": "ok",
            "message": "",
            "age_seconds": None,
            "status_update_interval": self._interval,
            "queried_at": None,
            "expected": expected,
            "seen": 0,
        }
        try:
            answer = parse.decode(fetch(self._opener, url, **self._options))
            items = read(answer["data"])
        except NagiosUnavailable as exc:
            verdict.update(reason=exc.reason, message=exc.message)
            return Snapshot([], verdict)
        result = answer["result"]
        verdict.update(seen=len(items), queried_at=parse.seconds(result.get("query_time")))
        if has_age:
            verdict["age_seconds"] = parse.age_seconds(result)
            message = parse.stale(verdict["age_seconds"], self._interval)
            if message:
                verdict.update(reason="stale", message=message)
                return Snapshot(items, verdict)
        missing = _missing(len(items), expected, str(result.get("user") or ""))
        if missing:
            verdict.update(reason="no_services", message=missing)
            return Snapshot(items, verdict)
        verdict.update(fresh=True, message="Nagios' data are fresh.")
        return Snapshot(items, verdict)


def _missing(seen: int, expected: Optional[int], user: str) -> str:
    """Why this many entries are too few; no rights look exactly like nothing configured."""
    if seen >= (1 if expected is None else expected):
        return ""
    wanted = "at least one" if expected is None else str(expected)
    return (
        f"Nagios shows {seen} entries where {wanted} should be. Either they are not configured, or user "
        f"{user!r} may not see them (authorized_for_all_hosts and authorized_for_all_services in cgi.cfg)."
    )


def configured_status_update_interval(path: str = CONFIG_FILE) -> Optional[float]:
    """``status_update_interval`` out of Nagios' own configuration, when it can be read on this machine."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            found = parse.configuration(handle.read())
        return float(found.get("status_update_interval", DEFAULT_STATUS_UPDATE_INTERVAL))
    except (OSError, ValueError):
        return None


def running_status_update_interval(path: str) -> Optional[float]:
    """The same of the Nagios that runs; None where nothing proves that it has read this file since it was written.

    Nagios writes its cache of objects at each start and each reload, and at no other time (``-v`` does not).
    """
    try:
        written_at = os.stat(path).st_ctime  # not its mtime, which a copy may bring along
        with open(path, encoding="utf-8", errors="replace") as handle:
            text = handle.read()
        cache = parse.configuration(text).get("object_cache_file", "")
        loaded_at = os.stat(os.path.join(os.path.dirname(path), cache)).st_mtime if cache else None
    except OSError:
        return None
    return parse.interval_in_force(text, written_at, loaded_at)
