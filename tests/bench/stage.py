# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What rows ``start`` and ``burst`` are played on: the same farm twice, one for us and one for ansible-rulebook.

Real: Nagios, HAProxy, the healer with everything it starts, ansible-rulebook, ansible-playbook, the plays of
``heal.yml`` from its first to its decision, and its end, which writes the outcome. FAKE: systemd and sudo (``place``),
and the hands: all that a heal changes between decision and end is one task that waits and makes the node well. The
nodes are no machines, since no heal touches the machine that it runs on; nobody logs in to them before the restart.
"""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.bench import place, stamps
from tests.bench.place import PYTHON, ROOT, Place, wait_for
from tests.integration.nagios_fixture import RealNagios, host_object, service_object

HELPERS = Path(__file__).resolve().parent / "helpers"
COLLECTION = Path("collections") / "ansible_collections" / "selfheal" / "cluster"
BOOK = COLLECTION / "playbooks" / "heal.yml"
RULEBOOK = ROOT / "build" / "rulebook" / "bin" / "ansible-rulebook"
JAVA = 17

WRAPPER = """#!/bin/sh
# Writes down that a process of ansible-playbook begins, and becomes the real one.
echo "$(date +%s%N) $$" >> '@FOLDER@/processes'
# ansible-rulebook always adds --limit, which the playbook of a heal refuses: it can skip a guard.
left=$#
while [ "$left" -gt 0 ]; do
  left=$((left - 1))
  word=$1
  shift
  if [ "$word" = --limit ]; then
    left=$((left - 1))
    shift
  else
    set -- "$@" "$word"
  fi
done
export ANSIBLE_CALLBACK_PLUGINS="@HELPERS@${ANSIBLE_CALLBACK_PLUGINS:+:$ANSIBLE_CALLBACK_PLUGINS}"
export ANSIBLE_CALLBACKS_ENABLED=bench_stamps
export ANSIBLE_BENCH_STAMPS='@FOLDER@/tasks'
exec '@REAL@' "$@"
"""
HAPROXY = """global
  stats socket {socket} mode 600 level admin
defaults
  mode tcp
  timeout connect 1s
  timeout client 20s
  timeout server 20s
  default-server check addr 127.0.0.1 port {port} inter 5s
frontend nobody
  bind unix@{socket}.front
  default_backend {first}
"""
RULES = """- name: alerts
  hosts: all
{strategy}  sources:
    - eda.builtin.webhook:
        host: 127.0.0.1
        port: {port}
  rules:
    - name: heal
      condition: event.payload.state == "CRITICAL"
{throttle}      action:
        run_playbook:
          name: {playbook}
          copy_files: false
{lock}          extra_vars:
            {variable}: "{{{{ event.payload.host }}}}"
