# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What the host gives to a lab: lxcfs, the bridge, the SSH key, known hosts, Ansible's settings.

Each ``ensure_``/``write_`` function says whether it changed something.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lab.machines import DEFAULT_NAME, Lab, LabError, lxc_cgroups, run, wait_until

LXCFS = Path("/var/lib/lxcfs")
#: Remembers the lxcfs that a lab started, so that only that one is ended.
LXCFS_MARK = Path("/run/selfheal-lab/lxcfs.json")
#: Each systemd takes about six of these from root's share; Debian's 128 end at twenty machines.
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WANTED = 1024
INOTIFY_MARK = Path("/run/selfheal-lab/inotify-before")
LAB_DIR = Path(__file__).resolve().parent


def start_time(pid: int) -> str:
    """When a process began, which together with its number names it for good; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return ""


def remember(mark: Path, pid: int) -> None:
    """Leave the mark of a process that was started here, so that only that one is ended."""
    mark.write_text(json.dumps({"pid": pid, "started": start_time(pid)}))


def remembered(mark: Path) -> int:
    """The process of a mark, if it is still the one that was started; else 0."""
    try:
        found = json.loads(mark.read_text())
        pid = int(found["pid"])
    except (OSError, ValueError, KeyError):
        return 0
    return pid if found.get("started") and start_time(pid) == found["started"] else 0


def is_gone(mark: Path) -> bool:
    """Whether the process of a mark has ended."""
    return not remembered(mark)


def _lxcfs_answers() -> bool:
    return os.path.ismount(LXCFS) and (LXCFS / "proc/meminfo").exists()


def ensure_lxcfs() -> bool:
    """Start lxcfs where nobody did; true when it is a new one, which machines started before do not see."""
    try:
        if _lxcfs_answers():
            return False
    except OSError:
        pass  # "transport endpoint is not connected": it was killed and left its mount
    run(["umount", "-l", str(LXCFS)], check=False)
    LXCFS.mkdir(parents=True, exist_ok=True)
    LXCFS_MARK.parent.mkdir(parents=True, exist_ok=True)
    with (LXCFS_MARK.parent / "lxcfs.log").open("w") as log:
        process = subprocess.Popen(
            ["lxcfs", "-f", "-l", "--enable-cfs", "--enable-pidfd", str(LXCFS)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    remember(LXCFS_MARK, process.pid)
    if not wait_until(_lxcfs_answers, 10):
        raise LabError(f"lxcfs does not start; see {LXCFS_MARK.parent / 'lxcfs.log'}")
    return True


def ensure_inotify() -> bool:
    """Raise the host's limit of inotify instances if it is too low for many machines; the old value is kept."""
    before = int(INOTIFY.read_text())
    if before >= INOTIFY_WANTED:
        return False
    INOTIFY_MARK.parent.mkdir(parents=True, exist_ok=True)
    INOTIFY_MARK.write_text(str(before))
    INOTIFY.write_text(str(INOTIFY_WANTED))
    return True


def lxc_is_used() -> bool:
    """Whether any LXC machine is left on this host, of whatever lab or owner."""
    return any(lxc_cgroups(re.compile(r"lxc\.(payload|monitor)\..+")))


def restore_inotify() -> bool:
    """Give the host its own limit back, if it is still ours and no LXC machine is left."""
    if not INOTIFY_MARK.exists() or lxc_is_used():
        return False
    if int(INOTIFY.read_text()) == INOTIFY_WANTED:
        INOTIFY.write_text(INOTIFY_MARK.read_text())
    INOTIFY_MARK.unlink()
    return True


def end_lxcfs() -> bool:
    """End lxcfs if a lab started it and no LXC machine at all is left that could use it."""
    if not LXCFS_MARK.exists() or lxc_is_used():
        return False
    pid = remembered(LXCFS_MARK)
    if pid:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: is_gone(LXCFS_MARK), 5)
        run(["umount", "-l", str(LXCFS)], check=False)
    LXCFS_MARK.unlink()
    return True


def ensure_bridge(lab: Lab, address: str) -> bool:
    """The lab's own bridge, with the host's address on it and no way through the host to anywhere."""
    shown = run(["ip", "-4", "-o", "addr", "show", "dev", lab.bridge], check=False).stdout
    if f" {address} " in shown:
        return False
    remove_bridge(lab)
    run(["ip", "link", "add", lab.bridge, "type", "bridge", "forward_delay", "0", "stp_state", "0"])
    run(["ip", "addr", "add", address, "dev", lab.bridge])
    run(["ip", "link", "set", lab.bridge, "up"])
    Path(f"/proc/sys/net/ipv4/conf/{lab.bridge}/forwarding").write_text("0")
    if lab.name != DEFAULT_NAME:  # a fresh network namespace has its loopback down
        run(["ip", "link", "set", "lo", "up"])
    return True


def remove_bridge(lab: Lab) -> bool:
    """Remove the lab's bridge; the machines' cables fall with their machines."""
    if not run(["ip", "link", "show", "dev", lab.bridge, "type", "bridge"], check=False).stdout:
        return False
    run(["ip", "link", "del", lab.bridge])
    return True


def public_key(lab: Lab) -> Path:
    """Public half of the key that this lab's controller uses."""
    return lab.state / "id_ed25519.pub"


def ensure_key(lab: Lab) -> bool:
    """An SSH key made for this lab only."""
    lab.state.mkdir(parents=True, exist_ok=True, mode=0o755)
    (lab.state / "cp").mkdir(exist_ok=True, mode=0o700)
    if public_key(lab).exists():
        return False
    (lab.state / "id_ed25519").unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab {lab.name}", "-f", str(lab.state / "id_ed25519")])
    return True


def write(path: Path, text: str) -> bool:
    """Put a text into a file in one step; true when it was not there before."""
    if path.exists() and path.read_text() == text:
        return False
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.rename(path)
    return True


def write_known_hosts(lab: Lab, addresses: Mapping[str, str]) -> bool:
    """Known hosts from the keys themselves, taken when they were made, so that no first use has to be trusted."""
    lines = []
    for node, address in sorted(addresses.items()):
        kind, key = (lab.machine_dir(node) / "host_key.pub").read_text().split()[:2]
        lines.append(f"{node},{address} {kind} {key}\n")
    return write(lab.state / "known_hosts", "".join(lines))


def write_ansible_cfg(lab: Lab) -> bool:
    """lab/ansible.cfg with the paths of this lab, which a lab of another name is used with."""
    text = (LAB_DIR / "ansible.cfg").read_text()
    text = text.replace(str(Lab().state), str(lab.state))
    text = re.sub(r"(?<=[ :])\.(?=/)", str(LAB_DIR), text)
    return write(lab.state / "ansible.cfg", text)


def end_ssh_masters(lab: Lab) -> bool:
    """End the SSH connections that Ansible keeps open to this lab's machines."""
    sockets = [path for path in (lab.state / "cp").glob("*") if path.is_socket()]
    for path in sockets:
        run(["ssh", "-o", f"ControlPath={path}", "-O", "exit", "lab"], check=False)
        path.unlink(missing_ok=True)
    return bool(sockets)
