# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""What role healer writes, made of the lab's inventory on this machine and held against who has to read it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from selfheal_cluster.healer import config
from tests.integration.nagios_fixture import RealNagios, host_object, service_object, wait_for

from .conftest import Written


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


TOLD = "define service {\n    host_name  monitor\n    service_description  selfheal: ei1\n}\n"


@pytest.mark.parametrize(
    ("main", "beside", "nodes"),
    [
        ("", "", {"ei1", "ei2", "ei3", "extlb1", "extlb2"}),
        ("cfg_file=selfheal.cfg\n", TOLD, set()),
        (" cfg_file = {folder}/selfheal.cfg \n", TOLD, set()),
        ("#cfg_file=selfheal.cfg\ncfg_file={folder}/myselfheal.cfg\n", TOLD, {"ei1", "ei2", "ei3", "extlb1", "extlb2"}),
        ("cfg_file=selfheal.cfg\n", TOLD.replace("selfheal: ei1", "memory"), {"ei1", "ei2", "ei3", "extlb1", "extlb2"}),
        ("cfg_file=selfheal.cfg\n", "", {"ei1", "ei2", "ei3", "extlb1", "extlb2"}),
    ],
    ids=["a Nagios of one's own", "nagios_server", "by its whole name", "not read", "without told", "no file"],
)
def test_every_node_has_its_passive_service_once(tmp_path: Path, main: str, beside: str, nodes: set[str]) -> None:
    """A result for a service that is not there is dropped by Nagios, and nobody is paged."""
    made = Written(tmp_path)
    (tmp_path / "main.cfg").write_text(main.format(folder=tmp_path))
    if beside:
        (tmp_path / "selfheal.cfg").write_text(beside)
    made.write(without="healer_nagios_nodes")
    assert set(re.findall(r"service_description +selfheal: (\S+)", made.text("nagios.cfg"))) == nodes


def test_before_nagios_server_its_services_are_left_to_it(tmp_path: Path) -> None:
    made = Written(tmp_path)
    made.extra["__healer_event"] = str(tmp_path / "selfheal-event")
    for told, nodes in ((True, 0), (False, 5)):
        (made.settings / "nagios.cfg").unlink(missing_ok=True)
        made.write(without="healer_nagios_nodes", entrance="hook", nagios_server_told=told)
        assert made.text("nagios.cfg").count("selfheal: ") == nodes
    made.write(without="healer_nagios_nodes")
    assert made.text("nagios.cfg").count("selfheal: ") == 5, "nobody has written them"


def test_the_policies_are_those_of_the_layers(written: Written) -> None:
    policies = json.loads(written.text("seen.json"))["policies"]
    assert set(policies) == {"ei", "extlb"}
    assert policies["ei"]["mode"] == "act" and policies["ei"]["nodes"] == ["ei1", "ei2", "ei3"]


def test_the_healer_takes_its_settings(written: Written) -> None:
    read = config.load(str(written.settings / "healer.json"))
    assert 3 * read.heartbeat_seconds == pytest.approx(written.extra["healer_nagios_freshness_seconds"])
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
