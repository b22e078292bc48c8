# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Runs ``ansible-test sanity`` where it neither has Docker nor reaches its own download host.

It refuses a linked checkout and skips everything in a folder that git ignores, so the files that git knows are
copied to a collection tree of their own. It fetches a bootstrap script for pip from a host that may be out of
reach, but takes one from its cache: the few lines below install the pip wheel of the package index instead.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("SELFHEAL_TEST_CACHE", "/var/cache/selfheal-test"))
BOOTSTRAP = """\
import glob, runpy, sys
wheel = glob.glob({wheels!r} + "/pip-*.whl")[0]
sys.path.insert(0, wheel)
sys.argv = ["pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--find-links", {wheels!r}]
sys.argv += ["pip"]
runpy.run_module("pip", run_name="__main__")
"""


def tracked_files() -> list[str]:
    """The files that git tracks or would track, without the link that makes the checkout a collection."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    return [name for name in listed.split("\0") if name and not name.startswith(".dev/") and (ROOT / name).is_file()]


SHIPPED = ("meta/", "plugins/", "roles/", "playbooks/", "docs/", "changelogs/", "tests/config.yml")


def copy_collection(parent: Path, shipped_only: bool = False) -> Path:
    """Copy the tracked files below ``parent`` as ``ansible_collections/selfheal/cluster``; return that folder."""
    target = parent / "ansible_collections" / "selfheal" / "cluster"
    for name in tracked_files():
        if shipped_only and "/" in name and not name.startswith(SHIPPED):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


def seed_pip(home: Path) -> None:
    """Put a bootstrap script for the pip that this ansible-test wants into its cache."""
    import ansible_test  # installed with ansible-core

    source = (Path(ansible_test.__path__[0]) / "_internal" / "python_requirements.py").read_text()
    wanted = re.search(r"pip='([0-9.]+)'", source)
    assert wanted, "ansible-test no longer names its pip version where it did: see python_requirements.py"
    version = wanted.group(1)
    script = home / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
    wheels = home / "wheels" / version
    if script.exists() and list(wheels.glob("pip-*.whl")):
        return
    wheels.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "-d",
            str(wheels),
            f"pip=={version}",
        ],
        check=True,
    )
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(BOOTSTRAP.format(wheels=str(wheels)))


def run_sanity(parent: Path) -> subprocess.CompletedProcess[str]:
    """Run all sanity tests on a copy below ``parent``; output is captured, stderr joined to stdout."""
    home = CACHE / "ansible-test"
    home.mkdir(parents=True, exist_ok=True)
    seed_pip(home)
    # Lab, tests and the Python package are judged by ruff, mypy and ansible-lint instead.
    collection = copy_collection(parent, shipped_only=True)
    environment = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
    }
    for name in (
        "PIP_CERT",
        "PIP_FIND_LINKS",
        "PIP_INDEX_URL",
        "PIP_CONFIG_FILE",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
    ):
        if name in os.environ:
            environment[name] = os.environ[name]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return subprocess.run(
        ["ansible-test", "sanity", "--local", "--python", version, "--color", "no"],
        cwd=collection,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
