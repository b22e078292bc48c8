# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the outputs of failed checks say about the way to the node: agent out of reach, agent starved, no network.

Nagios calls a check CRITICAL when it could not be made at all, so the state alone would turn a stopped NRPE into a
full memory. Only the text tells them apart. It is text from outside: it chooses among three words and goes no further.
"""

from __future__ import annotations

import re

_AGENT = re.compile(r"nrpe|port 5666|connect to host .*5666", re.IGNORECASE)
_STARVED = re.compile(
    r"\bfork(?:\(\))? failed|(?:unable|failed|could not|cannot|can't) (?:to )?fork"
    r"|cannot allocate memory|resource temporarily unavailable",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(
    r"refused|timed? ?out|timeout|no route to host|unreachable|could not connect|reset by peer|ssl handshake"
    r"|received 0 bytes|header underflow|error receiving data|host is down",
    re.IGNORECASE,
)
_NO_NETWORK = re.compile(r"no route to host|network is unreachable|host is down|connection timed out", re.IGNORECASE)
_LIMIT = 1000


def agent_trouble(output: str) -> str:
    """``unreachable``, ``starved`` (it answers, but cannot start a check) or empty for any other output."""
    text = output[:_LIMIT]
    if _STARVED.search(text):
        return "starved"
    if _AGENT.search(text) and _UNREACHABLE.search(text):
        return "unreachable"
    return ""


def no_network(output: str) -> bool:
    """Whether the output of a failed TCP check says that no packet came through; a refusal says the opposite."""
    return bool(_NO_NETWORK.search(output[:_LIMIT]))
