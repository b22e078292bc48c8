# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Restart one service on this machine, as one operation that proves its own right (invariant 8).

The order is: everything that can refuse; then, under the lock of holds and epochs, the epoch, the record of this
restart, and the one command to systemd. Whatever dies after that - SSH, the controller, this process - systemd carries
the restart through: nobody leaves a node stopped (invariant 11). The record makes a second call under the same incident
wait for the first restart instead of doing another.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import time
from typing import Any, Callable, Dict, List, Mapping, Optional, Set

from ansible_collections.selfheal.cluster.plugins.module_utils import _health
from ansible_collections.selfheal.cluster.plugins.module_utils import _restart_checks as checks
from ansible_collections.selfheal.cluster.plugins.module_utils import _sockets as sockets
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._holds import (
    Holds,
    boot_id,
    file_name,
    uptime_clock,
    write_atomic,
)

PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "MainPID",
    "InvocationID",
    "ExecMainStartTimestampMonotonic",
    "Result",
    "Job",
    "RefuseManualStart",
    "RefuseManualStop",
)
POLL = 0.05
KEPT_RELIEFS = 3
IDLE_SECONDS = 20.0  # HAProxy closes idle connections by halves, every 5 s by default
Params = Mapping[str, Any]
Runner = Callable[[List[str]], str]


# systemctl gives up by itself after 25 s and says so in its own words; systemd may have the job all the same.
_NO_ANSWER = re.compile(
    r"timed out|reset by peer|not connected|not receive a reply|Broken pipe|Connection terminated",
    re.IGNORECASE,
)
ANSWER_SECONDS = 20


class Unanswered(SelfhealError):
    """The command was given and nobody said what became of it."""


