# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What to try next after `make lab`, `make lab-break`, `make lab-mend` and `make lab-down`, for a person at a terminal.

Standard library only: it runs with the system's Python, like the faults.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from lab.machines import Lab, LabError


def command(lab: Lab, *words: str) -> str:
    """The one command against this lab, as it can be pasted."""
    return f"ANSIBLE_CONFIG={lab.state}/ansible.cfg .venv/bin/selfheal {' '.join(words)} -i lab/inventory"


def hints(lab: Lab, what: str, node: str) -> list[str]:
    """The next things after one of the lab's commands."""
    if what == "up":
        return [
            "The lab is up: monitor (Nagios, journal), extlb1 and extlb2 (HAProxy, keepalived), ei1 to ei3.",
            f"look:       {command(lab, 'survey')}",
            "break:      make lab-break NODE=ei1 FAULT=memory      (make lab-faults lists all)",
            f"practise:   {command(lab, 'heal', 'ei1', '--reason', 'drill')}",
            "remove:     make lab-down",
        ]
    if what == "break":
        return [
            f"Nagios sees it within some seconds: {command(lab, 'survey')}",
            f"heal it:                {command(lab, 'heal', node)}",
            f"or undo without a heal: make lab-mend NODE={node}",
        ]
    if what == "mend":
        return [f"see that it is well: {command(lab, 'survey')}"]
    return ["The lab is removed; what it is built from stays cached (make clean-cache removes that too).",
            "start it again: make lab"]  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Silent for a program, so that scripts see only what the command itself says."""
    if not sys.stdout.isatty():
        return 0
    try:
        lab = Lab.from_env()
    except LabError:
        return 0
    print("\n".join(hints(lab, arguments[0] if arguments else "", arguments[1] if len(arguments) > 1 else "NODE")))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
