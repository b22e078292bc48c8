# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What every module that asks Nagios has in common: its parameters (doc fragment ``nagios``) and its client."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from ansible.module_utils.basic import env_fallback

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import (
    DEFAULT_STATUS_UPDATE_INTERVAL,
    NagiosClient,
    Snapshot,
    configured_status_update_interval,
)
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_http import Opener


def argument_spec() -> dict[str, Any]:
    """The parameters of doc fragment ``selfheal.cluster.nagios``."""
    return {
        "url": {"type": "str", "required": True, "fallback": (env_fallback, ["SELFHEAL_NAGIOS_URL"])},
        "user": {"type": "str", "fallback": (env_fallback, ["SELFHEAL_NAGIOS_USER"])},
        "password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["SELFHEAL_NAGIOS_PASSWORD"])},
        "password_file": {
            "type": "path",
            "no_log": False,  # a path, not a secret
            "fallback": (env_fallback, ["SELFHEAL_NAGIOS_PASSWORD_FILE"]),
        },
        "timeout": {"type": "float", "default": 10},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "use_proxy": {"type": "bool", "default": True},
        "status_update_interval": {"type": "float"},
    }


MUTUALLY_EXCLUSIVE = [("password", "password_file")]


def known_interval(params: Mapping[str, Any]) -> Optional[float]:
    """In which Nagios writes its state (seconds): as told, or out of its configuration here; None where neither is."""
    told: Optional[float] = params["status_update_interval"]
    return (configured_status_update_interval() or None) if told is None else told


def client(params: Mapping[str, Any], opener: Optional[Opener] = None) -> NagiosClient:
    """The client that these parameters describe."""
    timeout, interval = params["timeout"], known_interval(params)
    if interval is None:
        interval = DEFAULT_STATUS_UPDATE_INTERVAL
    # "not >" and not "<=": NaN passes every comparison the other way round
    if not 0 < timeout <= 600 or not 0 < interval <= 3600:
        raise SelfhealError("invalid_value", "timeout must be 0 to 600 s, status_update_interval 0 to 3600 s.")
    return NagiosClient(
        params["url"],
        params["user"],
        params["password"] if params["password"] is not None else _password(params["password_file"]),
        timeout=timeout,
        validate_certs=params["validate_certs"],
        ca_path=params["ca_path"],
        use_proxy=params["use_proxy"],
        status_update_interval=interval,
        opener=opener,
    )


def _password(path: Optional[str]) -> Optional[str]:
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise SelfhealError("password_file", f"Cannot read the password of Nagios: {exc}") from exc


def worst(*snapshots: Snapshot) -> dict[str, Any]:
    """One verdict over several answers: the first that cannot be believed, else the first."""
    return next((each.freshness for each in snapshots if not each.freshness["fresh"]), snapshots[0].freshness)
