# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What one machine can say about itself that a heal would need. It only reads.

It never raises for what it finds, and a question that cannot be answered is answered with None: a survey of a
farm that is not ready yet is the normal case, not an exception.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.selfheal.cluster.plugins.module_utils import _health

# (exit code, stdout, stderr) of one command; 127 when the command is missing.
Run = Callable[[Sequence[str]], Tuple[int, str, str]]

UNIT_PROPERTIES = ("LoadState", "ActiveState", "SubState", "RefuseManualStart", "RefuseManualStop")
PACKAGE_LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/rpm/.rpm.lock")
DEVICES = ("overlay", "zfs", "btrfs", "xfs")
MAX_DETAIL = 300
FULL_DISK = 0.98


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-3:])[:MAX_DETAIL]


def unit_state(name: str, run: Run) -> Dict[str, Any]:
    """The unit as systemd knows it. ``exists`` is None where systemd does not answer."""
    code, out, err = run(["systemctl", "show", "--no-pager", "-p", ",".join(UNIT_PROPERTIES), name])
    values = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    if code != 0 or "LoadState" not in values:
        detail = _last_lines(err or out) or "systemd does not answer"
        return {"name": name, "exists": None, "active": None, "restartable": None, "detail": detail}
    exists = values["LoadState"] not in ("not-found", "error", "bad-setting")
    refuses = "yes" in (values.get("RefuseManualStart"), values.get("RefuseManualStop"))
    return {
        "name": name,
        "exists": exists,
        "active": values.get("ActiveState") in ("active", "reloading"),
        "restartable": exists and not refuses and values["LoadState"] != "masked",
        "detail": f"{values.get('ActiveState', '?')}/{values.get('SubState', '?')}",
    }


def listening(port: int, root: str = "/") -> bool:
    """Whether any socket of this machine listens on the TCP port, from the kernel's own table."""
    wanted = f"{port:04X}"
    for table in ("proc/net/tcp", "proc/net/tcp6"):
        for line in _read(os.path.join(root, table)).splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] == "0A" and fields[1].rpartition(":")[2] == wanted:
                return True
    return False


def health(asked: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """What the service answers to the question that a heal asks after its restart."""
    if not asked:
        return None
    question = (str(asked["scheme"]), str(asked["address"]), int(asked["port"]), str(asked["path"]))
    return {"asked": _health.where(*question), **_health.ask(*question)}


def socket_level(path: str, timeout: float = 3.0) -> Dict[str, Any]:
    """The rights that HAProxy's runtime socket gives: a heal needs ``admin``."""
    answer: Dict[str, Any] = {"path": path, "exists": os.path.exists(path), "level": None, "error": ""}
    if not answer["exists"]:
        answer["error"] = "no such socket"
        return answer
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(timeout)
    try:
        client.connect(path)
        client.sendall(b"show cli level\n")
        said = b""
        while len(said) < 4096:
            chunk = client.recv(4096)
            if not chunk:
                break
            said += chunk
    except OSError as error:
        answer["error"] = str(error)
        return answer
    finally:
        client.close()
    word = said.decode("utf-8", "replace").strip()
    answer["level"] = word if word in ("admin", "operator", "user") else None
    if answer["level"] is None:
        answer["error"] = "it answered: " + (word[:80] or "nothing")
    return answer


def config_tests(commands: Sequence[Sequence[str]], run: Run) -> List[Dict[str, Any]]:
    """Each test of the configuration, with the last lines that it said when it failed."""
    results = []
    for argv in commands:
        code, out, err = run([str(word) for word in argv])
        detail = "" if code == 0 else _last_lines(err + "\n" + out)
        results.append({"argv": list(argv), "ok": code == 0, "detail": detail})
    return results


def full_disks(root: str = "/") -> List[Dict[str, Any]]:
    """Partitions on real devices that are as good as full: a restart there can fail half-way."""
    found = []
    for line in _read(os.path.join(root, "proc/mounts")).splitlines():
        fields = line.split()
        if len(fields) < 4 or not (fields[0].startswith("/dev/") or fields[2] in DEVICES):
            continue
        mount = fields[1].replace("\\040", " ")
        try:
            stat = os.statvfs(mount)
        except OSError:
            continue
        total = stat.f_blocks - stat.f_bfree + stat.f_bavail
        used = (stat.f_blocks - stat.f_bfree) / total if total else 0.0
        if used >= FULL_DISK:
            found.append({"mount": mount, "used_ratio": round(used, 3)})
    return found


def root_read_only(root: str = "/") -> bool:
    """Whether the root file system is mounted read-only: the last line for ``/`` counts."""
    options: List[str] = []
    for line in _read(os.path.join(root, "proc/mounts")).splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[1] == "/":
            options = fields[3].split(",")
    return "ro" in options


def package_manager_runs(root: str = "/") -> bool:
    """Whether a package manager holds its lock, read from the kernel's table of locks by inode."""
    inodes = set()
    for path in PACKAGE_LOCKS:
        try:
            inodes.add(os.stat(os.path.join(root, path.lstrip("/"))).st_ino)
        except OSError:
            continue
    for line in _read(os.path.join(root, "proc/locks")).splitlines():
        place = next((word for word in line.split() if word.count(":") == 2), "")
        if place and int(place.rpartition(":")[2]) in inodes:
            return True
    return False


def track_file_state(path: str) -> Dict[str, Any]:
    """Whether the track file and the folder that keepalived needs at its start are there."""
    value = _read(path).strip()
    return {
        "path": path,
        "exists": os.path.isfile(path),
        "directory": os.path.isdir(os.path.dirname(path)),
        "value": value[:20],
    }


def look(request: Mapping[str, Any], run: Run, root: str = "/") -> Dict[str, Any]:
    """Everything about this machine, as plain data. See ``node_survey_info`` for the shape."""
    service = str(request.get("service") or "")
    port = int(request.get("port") or 0)
    socket_path = str(request.get("socket") or "")
    track_file = str(request.get("track_file") or "")
    journal = str(request.get("journal") or "")
    return {
        "machine_id": _read(os.path.join(root, "etc/machine-id")).strip(),
        "boot_id": _read(os.path.join(root, "proc/sys/kernel/random/boot_id")).strip(),
        "root": os.geteuid() == 0,
        "unit": unit_state(service, run) if service else None,
        "guard": unit_state(str(request.get("guard_unit") or "selfheal-guard.service"), run),
        "listening": {
            "service": listening(port, root) if port else None,
            "nrpe": listening(int(request.get("nrpe_port") or 5666), root),
        },
        "health": health(request.get("health")),
        "config_test": config_tests(request.get("config_test") or [], run),
        "socket": socket_level(socket_path) if socket_path else None,
        "track_file": track_file_state(track_file) if track_file else None,
        "journal": {"path": journal, "exists": os.path.isfile(journal)} if journal else None,
        "root_read_only": root_read_only(root),
        "full_disks": full_disks(root),
        "package_manager": package_manager_runs(root),
        "connections_readable": run(["ss", "-V"])[0] == 0,
    }
