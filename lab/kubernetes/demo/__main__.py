# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""`make demo-kubernetes`. Exit code 0 only if every step ended as it should."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from lab import owner
from lab.demo.stage import ROOT, DemoError, Screen, ends_on_sigterm
from lab.kubernetes import cluster
from lab.kubernetes.demo import report, timeline
from lab.kubernetes.demo.acts import ACTS, WELL, NotAsItShould
from lab.kubernetes.demo.load import felt
from lab.kubernetes.demo.scene import WORKLOAD, Scene, join, remove
from lab.machines import Lab, LabError, wait_until

#: What a step may fail with that is no fault of the demo's own code.
TROUBLE = (NotAsItShould, DemoError, LabError, subprocess.TimeoutExpired, OSError, ValueError)


def play(scene: Scene, steps: list[report.Step]) -> bool:
    """The steps in their order, up to the first that is not as it should be; whether all were."""
    for number, (step, (title, act)) in enumerate(zip(steps, ACTS, strict=True), 1):
        scene.screen.heading(f"Step {number} of {len(steps)}: {title}")
        scene.events.append(timeline.Event(time.time(), f"step {number}: {title}"))
        loads = len(scene.loads)
        try:
            step.said = act(scene)
            step.ok = True
        except TROUBLE as error:
            step.ok, step.said = False, str(error)
        finally:
            step.felt = felt([answer for load in scene.loads[loads:] for answer in load.answers])
        scene.screen.say(f"   {'well' if step.ok else 'NOT as it should'}: {step.said}")
        if not step.ok:
            return False
    return True


def prepare(scene: Scene) -> None:
    """Nagios and the healer look at farm and cluster before anything is done to them."""
    every = [*scene.workers, WORKLOAD]
    scene.screen.say("   waiting until Nagios has seen workers and workload well")
    if not wait_until(lambda: scene.nagios.all_well(every), WELL, 1.0):
        raise DemoError(f"Nagios did not see {', '.join(every)} well within {WELL} s: look with `selfheal survey`")
    scene.screen.heading("The healer is awake on the monitor; nobody types a heal")
    scene.screen.typed(["selfheal", "status", "--watch", "   # on the monitor; its lines begin with |"])
    scene.service.start()
    scene.began = time.time()
    scene.sampler.start()


def tell(scene: Scene, steps: list[report.Step], end: float) -> None:
    """The timeline on the terminal, the page and the data. ``end``: seconds since the epoch."""
    answers = [answer for load in scene.loads for answer in load.answers]
    looks = list(scene.sampler.looks)
    seconds = timeline.seconds_of(scene.began, end, looks, answers)
    events = timeline.numbered(scene.began, scene.events)
    target = next((look.target for look in reversed(looks) if look.target), None)
    screen, whole = scene.screen, felt(answers)
    screen.heading("What happened")
    console = Console(file=screen.stream, highlight=False)
    if not console.is_terminal:
        console = Console(file=screen.stream, highlight=False, width=150)
    console.print(report.terminal(report.rows(seconds, events)))
    path = scene.out / "report.html"
    path.write_text(report.page(scene.began, steps, whole, seconds, events, scene.heals, target), encoding="utf-8")
    data = timeline.document(scene.began, end, seconds, events, [step.told() for step in steps], scene.heals)
    (scene.out / "timeline.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    screen.say()
    for step in steps:
        screen.say(f"   {step.outcome + ':':18} {step.title}" + (f": {step.said}" if step.said else ""))
    screen.say()
    screen.say(report.verdict(steps, whole))
    screen.say(f"Report: {path} (one file, opens offline)")


def next_things(lab: Lab) -> str:
    """What to try with a lab that is still up."""
    inside = f"lxc-attach -P {lab.lxc_path} -n {lab.container('monitor')} --"
    return f"""
Farm and cluster are up, and the healer goes on: whatever you break, it heals. Try next:
  export KUBECONFIG={cluster.kubeconfig(lab)}; {cluster.kubectl_program()} get nodes,pods -A
  {inside} selfheal status --watch           what the healer does, as it comes
  {inside} selfheal history                  what was done; selfheal show INCIDENT for one of them
  python3 -m lab.machines off kw2            a worker without power: it gets it back
  make lab-down                              remove farm and cluster
"""


def clean_up(lab: Lab, out: Path, screen: Screen, scene: Scene | None, *, keep: bool, was_up: bool) -> None:
    """Leave nothing behind that was not there before, unless it was asked to stay."""
    if scene is not None:
        scene.stop()
    if not keep and not was_up:
        screen.say("demo: removing farm and cluster (KEEP=1 leaves them up)")
        remove(out)
        return
    if scene is not None:
        screen.say("demo: the integrator is rolled out as it was before")
        try:
            scene.restore()
        except TROUBLE as error:
            screen.say(f"demo: {error}")
    screen.say(next_things(lab) if keep else "demo: the lab was up before and stays up; remove it with: make lab-down")


def main() -> int:
    """Start, play, and clean up whatever happens."""
    if os.geteuid() != 0:
        print("demo: the lab needs root (LXC, bridges, overlay mounts)", file=sys.stderr)
        return 1
    keep = os.environ.get("KEEP", "") not in ("", "0")
    lab, screen = Lab.from_env(), Screen()
    was_up = not owner.abandoned(lab) and any(lab.pid(node) is not None for node in lab.nodes())
    out = ROOT / "build" / "demo-kubernetes"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    scene: Scene | None = None
    code = 1
    try:
        with ends_on_sigterm():
            screen.heading("Start farm, healer and a Kubernetes of three machines, and join them")
            join(out, screen, keep=keep)
            scene = Scene(lab, out, screen)
            prepare(scene)
            steps = [report.Step(title) for title, _act in ACTS]
            code = 0 if play(scene, steps) else 4
            scene.stop()
            tell(scene, steps, time.time())
    except KeyboardInterrupt:
        screen.say("\ndemo: stopped; cleaning up")
        code = 130
    except (DemoError, LabError, subprocess.TimeoutExpired) as error:
        screen.say(f"\ndemo: {error}")
        code = 1
    finally:
        clean_up(lab, out, screen, scene, keep=keep, was_up=was_up)
    seconds = time.monotonic() - screen.started
    screen.say(f"demo: {'well' if code == 0 else 'NOT well'}, {int(seconds // 60)} min {seconds % 60:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
