# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Gauges as data: the keys that a person writes, checked, and the records that the judge reads.

The argument-spec validator of Ansible accepts NaN, takes ``True`` for 1 and names no list index, so the checks are
here, and every complaint says where: ``selfheal_gauges[2].raise_at``.
"""

from __future__ import annotations

import re
from fnmatch import translate
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Pattern, Sequence, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

KINDS = ("connectivity", "storage", "resource", "service")
"""Kinds of illness; the first one wins when a node has several (see ``_gauges``)."""
READS = ("value", "state", "host")
UNITS = ("", "s", "B", "ratio", "c")
DIRECTIONS = ("high", "low")

_SOURCE_KEYS = ("label", "per", "invert", "unit", "direction", "raise_at", "clear_at", "agree", "ignore")
_GAUGE_KEYS = (
    *_SOURCE_KEYS,
    "name",
    "service",
    "read",
    "kind",
    "alternatives",
    "for_seconds",
    "count",
    "load",
    "traffic",
    "vrrp",
    "required",
    "optional",
    "settle_seconds",
    "max_age_seconds",
)


class Source(NamedTuple):
    """One way to get the number: a label of the perfdata, perhaps in relation to another, and its two marks.

    The value is ``label``, or ``label / per`` (``per`` is ``max`` or another label), or ``1 - label / per`` when
    ``invert`` is set. ``agree`` wants Nagios' own state to be critical as well, for numbers that mean nothing without
    knowing the machine.
    """

    label: str
    per: str
    invert: bool
    unit: str
    high: bool
    raise_at: float
    clear_at: float
    agree: bool
    pattern: Optional[Pattern[str]]
    ignore: Optional[Pattern[str]]

    def reads(self, label: str) -> bool:
        """Whether this source takes its number from this label."""
        if self.pattern is None:
            return label == self.label
        return self.pattern.match(label) is not None and not (self.ignore and self.ignore.match(label))


class Gauge(NamedTuple):
    """A validated gauge. ``need`` of ``of`` readings, or ``for_seconds`` without a break, make it faulty.

    ``required``: unknown where no service gives it a reading, even if no node of the layer has such a service.
    ``optional``: a healthy probe without this number is silent instead of unknown, for numbers beside a state.
    ``vrrp``: it looks at the VRRP daemon of a pair's node, and says nothing about the service that clients reach.
    """

    name: str
    services: Optional[Pattern[str]]
    read: str
    sources: Tuple[Source, ...]
    kind: str
    for_seconds: float
    need: int
    of: int
    load: bool
    traffic: bool
    vrrp: bool
    required: bool
    optional: bool
    settle_seconds: float
    max_age_seconds: Optional[float]


def validate_gauges(raw: Any, where: str = "selfheal_gauges") -> List[Gauge]:
    """Turn written gauges into records, or say exactly which key of which entry is wrong and what it may be."""
    if not isinstance(raw, (list, tuple)):
        raise _error(where, f"must be a list of gauges, not {_what(raw)}")
    gauges: List[Gauge] = []
    names: Dict[str, int] = {}
    for index, entry in enumerate(raw):
        gauge = entry if isinstance(entry, Gauge) else _gauge(entry, f"{where}[{index}]")
        if gauge.name in names:
            raise _error(f"{where}[{index}].name", f"{gauge.name!r} is taken by {where}[{names[gauge.name]}]")
        names[gauge.name] = index
        gauges.append(gauge)
    return gauges


def _gauge(entry: Any, at: str) -> Gauge:
    if not isinstance(entry, Mapping):
        raise _error(at, f"must be a dictionary, not {_what(entry)}")
    _known_keys(entry, _GAUGE_KEYS, at)
    name = _text(entry, "name", at)
    read = _choice(entry, "read", at, READS, "value")
    kind = _choice(entry, "kind", at, KINDS, None)
    if read == "host":
        if entry.get("service") is not None:
            raise _error(f"{at}.service", "has no meaning for `read: host`, which reads the state of the host itself")
        services: Tuple[str, ...] = ()
    else:
        services = _texts(entry, "service", at)
    for_seconds = _number(entry, "for_seconds", at, 0.0, least=0.0)
    need, of = _count(entry, at)
    if for_seconds and "count" in entry:
        raise _error(f"{at}.count", "and for_seconds cannot both be given; a gauge waits in one way")
    limited = entry.get("max_age_seconds") is not None
    return Gauge(
        name=name,
        services=_matcher(service.lower() for service in services) if services else None,
        read=read,
        sources=_sources(entry, at, read),
        kind=kind,
        for_seconds=for_seconds,
        need=need,
        of=of,
        load=_flag(entry, "load", at, read == "value" and kind == "resource"),
        traffic=_flag(entry, "traffic", at, False),
        vrrp=_flag(entry, "vrrp", at, False),
        required=_flag(entry, "required", at, True),
        optional=_flag(entry, "optional", at, False),
        settle_seconds=_number(entry, "settle_seconds", at, 0.0, least=0.0),
        max_age_seconds=_number(entry, "max_age_seconds", at, None, least=1.0) if limited else None,
    )


def _sources(entry: Mapping[str, Any], at: str, read: str) -> Tuple[Source, ...]:
    if read != "value":
        for key in (*_SOURCE_KEYS, "alternatives"):
            if entry.get(key) is not None:
                raise _error(f"{at}.{key}", f"has no meaning for `read: {read}`, which reads a state and no number")
        return ()
    first = _source(entry, at, None)
    sources = [first]
    alternatives = entry.get("alternatives")
    if alternatives is not None:
        if not isinstance(alternatives, (list, tuple)):
            raise _error(f"{at}.alternatives", f"must be a list, not {_what(alternatives)}")
        for index, other in enumerate(alternatives):
            here = f"{at}.alternatives[{index}]"
            if not isinstance(other, Mapping):
                raise _error(here, f"must be a dictionary, not {_what(other)}")
            _known_keys(other, _SOURCE_KEYS, here)
            sources.append(_source(other, here, first))
    return tuple(sources)


def _source(entry: Mapping[str, Any], at: str, first: Optional[Source]) -> Source:
    """``first`` gives the marks and direction that an alternative does not write itself."""
    label = _text(entry, "label", at)
    per = _text(entry, "per", at) if entry.get("per") is not None else ""
    unit = _choice(entry, "unit", at, UNITS, "ratio" if per else "")
    if per and unit != "ratio":
        raise _error(f"{at}.unit", f"is always `ratio` with `per`, not {unit!r}")
    invert = _flag(entry, "invert", at, False)
    if invert and unit != "ratio":
        raise _error(f"{at}.invert", "needs a ratio: `per: max`, `per: LABEL` or `unit: ratio`")
    high = _choice(entry, "direction", at, DIRECTIONS, "high" if first is None or first.high else "low") == "high"
    raise_at = _number(entry, "raise_at", at, None if first is None else first.raise_at)
    clear_at = _number(entry, "clear_at", at, None if first is None else first.clear_at)
    if (clear_at > raise_at) if high else (clear_at < raise_at):
        beyond = "above" if high else "below"
        raise _error(
            f"{at}.clear_at",
            f"({clear_at:g}) must not lie {beyond} raise_at ({raise_at:g}) when direction is "
            f"{'high' if high else 'low'}: the zone between them is where a node is suspect",
        )
    if unit == "ratio" and not per and raise_at > 1.5 and high:
        raise _error(f"{at}.raise_at", f"({raise_at:g}) is a ratio, where 1 is 100 %; write {raise_at / 100:g}")
    ignore = _texts(entry, "ignore", at) if entry.get("ignore") is not None else ()
    return Source(
        label=label,
        per=per,
        invert=invert,
        unit=unit,
        high=high,
        raise_at=raise_at,
        clear_at=clear_at,
        agree=_flag(entry, "agree", at, False),
        pattern=_matcher([label]) if any(mark in label for mark in "*?[") else None,
        ignore=_matcher(ignore) if ignore else None,
    )


def _matcher(patterns: Iterable[str]) -> Pattern[str]:
    """One expression for several shell patterns."""
    return re.compile("|".join(translate(pattern) for pattern in patterns))


def _count(entry: Mapping[str, Any], at: str) -> Tuple[int, int]:
    count = entry.get("count")
    if count is None:
        return 1, 1
    if not isinstance(count, Mapping):
        raise _error(f"{at}.count", f"must be a dictionary like {{raise: 2, of: 3}}, not {_what(count)}")
    # YAML 1.1 knows no other meaning of these two words; both are plain strings.
    _known_keys(count, ("raise", "of"), f"{at}.count")
    need = _whole(count, "raise", f"{at}.count")
    of = _whole(count, "of", f"{at}.count", default=need)
    if need > of:
        raise _error(f"{at}.count.raise", f"({need}) must not be more than `of` ({of})")
    return need, of


def _known_keys(entry: Mapping[str, Any], known: Sequence[str], at: str) -> None:
    for key in entry:
        if key not in known:
            raise _error(f"{at}.{key}", f"is not a key of a gauge; known are {', '.join(sorted(known))}")


def _text(entry: Mapping[str, Any], key: str, at: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise _error(f"{at}.{key}", f"must be text, not {_what(value)}")
    return str(value)


def _texts(entry: Mapping[str, Any], key: str, at: str) -> Tuple[str, ...]:
    value = entry.get(key)
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, (list, tuple)) or not value:
        raise _error(f"{at}.{key}", f"must be a text or a list of texts, not {_what(value)}")
    for index, item in enumerate(value):
        if not isinstance(item, str) or not item.strip():
            raise _error(f"{at}.{key}[{index}]", f"must be text, not {_what(item)}")
    return tuple(str(item) for item in value)


def _choice(entry: Mapping[str, Any], key: str, at: str, choices: Sequence[str], default: Optional[str]) -> str:
    value = entry.get(key)
    if value is None:
        value = default
    if not isinstance(value, str) or value not in choices:
        named = ", ".join(choice or "'' (a plain number)" for choice in choices)
        raise _error(f"{at}.{key}", f"must be one of {named}, not {_what(value)}")
    return str(value)


def _flag(entry: Mapping[str, Any], key: str, at: str, default: bool) -> bool:
    value = entry.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise _error(f"{at}.{key}", f"must be true or false, not {_what(value)}")
    return value


def _number(
    entry: Mapping[str, Any], key: str, at: str, default: Optional[float], least: Optional[float] = None
) -> float:
    value = entry.get(key)
    if value is None:
        value = default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _error(f"{at}.{key}", f"must be a number, not {_what(value)}")
    if not -1e300 < value < 1e300:  # NaN compares false with everything, so it is refused here too
        raise _error(f"{at}.{key}", f"must be a finite number, not {value}")
    if least is not None and value < least:
        raise _error(f"{at}.{key}", f"must be at least {least:g}, not {value:g}")
    return float(value)


def _whole(entry: Mapping[str, Any], key: str, at: str, default: Optional[int] = None) -> int:
    value = entry.get(key)
    if value is None:
        value = default
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
        raise _error(f"{at}.{key}", f"must be a whole number from 1 to 100, not {_what(value)}")
    return value


def _what(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:60]!r}"


def _error(at: str, message: str) -> SelfhealError:
    return SelfhealError("gauge", f"{at} {message}.")
