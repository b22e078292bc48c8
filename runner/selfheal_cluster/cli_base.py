# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What all commands of ``selfheal`` share: their options, data for programs, and playbooks that only read."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from selfheal_cluster.errors import CliError, Exit

# One set of options for all commands, set by the callback before the command runs.
SETTINGS: dict[str, Any] = {"inventory": [], "json": False}

JOURNAL_LIMIT = 500  # incidents that are read where nobody says how many

Inventory = Annotated[
    list[str] | None, typer.Option("--inventory", "-i", help="Inventory; without it Ansible's own setting counts.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs instead of tables.")]


def settle(inventory: list[str] | None, as_json: bool) -> tuple[list[str], bool]:
    """Options before and behind the command are the same thing."""
    return [*SETTINGS["inventory"], *(inventory or [])], bool(SETTINGS["json"] or as_json)


def emit(value: object) -> None:
    """Data for a program: one JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=True) + "\n")


def read(
    playbook: str,
    inventory: list[str],
    as_json: bool,
    key: str,
    working: str,
    extra: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a playbook that only reads, and return one part of its result."""
    from selfheal_cluster import follow, show
    from selfheal_cluster import playbook as runs

    try:
        if as_json:
            done = runs.run(playbook, inventory, extra)
        else:
            with show.console(stderr=True).status(working):
                done = runs.run(playbook, inventory, extra)
    except KeyboardInterrupt:
        raise CliError("stopped; it was only reading, so nothing has changed") from None
    found = done.result.get(key)
    if not isinstance(found, dict):
        raise follow.broken(done)
    return found


def check_incident(incident: str) -> None:
    """Refuse what cannot be the id of an incident before anything runs."""
    from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
    from selfheal_cluster.follow import NAME

    if not NAME.match(incident):
        raise CliError(
            f"{clean(incident, 60)!r} is no id of an incident", "see them with: selfheal history", Exit.USAGE
        )


def journal(inventory: list[str], as_json: bool, incident: str = "", limit: int = JOURNAL_LIMIT) -> dict[str, Any]:
    """The journal, or all about one incident, or the sentence why there is none."""
    from selfheal_cluster import local

    place = local.here(inventory)
    if place is not None:
        found = local.journal(place, incident, limit)
    else:
        extra = {"selfheal_incident": incident} if incident else None
        found = read("journal", inventory, as_json, "journal", "reading the journal", extra)
    if not found.get("present"):
        if incident and found.get("reason") == "unknown_incident":
            raise CliError(str(found.get("error")), code=Exit.USAGE)
        raise CliError(
            f"no journal on {found.get('host') or 'any host'}: {found.get('error')}",
            "selfheal survey says which lines are missing for one",
        )
    return found


def one_incident(inventory: list[str], as_json: bool, incident: str) -> dict[str, Any]:
    """Everything about one incident; a near miss is told."""
    from selfheal_cluster import show, view

    check_incident(incident)
    found = journal(inventory, as_json, incident)
    one = view.one_incident(found, incident)
    if one is None:
        near = show.nearest(incident, [view.incident_id(row) for row in view.incidents(found)])
        raise CliError(f"the journal has no incident {incident}", near or "see them with: selfheal history", Exit.USAGE)
    return one
