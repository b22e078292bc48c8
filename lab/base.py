# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The base root file system that every lab machine is an overlay over.

Made once by mmdebstrap from Debian packages and kept under a name that is a hash of its recipe, so that a
changed recipe is a new base and an old one is never used by mistake. Every service but SSH is disabled in it,
it has no SSH host key and an empty machine-id: a machine gets its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lab.machines import CACHE, LabError, run, wait_until

SUITE = "bookworm"
FILES = Path(__file__).resolve().parent / "files"
PACKAGES = FILES / "base-packages.txt"
HOOK = FILES / "base-customize.sh"
PROBLEM_LINES = 25


@dataclass(frozen=True)
class Kind:
    """One base: what its folder's name begins with, and the packages that it has beside those of every machine."""

    name: str = "base"
    more: tuple[str, ...] = ()


PLAIN = Kind()


def packages(kind: Kind = PLAIN) -> list[str]:
    """Names in the package list, comments left out, and what this kind has more."""
    lines = (line.split("#")[0].strip() for line in PACKAGES.read_text().splitlines())
    return sorted({*kind.more, *(line for line in lines if line)})


def recipe(kind: Kind = PLAIN) -> str:
    """Hash over everything that decides what the base contains."""
    text = "\n".join([SUITE, *packages(kind), HOOK.read_text()])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def base_dir(cache: Path = CACHE, kind: Kind = PLAIN) -> Path:
    """Where the base of today's recipe is, or will be."""
    return cache / f"{kind.name}-{recipe(kind)}"


def say(text: str) -> None:
    """Tell the human who waits."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


@contextmanager
def locked(path: Path, what: str, seconds: float = 900) -> Iterator[None]:
    """Hold a file lock; wait for another run that holds it, saying so once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:

        def taken() -> bool:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if not taken():
            say(f"waiting for another run that {what}")
            if not wait_until(taken, seconds, pause=0.2):
                raise LabError(f"another run {what} for more than {seconds:.0f} s ({path})")
        yield


def mounts_below(folder: Path) -> list[str]:
    """Mount points at or below a folder, deepest first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split(" ")[4].encode().decode("unicode_escape")
        if point == str(folder) or point.startswith(f"{folder}/"):
            found.append(point)
    return found[::-1]


def unmount_below(folder: Path) -> None:
    """Unmount everything at or below a folder, also what is busy."""
    for point in mounts_below(folder):
        if run(["umount", point], check=False).returncode != 0:
            run(["umount", "-l", point], check=False)


def _users_of(folder: Path) -> list[int]:
    """Processes that were started for this folder: it is their root, or a word of their command line."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            words = (proc / "cmdline").read_bytes().split(b"\0")
            root = (proc / "root").readlink()
        except OSError:  # gone meanwhile, or a thread of the kernel
            continue
        if str(folder).encode() in words or root == folder:
            found.append(int(proc.name))
    return [pid for pid in found if pid != os.getpid()]


def remove_tree(folder: Path) -> None:
    """Remove a half-made or old base, with what a killed mmdebstrap left running and mounted in it."""
    for pid in _users_of(folder):
        with suppress(ProcessLookupError):  # it may have ended by itself
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not _users_of(folder), 5)
    unmount_below(folder)
    if mounts_below(folder):
        raise LabError(f"cannot unmount what is below {folder}")
    shutil.rmtree(folder)


def in_use(folder: Path) -> bool:
    """Whether a machine is an overlay over this folder, or over one in it."""
    return re.search(re.escape(str(folder)) + "[,:/]", Path("/proc/self/mountinfo").read_text()) is not None


def debootstrap(target: Path, include: Sequence[str], hook: str = "", variant: str = "minbase") -> None:
    """Make a root file system of Debian's smallest set and these packages; a hook gets the new root as $1. With the
    variant ``extract`` there is no smallest set, and the packages and what they need are only unpacked."""
    unfinished = target.with_name(f"{target.name}.part")
    argv = [
        "mmdebstrap",
        f"--variant={variant}",
        f"--include={','.join(include)}",
        *([f"--customize-hook={hook}"] if hook else []),
        SUITE,
        str(unfinished),
    ]
    tail: list[str] = []
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail = [*tail[1 - PROBLEM_LINES :], line.rstrip()]
            if line.startswith("I: "):
                say(f"  {line[3:].rstrip()}")
    if process.returncode != 0:
        raise LabError("mmdebstrap failed; its last words:\n" + "\n".join(tail))
    unfinished.rename(target)


def _make(target: Path, kind: Kind) -> None:
    say(
        f"building the base root file system from {len(packages(kind))} Debian packages and what they need, "
        f"once, 1 to 3 minutes: {target}"
    )
    debootstrap(target, packages(kind), f'{HOOK} "$1"')


def ensure(cache: Path = CACHE, kind: Kind = PLAIN) -> Path:
    """Give the base of today's recipe, made now if it is not there; remove what is old or half made."""
    target = base_dir(cache, kind)
    with locked(cache / "lock", "builds the base root file system"):
        for other in cache.glob(f"{kind.name}-*"):
            if other != target and not in_use(other):
                remove_tree(other)
        if not target.is_dir():
            _make(target, kind)
    return target


def clean(cache: Path = CACHE) -> None:
    """Remove every base and every kept farm; refuse while a machine is an overlay over one."""
    if not cache.is_dir():
        return
    with locked(cache / "lock", "builds the base root file system"):
        for wheels in cache.glob("wheel*"):
            shutil.rmtree(wheels) if wheels.is_dir() else wheels.unlink()
        for pattern in ("farm-*", "base-*", "kbase-*", "kubelayer-*", "kubeprograms-*", "kubepython-*", "go-venv"):
            for made in cache.glob(pattern):
                if in_use(made):
                    raise LabError(f"machines still run over {made}: remove the lab first (lab/down)")
                remove_tree(made)


def main() -> int:
    """Command line: ``ensure`` or ``clean``."""
    try:
        if sys.argv[1:] == ["ensure"]:
            print(ensure())
        elif sys.argv[1:] == ["clean"]:
            clean()
        else:
            raise LabError("usage: python3 -m lab.base ensure|clean")
    except LabError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
