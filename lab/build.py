# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Make and remove the lab's machines; called by create.yml and destroy.yml.

``up`` reads what is wanted as JSON on standard input and makes it so: machines that run as wanted are left
alone, everything else under this lab's prefix (a machine half made by a killed run, or one that is no longer
in the inventory) is removed first. ``down`` removes all that is ours. Both print JSON with ``changed``.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import os
import re
import shutil
import socket
import string
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab import base, farm, host, owner
from lab.kubernetes import bmc, images, names, pki
from lab.kubernetes import machine as kubernetes
from lab.kubernetes.names import Cluster
from lab.machines import CGROUPS, FARM, Lab, LabError, run, wait_until

FILES = Path(__file__).resolve().parent / "files"
TEMPLATE = FILES / "machine.conf.in"
CABLE_UP = FILES / "cable-up.sh"
SSH_SECONDS = 45
STOP_SECONDS = 10
WORKERS = 6
CFS_PERIOD = 100_000
NODE_NAME = re.compile(r"[a-z][a-z0-9]{0,20}(-[a-z][a-z0-9]{0,20})*")


def check_spec(spec: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The wanted machines, or an error that says what is wrong with the inventory."""
    network = ipaddress.ip_interface(str(spec["bridge_address"])).network
    machines: dict[str, dict[str, Any]] = {}
    seen: dict[str, str] = {}
    for node, wanted in spec["machines"].items():
        if not NODE_NAME.fullmatch(node):
            raise LabError(f"{node!r} cannot be a lab machine: small letters and digits, a letter first, '-' between")
        address = str(wanted["address"])
        try:
            inside = ipaddress.ip_address(address) in network
        except ValueError:
            inside = False
        if not inside:
            raise LabError(f"{node}: ansible_host {address!r} is not an address in the lab's network {network}")
        if address in seen:
            raise LabError(f"{node} and {seen[address]} have the same address {address}")
        seen[address] = node
        machines[node] = {
            "address": address,
            "prefix": network.prefixlen,
            "memory_mb": int(wanted["memory_mb"]),
            "cpu": float(wanted["cpu"]),
            "disk_mb": int(wanted["disk_mb"]),
            "cpu_weight": int(wanted.get("cpu_weight", 1)),
            "part": str(spec.get("part", FARM)),
        }
        if wanted.get("kubernetes"):
            machines[node]["kubernetes"] = str(wanted["kubernetes"])
    if not machines:
        raise LabError("the inventory has no machines")
    return machines


def limit_lines(memory_mb: int, cpu: float, v2: bool, weight: int = 1) -> list[str]:
    """Memory and CPU limits, in the words of the cgroup version that the host has.

    ``weight``: how many times the usual share of a CPU that all want. Servers of their own do not wait for each other;
    what has to answer within a tenth of a second (VRRP) must not do so here either.
    """
    quota = int(cpu * CFS_PERIOD)
    if v2:
        return [
            f"lxc.cgroup2.memory.max = {memory_mb}M",
            "lxc.cgroup2.memory.swap.max = 0",
            f"lxc.cgroup2.cpu.max = {quota} {CFS_PERIOD}",
            f"lxc.cgroup2.cpu.weight = {100 * weight}",
        ]
    return [
        f"lxc.cgroup.memory.limit_in_bytes = {memory_mb}M",
        f"lxc.cgroup.cpu.cfs_period_us = {CFS_PERIOD}",
        f"lxc.cgroup.cpu.cfs_quota_us = {quota}",
        f"lxc.cgroup.cpu.shares = {1024 * weight}",
    ]


def config_text(lab: Lab, node: str, spec: Mapping[str, Any]) -> str:
    """LXC configuration of one machine."""
    v2 = not (CGROUPS / "memory").is_dir()
    octets = ipaddress.ip_address(spec["address"]).packed
    filled = string.Template(TEMPLATE.read_text()).substitute(
        node=node,
        root=lab.machine_dir(node) / "root",
        cable_up=CABLE_UP,
        veth=lab.veth(node),
        address=spec["address"],
        prefix=spec["prefix"],
        mac="02:5e:" + ":".join(f"{octet:02x}" for octet in octets),
    )
    lines = limit_lines(spec["memory_mb"], spec["cpu"], v2, spec.get("cpu_weight", 1))
    if spec.get("kubernetes"):
        lines += kubernetes.lxc_lines(lab, node)
    return filled + "\n".join(lines) + "\n"


def found_nodes(lab: Lab) -> set[str]:
    """Names of all nodes of which anything is left: a folder, a cgroup, a network cable."""
    nodes = {path.name for path in (lab.state / "machines").glob("*")}
    prefix = re.compile(r"lxc\.[a-z]+\." + re.escape(lab.container("")) + r"(.+?)(?:-\d+)?")
    for cgroup in lab.cgroups():
        match = prefix.fullmatch(cgroup.name)
        if match:
            nodes.add(match[1])
    return nodes


def _deepest_first(cgroup: Path) -> list[Path]:
    """The cgroup behind all below it. A machine that ends takes them away meanwhile: what is gone is left out."""
    # Not rglob, which raises for one of these.
    return [Path(folder) for folder, _folders, _files in os.walk(cgroup, topdown=False)]


@contextlib.contextmanager
def _unless_gone() -> Iterator[None]:
    """A cgroup that is removed between two looks is what was wanted (ENODEV: its files were open already)."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise


def _thaw_cgroup(cgroup: Path) -> None:
    """Let frozen processes go on, because they cannot be killed before."""
    for folder in reversed(_deepest_first(cgroup)):
        for switch, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            with _unless_gone():
                if (folder / switch).exists():
                    (folder / switch).write_text(word)


def _kill_cgroup(cgroup: Path) -> None:
    """Kill every process in a cgroup and below it, and remove it."""
    if not wait_until(lambda: _emptied(cgroup), STOP_SECONDS):
        raise LabError(f"the cgroup {cgroup} does not go, or processes in it do not end")


def _emptied(cgroup: Path) -> bool:
    """Kill what is in a cgroup and remove what is empty of it; LXC's monitor may be quicker, or add to it."""
    for folder in _deepest_first(cgroup):
        with _unless_gone():
            for pid in (folder / "cgroup.procs").read_text().split():
                run(["kill", "-9", pid], check=False)
        with contextlib.suppress(OSError):  # gone, or not empty yet
            folder.rmdir()
    return not cgroup.exists()


def _starts_no_more(lab: Lab, node: str) -> bool:
    """Kill what a killed run left starting a node: it would bring it up beside, or after, what is done here."""
    starters = lab.starters(node)
    for pid in starters:
        run(["kill", "-9", str(pid)], check=False)
    return not starters


def _folder_gone(folder: Path) -> bool:
    """Remove a folder with its mounts; a mount that a killed run had begun may come after the first look."""
    base.unmount_below(folder)
    if not base.mounts_below(folder):
        shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def remove_machine(lab: Lab, node: str) -> None:
    """Remove all of one node, whatever state a killed run or a killed LXC left it in."""
    if not wait_until(lambda: _starts_no_more(lab, node), STOP_SECONDS):
        raise LabError(f"{node} is still being started by {lab.starters(node)}, which do not end")
    if (lab.lxc_path / lab.container(node)).exists() or lab.machine_dir(node).exists():
        lab._lxc("lxc-stop", node, "-k", "--nolock", "-t", "5", check=False)  # a hint only; the cgroups decide
    # The monitor first, so that it does not take the end of its machine for a reboot.
    cgroups = sorted(lab.cgroups(node), key=lambda path: "lxc.monitor." not in path.name)
    for action in (_thaw_cgroup, _kill_cgroup):
        for cgroup in cgroups:
            if cgroup.is_dir():
                action(cgroup)
    run(["ip", "link", "del", lab.veth(node)], check=False)  # most often gone with its machine
    folder = lab.machine_dir(node)
    if not wait_until(lambda: _folder_gone(folder), STOP_SECONDS):
        raise LabError(f"cannot remove {folder}; mounted in it: {', '.join(base.mounts_below(folder)) or 'nothing'}")
    shutil.rmtree(lab.lxc_path / lab.container(node), ignore_errors=True)


def _lay_out(lab: Lab, node: str, spec: Mapping[str, Any], lower: str) -> Path:
    """Give a node its disk, its root and what makes it different from its twins."""
    folder = lab.machine_dir(node)
    folder.mkdir(parents=True)
    image, disk, root = folder / "disk.img", folder / "disk", folder / "root"
    disk.mkdir()
    root.mkdir()
    with image.open("wb") as handle:
        handle.truncate(spec["disk_mb"] * 1024 * 1024)
    # A file system of its own: the node sees a disk of this size, and filling it never fills the host.
    run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", str(image)])
    run(["mount", "-o", "loop", str(image), str(disk)])
    (disk / "up").mkdir()
    (disk / "work").mkdir()
    run(
        [
            "mount",
            "-t",
            "overlay",
            "-o",
            f"lowerdir={lower},upperdir={disk}/up,workdir={disk}/work",
            f"selfheal-{lab.container(node)}",
            str(root),
        ]
    )
    (root / "etc/machine-id").write_text(uuid.uuid4().hex + "\n")
    (root / "etc/hostname").write_text(f"{node}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{spec['address']} {node}\n")
    key = root / "etc/ssh/ssh_host_ed25519_key"
    if not key.exists():  # a farm with a healer keeps it
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{node}", "-f", str(key)])
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    let_in(root / "root/.ssh/authorized_keys", host.public_key(lab).read_text())
    return root


def let_in(path: Path, lab_key: str) -> None:
    """The key of this lab, and of a kept file what is not the key of the lab before: the healer's."""
    kept = path.read_text().splitlines() if path.exists() else []
    comment = lab_key.split()[2:]
    others = [line for line in kept if line.strip() and line.split()[2:] != comment]
    path.write_text("".join(f"{line}\n" for line in [lab_key.strip(), *others]))
    path.chmod(0o600)


def make_machine(
    lab: Lab, node: str, spec: Mapping[str, Any], lower: str, kept: Path | None = None, cluster: Cluster | None = None
) -> None:
    """Make and start one machine, over what is kept of a farm if there is such; its spec.json, written last,
    says that it is whole."""
    root = _lay_out(lab, node, spec, f"{kept / node}:{lower}" if kept else lower)
    folder = lab.machine_dir(node)
    if cluster and spec.get("kubernetes"):
        kubernetes.lay_out(lab, node, root, cluster)
    if kept:
        (folder / "farm").write_text(kept.name)
    shutil.copy(root / "etc/ssh/ssh_host_ed25519_key.pub", folder / "host_key.pub")
    config = folder / "config"
    config.write_text(config_text(lab, node, spec))
    lab.lxc_path.mkdir(exist_ok=True)
    lab._lxc("lxc-start", node, "-d", "-f", str(config), "-o", str(folder / "lxc.log"), "-l", "WARN")
    (folder / "spec.json").write_text(json.dumps(spec, sort_keys=True))


def as_wanted(lab: Lab, node: str, spec: Mapping[str, Any]) -> bool:
    """Whether a machine is whole, made of this very spec, and runs."""
    folder = lab.machine_dir(node)
    try:
        made = json.loads((folder / "spec.json").read_text()) == spec
        made = made and (folder / "config").read_text() == config_text(lab, node, spec)
    except (OSError, ValueError):
        return False
    return bool(made and lab.pid(node))


def answers_ssh(address: str) -> bool:
    """Whether an SSH server says who it is."""
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            connection.settimeout(2)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _each(action: Callable[[str], None], nodes: Iterable[str]) -> None:
    """Do one thing for all nodes side by side; the first error is raised after all have ended."""
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(action, node) for node in nodes]:
            done.result()


