# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The power switch of each worker: a BMC that speaks IPMI over the network, as on real servers.

It is ``ipmi_sim`` of OpenIPMI, so the protocol is real; what it switches is the lab's machine. It runs on the host, at
the bridge's address, because it must not share the fate of what it switches. A fence agent on the monitor uses it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import secrets
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from lab import base, host
from lab.kubernetes import names
from lab.kubernetes.machine import pki_folder, put
from lab.machines import CACHE, Lab, LabError, wait_until

PACKAGES = ("openipmi",)
PORT = 9600
USER = "lab"
CHECKOUT = Path(__file__).resolve().parents[2]
LAN = """name "{node}"
set_working_mc 0x20
  startlan 1
    addr {address} {port}
    priv_limit admin
    allowed_auths_admin md5
    guid {guid}
  endlan
  chassis_control "{folder}/{node}-chassis"
  user 1 false "" "" user 10 none
  user 2 true "{user}" "{password}" admin 10 md5
"""
COMMANDS = """mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 100 0x0a
mc_enable 0x20
"""


def folder_of(lab: Lab) -> Path:
    """Configuration, password and process of each BMC."""
    return pki_folder(lab) / "bmc"


def port_of(address: str) -> int:
    """One port for each machine, from the last number of its address."""
    return PORT + ipaddress.ip_address(address).packed[-1]


def options(port: int, bridge_address: str, password: str) -> str:
    """What a fence agent (fence_ipmilan) takes on its standard input to switch a node."""
    given = {
        "ip": bridge_address, "ipport": port, "lanplus": 1, "cipher": 3, "username": USER, "password": password,
        "login_timeout": 5, "power_timeout": 20,
    }  # fmt: skip
    return "".join(f"{key}={value}\n" for key, value in given.items())


def ensure(cache: Path = CACHE) -> Path:
    """A root with ``ipmi_sim`` and what it needs, unpacked once."""
    wanted = hashlib.sha256("\n".join([base.SUITE, *PACKAGES]).encode()).hexdigest()[:12]
    target = cache / f"kubebmc-{wanted}"
    with base.locked(cache / "kubernetes.lock", "unpacks the lab's BMC"):
        for old in cache.glob("kubebmc-*"):
            if old != target and not base.in_use(old):
                base.remove_tree(old)
        if not target.is_dir():
            base.say(f"unpacking OpenIPMI's simulator of a BMC, once: {target}")
            base.debootstrap(target, PACKAGES, variant="extract")
    return target


def _write(lab: Lab, node: str, bridge_address: str) -> None:
    folder = folder_of(lab)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    password = secrets.token_hex(8)  # IPMI 2.0 takes 20 bytes, and 1.5 takes 16
    port = port_of(lab.address(node))
    # For lab/kubernetes/join.yml, which puts it on the monitor.
    put(folder / f"{node}.options", options(port, bridge_address, password), 0o600)
    lan = LAN.format(
        node=node, address=bridge_address, port=port, guid=uuid.uuid4().hex, folder=folder, user=USER, password=password
    )
    put(folder / f"{node}.conf", lan, 0o600)
    put(folder / f"{node}.emu", COMMANDS, 0o600)
    words = shlex.join([sys.executable, "-m", "lab.kubernetes.bmc", "chassis", node])
    where = shlex.quote(str(CHECKOUT))
    text = f'#!/bin/sh\ncd {where} && LAB_NAME={shlex.quote(lab.name)} PYTHONPATH={where} exec {words} "$@"\n'
    put(folder / f"{node}-chassis", text, 0o700)
    (folder / f"{node}-state").mkdir(exist_ok=True)


def start(lab: Lab, bridge_address: str, cache: Path = CACHE) -> None:
    """A BMC for each worker; those that run are left alone."""
    root = ensure(cache)
    libraries = [str(path) for top in ("lib", "usr/lib") for path in sorted(root.glob(f"{top}/*-linux-gnu"))]
    folder = folder_of(lab)
    for node in workers(lab):
        if host.remembered(folder / f"{node}.json"):
            continue
        _write(lab, node, bridge_address)
        with (folder / f"{node}.log").open("w") as log:
            # With the libraries of its own root, by its own loader: what it starts itself gets the host's.
            process = subprocess.Popen(
                [str(_loader(root)), "--library-path", ":".join(libraries), str(root / "usr/bin/ipmi_sim"),
                 "-c", str(folder / f"{node}.conf"), "-f", str(folder / f"{node}.emu"),
                 "-s", str(folder / f"{node}-state"), "-n"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
            )  # fmt: skip
        host.remember(folder / f"{node}.json", process.pid)
        if not wait_until(partial(_listens, port_of(lab.address(node))), 5) or process.poll() is not None:
            raise LabError(f"the BMC of {node} does not start; see {folder / f'{node}.log'}")


def _loader(root: Path) -> Path:
    found = [path for top in ("lib", "usr/lib") for path in sorted(root.glob(f"{top}/*-linux-gnu/ld-linux*.so.*"))]
    if not found:
        raise LabError(f"{root} has no loader: remove that folder, it is made again")
    return found[0]


def _listens(port: int) -> bool:
    """Whether somebody on this host waits for datagrams at this port."""
    return any(line.split()[1].endswith(f":{port:04X}") for line in Path("/proc/net/udp").read_text().splitlines()[1:])


def workers(lab: Lab) -> list[str]:
    """The nodes of the cluster that can be switched."""
    return [node for node in lab.nodes(names.PART) if lab.spec(node).get("kubernetes") == names.WORKER]


def end(lab: Lab) -> bool:
    """End the BMCs of this lab, by the processes that were started for it; true when there was one."""
    ended = False
    for mark in sorted(folder_of(lab).glob("*.json")):
        pid = host.remembered(mark)
        if pid:
            os.kill(pid, 9)
            wait_until(partial(host.is_gone, mark), 5)
            ended = True
        mark.unlink(missing_ok=True)
    return ended


def chassis(lab: Lab, node: str, words: list[str]) -> Iterator[str]:
    """What ``ipmi_sim`` asks of a chassis (its manual, "chassis_control"): lines of its answer."""
    pairs = words[1:]
    if words[:1] == ["get"]:
        for name in pairs:
            if name == "power":
                yield f"power:{1 if lab.pid(node) else 0}"
    elif words[:1] == ["set"]:
        for name, value in zip(pairs[::2], pairs[1::2], strict=True):
            if name == "power":
                (lab.power_on if value == "1" else lab.power_off)(node)


def main() -> int:
    """Command line: ``chassis NODE get|set ...``, which only a BMC types."""
    lab = Lab.from_env()
    try:
        if len(sys.argv) > 3 and sys.argv[1] == "chassis":
            for line in chassis(lab, sys.argv[2], sys.argv[3:]):
                print(line)
        else:
            raise LabError("usage: python3 -m lab.kubernetes.bmc chassis NODE get|set WORDS")
    except LabError as error:
        base.say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
