# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the loop needs of the world outside its process. Tests stand in here with fakes that are named so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from selfheal_cluster.healer.reading import Reading
from selfheal_cluster.healer.spool import Batch


class Folder(Protocol):
    """The spool."""

    def names(self) -> list[str]: ...

    def read(self, now: float) -> Batch: ...

    def remove(self, name: str, now: float) -> str: ...

    def set_aside(self, name: str, now: float) -> str: ...


class Reader(Protocol):
    """Reads Nagios without making the loop wait."""

    @property
    def running(self) -> bool: ...

    def begin(self, policies: Mapping[str, Any], since: Mapping[str, float], now: float) -> None: ...

    def ready(self) -> bool: ...

    def collect(self) -> Reading | None: ...

    def stop(self) -> None: ...


class Policies(Protocol):
    """Renders the policies of the inventory without making the loop wait."""

    @property
    def running(self) -> bool: ...

    def changed(self) -> bool: ...

    def begin(self) -> None: ...

    def collect(self) -> Mapping[str, Any] | None: ...

    def stop(self) -> None: ...


class Runs(Protocol):
    """Runs as units of systemd."""

    def name(self, incident: str, number: int) -> str: ...

    def start(self, unit: str) -> None: ...

    def listed(self) -> dict[str, str]: ...


class Prepared(Protocol):
    """The next run, begun ahead, or none."""

    def step(self, now: float, wanted: bool) -> None: ...

    def unit(self, now: float) -> str: ...

    def suspect(self, node: str, now: float) -> None: ...

    def give(self, name: str) -> bool: ...

    def close(self) -> None: ...
