# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A question to a node that may be too ill to answer: how long it is waited for, and what silence means.

The kernel of a node whose processes stand still accepts every connection, so SSH waits for a greeting that never comes,
and on a connection that was kept (ControlPersist) for an answer that never comes. A node that is only slow greets, and
its restart may cure it. So silence alone proves nothing, and a node counts as reached only if its SSH was heard.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from ansible.errors import AnsibleConnectionFailure

GREETING_SECONDS = 4  # on the way to an answer: how long the greeting of SSH may take
AGAIN_SECONDS = 2  # after a question without an answer: how long the greeting may take on a connection of its own
LOGIN_SECONDS = 0.5  # more than SSH itself waits for the greeting; who is still logging in by then was greeted


class TimeUp(BaseException):
    """The time of a question is up. No ``Exception``, so that no retry of a connection plugin takes it for its own."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise :class:`TimeUp` after these seconds; 0: never. The time-out of the task itself goes on behind it."""
    if not seconds:
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeUp

    begun = time.monotonic()
    handler = signal.signal(signal.SIGALRM, ring)
    left, _interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:  # of the task; what is over by now is told at once
            signal.setitimer(signal.ITIMER_REAL, max(0.01, left - (time.monotonic() - begun)))


def hurry(connection: Any, seconds: float) -> None:
    """Let SSH give a new connection up that is not greeted in these seconds, or sooner if it was told so."""
    if connection.transport == "ssh":
        told = connection.get_option("timeout") or seconds  # 0 is no limit at all
        connection.set_option("timeout", int(max(1, min(seconds, told))))


def greeted(action: Any) -> bool:
    """Whether SSH of the node is heard on a new connection; a kept one would wait behind the question."""
    connection = action._connection
    if connection.transport != "ssh":
        return False  # nobody knows, so nothing is taken for granted
    # The first of several values counts for ssh.
    own = "-o ControlMaster=no -o ControlPath=none"
    connection.set_option("ssh_args", f"{own} {connection.get_option('ssh_args') or ''}".strip())
    hurry(connection, AGAIN_SECONDS)
    try:
        with within(connection.get_option("timeout") + LOGIN_SECONDS):
            action._low_level_execute_command("true", sudoable=False)
    except AnsibleConnectionFailure:
        return False
    except TimeUp:
        return True
    return True


def silence(action: Any, seconds: float) -> dict[str, Any]:
    """The result of a question that was not answered in these seconds."""
    if greeted(action):
        return {"failed": True, "msg": f"no answer in {seconds:g} s, although its SSH greets"}
    return {"unreachable": True, "msg": f"no answer in {seconds:g} s, and no greeting of SSH either"}
