# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Starts the guard out of the files that role guard installed beside this one."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))

from selfheal._guard import main  # type: ignore[import-not-found]  # installed beside this file by the role

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
