# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""`make demo`. Exit code 0 only if every illness was healed and verified and the judge found no harm."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import faults, owner
from lab.demo import page
from lab.demo.nagios import Nagios
from lab.demo.service import Service
from lab.demo.stage import (
    ROOT,
    DemoError,
    Judge,
    Screen,
    ends_on_sigterm,
    lab_down,
    lab_up,
    result_of,
    selfheal,
)
from lab.judge import farm as judged_farm
from lab.machines import Lab, LabError, wait_until

WELL_SECONDS = 150
DETECT_SECONDS = 120
HEALTHY_AGAIN_SECONDS = 120
HOME_SECONDS = 60


@dataclass(frozen=True)
class Illness:
    """One act of the demo."""

    node: str
    fault: str
    title: str
    watch: str
    address: str = ""  # virtual IP that has to be back on this node at the end


ILLNESSES = (
    Illness("ei1", "memory", "ei1 leaks memory until its requests fail",
            "detach from both load balancers, restart, attach again"),
    Illness("ei2", "hung", "the service of ei2 hangs: it takes connections and answers nothing",
            "detach from both load balancers, restart, attach again"),
    Illness("extlb1", "haproxy_stopped", "the active external load balancer loses its HAProxy",
            "the address moves to extlb2, extlb1 is healed, the address goes home", "10.213.77.100"),
)  # fmt: skip


@dataclass
class Act:
    """What became of one illness."""

    illness: Illness
    detected: bool = False
    exit_code: int | None = None
    result: dict[str, Any] = field(default_factory=dict)
    nagios_ok: bool = False
    home: bool = True

    @property
    def healed(self) -> bool:
        """Healed means verified by the run and seen by Nagios, not that a command came back."""
        verified = self.exit_code in (None, 0) and self.result.get("status") == "healed"
        return self.detected and verified and self.nagios_ok and self.home


class Demo:
    """The demo from the first line to the last: by the healer, or by hand, with the one command."""

    def __init__(self, lab: Lab, out: Path, keep: bool, hand: bool) -> None:
        self.lab = lab
        self.out = out
        self.keep = keep
        self.screen = Screen()
        self.service = None if hand else Service(lab, self.screen.say)
        self.judge = Judge(out)
        self.acts: list[Act] = []
        self.layers: dict[str, Sequence[str]] = {}

    def run(self) -> int:
        """All acts, then the verdict. The exit code."""
        screen = self.screen
        screen.heading("Start the lab: a monitor, two load balancers, three integrators")
        lab_up(self.out, screen, healer=self.service is not None, keep=self.keep)
        known = judged_farm.load(self.lab.state / "ansible.cfg")
        self.layers = {layer: tuple(nodes) for layer, nodes in known.layers.items()}
        screen.heading("Start the judge: clients from outside, 100 requests per second")
        self.judge.start()
        screen.say("   clients get answers; every one of them is written down")
        nagios = Nagios(self.lab)
        screen.say("   waiting until Nagios has seen every node well")
        every = [node for nodes in self.layers.values() for node in nodes]
        if not wait_until(lambda: nagios.all_well(every), WELL_SECONDS, 1.0):
            raise DemoError(f"Nagios did not see every node well within {WELL_SECONDS} s: look with `selfheal survey`")
        screen.heading("The farm, as a heal sees it")
        if selfheal(self.lab, self.out, screen, "survey") != 0:
            raise DemoError("the survey failed: see its words above")
        if self.service is not None:
            screen.heading("The healer is awake on the monitor; from here on nobody types anything")
            screen.typed(["selfheal", "status", "--watch", "   # on the monitor; its lines begin with |"])
            self.service.start()
        for number, illness in enumerate(ILLNESSES, 1):
            self.acts.append(self.act(number, illness, nagios))
        return self.verdict()

    def act(self, number: int, illness: Illness, nagios: Nagios) -> Act:
        """One illness: broken, seen, healed by the healer or by one command, seen well again."""
        screen, act = self.screen, Act(illness)
        twins = next(nodes for nodes in self.layers.values() if illness.node in nodes)
        screen.heading(f"Illness {number} of {len(ILLNESSES)}: {illness.title}")
        screen.say(f"   watch: {illness.watch}")
        screen.typed(["make", "lab-break", f"NODE={illness.node}", f"FAULT={illness.fault}"])
        begin = time.time()
        faults.break_node(self.lab, illness.node, illness.fault)
        act.detected = nagios.wait_for("faulty", illness.node, twins, DETECT_SECONDS, screen.say)
        if not act.detected:
            screen.say(f"   not seen as faulty within {DETECT_SECONDS} s")
        else:
            self.heal(act, begin)
            act.nagios_ok = nagios.wait_for("ok", illness.node, twins, HEALTHY_AGAIN_SECONDS, screen.say)
            if illness.address:
                act.home = wait_until(lambda: self.holds(illness), HOME_SECONDS, 1.0)
                screen.say(f"   {illness.address} is {'home' if act.home else 'NOT home'} on {illness.node}")
        if not act.healed:
            how = act.result.get("status") or f"exit code {act.exit_code}"
            screen.say(f"   NOT healed ({how}); the lab mends it, so that the demo can go on")
            faults.mend_node(self.lab, illness.node)
        self.judge.mark("end", illness.node)
        return act

    def heal(self, act: Act, broken_at: float) -> None:
        """Type the one command, or watch how the healer does it without."""
        if self.service is not None:
            act.result = self.service.healed(act.illness.node, broken_at)
            return
        begin = time.time()
        self.judge.mark("command", act.illness.node)
        act.exit_code = selfheal(self.lab, self.out, self.screen, "heal", act.illness.node)
        act.result = result_of(self.out, begin)

    def holds(self, illness: Illness) -> bool:
        """Whether the node holds its virtual IP, by its own kernel."""
        try:
            return f" {illness.address}/" in self.lab.exec(illness.node, ["ip", "-o", "addr"]).stdout
        except LabError:
            return False

    def verdict(self) -> int:
        """The judge's table, the report, and whether all was well."""
        screen = self.screen
        screen.heading("What clients felt: the judge")
        if self.service is not None:
            self.service.stop()
        self.judge.stop()
        report, table = self.judge.report()
        # Its last line names its data; the page below is the report for people.
        screen.say("\n".join(line for line in table.rstrip().splitlines() if not line.startswith("Report:")))
        healed = sum(act.healed for act in self.acts)
        harm = report.get("harm", [])
        path = self.out / "report.html"
        path.write_text(
            page.page([shown(act) for act in self.acts], report, page.per_second(self.out / "answers.jsonl")),
            encoding="utf-8",
        )
        screen.say()
        screen.say(f"{healed} of {len(ILLNESSES)} healed and verified; harm: {len(harm) or 'none'}")
        screen.say(f"Report: {path} (one file, opens offline)")
        return 0 if healed == len(ILLNESSES) and not harm else 4


