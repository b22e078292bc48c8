# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A real pair for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.keepalived.harness import Pair


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A configured pair that is not started yet."""
    found = Pair(tmp_path)
    try:
        yield found
    finally:
        found.close()
