# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The steps of the demo. Each says in one sentence what came of it, or raises what was not as it should be."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lab.kubernetes import names
from lab.kubernetes.demo.load import HEAVY, IDLE, LIGHT, Load, ask, felt
from lab.kubernetes.demo.scene import DEPLOYMENT, HTTP_PORT, NAMESPACE, QUICK_DOWN, TLS_PORT, WORKLOAD, Scene
from lab.kubernetes.demo.watch import image_of
from lab.machines import wait_until

DOCUMENT = "<response><status>OK</status><code>1</code></response>"
BAD_IMAGE = f"{names.REGISTRY}/ei:bad"
MORE_PODS = 3
#: Bounds of what is waited for, in seconds.
ANSWER, REPLACED, PLACED, METRICS, UP, DOWN = 30, 60, 90, 120, 240, 300
SEEN, HEALED, BACK, WELL = 150, 360, 60, 180
#: Load is there before something happens, and goes on a little after it.
AROUND = 3.0


class NotAsItShould(Exception):
    """A check that failed, in one sentence."""


def check(good: object, sentence: str) -> None:
    """Go on only if it is good."""
    if not good:
        raise NotAsItShould(sentence)


def none_lost(*loads: Load) -> str:
    """What clients felt, if no request of theirs failed."""
    whole = felt([answer for load in loads for answer in load.answers])
    why = next((answer.why for load in loads for answer in load.answers if not answer.ok), "")
    check(whole.sent, "no client sent a request")
    check(not whole.failed, f"{whole}; none was to fail; the first one: {why}")
    return str(whole)


def answers_well(address: str, port: int, authority: Path | None) -> bool:
    """Whether the integrator answers there as it should."""
    status, body = ask(address, port, tls=authority)
    return status == 200 and DOCUMENT in body


def roll_out(scene: Scene) -> str:
    """The integrator by the role, and both ports of every node."""
    scene.play(ei_kubernetes_scaling_behavior=QUICK_DOWN)
    scene.note("rolled out")
    check(scene.wait_pods(lambda look: (look.ready or 0) > 0, PLACED), f"no pod is ready after {PLACED} s")
    scene.show_kubectl("get", "pods,services,hpa", "-o", "wide")
    for node, address in scene.addresses.items():
        for scheme, port, authority in (("http", HTTP_PORT, None), ("https", TLS_PORT, scene.authority)):
            url = f"{scheme}://{address}:{port}/simple"
            good = wait_until(partial(answers_well, address, port, authority), ANSWER, 0.5)
            check(good, f"{url} ({node}) does not answer as it should within {ANSWER} s")
            scene.screen.say(f"   {url}: 200, {DOCUMENT}")
    return f"both ports answer on {len(scene.addresses)} nodes"


def kill_pod(scene: Scene) -> str:
    """One pod is deleted; Kubernetes makes another one. With a single pod there is a gap, which is measured."""
    before = scene.pods()
    check(before, "no pod is ready")
    pod = sorted(before)[0]
    with scene.load(LIGHT) as load:
        time.sleep(AROUND)
        begun = time.monotonic()
        scene.screen.typed(["kubectl", "-n", NAMESPACE, "delete", "pod", pod])
        scene.tool.run("-n", NAMESPACE, "delete", "pod", pod, "--wait=false")
        scene.note(f"pod {pod} is deleted")

        def replaced() -> bool:
            now = scene.pods()
            return pod not in now and len(now) >= len(before)

        check(wait_until(replaced, REPLACED, 0.3), f"pod {pod} was not replaced within {REPLACED} s")
        took = time.monotonic() - begun
        new = ", ".join(sorted(set(scene.pods()) - set(before)))
        scene.note(f"pod {new} serves in its place")
        time.sleep(AROUND)
    return f"replaced after {took:.1f} s; {load.felt}"


def scale(scene: Scene) -> str:
    """Load until three more pods have come; without it until one is left."""
    measured = scene.wait_pods(lambda look: look.utilization is not None, METRICS)
    check(measured, f"the autoscaler has no measure of CPU after {METRICS} s")
    begin = len(scene.pods())
    wanted = begin + MORE_PODS
    with scene.load(HEAVY) as heavy:
        scene.note(f"load on: {HEAVY.clients} clients, up to {HEAVY.rate:g} requests/s each, GET {HEAVY.path}")
        begun = time.monotonic()
        came = scene.wait_pods(lambda look: (look.ready or 0) >= wanted, UP)
        up = time.monotonic() - begun
    scene.note("load off")
    check(came, f"there are not {wanted} pods after {UP} s of load")
    with scene.load(IDLE) as idle:
        begun = time.monotonic()
        gone = scene.wait_pods(lambda look: look.desired == look.ready == 1, DOWN)
        down = time.monotonic() - begun
    check(gone, f"more than one pod is left {DOWN} s after the load has ended")
    scene.note("one pod is left")
    return f"{begin} to {wanted} pods in {up:.0f} s, back to one in {down:.0f} s; {none_lost(heavy, idle)}"


