# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What role healer writes, made of the lab's inventory on this machine and held against who has to read it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from selfheal_cluster.healer import config
from tests.integration.conftest import Lab
from tests.integration.nagios_fixture import RealNagios, host_object, service_object, wait_for

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles/healer"
PLAY = """
- hosts: monitor
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        healer_targets: [extlb1, ei1]
        check: "{{ hostvars | selfheal.cluster.effective_policies(groups) }}"
    - ansible.builtin.set_fact: {healer_host_key: {content: "{{ item.key | b64encode }}"}}
      delegate_to: "{{ item.host }}"
      delegate_facts: true
      loop: "{{ keys }}"
    - ansible.builtin.include_role: {name: selfheal.cluster.healer, tasks_from: inventory}
    - ansible.builtin.include_role: {name: selfheal.cluster.healer, tasks_from: objects, public: true}
    - ansible.builtin.template:
        src: "{{ role }}/templates/{{ item }}.j2"
        dest: "{{ __healer_settings }}/{{ item }}"
        mode: "0644"
      loop: [healer.json, ansible.cfg, selfheal.service, selfheal-heal@.service, sudoers, selfheal.sh]
    - ansible.builtin.copy:
        content: "{{ {'policies': check, 'lines': healer_nagios_lines} | to_json }}"
        dest: "{{ __healer_settings }}/seen.json"
        mode: "0644"
"""
LINE = re.compile(r"^(\S+)\s+: .*changed=(\d+)", re.MULTILINE)


class Written:
    """The role's files in a folder, and the way to write them again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inventory = folder / "farm"
        shutil.copytree(ROOT / "lab/inventory", self.inventory)
        self.settings = folder / "etc"
        self.settings.mkdir()
        (self.settings / "inventory").mkdir()
        (folder / "play.yml").write_text(PLAY)
        (folder / "main.cfg").write_text("log_file=x\n")
        self.extra: dict[str, Any] = {
            "role": str(ROLE), "keys": [], "healer_user": "root", "healer_home": str(folder / "home"),
            "healer_inventory": str(self.inventory), "healer_spool": str(folder / "spool"),
            "healer_nagios_config": str(folder / "main.cfg"),
            "healer_nagios_objects": str(self.settings / "nagios.cfg"), "healer_nagios_plugins": str(folder),
            "healer_nagios_contact_groups": ["nobody"], "healer_nagios_nodes": ["ei1"],
            "healer_nagios_freshness_seconds": 2, "__healer_settings": str(self.settings),
            "__healer_event": str(ROLE / "files/selfheal-event"),
            "ansible_python_interpreter": sys.executable,
        }  # fmt: skip

    def write(self, **extra: Any) -> int:
        """Run the role's tasks; how many of them changed something."""
        values = self.folder / "values.json"
        values.write_text(json.dumps({**self.extra, **extra}))
        tool, settings = Path(sys.executable).with_name("ansible-playbook"), str(ROOT / "lab/ansible.cfg")
        done = subprocess.run(
            [tool, "-i", self.inventory, self.folder / "play.yml", "-e", f"@{values}"],
            env={**os.environ, "ANSIBLE_CONFIG": settings, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".dev")},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return int(dict(LINE.findall(done.stdout))["monitor"])

    def text(self, name: str) -> str:
        """One written file."""
        return (self.settings / name).read_text()

    def known_hosts(self) -> dict[str, str]:
        """Key by the names of a machine."""
        lines = [line for line in self.text("known_hosts").splitlines() if not line.startswith("#")]
        return {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    made = Written(tmp_path_factory.mktemp("role"))
    made.write(keys=[{"host": "extlb1", "key": "ssh-ed25519 AAAA1 root@extlb1\n"}])
    return made


def test_another_run_follows_the_inventory_and_keeps_the_host_keys_of_those_not_asked(written: Written) -> None:
    copied = written.settings / "inventory"
    policy = "group_vars/all/10-policy.yml"
    assert (copied / policy).read_text() == (written.inventory / policy).read_text()
    assert written.known_hosts() == {"extlb1,10.213.77.11": "ssh-ed25519 AAAA1"}

    (copied / "host_vars").mkdir()
    (copied / "host_vars/ei9.yml").write_text("selfheal_mode: act\n")
    assert written.write(keys=[{"host": "ei1", "key": "ssh-ed25519 AAAA2 root@ei1\n"}]) == 2
    assert not (copied / "host_vars/ei9.yml").exists()
    both = {"extlb1,10.213.77.11": "ssh-ed25519 AAAA1", "ei1,10.213.77.21": "ssh-ed25519 AAAA2"}
    assert written.known_hosts() == both

    assert written.write() == 0
    assert written.known_hosts() == both
    assert {oct(path.stat().st_mode & 0o777) for path in copied.rglob("*.yml")} == {"0o640"}


def test_the_monitor_reaches_itself_without_ssh(written: Written) -> None:
    settings = written.folder / "empty.cfg"
    settings.touch()
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-inventory"), "-i", written.settings / "inventory", "--list"],
        capture_output=True, text=True, check=True, env={**os.environ, "ANSIBLE_CONFIG": str(settings)},
    )  # fmt: skip
    found = json.loads(done.stdout)["_meta"]["hostvars"]
    assert found["monitor"]["ansible_connection"] == "local"
    assert "ansible_connection" not in found["ei1"] and "ansible_become" not in found["ei1"]


