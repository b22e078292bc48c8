# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Changing and removing the healer: the role's tasks on this machine, with fakes of systemd, Nagios and sudo."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FAKE_SYSTEMCTL = r"""#!/bin/bash
# fake systemd: one unit, whose state is a file; what it was asked to do is in a log
cd "$FAKE" || exit 1
args=(); for word in "$@"; do [[ $word == --* ]] || args+=("$word"); done
case ${args[0]} in
is-active) [[ -e on ]] && { echo active; exit 0; }; echo inactive; exit 3 ;;
show) printf 'LoadState=loaded\nActiveState=%s\n' "$([[ -e on ]] && echo active || echo inactive)" ;;
is-enabled) echo enabled ;;
list-units) echo list-units >>log; cat units-list; exit "$(cat units-rc 2>/dev/null || echo 0)" ;;
start|restart) echo "${args[0]} $(readlink opt/venv)" >>log; touch on ;;
stop) echo stop >>log; rm -f on ;;
esac
exit 0
"""
FAKE_JOURNALCTL = '#!/bin/sh\ncat "$FAKE/said"\n'
FAKE_NAGIOS = '#!/bin/sh\n[ ! -e "$FAKE/refuses" ] || { echo "Error: no such thing"; exit 1; }\n'
ROLE = """
- hosts: %s
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: selfheal.cluster.healer, tasks_from: %s}
"""
CHANGE = (
    ROLE % ("monitor", "change")
    + """
      vars:
        __healer_used: {stat: "{{ {'lnk_target': old} if old else {} }}"}
