# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""A farm that serves, kept as one more layer under each machine, so that the next lab is up in seconds.

Asked for with ``LAB_FAST=1 lab/up``. The layer is what site.yml wrote on a machine, taken while the machine is
frozen, without what two machines may not share. Its name is a hash of everything that site.yml works from
(inventory, roles, plugins, base): when one byte of it changes, the playbook runs again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from lab import base
from lab.machines import CACHE, FARM, Lab, LabError, run, wait_until

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (
    "lab/inventory",
    "lab/roles",
    "lab/site.yml",
    "roles/guard",
    "roles/nagios_agent",
    "roles/nagios_server",
    "roles/packages",
    "plugins",
)
#: And what the healer is made of, where the lab makes one.
HEALER_SOURCES = ("lab/healer.yml", "playbooks", "roles/healer", "runner/selfheal_cluster", "pyproject.toml")
#: What belongs to one machine or one run of it; everything else that site.yml wrote is kept.
OWN = (
    "etc/machine-id", "etc/hostname", "etc/hosts", "root/.ansible",
    "tmp/*", "var/tmp/*", "var/log/journal/*", "var/lib/nagios4/rw/*", "var/lib/nagios4/*.dat",
    "var/lib/nagios4/spool/checkresults/*",
    "var/lib/selfheal/haproxy.state", "var/lib/selfheal/.ansible/tmp/*", "var/lib/selfheal/cp/*",
    "var/spool/selfheal/*",
)  # fmt: skip
#: Keys, which a farm with a healer keeps: the healer knows its nodes by theirs, and they let its own in. So the
#: machine of the same name in the next lab is the same machine, made again; never do two of them run at once.
KEYS = ("etc/ssh/ssh_host_*", "root/.ssh")


def asked() -> bool:
    """Whether the human asked for the quick way."""
    return os.environ.get("LAB_FAST", "") not in ("", "0")


def with_healer() -> bool:
    """Whether LAB_HEALER says that there is to be a healer (1) or none (0), else whether the inventory does."""
    if wish := os.environ.get("LAB_HEALER", ""):
        return wish != "0"
    settings = ROOT / "lab/inventory/group_vars/all/90-lab.yml"
    try:
        return re.search(r"(?m)^lab_healer: *true\b", settings.read_text()) is not None
    except OSError:
        return False


def _sources() -> Iterator[Path]:
    for source in SOURCES + (HEALER_SOURCES if with_healer() else ()):
        top = ROOT / source
        yield from (
            [top]
            if top.is_file()
            else sorted(path for path in top.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        )


def key() -> str:
    """Hash over all that decides what site.yml writes."""
    value = hashlib.sha256(base.recipe().encode())
    for path in _sources():
        value.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return value.hexdigest()[:12]


def kind() -> str:
    """Farms with and without a healer are kept beside each other: demo and tests want one each."""
    return "farm-healer-" if with_healer() else "farm-plain-"


def name() -> str:
    """The folder that keeps a farm of today's sources."""
    return kind() + key()


def saved(nodes: list[str], cache: Path = CACHE) -> Path | None:
    """Folder with a layer for every one of these nodes, of today's sources."""
    folder = cache / name()
    return folder if all((folder / node).is_dir() for node in nodes) else None


def made_of_it(lab: Lab) -> bool:
    """Whether every machine was made from a layer of today's sources and so needs no playbook."""
    marks = [lab.machine_dir(node) / "farm" for node in lab.nodes(FARM)]
    return bool(marks) and all(mark.exists() and mark.read_text() == name() for mark in marks)


def _take(lab: Lab, node: str, target: Path) -> None:
    """Copy one machine's layer while nothing in it moves."""
    run(["sync", "-f", str(lab.machine_dir(node) / "root")])
    lab.freeze(node)
    try:
        run(["cp", "-a", str(lab.machine_dir(node) / "disk/up"), str(target)])
    finally:
        lab.thaw(node)
    for pattern in OWN + (() if with_healer() else KEYS):
        for path in target.glob(pattern):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def save(lab: Lab, since: float, cache: Path = CACHE) -> bool:
    """Keep the farm, if all its machines are newer than ``since``: an older one may be ill or held."""
    nodes = lab.nodes(FARM)
    if saved(nodes, cache) or any((lab.machine_dir(node) / "spec.json").stat().st_mtime < since for node in nodes):
        return False
    folder = cache / name()
    with base.locked(cache / "lock", "builds the base root file system"):
        unfinished = folder.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True, mode=0o700)
        for node in nodes:
            _take(lab, node, unfinished / node)
        for old in cache.glob(f"{kind()}*"):
            if old not in (folder, unfinished) and not base.in_use(old):
                shutil.rmtree(old)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    return True


def _serves(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _held(lab: Lab) -> bool:
    """Whether a guard still holds a node: each of a pair is held when it boots, until it is seen well."""
    return any(any((lab.machine_dir(node) / "root/var/lib/selfheal/holds").glob("*.json")) for node in lab.nodes(FARM))


def main() -> int:
    """Command line: ``fresh`` (exit code 0: no playbook needed), ``healer`` (0: the lab has one), ``save SINCE``,
    ``wait URL``."""
    lab, words = Lab.from_env(), sys.argv[1:]
    try:
        if words == ["fresh"]:
            return 0 if made_of_it(lab) else 1
        if words == ["healer"]:
            return 0 if with_healer() else 1
        if len(words) == 2 and words[0] == "save":
            started = time.monotonic()
            if save(lab, float(words[1])):
                base.say(f"kept this farm for the next LAB_FAST=1 lab/up ({time.monotonic() - started:.1f} s)")
        elif len(words) == 2 and words[0] == "wait":
            if not wait_until(lambda: _serves(words[1]) and not _held(lab), 120, pause=0.2):
                raise LabError(
                    f"{words[1]} does not answer, or a node is still held; `lab/down`, then `lab/up` without LAB_FAST"
                )
        else:
            raise LabError("usage: python3 -m lab.farm fresh | healer | save SINCE | wait URL")
    except LabError as error:
        base.say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
