# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A real pair: two keepalived, each in namespaces of its own, joined by one wire."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[3]
VIP = "10.99.7.100"
STATE = "/run/selfheal"  # inside the namespaces, where /run and /tmp are the machine's own

CONFIG = """
global_defs {{
  router_id {name}
  enable_script_security
  script_user root
}}
track_file heal_VI_ext {{
  file /run/selfheal/keepalived/VI_ext
  weight 1
}}
{group}
vrrp_instance VI_ext {{
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority {priority}
  version 3
  advert_int 0.1
  down_timer_adverts 10
  {extra}
  unicast_src_ip {own}
  unicast_peer {{
    {peer}
  }}
  virtual_ipaddress {{
    {vip}/32 dev eth0
  }}
  {track}
}}
"""
TRACK = "track_file {\n    heal_VI_ext\n  }"


def wait_for(what: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait for a condition and return it; the only sleep is between two looks."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.03)


class Answer(dict[str, Any]):
    """What a module returned; whoever asks for what a refusal does not have is told the refusal."""

    def __missing__(self, key: str) -> Any:
        raise AssertionError(f"no {key} in {dict(self)}")


class Machine:
    """One node: own network, own /run and /tmp, and what runs there."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.run_dir = folder / name / "run"
        self.state = self.run_dir / "selfheal"
        for part in (self.run_dir, folder / name / "tmp", self.state / "keepalived"):
            part.mkdir(parents=True)
        mounts = (
            f"mount --bind {REPO} /mnt && mount --bind {self.run_dir} /run"
            f" && mount --bind {folder / name / 'tmp'} /tmp && ip link set lo up && touch /run/ready"
        )
        command = ["unshare", "-n", "-m", "sh", "-c", f"{mounts} && exec sleep 600"]
        self.holder = subprocess.Popen(command)
        self.log = (folder / f"{name}.log").open("wb")
        self.daemon: subprocess.Popen[bytes] | None = None
        wait_for((self.run_dir / "ready").exists)

    def enter(self, *command: str) -> list[str]:
        """A command line that runs inside."""
        return ["nsenter", "-t", str(self.holder.pid), "-m", "-n", *command]

    def run(self, *command: str, stdin: str = "") -> str:
        """Run something inside."""
        return subprocess.run(
            self.enter(*command), input=stdin, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    def configure(self, **values: Any) -> None:
        """Write keepalived's configuration."""
        defaults = {"name": self.name, "vip": VIP, "extra": "", "group": "", "track": TRACK}
        (self.run_dir / "keepalived.conf").write_text(CONFIG.format(**{**defaults, **values}))

    def start(self) -> None:
        """Start keepalived."""
        command = ("keepalived", "-n", "-l", "-D", "-f", "/run/keepalived.conf", "-p", "/run/keepalived.pid")
        self.daemon = subprocess.Popen(
            self.enter(*command, "-r", "/run/vrrp.pid", "-c", "/run/checkers.pid"),
            stdout=self.log,
            stderr=self.log,
        )
        wait_for((self.run_dir / "keepalived.pid").exists)

    def stop(self) -> None:
        """Stop keepalived in an orderly way."""
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait(10)
            self.daemon = None

    def kill(self) -> None:
        """Kill all processes of keepalived at once, as the lab's fault does; its address stays behind."""
        assert self.daemon is not None
        found = self.processes()
        # Stopped first: a child that outlives its parent by a moment gives the address up in an orderly way.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in found:
                os.kill(pid, number)
        self.daemon.wait(10)
        # keepalived does not start beside a pid file whose process is a zombie that nobody has waited for yet.
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found))
        self.daemon = None

    def close(self) -> None:
        """End everything that was started here."""
        self.stop()
        self.holder.kill()
        self.holder.wait(10)
        self.log.close()

    def processes(self) -> list[int]:
        """All processes of keepalived here."""
        parent = int((self.run_dir / "keepalived.pid").read_text())
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return [parent, *map(int, children)]

    def offset(self) -> str:
        """What the track file holds; empty without one."""
        path = self.state / "keepalived" / "VI_ext"
        return path.read_text() if path.exists() else ""

    @staticmethod
    def python() -> str:
        """The running Python, as it is seen inside."""
        python = sys.executable
        return f"/mnt{python[len(str(REPO)) :]}" if python.startswith(str(REPO)) else python

    def module(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Run one of our modules inside, as Ansible would, and return its result."""
        arguments.setdefault("state_dir", STATE)
        done = subprocess.run(
            self.enter(
                "env",
                "PYTHONPATH=/mnt/.dev",
                self.python(),
                "-m",
                f"ansible_collections.selfheal.cluster.plugins.modules.{name}",
            ),
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/",
        )
        assert done.stdout.strip(), done.stderr
        return Answer(json.loads(done.stdout))

    def info(self, **arguments: Any) -> dict[str, Any]:
        """What keepalived_info says."""
        arguments = {"instance": "VI_ext", "vip": VIP, **arguments}
        found: dict[str, Any] = self.module("keepalived_info", **arguments)["keepalived"]
        return found

    def hold(self, **arguments: Any) -> dict[str, Any]:
        """Call keepalived_hold with what every call needs."""
        given = {"instance": "VI_ext", "vip": VIP, "incident": "i1", "epoch": 10, "phase": "shift"}
        return self.module("keepalived_hold", **{**given, **arguments})

    def release(self, **arguments: Any) -> dict[str, Any]:
        """Call keepalived_release with what every call needs."""
        return self.module("keepalived_release", **{"instance": "VI_ext", "addresses": [VIP], "epoch": 10, **arguments})

    def mac(self) -> str:
        """The hardware address of its end of the wire."""
        return str(json.loads(self.run("ip", "-j", "link", "show", "eth0"))[0]["address"])

    def has_vip(self) -> bool:
        """Whether this machine has the virtual address."""
        return f'"{VIP}"' in self.run("ip", "-j", "addr")


class Pair:
    """Two machines on one wire; ``one`` is the preferred node."""

    def __init__(self, folder: Path) -> None:
        self.one = Machine("one", folder)
        self.two = Machine("two", folder)
        first, second = (str(machine.holder.pid) for machine in (self.one, self.two))
        wire = f"ip link add eth0 netns {first} type veth peer name eth0 netns {second}"
        subprocess.run(wire.split(), check=True)
        for number, machine in enumerate((self.one, self.two), start=1):
            machine.run("ip", "addr", "add", f"10.99.7.{number}/24", "dev", "eth0")
            machine.run("ip", "link", "set", "eth0", "up")
        self.configure()

    def configure(self, one: dict[str, Any] | None = None, two: dict[str, Any] | None = None) -> None:
        """Write both configurations."""
        self.one.configure(**{"priority": 200, "own": "10.99.7.1", "peer": "10.99.7.2", **(one or {})})
        self.two.configure(**{"priority": 150, "own": "10.99.7.2", "peer": "10.99.7.1", **(two or {})})

    def start(self) -> None:
        """Start both and wait until the preferred node has the address."""
        self.one.start()
        self.two.start()
        wait_for(lambda: self.one.has_vip() and not self.two.has_vip())

    def close(self) -> None:
        """End both."""
        self.one.close()
        self.two.close()
