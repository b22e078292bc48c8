# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Changing and removing the healer: the role's tasks on this machine, with fakes of systemd, Nagios and sudo."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FAKE_SYSTEMCTL = r"""#!/bin/bash
# fake systemd: one unit, whose state is a file; what it was asked to do is in a log
cd "$FAKE" || exit 1
args=(); for word in "$@"; do [[ $word == --* ]] || args+=("$word"); done
[[ "$*" != *ActiveEnterTimestamp* ]] || { [[ ! -e on ]] || echo "@$(stat -c %Y on)"; exit 0; }
case ${args[0]} in
is-active) [[ -e on ]] && { echo active; exit 0; }; echo inactive; exit 3 ;;
show) printf 'LoadState=loaded\nActiveState=%s\n' "$([[ -e on ]] && echo active || echo inactive)" ;;
is-enabled) echo enabled ;;
list-units) echo list-units >>log; cat units-list; exit "$(cat units-rc 2>/dev/null || echo 0)" ;;
start|restart) echo "${args[0]} $(readlink opt/venv)" >>log; touch on ;;
stop) echo stop >>log; rm -f on ;;
reload) echo reload >>log ;;
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


# fake: makes an environment whose pip says what it was to install
FAKE_PYTHON = '#!/bin/sh\nmkdir -p "$3/bin" && ln -s "$FAKE/bin/pip" "$3/bin/pip" && ln -s /bin/true "$3/bin/python"\n'
FAKE_PIP = '#!/bin/sh\necho "$@" >>"$FAKE/asked"\n'
UNPINNED = ", healer_packages: [x]"
INSTALL = """
    - ansible.builtin.include_role: {name: selfheal.cluster.healer, tasks_from: install}
      vars: {__healer_version: %s%s}
"""


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


def test_what_only_the_healer_would_know_or_nobody_made_is_refused_before_anything_changes(place: Place) -> None:
    password = place.folder / "password"
    values = {"healer_system_packages": [], "selfheal_nagios_password_file": str(password)}
    for name, says in (("healer_spool", "Set selfheal_spool and selfheal_nagios_command_file in the inventory"),
                       ("", f"There is no file {password} here with the password of selfheal"),
                       ("made", "")):  # fmt: skip
        if name == "made":
            password.write_text("secret")
        if name != "healer_spool":
            values["selfheal_spool"] = place.values["healer_spool"]
        done = place.play(ROLE % ("monitor", "preflight"), **values)
        said = " ".join(done.stdout.split())
        assert (says in said) if says else "There is no file" not in said and "Set selfheal_spool" not in said, said
        assert (done.returncode != 0) or not says


def test_another_version_is_another_environment(place: Place) -> None:
    """Also with an index and names without a version, where nothing else would differ."""
    for name, text in (("python", FAKE_PYTHON), ("pip", FAKE_PIP)):
        (place.folder / "bin" / name).write_text(text)
        (place.folder / "bin" / name).chmod(0o755)
    del place.values["__healer_venv"]
    before = place.environments
    text = ROLE.partition("    - ansible")[0] % "monitor"
    text += "".join(INSTALL % each for each in (
        ("1.0.0", ""), ("1.0.1+g1a2b3c4", ""), ("1.0.1+g1a2b3c4", ""), ("1.0.0", UNPINNED), ("1.0.1", UNPINNED),
    ))  # fmt: skip
    done = place.play(text, healer_python=str(place.folder / "bin/python"))
    assert done.returncode == 0, done.stdout + done.stderr
    asked = [line.split("--root-user-action=ignore ")[1] for line in (place.folder / "asked").read_text().splitlines()]
    rest = " ansible-core ansible-runner prometheus-client"
    assert asked == [f"selfheal-cluster==1.0.0{rest}", f"selfheal-cluster==1.0.1{rest}", "x", "x"]
    assert len(place.environments - before) == 4


def test_a_wheelhouse_without_our_wheel_says_how_to_make_it(place: Place) -> None:
    (place.folder / "wheels").mkdir()
    done = place.play(ROLE % ("monitor", "install"), healer_wheelhouse=str(place.folder / "wheels"))
    said = " ".join(done.stdout.split())
    assert f"pip wheel --wheel-dir {place.folder}/wheels . ansible-core ansible-runner prometheus-client" in said, said


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


def retire(place: Place) -> None:
    """A machine `old` that has left its layer and is still in the inventory."""
    (place.folder / "farm/old.yml").write_text("retired: {hosts: {old: }}\n")


