# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Every fault of the lab in one table: what exactly is done to a machine, and what undoes it.

All of it goes through the host's console of the machine, never through its network, so that a machine
that is cut off, starved or frozen can still be mended. Each injection is written with its time into
`faults.jsonl` in the lab's state folder, where the judge reads it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.machines import Lab, LabError

ILLNESS, DISTURBANCE = "illness", "disturbance"
CONSOLE_SECONDS = 60  # a machine that burns its CPU answers its console slowly
PEAK_SECONDS = 30
PEAK_BURN_MS = 10
RATE_OF_PEAK = 60

HOOK = r"""
say() { printf '%s\n' "$1" | timeout 20 socat - UNIX-CONNECT:/run/ei/fault.sock; }
main_pid() { systemctl show -p MainPID --value "$1"; }
"""

# What is put right inside the machine. Each line looks first, says what it undid, and may run at any time.
MEND = (
    HOOK
    + r"""
enabled() { systemctl is-enabled -q "$1" 2>/dev/null; }
pid=$(main_pid ei.service)
if enabled ei.service && [ "${pid:-0}" -gt 0 ]; then
    if grep -q '^State:[[:space:]]*T' "/proc/$pid/status"; then kill -CONT "$pid"; echo hung; fi
    if [ -S /run/ei/fault.sock ]; then
        state=$(say state)
        case $state in *'"leaked_bytes": 0'*) ;; *leaked_bytes*) echo memory;; esac
        case $state in *'"errors": true'*) echo errors;; esac
        case $state in *'"burners": 0'*) ;; *burners*) echo cpu;; esac
        case $state in
            '{"errors": false, "leaked_bytes": 0, "full": false, "burners": 0}') ;;
            *) say clear >/dev/null;;
        esac
    fi
fi
if [ -e /var/lib/ei/lab-fill ]; then rm -f /var/lib/ei/lab-fill; echo disk; fi
if [ -e /var/log/ei/lab-fill.log.1 ]; then rm -f /var/log/ei/lab-fill.log.*; echo logs; fi
if systemctl is-active -q lab-hog.service; then systemctl stop lab-hog.service; echo memory_elsewhere; fi
if systemctl is-active -q lab-cpu-burst.service; then systemctl stop lab-cpu-burst.service; echo cpu_burst; fi
wrong=/run/systemd/system/nagios-nrpe-server.service.d/lab-check-wrong.conf
if [ -e "$wrong" ]; then
    rm -rf "$wrong" /run/lab-check-wrong
    systemctl daemon-reload && systemctl restart nagios-nrpe-server.service && echo check_wrong
fi
for pair in ei.service=killed keepalived.service=keepalived_killed haproxy.service=haproxy_stopped \
        nagios-nrpe-server.service=nrpe_down; do
    unit=${pair%=*}
    if enabled "$unit" && ! systemctl is-active -q "$unit"; then
        systemctl reset-failed "$unit" 2>/dev/null
        systemctl start "$unit" && echo "${pair#*=}"
    fi
done
exit 0
"""
)

# A colon is missing in the thresholds of the memory check, which then alarms when there is too MUCH memory: the
# classic mistake of this plugin. Its numbers stay true. All of it is below /run, so that a reboot ends it.
WRONG_CHECK = r"""
set -e; umask 022
wrong=/run/lab-check-wrong; unit=/run/systemd/system/nagios-nrpe-server.service.d
rm -rf $wrong; mkdir -p $wrong $unit
cp /etc/nagios/nrpe.d/*.cfg $wrong/
sed -i '/^command\[check_memory\]=/s/%:/%/g' $wrong/selfheal_agent.cfg
if cmp -s /etc/nagios/nrpe.d/selfheal_agent.cfg $wrong/selfheal_agent.cfg; then
    echo 'its memory check has no threshold with a colon' >&2; exit 1
fi
sed "s|^include_dir=.*|include_dir=$wrong/|" /etc/nagios/nrpe.cfg > $wrong/nrpe.conf
printf '[Service]\nExecStart=\nExecStart=/usr/sbin/nrpe -c %s -f $NRPE_OPTS\n' $wrong/nrpe.conf \
    > $unit/lab-check-wrong.conf
systemctl daemon-reload
systemctl restart nagios-nrpe-server.service
"""

# Logs as logrotate leaves them, the last one cut short by the end of the partition: they are what the policy of the
# lab's ei layer lets a heal delete. Only a partition of its own is filled, never the disk below the machine's root.
LOGS = r"""
mountpoint -q /var/log/ei || { echo '/var/log/ei is no partition of its own' >&2; exit 1; }
number=1
while dd if=/dev/zero of=/var/log/ei/lab-fill.log.$number bs=64k count=64 2>/dev/null && [ $number -lt 99 ]; do
    number=$((number + 1))
done
touch -d '2 days ago' /var/log/ei/lab-fill.log.*
[ -s /var/log/ei/lab-fill.log.1 ]
"""

