# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Lines for Nagios' external command pipe, and the one way to write them.

The pipe never answers. Names that could become another command are refused; text from outside is made harmless,
since a comment must not fail because of what it says. Whoever needs certainty looks at Nagios' JSON afterwards.
"""

from __future__ import annotations

import errno
import os
import re
import select
import stat
import time
from typing import Iterable, Optional

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError

AUTHOR = "selfheal"
TAG = "selfheal:"
PIPE = "/var/lib/nagios4/rw/nagios.cmd"
"""Where Debian's nagios4 has it."""
MAX_WRITE = 4096
"""PIPE_BUF: up to here a write to a pipe is whole or not at all."""
MAX_TEXT = 2000
STATES = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}

_BAD_IN_NAME = re.compile(r"[\x00-\x1f\x7f;]")
# `|` would start perfdata, `;` a new field, a backslash could make `\n`; `$` and backquote never reach a handler
_BAD_IN_TEXT = str.maketrans({";": ":", "|": "/", "\\": "/", "$": " ", "`": "'"})
_BAD_IN_PERFDATA = re.compile(r"[\x00-\x1f\x7f|`$\\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def schedule_host_downtime(host: str, start: float, end: float, incident: str, now: Optional[float] = None) -> str:
    """A fixed downtime of the host itself, tagged with the incident."""
    return _downtime("SCHEDULE_HOST_DOWNTIME", host, start, end, incident, now)


def schedule_host_svc_downtime(host: str, start: float, end: float, incident: str, now: Optional[float] = None) -> str:
    """A fixed downtime of all services of the host, tagged with the incident."""
    return _downtime("SCHEDULE_HOST_SVC_DOWNTIME", host, start, end, incident, now)


def _downtime(command: str, host: str, start: float, end: float, incident: str, now: Optional[float]) -> str:
    first, last = int(start), int(end)
    if last <= first:
        raise SelfhealError("invalid_value", "A downtime must end after it starts.")
    return _line(now, command, _name(host), first, last, 1, 0, last - first, AUTHOR, tag(incident))


def delete_downtime(incident: str, now: Optional[float] = None) -> str:
    """The end of every downtime with this incident's tag; no one else's is touched, and no id is needed."""
    return _line(now, "DEL_DOWNTIME_BY_START_TIME_COMMENT", "", tag(incident))


def add_host_comment(host: str, text: str, now: Optional[float] = None) -> str:
    """A comment on a host that survives a restart of Nagios."""
    return _line(now, "ADD_HOST_COMMENT", _name(host), 1, AUTHOR, clean_text(text))


def add_svc_comment(host: str, service: str, text: str, now: Optional[float] = None) -> str:
    """A comment on a service that survives a restart of Nagios."""
    return _line(now, "ADD_SVC_COMMENT", _name(host), _name(service), 1, AUTHOR, clean_text(text))


def process_service_check_result(
    host: str, service: str, status: str, text: str, perf_data: str = "", now: Optional[float] = None
) -> str:
    """A passive result; ``status`` is ok, warning, critical or unknown."""
    if status not in STATES:
        raise SelfhealError("invalid_value", f"{status!r} is no state of a service.")
    output = clean_text(text)
    if perf_data:
        output += " | " + _BAD_IN_PERFDATA.sub(" ", perf_data)[:MAX_TEXT]
    return _line(now, "PROCESS_SERVICE_CHECK_RESULT", _name(host), _name(service), STATES[status], output)


def schedule_forced_host_svc_checks(host: str, at: float, now: Optional[float] = None) -> str:
    """Check all services of a host at this time, whatever their check period says."""
    return _line(now, "SCHEDULE_FORCED_HOST_SVC_CHECKS", _name(host), int(at))


def schedule_forced_svc_check(host: str, service: str, at: float, now: Optional[float] = None) -> str:
    """Check one service of a host at this time, whatever its check period says."""
    return _line(now, "SCHEDULE_FORCED_SVC_CHECK", _name(host), _name(service), int(at))


def tag(incident: str) -> str:
    """The comment by which our downtimes are known. An empty one would match other people's."""
    name = _name(incident)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise SelfhealError("invalid_name", f"{incident!r} is no incident id.")
    return TAG + name


def clean_text(text: str) -> str:
    """The text on one line, without anything that Nagios takes for syntax."""
    return _CONTROL.sub(" ", text).translate(_BAD_IN_TEXT).strip()[:MAX_TEXT]


def _name(name: str) -> str:
    if not name.strip() or _BAD_IN_NAME.search(name):
        raise SelfhealError("invalid_name", f"{name!r} is no name that Nagios can have.")
    return name


def _line(now: Optional[float], command: str, *fields: object) -> str:
    at = int(time.time() if now is None else now)
    line = f"[{at}] " + ";".join([command, *(str(each) for each in fields)])
    # cut bytes, never in the middle of a character: the last field is the only long one
    return line.encode("utf-8", "replace")[: MAX_WRITE - 1].decode("utf-8", "ignore") + "\n"


def write(pipe: str, lines: Iterable[str], timeout: float = 2.0) -> None:
    """Write the lines, each whole; raises when Nagios is not there to read them."""
    try:
        handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno == errno.ENXIO:  # the pipe is left behind when Nagios dies, and nobody reads it
            raise SelfhealError("not_running", f"Nagios does not read {pipe}: it is not running.") from exc
        raise SelfhealError("no_pipe", f"Cannot write to Nagios' command pipe {pipe}: {exc.strerror}.") from exc
    try:
        if not stat.S_ISFIFO(os.fstat(handle).st_mode):
            raise SelfhealError("no_pipe", f"{pipe} is not a pipe; is the path of Nagios' command file right?")
        for chunk in _chunks(lines):
            _put(handle, chunk, pipe, timeout)
    finally:
        os.close(handle)


def _chunks(lines: Iterable[str]) -> Iterable[bytes]:
    chunk = b""
    for line in lines:
        data = line.encode("utf-8", "replace")
        if data.count(b"\n") != 1 or not data.endswith(b"\n") or len(data) > MAX_WRITE:
            raise SelfhealError("invalid_value", "A command for Nagios must be one line of at most 4096 bytes.")
        if len(chunk) + len(data) > MAX_WRITE:
            yield chunk
            chunk = b""
        chunk += data
    if chunk:
        yield chunk


def _put(handle: int, chunk: bytes, pipe: str, timeout: float) -> None:
    poller = select.poll()
    poller.register(handle, select.POLLOUT)
    end = time.monotonic() + timeout
    while True:
        try:
            os.write(handle, chunk)  # at most PIPE_BUF: never a part of it
            return
        except BlockingIOError:
            left = end - time.monotonic()  # poll may say "room" for less than this chunk: never wait without end
            if left <= 0 or not poller.poll(left * 1000):
                raise SelfhealError("not_running", f"Nagios does not empty {pipe}: it hangs.") from None
        except BrokenPipeError as exc:
            raise SelfhealError("not_running", f"Nagios stopped reading {pipe}.") from exc
