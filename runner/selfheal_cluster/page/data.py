# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How the page looks into data where anything may be absent or of a strange type. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]


def rows(value: Any) -> list[Row]:
    """The records of a list that may be missing or hold anything."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, (list, tuple)) else []


def part(value: Any) -> Row:
    """A record that may be missing."""
    return value if isinstance(value, Mapping) else {}


def texts(value: Any) -> list[str]:
    """The lines of a list that may be missing."""
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else []


def number(value: Any) -> float | None:
    """A finite number, or nothing."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < 1e15 else None  # not true of nan either
