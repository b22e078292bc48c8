# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Machines as Debian leaves them, without one list of apt's: roots that Ansible enters by chroot.

One root is made by mmdebstrap and kept; each machine is an overlay over it. All mounts live in a mount namespace of the
one command that needs them, and that command ends with the process that started it: a killed test leaves folders, and
no mount.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from lab import base

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
CACHE = Path(os.environ.get("SELFHEAL_TEST_CACHE", "/var/cache/selfheal-test"))
MADE, RUN = "plain-root-", "plain-run-"
#: What a Debian server has that Ansible logs in to. No mail program, no sudo, nothing of ours.
SERVER = ("openssh-server", "python3", "python3-apt", "systemd", "systemd-sysv")
INVENTORY = ROOT / "lab/inventory"
#: The connection by chroot comes with PyPI's `ansible`, of which nothing else is needed.
COLLECTION = "ansible_collections/community/general/"
RECAP = re.compile(r"^(\S+) +: (ok=.*)$", re.MULTILINE)
ENTER = """
set -eu
folder=$1 lower=$2; shift 2
while [ "$1" != -- ]; do
  mount -t overlay overlay -o "lowerdir=$lower,upperdir=$folder/up/$1,workdir=$folder/work/$1" "$folder/$1"
  mount -t proc proc "$folder/$1/proc"
  mount -t sysfs -o ro sysfs "$folder/$1/sys"
  mount --rbind /dev "$folder/$1/dev"
  shift
done
shift
cd "$folder"
"$@"
"""
SETTINGS = """[defaults]
inventory = {inventory}
collections_path = {collections}
interpreter_python = /usr/bin/python3
gathering = explicit
forks = 2
localhost_warning = False
"""


@contextmanager
def alone() -> Iterator[None]:
    """One run of these tests at a time; folders of killed ones are removed first."""
    with base.locked(CACHE / f"{MADE}lock", "makes plain roots of Debian"):
        for old in CACHE.glob(f"{RUN}*"):
            base.remove_tree(old)
        yield


def plain_root() -> Path:
    """The root under every machine, made now if it is not there."""
    recipe = hashlib.sha256("\n".join([base.SUITE, *SERVER]).encode()).hexdigest()[:12]
    target = CACHE / f"{MADE}{recipe}"
    for other in CACHE.glob(f"{MADE}*/"):
        if other != target:
            base.remove_tree(other)
    if not target.is_dir():
        base.say(f"building a plain root of Debian, once, about a minute: {target}")
        base.debootstrap(target, SERVER)
    return target


def collections() -> Path:
    """A folder with the collection that has the connection, fetched now if it is not there."""
    target = CACHE / "collections"
    if target.is_dir():
        return target
    part = CACHE / "collections.part"
    shutil.rmtree(part, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--only-binary=:all:", "--dest", str(part), "ansible"], check=True)
    wheel = next(part.glob("ansible-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(part, [name for name in archive.namelist() if name.startswith(COLLECTION)])
    wheel.unlink()
    part.rename(target)
    return target


@dataclass(frozen=True)
class Played:
    """What a playbook said."""

    returncode: int
    text: str
    recap: dict[str, dict[str, int]] = field(default_factory=dict)

    def counts(self, what: str) -> dict[str, int]:
        """One number of the recap per machine."""
        return {host: numbers[what] for host, numbers in self.recap.items() if host != "localhost"}


class Machines:
    """The machines of the sample inventory that are named, each plain until a role was there."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        hosts = yaml.safe_load((INVENTORY / "hosts.yml").read_text())
        known = {name: value["ansible_host"] for group in hosts.values() for name, value in group["hosts"].items()}
        # A root is named as the address of its machine, so that Ansible finds it and the inventory stays as it is.
        self.address = {name: known[name] for name in names}
        inventory = folder / "inventory"
        shutil.copytree(INVENTORY, inventory, ignore=shutil.ignore_patterns("90-lab.yml"))
        (inventory / "group_vars/all/99-chroot.yml").write_text("ansible_connection: community.general.chroot\n")
        for name in names:
            for kind in (self.address[name], f"up/{self.address[name]}", f"work/{self.address[name]}"):
                (folder / kind).mkdir(parents=True)
            # Fake: no service may start, since it would run on this machine; and PID 1 is said to be systemd.
            self.write(name, "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", mode=0o755)
            (self.up(name) / "run/systemd/system").mkdir(parents=True)
        paths = f"{ROOT / '.dev'}:{collections()}"
        (folder / "ansible.cfg").write_text(SETTINGS.format(inventory=inventory, collections=paths))

    def up(self, name: str) -> Path:
        """What was written on a machine since it was plain."""
        return self.folder / "up" / self.address[name]

    def write(self, name: str, path: str, text: str, mode: int = 0o644) -> None:
        """Put a file on a machine."""
        target = self.up(name) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def entered(self, *command: str | Path) -> list[str]:
        """The command line that runs a command with all machines mounted, and no longer than its caller lives."""
        names = self.address.values()
        alone = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        enter = ["sh", "-c", ENTER, "enter", str(self.folder), str(plain_root()), *names, "--"]
        return [*alone, *enter, *map(str, command)]

    def run(self, *command: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command with all machines mounted."""
        environment = {**os.environ, "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        environment["PATH"] = f"{BIN}:{environment['PATH']}"
        return subprocess.run(
            self.entered(*command), env=environment, text=True, errors="replace", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False,
        )  # fmt: skip

    def on(self, name: str, *command: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command on a machine."""
        return self.run("chroot", self.folder / self.address[name], *command, timeout=timeout)

    def play(self, playbook: str, *arguments: str, timeout: float = 600) -> Played:
        """Run a playbook: the name of one of the collection, or the text of a new one."""
        if "\n" in playbook:
            (self.folder / "play.yml").write_text(playbook)
            playbook = "play.yml"
        done = self.run(BIN / "ansible-playbook", playbook, *arguments, timeout=timeout)
        recap = {
            host: {key: int(value) for key, _, value in (word.partition("=") for word in numbers.split())}
            for host, numbers in RECAP.findall(done.stdout)
        }
        return Played(done.returncode, done.stdout, recap)

    def role(self, name: str, role: str, *arguments: str, tasks_from: Sequence[str] = ("main",)) -> Played:
        """Apply a role of the collection to a machine."""
        tasks = "".join(
            f"    - ansible.builtin.include_role: {{name: selfheal.cluster.{role}, tasks_from: {entry}}}\n"
            for entry in tasks_from
        )
        return self.play(f"- hosts: {name}\n  gather_facts: false\n  tasks:\n{tasks}", *arguments)

    def lists(self, name: str) -> list[str]:
        """The lists of packages that apt has on a machine."""
        below = "var/lib/apt/lists"
        folders = (self.up(name) / below, plain_root() / below)
        return sorted(path.name for folder in folders for path in folder.glob("*_Packages*"))

    def files(self, name: str) -> dict[str, str]:
        """Files written on a machine, with a hash; without what Ansible, Python and apt write when they only look."""
        looked = re.compile(r"(root/\.ansible|tmp|var/tmp|var/cache/apt|var/lib/apt/lists/lock)(/|$)|.*/__pycache__/")
        return {
            path: hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(self.up(name).rglob("*"))
            if file.is_file()
            and not file.is_symlink()
            and not looked.match(path := str(file.relative_to(self.up(name))))
        }
