# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: (c) 2026, selfheal.cluster contributors
"""Commands written to a real Nagios, seen again through its JSON."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.selfheal.cluster.plugins.module_utils import _nagios_commands as commands
from ansible_collections.selfheal.cluster.plugins.module_utils._errors import SelfhealError
from tests.integration.nagios.conftest import client
from tests.integration.nagios_fixture import RealNagios, wait_for


def downtimes(nagios: RealNagios) -> set[tuple[str, str | None, str, bool]]:
    items = client(nagios).downtimes().items
    return {(each["host"], each["service"], each["comment"], each["ours"]) for each in items}


def test_a_passive_result_arrives(nagios: RealNagios) -> None:
    line = commands.process_service_check_result("web1", "memory", "critical", "left; out | by\nincident", "held=1;2;3")
    commands.write(str(nagios.pipe), [line])
    record: dict[str, Any] = wait_for(
        lambda: next((item for item in client(nagios).services().items if item["status"] == "critical"), None)
    )
    assert (record["host"], record["service"], record["state_type"]) == ("web1", "memory", "hard")
    assert record["output"] == "left: out / by incident"
    assert record["perf_data"] == "held=1;2;3"
    assert abs(record["last_check"] - time.time()) < 30


def test_our_downtime_ends_by_its_tag_and_no_other(nagios: RealNagios) -> None:
    start, end = time.time(), time.time() + 600
    foreign = f"[{int(start)}] SCHEDULE_HOST_DOWNTIME;web1;{int(start)};{int(end)};1;0;600;bob;mine\n"
    commands.write(
        str(nagios.pipe),
        [
            commands.schedule_host_svc_downtime("web1", start, end, "web1-1"),
            commands.schedule_host_downtime("web1", start, end, "web1-1"),
            commands.schedule_host_svc_downtime("db1", start, end, "web1-10"),
            foreign,
        ],
    )
    ours = {("web1", name, "selfheal:web1-1", True) for name in (None, "memory", "disk /")}
    others = {("db1", "memory", "selfheal:web1-10", True), ("web1", None, "mine", False)}
    wait_for(lambda: downtimes(nagios) == ours | others, what="all five downtimes")
    commands.write(str(nagios.pipe), [commands.delete_downtime("web1-1")])
    wait_for(lambda: downtimes(nagios) == others, what="our three downtimes to be gone")


def test_comments_cannot_become_commands(nagios: RealNagios) -> None:
    text = "x\n[0] DISABLE_EVENT_HANDLERS;\n\\n[0] DISABLE_NOTIFICATIONS"
    commands.write(
        str(nagios.pipe), [commands.add_host_comment("web1", text), commands.add_svc_comment("web1", "memory", text)]
    )
    wait_for(lambda: nagios.log.count("EXTERNAL COMMAND: ADD_") == 2, what="both comments")
    assert "EXTERNAL COMMAND: DISABLE" not in nagios.log


def test_stopped(nagios: RealNagios) -> None:
    nagios.kill()
    assert nagios.pipe.exists()  # it is left behind, with nobody to read it

    def reason() -> str:
        try:
            commands.write(str(nagios.pipe), [commands.delete_downtime("web1-1")])
        except SelfhealError as exc:
            return exc.reason
        return ""  # its child that reads the pipe takes a moment to follow it

    assert wait_for(reason, what="a pipe that nobody reads") == "not_running"