def test_a_removal_goes_over_machines_that_have_left_their_layer(place: Place) -> None:
    retire(place)
    (place.folder / "state/holds").mkdir(parents=True)
    (place.folder / "state/holds/ei.json").write_text("{}")
    done = place.play("selfheal.cluster.remove")
    assert done.returncode != 0 and "These still hold a node: ei1, ei2, old" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("targets", "asked"), [(["ei1", "ei2"], {"old"}), (["ei2"], {"ei1", "old"}), (None, set[str]())]
)
def test_the_key_is_taken_from_who_is_no_node_any_more(
    place: Place, targets: list[str] | None, asked: set[str]
) -> None:
    """The last play of the playbook; where nobody knows who is a node, nobody is shut out."""
    retire(place)
    del place.values["healer_targets"]
    last = yaml.safe_load((ROOT / "playbooks/healer.yml").read_text())[-1]
    machines = ["ei1", "ei2", "old"]
    known = {"healer_targets": targets, "healer_machines": machines} if targets else {"healer_machines": machines}
    before = {"hosts": "monitor", "gather_facts": False, "tasks": [{"ansible.builtin.set_fact": known}]}
    done = place.play(yaml.safe_dump([before, last]), healer_remote_user="nobody-of-this-name")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(re.findall(r"^(\S+) +: ok=", done.stdout, re.MULTILINE)) == {"monitor", *asked}, done.stdout


THEIRS = [
    "ssh-ed25519 AAAA3 a.person@desk",
    "ssh-ed25519 AAAA4 selfheal@monitor2",
    "ssh-ed25519 AAAA5 not-selfheal@monitor",
    "# the next one is of selfheal@monitor",
]


