# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Nagios as the viewer of the demo sees it: which check turns, and when the gauges call a node faulty."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from ansible_collections.selfheal.cluster.plugins.module_utils._gauges import evaluate
from ansible_collections.selfheal.cluster.plugins.module_utils._nagios import NagiosClient
from lab.demo.stage import DemoError
from lab.machines import Lab, LabError

PASSWORD = "/etc/selfheal/nagios.password"
URL = "http://{address}/nagios4/cgi-bin"
LOOK_SECONDS = 1.0


class Nagios:
    """Reads the lab's Nagios from outside, as any user with the password could."""

    def __init__(self, lab: Lab) -> None:
        try:
            password = lab.exec("monitor", ["cat", PASSWORD]).stdout.strip()
        except LabError as error:
            raise DemoError(f"the password of Nagios cannot be read on the monitor: {error}") from error
        self.client = NagiosClient(URL.format(address=lab.address("monitor")), "selfheal", password)

    def services(self) -> list[dict[str, object]]:
        """All services; nothing when Nagios cannot be believed at the moment."""
        try:
            return list(self.client.services().require())
        except SelfhealError:
            return []

    def verdict(self, services: Sequence[dict[str, object]], node: str, nodes: Sequence[str]) -> tuple[str, str]:
        """The gauges' verdict of one node among its twins, and the first reason."""
        own = [service for service in services if service["host"] in nodes]
        judged = evaluate(None, own, time.time(), nodes=nodes).get(node, {})
        reasons = judged.get("reasons") or [""]
        return str(judged.get("verdict") or "unknown"), str(reasons[0])

    def wait_for(
        self, verdict: str, node: str, nodes: Sequence[str], seconds: float, say: Callable[[str], None]
    ) -> bool:
        """Wait until the gauges say so; every check that turns meanwhile is shown."""
        begin = time.monotonic()
        shown: dict[object, tuple[object, ...]] = {}
        while time.monotonic() - begin < seconds:
            services = self.services()
            for service in services:
                if service["host"] != node:
                    continue
                state = (service["status"], service["state_type"], service["attempt"])
                before = shown.get(service["service"])
                shown[service["service"]] = state
                if (before is not None and before != state) or (before is None and state[0] not in ("ok", "pending")):
                    say(f"   {time.monotonic() - begin:5.1f} s  Nagios: {node} {describe(service)}")
            found, reason = self.verdict(services, node, nodes)
            if services and found == verdict:
                say(f"   {time.monotonic() - begin:5.1f} s  gauges: {node} is {found}{': ' + reason if reason else ''}")
                return True
            time.sleep(LOOK_SECONDS)
        return False

    def all_well(self, nodes: Sequence[str]) -> bool:
        """Whether every node has its checks and none of them complains."""
        services = self.services()
        mine = [service for service in services if service["host"] in nodes]
        return {service["host"] for service in mine} == set(nodes) and all(
            service["status"] == "ok" for service in mine
        )


def describe(service: dict[str, object]) -> str:
    """One check in the words of Nagios."""
    kind = "" if service["status"] == "ok" else f" ({service['state_type']} {service['attempt']})"
    output = " ".join(str(service.get("output") or "").split())[:70]
    return f"{service['service']} is {str(service['status']).upper()}{kind}: {output}"
