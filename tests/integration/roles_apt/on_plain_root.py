# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""The roles that install packages, on plain roots of Debian 12 whose apt has no lists.

Some minutes, and Debian's mirror: not part of ``make test``, which does not collect this name. Run it by
``make test TESTS=tests/integration/roles_apt/on_plain_root.py``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from lab.base import mounts_below
from lab.machines import wait_until
from tests.integration.roles_apt import plain_root
from tests.integration.roles_apt.plain_root import CACHE, ROOT, RUN, Machines, Played

pytestmark = pytest.mark.timeout(1200)
#: Role, machine, entrances, more variables. The healer's other entrances need a systemd that runs.
ROLES = {
    "nagios_agent": ("ei1", ("main",), ()),
    "nagios_server": ("monitor", ("main",), ("-e", '{"nagios_server_prove_password": false}')),  # no web server runs
    "healer": ("monitor", ("preflight",), ()),
}
#: Away, so that a run that asks it cannot pass.
NO_MIRROR = "deb [trusted=yes] http://127.0.0.1:9/debian bookworm main\n"
DEB = """
set -eu
rm -rf /srv/repo /srv/probe; mkdir -p /srv/repo /srv/probe/DEBIAN
printf 'Package: selfheal-probe\\nVersion: %s\\nArchitecture: all\\nMaintainer: nobody\\nDescription: fake\\n' "$1" \
  >/srv/probe/DEBIAN/control
dpkg-deb --build /srv/probe "/srv/repo/probe_$1.deb" >/dev/null
cd /srv/repo
{ cat /srv/probe/DEBIAN/control
  printf 'Filename: ./probe_%s.deb\\nSize: %s\\n' "$1" "$(stat -c %s "probe_$1.deb")"
  printf 'SHA256: %s\\n' "$(sha256sum "probe_$1.deb" | cut -d' ' -f1)"; } >Packages
"""


@pytest.fixture(scope="module")
def lonely() -> Iterator[None]:
    with plain_root.alone():
        plain_root.plain_root()
        yield


@pytest.fixture
def machines(lonely: None) -> Iterator[Callable[..., Machines]]:
    """Makes machines, and removes them after the test."""
    folders: list[Path] = []

    def make(*names: str) -> Machines:
        folders.append(Path(tempfile.mkdtemp(prefix=RUN, dir=CACHE)))
        made = Machines(folders[-1], *names)
        assert not any(made.lists(name) for name in names), "a plain root has no lists"
        return made

    yield make
    for folder in folders:
        shutil.rmtree(folder)


def passed(done: Played) -> Played:
    assert done.returncode == 0, done.text
    assert not any(done.counts("failed").values()), done.text
    return done


def unchanged(done: Played) -> None:
    """It did nothing, and did not even have to try twice."""
    passed(done)
    assert set(done.counts("changed").values()) == {0}, done.text
    assert set(done.counts("rescued").values()) == {0}, done.text


@pytest.mark.parametrize("role", ROLES)
def test_a_role_says_what_it_would_do_installs_and_is_at_rest(machines: Callable[..., Machines], role: str) -> None:
    name, entrances, variables = ROLES[role]
    farm = machines(name)
    before = farm.files(name)

    def again(*arguments: str) -> Played:
        return farm.role(name, role, *variables, *arguments, tasks_from=entrances)

    looked = passed(again("--check"))
    assert "Would install" in looked.text and looked.counts("changed")[name] > 0
    assert farm.files(name) == before

    done = passed(again())
    assert done.counts("changed")[name] > 0 and done.counts("rescued")[name] == 1
    assert farm.lists(name)

    farm.write(name, "etc/apt/sources.list", NO_MIRROR)
    unchanged(again())
    unchanged(again("--check"))
    prove(role, farm)


def prove(role: str, farm: Machines) -> None:
    """What was installed is enough for what the role is there for."""
    if role == "nagios_agent":
        checks = (farm.up("ei1") / "etc/nagios/nrpe.d/selfheal_agent.cfg").read_text()
        commands = dict(re.findall(r"^command\[(\w+)\]=(.*)$", checks, re.MULTILINE))
        assert {"check_memory", "check_cpu", "check_load", "check_disk_root"} <= set(commands)
        for partition in ("var/lib/ei", "var/log/ei"):  # of the sample inventory
            (farm.up("ei1") / partition).mkdir()
        for check, line in commands.items():
            said = farm.on("ei1", *shlex.split(line))
            assert said.returncode in (0, 1, 2) and "|" in said.stdout, f"{check} gives no numbers: {said.stdout}"
    elif role == "nagios_server":
        for file in ("/usr/lib/nagios/plugins/check_nrpe", "/usr/lib/nagios/plugins/check_http"):
            assert farm.on("monitor", "test", "-x", file).returncode == 0, file
        verified = farm.on("monitor", "nagios4", "-v", "/etc/nagios4/nagios.cfg")
        assert verified.returncode == 0, verified.stdout
    else:
        made = farm.on("monitor", "/usr/bin/python3", "-m", "venv", "/tmp/made")
        assert made.returncode == 0 and farm.on("monitor", "/tmp/made/bin/pip", "--version").returncode == 0, (
            made.stdout
        )
        for tool in ("visudo", "ssh-keygen", "setfacl"):
            assert farm.on("monitor", "sh", "-c", f"command -v {tool}").returncode == 0, tool