def test_the_policies_are_those_of_the_layers(written: Written) -> None:
    policies = json.loads(written.text("seen.json"))["policies"]
    assert set(policies) == {"ei", "extlb"}
    assert policies["ei"]["mode"] == "act" and policies["ei"]["nodes"] == ["ei1", "ei2", "ei3"]


def test_the_healer_takes_its_settings(written: Written) -> None:
    read = config.load(str(written.settings / "healer.json"))
    assert read.monitor_host == "monitor" and read.poll_seconds == 4
    assert read.nagios["url"] == "http://10.213.77.10/nagios4/cgi-bin"
    assert read.nagios["config_file"] == str(written.folder / "main.cfg")


def test_ansible_asks_for_no_terminal_which_the_key_may_not_have(written: Written) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible"), "x", "-i", "x,", "-m", "raw", "-a", "true", "-vvvv",
         "-e", "ansible_host=127.0.0.1 ansible_port=1"],
        env={**os.environ, "ANSIBLE_CONFIG": str(written.settings / "ansible.cfg")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "SSH: EXEC ssh" in done.stdout and "-tt" not in done.stdout, done.stdout


def rule(written: Written) -> Callable[[str], bool]:
    """What sudo lets the healer do: a command, then arguments as one regular expression."""
    lines = [line for line in written.text("sudoers").splitlines() if not line.startswith("#")]
    assert len(lines) == 1
    command, _, pattern = lines[0].partition("NOPASSWD: ")[2].partition(" ")
    assert command == "/usr/bin/systemctl" and pattern.startswith("^") and pattern.endswith("$")
    return lambda arguments: re.search(pattern, arguments) is not None


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ("start --no-block selfheal-heal@ei1-20261125-023000-1a2b-1.service", True),
        ("start --no-block selfheal-heal@web_1.example-20261125-023000-1a2b-12.service", True),
        ("start --no-block selfheal-heal@ei1-20261125-023000-1a2b.service", False),
        ("stop --no-block selfheal-heal@ei1-20261125-023000-1a2b-1.service", False),
        ("start selfheal-heal@ei1-20261125-023000-1a2b-1.service", False),
        ("start --no-block selfheal-heal@ei1-1.service ssh.service", False),
        ("start --no-block ssh.service selfheal-heal@ei1-1.service", False),
        ("start --no-block selfheal-heal@../../x-1.service", False),
        ("start --no-block selfheal-heal@--root=x-1.service", False),
        ("start --no-block selfheal-heal@a\nssh-1.service", False),
        ("start --no-block selfheal-heal@a-1xservice", False),
    ],
)
def test_sudo_starts_heals_and_nothing_else(written: Written, arguments: str, allowed: bool) -> None:
    assert rule(written)(arguments) is allowed


def on_monitor(lab: Lab, text: str, script: str) -> str:
    """Run a script on the lab's monitor with this text in the file $FILE; what it said, if it did not like it."""
    packed = base64.b64encode(text.encode()).decode()
    done = lab.on("monitor", f"FILE=$(mktemp -d)/unit; echo {packed} | base64 -d > $FILE; {script}")
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.lab
def test_sudo_can_read_the_rule(lab: Lab, written: Written) -> None:
    assert on_monitor(lab, written.text("sudoers"), "visudo -cf $FILE") == ""
    assert on_monitor(lab, "selfheal ALL=(root) NOPASSWD: [", "visudo -cf $FILE") != ""


