# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Keep the packed modules of a heal from one run to the next.

Packing a module for its way to a target costs the controller 0.3 s of CPU, and a heal needs three of them, one after
the other, before the traffic is safe. ansible-core keeps packed modules for one run; here its files are copied into
that folder at the start and out of it at the end. A cache that does not fit, or that somebody else could have written,
is not used, and nothing here can make a heal fail.

On the target most of a module's time goes into compiling the same sources again each time: 0.25 of 0.4 s. So byte code
is added to what is kept. Python takes it if it is of its own version, and else compiles the sources beside it.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import io
import os
import pickle
import py_compile
import shutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import ansible.release
from ansible import constants
from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import module_loader
from ansible.template import Templar

COLLECTION_NAME = "selfheal.cluster"
#: What heals of any strategy run on a machine (a test reads their tasks).
OF_HEALS = (
    "gauge_info", "heal_lease", "heal_look", "heal_observe", "heal_plan", "keepalived_hold", "keepalived_info",
    "keepalived_release", "kubernetes_evidence", "kubernetes_hold", "kubernetes_look", "kubernetes_node_info",
    "kubernetes_node_power", "kubernetes_rollout", "kubernetes_workload_info", "lb_member", "lb_member_info",
    "node_evidence", "node_evidence_store", "node_restart",
)  # fmt: skip
IN_RUN = "ansiballz_cache"  # the folder of ansible-core inside the temporary folder of a run
PREFIX = f"ansible_collections.{COLLECTION_NAME}.plugins.modules."
KEPT_BESIDES = 3  # other versions or checkouts of the same user
COLLECTION = Path(__file__).resolve().parents[2]


def key(collection: Path = COLLECTION) -> str:
    """Changes with every file that can become part of a packed module."""
    digest = hashlib.sha256(f"{ansible.release.__version__} {sys.version} {ansible.__file__}".encode())
    for folder in ("modules", "module_utils", "plugin_utils"):
        for path in sorted((collection / "plugins" / folder).glob("*.py")):
            info = path.stat()
            digest.update(f"{path} {info.st_size} {info.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def home() -> Path:
    """The folder of all caches of this user."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "selfheal-modules"


def trusted(folder: Path) -> bool:
    """Ours, no link, and writable by nobody else: what lies in it will be unpickled."""
    info = folder.lstat()
    return stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid() and not info.st_mode & 0o077


def warm(local_tmp: str) -> int:
    """Give this run the modules of earlier runs; how many."""
    try:
        source = home() / key()
        if not trusted(source.parent) or not trusted(source):
            return 0
        target = Path(local_tmp) / IN_RUN
        target.mkdir(mode=0o700, exist_ok=True)
        names = [path for path in source.iterdir() if path.name.startswith(PREFIX)]
        for path in names:
            shutil.copyfile(path, target / path.name)
        return len(names)
    except OSError:
        return 0


def keep(local_tmp: str) -> int:
    """Keep what this run has packed; how many were new."""
    try:
        top = home()
        top.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = top / key()
        folder.mkdir(mode=0o700, exist_ok=True)
        if not trusted(top) or not trusted(folder):
            return 0
        new = 0
        for path in (Path(local_tmp) / IN_RUN).glob(f"{PREFIX}*"):
            if path.name.endswith(("-part", ".lock")) or (folder / path.name).exists():
                continue
            partial = folder / f".{path.name}.{os.getpid()}"
            shutil.copyfile(path, partial)
            with contextlib.suppress(Exception):  # the form of these files is ansible-core's own business
                add_byte_code(partial)
            partial.replace(folder / path.name)
            new += 1
        caches = sorted((path for path in top.iterdir() if path != folder), key=lambda path: path.lstat().st_mtime)
        for old in caches[: -KEPT_BESIDES or None]:
            shutil.rmtree(old, ignore_errors=True)
        return new
    except OSError:
        return 0


def missing(names: Iterable[str] = OF_HEALS) -> list[str]:
    """Those of these modules that no run has packed yet."""
    folder = home() / key()
    return [name for name in names if not any(folder.glob(f"{PREFIX}{name}-*"))]


def pack(name: str, local_tmp: str) -> int:
    """Pack a module of ours, and keep it; how many were new. It may raise anything: how modules are packed is
    ansible-core's own business."""
    whole = f"{COLLECTION_NAME}.{name}"
    modify_module(
        module_name=whole,
        module_path=module_loader.find_plugin_with_context(whole).plugin_resolved_path,
        module_args={},
        task_vars={"ansible_python_interpreter": sys.executable},  # any: it is no part of what is kept
        templar=Templar(loader=DataLoader()),
        module_compression=constants.config.get_config_value("DEFAULT_MODULE_COMPRESSION"),
    )
    return keep(local_tmp)


def add_byte_code(path: Path) -> None:
    """Put compiled code beside each source in the archive of a packed module."""
    with path.open("rb") as stream:
        packed = pickle.load(stream)  # noqa: S301  a file that this run has written a moment ago, in our own folder
    packed = dataclasses.replace(packed, zip_data=base64.b64encode(compiled(base64.b64decode(packed.zip_data))))
    improved = path.with_name(path.name + ".improved")
    with improved.open("wb") as stream:
        pickle.dump(packed, stream)
    improved.replace(path)


def compiled(archive: bytes) -> bytes:
    """The archive with byte code that is taken without looking at the sources again."""
    result = io.BytesIO(archive)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(result, "a", zipfile.ZIP_DEFLATED) as content:
        source, code = Path(folder) / "source.py", Path(folder) / "code.pyc"
        names = set(content.namelist())
        for name in sorted(names):
            if not name.endswith(".py") or f"{name}c" in names:
                continue
            source.write_bytes(content.read(name))
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(source), str(code), dfile=name, doraise=True, invalidation_mode=mode)
            content.writestr(f"{name}c", code.read_bytes())
    return result.getvalue()
