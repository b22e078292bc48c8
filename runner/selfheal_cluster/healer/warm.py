# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""``ansible-playbook`` of a prepared run: everything is loaded, then it waits for the name of its run.

Meanwhile it packs what is not packed yet, and opens the connections of a heal that may be near (``ahead``).

It takes the same words as ``ansible-playbook``, which it becomes. What may differ from one heal to the next (inventory,
playbook, roles, the journal) is read afterwards. Ansible reads its configuration while it is loaded: the healer sends
nothing to a prepared run whose ansible.cfg has changed since.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from selfheal_cluster.healer.ahead import Ahead

NAME, SETTINGS = "SELFHEAL_PREPARED", "SELFHEAL_PREPARED_CONFIG"
# What every heal loads before its first task, beside what PlaybookCLI loads by itself. One that another version of
# Ansible does not have is loaded later, or never.
AHEAD = (
    "ansible.executor.playbook_executor", "ansible.executor.task_executor", "ansible.executor.process.worker",
    "ansible.executor.module_common", "ansible.playbook.role_include", "ansible.playbook.included_file",
    "ansible.plugins.strategy", "ansible.plugins.connection", "ansible.plugins.shell", "ansible.plugins.cache",
    "ansible.module_utils.connection", "multiprocessing.synchronize", "multiprocessing.popen_fork",
    "ansible_collections.ansible.builtin", "ansible_collections.selfheal.cluster.plugins.action.heal_target",
    "ansible_collections.selfheal.cluster.plugins.action.heal_plan",
    "ansible_collections.selfheal.cluster.plugins.action.heal_step",
    "ansible_collections.selfheal.cluster.plugins.lookup.heal_options",
)  # fmt: skip


def main() -> int:
    """The entrance."""
    name, settings = os.environ.pop(NAME), os.environ.pop(SETTINGS)
    load()
    from selfheal_cluster.healer import run_heal
    from selfheal_cluster.healer.config import load as read

    config = read(settings)
    ahead = Ahead(config.inventory)
    try:
        with packing():
            run = wait(config.runs, name, ahead.begin)
    finally:
        ahead.end()
    if not run:
        return 0  # the healer has ended, or needs none
    try:
        sys.argv = ["ansible-playbook", *run_heal.take_over(config, name, run), *sys.argv[1:]]
    except run_heal.REFUSED as exc:
        sys.stderr.write(f"selfheal-run-heal: {run_heal.why(exc)}\n")
        return 1
    from ansible.cli.playbook import PlaybookCLI

    PlaybookCLI.cli_executor()
    return 0  # it has left by SystemExit with the playbook's code


def load() -> None:
    """Ansible first: its finder of collections has to be there before anything of a collection is imported."""
    importlib.import_module("ansible.cli.playbook")
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader()
    # PlaybookCLI asks for the same again, and Python would warn that it is there.
    warnings.filterwarnings("ignore", message="AnsibleCollectionFinder has already been configured")
    for module in AHEAD:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    from ansible.plugins import loader

    # As PlaybookCLI does itself at its begin. No others: host_group_vars would not read group variables any more.
    for kind in (loader.connection_loader, loader.shell_loader, loader.become_loader, loader.callback_loader):
        with contextlib.suppress(Exception):  # it asks for the same again, and says what is wrong
            list(kind.all(class_only=True))
    # Each task is a fork. A collection in it would copy all that was loaded here, to find nothing.
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def packing() -> Iterator[None]:
    """Meanwhile a child packs, at the lowest priority, the modules that no heal has packed since the last update.

    The first heal after an update, which may come months later, would have to: two seconds more until traffic is safe.
    The child is killed when a heal begins: it may hold a lock of a module that the heal packs then.
    """
    try:
        child = os.fork()
    except OSError:  # no memory or no process left: a heal that waits is worth more than what it would be spared
        child = None
    if child is None:
        yield
        return
    if not child:
        with contextlib.suppress(BaseException):  # whatever it is: the heal packs what is missing
            pack(os.getppid())
        os._exit(0)  # nothing of the parent's is to be ended or removed here
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)  # it is ours until it is waited for, also when it has ended
        os.waitpid(child, 0)


def pack(parent: int) -> None:
    """In the child, until all is packed or the parent is gone."""
    from ansible import constants

    from ansible_collections.selfheal.cluster.plugins.plugin_utils import _module_cache as cache

    os.nice(40)  # the lowest, from wherever
    for name in cache.missing():
        if os.getppid() != parent:
            return
        cache.pack(name, constants.DEFAULT_LOCAL_TMP)


def wait(runs: str, name: str, suspect: Callable[[str], None]) -> str:
    """The name of the run, once the healer says it; empty when it lets go of the connection, or the runner is gone.

    ``suspect`` is called with the name of each node that the healer calls suspect meanwhile.
    """
    from selfheal_cluster.healer.ready import SOCKET, short

    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with line:
        try:
            with short(Path(runs) / SOCKET) as address:
                line.connect(address)
            line.sendall(json.dumps({"ready": name}).encode("ascii") + b"\n")
            for word in words(line):
                if word.get("run"):
                    return str(word["run"])
                if word.get("suspect"):
                    suspect(str(word["suspect"]))
        except (OSError, ValueError):
            return ""
    return ""


def words(line: socket.socket) -> Iterator[Mapping[str, Any]]:
    """What the healer says, a line of JSON at a time, until either end is gone."""
    from selfheal_cluster.healer.ready import MAX_WORD

    calls = select.poll()
    calls.register(line, select.POLLIN)
    calls.register(0, 0)  # the terminal of the runner: its end is the runner's end
    heard = b""
    while len(heard) < MAX_WORD:
        if any(place == 0 for place, _event in calls.poll()):
            return
        more = line.recv(MAX_WORD)
        if not more:
            return
        *whole, heard = (heard + more).split(b"\n")
        for each in whole:
            word: Any = json.loads(each)
            if isinstance(word, Mapping):
                yield word


if __name__ == "__main__":
    sys.exit(main())
