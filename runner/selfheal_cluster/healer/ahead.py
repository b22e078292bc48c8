# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The connections of a heal that may be near: a child of the prepared run opens them while the node is only suspect.

A heal begins with questions to balancers, pairs and Nagios at once, and each new connection of SSH costs half a second
of that. A gauge needs several readings, so there is time before. The child plays ``selfheal.cluster.ahead``: Ansible
itself opens what the heal will take up. They end with the unit. Nothing depends on them: what is not open is opened
by the heal.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import NoReturn

PLAYBOOK = "selfheal.cluster.ahead"


class Ahead:
    """At most one child at a time, in a session of its own."""

    def __init__(self, inventory: str) -> None:
        self._inventory = inventory
        self._child = 0

    def begin(self, node: str) -> None:
        """Open what a heal of this node asks through; nothing where an earlier child still works."""
        if self._child and os.waitpid(self._child, os.WNOHANG) == (0, 0):
            return
        self._child = 0
        try:
            self._child = os.fork()
        except OSError:  # no memory or no process left: what it would be spared is the heal's again
            return
        if not self._child:
            alone(lambda: play(self._inventory, node))

    def end(self) -> None:
        """The heal begins, and needs the processor itself. A connection that is open is no child's any more.

        Ansible's workers are in sessions of their own, so that one that is just logging in comes to its end, within the
        ten seconds of its task, and the heal finds the connection open.
        """
        child, self._child = self._child, 0
        if not child:
            return
        with contextlib.suppress(ProcessLookupError):  # a child that has not come as far as its session
            os.killpg(child, signal.SIGKILL)
        os.kill(child, signal.SIGKILL)  # ours until it is waited for, also when it has ended
        os.waitpid(child, 0)


def alone(work: Callable[[], object]) -> NoReturn:
    """In the child: nothing of the parent's is written to, ended or removed, whatever becomes of the work."""
    with contextlib.suppress(BaseException):
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for place in (0, 1, 2):
            os.dup2(nothing, place)
        work()
    os._exit(0)


def quiet(*_given: object, **_named: object) -> None:
    """Nobody reads what is displayed."""


def play(inventory: str, node: str) -> None:
    """The playbook, in this process, which has Ansible loaded."""
    from ansible import constants
    from ansible.cli.playbook import PlaybookCLI
    from ansible.utils.display import Display

    # The runner's own callback would write into the events of the heal, and so does each line that is displayed.
    constants.DEFAULT_STDOUT_CALLBACK = "minimal"
    setattr(Display, "display", quiet)  # noqa: B010  mypy knows no other way to replace a method
    # What is packed for the heal is its own; this is removed with it.
    constants.DEFAULT_LOCAL_TMP = tempfile.mkdtemp(prefix="ahead-", dir=constants.DEFAULT_LOCAL_TMP)
    sys.argv = ["ansible-playbook", "-i", inventory, "-e", json.dumps({"selfheal_node": node}), PLAYBOOK]
    PlaybookCLI.cli_executor()
