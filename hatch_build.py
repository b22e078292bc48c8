# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Puts the collection's single files into the wheel: hatch's ``sources`` maps folders only."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COLLECTION = "ansible_collections/selfheal/cluster"


class CollectionFiles(BuildHookInterface):  # type: ignore[type-arg]  # generic only in hatchling's stubs
    """Without ``galaxy.yml`` beside it, ansible reports the installed collection as version ``*``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to the ``standard`` build; an editable one finds them in the checkout."""
        if version == "standard":
            for name in ("galaxy.yml", "README.md", "LICENSE"):
                build_data["force_include"][name] = f"{COLLECTION}/{name}"
