# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A place for a real healer on this machine: journal, spool, inventory, settings, and the process itself.

Only systemd is a fake: two shell scripts named sudo and systemctl, so that they cost less than the real ones and start
what the unit of role ``healer`` starts.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils._journal import Journal
from ansible_collections.selfheal.cluster.plugins.module_utils._journal_leases import initialise

ROOT = Path(__file__).resolve().parents[2]
HANDLER = ROOT / "roles" / "healer" / "files" / "selfheal-event"
UNIT = ROOT / "roles" / "healer" / "templates" / "selfheal-heal@.service.j2"
PYTHON = "/usr/bin/python3"
NAGIOS_USER, NAGIOS_PASSWORD = "selfheal", "s3cret"

FAKE_SUDO = """#!/bin/sh
# FAKE: runs what it is given. The real one looks at its rules first.
shift
exec "$@"
"""
FAKE_SYSTEMCTL = """#!/bin/sh
# FAKE systemd: starts what ExecStart of selfheal-heal@.service says, and lists what of it lives.
case " $* " in
  *" start "*)
    for unit; do :; done
    name=${unit#*@}
    name=${name%.service}
    @START@
    ;;
  *" list-units "*)
    printf '['
    comma=
    for file in '@STATE@'/*.service; do
      [ -e "$file" ] || continue
      read -r pid < "$file" || continue
      { read -r line < "/proc/$pid/stat"; } 2>/dev/null || continue
      case ${line##*) } in Z*|X*) continue ;; esac
      printf '%s{"unit":"%s","load":"loaded","active":"active","sub":"running"}' "$comma" "${file##*/}"
      comma=,
    done
    printf ']\\n'
    ;;
  *)
    echo "the fake systemctl of the bench does not know: $*" >&2
    exit 1
    ;;
esac
"""
RUN = """setsid @COMMAND@ "$name" >> '@FOLDER@/run.log' 2>&1 < /dev/null &
    echo $! > '@STATE@/'"$unit\""""
HAND_OVER = """echo @PID@ > '@STATE@/.'"$unit" && mv '@STATE@/.'"$unit" '@STATE@/'"$unit\""""


def wait_for(question: Callable[[], Any], seconds: float, what: str, pause: float = 0.05) -> Any:
    """The first true answer."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"gave up after {seconds:g} s waiting for {what}")
        time.sleep(pause)


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder on the disk of the checkout, since a tmpfs would make every fsync free.

    From here on SIGTERM ends us as an error does, so that nothing that was started is left behind.
    """

    def ended(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, ended)
    parent = ROOT / "build" / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
    try:
        yield folder
    finally:
        if not os.environ.get("BENCH_KEEP"):
            shutil.rmtree(folder, ignore_errors=True)


def run_words(text: str) -> list[str]:
    """What the unit of a heal runs after its Python and before the name of the run."""
    found = re.search(r"^ExecStart=.*?/venv/bin/python (.+) %i$", text, re.MULTILINE)
    if not found:
        raise ValueError(f"{UNIT.name} has no ExecStart that this bench understands")
    return found[1].split()


@dataclass
class Place:
    """Where one healer lives."""

    folder: Path
    journal: str
    config: Path

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def state(self) -> Path:
        """What the fake systemctl knows: a file per unit with the process that stands for it."""
        return self.folder / "units"

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Out of the journal."""
        with Journal(self.journal) as journal:
            return journal.rows(sql, *values)

    def log(self) -> str:
        """What the healer said."""
        path = self.folder / "healer.log"
        return path.read_text(errors="replace") if path.exists() else ""


def make(
    folder: Path, inventory: Mapping[str, Any], nagios_url: str, nagios_config: Path | None = None, **settings: Any
) -> Place:
    """A place with an initialised journal and an inventory; ``settings`` are keys of healer.json."""
    for name in ("spool", "runs", "inventory", "units", "pages"):
        (folder / name).mkdir(parents=True)
    (folder / "password").write_text(NAGIOS_PASSWORD + "\n")
    (folder / "ansible.cfg").write_text(
        f"[defaults]\ninventory = {folder}/inventory\nlocalhost_warning = False\ngathering = explicit\n"
        f"interpreter_python = {PYTHON}\nforks = 20\nretry_files_enabled = False\nnocows = True\n"
    )
    (folder / "inventory" / "hosts.json").write_text(json.dumps(inventory))
    journal = str(folder / "journal.db")
    Journal.create(journal, time.time())
    with Journal(journal) as found:
        initialise(found, {}, time.time())
    config = folder / "healer.json"
    config.write_text(json.dumps({
        "inventory": str(folder / "inventory"), "journal": journal, "spool": str(folder / "spool"),
        "runs": str(folder / "runs"), "ansible_config": str(folder / "ansible.cfg"), "web_unit": "",
        "command_file": str(folder / "nagios.cmd"), "monitor_host": "watch",
        "nagios": {
            "url": nagios_url, "user": NAGIOS_USER, "password_file": str(folder / "password"),
            **({"config_file": str(nagios_config)} if nagios_config else {}),
        },
        **settings,
    }))  # fmt: skip
    return Place(folder, journal, config)


def fake_systemd(place: Place, python: Path | None = None) -> Path:
    """The folder with the fakes. Without ``python`` a start is only handed over to this process (a simulated heal)."""
    if python is None:
        start = HAND_OVER.replace("@PID@", str(os.getpid()))
    else:
        words = [str(python), *run_words(UNIT.read_text(encoding="utf-8")), "--config", str(place.config)]
        start = RUN.replace("@COMMAND@", " ".join(f"'{word}'" for word in words))
    tools = place.folder / "tools"
    tools.mkdir()
    script = FAKE_SYSTEMCTL.replace("@START@", start)
    script = script.replace("@STATE@", str(place.state)).replace("@FOLDER@", str(place.folder))
    for name, text in (("sudo", FAKE_SUDO), ("systemctl", script)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    return tools


@contextlib.contextmanager
def healer(
    place: Place, python: Path, tools: Path, path: Sequence[Path] = (), more: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The real ``selfheal run``, as its unit starts it; ``path`` comes before our own code, ``more`` is environment."""
    folders = ":".join(str(each) for each in (*path, ROOT / "runner", ROOT / ".dev"))
    env = {
        "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin", "HOME": str(place.folder), "LANG": "C.UTF-8",
        "PYTHONPATH": folders, **(more or {}),
    }  # fmt: skip
    with (place.folder / "healer.log").open("wb") as sink:
        process = subprocess.Popen(
            [str(python), "-m", "selfheal_cluster.healer", "--config", str(place.config)], env=env, cwd=place.folder,
            stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def event_words(spool: Path, host: str, service: str, state: str, number: int) -> list[str]:
    """One call of the real event handler."""
    return [
        PYTHON, "-IS", str(HANDLER), "--host", host, "--service", service, "--state", state, "--type", "HARD",
        "--attempt", "1", "--event-id", str(number), "--spool", str(spool),
    ]  # fmt: skip
