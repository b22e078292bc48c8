# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the judge writes down, and its files: one JSON array or object per line, times in epoch seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

ANSWERS = "answers.jsonl"
SAMPLES = "samples.jsonl"
MARKS = "marks.jsonl"
ERRORS = ("", "connect", "timeout", "reset", "closed", "status")


@dataclass(frozen=True)
class Answer:
    """One request and what came of it; `seconds` is how long it asked the service to take."""

    sent: float
    done: float
    status: int = 200
    error: str = ""
    new: bool = False
    method: str = "GET"
    seconds: float = 0.0
    balancer: str = ""
    member: str = ""

    @property
    def ok(self) -> bool:
        return not self.error

    def row(self) -> list[Any]:
        return [
            round(self.sent, 4),
            round(self.done, 4),
            self.status,
            self.error,
            int(self.new),
            self.method,
            round(self.seconds, 2),
            self.balancer,
            self.member,
        ]

    @classmethod
    def from_row(cls, row: list[Any]) -> Answer:
        sent, done, status, error, new, method, seconds, balancer, member = row
        return cls(sent, done, status, error, bool(new), method, seconds, balancer, member)


@dataclass(frozen=True)
class ServerSeen:
    """A member as one balancer shows it."""

    status: str
    total: int = 0
    sessions: int = 0

    @property
    def out(self) -> bool:
        """Gets no new request. `UP 1/3` is on its way down but still gets some."""
        return not (self.status.startswith("UP") or self.status == "no check")


@dataclass(frozen=True)
class BalancerSeen:
    """One look at one balancer's statistics; `servers` is None when it did not answer."""

    at: float
    balancer: str
    servers: Mapping[str, ServerSeen] | None


@dataclass(frozen=True)
class MachineSeen:
    """One look at a machine from the host: start of its first process, of its units, its address, its offset.

    The offset is what keepalived adds to its priority by its track file; None where none was seen.
    """

    at: float
    node: str
    boot: float
    units: Mapping[str, float]
    address: bool = False
    offset: int | None = None


@dataclass(frozen=True)
class ProbeSeen:
    """The newest result of one Nagios check, written down when it changed.

    ``last_check`` is when the check began, in Nagios' whole seconds; ``took``: the seconds until it had its result.
    """

    at: float
    host: str
    service: str
    status: str
    hard: bool
    last_check: float
    took: float = 0.0


@dataclass(frozen=True)
class Mark:
    """Something that was done on purpose: injected, mended, drill, operator, command, move, end."""

    at: float
    event: str
    node: str = ""
    label: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


Sample = BalancerSeen | MachineSeen | ProbeSeen


def sample_row(sample: Sample) -> dict[str, Any]:
    if isinstance(sample, BalancerSeen):
        servers = (
            None
            if sample.servers is None
            else {name: [seen.status, seen.total, seen.sessions] for name, seen in sample.servers.items()}
        )
        return {"b": sample.balancer, "at": round(sample.at, 3), "servers": servers}
    if isinstance(sample, MachineSeen):
        return {
            "m": sample.node,
            "at": round(sample.at, 3),
            "boot": sample.boot,
            "units": dict(sample.units),
            "address": sample.address,
            **({} if sample.offset is None else {"offset": sample.offset}),
        }
    return {
        "p": sample.host,
        "at": round(sample.at, 3),
        "service": sample.service,
        "status": sample.status,
        "hard": sample.hard,
        "last_check": sample.last_check,
        "took": sample.took,
    }


def sample_from_row(row: dict[str, Any]) -> Sample:
    if "b" in row:
        servers = row["servers"]
        return BalancerSeen(
            row["at"],
            row["b"],
            None if servers is None else {name: ServerSeen(*values) for name, values in servers.items()},
        )
    if "m" in row:
        return MachineSeen(row["at"], row["m"], row["boot"], row["units"], row["address"], row.get("offset"))
    return ProbeSeen(
        row["at"], row["p"], row["service"], row["status"], row["hard"], row["last_check"], row.get("took", 0.0)
    )


class Writer:
    """Appends lines; the operating system's buffer is reached at least once a second by `flush`."""

    def __init__(self, path: Path) -> None:
        self.file: TextIO = path.open("a", encoding="utf-8", buffering=1 << 16)

    def put(self, value: Any) -> None:
        self.file.write(json.dumps(value, separators=(",", ":")) + "\n")

    def flush(self) -> None:
        self.file.flush()


def lines(path: Path) -> Iterator[Any]:
    """The values of a file; a last line that was cut off by a kill is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def read_answers(out: Path) -> list[Answer]:
    return sorted((Answer.from_row(row) for row in lines(out / ANSWERS)), key=lambda answer: answer.sent)


def read_samples(out: Path) -> list[Sample]:
    return sorted((sample_from_row(row) for row in lines(out / SAMPLES)), key=lambda sample: sample.at)


def read_marks(path: Path) -> list[Mark]:
    return sorted((Mark(**row) for row in lines(path)), key=lambda mark: mark.at)


def put_mark(path: Path, mark: Mark) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(
            json.dumps(
                {
                    "at": round(mark.at, 3),
                    "event": mark.event,
                    "node": mark.node,
                    "label": mark.label,
                    "detail": dict(mark.detail),
                }
            )
            + "\n"
        )