"""
BEST = {
    "strategy": "  execution_strategy: parallel\n",
    "throttle": "      throttle:\n        once_within: 5 minutes\n        group_by_attributes: [event.payload.host]\n",
    "lock": '          lock: "{{ event.payload.host }}"\n',
}
"""What ansible-rulebook has against doing things twice: one heal per host at a time, and one in five minutes."""
DEFAULT = dict.fromkeys(BEST, "")


@dataclass(frozen=True)
class Farm:
    """Layers with their nodes, and the services of each node."""

    layers: Mapping[str, list[str]]
    services: tuple[str, ...]
    limits: Mapping[str, Any]

    @property
    def nodes(self) -> list[str]:
        return [node for nodes in self.layers.values() for node in nodes]

    def addresses(self) -> dict[str, str]:
        """Of nobody (TEST-NET-2 of RFC 5737), so that no node is this machine; machines may have one of TEST-NET-1."""
        return {node: f"198.51.100.{place + 1}" for place, node in enumerate(self.nodes)}

    def objects(self) -> str:
        """Nagios' objects."""
        text = host_object("watch") + service_object("watch", "selfheal") + host_object("lb1")
        for node in self.nodes:
            text += host_object(node) + "".join(service_object(node, name) for name in self.services)
            text += service_object("watch", f"selfheal: {node}", event_handler_enabled="0")
        return text

    def inventory(self, journal: Path, admin: str, url: str, password: Path) -> dict[str, Any]:
        """What a user would write."""
        addresses = self.addresses()
        gauge = {"name": "web", "service": "web*", "read": "state", "kind": "service"}
        policy = {
            "selfheal_strategy": "lb_detach", "selfheal_mode": "act", "selfheal_balancers": "balancers",
            "selfheal_port": 80, "selfheal_service": "web.service", "selfheal_gauges": [gauge],
            "selfheal_limits": dict(self.limits),
        }  # fmt: skip
        groups: dict[str, Any] = {
            layer: {"hosts": {node: {"ansible_host": addresses[node]} for node in nodes}, "vars": policy}
            for layer, nodes in self.layers.items()
        }
        here = {"ansible_connection": "local", "ansible_become": False}
        watch = {
            **here, "selfheal_journal": str(journal), "selfheal_journal_user": "root", "selfheal_nagios_url": url,
            "selfheal_nagios_user": place.NAGIOS_USER, "selfheal_nagios_password_file": str(password),
        }  # fmt: skip
        groups["monitor"] = {"hosts": {"watch": watch}}
        # From where it reaches its members: a restart is refused where connections of a balancer cannot be told.
        balancer = {**here, "selfheal_socket": admin, "selfheal_address": "198.51.100.254"}
        groups["balancers"] = {"hosts": {"lb1": balancer}}
        return groups


def playbook(real: str, hands: list[str]) -> str:
    """``heal.yml`` with hands that are fakes: its plays up to the decision, one task, and its own end."""
    plays = yaml.safe_load(real)
    uses = [[next((key for key in task if "." in key), "") for task in play["tasks"]] for play in plays]
    decides = next(place for place, found in enumerate(uses) if stamps.PLAN in found)
    release = next(place for place, key in enumerate(uses[-1]) if key == "selfheal.cluster.heal_lease")
    acts = {
        "name": "Hands", "hosts": "localhost", "gather_facts": False,
        "tasks": [
            {"name": "Stand for all that changes something", "ansible.builtin.command": {"argv": hands},
             "when": "selfheal_heal.status == 'acting'"},
            {"name": "Take it for verified", "when": "selfheal_heal.status == 'acting'",
             "ansible.builtin.set_fact": {"selfheal_heal": "{{ selfheal_heal | combine({'outcome': 'healed'}) }}"}},
        ],
    }  # fmt: skip
    end = {**plays[-1], "tasks": plays[-1]["tasks"][release:]}
    text: str = yaml.safe_dump([*plays[: decides + 1], acts, end], sort_keys=False, width=1000)
    return "# Made by tests/bench/stage.py\n---\n" + text


def plain_playbook(hands: list[str]) -> str:
    """What stands behind a rule where nobody has written a decision: the hands, and nothing else."""
    task = {"name": "Restart", "ansible.builtin.command": {"argv": hands}}
    return yaml.safe_dump([{"name": "Heal", "hosts": "localhost", "gather_facts": False, "tasks": [task]}])


