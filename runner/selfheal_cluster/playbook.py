# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Runs a playbook of the collection with the Ansible that this command is installed beside.

The run is a session of its own and writes to a file, never to a pipe: a closed terminal or a killed command must
not take down a heal in the middle of a restart.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._run_live import read_result
from selfheal_cluster.errors import CliError

COLLECTION = "selfheal.cluster"
KEPT_RUNS = 50
POLL_SECONDS = 0.1
# What a run may inherit. Everything else stays out: a run must not depend on the shell it was typed in.
INHERITED = re.compile(
    r"(HOME|USER|LOGNAME|PATH|TMPDIR|TERM|SSH_AUTH_SOCK|SSH_AGENT_PID|KRB5CCNAME|XDG_\w+|ANSIBLE_\w+|LANG|LC_\w+)\Z"
)
FATAL = re.compile(r"(?:fatal|failed): \[([^\]]+)\][^{]*?(FAILED|UNREACHABLE)! => (\{.*\})\s*\Z")


@dataclass
class Run:
    """One run of a playbook, as it ended or as far as it was followed."""

    code: int | None
    log: Path
    result: dict[str, Any]
    seconds: float
    failures: list[dict[str, Any]] = field(default_factory=list)


def tool(name: str) -> Path:
    """A tool of our own Ansible: beside this Python first, then where its scripts go."""
    for folder in (Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))):
        found = folder / name
        if found.is_file() and os.access(found, os.X_OK):
            return found
    raise CliError(
        f"{name} is not installed beside this command ({Path(sys.executable).parent})",
        f"install it into the same environment: {sys.executable} -m pip install ansible-core",
    )


def collections_path() -> Path:
    """The folder that holds our own ``ansible_collections``, in a wheel, an editable install and a checkout."""
    name = "ansible_collections.selfheal.cluster.plugins.module_utils._errors"
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.origin:
        raise CliError(
            "the collection selfheal.cluster is not installed with this command",
            "install it again: pip install selfheal-cluster",
        )
    for parent in Path(spec.origin).parents:
        if parent.name == "ansible_collections":
            return parent.parent
    raise CliError(f"the collection is not inside a folder ansible_collections: {spec.origin}")


def environment(base: Mapping[str, str], result_file: Path) -> dict[str, str]:
    """The environment of a run: small, with our own collection first and host keys checked."""
    env = {name: value for name, value in base.items() if INHERITED.match(name)}
    others = base.get("ANSIBLE_COLLECTIONS_PATH") or "~/.ansible/collections:/usr/share/ansible/collections"
    env["ANSIBLE_COLLECTIONS_PATH"] = f"{collections_path()}:{others}"
    # Our own Ansible first, and never the one of another environment.
    env["PATH"] = f"{Path(sys.executable).parent}:{base.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    locale = base.get("LC_ALL") or base.get("LC_CTYPE") or base.get("LANG") or ""
    if "UTF" not in locale.upper():
        env["LC_ALL"] = "C.UTF-8"  # Ansible refuses to start without a UTF-8 locale
    env.update(
        ANSIBLE_HOST_KEY_CHECKING="True",
        ANSIBLE_STDOUT_CALLBACK="ansible.builtin.default",
        ANSIBLE_CALLBACK_RESULT_FORMAT="json",
        ANSIBLE_CALLBACK_FORMAT_PRETTY="False",
        ANSIBLE_NOCOLOR="True",
        ANSIBLE_FORCE_COLOR="False",
        ANSIBLE_RETRY_FILES_ENABLED="False",
        PYTHONUNBUFFERED="1",
        SELFHEAL_RESULT_FILE=str(result_file),
    )
    return env


def state_folder(base: Mapping[str, str]) -> Path:
    """Where runs leave their log and result; old ones are removed."""
    home = base.get("XDG_STATE_HOME") or str(Path(base.get("HOME") or "~").expanduser() / ".local" / "state")
    folder = Path(home) / "selfheal"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        logs = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
        for old in logs[:-KEPT_RUNS]:
            old.unlink(missing_ok=True)
            old.with_suffix(".json").unlink(missing_ok=True)
    except OSError as error:
        raise CliError(
            f"cannot write to {folder}: {error.strerror}", "set XDG_STATE_HOME to a folder of yours"
        ) from error
    return folder