"""
)


class Place:
    """A healer's files in a folder, and what may be done to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("bin", "opt/venv-old", "opt/venv-older", "opt/venv-new", "etc/inventory", "units", "home", "farm"):
            (folder / name).mkdir(parents=True)
        (folder / "farm/hosts.yml").write_text(
            "monitor: {hosts: {monitor: }}\nei: {hosts: {ei1: , ei2: }}\nall: {vars: {selfheal_nagios_url: http://x/}}\n"
        )
        (folder / "farm/group_vars").mkdir()
        (folder / "farm/group_vars/ei.yml").write_text("selfheal_strategy: lb_detach\nselfheal_kind: pool\n")
        (folder / "units/selfheal.service").write_text("[Unit]\n")
        (folder / "opt/venv").symlink_to(folder / "opt/venv-old")
        (folder / "nagios.cfg").write_text("interval_length=30\n")
        for name in ("log", "said", "units-list"):
            (folder / name).touch()
        for name, text in {
            "systemctl": FAKE_SYSTEMCTL, "journalctl": FAKE_JOURNALCTL,
            "nagios4": FAKE_NAGIOS, "visudo": "#!/bin/sh\n", "dpkg-statoverride": "#!/bin/sh\nexit 1\n",
        }.items():  # fmt: skip
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        self.values: dict[str, Any] = {
            "ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable,
            "healer_user": "root", "healer_home": str(folder / "home"), "healer_inventory": str(folder / "farm"),
            "healer_python": sys.executable, "healer_spool": str(folder / "spool"), "healer_wait_seconds": 0,
            "healer_nagios_config": str(folder / "nagios.cfg"), "healer_nagios_objects": str(folder / "objects.cfg"),
            "healer_nagios_program": str(folder / "bin/nagios4"), "healer_pin_policies": False,
            "healer_targets": ["ei1", "ei2"], "healer_public_key": "", "remove_monitoring": False,
            "__healer_settings": str(folder / "etc"), "__healer_root": str(folder / "opt"),
            "__healer_units": str(folder / "units"), "__healer_sudoers": str(folder / "sudoers"),
            "__healer_visudo": str(folder / "bin/visudo"), "__healer_command": str(folder / "selfheal"),
            "__healer_event": str(folder / "lib/selfheal-event"), "__healer_node_state": str(folder / "state"),
            "__healer_venv": str(folder / "opt/venv-new"), "old": str(folder / "opt/venv-old"),
        }  # fmt: skip

    def play(self, playbook: str, *options: str, **extra: Any) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the collection, or one given as text."""
        if playbook.lstrip().startswith("-"):
            (self.folder / "play.yml").write_text(playbook)
            playbook = str(self.folder / "play.yml")
        (self.folder / "values.json").write_text(json.dumps({**self.values, **extra}))
        tool = Path(sys.executable).with_name("ansible-playbook")
        return subprocess.run(
            [tool, "-i", self.folder / "farm", playbook, "-e", f"@{self.folder}/values.json", *options],
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "lab/ansible.cfg"), "FAKE": str(self.folder),
                 "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".dev"), "PATH": f"{self.folder}/bin:{os.environ['PATH']}"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def run(self) -> None:
        """The healer runs, and says so when it is started again."""
        (self.folder / "on").touch()
        (self.folder / "said").write_text("healer: started, journal x\n")

    @property
    def runs(self) -> bool:
        return (self.folder / "on").exists()

    @property
    def log(self) -> list[str]:
        """What systemd was asked to do, in order."""
        return (self.folder / "log").read_text().replace(str(self.folder) + "/opt/", "").splitlines()

    @property
    def environments(self) -> set[str]:
        return {path.name for path in (self.folder / "opt").glob("venv-*")}

    @property
    def used(self) -> str:
        return (self.folder / "opt/venv").resolve().name

    def lease(self, seconds: float) -> None:
        """A heal by hand that holds a lease for so long; the journal of a version that nobody knows."""
        with sqlite3.connect(self.folder / "home/journal.db") as journal:
            journal.execute("CREATE TABLE leases (resource, incident, expires_at)")
            journal.execute("INSERT INTO leases VALUES ('node:ei1', 'ei1-by-hand', ?)", (time.time() + seconds,))


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_upgrade_keeps_the_version_before_and_no_other(place: Place) -> None:
    place.run()
    done = place.play(CHANGE)
    assert done.returncode == 0, done.stdout + done.stderr
    # What was stopped is started by either word.
    assert place.log[:2] == ["stop", "list-units"] and place.log[2] in ("start venv-new", "restart venv-new")
    assert place.runs and place.used == "venv-new" and place.environments == {"venv-new", "venv-old"}
    # 3600 s in units of 30 s
    assert "notification_interval  120\n" in (place.folder / "objects.cfg").read_text()

    again = place.play(CHANGE, old=str(place.folder / "opt/venv-new"))
    assert again.returncode == 0 and " changed=0 " in again.stdout.replace("   ", " "), again.stdout


def test_a_heal_by_hand_stops_an_upgrade_and_the_old_healer_goes_on(place: Place) -> None:
    place.run()
    place.lease(600)
    done = place.play(CHANGE)
    assert done.returncode != 0 and "ei1-by-hand" in done.stdout, done.stdout
    assert place.runs and place.used == "venv-old" and place.log == ["stop", "list-units", "start venv-old"]
    assert place.environments == {"venv-old", "venv-older", "venv-new"}


@pytest.mark.parametrize(("ran", "fault"), [(True, "unit"), (True, "systemd"), (False, "unit")])
def test_a_heal_that_does_not_end_leaves_the_healer_as_it_was(place: Place, ran: bool, fault: str) -> None:
    if ran:
        place.run()
    if fault == "unit":
        (place.folder / "units-list").write_text("selfheal-heal@ei1-1.service loaded active running x\n")
    else:
        (place.folder / "units-rc").write_text("1")
    done = place.play(CHANGE)
    assert done.returncode != 0 and place.runs is ran and place.used == "venv-old", done.stdout
    assert ("selfheal-heal@ei1-1.service" if fault == "unit" else "systemd does not say") in done.stdout


def test_what_fails_before_the_journal_is_changed_goes_back_to_the_old_version(place: Place) -> None:
    place.run()
    settings = place.folder / "etc/healer.json"
    settings.write_text('{"of": "the old version"}\n')
    (place.folder / "bin/visudo").write_text("#!/bin/sh\nexit 1\n")
    done = place.play(CHANGE)
    assert done.returncode != 0 and place.runs and place.used == "venv-old", done.stdout
    assert "Write the settings" in done.stdout and settings.read_text() == '{"of": "the old version"}\n', done.stdout
    assert place.environments == {"venv-old", "venv-older", "venv-new"}


@pytest.mark.parametrize("ran", [True, False])
def test_what_fails_later_goes_on_with_the_new_version_if_one_ran(place: Place, ran: bool) -> None:
    if ran:
        place.run()
    (place.folder / "refuses").touch()
    done = place.play(CHANGE)
    assert done.returncode != 0 and "no such thing" in done.stdout, done.stdout
    assert place.runs is ran and place.used == "venv-new" and "venv-old" in place.environments


def test_a_first_installation_that_does_not_start_stays_stopped(place: Place) -> None:
    (place.folder / "opt/venv").unlink()
    (place.folder / "said").write_text("selfheal: the journal cannot be read\n")
    (place.folder / "bin/journalctl").write_text('#!/bin/sh\ncat "$FAKE/said"\nexit 3\n')
    done = place.play(CHANGE, old="", __healer_begun_tries=1)
    assert done.returncode != 0 and "the journal cannot be read" in done.stdout, done.stdout
    assert not place.runs


@pytest.mark.parametrize("ran", [True, False])
def test_a_removal_refuses_over_a_hold_with_the_healer_stopped_first_and_started_again(place: Place, ran: bool) -> None:
    if ran:
        place.run()
    (place.folder / "state/holds").mkdir(parents=True)
    (place.folder / "state/holds/ei.json").write_text("{}")
    done = place.play("selfheal.cluster.remove")
    assert done.returncode != 0 and "These still hold a node: ei1, ei2" in done.stdout, done.stdout
    assert place.runs is ran and (place.folder / "units/selfheal.service").exists()
    assert done.stdout.index("Let the healer begin nothing new") < done.stdout.index("Look for holds")
    assert place.log[0] == ("stop" if ran else "list-units")


def test_a_removal_refuses_under_a_heal_by_hand(place: Place) -> None:
    place.run()
    place.lease(600)
    done = place.play("selfheal.cluster.remove")
    assert done.returncode != 0 and "ei1-by-hand" in done.stdout, done.stdout
    assert place.runs and "Look for holds" not in done.stdout


def test_a_removal_refuses_where_a_machine_cannot_be_asked(place: Place) -> None:
    place.run()
    (place.folder / "farm/host_vars").mkdir()
    values = 'ansible_connection: \'{{ "ssh" if inventory_hostname == "ei2" else "local" }}\'\n'
    (place.folder / "farm/group_vars/all.yml").write_text(values + "ansible_host: 127.0.0.1\nansible_port: 1\n")
    del place.values["ansible_connection"]
    done = place.play("selfheal.cluster.remove")
    assert done.returncode != 0 and "Whether these hold a node is not known: ei2" in done.stdout, done.stdout
    assert place.runs and (place.folder / "units/selfheal.service").exists()


def test_a_healer_is_removed_whole(place: Place) -> None:
    place.run()
    place.lease(-1)
    text = "- hosts: monitor\n  gather_facts: false\n  roles: [selfheal.cluster.healer]\n"
    done = place.play(text, healer_state="absent", healer_targets=[])
    assert done.returncode == 0, done.stdout + done.stderr
    assert not place.runs and not (place.folder / "units/selfheal.service").exists()
    assert not (place.folder / "opt").exists() and (place.folder / "home/journal.db").exists()


def test_the_key_may_run_commands_from_the_monitor_and_nothing_else(place: Place) -> None:
    keys = place.folder / "home/.ssh/authorized_keys"
    (place.folder / "farm/host_vars").mkdir()
    for address, options in (("192.0.2.10", 'restrict,from="192.0.2.10"'), ("nagios.example", "restrict")):
        (place.folder / "farm/host_vars/monitor.yml").write_text(f"ansible_host: {address}\n")
        place.play(ROLE % ("ei1", "access"), __healer_their_key="ssh-ed25519 AAAA1 selfheal@monitor",
                   __healer_remote_home=str(place.folder / "home"))  # fmt: skip
        assert keys.read_text() == f"{options} ssh-ed25519 AAAA1 selfheal@monitor\n"


def test_two_inventories_are_refused_with_what_to_do(place: Place) -> None:
    (place.folder / "more.yml").write_text("ei: {hosts: {ei3: }}\n")
    del place.values["healer_inventory"]
    done = place.play(ROLE % ("monitor", "inventory"), "-i", str(place.folder / "more.yml"))
    assert done.returncode != 0 and "put them into one folder" in " ".join(done.stdout.split()), done.stdout
    assert not list((place.folder / "etc/inventory").iterdir())


def test_only_our_own_copies_go_and_the_files_from_before_come_back(place: Place) -> None:
    etc = place.folder / "nagios4"
    (etc / "selfheal-before").mkdir(parents=True)
    for name, text in (("selfheal.cfg", "ours"), ("nagios.cfg", "ours"), ("selfheal-before/nagios.cfg", "theirs"),
                       ("nagios.cfg.1.2026-01-01@00:00:00~", "a person's")):  # fmt: skip
        (etc / name).write_text(text)
    tasks = ROOT / "playbooks/tasks/unwatch_monitor.yml"
    text = f"- hosts: monitor\n  gather_facts: false\n  tasks:\n  - ansible.builtin.include_tasks: {tasks}\n"
    done = place.play(text, remove_nagios_etc=str(etc), remove_apache_etc=str(place.folder))
    assert done.returncode == 0, done.stdout + done.stderr
    left = {path.name: path.read_text() for path in etc.iterdir()}
    assert left == {"nagios.cfg": "theirs", "nagios.cfg.1.2026-01-01@00:00:00~": "a person's"}
