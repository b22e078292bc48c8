# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Heals that run beside the test: start one, wait for a phase, kill it, read its result."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tests.integration.conftest import BIN, Lab, brief
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


GROUP = "nogroup"  # of nobody, on Debian


@dataclass(frozen=True)
class OtherUser:
    """Another operator of the same controller, with another uid."""

    home: Path
    name: str = "nobody"  # SSH wants a line in /etc/passwd, and this one is everywhere

    def command(self, *words: str) -> list[str]:
        """As this user. It may read what it likes, for the checkout may lie below a closed folder."""
        read = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
        return ["setpriv", f"--reuid={self.name}", f"--regid={GROUP}", "--clear-groups", *read, "--", *words]

    @classmethod
    @contextlib.contextmanager
    def made(cls, lab: Lab) -> Iterator[OtherUser]:
        """Home, key and settings of its own, gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="selfheal-operator-") as name:
            home = Path(name)
            text = (lab.state / "ansible.cfg").read_text(encoding="utf-8")
            for kept in ("id_ed25519", "known_hosts"):
                shutil.copy(lab.state / kept, home / kept)
                text = text.replace(str(lab.state / kept), str(home / kept))
            (home / "ansible.cfg").write_text(text.replace(str(lab.state / "cp"), str(home / "cp")), encoding="utf-8")
            for path in (home, *home.iterdir()):
                shutil.chown(path, cls.name)
            yield cls(home)

    def environment(self, lab: Lab) -> dict[str, str]:
        mine = {"HOME": str(self.home), "ANSIBLE_CONFIG": str(self.home / "ansible.cfg")}
        return {**lab.environment(), **mine, "USER": self.name, "LOGNAME": self.name}


class Heal:
    """One ``ansible-playbook selfheal.cluster.heal`` in the background."""

    begun: ClassVar[list[Heal]] = []

    def __init__(self, lab: Lab, folder: Path, node: str, *arguments: str, user: OtherUser | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        environment = lab.environment() if user is None else user.environment(lab)
        if user is not None:
            folder = user.home
        self.file = folder / "result.json"
        self.log = folder / "log.txt"
        environment["ANSIBLE_INVENTORY"] = brief(folder)
        words = [str(BIN / "ansible-playbook"), "selfheal.cluster.heal", "-e", f"selfheal_node={node}", *arguments]
        command = words if user is None else user.command(*words)
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                command,
                cwd=lab.root,
                env={**environment, "SELFHEAL_RESULT_FILE": str(self.file)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.begun.append(self)

    @classmethod
    def end_all(cls) -> None:
        """Let every run come to its end: one that a failed test leaves would take its leases into the next test."""
        while cls.begun:
            cls.begun.pop().ended(PATIENCE)

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

    def ended(self, seconds: float) -> None:
        """Wait for the command, and kill it when it takes longer."""
        try:
            self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.kill()

    def end(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """The result when the command has ended."""
        self.ended(seconds)
        return {**self.result(), "rc": self.process.returncode, "log": self.log.read_text(encoding="utf-8")}


def members(lab: Lab, node_address: str) -> dict[str, dict[str, Any]]:
    """The member as each balancer sees it, without any code of the heal: its socket, and its folder of holds."""
    script = (
        "echo 'show servers state' | socat - /run/haproxy/admin.sock; ls /var/lib/selfheal/holds 2>/dev/null || true"
    )
    seen = {}
    for balancer in ("extlb1", "extlb2"):
        text = lab.on(balancer, script).stdout
        rows = [line.split() for line in text.splitlines() if f" {node_address} " in line]
        assert rows, text
        seen[balancer] = {"operational": rows[0][5], "admin": rows[0][6], "holds": text.count("haproxy_")}
    return seen


def serves(lab: Lab, node_address: str) -> bool:
    """Up and in rotation on both balancers, with no hold left."""
    return all(row == {"operational": "2", "admin": "0", "holds": 0} for row in members(lab, node_address).values())


def service_process(lab: Lab, node: str, unit: str) -> str:
    return lab.on(node, f"systemctl show -p MainPID --value {unit}").stdout.strip()


VIP = "10.213.77.100"


def holders(lab: Lab, *balancers: str) -> list[str]:
    """Who of these has the virtual IP on an interface."""
    return [name for name in balancers if VIP in lab.on(name, "ip -o addr").stdout]


def at_home(lab: Lab) -> bool:
    """The address on its preferred node alone, and no hold left on the pair."""
    held = [name for name in ("extlb1", "extlb2") if "keepalived_" in lab.on(name, "ls /var/lib/selfheal/holds").stdout]
    return holders(lab, "extlb1", "extlb2") == ["extlb1"] and not held


def boot_id(lab: Lab, node: str) -> str:
    return lab.on(node, "cat /proc/sys/kernel/random/boot_id").stdout.strip()
