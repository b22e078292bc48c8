# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A real HAProxy for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.haproxy.harness import Balancer


@pytest.fixture
def balancer(tmp_path: Path) -> Iterator[Balancer]:
    """HAProxy and its three members, all up."""
    found = Balancer(tmp_path)
    try:
        for member in found.members:
            member.start()
        found.start()
        yield found
    finally:
        found.close()
