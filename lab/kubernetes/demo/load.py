# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Requests as clients send them, each over a connection of its own: bounded, and to addresses of the lab only."""

from __future__ import annotations

import http.client
import itertools
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from lab.machines import LabError

#: No plan may go beyond these: clients, requests per second of each, seconds, and requests in all.
MOST_CLIENTS = 40
MOST_RATE = 10.0
MOST_SECONDS = 600.0
MOST_REQUESTS = 60_000


@dataclass(frozen=True)
class Plan:
    """``rate``: requests per second of each client; ``seconds``: the longest it lasts; ``timeout``: of one request."""

    clients: int
    rate: float
    seconds: float
    path: str = "/simple"
    timeout: float = 5.0

    def __post_init__(self) -> None:
        within = (
            0 < self.clients <= MOST_CLIENTS
            and 0 < self.rate <= MOST_RATE
            and 0 < self.seconds <= MOST_SECONDS
            and self.most <= MOST_REQUESTS
        )
        if not within:
            raise LabError(
                f"{self.clients} clients at {self.rate:g}/s for {self.seconds:g} s are beyond the bounds of a load: "
                f"{MOST_CLIENTS} clients, {MOST_RATE:g}/s each, {MOST_SECONDS:g} s, {MOST_REQUESTS} requests"
            )

    @property
    def each(self) -> int:
        """Requests of one client at most."""
        return max(1, int(self.rate * self.seconds))

    @property
    def most(self) -> int:
        """Requests of all of them at most."""
        return self.clients * self.each


#: What clients do all the time, while something else is shown.
LIGHT = Plan(clients=4, rate=5.0, seconds=600.0)
#: Less than that, so that the autoscaler sees nothing of it.
IDLE = Plan(clients=2, rate=2.0, seconds=330.0)
#: Dear and few: what scales is CPU time, and cheap requests at a high rate only use up the host's ports.
#: 0.84 cores in all, which is the target of six pods in the lab (lab/kubernetes/ei.yml). Many clients, because each
#: waits for its answer: on a slow machine ten of them came to little more than half of it.
HEAVY = Plan(clients=14, rate=5.0, seconds=240.0, path="/burn?ms=12", timeout=10.0)


class Answer(NamedTuple):
    """One request. ``begun``: seconds since the epoch; ``why``: what was wrong, empty where nothing was."""

    begun: float
    ok: bool
    why: str


class Felt(NamedTuple):
    """``gap``: the longest time in seconds between two good answers; nothing where there are not two."""

    sent: int
    failed: int
    gap: float | None

    def __str__(self) -> str:
        gap = "" if self.gap is None else f", the longest time between two good answers was {self.gap:.2f} s"
        return f"{self.failed} of {self.sent} requests failed{gap}"


def felt(answers: Iterable[Answer]) -> Felt:
    """The sum of answers, in whatever order they came."""
    every = list(answers)
    good = sorted(answer.begun for answer in every if answer.ok)
    return Felt(
        len(every),
        len(every) - len(good),
        max((later - sooner for sooner, later in itertools.pairwise(good)), default=None),
    )


def ask(address: str, port: int, path: str = "/simple", tls: Path | None = None, timeout: float = 3) -> tuple[int, str]:
    """One GET without keep-alive, with TLS where an authority's file is given; status and body. 0 is no answer."""
    made = (
        http.client.HTTPSConnection(address, port, timeout=timeout, context=ssl.create_default_context(cafile=str(tls)))
        if tls
        else http.client.HTTPConnection(address, port, timeout=timeout)
    )
    try:
        # Kubernetes balances connections, not requests: a kept one would never see a new pod.
        made.request("GET", path, headers={"Connection": "close"})
        answer = made.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        made.close()


def one_client(
    plan: Plan, asks: Callable[[], tuple[int, str]], wait: Callable[[float], bool], now: Callable[[], float]
) -> Iterator[Answer]:
    """The answers of one client at its rate. ``wait`` takes seconds, and is true when the load is over."""
    until = now() + plan.seconds
    for _ in range(plan.each):
        begun = now()
        if begun >= until:
            return
        status, body = asks()
        yield Answer(begun, status == 200, "" if status == 200 else f"{status}: {body[:200]}")
        if wait(max(0.0, 1 / plan.rate - (now() - begun))):
            return


class Load:
    """Clients that ask one address until the block is left, or the plan is over."""

    def __init__(self, plan: Plan, address: str, port: int, lab: Collection[str]) -> None:
        if address not in lab:
            raise LabError(f"{address} is not an address of this lab: no load goes there")
        self.plan = plan
        self.answers: list[Answer] = []
        self._ask = partial(ask, address, port, plan.path, timeout=plan.timeout)
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(plan.clients)]

    def _work(self) -> None:
        for answer in one_client(self.plan, self._ask, self._end.wait, time.time):
            self.answers.append(answer)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._end.set()
        until = time.monotonic() + self.plan.timeout + 2  # for all of them together
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    @property
    def felt(self) -> Felt:
        """What these clients felt until now."""
        return felt(list(self.answers))
