# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The monitor read over the lab's console, and the hands that do a scenario's steps. Nothing here heals."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab import faults
from lab.judge.watch import parse_services
from lab.machines import Lab, LabError
from lab.runs import RESULTS, runs_from

from .driver import Driver
from .scenario_model import Scenario, Step

CONSOLE_SECONDS = 60.0
MANY = 200
PIPE = "/var/lib/nagios4/rw/nagios.cmd"
OPERATOR = "operator at work"
#: The command that role healer puts there: it works as the healer's user, with its inventory.
SELFHEAL = 'cd / && exec nice -n 10 selfheal "$@"'
JOURNAL = "/var/lib/selfheal/journal.db"
#: Alerts and decisions of nodes without an incident: history and show only show incidents.
BESIDE = r"""
import json, sqlite3, sys
path, since = sys.argv[1], float(sys.argv[2])
db = sqlite3.connect("file:%s?mode=ro" % path, uri=True, timeout=10)
db.row_factory = sqlite3.Row
def rows(sql):
    return [dict(row) for row in db.execute(sql, (since,))]
found = {
    "decisions": rows("SELECT id, at, node, incident, admitted, reasons, summary FROM decisions WHERE at >= ?"),
    "alerts": rows("SELECT at, host, service, state, type, incident, outcome, reason FROM alerts WHERE at >= ?"),
}
for row in found["decisions"]:
    row["reasons"] = json.loads(row["reasons"])
print(json.dumps(found))
"""
#: A prepared run is a heal from the moment when its folder got the name of one; a link is left in its place.
LIVE = r"""
systemctl list-units --plain --no-legend --state=active,activating,deactivating 'selfheal-heal@*' |
while read -r unit _; do
    name=${unit#*@}
    name=${name%.service}
    case $name in ready-????????-1) [ -L "/var/lib/selfheal/runs/.$name" ] || continue ;; esac
    echo "$unit"
done
"""
SOCKET = r"""
say() { printf '%s\n' "$1" | socat - UNIX-CONNECT:/run/haproxy/admin.sock; }
say 'show servers state' | awk -v node="$1" '$4 == node {print $2}' | while read -r backend; do
    say "set server $backend/$1 state $2"
done
"""

#: The kernel kills a unit's main process for want of memory. The limit is lowered to just above what the unit has: to
#: below it, control groups of version 1 refuse ("busy") where version 2 kills. So this joins the group and takes what
#: is left, and the main process is made the one to choose. systemd asks whoever is left in the group of a dead unit to
#: end: that word is not for this. Nothing is changed for good; the last line is the proof.
OOM = r"""
import errno, mmap, os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
SECONDS = 20
top, unit = sys.argv[1:]
end = time.monotonic() + SECONDS
shown = {}
while int(shown.get("MainPID") or 0) == 0 and time.monotonic() < end:
    asked = ["systemctl", "show", "-p", "MainPID,ControlGroup", unit]
    text = subprocess.run(asked, capture_output=True, text=True).stdout
    shown = dict(line.split("=", 1) for line in text.splitlines())
    time.sleep(0.1)
pid = int(shown["MainPID"])
old = os.path.isdir(top + "/memory")
folder = top + ("/memory" if old else "") + shown["ControlGroup"] + "/"
usage, limit, events = (folder + name for name in (
    ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control") if old
    else ("memory.current", "memory.max", "memory.events")))
def read(path):
    with open(path) as file:
        return file.read()
def write(path, value):
    with open(path, "w") as file:
        file.write("%s\n" % value)
def killed():
    return sum(int(line.split()[1]) for line in read(events).splitlines() if line.startswith("oom_kill "))
def alive():
    try:
        return read("/proc/%d/stat" % pid).rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
def eat():
    taken = []
    while True:
        taken.append(mmap.mmap(-1, 1 << 20))
        taken[-1].write(b"x" * (1 << 20))
        time.sleep(0.01)
had, before = killed(), read(limit).strip()
count = had
write("/proc/%d/oom_score_adj" % pid, 1000)
# What eats is within the unit, and goes with it: systemd kills at once what is left there. Who looks stays outside.
waits, go = os.pipe()
eater = os.fork()
if eater == 0:
    os.close(go)
    os.read(waits, 1)
    eat()
try:
    write(folder + "cgroup.procs", eater)
    write(limit, int(read(usage)) + (4 << 20))
    os.write(go, b"!")
    while time.monotonic() < end:
        count = max(count, killed())
        if count > had and not alive():
            break
        time.sleep(0.005)
except OSError as exc:
    # Its end was quicker than the next look: the unit is gone, with its folder, or in the middle of it.
    if exc.errno not in (errno.ENOENT, errno.ENODEV):
        raise
finally:
    os.kill(eater, signal.SIGKILL)
    os.waitpid(eater, 0)
    try:
        write(limit, before)
    except OSError:
        pass
# Nothing else ends it in these moments; whether its folder or its count was seen first is a matter of milliseconds.
gone = not os.path.isdir(folder) or count > had
sys.exit(0 if gone and not alive() else "%s was not killed for want of memory" % unit)
"""
CGROUPS = "/sys/fs/cgroup"


