# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The one exception that every part of the collection raises on purpose."""

from __future__ import annotations


class SelfhealError(Exception):
    """A failure with a word for machines and a sentence for people.

    ``reason`` is a stable word such as ``stale_epoch``; ``message`` says what is wrong and what to do next.
    Modules catch this class and nothing broader, so that a bug stays visible as a bug.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
