# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Performance data of Nagios plugins as numbers: ``'label'=value[unit];[warn];[crit];[min];[max] ...``.

Text from outside, and often not what the guidelines ask for. The rules:

- Nothing raises, and one broken token never loses the others: it ends in :attr:`Perfdata.broken` as it came.
- Units are normalised to seconds, bytes, ratios (0 to 1) and counters; 1 kB is 1024 B, as the plugins mean it.
- A decimal comma counts only between digits and before a unit (``0,018ms``). ``1,5`` may be a list, and ``1,024MB``
  a thousand: both are broken rather than guessed.
- ``U`` is a metric whose value is None. A label that comes twice with different values is None too: in doubt, nothing.
- Warning and critical thresholds are kept as text for people. The same printed limits stand for OK and for CRITICAL
  (check_memory drops the ``:`` of its ranges), so nothing here or in the gauges compares a value with them.

Speed is a promise (``make bench``): one compiled expression takes a whole string apart, and what it cannot take goes
to a slower way of its own.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

MAX_LENGTH = 65536
"""Nagios cuts output at 8 KiB; what is longer did not come from it, and is read to here and no further."""

_KIB = 1024.0
_UNITS: Dict[str, Tuple[str, float]] = {
    "": ("", 1.0),
    "s": ("s", 1.0),
    "ms": ("s", 1e-3),
    "us": ("s", 1e-6),
    "µs": ("s", 1e-6),  # micro sign
    "μs": ("s", 1e-6),  # Greek letter mu
    "ns": ("s", 1e-9),
    "%": ("ratio", 1e-2),
    "c": ("c", 1.0),
    "B": ("B", 1.0),
}
for _power, _letter in enumerate("KMGTPE", start=1):
    for _name in (_letter + "B", _letter + "iB", _letter.lower() + "B", _letter.lower() + "b"):
        _UNITS[_name] = ("B", _KIB**_power)
del _power, _letter, _name

# Every repetition below ends at a character that it cannot hold itself: no string makes them go back more than once.
# Thirty digits and two of an exponent are more than any probe has, and never overflow.
_NUMBER = r"[-+]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][-+]?[0-9]{1,2})?"
_UNIT = r"[^\s;,'=0-9.+-]*"  # anything that cannot be part of a number: rpm, bytes/s and °C are units as well
_LIMITS = r"(?:;[^\s=]*)?"  # what comes behind the maximum is of no use to anybody, and does no harm
_BARE = r"[^\s='][^\s=]*"
_QUOTED = r"'(?:[^']|'')*'"
# Groups: label, number, unit, limits - or, last, a token that is none of this.
_PLAIN = re.compile(rf"({_BARE})=({_NUMBER})({_UNIT})({_LIMITS}),?(?!\S)|(\S+)")
_ANY = re.compile(rf"({_QUOTED}|{_BARE})=({_NUMBER})({_UNIT})({_LIMITS}),?(?!\S)|({_QUOTED}=\S*|\S+)")
_LOOSE = re.compile(rf"({_QUOTED}|{_BARE})=([^;=]*)((?:;[^=]*)?)")
_DECIMAL_COMMA = re.compile(r"([-+]?[0-9]{1,30}),([0-9]{1,30})([^\s;,'=0-9.+-]+)")
_LIMIT = re.compile(rf"({_NUMBER})({_UNIT})")


class Metric(NamedTuple):
    """One value of a probe.

    ``unit`` is normalised (``s``, ``B``, ``ratio``, ``c`` or empty) and so is ``value``; ``raw_unit`` is as printed.
    ``limits`` is the rest as printed, ``;warn;crit;min;max``, of which the properties take what is asked for.
    """

    label: str
    value: Optional[float]
    unit: str
    raw_unit: str
    limits: str

    @property
    def warn(self) -> str:
        """The warning range as printed."""
        return self._limit(1)

    @property
    def crit(self) -> str:
        """The critical range as printed."""
        return self._limit(2)

    @property
    def min(self) -> Optional[float]:
        """The least possible value in the unit of ``value``, when one was printed."""
        return _number(self._limit(3), self.raw_unit)

    @property
    def max(self) -> Optional[float]:
        """The greatest possible value in the unit of ``value``, when one was printed."""
        return _number(self._limit(4), self.raw_unit)

    def _limit(self, index: int) -> str:
        limits = self.limits[:-1] if self.limits.endswith(",") else self.limits
        fields = limits.split(";", 5)
        return fields[index] if len(fields) > index else ""


