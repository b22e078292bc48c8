# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How the parts of the survey look into the observations, where anything may be absent."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence

Finding = Dict[str, Any]

NO_SIGHT: Mapping[str, Any] = {"reachable": None, "error": "it was not asked"}


def finding(weight: str, where: str, what: str, file: str = "", lines: Sequence[str] = ()) -> Finding:
    """One thing that is missing: how much it matters, where, what, and the lines to add to which file."""
    return {"weight": weight, "where": where, "what": what, "file": file, "lines": list(lines)}


def sight(observed: Mapping[str, Any], host: str) -> Mapping[str, Any]:
    """What was seen of one host, or an empty sight with the reason."""
    found = (observed.get("seen") or {}).get(host)
    return found if isinstance(found, Mapping) else NO_SIGHT


def part(observed: Mapping[str, Any], host: str, name: str) -> Optional[Mapping[str, Any]]:
    """One observation of a host (``balancer``, ``keepalived``, ``target``, ``nagios``, ``journal``), if any."""
    found = sight(observed, host).get(name)
    return found if isinstance(found, Mapping) else None


def why_not(observed: Mapping[str, Any], host: str, name: str) -> str:
    """The sentence that says why an observation of a host is missing."""
    seen = sight(observed, host)
    return str(seen.get(name + "_error") or seen.get("error") or "it gave no answer")


def rows(answer: Optional[Mapping[str, Any]], key: str) -> List[Mapping[str, Any]]:
    """A list of records out of an answer that may lack it, or hold holes."""
    return [row for row in (answer or {}).get(key) or [] if isinstance(row, Mapping)]


def pair_instance(answer: Mapping[str, Any], layer: Mapping[str, Any]) -> Optional[Mapping[str, Any]]:
    """The instance of the pair out of everything that keepalived runs."""
    named = [one for one in rows(answer, "instances") if one.get("instance") == layer.get("instance")]
    return named[0] if named else None