@pytest.mark.parametrize("known", ["ssh-ed25519 AAAA1+/x selfheal@monitor", ""])
@pytest.mark.parametrize("entrance", ["no_access", "absent_node"])
def test_every_key_of_this_monitor_goes_and_nobody_elses(place: Place, entrance: str, known: str) -> None:
    keys = place.folder / "home/.ssh/authorized_keys"
    keys.parent.mkdir()
    now = 'restrict,from="192.0.2.10" ssh-ed25519 AAAA1+/x a.new.comment'
    before = "ssh-ed25519 AAAA0 selfheal@monitor"  # of a monitor that was made anew since
    keys.write_text("\n".join([THEIRS[0], now, before, *THEIRS[1:], ""]))
    values = {"__healer_remote_home": str(place.folder / "home"), "healer_user": "selfheal", "healer_public_key": known}
    done = place.play(ROLE % ("ei1", entrance), **values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert keys.read_text().splitlines() == ([THEIRS[0], *THEIRS[1:]] if known else [THEIRS[0], now, *THEIRS[1:]])
    again = place.play(ROLE % ("ei1", entrance), **values)
    assert again.returncode == 0 and "changed=0 " in again.stdout, again.stdout


def test_a_machine_that_was_never_touched_stays_as_it_is(place: Place) -> None:
    shutil.rmtree(place.folder / "etc")
    done = place.play(ROLE % ("ei1", "absent_node"), healer_remote_user="nobody-of-this-name")
    assert done.returncode == 0 and "changed=0 " in done.stdout, done.stdout + done.stderr


def test_holds_epochs_and_settings_of_a_node_go(place: Place) -> None:
    for name in ("state/holds", "state/epochs", "state/keepalived"):
        (place.folder / name).mkdir(parents=True)
    (place.folder / "state/epochs/ei.json").write_text("{}")
    (place.folder / "etc/guard.json").write_text("{}")
    done = place.play(ROLE % ("ei1", "absent_node"), healer_remote_user="nobody-of-this-name")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (place.folder / "state").exists() and not (place.folder / "etc").exists()


def test_of_a_balancer_only_what_its_own_configuration_names_stays(place: Place) -> None:
    state = place.folder / "state"
    for name in ("holds", "epochs", "restarts", "keepalived"):
        (state / name).mkdir(parents=True)
    (state / "restarts/service.json").write_text("{}")
    for name in ("lock", "haproxy.state", "keepalived/VI_ext"):
        (state / name).write_text("0")
    config = place.folder / "keepalived.conf"
    config.write_text(f'vrrp_track_file hold {{\n  file "{state}/keepalived/VI_ext"\n}}\n')
    values = {"healer_remote_user": "nobody-of-this-name", "__healer_node_configs": [str(config)]}
    done = place.play(ROLE % ("ei1", "absent_node"), **values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in state.iterdir()) == ["haproxy.state", "keepalived"]
    assert f"{config} still names" in " ".join(done.stdout.split())


def test_a_removal_takes_from_each_machine_what_is_there_and_touches_no_other(place: Place) -> None:
    place.run()
    (place.folder / "farm/more.yml").write_text("retired: {hosts: {old: , never: }}\n")
    for name in ("ei1", "ei2", "old"):
        for part in ("state/epochs", "etc", "ssh/.ssh", "run"):
            (place.folder / name / part).mkdir(parents=True)
        (place.folder / name / "ssh/.ssh/authorized_keys").write_text("ssh-ed25519 AAAA0 selfheal@monitor\n")
    mine = {
        "__healer_node_state": "state", "__healer_remote_home": "ssh", "__guard_run": ["run"],
        "__guard_folders": ["lib"], "guard_nrpe_dir": "nrpe",
    }  # fmt: skip
    here = str(place.folder) + "/{{ inventory_hostname }}/"
    values = {key: [here + one for one in of] if isinstance(of, list) else here + of for key, of in mine.items()}
    settings = f"{place.folder}/{{{{ 'etc' if inventory_hostname == 'monitor' else inventory_hostname ~ '/etc' }}}}"
    values |= {"__healer_settings": settings, "__guard_files": [], "healer_user": "selfheal"}
    # The monitor's own part has a test of its own; here nobody has to become the healer's user.
    (place.folder / "home/journal.db").unlink(missing_ok=True)
    done = place.play("selfheal.cluster.remove", **values)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("ei1", "ei2", "old"):
        assert sorted(path.name for path in (place.folder / name).iterdir()) == ["ssh"], name
        assert (place.folder / name / "ssh/.ssh/authorized_keys").read_text() == ""
    assert re.search(r"^never +: ok=\d+ +changed=0 ", done.stdout, re.MULTILINE), done.stdout
    assert not place.runs and not (place.folder / "never").exists()


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


def test_settings_that_a_run_before_left_unread_are_read(place: Place) -> None:
    """That run wrote them and failed later, or was ended; to this one nothing is changed."""
    place.run()
    assert place.play(CHANGE).returncode == 0
    os.utime(place.folder / "etc/healer.json", (time.time() - 600,) * 2)
    for name in ("etc/ansible.cfg", "units/selfheal.service"):
        os.utime(place.folder / name, (time.time() - 600,) * 2)
    same = {key: {"changed": False} for key in ("__healer_switched", "__healer_written", "__healer_units_written")}
    for began, asked in ((500, []), (700, ["restart venv-new"])):  # seconds ago
        os.utime(place.folder / "on", (time.time() - began,) * 2)
        (place.folder / "log").write_text("")
        assert place.play(ROLE % ("monitor", "start"), **same).returncode == 0
        assert place.log == asked, began


def test_objects_that_nagios_has_not_read_are_read(place: Place) -> None:
    place.run()
    cache = place.folder / "objects.cache"
    (place.folder / "nagios.cfg").write_text(f"interval_length=30\nobject_cache_file={cache}\n")
    cache.touch()
    wire = ROLE % ("monitor", "wire")
    assert place.play(wire).returncode == 0  # the objects are new
    os.utime(cache, (time.time() + 600,) * 2)
    (place.folder / "log").write_text("")
    assert place.play(wire).returncode == 0
    assert place.log == []
    os.utime(cache, (time.time() - 600,) * 2)
    assert place.play(wire).returncode == 0
    assert place.log == ["reload"]


def test_a_healer_is_not_removed_where_nobody_asked_for_holds(place: Place) -> None:
    place.run()
    text = "- hosts: monitor\n  gather_facts: false\n  roles: [selfheal.cluster.healer]\n"
    done = place.play(text, healer_state="absent", healer_targets=[])
    assert done.returncode != 0 and "selfheal.cluster.remove" in done.stdout, done.stdout
    assert place.runs and (place.folder / "units/selfheal.service").exists()


def test_a_healer_is_removed_whole(place: Place) -> None:
    place.run()
    place.lease(-1)
    text = "- hosts: monitor\n  gather_facts: false\n  roles: [selfheal.cluster.healer]\n"
    done = place.play(text, healer_state="absent", healer_targets=[], healer_asked=[])
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
