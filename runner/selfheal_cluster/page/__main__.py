# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""``python -m selfheal_cluster.page --journal F --incident ID --out FILE``: the page as a process of its own.

For the healer, whose loop keeps the template engine out of its memory; it runs on the host of the journal.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.selfheal.cluster.plugins.module_utils._clean import clean
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_read import opened, overview
from selfheal_cluster.page import incident_page
from selfheal_cluster.view import one_incident

DECISIONS = 500


def write(journal: str, incident: str, out: Path) -> None:
    """Write the page whole or not at all; raises SelfhealError or OSError.

    Its time is when the journal was read: what changes while the page is written makes it due again.
    """
    read_at = time.time()
    with opened(journal) as reading:
        found = json.loads(json.dumps(overview(reading, read_at, incident, DECISIONS, False)))
    text = incident_page(one_incident(found, incident) or {})
    aside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8")
        os.utime(aside, (read_at, read_at))
        aside.replace(out)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def main(argv: Sequence[str] | None = None) -> int:
    """One page; 0, or 1 with one line that says why not."""
    parser = argparse.ArgumentParser(prog="python -m selfheal_cluster.page", description=__doc__)
    parser.add_argument("--journal", default="/var/lib/selfheal/journal.db", help="path of the journal")
    parser.add_argument("--incident", required=True, help="id of the incident")
    parser.add_argument("--out", required=True, type=Path, help="the HTML file")
    asked = parser.parse_args(argv)
    try:
        write(asked.journal, asked.incident, asked.out)
    except (SelfhealError, OSError) as error:
        print(f"selfheal page: {clean(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
