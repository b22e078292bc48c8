# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What users get is what was tested: the tarball and the wheel are built, installed elsewhere and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.gates.sanity import ROOT, copy_collection

BIN = Path(sys.executable).parent
NEVER_SHIPPED = (".venv", "/lab/", "/tests/", ".pyc", "/.dev/", "/build/")


def call(command: list[str | Path], cwd: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(cwd), "LANG": "C.UTF-8", **extra}
    for name in ("PIP_CERT", "PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_CONFIG_FILE"):
        if name in os.environ:
            environment[name] = os.environ[name]
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, text=True, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy of what git knows, so that nothing that lies about here can be shipped."""
    return copy_collection(tmp_path_factory.mktemp("source"))


def refuses_unknown_node(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode != 0, done.stdout
    assert "nowhere1" in done.stdout + done.stderr


def test_tarball_is_built_installed_and_used(source: Path, tmp_path: Path) -> None:
    built = call([BIN / "ansible-galaxy", "collection", "build", "--output-path", tmp_path, source], tmp_path)
    assert built.returncode == 0, built.stderr
    tarball = next(tmp_path.glob("selfheal-cluster-*.tar.gz"))
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    assert not [name for name in names if any(part in f"/{name}" for part in NEVER_SHIPPED)]
    assert "plugins/modules/lb_member.py" in names and "playbooks/heal.yml" in names

    collections = tmp_path / "collections"
    installed = call(
        [
            BIN / "ansible-galaxy",
            "collection",
            "install",
            "--offline",
            "--no-deps",
            "--force",
            "-p",
            collections,
            tarball,
        ],
        tmp_path,
    )
    assert installed.returncode == 0, installed.stderr
    # -P and an empty path keep the checkout's own collection out of the way.
    done = call(
        [
            BIN / "ansible-playbook",
            "-i",
            "localhost,",
            "selfheal.cluster.heal",
            "-e",
            "selfheal_node=nowhere1",
        ],
        tmp_path,
        ANSIBLE_COLLECTIONS_PATH=str(collections),
        ANSIBLE_COLLECTIONS_SCAN_SYS_PATH="False",
    )
    refuses_unknown_node(done)
    assert str(ROOT) not in done.stdout + done.stderr


def test_wheel_is_built_installed_and_used(source: Path, tmp_path: Path) -> None:
    built = call([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, source], tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    wheel = next(tmp_path.glob("selfheal_cluster-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [name for name in names if any(part in f"/{name}" for part in NEVER_SHIPPED)]
    assert "ansible_collections/selfheal/cluster/galaxy.yml" in names
    assert "ansible_collections/selfheal/cluster/playbooks/heal.yml" in names

    site = tmp_path / "site"
    installed = call(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--target",
            site,
            wheel,
        ],
        tmp_path,
    )
    assert installed.returncode == 0, installed.stderr
    where = call(
        [sys.executable, "-c", "import selfheal_cluster; print(selfheal_cluster.__file__)"],
        tmp_path,
        PYTHONPATH=str(site),
    )
    assert where.stdout.startswith(str(site))
    helped = call([site / "bin" / "selfheal", "--help"], tmp_path, PYTHONPATH=str(site))
    assert helped.returncode == 0 and "survey" in helped.stdout, helped.stdout + helped.stderr
    done = call(
        [site / "bin" / "selfheal", "--json", "-i", "localhost,", "heal", "nowhere1"],
        tmp_path,
        PYTHONPATH=str(site),
    )
    refuses_unknown_node(done)


def test_one_version_everywhere(tmp_path: Path) -> None:
    listed = call(
        [
            BIN / "ansible-galaxy",
            "collection",
            "list",
            "--format",
            "json",
            "selfheal.cluster",
            "-p",
            ROOT / ".dev" / "ansible_collections",
        ],
        tmp_path,
    )
    assert listed.returncode == 0, listed.stderr
    versions = {entry["selfheal.cluster"]["version"] for entry in json.loads(listed.stdout).values()}
    shown = call(
        [BIN / "python", "-c", "import importlib.metadata as m; print(m.version('selfheal-cluster'))"],
        tmp_path,
    )
    assert versions == {shown.stdout.strip()}
    role = yaml.safe_load((ROOT / "roles/healer/vars/main.yml").read_text(encoding="utf-8"))["__healer_version"]
    assert versions == {role}, "what role healer installs"
