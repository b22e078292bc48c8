# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The lab's names and places, and what its host can do to a machine from outside.

Standard library only, no root needed to import. On the command line:
``python3 -m lab.machines cut ei1`` (from the checkout), as root.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_NAME = "shlab"
#: The part of a lab that its own inventory names; the other one is in lab/kubernetes. Each is made without the other.
FARM = "farm"
CACHE = Path("/var/cache/selfheal-lab")
CGROUPS = Path("/sys/fs/cgroup")
#: LXC names its cgroups after the container and adds "-1" when an old one is in the way.
CGROUP_KINDS = ("lxc.payload.", "lxc.monitor.", "lxc.pivot.")
#: How deep below a controller LXC puts its cgroups: it starts where the caller lives.
CGROUP_DEPTH = 5
COMMAND_SECONDS = 20


class LabError(Exception):
    """Something about the lab that a human has to read."""


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    """Wait for a condition, not for a time; false when it did not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def run(
    argv: Sequence[str], check: bool = True, stdin: str | None = None, timeout: float = COMMAND_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run one command of the host, with its output kept and its error told."""
    done = subprocess.run(
        argv,
        input=stdin,
        text=True,
        capture_output=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL if stdin is None else None,
    )
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip() or done.returncode}")
    return done


@dataclass(frozen=True)
class Lab:
    """One lab on this host; every name and path of it is derived from its own name."""

    name: str = DEFAULT_NAME

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]{0,7}", self.name):
            raise LabError(f"LAB_NAME {self.name!r}: up to eight small letters and digits, a letter first")

    @classmethod
    def from_env(cls) -> Lab:
        """The lab that LAB_NAME names, else the default one."""
        return cls(os.environ.get("LAB_NAME") or DEFAULT_NAME)

    @property
    def state(self) -> Path:
        """Folder with the machines, the SSH key and the known hosts."""
        return Path("/var/lib/selfheal-lab" + ("" if self.name == DEFAULT_NAME else f"-{self.name}"))

    @property
    def lxc_path(self) -> Path:
        """LXC's own folder of this lab."""
        return self.state / "lxc"

    @property
    def lock(self) -> Path:
        """File whose lock keeps two runs apart."""
        return Path(f"/run/lock/selfheal-lab-{self.name}.lock")

    @property
    def bridge(self) -> str:
        """Bridge that all machines of this lab hang on."""
        return f"{self.name}0"

    def container(self, node: str) -> str:
        """LXC's name of a node."""
        return f"{self.name}-{node}"

    def veth(self, node: str) -> str:
        """Host's end of a node's network cable; the kernel allows 15 characters."""
        whole = f"{self.name}-{node}"
        return whole if len(whole) <= 15 else f"{whole[:10]}{abs(hash_of(whole)) % 16**5:05x}"

    def machine_dir(self, node: str) -> Path:
        """Folder of one node: its disk, its root, its LXC configuration."""
        return self.state / "machines" / node

    def spec(self, node: str) -> dict[str, Any]:
        """What a node was made of; nothing for one that is not there, or not whole."""
        try:
            return dict(json.loads((self.machine_dir(node) / "spec.json").read_text()))
        except (OSError, ValueError):
            return {}

    def nodes(self, part: str = "") -> list[str]:
        """Nodes that have been made: all, or those of one part (``farm``, ``kubernetes``)."""
        found = sorted(path.parent.name for path in (self.state / "machines").glob("*/spec.json"))
        return [node for node in found if part in ("", self.spec(node).get("part", FARM))]

    def address(self, node: str) -> str:
        """Address of a node on the bridge."""
        return str(self.spec(self._known(node))["address"])

    def _known(self, node: str) -> str:
        if node not in self.nodes():
            raise LabError(f"no machine {node!r} in lab {self.name}; there are: {', '.join(self.nodes()) or 'none'}")
        return node

    def _lxc(
        self, tool: str, node: str, *arguments: str, check: bool = True, timeout: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        return run(
            [tool, "-P", str(self.lxc_path), "-n", self.container(node), *arguments], check=check, timeout=timeout
        )

    def pid(self, node: str) -> int | None:
        """Process id, as the host sees it, of the node's PID 1; nothing when the node does not run."""
        text = self._lxc("lxc-info", node, "-p", "-H", check=False).stdout.strip()
        return int(text) if text.isdigit() else None

    def starters(self, node: str) -> list[int]:
        """Processes that are still starting a node: LXC gives itself another name once the node runs."""
        wanted = [str(self.lxc_path), "-n", self.container(node)]
        found: list[int] = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                words = path.read_text(errors="replace").split("\0")
                if words[:2] == ["lxc-start", "-P"] and words[2:5] == wanted:
                    found.append(int(path.parent.name))
        return found

    def _freezers(self, node: str) -> Iterator[tuple[Path, str, str]]:
        """Switches that stop a node, each with its words for on and off (cgroup v1 and v2)."""
        for cgroup in self.cgroups(self._known(node)):
            for name, on, off in (("freezer.state", "FROZEN", "THAWED"), ("cgroup.freeze", "1", "0")):
                # Where both versions are mounted, the processes are in the first one.
                if ".payload." in cgroup.name and (cgroup / name).exists() and (cgroup / "cgroup.procs").read_text():
                    yield cgroup / name, on, off

    def frozen(self, node: str) -> bool:
        """Whether the node is frozen."""
        return any(switch.read_text().strip() == on for switch, on, _off in self._freezers(node))

    def freeze(self, node: str) -> None:
        """Stop every process of the node where it is (as a hypervisor that stalls); the cable stays in."""
        for switch, on, _off in self._freezers(node):
            switch.write_text(on)
        if not wait_until(lambda: self.frozen(node), COMMAND_SECONDS):
            raise LabError(f"{node} does not freeze")

    def thaw(self, node: str) -> None:
        """Let a frozen node go on."""
        for switch, _on, off in self._freezers(node):
            switch.write_text(off)
        if not wait_until(lambda: not self.frozen(node), COMMAND_SECONDS):
            raise LabError(f"{node} does not thaw")

    def is_cut(self, node: str) -> bool:
        """Whether the node's cable is out of the bridge."""
        return " master " not in run(["ip", "-o", "link", "show", "dev", self.veth(self._known(node))]).stdout

    def cut(self, node: str) -> None:
        """Take the node's cable out of the bridge; the node keeps its carrier and address.

        A reboot of the node puts the cable back, since LXC makes a new one.
        """
        run(["ip", "link", "set", self.veth(self._known(node)), "nomaster"])

    def join(self, node: str) -> None:
        """Put the node's cable back into the bridge."""
        run(["ip", "link", "set", self.veth(self._known(node)), "master", self.bridge])

    def power_off(self, node: str) -> None:
        """Take the node's power away: nothing in it is told."""
        self._lxc("lxc-stop", self._known(node), "-k", check=False)
        if not wait_until(lambda: self.pid(node) is None, COMMAND_SECONDS):
            raise LabError(f"{node} does not stop")

    def power_on(self, node: str) -> None:
        """Give a node without power its power back; one that has it is left alone."""
        if self.pid(self._known(node)):
            return
        folder = self.machine_dir(node)
        self._lxc("lxc-start", node, "-d", "-f", str(folder / "config"), "-o", str(folder / "lxc.log"), "-l", "WARN")

    def exec(
        self, node: str, argv: Sequence[str], check: bool = True, timeout: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the node without its network or SSH (a console, so to say)."""
        return run(self.console(node, argv), check=check, timeout=timeout)

    def console(self, node: str, argv: Sequence[str]) -> list[str]:
        """The words that run a command inside the node, for whoever starts the process itself."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        where = ["-P", str(self.lxc_path), "-n", self.container(self._known(node))]
        return ["lxc-attach", *where, "--clear-env", "--set-var", path, "--", *argv]

    def cgroups(self, node: str | None = None) -> Iterator[Path]:
        """Every cgroup that LXC made for the node, or for any node of this lab."""
        wanted = re.compile(
            "(?:"
            + "|".join(re.escape(kind) for kind in CGROUP_KINDS)
            + ")"
            + re.escape(self.container(node or ""))
            + (r"(?:-\d+)?" if node else ".+")
        )
        return lxc_cgroups(wanted)


def lxc_cgroups(wanted: re.Pattern[str]) -> Iterator[Path]:
    """Every cgroup of LXC whose name is wanted, in whatever controller and below whatever caller."""
    for top, folders, _files in os.walk(CGROUPS):
        for folder in list(folders):
            if wanted.fullmatch(folder):
                yield Path(top, folder)
            if folder.startswith(CGROUP_KINDS):
                folders.remove(folder)
        if len(Path(top).relative_to(CGROUPS).parts) >= CGROUP_DEPTH:
            folders.clear()


def hash_of(text: str) -> int:
    """A number for a name, the same in every process (hash() is not)."""
    value = 0
    for char in text.encode():
        value = (value * 131 + char) % 2**32
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: one action on one node."""
    parser = argparse.ArgumentParser(prog="python3 -m lab.machines", description="Act on a lab machine from its host.")
    parser.add_argument("action", choices=["list", "pid", "freeze", "thaw", "cut", "join", "off", "on", "exec"])
    parser.add_argument("node", nargs="?", default="")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="for exec")
    options = parser.parse_args(argv)
    lab = Lab.from_env()
    try:
        if options.action == "list":
            for node in lab.nodes():
                print(f"{node:12} {lab.address(node):16} {lab.pid(node) or 'stopped'}")
        elif options.action == "pid":
            print(lab.pid(options.node) or "")
        elif options.action == "exec":
            done = lab.exec(options.node, options.command, check=False, timeout=600)
            sys.stdout.write(done.stdout)
            sys.stderr.write(done.stderr)
            return done.returncode
        else:
            acts = {"freeze": lab.freeze, "thaw": lab.thaw, "cut": lab.cut, "join": lab.join,
                    "off": lab.power_off, "on": lab.power_on}  # fmt: skip
            acts[options.action](options.node)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