def heal_worker(scene: Scene) -> str:
    """A worker whose kubelet only a boot mends, and the healer that takes it out, reboots it and gives it back."""
    ill = scene.ill
    # With one pod, the one that is moved is the service itself; two is what a service has that must not have a gap.
    scene.play(ei_kubernetes_scaling_behavior=QUICK_DOWN, ei_kubernetes_min_replicas=2)
    check(scene.wait_pods(lambda look: look.desired == look.ready == 2, PLACED), f"no two pods after {PLACED} s")
    for pod, node in sorted(scene.pods().items()):
        scene.screen.say(f"   {pod} is on {node}")
    boot_id = scene.node(ill).boot_id
    with scene.load(LIGHT) as load:
        time.sleep(AROUND)
        since = time.time()
        scene.spoil(ill)
        scene.note(f"the kubelet of {ill} ends, and does not start until the machine boots")
        heal(scene, ill, f"the kubelet of {ill} does not start until the machine boots", since, scene.workers)
        good = wait_until(lambda: scene.back(ill, boot_id), BACK, 1.0)
        check(good, f"{ill} is not Ready after another boot, free and taking pods, {BACK} s after its heal")
        took = time.time() - since
        scene.note(f"{ill} is Ready after another boot, and takes pods")
        time.sleep(AROUND)
    return f"{ill} was taken out, rebooted and given back {took:.0f} s after it fell ill; {none_lost(load)}"


def heal(scene: Scene, node: str, fault: str, since: float, twins: list[str]) -> str:
    """Seen by Nagios, then healed by the healer; the incident."""
    seen = scene.nagios.wait_for("faulty", node, twins, SEEN, scene.screen.say)
    check(seen, f"Nagios does not see {node} as faulty within {SEEN} s")
    scene.note(f"Nagios: {node} is faulty")
    run = scene.healed(node, fault, since, HEALED)
    outcome = run.get("status") or "no run of the healer has ended"
    check(outcome == "healed", f"{node} is not healed within {HEALED} s: {outcome}")
    incident = str(run.get("incident") or "")
    scene.show_selfheal("show", incident)
    return incident


def bad_roll_out(scene: Scene) -> str:
    """An image that nobody has: the old pods serve on, Nagios sees it, the healer keeps evidence and puts back."""
    well = scene.nagios.wait_for("ok", WORKLOAD, [WORKLOAD], WELL, scene.screen.say)
    check(well, f"Nagios does not see {WORKLOAD} well within {WELL} s, before the bad roll-out")
    with scene.load(LIGHT) as load:
        since = time.time()
        scene.play(
            ei_kubernetes_scaling_behavior=QUICK_DOWN, ei_kubernetes_image=BAD_IMAGE, ei_kubernetes_wait=False,
            ei_kubernetes_available_seconds=15,
        )  # fmt: skip
        scene.note(f"rolled out with {BAD_IMAGE}, which nobody has")
        incident = heal(scene, WORKLOAD, f"a roll-out of {BAD_IMAGE}", since, [WORKLOAD])
        took = time.time() - since
        image = image_of(scene.tool.get("-n", NAMESPACE, f"deployment/{DEPLOYMENT}"))
        check(image == names.EI_IMAGE, f"{DEPLOYMENT} still has the image {image}")
        ready = scene.wait_pods(lambda look: bool(look.ready) and look.ready == look.desired, PLACED)
        check(ready, f"not all pods are ready {PLACED} s after the heal")
    kept = scene.evidence(incident)
    check(kept, f"no evidence was kept of incident {incident}")
    scene.show_selfheal("history")
    return f"put back {took:.0f} s after the roll-out, {kept} files of evidence; {none_lost(load)}"


#: Title and act of each step, in their order.
ACTS: tuple[tuple[str, Callable[[Scene], str]], ...] = (
    ("Roll out, and ask both ports of every node", roll_out),
    ("Kill a pod under load", kill_pod),
    ("Load on until three more pods have come, load off until one is left", scale),
    ("A worker falls ill under load: taken out, rebooted, given back", heal_worker),
    ("A bad roll-out: seen, evidenced, put back", bad_roll_out),
)
