# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What each policy variable may hold, as small checks that name layer, variable and what is allowed."""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from typing import Any, Callable, Dict, Iterable, List, Mapping, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

UNIT = re.compile(r"[A-Za-z0-9:_][A-Za-z0-9:_.@-]*")
WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
HUGE = 10**9


class PolicyError(SelfhealError):
    """A policy that cannot be used. ``obj`` is the value as the inventory gave it, for its file and line."""

    def __init__(self, message: str, obj: Any = None) -> None:
        super().__init__("policy", message)
        self.obj = obj


# name: (default, least, greatest, whole number)
LIMITS: Dict[str, Tuple[Any, float, float, bool]] = {
    "max_unavailable": (1, 1, 1000, True),
    "sessions_per_survivor": (0, 0, HUGE, True),
    "block_node_seconds": (1800, 0, HUGE, False),
    "block_layer_seconds": (900, 0, HUGE, False),
    "max_attempts": (3, 1, HUGE, True),
    "attempts_window_seconds": (86400, 1, HUGE, False),
    "drain_seconds": (15, 0, 3600, False),
    "evidence_seconds": (5, 0, 600, False),
    "restart_seconds": (60, 1, 7200, False),
    "verify_seconds": (60, 1, 7200, False),
    "readmit_seconds": (30, 1, 3600, False),
    "soak_seconds": (10, 0, 3600, False),
    "reading_age_seconds": (150, 1, 86400, False),
    "witness_age_seconds": (30, 1, 600, False),
    "storm_window_seconds": (60, 0, 86400, False),
    "storm_layer": (2, 2, 1000, True),
    "storm_farm": (3, 2, 1000, True),
}


def suggest(name: str, known: Iterable[str], cutoff: float = 0.7) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=cutoff)
    return close[0] if close else ""


def wrong(layer: str, name: str, value: Any, allowed: str, obj: Any = None) -> PolicyError:
    shown = repr(value)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return PolicyError("layer %s: %s is %s; allowed: %s" % (layer, name, shown, allowed), value if obj is None else obj)


def text(layer: str, name: str, value: Any) -> str:
    if not isinstance(value, str) or not WORD.fullmatch(value):
        raise wrong(layer, name, value, "a name of letters, digits, '_', '.' and '-'")
    return "".join(value)


def number(layer: str, name: str, value: Any, least: float, greatest: float, whole: bool, obj: Any = None) -> Any:
    kind = "a whole number" if whole else "a number"
    allowed = "%s, %g or more" % (kind, least) if greatest == HUGE else "%s from %g to %g" % (kind, least, greatest)
    # bool is an int for Python; 'max_attempts: yes' is a mistake for a person.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong(layer, name, value, allowed, obj)
    if isinstance(value, float) and not math.isfinite(value):
        raise wrong(layer, name, value, allowed, obj)
    if whole and value != int(value):
        raise wrong(layer, name, value, allowed, obj)
    if not least <= value <= greatest:
        raise wrong(layer, name, value, allowed, obj)
    return int(value) if whole or value == int(value) else float(value)


def check_limits(layer: str, value: Any) -> Dict[str, Any]:
    if value is None:
        value = {}
    if not isinstance(value, Mapping):
        raise wrong(layer, "selfheal_limits", value, "a dictionary of limits")
    for key in value:
        if key not in LIMITS:
            hint = suggest(str(key), LIMITS)
            raise PolicyError(
                "layer %s: selfheal_limits has an unknown key %s.%s"
                % (layer, key, " Did you mean %s?" % hint if hint else ""), key,
            )  # fmt: skip
    limits = {}
    for key, (default, least, greatest, whole) in LIMITS.items():
        given = value.get(key, default)
        limits[key] = number(layer, "selfheal_limits.%s" % key, given, least, greatest, whole, value)
    return limits


def _choice(*allowed: str) -> Callable[[str, str, Any], str]:
    def check(layer: str, name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise wrong(layer, name, value, ", ".join(allowed))
        return "".join(value)

    return check


def _flag(layer: str, name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong(layer, name, value, "true, false")
    return value


def _unit(layer: str, name: str, value: Any) -> str:
    if not isinstance(value, str) or not UNIT.fullmatch(value):
        raise wrong(layer, name, value, "the name of a systemd unit, such as ei.service")
    return "".join(value)


def _port(layer: str, name: str, value: Any) -> int:
    return int(number(layer, name, value, 1, 65535, True))


def _url_path(layer: str, name: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value):
        raise wrong(layer, name, value, "a path that begins with / and has no blanks")
    return "".join(value)


def _address(layer: str, name: str, value: Any) -> str:
    try:
        return str(ipaddress.ip_address("".join(value)))
    except (TypeError, ValueError):
        raise wrong(layer, name, value, "an IP address without a prefix length") from None


def _path(layer: str, name: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"/[^\x00-\x1f]*", value):
        raise wrong(layer, name, value, "an absolute path")
    return "".join(value)


def _paths(layer: str, name: str, value: Any) -> List[str]:
    if not isinstance(value, (list, tuple)):
        raise wrong(layer, name, value, "a list of absolute paths")
    return [_path(layer, "%s[%d]" % (name, index), item) for index, item in enumerate(value)]


def _commands(layer: str, name: str, value: Any) -> List[List[str]]:
    allowed = "a list of commands, each a list of words, such as [[haproxy, -c, -f, /etc/haproxy/haproxy.cfg]]"
    if not isinstance(value, (list, tuple)):
        raise wrong(layer, name, value, allowed)
    for index, command in enumerate(value):
        if not isinstance(command, (list, tuple)) or not command:
            raise wrong(layer, "%s[%d]" % (name, index), command, allowed, value)
        for word in command:
            if not isinstance(word, str) or not word or "\x00" in word:
                raise wrong(layer, "%s[%d]" % (name, index), word, allowed, value)
    return [["".join(word) for word in command] for command in value]


CHECKS: Dict[str, Callable[[str, str, Any], Any]] = {
    "selfheal_strategy": _choice("lb_detach", "keepalived_failover"),
    "selfheal_kind": _choice("pool", "pair"),
    "selfheal_mode": _choice("observe", "approve", "act"),
    "selfheal_balancers": text,
    "selfheal_service": _unit,
    "selfheal_port": _port,
    "selfheal_health_path": _url_path,
    "selfheal_vip": _address,
    "selfheal_instance": text,
    "selfheal_preferred": text,
    "selfheal_home": _choice("now", "window", "never"),
    "selfheal_config_test": _commands,
    "selfheal_config_files": _paths,
    "selfheal_reboot": _flag,
    "selfheal_criticality": _choice("low", "normal", "high"),
    "path": _path,
}