def command(playbook: str, inventory: Sequence[str], extra: Mapping[str, str], check: bool) -> list[str]:
    """The words of the command line. Extra variables go as JSON, where no quoting can go wrong."""
    words = [str(tool("ansible-playbook")), f"{COLLECTION}.{playbook}"]
    for source in inventory:
        words += ["-i", source]
    if check:
        words.append("--check")
    if extra:
        words += ["-e", json.dumps(dict(extra))]
    return words


def check_inventory(inventory: Sequence[str]) -> None:
    """A path that is not there is a slip of the pen; Ansible would go on with an empty inventory."""
    for source in inventory:
        if "," not in source and not Path(source).exists():
            raise CliError(
                f"there is no inventory {source}", "name a file or a folder with -i, or set ANSIBLE_INVENTORY"
            )


def new_lines(log: Path) -> Iterator[str | None]:
    """The lines of a growing file; None whenever there is nothing new at the moment."""
    with log.open(encoding="utf-8", errors="replace") as handle:
        kept = ""
        while True:
            chunk = handle.readline()
            if not chunk:
                yield None
            elif chunk.endswith("\n"):
                yield kept + chunk.rstrip("\n")
                kept = ""
            else:
                kept += chunk


def failure_of(line: str) -> dict[str, Any] | None:
    """A failed or unreachable result out of a line of Ansible's own output."""
    hit = FATAL.match(line)
    if not hit:
        return None
    with contextlib.suppress(ValueError):
        return {**json.loads(hit.group(3)), "host": hit.group(1), "unreachable": hit.group(2) == "UNREACHABLE"}
    return None


def start(
    playbook: str,
    inventory: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
    check: bool = False,
    word: str = "",
) -> tuple[subprocess.Popen[bytes], Path, Path]:
    """Begin a run; give its process, its log, and the file of its result.

    ``word`` is a person's word as JSON. It goes by the environment: an extra variable would be read as a template.
    """
    check_inventory(inventory)
    base = dict(os.environ)
    name = f"{playbook}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 10**6}"
    stem = state_folder(base) / name
    log, result_file = Path(f"{stem}.log"), Path(f"{stem}.json")
    words = command(playbook, inventory, extra or {}, check)
    env = environment(base, result_file)
    if word:
        env["SELFHEAL_WORD"] = word
    with os.fdopen(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), "ab") as sink:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
            start_new_session=True, umask=0o077, env=env,
        )  # fmt: skip
    return process, log, result_file


def nothing(_what: object) -> None:
    """Nobody follows."""


def run(
    playbook: str,
    inventory: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
    check: bool = False,
    on_line: Callable[[str], None] = nothing,
    on_tick: Callable[[Path], None] = nothing,
    on_interrupt: Callable[[Path], bool] | None = None,
    word: str = "",
) -> Run:
    """Run a playbook to its end and follow it.

    ``on_interrupt`` is asked at Ctrl-C whether to leave: the run then goes on by itself. Without it Ctrl-C ends
    the run, which is right for those that only read.
    """
    started = time.monotonic()
    process, log, result_file = start(playbook, inventory, extra, check, word)
    done = Run(None, log, {}, 0.0)
    lines = new_lines(log)
    while True:
        try:
            follow(process, lines, done, on_line, lambda: on_tick(result_file))
            break
        except KeyboardInterrupt:
            if on_interrupt is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
                raise
            if on_interrupt(result_file):
                break
    done.code = process.poll()
    done.result = read_result(result_file)
    done.seconds = time.monotonic() - started
    return done


def follow(
    process: subprocess.Popen[bytes],
    lines: Iterator[str | None],
    done: Run,
    on_line: Callable[[str], None],
    on_tick: Callable[[], None],
) -> None:
    """Hand on each line as it comes, until the run has ended and all is read."""
    while True:
        ended = process.poll() is not None
        for line in lines:
            if line is None:
                break
            failure = failure_of(line)
            if failure is not None:
                done.failures.append(failure)
            on_line(line)
        if ended:
            return
        on_tick()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=POLL_SECONDS)
