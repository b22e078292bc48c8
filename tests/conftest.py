# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Which worker runs what: everything on the lab's machines in one, in its order, and the rest in the other."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        lab = item.get_closest_marker("lab") is not None
        item.add_marker(pytest.mark.xdist_group("lab" if lab else "rest"))
