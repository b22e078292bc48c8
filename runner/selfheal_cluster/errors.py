# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""How the command ends, and the one exception that ends it early."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of ``selfheal``; docs/cli.md explains them."""

    OK = 0  # done; for a heal: healed and verified
    ERROR = 1  # something is missing or broken before anything was done
    USAGE = 2  # the command line does not make sense, or names a node that is not there
    REFUSED = 3  # the plan refused the heal; nothing was touched
    FAILED = 4  # the heal began and did not end well, or its end is not known


# Reasons that a heal is refused for because of what was typed.
USAGE_REASONS = frozenset(
    {"unknown_node", "empty_target", "ambiguous_target", "unknown_reason", "unknown_variable", "bad_incident"}
)


class CliError(Exception):
    """A failure with the next step for the person who typed the command."""

    def __init__(self, message: str, hint: str = "", code: Exit = Exit.ERROR) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
