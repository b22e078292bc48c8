# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""One HTML page about one incident: it opens offline, has no script, and reads the same without colour and on paper.

``incident_page`` takes what ``selfheal show INCIDENT --json`` gives, and optionally the judge's figures under
``judge``. Text from outside is escaped by the template engine, and made visible before.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfheal_cluster.page.judge import judged
from selfheal_cluster.page.model import model

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["incident_page", "judged"]

CELL = 4000  # characters of one value; what is longer is no reading for a person


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean

    def visible(value: object) -> object:
        """Every value that is printed goes through here: only our own drawings are markup."""
        if isinstance(value, Markup):
            return value
        return "" if value is None else clean(value, CELL)

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("incident.html.j2")


def incident_page(data: Mapping[str, Any]) -> str:
    """The whole page. Whatever is missing or of a strange type in ``data`` is left out, never guessed."""
    return _template().render(**model(data)).rstrip() + "\n"
