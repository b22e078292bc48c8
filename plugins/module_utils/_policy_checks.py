# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What each policy variable may hold, as small checks that name layer, variable and what is allowed."""

from __future__ import annotations

import difflib
import ipaddress
import math
import posixpath
import re
from typing import Any, Callable, Dict, Iterable, List, Mapping, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._health import SCHEMES

UNIT = re.compile(r"[A-Za-z0-9:_][A-Za-z0-9:_.@-]*")
WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
HUGE = 10**9
# What systemd knows as the end of a unit's name; systemctl takes any other name for a service.
UNIT_TYPES = (
    ".service", ".socket", ".device", ".mount", ".automount", ".swap", ".target", ".path", ".timer", ".slice", ".scope",
)  # fmt: skip
# A relief deletes files: never in a folder that is one of these or holds one.
SYSTEM_FOLDERS = tuple(
    "/" + name
    for name in (
        "home", "media", "mnt", "opt", "run", "srv", "tmp", "usr/local", "var", "var/backups", "var/cache", "var/lib",
        "var/local", "var/lock", "var/log", "var/mail", "var/opt", "var/run", "var/spool", "var/tmp", "var/www",
    )
)  # fmt: skip
# ... nor anywhere below one of these: what a system is made of, what it remembers, and what is ours.
SYSTEM_TREES = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/root", "/sbin", "/sys",
    "/usr", "/var/lib/apt", "/var/lib/dnf", "/var/lib/dpkg", "/var/lib/rpm", "/var/lib/selfheal",
    "/var/lib/systemd", "/var/log/journal", "/var/spool/selfheal",
)  # fmt: skip
# The one place of /usr where services of one's own are at home, except what is there of the system.
OWN_TREE = "/usr/local"
NOT_OWN = tuple(
    OWN_TREE + "/" + name for name in ("bin", "etc", "games", "include", "lib", "man", "sbin", "share", "src")
)
RELIEF_SECONDS = 60


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
    "stop_seconds": (10, 1, 3600, False),
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
    if "stop_seconds" in value and limits["stop_seconds"] >= limits["restart_seconds"]:
        allowed = "less than restart_seconds (%g), which stopping counts in" % limits["restart_seconds"]
        raise wrong(layer, "selfheal_limits.stop_seconds", limits["stop_seconds"], allowed, value)
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


def _home(layer: str, name: str, value: Any) -> str:
    if value == "window":
        raise PolicyError("layer %s: %s is 'window'; window is not built yet: take now or never" % (layer, name), value)
    return _choice("now", "never")(layer, name, value)


def _unit(layer: str, name: str, value: Any) -> str:
    if not isinstance(value, str) or not UNIT.fullmatch(value):
        raise wrong(layer, name, value, "the name of a systemd unit, such as ei.service")
    # One unit, one spelling: as systemctl reads it.
    return "".join(value) if value.endswith(UNIT_TYPES) else f"{value}.service"


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