class Perfdata(NamedTuple):
    """What a string held: metrics by label in their order, and the tokens that made no sense."""

    metrics: Dict[str, Metric]
    broken: List[str]


def parse(text: Any) -> Perfdata:
    """Take a string of performance data apart. Anything but a string is an empty one."""
    metrics: Dict[str, Metric] = {}
    broken: List[str] = []
    if not isinstance(text, str):
        return Perfdata(metrics, broken)
    if len(text) > MAX_LENGTH:
        text = _cut(text, broken)
    quotes = "'" in text
    units, new, metric = _UNITS, tuple.__new__, Metric
    for label, number, raw_unit, limits, other in (_ANY if quotes else _PLAIN).findall(text):
        if other:
            _loosely(other, metrics, broken)
        elif label in metrics or raw_unit not in units or (quotes and label[0] == "'"):
            _add(label, float(number), raw_unit, limits, metrics, broken)
        else:
            unit, factor = units[raw_unit]
            metrics[label] = new(metric, (label, float(number) * factor, unit, raw_unit, limits))
    return new(Perfdata, (metrics, broken))


def _cut(text: str, broken: List[str]) -> str:
    """The part of an endless string that is read; the rest counts as one broken token."""
    end = text.rfind(" ", 0, MAX_LENGTH)
    end = MAX_LENGTH if end < 0 else end
    broken.append(text[end : end + 80].strip() or "(cut)")
    return text[:end]


def _add(
    label: str,
    number: Optional[float],
    raw_unit: str,
    limits: str,
    metrics: Dict[str, Metric],
    broken: List[str],
) -> None:
    """Keep a metric; a label that was there before with another value is worth nothing."""
    if label.startswith("'"):
        label = label[1:-1].replace("''", "'")
    unit, factor = _UNITS.get(raw_unit) or ("", 1.0)
    found = Metric(label, None if number is None else number * factor, unit, raw_unit, limits)
    known = metrics.get(label)
    if known is not None and known[:4] != found[:4]:
        found = found._replace(value=None)
        broken.append(f"{label}=(given twice, differently)")
    metrics[label] = found


def _loosely(token: str, metrics: Dict[str, Metric], broken: List[str]) -> None:
    """A token that the strict expression refused: ``U``, a decimal comma, or broken."""
    match = _LOOSE.fullmatch(token[:-1] if token.endswith(",") else token)
    label, text, limits = match.groups() if match else ("", "", "")
    comma = _DECIMAL_COMMA.fullmatch(text)
    if text == "U":
        _add(label, None, "", limits, metrics, broken)
    elif comma and _is_decimal(comma):
        whole, part, raw_unit = comma.groups()
        _add(label, float(f"{whole}.{part}"), raw_unit, limits.replace(",", "."), metrics, broken)
    else:
        broken.append(token)


def _is_decimal(comma: re.Match[str]) -> bool:
    """Whether a comma must mean decimals; bytes with three digits behind it may as well be thousands."""
    whole, part, raw_unit = comma.groups()
    unit = _UNITS.get(raw_unit, ("", 1.0))[0]
    return not (unit == "B" and len(part) == 3 and whole.lstrip("-+") != "0")


def _number(text: str, raw_unit: str) -> Optional[float]:
    """A printed minimum or maximum; most carry no unit and mean that of the value."""
    match = _LIMIT.fullmatch(text)
    if not match:
        return None
    return float(match.group(1)) * (_UNITS.get(match.group(2) or raw_unit) or ("", 1.0))[1]
