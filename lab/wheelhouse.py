# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Wheels for the healer on the lab's monitor, which reaches no index: made on the host, kept in the lab's cache.

``python3 -m lab.wheelhouse`` prints ``changed`` or ``same``. What comes from the index is fetched once per list of
requirements; the wheel of this checkout is built again when one of its files has changed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import yaml

from lab import base
from lab.machines import CACHE, LabError, run

ROOT = Path(__file__).resolve().parents[1]
ROLE_DEFAULTS = ROOT / "roles/healer/defaults/main.yml"
SOURCES = ("runner/selfheal_cluster", "meta", "plugins", "roles", "playbooks")
FILES = ("pyproject.toml", "hatch_build.py", "galaxy.yml", "README.md", "LICENSE")
OWN = "selfheal-cluster"
#: Debian 12 on every machine; the host may have another Python, so only wheels of this one are taken.
PYTHON = "3.11"
SECONDS = 600


def requirements() -> list[str]:
    """What the index has to give: the role's packages without our own, and what our own needs."""
    packages = list(yaml.safe_load(ROLE_DEFAULTS.read_text())["healer_packages"])
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return sorted({*own, *(name for name in packages if not name.startswith(OWN))})


def sources() -> Iterator[Path]:
    """Every file that goes into our own wheel."""
    yield from (ROOT / name for name in FILES)
    for name in SOURCES:
        yield from sorted(
            path for path in (ROOT / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts
        )


def digest(parts: list[bytes]) -> str:
    """A short name for what was made of these."""
    value = hashlib.sha256()
    for part in parts:
        value.update(hashlib.sha256(part).digest())
    return value.hexdigest()[:12]


def fetched(cache: Path) -> Path:
    """Folder with the wheels from the index, fetched now if they are not there."""
    wanted = requirements()
    folder = cache / f"wheels-{digest([PYTHON.encode(), *(item.encode() for item in wanted)])}"
    if folder.is_dir():
        return folder
    base.say(f"fetching wheels for the healer, once: {', '.join(wanted)}")
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(part)]
    run([*argv, "--only-binary=:all:", "--python-version", PYTHON, *wanted], timeout=SECONDS)
    part.rename(folder)
    return folder


def built(cache: Path) -> Path:
    """Our own wheel, built now if a source has changed."""
    folder = cache / f"wheel-{digest([str(p.relative_to(ROOT)).encode() + p.read_bytes() for p in sources()])}"
    if not folder.is_dir():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run([*argv, "--wheel-dir", str(part), str(ROOT)], timeout=SECONDS)
        part.rename(folder)
    return folder


def ensure(cache: Path = CACHE) -> tuple[Path, bool]:
    """The folder that ``healer_wheelhouse`` names, and whether it has changed."""
    cache.mkdir(parents=True, exist_ok=True)
    with base.locked(cache / "wheels.lock", "makes the wheels of the healer"):
        parts = [fetched(cache), built(cache)]
        target = cache / "wheels"
        names = sorted(f"{part.name}/{wheel.name}" for part in parts for wheel in part.glob("*.whl"))
        mark = target / "made-of"
        if mark.exists() and mark.read_text().splitlines() == names:
            return target, False
        unfinished = cache / "wheels.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        for name in names:
            os.link(cache / name, unfinished / Path(name).name)
        (unfinished / mark.name).write_text("\n".join(names) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
        for old in [*cache.glob("wheels-*"), *cache.glob("wheel-*")]:
            if old not in parts:
                shutil.rmtree(old, ignore_errors=True)
    return target, True


def main() -> int:
    """Command line: no arguments."""
    try:
        print("changed" if ensure()[1] else "same")
    except LabError as error:
        base.say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