def run(argv: List[str]) -> str:
    """One command, its text; an error is a reason of its own."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise Unanswered("not_restartable", "{} did not end in {} s".format(" ".join(argv), ANSWER_SECONDS)) from exc
    except OSError as exc:
        raise SelfhealError("not_restartable", "{} could not be run: {}".format(" ".join(argv), exc)) from exc
    if done.returncode:
        text = (done.stderr or done.stdout).strip()[:300]
        error = Unanswered if _NO_ANSWER.search(text) else SelfhealError
        raise error("not_restartable", "{}: {}".format(" ".join(argv), text))
    return done.stdout


class Restart:
    """One restart, from the preflights to the first good answer."""

    def __init__(self, params: Params, runner: Runner = run, root: str = "/") -> None:
        self.params = params
        self.run = runner
        self.root = root
        self.holds = Holds(params["state_dir"])
        unit = params["service"]
        self.resource = params["resource"] or (f"service:{unit}" if unit else "machine")
        self.started = uptime_clock()
        self.phases: Dict[str, float] = {}
        self.half_open: List[str] = []
        self.half_open_at: Optional[float] = None

    # -- what is there ---------------------------------------------------------------------------------

    def show(self) -> Dict[str, str]:
        """What systemd says about the unit; nothing where a reboot is asked for and no unit is named."""
        if not self.params["service"]:
            return {}
        return checks.parse_show(
            self.run(["systemctl", "show", "--property=" + ",".join(PROPERTIES), "--", self.params["service"]])
        )

    def record_path(self) -> str:
        return os.path.join(self.params["state_dir"], "restarts", file_name(self.resource))

    def record(self) -> Dict[str, Any]:
        """The last restart that a heal did here."""
        try:
            with open(self.record_path(), encoding="utf-8") as stream:
                return dict(json.load(stream))
        except (OSError, ValueError, TypeError):
            return {}

    def _remember(self, before: Mapping[str, str]) -> None:
        from pathlib import Path

        os.makedirs(os.path.dirname(self.record_path()), mode=0o755, exist_ok=True)
        content = {
            "resource": self.resource,
            "incident": self.params["incident"],
            "epoch": self.params["epoch"],
            "kind": self.params["kind"],
            "boot_id": boot_id(),
            "invocation": before.get("InvocationID", ""),
        }
        write_atomic(Path(self.record_path()), json.dumps(content, sort_keys=True) + "\n")

    def done_before(self, now: Mapping[str, str]) -> bool:
        """This attempt, or one that it rolls forward, has restarted it already, or is doing so.

        Done is another invocation, or another boot, than the record's; under way is a job of systemd for it. A record
        whose command never reached systemd counts as nothing.
        """
        record = self.record()
        if record.get("incident") != self.params["incident"] or record.get("kind") != self.params["kind"]:
            return False
        if int(record.get("epoch") or 0) < self.params["since_epoch"]:
            return False  # an earlier attempt that came to its end: this one has an attempt of its own
        if record.get("boot_id") != boot_id():
            return bool(record.get("boot_id"))
        if self.params["kind"] == "reboot":
            return False
        under_way = bool(now.get("Job")) or now.get("ActiveState") in ("activating", "deactivating")
        return under_way or record.get("invocation") != now.get("InvocationID", "")

    def invocation_before(self) -> str:
        """What the recorded restart replaces; empty after another boot, where any invocation is a new one."""
        record = self.record()
        return str(record.get("invocation") or "") if record.get("boot_id") == boot_id() else ""

    # -- preflights ------------------------------------------------------------------------------------

    def prove_right(self) -> None:
        """Invariant 8: this heal is not outdated, and the node gets no traffic. Changes nothing."""
        params = self.params
        self.machine_id = checks.machine_id(params["forbidden_machine_ids"], self.root)
        checks.same_machine(self.machine_id, params["machine_id"])
        self.holds.check_epoch(self.resource, params["epoch"])
        self._witnesses()
        if params["vip"]:
            checks.address_absent(params["vip"], checks.local_addresses(self.run(["ip", "-o", "addr"])))
        self.half_open = checks.connections(
            params["port"], params["peers"], params["left_sessions"], self.root, IDLE_SECONDS, self._half_open
        )

    def _half_open(self, found: List[str]) -> Set[str]:
        """Which of these connections no balancer has any more. Without ``ss`` nobody knows, and each counts.

        How long this call was on its way is not known here, so how old the balancers' word is neither: the first call
        tells only that it would pay to say so (``half_open_at``), and the controller calls again with that.
        """
        params = self.params
        theirs = sockets.known(params["witnesses"], params["peers"], params["left_sessions"])
        if theirs is None or theirs.issuperset(found):
            return set()
        ask = ["ss", "-tinH", "state", "established", f"( sport = :{params['port']} )"]
        try:
            silent = sockets.silence(self.run(ask))
        except SelfhealError:
            return set()
        now, heard = uptime_clock(), params["heard_uptime"]  # only now: ss may have taken its time
        first = heard is None or not 0 <= heard <= now
        elapsed = now - (self.started if first else heard)
        dead = sockets.half_open(found, theirs, params["witnesses"], silent, elapsed)
        if first and dead:
            self.half_open_at = now
            raise checks.still_open(sorted(dead), params["port"], params["left_sessions"])
        return dead

    def preflight(self) -> Dict[str, str]:
        """Everything that can refuse, cheapest and gravest first. Changes nothing."""
        params = self.params
        self.prove_right()
        shown = self.show()
        if params["service"] or params["kind"] == "service":
            checks.unit(shown, params["service"])
        checks.disk(self.root)
        checks.package_manager(self.root)
        checks.configuration(params["config_test"])
        self.phases["preflight_seconds"] = self._lap()
        return shown

    def _witnesses(self) -> None:
        elapsed = uptime_clock() - self.started  # also while the machine was suspended
        checks.witnesses(self.params["witnesses"], self.params["witness_age_seconds"], elapsed)

    def lap(self, name: str) -> None:
        """What has passed since the last phase belongs to this one."""
        self.phases[name] = self._lap()

    def _lap(self) -> float:
        return round(uptime_clock() - self.started - sum(self.phases.values()), 3)

    # -- the act ---------------------------------------------------------------------------------------

    def claim(self) -> None:
        """The epoch, for an act that may be done again under the same incident and so needs no record."""
        with self.holds.lock():
            self._witnesses()  # the preflights may have taken long
            self.holds.raise_epoch(self.resource, self.params["epoch"])

    def reliefs(self) -> List[Dict[str, Any]]:
        """What earlier calls of this attempt, or of one that it rolls forward, have deleted; their word may be lost."""
        try:
            with open(self._reliefs_path(), encoding="utf-8") as stream:
                record = dict(json.load(stream))
            same = record["incident"] == self.params["incident"] and record["epoch"] >= self.params["since_epoch"]
            return list(record["reliefs"]) if same else []
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def keep_reliefs(self, reliefs: List[Dict[str, Any]]) -> None:
        """Remember them on the node. A relief does not fail for it: its success is room, not a record."""
        from pathlib import Path

        path = Path(self._reliefs_path())
        content = {
            "incident": self.params["incident"],
            "epoch": self.params["epoch"],
            "reliefs": reliefs[-KEPT_RELIEFS:],
        }
        with contextlib.suppress(OSError, SelfhealError):
            path.parent.mkdir(mode=0o755, exist_ok=True)
            write_atomic(path, json.dumps(content, sort_keys=True) + "\n", 0o600)

    def _reliefs_path(self) -> str:
        return os.path.join(self.params["state_dir"], "restarts", file_name("relief:" + self.resource))

    def act(self, before: Mapping[str, str]) -> bool:
        """Epoch, record and command under one lock; the command returns as soon as systemd has the job.

        False if another call of this attempt was quicker. A command without an answer counts as given: systemd may
        have the job, and only what it shows afterwards tells.
        """
        with self.holds.lock():
            self._witnesses()  # the preflights may have taken long
            self.holds.raise_epoch(self.resource, self.params["epoch"])
            if self.done_before(self.show()):
                return False
            if before.get("ActiveState") == "failed" and self.params["kind"] == "service":
                self.run(["systemctl", "reset-failed", "--", self.params["service"]])  # else its start limit may say no
            self._remember(before)
            with contextlib.suppress(Unanswered):
                self.run(self._command())
        return True

    def _command(self) -> List[str]:
        if self.params["kind"] == "reboot":
            return ["systemctl", "reboot", "--no-block"]
        return ["systemctl", "restart", "--no-block", "--", self.params["service"]]

    def wait_started(self, before: Mapping[str, str]) -> Dict[str, str]:
        """Until another invocation is active. What does not stop in time is killed: systemd's own limit is 90 s."""
        if not self.params["service"]:
            return {}
        end = time.monotonic() + self.params["timeout"]
        kill_at: Optional[float] = time.monotonic() + self.params["stop_timeout"]
        while True:
            now = self.show()
            fresh = now.get("InvocationID") not in ("", None, before.get("InvocationID"))
            if fresh and now.get("ActiveState") == "active":
                self.phases["restart_seconds"] = self._lap()
                return now
            if fresh and now.get("ActiveState") == "failed" and not now.get("Job"):
                raise SelfhealError(
                    "start_failed", "{} did not start: {}".format(self.params["service"], now.get("Result"))
                )
            if kill_at is not None and time.monotonic() >= kill_at and now.get("ActiveState") == "deactivating":
                self.run(["systemctl", "kill", "--signal=KILL", "--", self.params["service"]])
                kill_at = None
            if time.monotonic() >= end:
                raise SelfhealError(
                    "start_timeout",
                    "{} is {} after {:.0f} s".format(
                        self.params["service"], now.get("ActiveState"), self.params["timeout"]
                    ),
                )
            time.sleep(POLL)

    def wait_answer(self, done: str = "restarted") -> None:
        """Until the service answers on this machine; nothing is asked where by policy HAProxy's check alone decides."""
        params = self.params
        if not params["health_port"] or params["health_scheme"] == "none":
            self.phases["answer_seconds"] = 0.0
            return
        asked = (params["health_scheme"], params["health_address"], params["health_port"], params["health_path"])
        end = self.started + params["timeout"]
        while True:
            said = _health.ask(*asked)
            if said["ok"]:
                self.phases["answer_seconds"] = self._lap()
                return
            if time.monotonic() >= end:
                raise SelfhealError(
                    "no_answer",
                    "{} was {} but does not answer: {}: {}".format(
                        params["service"], done, _health.where(*asked), said["detail"]
                    ),
                )
            time.sleep(POLL)


def essence(shown: Mapping[str, str]) -> Dict[str, Any]:
    """What the result shows of a unit."""
    return {
        "pid": int(shown.get("MainPID") or 0),
        "started": shown.get("ExecMainStartTimestampMonotonic", ""),
        "state": shown.get("ActiveState", ""),
        "invocation": shown.get("InvocationID", ""),
    }
