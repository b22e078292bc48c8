# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Change one object of Kubernetes on the look that it was judged by, and wait for an API server that is away.

Objects change all the time without anybody's doing: kubelet writes a node's status every few seconds, and a roll-out
that of its Deployment. Such a change is no reason to give up: the object is read, judged and changed again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from ._kubernetes import Api, KubernetesError
from ._kubernetes_hold import JSON_PATCH, guarded

TRIES = 5
PAUSE = 1.0
Result = TypeVar("Result")


def change(
    api: Api,
    path: str,
    make: Callable[[dict[str, Any]], list[dict[str, Any]]],
    check_mode: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Read, have ``make`` judge it and give the operations of a JSON patch, and patch this very version of it.

    Returns the object that was judged. ``make`` raises where nothing may be changed; no operations change nothing. In
    check mode nothing is sent, or with ``dry_run`` only asked whether the server would take it.
    """
    for number in range(TRIES):
        item = api.get(path)
        changes = make(item)
        if not changes or (check_mode and not dry_run):
            return item
        try:
            query = {"dryRun": "All"} if check_mode else {}
            api.request("PATCH", path, guarded(item, changes), JSON_PATCH, False, **query)
        except KubernetesError as exc:
            if exc.reason != "conflict" or number == TRIES - 1:
                raise
        else:
            return item
    raise AssertionError("not reached")  # the loop returns or raises


def patiently(
    act: Callable[[], Result],
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Do it, and again while the API server gives no answer and there is time. Only for what may be done twice."""
    end = clock() + seconds
    while True:
        try:
            return act()
        except KubernetesError as exc:
            if exc.reason != "api_unreachable" or clock() + PAUSE >= end:
                raise
        sleep(PAUSE)