# Memory that is not the service's: a restart of it frees none. It stays at its mark, and gives back under pressure
# before the kernel would kill it; 8 % of the machine's memory is short of the 10 % from which on the gauge is raised.
HOG = r"""
systemd-run -q --collect --unit=lab-hog /usr/bin/python3 -c '
import mmap, time
CHUNK = 1 << 20
held = []
while True:
    with open("/proc/meminfo", encoding="ascii") as lines:
        words = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines}
    free, mark = words["MemAvailable"], words["MemTotal"] * 8 // 100
    if free > mark + CHUNK:
        chunk = bytearray(CHUNK)
        chunk[::mmap.PAGESIZE] = b"x" * len(range(0, CHUNK, mmap.PAGESIZE))
        held.append(chunk)
        time.sleep(0.005)
    elif free < mark * 2 // 3 and held:
        del held[-4:]
    else:
        time.sleep(0.05)
'
"""


@dataclass(frozen=True)
class Fault:
    name: str
    kind: str
    what: str
    undone: str
    inject: Callable[..., None]
    needs: str = ""  # unit that a machine must have for this fault to mean anything
    options: tuple[str, ...] = ()  # numbers that whoever breaks may give; each has a default


def console(lab: Lab, node: str, script: str, seconds: float = CONSOLE_SECONDS) -> str:
    """Run a script inside a machine by its console, within a bound."""
    try:
        done = lab.exec(node, ["sh", "-c", script], check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise LabError(f"{node} did not answer its console for {seconds:g} s (frozen? then mend it)") from None
    if done.returncode != 0:
        raise LabError(f"{node}: {(done.stderr or done.stdout).strip() or f'exit {done.returncode}'}")
    return done.stdout


def hook(word: str) -> Callable[[Lab, str], None]:
    def inject(lab: Lab, node: str) -> None:
        answer = console(lab, node, HOOK + f"say '{word}'")
        if not answer.startswith("{") or 'error"' in answer:
            raise LabError(f"{node}: the service's fault hook said: {answer.strip() or 'nothing'}")

    return inject


def script(text: str) -> Callable[[Lab, str], None]:
    def inject(lab: Lab, node: str) -> None:
        console(lab, node, HOOK + text)

    return inject


def operator_restart(lab: Lab, node: str, seconds: float = 0) -> None:
    """As an operator would: tell Nagios first, then restart, with so many seconds between stop and start."""
    now = int(time.time())
    line = f"[{now}] SCHEDULE_{{kind}}_DOWNTIME;{node};{now};{now + 120};1;0;120;operator;planned restart"
    lines = "\\n".join(line.format(kind=kind) for kind in ("HOST", "HOST_SVC"))
    console(lab, "monitor", f"printf '{lines}\\n' > /var/lib/nagios4/rw/nagios.cmd")
    again = f"systemctl stop ei.service; sleep {seconds:g}; systemctl start ei.service"
    words = f"sleep 2; {again if seconds else 'systemctl restart ei.service'}"
    console(lab, node, words, CONSOLE_SECONDS + seconds)


def load_peak(
    lab: Lab,
    node: str,  # noqa: ARG001 - every fault takes a node
    seconds: float = PEAK_SECONDS,
    burn_ms: float = PEAK_BURN_MS,
) -> None:
    """Load on the whole layer, by the judge's own client, bounded in time; `node` only names the layer."""
    if (pid := peak_pid(lab)) is not None:
        raise LabError(f"a load peak is already running (process {pid})")
    words = ["--rate", str(RATE_OF_PEAK), "--seconds", f"{seconds:g}", "--burn-ms", f"{burn_ms:.0f}"]
    with subprocess.Popen(
        [sys.executable, "-m", "lab.judge", "peak", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=Path(__file__).parent.parent,
    ) as process:
        (lab.state / "peak.pid").write_text(f"{process.pid}\n", encoding="ascii")
        process.returncode = 0  # it is left to run; it ends by itself


def peak_pid(lab: Lab) -> int | None:
    """The process of a load peak that still runs."""
    try:
        pid = int((lab.state / "peak.pid").read_text(encoding="ascii"))
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if b"lab.judge" in words and b"peak" in words else None


def fault(
    name: str,
    what: str,
    undone: str,
    inject: Callable[..., None],
    needs: str = "",
    kind: str = ILLNESS,
    options: tuple[str, ...] = (),
) -> Fault:
    return Fault(name, kind, what, undone, inject, needs, options)


EI, HAPROXY, KEEPALIVED, NRPE = "ei.service", "haproxy.service", "keepalived.service", "nagios-nrpe-server.service"

FAULTS: dict[str, Fault] = {
    one.name: one
    for one in (
        fault(
            "memory",
            "the service leaks inside its own cgroup until 5 % (16 MB at least) of the machine's memory is "
            "available, and from then on no request gets its buffer: every one is answered 500",
            "restart of the service; mend frees the leak",
            hook("memory"),
            EI,
        ),
        fault(
            "memory_elsewhere",
            "a process that is not the service's takes memory until 8 % of the machine's is available, and stays "
            "there; the service goes on",
            "mend ends it; a restart of the service does not",
            script(HOG),
            EI,
        ),
        fault(
            "cpu",
            "the service starts 6 children that burn CPU (nice 5), inside its own cgroup",
            "restart of the service; mend kills the children",
            hook("cpu 6"),
            EI,
        ),
        fault(
            "disk",
            "a file fills the service's partition /var/lib/ei to the last byte",
            "mend removes the file /var/lib/ei/lab-fill; a restart does not",
            script("dd if=/dev/zero of=/var/lib/ei/lab-fill bs=64k 2>/dev/null; [ -s /var/lib/ei/lab-fill ]"),
            EI,
        ),
        fault(
            "logs",
            "rotated logs, two days old by their date, fill the service's partition /var/log/ei to the last byte",
            "a heal, because the lab's policy lets it delete them; mend removes /var/log/ei/lab-fill.log.*; a restart "
            "does not",
            script(LOGS),
            EI,
        ),
        fault(
            "killed",
            "kill -9 of the service's main process; its unit says Restart=no",
            "start of the service",
            script("kill -9 $(main_pid ei.service)"),
            EI,
        ),
        fault(
            "hung",
            "SIGSTOP to the service's main process: connections are accepted, nothing is answered",
            "restart of the service; mend sends SIGCONT",
            script("kill -STOP $(main_pid ei.service)"),
            EI,
        ),
        fault(
            "errors",
            "the service answers 500 to every request; /health follows after its grace of 45 s",
            "restart of the service; mend ends it",
            hook("errors"),
            EI,
        ),
        fault(
            "cut",
            "the machine's network cable is taken out of the bridge; its processes go on",
            "reboot of the machine; mend puts the cable back",
            lambda lab, node: lab.cut(node),
        ),
        fault(
            "frozen",
            "every process of the machine stops where it is, its kernel still answers ping; its address stays",
            "mend thaws it; nothing inside can",
            lambda lab, node: lab.freeze(node),
        ),
        fault(
            "keepalived_killed",
            "kill -9 of all keepalived processes at once: the virtual IP stays on the interface "
            "while the peer takes it too",
            "restart of keepalived",
            script("systemctl is-active -q keepalived.service && kill -9 $(pidof keepalived)"),
            KEEPALIVED,
        ),
        fault(
            "haproxy_stopped",
            "systemctl stop haproxy: stopped for good, nothing restarts it",
            "start of haproxy",
            script("systemctl stop haproxy.service"),
            HAPROXY,
        ),
        fault(
            "load_peak",
            f"the judge's client burns CPU on the whole layer through the virtual IP for {PEAK_SECONDS} s, "
            f"{PEAK_BURN_MS} ms a request; a scenario can give `seconds` and `burn_ms`",
            "ends by itself; mend of any node ends it",
            load_peak,
            EI,
            DISTURBANCE,
            ("seconds", "burn_ms"),
        ),
        fault(
            "cpu_burst",
            "two processes burn the machine's CPU for 5 s",
            "ends by itself",
            script(
                "systemd-run -q --collect --unit=lab-cpu-burst --property=RuntimeMaxSec=5 "
                "sh -c 'while :; do :; done & while :; do :; done'"
            ),
            "",
            DISTURBANCE,
        ),
        fault(
            "operator_restart",
            "an operator sets a downtime of 120 s in Nagios and restarts the service; a scenario can give the "
            "`seconds` between stop and start",
            "ends by itself",
            operator_restart,
            EI,
            DISTURBANCE,
            ("seconds",),
        ),
        fault(
            "nrpe_down",
            "NRPE is stopped; everything else serves",
            "start of nagios-nrpe-server",
            script("systemctl stop nagios-nrpe-server.service"),
            NRPE,
            DISTURBANCE,
        ),
        fault(
            "check_wrong",
            "a colon is missing in the thresholds of NRPE's memory check: it is CRITICAL because there is enough "
            "memory, its numbers stay true, and the service is fine",
            "reboot of the machine; mend puts the thresholds back",
            script(WRONG_CHECK),
            NRPE,
            DISTURBANCE,
        ),
    )
}


def log_path(lab: Lab) -> Path:
    """The file that the judge reads; one JSON object per line."""
    return lab.state / "faults.jsonl"


def record(lab: Lab, at: float, event: str, node: str, label: str, kind: str) -> None:
    with log_path(lab).open("a", encoding="utf-8") as file:
        file.write(
            json.dumps({"at": round(at, 3), "event": event, "node": node, "label": label, "detail": {"kind": kind}})
            + "\n"
        )


def check_node(lab: Lab, node: str) -> None:
    nodes = lab.nodes()
    if not nodes:
        raise LabError("no lab is up; start it with: make lab")
    if node not in nodes:
        raise LabError(f"no machine {node!r}; there are: {', '.join(nodes)}")


def break_node(lab: Lab, node: str, name: str, **options: float) -> None:
    """Make a machine ill and write down when."""
    check_node(lab, node)
    if name not in FAULTS:
        raise LabError(f"no fault {name!r}; there are: {', '.join(FAULTS)}")
    chosen = FAULTS[name]
    if unknown := sorted(set(options) - set(chosen.options)):
        raise LabError(f"{name} takes no {', '.join(unknown)}; it takes: {', '.join(chosen.options) or 'nothing'}")
    if lab.pid(node) is None:
        raise LabError(f"{node} is not running")
    if lab.frozen(node):
        raise LabError(f"{node} is frozen, nothing can be done to it; first: lab/mend {node}")
    if chosen.needs:
        try:
            console(lab, node, f"systemctl is-enabled -q {chosen.needs}")
        except LabError:
            raise LabError(f"{node} has no {chosen.needs}, so {name} means nothing there") from None
    begin = time.time()
    chosen.inject(lab, node, **options)
    record(lab, begin, "injected", node, name, chosen.kind)


def mend_node(lab: Lab, node: str) -> list[str]:
    """Undo whatever of the table is present on a machine; give what was undone."""
    check_node(lab, node)
    undone = []
    if lab.frozen(node):
        lab.thaw(node)
        undone.append("frozen")
    if lab.pid(node) is None:
        raise LabError(f"{node} is not running; start the lab again with: make lab")
    if lab.is_cut(node):
        lab.join(node)
        undone.append("cut")
    undone += console(lab, node, MEND).split()
    if (pid := peak_pid(lab)) is not None:
        os.kill(pid, 15)
        undone.append("load_peak")
    record(lab, time.time(), "mended", node, ",".join(undone), "")
    return undone


def table() -> str:
    lines = []
    for kind, title in ((ILLNESS, "Faults"), (DISTURBANCE, "Disturbances that are no illness")):
        lines.append(f"{title}:")
        for one in FAULTS.values():
            if one.kind == kind:
                lines += [f"  {one.name:18} {one.what}", f"  {'':18} undone by: {one.undone}"]
    return "\n".join(lines)


def markdown() -> str:
    """The same table for lab/faults.md; a test holds the file against it."""
    lines = [
        "<!-- SPDX-License-Identifier: GPL-3.0-or-later -->",
        "# Faults of the lab",
        "",
        "Written by `lab/faults --markdown`. `lab/break NODE FAULT` does one, `lab/mend NODE` undoes all that are",
        "there. A reboot of the machine ends every one of them too, but `frozen`, in which it cannot reboot.",
        "",
    ]
    for kind, title in ((ILLNESS, "Illnesses"), (DISTURBANCE, "Disturbances that are no illness")):
        lines += [f"## {title}", "", "| fault | exactly | undone by |", "|---|---|---|"]
        lines += [f"| `{one.name}` | {one.what} | {one.undone} |" for one in FAULTS.values() if one.kind == kind]
        lines.append("")
    return "\n".join(lines).rstrip()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab.faults", description="Make a lab machine ill, or mend it.")
    commands = parser.add_subparsers(dest="command", required=True)
    breaking = commands.add_parser("break", help="make a node ill")
    breaking.add_argument("node")
    breaking.add_argument("fault")
    mending = commands.add_parser("mend", help="undo every fault of a node")
    mending.add_argument("node")
    listing = commands.add_parser("list", help="list the faults and how each is undone")
    listing.add_argument("--list", action="store_true", help="the same")
    listing.add_argument("--markdown", action="store_true", help="as the text of lab/faults.md")
    options = parser.parse_args(argv)
    lab = Lab.from_env()
    try:
        if options.command == "list":
            print(markdown() if options.markdown else table())
        elif options.command == "break":
            break_node(lab, options.node, options.fault)
            print(f"{options.node}: {options.fault} injected (undone by: {FAULTS[options.fault].undone})")
        else:
            undone = mend_node(lab, options.node)
            print(f"{options.node}: {'undone: ' + ', '.join(undone) if undone else 'nothing to undo'}")
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