def shown(act: Act) -> dict[str, Any]:
    """One act as the report takes it."""
    return {
        "node": act.illness.node,
        "fault": act.illness.fault,
        "title": act.illness.title,
        "healed": act.healed,
        "detected": act.detected,
        "exit_code": act.exit_code,
        "nagios_ok": act.nagios_ok,
        "result": act.result,
    }


def next_things(lab: Lab, healer: bool) -> str:
    """What to try with a lab that is still up."""
    config = lab.state / "ansible.cfg"
    inside = f"lxc-attach -P {lab.lxc_path} -n {lab.container('monitor')} --"
    itself = f"""
The healer goes on: whatever you break, it heals. On the monitor ({inside} bash):
  selfheal status --watch                    what it does, as it comes
  selfheal pause                             no new heals, for those by hand below; selfheal resume ends it
  selfheal show INCIDENT                     why, and what it cost
""" if healer else ""  # fmt: skip
    return f"""
The lab is up. Try next:{itself}
  export ANSIBLE_CONFIG={config} PATH="{ROOT}/.venv/bin:$PATH"
  selfheal survey                            the farm, every verdict, and what is missing
  make lab-break NODE=ei3 FAULT=errors       make a node ill (make lab-faults lists all of them)
  selfheal heal ei3 --check                  what a heal would do, and why or why not
  selfheal heal ei3                          heal it
  selfheal heal ei1 --reason drill           practise on a healthy node
  selfheal history                           what was done; selfheal show INCIDENT for one of them
  make lab-mend NODE=ei3                     undo its faults without a heal
  http://{lab.address("monitor")}/nagios4/   Nagios, user selfheal, password in /etc/selfheal/nagios.password there
  make lab-down                              remove the lab
"""


def main() -> int:
    """Start, play, and clean up whatever happens."""
    if os.geteuid() != 0:
        print("demo: the lab needs root (LXC, bridges, overlay mounts)", file=sys.stderr)
        return 1
    keep = os.environ.get("KEEP", "") not in ("", "0")
    lab = Lab.from_env()
    was_up = not owner.abandoned(lab) and any(lab.pid(node) is not None for node in lab.nodes())
    out = ROOT / "build" / "demo"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    demo = Demo(lab, out, keep, hand=os.environ.get("HAND", "") not in ("", "0"))
    code = 1
    try:
        with ends_on_sigterm():
            code = demo.run()
    except KeyboardInterrupt:
        demo.screen.say("\ndemo: stopped; cleaning up")
        code = 130
    except (DemoError, LabError) as error:
        demo.screen.say(f"\ndemo: {error}")
    finally:
        clean_up(demo, was_up)
    seconds = time.monotonic() - demo.screen.started
    demo.screen.say(f"demo: {'well' if code == 0 else 'NOT well'}, {int(seconds // 60)} min {seconds % 60:.0f} s")
    return code


def clean_up(demo: Demo, was_up: bool) -> None:
    """Leave nothing behind that was not there before, unless it was asked to stay."""
    if demo.service is not None:
        demo.service.stop()
    demo.judge.stop()
    if demo.keep:
        demo.screen.say(next_things(demo.lab, demo.service is not None))
    elif was_up:
        demo.screen.say("demo: the lab was up before and stays up; remove it with: make lab-down")
    else:
        demo.screen.say("demo: removing the lab (KEEP=1 leaves it up)")
        lab_down(demo.out)


if __name__ == "__main__":
    sys.exit(main())
