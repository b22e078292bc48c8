# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Thresholds of the stock checks, out of the gauges of a layer, so that alerts and gauges agree. Pure.

A check warns where its gauge begins to suspect (``clear_at``) and is critical where it is faulty (``raise_at``). A
gauge whose numbers mean something else than the check's (bytes, a load average) cannot be translated; then the
gauge of the default set counts.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils._gauges import DEFAULT_GAUGES, validate_gauges


class Probe(NamedTuple):
    """A check that the roles install: its service, the labels it prints, and the scale of its thresholds."""

    service: str
    labels: Tuple[str, ...]
    scale: str


PROBES = {
    "memory": Probe("memory", ("mem_available", "mem_used"), "ratio"),
    "cpu": Probe("cpu", ("cpu_idle", "cpu_user"), "ratio"),
    "load": Probe("load", ("scaled_load1",), "load"),
    "disk": Probe("disk /", ("/",), "ratio"),
    "ping_time": Probe("ping", ("rta",), "s"),
    "ping_loss": Probe("ping", ("pl",), "ratio"),
    "http_time": Probe("http", ("time",), "s"),
}


def thresholds(gauges: Optional[Sequence[Mapping[str, Any]]] = None) -> Dict[str, Dict[str, float]]:
    """``warning`` and ``critical`` per probe: percent used, percent lost, seconds, or load per core."""
    if gauges:
        validate_gauges(gauges)
    result: Dict[str, Dict[str, float]] = {}
    for name, probe in PROBES.items():
        marks = _marks(gauges or [], probe) or _marks(DEFAULT_GAUGES, probe)
        if marks is None:
            raise ValueError(f"the default gauges have no marks for {name}")  # a unit test holds this true
        factor = 100 if probe.scale == "ratio" else 1
        result[name] = {"warning": round(marks[0] * factor, 3), "critical": round(marks[1] * factor, 3)}
    return result


def _marks(gauges: Sequence[Mapping[str, Any]], probe: Probe) -> Optional[Tuple[float, float]]:
    for gauge in gauges:
        services = gauge.get("service") or []
        for pattern in [services] if isinstance(services, str) else services:
            if fnmatchcase(probe.service, pattern.lower()):
                break
        else:
            continue
        for source in [gauge, *(gauge.get("alternatives") or [])]:
            label = str(source.get("label") or "")
            if any(fnmatchcase(printed, label) for printed in probe.labels):
                marks = _used({**gauge, **source}, probe)
                if marks is not None:
                    return marks
    return None


def _used(source: Mapping[str, Any], probe: Probe) -> Optional[Tuple[float, float]]:
    """Both marks as "how much is used", or None when they are of another scale."""
    clear, top = source.get("clear_at"), source.get("raise_at")
    if clear is None or top is None:
        return None
    if probe.scale == "ratio" and clear > top:  # a gauge of what is left over
        clear, top = 1 - clear, 1 - top
    if not 0 <= clear <= top or top <= 0 or (probe.scale == "ratio" and top > 1):
        return None
    return float(clear), float(top)
