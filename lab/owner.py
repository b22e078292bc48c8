# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Whose lab this is: a run that makes a lab for itself leaves its mark on it and removes it at its end.

A run that was killed could not, so the next one finds the mark of a dead process and removes that lab first. A lab
without a mark (`make lab`, `KEEP=1`) is somebody's: it is used, and left up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from lab.host import start_time, write
from lab.machines import DEFAULT_NAME, FARM, Lab

#: Names, for `lab/up`, the process that will remove the lab.
VARIABLE = "LAB_OWNER"
FILE = "owner.json"


def environment(keep: bool = False) -> dict[str, str]:
    """What `lab/up` is given by a run that removes the lab at its end; nothing when the lab shall stay."""
    return {} if keep else {VARIABLE: str(os.getpid())}


def put(lab: Lab, given: Mapping[str, str]) -> None:
    """Leave the mark of the process that the environment names; without one, none is left."""
    pid = given.get(VARIABLE, "")
    if pid.isdigit() and (started := start_time(int(pid))):
        write(lab.state / FILE, json.dumps({"pid": int(pid), "started": started}))


def abandoned(lab: Lab) -> bool:
    """Whether the run that made this lab, and would have removed it, is dead."""
    try:
        mark = json.loads((lab.state / FILE).read_text())
        return start_time(int(mark["pid"])) != str(mark["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def abandoned_labs(lab: Lab) -> list[Lab]:
    """What is removed before this lab is made: itself, and beside the default lab those of other names, if their run
    is dead. (A lab of another name may be in a network namespace, where the bridge of the default lab is not seen.)
    """
    if lab.name != DEFAULT_NAME:
        return [lab] if abandoned(lab) else []
    default = lab.state
    names = [
        path.parent.name.removeprefix(default.name).removeprefix("-") or DEFAULT_NAME
        for path in default.parent.glob(f"{default.name}*/{FILE}")
    ]
    return [other for other in map(Lab, sorted(names)) if abandoned(other)]


def to_make(lab: Lab) -> bool:
    """Whether a run that begins now makes this lab, and so has to remove it: there is none, or a dead run's."""
    return not lab.nodes(FARM) or abandoned(lab)
