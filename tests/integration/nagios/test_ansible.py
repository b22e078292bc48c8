# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Module and inventory plugin as a user runs them: by Ansible's own commands, against a real Nagios."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.nagios_fixture import PASSWORD, USER, RealNagios

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = """
plugin: selfheal.cluster.nagios
url: {url}
user: {user}
use_proxy: false
keyed_groups: [{{key: nagios_custom_variables.SITE | default('none'), prefix: site}}]
compose: {{doubled: nagios_address ~ '+' ~ nagios_address}}
groups: {{webbish: "'web' in nagios_hostgroups"}}
{more}
"""


def ansible(command: str, *arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's commands, which live beside the Python that runs the tests."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "SELFHEAL_"))}
    return subprocess.run(
        [str(Path(sys.executable).parent / command), *arguments],
        env={**clean, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".dev"), "ANSIBLE_NOCOLOR": "1", **env},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def module(nagios: RealNagios, tmp_path: Path, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """The result of nagios_info."""
    given = {"url": nagios.url, "user": USER, "password": PASSWORD, "use_proxy": False, "status_update_interval": 1}
    done = ansible(
        "ansible",
        "localhost",
        "-m",
        "selfheal.cluster.nagios_info",
        "-a",
        json.dumps({**given, **arguments}),
        *(["--check"] if check else []),
        cwd=tmp_path,
    )
    print(done.stdout, done.stderr)
    assert PASSWORD not in done.stdout.replace(f"password={PASSWORD}", "")
    head, brace, tail = done.stdout.partition("localhost | ")[2].partition("{")
    result: dict[str, Any] = json.loads(brace + tail)
    result["failed"] = "FAILED" in head
    return result


def test_module(nagios: RealNagios, tmp_path: Path) -> None:
    result = module(nagios, tmp_path, check=True, gather=["services", "hosts", "downtimes"])
    assert (result["failed"], result["changed"], result["nagios"]["fresh"]) == (False, False, True)
    assert (len(result["services"]), len(result["hosts"]), result["downtimes"]) == (3, 2, [])


def test_module_says_stopped_and_fails_only_when_told(nagios: RealNagios, tmp_path: Path) -> None:
    nagios.stop()
    result = module(nagios, tmp_path)
    assert (result["failed"], result["nagios"]["reason"], result["services"]) == (False, "empty", [])
    result = module(nagios, tmp_path, fail_on_stale=True)
    assert (result["failed"], result["reason"]) == (True, "empty")
    assert "not running" in result["msg"]


def test_module_fails_for_a_host_that_is_not_there(nagios: RealNagios, tmp_path: Path) -> None:
    result = module(nagios, tmp_path, host="nope")
    assert (result["failed"], result["reason"]) == (True, "unknown_name")


def listed(nagios: RealNagios, folder: Path, more: str = "", **env: str) -> tuple[dict[str, Any], str]:
    """The inventory that Ansible makes of it, and its warnings."""
    file = folder / "farm.nagios.yml"
    file.write_text(INVENTORY.format(url=nagios.url, user=USER, more=more))
    done = ansible(
        "ansible-inventory", "-i", str(file), "--list", cwd=folder, **{"SELFHEAL_NAGIOS_PASSWORD": PASSWORD, **env}
    )
    try:
        return plain(json.loads(done.stdout)), done.stderr
    except ValueError:
        pytest.fail(done.stdout + done.stderr)


def plain(value: Any) -> Any:
    """Without the mark of text that Ansible will never take for a template; some versions print it."""
    if isinstance(value, dict):
        return value.get("__ansible_unsafe") or {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def test_inventory(nagios: RealNagios, tmp_path: Path) -> None:
    found, warnings = listed(nagios, tmp_path)
    hosts = found["_meta"]["hostvars"]
    assert {key: hosts["web1"][key] for key in ("ansible_host", "ansible_user", "ansible_port", "doubled")} == {
        "ansible_host": "10.0.0.1",
        "ansible_user": "ops",
        "ansible_port": 2222,
        "doubled": "10.0.0.1+10.0.0.1",
    }
    assert found["farm"]["hosts"] == ["db1", "web1"]
    assert found["web"]["hosts"] == found["site_dc1"]["hosts"] == found["webbish"]["hosts"] == ["web1"]
    # what db1 tried: a connection option, and a user that is an option
    assert {key for key in hosts["db1"] if not key.startswith("nagios_")} == {"ansible_host", "doubled"}
    assert hosts["db1"]["nagios_custom_variables"]["ANSIBLE_SSH_COMMON_ARGS"] == "-o ProxyCommand=id"
    assert "ansible_user" in warnings


def test_a_hostile_value_stays_data(nagios: RealNagios, tmp_path: Path) -> None:
    bait = tmp_path / "bait"
    hostile = f"{{{{ lookup('ansible.builtin.pipe', 'touch {bait}') }}}}"
    nagios.rewrite = lambda body: body.replace(b'"dc1"', json.dumps(hostile).encode())
    found, _ = listed(nagios, tmp_path, more="", ANSIBLE_JINJA2_NATIVE="false")
    assert found["_meta"]["hostvars"]["web1"]["nagios_custom_variables"]["SITE"] == hostile
    done = ansible(
        "ansible", "-i", "farm.nagios.yml", "web1", "-c", "local", "-m", "ansible.builtin.debug",
        "-a", "msg={{ nagios_custom_variables.SITE }}", cwd=tmp_path, SELFHEAL_NAGIOS_PASSWORD=PASSWORD,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lookup(" in done.stdout
    assert not bait.exists()


def test_the_cache_is_used(nagios: RealNagios, tmp_path: Path) -> None:
    more = (
        f"cache: true\ncache_plugin: ansible.builtin.jsonfile\ncache_connection: {tmp_path}/cache\ncache_timeout: 600"
    )
    first, _ = listed(nagios, tmp_path, more)
    asked = len(nagios.requests)
    assert asked == 2
    second, _ = listed(nagios, tmp_path, more)
    assert (len(nagios.requests), second) == (asked, first)


def test_a_nagios_that_cannot_be_believed_is_no_inventory(nagios: RealNagios, tmp_path: Path) -> None:
    nagios.users["nobody"] = "x"
    file = tmp_path / "farm.nagios.yml"
    file.write_text(INVENTORY.format(url=nagios.url, user="nobody", more=""))
    done = ansible(
        "ansible-inventory", "-i", str(file), "--list", cwd=tmp_path,
        SELFHEAL_NAGIOS_PASSWORD="x", ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="true",
    )  # fmt: skip
    assert done.returncode != 0
    assert "no_services" in done.stderr