def merged(history: Any, views: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """One journal out of `selfheal history --json` and a `selfheal show --json` of each incident.

    `history` is a list of incidents, or an object with more lists beside them.
    """
    found: dict[str, list[Any]] = {"incidents": [], "attempts": [], "phases": [], "decisions": [], "alerts": []}
    parts: list[Mapping[str, Any]] = [history if isinstance(history, Mapping) else {"incidents": history or []}, *views]
    for part in parts:
        for key, rows in part.items():
            if isinstance(rows, list):
                kept = found.setdefault(key, [])
                kept += [row for row in rows if row not in kept]
    return found


def parsed(text: str | None) -> Any:
    """A JSON document; nothing when there is none."""
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return None


@dataclass
class Monitor:
    """What the monitor shows; every answer is None while it does not answer."""

    lab: Lab

    def says(self, script: str, *arguments: str) -> str | None:
        try:
            done = self.lab.exec(
                "monitor", ["sh", "-c", script, "sh", *arguments], check=False, timeout=CONSOLE_SECONDS
            )
        except (LabError, subprocess.TimeoutExpired, OSError):
            return None
        return done.stdout if done.returncode == 0 else None

    def healer(self) -> bool:
        return self.says("systemctl is-active -q selfheal.service") is not None

    def live(self) -> list[str] | None:
        """Units of heals that are going on; not the one that is prepared for the next."""
        text = self.says(LIVE)
        return None if text is None else text.split()

    def runs(self, since: float) -> list[dict[str, Any]]:
        """What the runs that began since then say of themselves, as the heal writes it at every step."""
        text = self.says(RESULTS, f"{since:.0f}")
        return [run for run in runs_from(text or "") if float(run.get("started_at") or 0) >= since - 1]

    def selfheal(self, *arguments: str) -> Any:
        """What the healer's own command prints as JSON; nothing when it does not."""
        return parsed(self.says(SELFHEAL, *arguments, "--json"))

    def beside(self, since: float) -> Any:
        """Alerts and decisions since then, read from the journal without a change."""
        return parsed(self.says('cd / && exec runuser -u selfheal -- python3 -c "$@"', BESIDE, JOURNAL, f"{since:.3f}"))

    def incidents(self) -> list[dict[str, Any]] | None:
        history = self.selfheal("history", "--limit", str(MANY))
        return None if history is None else list(merged(history, [])["incidents"])

    def journal(self, since: float) -> dict[str, list[Any]] | None:
        """All that the journal has of the incidents since then."""
        history, beside = self.selfheal("history", "--limit", str(MANY)), self.beside(since - 1)
        if history is None or not isinstance(beside, dict):
            return None
        views = [beside]
        for row in merged(history, [])["incidents"]:
            if float(row.get("opened_at") or 0) >= since - 1:
                view = self.selfheal("show", str(row.get("incident")))
                if view is None:
                    return None
                views.append(view)
        return merged(history, views)

    def critical(self) -> list[str]:
        """Checks that Nagios calls critical; empty too while it says nothing, which others notice."""
        text = self.says(
            "curl -s -m 5 -u \"selfheal:$(cat /etc/selfheal/nagios.password)\" "
            "'http://127.0.0.1/nagios4/cgi-bin/statusjson.cgi?query=servicelist&details=true'"
        )  # fmt: skip
        try:
            seen = parse_services(json.loads(text or ""), 0.0)
        except (ValueError, KeyError):
            return []
        return [f"{probe.host}/{probe.service}" for probe in seen if probe.status == "critical"]


@dataclass
class Hands:
    """Does what a step says, as fate, an operator or a hypervisor would."""

    driver: Driver
    lab: Lab = field(init=False)

    def __post_init__(self) -> None:
        self.lab = self.driver.lab

    def on_monitor(self, *argv: str) -> None:
        try:
            self.lab.exec("monitor", argv, timeout=CONSOLE_SECONDS)
        except subprocess.TimeoutExpired:
            raise LabError(f"the monitor did not answer its console: {' '.join(argv)}") from None

    def pipe(self, *lines: str) -> None:
        now = int(time.time())
        text = "".join(f"[{now}] {line}\n" for line in lines)
        self.on_monitor("sh", "-c", f'printf %s "$1" > {PIPE}', "sh", text)

    def state(self, node: str, word: str) -> None:
        layer = self.driver.farm.layer_of(node)
        for balancer in self.driver.farm.balancers.get(layer, ()):
            self.lab.exec(balancer, ["sh", "-c", SOCKET, "sh", node, word])

    def do(self, step: Step) -> None:
        """One function for each word that a step may have."""
        getattr(self, "break_" if step.do == "break" else step.do)(step)

    def break_(self, step: Step) -> None:
        faults.break_node(self.lab, step.target, step.fault, **step.options)

    def mend(self, step: Step) -> None:
        faults.mend_node(self.lab, step.target)

    def maintenance(self, step: Step) -> None:
        self.driver.mark("operator", step.target, "maintenance")
        self.state(step.target, "maint")

    def ready(self, step: Step) -> None:
        self.state(step.target, "ready")
        self.driver.mark("end", step.target)

    def downtime(self, step: Step) -> None:
        self.driver.mark("operator", step.target, "downtime")
        now, node = int(time.time()), step.target
        span = f"{now};{now + int(step.seconds)};1;0;{int(step.seconds)};operator;{OPERATOR}"
        self.pipe(*(f"SCHEDULE_{kind}_DOWNTIME;{node};{span}" for kind in ("HOST", "HOST_SVC")))

    def restart(self, step: Step) -> None:
        unit = {"nagios": "nagios4.service", "healer": "selfheal.service"}[step.target]
        self.on_monitor("systemctl", "restart", unit)

    def kill(self, step: Step) -> None:
        self.on_monitor("systemctl", "kill", "--signal=KILL", "selfheal.service")

    def oom(self, step: Step) -> None:
        """The kernel kills it for want of memory, and then its unit has as much again as it had."""
        try:
            words = ["python3", "-c", OOM, CGROUPS, "selfheal.service"]
            done = self.lab.exec("monitor", words, check=False, timeout=CONSOLE_SECONDS)
        except subprocess.TimeoutExpired:
            raise LabError("the monitor did not answer its console: oom") from None
        if done.returncode != 0:
            raise LabError(f"the kernel did not kill the healer: {done.stderr.strip()[-300:]}")

    def reboot(self, step: Step) -> None:
        """As a machine that loses power for a moment does, but its disk is written."""
        before = self.lab.pid("monitor")
        self.lab.exec("monitor", ["systemctl", "--no-block", "reboot"], check=False)
        deadline = time.monotonic() + CONSOLE_SECONDS
        while self.lab.pid("monitor") in (before, None):
            if time.monotonic() > deadline:
                raise LabError(f"the monitor did not reboot within {CONSOLE_SECONDS:g} s")
            time.sleep(0.2)

    def clean(self, scenario: Scenario) -> None:
        """After the verdict: undo what the scenario did to the farm, as whoever did it would."""
        nodes = {step.target for step in scenario.steps}
        for node in sorted(nodes & set(self.driver.farm.addresses)):
            if any(step.target == node and step.do == "break" for step in scenario.steps):
                faults.mend_node(self.lab, node)
            if any(step.target == node and step.do == "maintenance" for step in scenario.steps):
                self.state(node, "ready")
        self.pipe(*(f"DEL_DOWNTIME_BY_START_TIME_COMMENT;;{text}" for text in (OPERATOR, "planned restart")))
