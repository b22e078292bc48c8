# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Our modules on the ill node go before what made it ill.

On a node whose CPU is burnt, Python alone takes seconds to start: measured in the lab, evidence was given up after nine
and the restart took twelve. So it runs at a higher priority there, for the one call. Nothing inherits that: systemd
starts the service, and our modules leave no process behind. Where it is not allowed (no root, a container without
CAP_SYS_NICE) or renice(1) is not there, nothing is said and the module runs as any other.

A priority counts among the tasks of one group (sched(7)). Where the kernel groups by session (autogroup), the group of
this call gets the same number; each command of SSH is a session of its own. Where units have shares of their own
(cgroups with the CPU controller), SSH has its share whatever the service burns, and this does nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

NICENESS = -10
#: A command of the shell that starts the module, and so for all that this shell starts. It never fails.
FIRST = f"{{ renice -n {NICENESS} -p $$; echo {NICENESS} >/proc/$$/autogroup; }} </dev/null >/dev/null 2>&1; "


@contextlib.contextmanager
def urgent(connection: Any) -> Iterator[None]:
    """Modules that are run on this connection within the block are.

    In the shell that starts Python, after ``become``: an interpreter of several words is quoted by Ansible, and the
    shell of ``ansible_shell_executable`` has not yet become root.
    """
    shell = connection._shell
    build = shell.build_module_command

    def first(*given: Any, **named: Any) -> Any:
        return FIRST + build(*given, **named)

    shell.build_module_command = first
    try:
        yield
    finally:
        shell.build_module_command = build