def test_check_mode_of_the_whole_roll_out_passes_on_plain_machines(machines: Callable[..., Machines]) -> None:
    names = ("monitor", "extlb1", "extlb2", "ei1")
    farm = machines(*names)
    hosts = farm.folder / "inventory/hosts.yml"
    farm_of_four = yaml.safe_load(hosts.read_text())
    for more in ("ei2", "ei3"):  # like ei1, and it takes its time
        del farm_of_four["ei"]["hosts"][more]
    hosts.write_text(yaml.safe_dump(farm_of_four))
    before = {name: farm.files(name) for name in names}
    done = passed(farm.play("selfheal.cluster.site", "--check"))
    assert set(done.counts("changed")) == set(names)
    assert done.text.count("Would install") == len(names) + 2, "one for NRPE on each, two more on the monitor"
    assert {name: farm.files(name) for name in names} == before


def test_without_python_apt_check_mode_says_so(machines: Callable[..., Machines]) -> None:
    farm = machines("ei1")
    gone = farm.on("ei1", "dpkg", "--purge", "--force-depends", "python3-apt")
    assert gone.returncode == 0, gone.stdout
    done = passed(farm.role("ei1", "packages", "--check", "-e", '{"packages_wanted": ["sudo"]}'))
    assert "Would install sudo" in done.text and "python3-apt must be installed" in done.text


def test_stale_lists_are_fetched_again(machines: Callable[..., Machines]) -> None:
    farm = machines("ei1")
    wanted = ("-e", '{"packages_wanted": ["selfheal-probe"]}')
    farm.write("ei1", "etc/apt/sources.list", "deb [trusted=yes] copy:/srv/repo ./\n")
    assert farm.on("ei1", "sh", "-c", DEB, "deb", "1").returncode == 0
    updated = farm.on("ei1", "apt-get", "update")
    assert updated.returncode == 0, updated.stdout
    assert farm.on("ei1", "sh", "-c", DEB, "deb", "2").returncode == 0

    done = passed(farm.role("ei1", "packages", *wanted))
    assert done.counts("rescued") == {"ei1": 1}, done.text
    assert farm.on("ei1", "dpkg-query", "-W", "-f", "${Version}", "selfheal-probe").stdout == "2"
    unchanged(farm.role("ei1", "packages", *wanted))


def test_lists_that_do_are_not_fetched_again(machines: Callable[..., Machines]) -> None:
    farm = machines("ei1")
    farm.write("ei1", "etc/apt/sources.list", "deb [trusted=yes] copy:/srv/repo ./\n")
    assert farm.on("ei1", "sh", "-c", DEB, "deb", "1").returncode == 0
    assert farm.on("ei1", "apt-get", "update").returncode == 0
    (farm.up("ei1") / "srv/repo/Packages").write_text("Package: other\nVersion: 1\nArchitecture: all\n\n")

    done = passed(farm.role("ei1", "packages", "-e", '{"packages_wanted": ["selfheal-probe"]}'))
    assert done.counts("rescued") == {"ei1": 0} and done.counts("changed") == {"ei1": 1}, done.text


def test_what_no_list_helps_is_an_error(machines: Callable[..., Machines]) -> None:
    farm = machines("ei1")
    assert farm.on("ei1", "sh", "-c", DEB, "deb", "1").returncode == 0
    farm.write("ei1", "etc/apt/sources.list", "deb [trusted=yes] copy:/srv/repo ./\n")
    done = farm.role("ei1", "packages", "-e", '{"packages_wanted": ["selfheal-nowhere"]}')
    assert done.returncode == 2 and done.counts("failed") == {"ei1": 1}
    assert "No package matching 'selfheal-nowhere'" in done.text

    # All is here, and apt cannot say so: then check mode must not claim that it would install something.
    farm.write("ei1", "etc/apt/sources.list", "nonsense\n")
    for check in ([], ["--check"]):
        done = farm.role("ei1", "packages", *check, "-e", '{"packages_wanted": ["python3"]}')
        assert done.returncode == 2 and "Would install" not in done.text, done.text


def test_a_killed_run_leaves_nothing_running_or_mounted(machines: Callable[..., Machines]) -> None:
    farm = machines("ei1")
    mark = farm.up("ei1") / "tmp/up"
    code = (
        "import sys; from pathlib import Path; from tests.integration.roles_apt.plain_root import Machines\n"
        "made = Machines.__new__(Machines); made.folder = Path(sys.argv[1]); made.address = {'ei1': sys.argv[2]}\n"
        "made.on('ei1', 'sh', '-c', 'touch /tmp/up; sleep 300')\n"
    )
    argv = [sys.executable, "-c", code, str(farm.folder), farm.address["ei1"]]
    with subprocess.Popen(argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        assert wait_until(mark.exists, 30)
        assert users(farm.folder)
        process.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not users(farm.folder), 5), "something of a killed run goes on"
    assert not mounts_below(farm.folder)


def users(folder: Path) -> list[str]:
    """Processes whose root or command line lies in a folder, but not this one's own child that is to be killed."""
    found = []
    for proc in Path("/proc").glob("[0-9]*"):
        try:
            root, words = str((proc / "root").readlink()), (proc / "cmdline").read_bytes().decode().split("\0")
        except OSError:  # it has ended meanwhile
            continue
        if root.startswith(str(folder)) or ("enter" in words and str(folder) in words):
            found.append(proc.name)
    return found
