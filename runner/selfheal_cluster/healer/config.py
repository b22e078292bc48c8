# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The healer's settings: one JSON file that role ``healer`` writes. Policy is not here; it is inventory."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios_commands import PIPE

DEFAULT_PATH = "/etc/selfheal/healer.json"
NAGIOS_KEYS = ("url", "user", "password_file", "ca_file", "config_file")
UNIT = re.compile(r"[A-Za-z0-9:_.-]+@\{name\}\.service")


@dataclass(frozen=True)
class Config:
    """Everything that the healer and its runs need to know about this machine. Times are seconds."""

    nagios: Mapping[str, str]
    """``config_file`` is Nagios' own, which says how old its data may be; without it, as old as Nagios' default."""
    inventory: str = "/etc/selfheal/inventory"
    ansible_config: str = "/etc/selfheal/ansible.cfg"
    journal: str = "/var/lib/selfheal/journal.db"
    spool: str = "/var/spool/selfheal"
    runs: str = "/var/lib/selfheal/runs"
    command_file: str = PIPE
    monitor_host: str = "monitor"
    poll_seconds: float = 4.0
    read_timeout_seconds: float = 30.0
    heartbeat_seconds: float = 20.0
    """Between two signs of life for Nagios; role ``healer`` writes a third of what Nagios waits for one."""
    heal_unit: str = "selfheal-heal@{name}.service"
    web_unit: str = "apache2.service"
    """The unit that runs Nagios' CGIs: its CPU time is what a poll costs there. Empty: the cost is estimated."""
    prepare_run: bool = True
    """Have the unit of the next heal wait, loaded, for its incident: some 80 MB for about a second."""
    metrics_file: str = ""
    pages_dir: str = ""


def load(path: str) -> Config:
    """Settings out of the file; whatever is wrong with it is one sentence that names the key."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as exc:
        raise _wrong(f"{path} cannot be read: {exc.strerror}; role selfheal.cluster.healer writes it") from exc
    except UnicodeDecodeError as exc:
        raise _wrong(f"{path} is no UTF-8 text: {exc}") from exc
    try:
        content = json.loads(text)
    except ValueError as exc:
        raise _wrong(f"{path} is no JSON: {exc}") from exc
    return parse(content, path)


def parse(content: Any, path: str = DEFAULT_PATH) -> Config:
    """Checked settings."""
    if not isinstance(content, dict):
        raise _wrong(f"{path} must hold one JSON object")
    kinds = {field.name: field.type for field in fields(Config)}
    for key in content:
        if key not in kinds:
            raise _wrong(f"{path}: unknown key {key!r}{_near(key, list(kinds))}")
    values: dict[str, Any] = {"nagios": _nagios(content.get("nagios"), path)}
    for key, value in content.items():
        if key == "nagios":
            continue
        kind = {"float": _seconds, "bool": _truth}.get(str(kinds[key]), _text)
        values[key] = kind(value, key, path)
    config = Config(**values)
    if not UNIT.fullmatch(config.heal_unit):
        raise _wrong(f"{path}: heal_unit must be like 'selfheal-heal@{{name}}.service', not {config.heal_unit!r}")
    for key in ("inventory", "journal", "spool", "runs", "command_file", "ansible_config"):
        if not Path(getattr(config, key)).is_absolute():
            raise _wrong(f"{path}: {key} must be an absolute path, not {getattr(config, key)!r}")
    return config


def _nagios(value: Any, path: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise _wrong(f"{path}: nagios is missing: an object with url, user, password_file and perhaps more")
    for key in value:
        if key not in NAGIOS_KEYS:
            raise _wrong(f"{path}: unknown key nagios.{key}{_near(key, list(NAGIOS_KEYS))}")
    found = {key: _text(value[key], "nagios." + key, path) for key in NAGIOS_KEYS if value.get(key)}
    if "url" not in found:
        raise _wrong(f"{path}: nagios.url is missing, like http://127.0.0.1/nagios4/cgi-bin")
    if ("user" in found) != ("password_file" in found):
        raise _wrong(f"{path}: nagios.user and nagios.password_file go together")
    return found


def _text(value: Any, key: str, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(f"{path}: {key} must be text, not {json.dumps(value)[:60]}")
    return value


def _seconds(value: Any, key: str, path: str) -> float:
    number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    if not 0.5 <= number <= 3600:  # NaN is not within
        raise _wrong(f"{path}: {key} must be seconds from 0.5 to 3600, not {json.dumps(value)[:60]}")
    return number


def _truth(value: Any, key: str, path: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(f"{path}: {key} must be true or false, not {json.dumps(value)[:60]}")
    return value


def _near(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _wrong(message: str) -> SelfhealError:
    return SelfhealError("invalid_config", message)
