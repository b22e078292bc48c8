# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Container images without a registry: archives that containerd imports, each of one layer.

pause and metrics-server are one static program each. The enterprise integrator is the very program that runs on the
lab's machines (``lab_ei``), with a Python of Debian's packages under it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lab import base
from lab.kubernetes import names, programs
from lab.machines import CACHE

EI = Path(__file__).resolve().parents[1] / "roles/lab_ei/files/ei.py"
#: What the mock needs, and its parents in Debian's packages; nothing is configured, only unpacked.
PYTHON_PACKAGES = ("python3-minimal", "libpython3-stdlib", "ca-certificates")
PASSWD = "root:x:0:0:root:/:/usr/sbin/nologin\nei:x:10001:10001::/:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nei:x:10001:\n"
#: Of the packages, what no program of the image reads.
UNREAD = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache", "var/lib/apt", "dev")


def archive(target: Path, image: str, layer: bytes, config: dict[str, Any]) -> None:
    """Write one image in Docker's format of ``docker save``, which ``ctr images import`` reads."""
    digest = hashlib.sha256(layer).hexdigest()
    described = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created_by": "selfheal.cluster lab"}],
        },
        sort_keys=True,
    ).encode()
    name = f"{hashlib.sha256(described).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [image], "Layers": [f"{digest}/layer.tar"]}]
    part = target.with_suffix(".part")
    with tarfile.open(part, "w") as outer:
        for path, content in (
            (name, described),
            (f"{digest}/layer.tar", layer),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            _add(outer, path, content, 0o644)
    part.rename(target)


def _add(archive_file: tarfile.TarFile, path: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    archive_file.addfile(entry, io.BytesIO(content))


def _folder(archive_file: tarfile.TarFile, path: str, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive_file.addfile(entry)


def program_layer(program: Path) -> bytes:
    """A root with one static program, a place for temporary files, and names for two users."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as layer:
        _folder(layer, "etc", 0o755)
        _folder(layer, "tmp", 0o1777)
        _add(layer, "etc/passwd", PASSWD.encode(), 0o644)
        _add(layer, "etc/group", GROUP.encode(), 0o644)
        _add(layer, program.name, program.read_bytes(), 0o755)
    return made.getvalue()


def tree_layer(root: Path, more: Iterable[tuple[str, bytes, int]]) -> bytes:
    """A root file system as a layer, with some files more; owned by root, always in the same order."""
    made = io.BytesIO()

    def ours(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if entry.name.startswith(tuple(f"{path}/" for path in UNREAD)) or not (
            entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()
        ):
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = 0
        return entry

    with tarfile.open(fileobj=made, mode="w") as layer:
        for path in sorted(root.iterdir()):
            layer.add(path, path.name, filter=ours)
        for name, content, mode in more:
            _add(layer, name, content, mode)
    return made.getvalue()


def recipe() -> str:
    """Hash over all that decides what the archives contain."""
    value = hashlib.sha256(programs.recipe().encode())
    for text in (Path(__file__).read_bytes(), EI.read_bytes(), base.SUITE.encode()):
        value.update(hashlib.sha256(text).digest())
    return value.hexdigest()[:12]


def _python_root(cache: Path) -> Path:
    """An unpacked Python of Debian's packages."""
    wanted = hashlib.sha256("\n".join([base.SUITE, *PYTHON_PACKAGES]).encode()).hexdigest()[:12]
    target = cache / f"kubepython-{wanted}"
    for old in cache.glob("kubepython-*"):
        if old != target:
            base.remove_tree(old)
    if not target.is_dir():
        base.say(f"unpacking a Python for the image of the integrator, once: {target}")
        base.debootstrap(target, PYTHON_PACKAGES, variant="extract")
    return target


def _make(folder: Path, built: Path, cache: Path) -> None:
    one: Sequence[tuple[str, str, str, list[str]]] = (
        ("pause", names.PAUSE_IMAGE, "pause", []),
        ("metrics-server", names.METRICS_IMAGE, "metrics-server", ["10250/tcp"]),
    )
    for name, image, program, ports in one:
        config = {"Entrypoint": [f"/{program}"], "User": "10001:10001", "ExposedPorts": {port: {} for port in ports}}
        archive(folder / f"{name}.tar", image, program_layer(built / "bin" / program), config)
    files = [
        ("opt/ei/ei.py", EI.read_bytes(), 0o755),
        ("etc/passwd", PASSWD.encode(), 0o644),
        ("etc/group", GROUP.encode(), 0o644),
    ]
    config = {
        "Entrypoint": ["/usr/bin/python3", "-B", "/opt/ei/ei.py"],
        "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"],
        "ExposedPorts": {"8280/tcp": {}, "9443/tcp": {}},
        "User": "10001:10001",
    }
    archive(folder / "ei.tar", names.EI_IMAGE, tree_layer(_python_root(cache), files), config)


def ensure(cache: Path = CACHE) -> Path:
    """The layer that lies over the machines' base: programs in ``opt/kube/bin``, images in ``opt/images``."""
    built = programs.ensure(cache)
    target = cache / f"kubelayer-{recipe()}"
    with base.locked(cache / "kubernetes.lock", "builds Kubernetes", seconds=programs.BUILD_SECONDS):
        for old in cache.glob("kubelayer-*"):
            if old != target and not base.in_use(old):
                shutil.rmtree(old)
        if target.is_dir():
            return target
        part = target.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        for folder in ("opt/kube/bin", "opt/images"):
            (part / folder).mkdir(parents=True)
        for program in (built / "bin").iterdir():
            os.link(program, part / "opt/kube/bin" / program.name)
        _make(part / "opt/images", built, cache)
        part.rename(target)
    return target
