# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""``python -m tests.bench``."""

from __future__ import annotations

import sys

from tests.bench.run import main

sys.exit(main())