def holds(folder: str, path: str) -> bool:
    """Whether a path is this folder or lies below it; both are absolute and normalised."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def whole(path: Any) -> bool:
    """An absolute path as it is written when nothing in it can be left out."""
    return (
        isinstance(path, str)
        and path.startswith("/")
        and path.isprintable()
        and posixpath.normpath("/" + path.lstrip("/")) == path
    )


def _relief_path(layer: str, name: str, value: Any, obj: Any) -> str:
    if whole(value) and value.count("/") >= (3 if holds("/home", value) else 2):
        trees = NOT_OWN if holds(OWN_TREE, value) else SYSTEM_TREES
        if not any(holds(value, folder) for folder in SYSTEM_FOLDERS + SYSTEM_TREES + NOT_OWN) and not any(
            holds(tree, value) for tree in trees
        ):
            return "".join(value)
    raise wrong(
        layer, name, value,
        "the whole path of a folder of the service, two or more folders deep, without '..', which is no folder of the "
        "system, holds none and lies in none; such as /var/log/ei", obj,
    )  # fmt: skip


def _relief_pattern(layer: str, name: str, value: Any, obj: Any) -> str:
    named = isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable() and "/" not in value
    if not named or value in (".", ".."):
        raise wrong(layer, name, value, "a pattern for the name of a file, without '/', such as '*.log.*'", obj)
    return "".join(value)


def _relief(layer: str, name: str, value: Any) -> List[Dict[str, Any]]:
    keys = ("path", "pattern", "older_seconds")
    allowed = "a list of what may be deleted, such as [{path: /var/log/ei, pattern: '*.log.*', older_seconds: 3600}]"
    if not isinstance(value, (list, tuple)):
        raise wrong(layer, name, value, allowed)
    found = []
    for index, item in enumerate(value):
        where = "%s[%d]" % (name, index)
        if not isinstance(item, Mapping):
            raise wrong(layer, where, item, allowed, value)
        for key in item:
            if key not in keys:
                hint = suggest(str(key), keys)
                raise PolicyError(
                    "layer %s: %s has an unknown key %s.%s"
                    % (layer, where, key, " Did you mean %s?" % hint if hint else ""), key,
                )  # fmt: skip
        for key in keys:
            if item.get(key) is None:
                raise PolicyError("layer %s: %s.%s is missing" % (layer, where, key), value)
        older = number(layer, where + ".older_seconds", item["older_seconds"], RELIEF_SECONDS, HUGE, False, value)
        found.append({
            "path": _relief_path(layer, where + ".path", item["path"], value),
            "pattern": _relief_pattern(layer, where + ".pattern", item["pattern"], value),
            "older_seconds": older,
        })  # fmt: skip
    return found


def _power(layer: str, name: str, value: Any) -> Dict[str, Any]:
    keys = ("agent", "folder", "when_off", "silent_seconds", "boot_seconds")
    allowed = (
        "a fence agent, such as {agent: /usr/sbin/fence_ipmilan, folder: /etc/selfheal/power, silent_seconds: 300}"
    )
    if not isinstance(value, Mapping):
        raise wrong(layer, name, value, allowed)
    if not value:
        return {}
    for key in value:
        if key not in keys:
            hint = suggest(str(key), keys)
            raise PolicyError(
                "layer %s: %s has an unknown key %s.%s"
                % (layer, name, key, " Did you mean %s?" % hint if hint else ""),
                key,
            )
    if not value.get("agent"):
        raise PolicyError("layer %s: %s.agent is missing: the program of the fence agent" % (layer, name), value)
    return {
        "agent": _path(layer, name + ".agent", value["agent"]),
        "folder": _path(layer, name + ".folder", value.get("folder") or "/etc/selfheal/power"),
        "when_off": _flag(layer, name + ".when_off", value.get("when_off", False)),
        "silent_seconds": number(
            layer, name + ".silent_seconds", value.get("silent_seconds", 300), 0, HUGE, False, value
        ),
        "boot_seconds": number(layer, name + ".boot_seconds", value.get("boot_seconds", 300), 1, 3600, False, value),
    }


CHECKS: Dict[str, Callable[[str, str, Any], Any]] = {
    "selfheal_strategy": _choice("lb_detach", "keepalived_failover", "kubernetes_workload", "kubernetes_node"),
    "selfheal_kind": _choice("pool", "pair", "workload", "machine"),
    "selfheal_mode": _choice("observe", "approve", "act"),
    "selfheal_balancers": text,
    "selfheal_service": _unit,
    "selfheal_port": _port,
    "selfheal_health_path": _url_path,
    "selfheal_health_scheme": _choice(*SCHEMES),
    "selfheal_health_address": _address,
    "selfheal_vip": _address,
    "selfheal_instance": text,
    "selfheal_preferred": text,
    "selfheal_home": _home,
    "selfheal_config_test": _commands,
    "selfheal_config_files": _paths,
    "selfheal_reboot": _flag,
    "selfheal_criticality": _choice("low", "normal", "high"),
    "selfheal_relief": _relief,
    "selfheal_namespace": text,
    "selfheal_kubeconfig": _path,
    "selfheal_context": text,
    "selfheal_power": _power,
    "path": _path,
}
