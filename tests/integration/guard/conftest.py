# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The pair of the tests of keepalived, lent to the guard's."""

from __future__ import annotations

from tests.integration.keepalived.conftest import pair

__all__ = ["pair"]