def up(lab: Lab, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Make the lab as wanted; change nothing when it is."""
    machines = check_spec(wanted)
    part = str(wanted.get("part", FARM))
    cluster = Cluster.of(machines)
    started = time.monotonic()
    for left in owner.abandoned_labs(lab):
        base.say(f"lab {left.name} is left of a run that is dead: it is removed first")
        down(left)
    layers = [images.ensure(), base.ensure(kind=names.BASE)] if cluster else [base.ensure()]
    with base.locked(lab.lock, f"works on lab {lab.name}"):
        restarted = host.ensure_lxcfs()
        for spec in machines.values():
            spec["base"] = ":".join(layer.name for layer in layers)
        # What is of the other part, and whole, is none of this one's business.
        others = {node for node in lab.nodes() if lab.spec(node).get("part", FARM) != part} - set(machines)
        wrong = sorted(
            node
            for node in found_nodes(lab) - (set() if restarted else others)
            if restarted or node not in machines or not as_wanted(lab, node, machines[node])
        )
        if cluster and (wrong or set(machines) - found_nodes(lab)):
            # A cluster is made as a whole: an etcd that is new knows no node, and no kubelet registers twice.
            wrong = sorted(set(wrong) | (set(machines) & found_nodes(lab)))
        _each(lambda node: remove_machine(lab, node), wrong)
        changed = host.ensure_bridge(lab, str(wanted["bridge_address"]))
        if host.ensure_key(lab):
            changed = True
            owner.put(lab, os.environ)
        changed |= host.ensure_inotify()
        missing = sorted(set(machines) - set(lab.nodes()))  # not found_nodes: what is left of one is no machine
        kept = farm.saved(list(machines)) if farm.asked() and part == FARM else None
        if cluster and pki.ensure(kubernetes.pki_folder(lab), cluster):
            changed = True
        lower = ":".join(map(str, layers))
        _each(lambda node: make_machine(lab, node, machines[node], lower, kept, cluster), missing)
        changed |= host.write_known_hosts(lab, {node: lab.address(node) for node in lab.nodes()})
        changed |= host.write_ansible_cfg(lab)

        def wait(node: str) -> None:
            if not wait_until(lambda: answers_ssh(machines[node]["address"]), SSH_SECONDS):
                raise LabError(
                    f"{node} does not answer SSH at {machines[node]['address']} after {SSH_SECONDS} s; "
                    f"see {lab.machine_dir(node) / 'lxc.log'}"
                )

        _each(wait, missing)
        if cluster:
            bmc.start(lab, str(wanted["bridge_address"]).partition("/")[0])
    return {
        "changed": bool(changed or wrong or missing or restarted),
        "made": missing,
        "removed": wrong,
        "seconds": round(time.monotonic() - started, 2),
    }


def down(lab: Lab) -> dict[str, Any]:
    """Remove all that belongs to this lab; the base stays in its cache."""
    with base.locked(lab.lock, f"works on lab {lab.name}"):
        nodes = sorted(found_nodes(lab))
        changed = bmc.end(lab)  # first: it could start a machine again
        changed |= host.end_ssh_masters(lab)
        _each(lambda node: remove_machine(lab, node), nodes)
        changed |= host.remove_bridge(lab)
        changed |= host.end_lxcfs()
        changed |= host.restore_inotify()
        if lab.state.exists():
            base.unmount_below(lab.state)
            if base.mounts_below(lab.state):
                raise LabError(f"cannot unmount what is below {lab.state}")
            shutil.rmtree(lab.state)
            changed = True
        shutil.rmtree(f"/run/lxc/lock{lab.lxc_path}", ignore_errors=True)
    return {"changed": bool(changed or nodes), "removed": nodes}


def down_part(lab: Lab, part: str) -> dict[str, Any]:
    """Remove the machines of one part; the whole lab, when nothing else is left of it."""
    with base.locked(lab.lock, f"works on lab {lab.name}"):
        whole = set(lab.nodes())
        ours = sorted(set(lab.nodes(part)) | (found_nodes(lab) - whole))  # and what a killed run left half made
        rest = found_nodes(lab) - set(ours)
        if part == names.PART:
            bmc.end(lab)
        _each(lambda node: remove_machine(lab, node), ours)
        if rest:
            shutil.rmtree(lab.state / part, ignore_errors=True)
            host.write_known_hosts(lab, {node: lab.address(node) for node in lab.nodes()})
    return {"changed": bool(ours), "removed": ours} if rest else {**down(lab), "removed": ours}


def main() -> int:
    """Command line: ``up`` (wanted state on standard input), ``down``, or ``down-part PART``."""
    lab = Lab.from_env()
    try:
        if sys.argv[1:] == ["up"]:
            print(json.dumps(up(lab, json.load(sys.stdin))))
        elif len(sys.argv) == 3 and sys.argv[1] == "down-part":
            print(json.dumps(down_part(lab, sys.argv[2])))
        elif sys.argv[1:] == ["down"]:
            print(json.dumps(down(lab)))
        else:
            raise LabError("usage: python3 -m lab.build up|down|down-part PART")
    except LabError as error:
        base.say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