@pytest.mark.lab
@pytest.mark.parametrize("unit", ["selfheal.service", "selfheal-heal@.service"])
def test_systemd_understands_the_units(lab: Lab, written: Written, unit: str) -> None:
    # The program itself is not on this machine.
    text = written.text(unit).replace("/opt/selfheal/venv/bin/python", "/usr/bin/python3")
    name = unit.replace("@.", "@ei1-20261125-023000-1a2b-1.")
    script = f"mv $FILE $(dirname $FILE)/{name} && cd $(dirname $FILE) && systemd-analyze verify --man=no ./{name}"
    assert on_monitor(lab, text, script) == ""
    assert on_monitor(lab, text.replace("ExecStart=", "ExecStart=no/such/"), script) != ""


def test_heals_can_gain_no_rights_and_the_healer_can(written: Written) -> None:
    implied = ("NoNewPrivileges", "RestrictAddressFamilies", "RestrictRealtime", "SystemCall", "LockPersonality",
               "RestrictSUIDSGID", "RestrictNamespaces", "MemoryDeny", "PrivateDevices", "ProtectKernel")  # fmt: skip
    assert "\nNoNewPrivileges=yes\n" in written.text("selfheal-heal@.service")
    healer = [line for line in written.text("selfheal.service").splitlines() if not line.startswith("#")]
    assert not [line for line in healer if line.startswith(implied)], "sudo would not work any more"


@pytest.fixture
def nagios(written: Written) -> Iterator[RealNagios]:
    (written.folder / "check_dummy").write_text('#!/bin/sh\necho "$2"\nexit "$1"\n')
    (written.folder / "check_dummy").chmod(0o755)
    (written.folder / "spool").mkdir(exist_ok=True)
    lines = [line for line in json.loads(written.text("seen.json"))["lines"] if not line.startswith("cfg_file=")]
    contacts = "define contactgroup {\n contactgroup_name nobody\n alias nobody\n members nobody_at_all\n}\n"
    period = "define timeperiod {\n timeperiod_name 24x7\n alias 24x7\n " + "\n ".join(
        f"{day} 00:00-24:00" for day in ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    ) + "\n}\n"  # fmt: skip
    objects = host_object("monitor") + host_object("ei1") + service_object("ei1", "disk /") + contacts + period
    objects += written.text("nagios.cfg")
    # As in a nagios.cfg of somebody else: the later line has to win.
    before = "check_service_freshness=0\nenable_event_handlers=0\n"
    with RealNagios(objects, config=before + "\n".join(lines) + "\n") as running:
        yield running


def service(nagios: RealNagios, name: str) -> dict[str, str]:
    """One service of the monitor as Nagios has it on disk."""
    for block in (nagios.folder / "status.dat").read_text().split("servicestatus {")[1:]:
        found = dict(line.strip().split("=", 1) for line in block.splitlines() if "=" in line)
        if found["service_description"] == name:
            return found
    return {}


def test_nagios_drops_alerts_and_notices_a_silent_healer(written: Written, nagios: RealNagios) -> None:
    nagios.passive("ei1", "disk /", 2, "full")
    found = wait_for(lambda: list((written.folder / "spool").glob("*.event")), what="the alert of the service")
    alert = json.loads(found[0].read_text())
    assert {key: alert[key] for key in ("host", "service", "state", "type", "attempt")} == {
        "host": "ei1", "service": "disk /", "state": "CRITICAL", "type": "HARD", "attempt": 1,
    }  # fmt: skip
    found[0].unlink()
    with nagios.pipe.open("w") as pipe:
        pipe.write("[1] PROCESS_HOST_CHECK_RESULT;ei1;1;gone\n")
    found = wait_for(lambda: list((written.folder / "spool").glob("*.event")), what="the alert of the host")
    alert = json.loads(found[0].read_text())
    assert alert["service"] is None and alert["state"] == "DOWN" and alert["type"] == "HARD"
    found[0].unlink()

    nagios.passive("monitor", "selfheal", 0, "alive")
    wait_for(lambda: service(nagios, "selfheal").get("current_state") == "0", what="the heartbeat")
    nagios.passive("monitor", "selfheal: ei1", 2, "a person is needed")
    silent = wait_for(
        lambda: service(nagios, "selfheal").get("current_state") == "2" and service(nagios, "selfheal"), 30, "the alarm"
    )
    assert "has said nothing for 2 s" in silent["plugin_output"]
    assert service(nagios, "selfheal: ei1")["current_state"] == "2"
    assert not list((written.folder / "spool").glob("*")), "the healer's own services call nobody"
