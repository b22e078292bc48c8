# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Heals that run beside the test: start one, wait for a phase, kill it, read its result."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.conftest import BIN, Lab
from tests.processes import kill_run

ORDER = ["confirm", "shift", "evidence", "restart", "verify", "readmit", "soak", ""]
PATIENCE = 300.0


def wait_for(question: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The first true answer."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)


class Heal:
    """One ``ansible-playbook selfheal.cluster.heal`` in the background."""

    def __init__(self, lab: Lab, folder: Path, node: str, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "result.json"
        self.log = folder / "log.txt"
        command = [str(BIN / "ansible-playbook"), "selfheal.cluster.heal", "-e", f"selfheal_node={node}", *arguments]
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                command,
                cwd=lab.root,
                env=lab.environment(SELFHEAL_RESULT_FILE=str(self.file)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def result(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return content

    def reach(self, phase: str) -> None:
        """Until this phase, or a later one, has begun."""

        def reached() -> bool:
            seen = self.result()
            begun = seen.get("status") == "acting" and ORDER.index(seen["phase"]) >= ORDER.index(phase)
            assert begun or self.process.poll() is None, self.log.read_text(encoding="utf-8")[-3000:]
            return begun

        wait_for(reached, f"phase {phase}")

    def kill(self) -> None:
        """As if the controller's power was cut: every process of the run at once."""
        kill_run(self.process.pid)
        self.process.wait()

    def end(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """The result when the command has ended."""
        try:
            self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.kill()
        return {**self.result(), "rc": self.process.returncode, "log": self.log.read_text(encoding="utf-8")}


def members(lab: Lab, node_address: str) -> dict[str, dict[str, Any]]:
    """The member as each balancer sees it, without any code of the heal: its socket, and its folder of holds."""
    script = (
        "echo 'show servers state' | socat - /run/haproxy/admin.sock; ls /var/lib/selfheal/holds 2>/dev/null || true"
    )
    seen = {}
    for balancer in ("extlb1", "extlb2"):
        text = lab.on(balancer, script).stdout.replace("\\n", "\n")
        rows = [line.split() for line in text.splitlines() if f" {node_address} " in line]
        assert rows, text
        seen[balancer] = {"operational": rows[0][5], "admin": rows[0][6], "holds": text.count("haproxy_")}
    return seen


def serves(lab: Lab, node_address: str) -> bool:
    """Up and in rotation on both balancers, with no hold left."""
    return all(row == {"operational": "2", "admin": "0", "holds": 0} for row in members(lab, node_address).values())


def service_process(lab: Lab, node: str, unit: str) -> str:
    return lab.on(node, f"systemctl show -p MainPID --value {unit}").stdout.strip().split()[-1]