def java_home() -> str:
    """Where a Java for ansible-rulebook is; ``tools/setup bench`` installs one."""
    named = os.environ.get("JAVA_HOME", "")
    program = shutil.which("java")
    for folder in (named, str(Path(program).resolve().parents[1]) if program else ""):
        if folder and list(Path(folder).rglob("libjvm.so")):
            return folder
    raise RuntimeError(f"there is no Java {JAVA} for ansible-rulebook: run tools/setup bench")


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Alive(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """HAProxy only looks whether somebody listens."""


class Stage:
    """Two farms that are alike: ``ours`` and ``theirs``. Use it by ``played``."""

    def __init__(self, folder: Path, farm: Farm, heal_seconds: float, wired: bool) -> None:
        self.folder = folder
        self.farm = farm
        self.wired = wired  # Nagios itself calls the event handlers
        self.heal_seconds = heal_seconds
        self.short = Path(tempfile.mkdtemp(prefix="shb-", dir="/tmp"))  # a socket's path has 107 bytes
        self.admin = str(self.short / "haproxy.sock")
        self.port = free_port()
        self.nagios: dict[str, RealNagios] = {}
        self.places: dict[str, Place] = {}
        self.healer = 0

    def side(self, name: str) -> Path:
        """Where the stamps of a side are."""
        return self.folder / name

    def lines(self, side: str, name: str) -> list[str]:
        """Whole lines of one of a side's files."""
        path = self.side(side) / name
        return path.read_text().splitlines() if path.exists() else []

    def runs(self, side: str) -> list[stamps.Run]:
        """What a side's playbooks did."""
        return stamps.runs(self.lines(side, "processes"), self.lines(side, "tasks"))

    def hands(self, side: str) -> list[str]:
        """The words of the fake hands, for a playbook."""
        words = [PYTHON, "-IS", str(HELPERS / "fake_hands.py"), str(self.side(side) / "hands")]
        words += [str(self.nagios[side].pipe), str(self.heal_seconds)]
        return [*words, "{{ node | default(selfheal_node) }}", *self.farm.services]

    def event_handler(self, side: str) -> str:
        """The line that Nagios calls at each event of a service."""
        macros = "'$HOSTNAME$' '$SERVICEDESC$' '$SERVICESTATE$'"
        if side == "theirs":
            return f"{PYTHON} -IS {HELPERS}/post_alert.py {self.side(side)}/posts {self.port} {macros}"
        host, service, state = macros.split()
        return (
            f"{PYTHON} -IS {place.HANDLER} --host {host} --service {service} --state {state}"
            " --type '$SERVICESTATETYPE$' --attempt '$SERVICEATTEMPT$' --event-id '$SERVICEEVENTID$'"
            f" --spool {self.side(side)}/place/spool"
        )

    @contextlib.contextmanager
    def played(self) -> Iterator[Stage]:
        """Everything but the two services that are measured."""
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.short, ignore_errors=True)
            stack.enter_context(self._haproxy())
            for name in ("ours", "theirs"):
                self.side(name).mkdir()
                objects, config = self.farm.objects(), "enable_event_handlers=1\n"
                if self.wired:
                    line = self.event_handler(name)
                    objects += f"define command {{\n    command_name  alert\n    command_line  {line}\n}}\n"
                    config += "global_service_event_handler=alert\n"
                self.nagios[name] = stack.enter_context(RealNagios(objects, config=config))
            for name, nagios in self.nagios.items():
                for node in self.farm.nodes:
                    for service in self.farm.services:
                        nagios.passive(node, service, 0, "fine")
                folder = self.side(name) / "place"
                inventory = self.farm.inventory(
                    folder / "journal.db", self.admin, nagios.url, folder / "password"
                )  # fmt: skip
                self.places[name] = place.make(
                    folder, inventory, nagios.url, nagios.folder / "nagios.cfg", command_file=str(nagios.pipe)
                )  # fmt: skip
                self._collection(name)
            yield self

    @contextlib.contextmanager
    def _haproxy(self) -> Iterator[None]:
        alive = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Alive)
        alive.daemon_threads = True
        threading.Thread(target=alive.serve_forever, daemon=True).start()
        port = alive.server_address[1]
        text = HAPROXY.format(socket=self.admin, port=port, first=next(iter(self.farm.layers)))
        addresses = self.farm.addresses()
        for layer, nodes in self.farm.layers.items():
            text += f"backend {layer}\n" + "".join(f"  server {node} {addresses[node]}:80\n" for node in nodes)
        (self.short / "haproxy.cfg").write_text(text)
        process = subprocess.Popen(["haproxy", "-W", "-q", "-f", str(self.short / "haproxy.cfg")])
        try:
            wait_for(Path(self.admin).exists, 15.0, "HAProxy")
            yield
        finally:
            process.terminate()
            process.wait(15)
            alive.shutdown()
            alive.server_close()

    def _collection(self, side: str) -> None:
        """Our collection with the playbook of the bench, and a Python whose ansible-playbook is the wrapper."""
        inside = self.side(side) / COLLECTION
        (inside / "playbooks").mkdir(parents=True)
        for name in ("plugins", "roles", "meta", "galaxy.yml"):
            (inside / name).symlink_to(ROOT / name)
        real = (ROOT / "playbooks" / "heal.yml").read_text(encoding="utf-8")
        (inside / "playbooks" / "heal.yml").write_text(playbook(real, self.hands(side)))
        (self.side(side) / "plain.yml").write_text(plain_playbook(self.hands(side)))
        subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(self.side(side) / "venv")], check=True)
        packages = next(Path(entry) for entry in sys.path if Path(entry, "ansible_runner").is_dir())
        (own,) = (self.side(side) / "venv" / "lib").glob("python3.*/site-packages")
        (own / "bench.pth").write_text(f"import site; site.addsitedir({str(packages)!r})\n")
        wrapper = self.side(side) / "venv" / "bin" / "ansible-playbook"
        text = WRAPPER.replace("@FOLDER@", str(self.side(side))).replace("@HELPERS@", str(HELPERS))
        wrapper.write_text(text.replace("@REAL@", str(Path(sys.executable).parent / "ansible-playbook")))
        wrapper.chmod(0o755)

    @contextlib.contextmanager
    def selfheal(self) -> Iterator[Place]:
        """The healer of our side, once it has read its farm; and somebody who sees when alerts come into the spool."""
        where, python = self.places["ours"], self.side("ours") / "venv" / "bin" / "python"
        tools = place.fake_systemd(where, python)
        came = self.side("ours") / "came"
        watch = subprocess.Popen([PYTHON, "-IS", str(HELPERS / "watch_spool.py"), str(where.spool), str(came)])
        try:
            wait_for(came.exists, 15.0, "the watcher of the spool")
            stamps_env = {  # for the prepared run, which goes past the wrapper
                "ANSIBLE_CALLBACK_PLUGINS": str(HELPERS), "ANSIBLE_CALLBACKS_ENABLED": "bench_stamps",
                "ANSIBLE_BENCH_STAMPS": str(self.side("ours") / "tasks"),
            }  # fmt: skip
            with place.healer(where, python, tools, [self.side("ours") / "collections"], stamps_env) as process:
                self.healer = process.pid
                sql = "SELECT count(DISTINCT node) AS n FROM readings"
                try:
                    wait_for(lambda: where.rows(sql)[0]["n"] == len(self.farm.nodes), 240.0, "a first reading")
                except TimeoutError as exc:
                    raise TimeoutError(f"{exc}; the healer said:\n{where.log()[-2000:]}") from exc
                yield where
        finally:
            watch.kill()
            watch.wait()

    @contextlib.contextmanager
    def rulebook(self, how: Mapping[str, str], plain: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        """ansible-rulebook with its webhook, once it listens."""
        folder = self.side("theirs")
        named = {"playbook": str(folder / "plain.yml"), "variable": "node"}
        if not plain:  # by its path, which is quicker: for a name it asks ansible-galaxy first
            named = {"playbook": str(folder / BOOK), "variable": "selfheal_node"}
        (folder / "rules.yml").write_text(RULES.format(port=self.port, **named, **how))
        inventory = folder / "place" / "inventory" / "hosts.json"
        env = {
            "PATH": f"{folder}/venv/bin:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8",
            "HOME": str(folder), "JAVA_HOME": java_home(), "ANSIBLE_CONFIG": str(folder / "place" / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"), "ANSIBLE_NOCOLOR": "1",
        }  # fmt: skip
        log = folder / "rulebook.log"
        with log.open("ab") as sink:
            process = subprocess.Popen(
                [str(RULEBOOK), "--rulebook", str(folder / "rules.yml"), "--inventory", str(inventory)], env=env,
                cwd=folder, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        try:

            def listens() -> bool:
                if process.poll() is not None:
                    raise RuntimeError(f"ansible-rulebook ended: {log.read_text()[-2000:]}")
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", self.port)) == 0

            wait_for(listens, 180.0, "ansible-rulebook to listen")
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
